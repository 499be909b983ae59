//! The one trait of `s3s`, operation by operation. What is not here answers `NotImplemented`.

use std::sync::Arc;

use s3s::dto::*;
use s3s::{S3, S3Request, S3Response, S3Result};

use crate::door::Inner;
use crate::error::Code;
use crate::op::action;

/// The protocol.
pub(super) struct Protocol(pub(super) Arc<Inner>);

/// Operations that are our own.
macro_rules! protocol {
    (
        own { $($own:ident: $own_in:ident -> $own_out:ident,)* }
        without { $($without:ident: $without_in:ident -> $without_out:ident $action:ident $code:ident,)* }
        usual { $($usual:ident: $usual_in:ident -> $usual_out:ident $usual_action:ident,)* }
    ) => {
        #[async_trait::async_trait]
        impl S3 for Protocol {
            $(async fn $own(&self, request: S3Request<$own_in>) -> S3Result<S3Response<$own_out>> {
                self.0.$own(request).await
            })*

            $(async fn $without(
                &self,
                request: S3Request<$without_in>,
            ) -> S3Result<S3Response<$without_out>> {
                let bucket = request.input.bucket.clone();
                self.0.without(action::$action, request, &bucket, Code::$code).await
            })*

            $(async fn $usual(
                &self,
                request: S3Request<$usual_in>,
            ) -> S3Result<S3Response<$usual_out>> {
                let bucket = request.input.bucket.clone();
                self.0.usual(action::$usual_action, request, &bucket).await
            })*
        }
    };
}

