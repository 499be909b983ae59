//! What can be done, under the names that policies have for it, and what of a list lets one do it.

use crate::record::Permission;

/// Something that is done to a bucket or an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Action {
    /// As policies have it.
    pub(crate) name: &'static str,
    /// What lets somebody do it whom no policy speaks of.
    pub(crate) need: Need,
}

/// What is asked where no policy decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// A permission on the list of the bucket.
    Bucket(Permission),
    /// A permission on the list of the object.
    Object(Permission),
    /// The bucket must be one's own.
    Manage,
}

macro_rules! actions {
    ($($action:ident $name:literal $need:expr;)*) => {
        $(pub(crate) const $action: Action = Action { name: $name, need: $need };)*
    };
}

actions! {
    LIST "s3:ListBucket" Need::Bucket(Permission::Read);
    LIST_VERSIONS "s3:ListBucketVersions" Need::Bucket(Permission::Read);
    LIST_UPLOADS "s3:ListBucketMultipartUploads" Need::Bucket(Permission::Read);
    GET_BUCKET_ACL "s3:GetBucketAcl" Need::Bucket(Permission::ReadAcp);
    PUT_BUCKET_ACL "s3:PutBucketAcl" Need::Bucket(Permission::WriteAcp);
    DELETE_BUCKET "s3:DeleteBucket" Need::Manage;
    GET_POLICY "s3:GetBucketPolicy" Need::Manage;
    PUT_POLICY "s3:PutBucketPolicy" Need::Manage;
    DELETE_POLICY "s3:DeleteBucketPolicy" Need::Manage;
    GET_POLICY_STATUS "s3:GetBucketPolicyStatus" Need::Manage;
    GET_VERSIONING "s3:GetBucketVersioning" Need::Manage;
    PUT_VERSIONING "s3:PutBucketVersioning" Need::Manage;
    GET_BUCKET_TAGS "s3:GetBucketTagging" Need::Manage;
    PUT_BUCKET_TAGS "s3:PutBucketTagging" Need::Manage;
    GET_CORS "s3:GetBucketCORS" Need::Manage;
    PUT_CORS "s3:PutBucketCORS" Need::Manage;
    GET_ACCESS_BLOCK "s3:GetBucketPublicAccessBlock" Need::Manage;
    PUT_ACCESS_BLOCK "s3:PutBucketPublicAccessBlock" Need::Manage;
    GET_OWNERSHIP "s3:GetBucketOwnershipControls" Need::Manage;
    PUT_OWNERSHIP "s3:PutBucketOwnershipControls" Need::Manage;
    GET_LOCK_CONFIGURATION "s3:GetBucketObjectLockConfiguration" Need::Manage;
    PUT_LOCK_CONFIGURATION "s3:PutBucketObjectLockConfiguration" Need::Manage;
    GET_LIFECYCLE "s3:GetLifecycleConfiguration" Need::Manage;
    PUT_LIFECYCLE "s3:PutLifecycleConfiguration" Need::Manage;
    GET_ENCRYPTION "s3:GetEncryptionConfiguration" Need::Manage;
    PUT_ENCRYPTION "s3:PutEncryptionConfiguration" Need::Manage;
    GET_PAYMENT "s3:GetBucketRequestPayment" Need::Manage;
    GET_WEBSITE "s3:GetBucketWebsite" Need::Manage;
    GET_REPLICATION "s3:GetReplicationConfiguration" Need::Manage;
    GET_ACCELERATION "s3:GetAccelerateConfiguration" Need::Manage;
    GET_LOGGING "s3:GetBucketLogging" Need::Manage;
    GET_NOTIFICATION "s3:GetBucketNotification" Need::Manage;
    PUT_NOTIFICATION "s3:PutBucketNotification" Need::Manage;
    DELETE_WEBSITE "s3:DeleteBucketWebsite" Need::Manage;
    PUT_REPLICATION "s3:PutReplicationConfiguration" Need::Manage;

    GET "s3:GetObject" Need::Object(Permission::Read);
    GET_VERSION "s3:GetObjectVersion" Need::Object(Permission::Read);
    PUT "s3:PutObject" Need::Bucket(Permission::Write);
    DELETE "s3:DeleteObject" Need::Bucket(Permission::Write);
    DELETE_VERSION "s3:DeleteObjectVersion" Need::Bucket(Permission::Write);
    ABORT_UPLOAD "s3:AbortMultipartUpload" Need::Bucket(Permission::Write);
    LIST_PARTS "s3:ListMultipartUploadParts" Need::Bucket(Permission::Read);
    GET_ACL "s3:GetObjectAcl" Need::Object(Permission::ReadAcp);
    PUT_ACL "s3:PutObjectAcl" Need::Object(Permission::WriteAcp);
    GET_TAGS "s3:GetObjectTagging" Need::Object(Permission::Read);
    PUT_TAGS "s3:PutObjectTagging" Need::Bucket(Permission::Write);
    DELETE_TAGS "s3:DeleteObjectTagging" Need::Bucket(Permission::Write);
    GET_RETENTION "s3:GetObjectRetention" Need::Manage;
    PUT_RETENTION "s3:PutObjectRetention" Need::Manage;
    GET_HOLD "s3:GetObjectLegalHold" Need::Manage;
    PUT_HOLD "s3:PutObjectLegalHold" Need::Manage;
    BYPASS "s3:BypassGovernanceRetention" Need::Manage;
}

impl Action {
    /// Whether it is about the policy itself. Its owner can always mend that.
    pub(crate) fn is_of_policy(self) -> bool {
        [GET_POLICY, PUT_POLICY, DELETE_POLICY].contains(&self)
    }
}
