//! Requests for policies of buckets.

use s3s::{S3Request, S3Response, S3Result, dto};

use crate::door::Inner;
use crate::door::refuse::told;
use crate::error::{Code, Error};
use crate::op::action;
use crate::policy::Policy;

impl Inner {
    pub(super) async fn get_bucket_policy(
        &self,
        request: S3Request<dto::GetBucketPolicyInput>,
    ) -> S3Result<S3Response<dto::GetBucketPolicyOutput>> {
        let bucket = self.managed(action::GET_POLICY, &request, &request.input.bucket).await;
        let bucket = bucket.map_err(told)?;
        if bucket.policy.is_empty() {
            return Err(told(Code::NoSuchBucketPolicy.into()));
        }
        Ok(S3Response::new(dto::GetBucketPolicyOutput { policy: Some(bucket.policy) }))
    }

    pub(super) async fn put_bucket_policy(
        &self,
        request: S3Request<dto::PutBucketPolicyInput>,
    ) -> S3Result<S3Response<dto::PutBucketPolicyOutput>> {
        let text = &request.input.policy;
        let changed = async {
            let policy = Policy::parse(text, &request.input.bucket)?;
            self.change(action::PUT_POLICY, &request, &request.input.bucket, |bucket| {
                let blocked = bucket.public_access_block.is_some_and(|block| block.block_policy);
                if blocked && policy.is_public() {
                    let why = "public access to the bucket is blocked";
                    return Err(Error::new(Code::AccessDenied, why));
                }
                bucket.policy.clone_from(text);
                Ok(())
            })
            .await
        };
        changed.await.map_err(told)?;
        let mut answer = S3Response::new(dto::PutBucketPolicyOutput::default());
        answer.status = Some(http::StatusCode::NO_CONTENT);
        Ok(answer)
    }

    pub(super) async fn delete_bucket_policy(
        &self,
        request: S3Request<dto::DeleteBucketPolicyInput>,
    ) -> S3Result<S3Response<dto::DeleteBucketPolicyOutput>> {
        let bucket = &request.input.bucket;
        let changed = self.change(action::DELETE_POLICY, &request, bucket, |bucket| {
            bucket.policy.clear();
            Ok(())
        });
        changed.await.map_err(told)?;
        Ok(S3Response::new(dto::DeleteBucketPolicyOutput::default()))
    }

    pub(super) async fn get_bucket_policy_status(
        &self,
        request: S3Request<dto::GetBucketPolicyStatusInput>,
    ) -> S3Result<S3Response<dto::GetBucketPolicyStatusOutput>> {
        let public = async {
            let name = &request.input.bucket;
            let bucket = self.managed(action::GET_POLICY_STATUS, &request, name).await?;
            let list = bucket.acl.as_ref();
            let list = list.is_some_and(|acl| acl.grants.iter().any(|grant| grant.group != 0));
            let policy =
                !bucket.policy.is_empty() && Policy::parse(&bucket.policy, name)?.is_public();
            Ok(list || policy)
        };
        let is_public = Some(public.await.map_err(told)?);
        Ok(S3Response::new(dto::GetBucketPolicyStatusOutput {
            policy_status: Some(dto::PolicyStatus { is_public }),
        }))
    }
}