protocol! {
    // What there is.
    own {
        create_bucket: CreateBucketInput -> CreateBucketOutput,
        delete_bucket: DeleteBucketInput -> DeleteBucketOutput,
        head_bucket: HeadBucketInput -> HeadBucketOutput,
        list_buckets: ListBucketsInput -> ListBucketsOutput,
        get_bucket_location: GetBucketLocationInput -> GetBucketLocationOutput,
        put_object: PutObjectInput -> PutObjectOutput,
        copy_object: CopyObjectInput -> CopyObjectOutput,
        get_object: GetObjectInput -> GetObjectOutput,
        head_object: HeadObjectInput -> HeadObjectOutput,
        get_object_attributes: GetObjectAttributesInput -> GetObjectAttributesOutput,
        delete_object: DeleteObjectInput -> DeleteObjectOutput,
        delete_objects: DeleteObjectsInput -> DeleteObjectsOutput,
        get_object_tagging: GetObjectTaggingInput -> GetObjectTaggingOutput,
        put_object_tagging: PutObjectTaggingInput -> PutObjectTaggingOutput,
        delete_object_tagging: DeleteObjectTaggingInput -> DeleteObjectTaggingOutput,
        list_objects: ListObjectsInput -> ListObjectsOutput,
        list_objects_v2: ListObjectsV2Input -> ListObjectsV2Output,
        list_object_versions: ListObjectVersionsInput -> ListObjectVersionsOutput,
        create_multipart_upload: CreateMultipartUploadInput -> CreateMultipartUploadOutput,
        upload_part: UploadPartInput -> UploadPartOutput,
        upload_part_copy: UploadPartCopyInput -> UploadPartCopyOutput,
        complete_multipart_upload: CompleteMultipartUploadInput -> CompleteMultipartUploadOutput,
        abort_multipart_upload: AbortMultipartUploadInput -> AbortMultipartUploadOutput,
        list_parts: ListPartsInput -> ListPartsOutput,
        list_multipart_uploads: ListMultipartUploadsInput -> ListMultipartUploadsOutput,
        get_bucket_acl: GetBucketAclInput -> GetBucketAclOutput,
        put_bucket_acl: PutBucketAclInput -> PutBucketAclOutput,
        get_object_acl: GetObjectAclInput -> GetObjectAclOutput,
        put_object_acl: PutObjectAclInput -> PutObjectAclOutput,
        get_bucket_versioning: GetBucketVersioningInput -> GetBucketVersioningOutput,
        put_bucket_versioning: PutBucketVersioningInput -> PutBucketVersioningOutput,
        get_bucket_tagging: GetBucketTaggingInput -> GetBucketTaggingOutput,
        put_bucket_tagging: PutBucketTaggingInput -> PutBucketTaggingOutput,
        delete_bucket_tagging: DeleteBucketTaggingInput -> DeleteBucketTaggingOutput,
        get_bucket_cors: GetBucketCorsInput -> GetBucketCorsOutput,
        put_bucket_cors: PutBucketCorsInput -> PutBucketCorsOutput,
        delete_bucket_cors: DeleteBucketCorsInput -> DeleteBucketCorsOutput,
        get_public_access_block: GetPublicAccessBlockInput -> GetPublicAccessBlockOutput,
        put_public_access_block: PutPublicAccessBlockInput -> PutPublicAccessBlockOutput,
        delete_public_access_block: DeletePublicAccessBlockInput -> DeletePublicAccessBlockOutput,
        get_bucket_ownership_controls: GetBucketOwnershipControlsInput -> GetBucketOwnershipControlsOutput,
        put_bucket_ownership_controls: PutBucketOwnershipControlsInput -> PutBucketOwnershipControlsOutput,
        delete_bucket_ownership_controls: DeleteBucketOwnershipControlsInput -> DeleteBucketOwnershipControlsOutput,
        get_bucket_lifecycle_configuration: GetBucketLifecycleConfigurationInput -> GetBucketLifecycleConfigurationOutput,
        put_bucket_lifecycle_configuration: PutBucketLifecycleConfigurationInput -> PutBucketLifecycleConfigurationOutput,
        delete_bucket_lifecycle: DeleteBucketLifecycleInput -> DeleteBucketLifecycleOutput,
        get_bucket_policy: GetBucketPolicyInput -> GetBucketPolicyOutput,
        put_bucket_policy: PutBucketPolicyInput -> PutBucketPolicyOutput,
        delete_bucket_policy: DeleteBucketPolicyInput -> DeleteBucketPolicyOutput,
        get_bucket_encryption: GetBucketEncryptionInput -> GetBucketEncryptionOutput,
        put_bucket_encryption: PutBucketEncryptionInput -> PutBucketEncryptionOutput,
        delete_bucket_encryption: DeleteBucketEncryptionInput -> DeleteBucketEncryptionOutput,
        get_object_lock_configuration: GetObjectLockConfigurationInput -> GetObjectLockConfigurationOutput,
        put_object_lock_configuration: PutObjectLockConfigurationInput -> PutObjectLockConfigurationOutput,
        get_object_legal_hold: GetObjectLegalHoldInput -> GetObjectLegalHoldOutput,
        put_object_legal_hold: PutObjectLegalHoldInput -> PutObjectLegalHoldOutput,
        get_object_retention: GetObjectRetentionInput -> GetObjectRetentionOutput,
        put_object_retention: PutObjectRetentionInput -> PutObjectRetentionOutput,
        get_bucket_policy_status: GetBucketPolicyStatusInput -> GetBucketPolicyStatusOutput,
        get_bucket_request_payment: GetBucketRequestPaymentInput -> GetBucketRequestPaymentOutput,
    }
    // Settings that no bucket or object has: clients expect to hear so.
    without {
        get_bucket_website: GetBucketWebsiteInput -> GetBucketWebsiteOutput GET_WEBSITE NoSuchWebsiteConfiguration,
        get_bucket_replication: GetBucketReplicationInput -> GetBucketReplicationOutput GET_REPLICATION ReplicationConfigurationNotFoundError,
        get_object_torrent: GetObjectTorrentInput -> GetObjectTorrentOutput LIST NoSuchKey,
    }
    // Settings that are always the usual ones, and may be taken away although they are not there.
    usual {
        get_bucket_accelerate_configuration: GetBucketAccelerateConfigurationInput -> GetBucketAccelerateConfigurationOutput GET_ACCELERATION,
        get_bucket_logging: GetBucketLoggingInput -> GetBucketLoggingOutput GET_LOGGING,
        get_bucket_notification_configuration: GetBucketNotificationConfigurationInput -> GetBucketNotificationConfigurationOutput GET_NOTIFICATION,
        delete_bucket_website: DeleteBucketWebsiteInput -> DeleteBucketWebsiteOutput DELETE_WEBSITE,
        delete_bucket_replication: DeleteBucketReplicationInput -> DeleteBucketReplicationOutput PUT_REPLICATION,
    }
}
