//! Requests for buckets: made, listed, deleted.

use http::HeaderValue;
use s3s::{S3Request, S3Response, S3Result, dto};

use crate::door::refuse::told;
use crate::door::{Inner, convert, place, present};
use crate::error::{Code, Error};
use crate::op::Moment;
use crate::record::Permission;

impl Inner {
    pub(super) async fn create_bucket(
        &self,
        request: S3Request<dto::CreateBucketInput>,
    ) -> S3Result<S3Response<dto::CreateBucketOutput>> {
        let caller = self.caller(&request);
        let input = request.input;
        let made = async {
            let name = present(&input.bucket, &request.headers)?;
            if input.bucket.contains('@') {
                return Err(Code::InvalidBucketName.into());
            }
            let location = input
                .create_bucket_configuration
                .as_ref()
                .and_then(|configuration| configuration.location_constraint.as_ref())
                .map_or("", dto::BucketLocationConstraint::as_str);
            if !location.is_empty() && location != self.options.region {
                let why = format!("buckets are in {}, and not in {location}", self.options.region);
                return Err(Error::new(Code::IllegalLocationConstraintException, why));
            }
            let acl = self.acl_wish(
                input.acl.as_ref().map(dto::BucketCannedACL::as_str),
                &[
                    (input.grant_read.as_deref(), Permission::Read),
                    (input.grant_write.as_deref(), Permission::Write),
                    (input.grant_read_acp.as_deref(), Permission::ReadAcp),
                    (input.grant_write_acp.as_deref(), Permission::WriteAcp),
                    (input.grant_full_control.as_deref(), Permission::FullControl),
                ],
            )?;
            let ownership =
                input.object_ownership.as_ref().map_or("", dto::ObjectOwnership::as_str);
            let lock = input.object_lock_enabled_for_bucket == Some(true);
            self.core.create_bucket(&caller, &name, &acl, (ownership, lock)).await?;
            Ok(name)
        };
        let name = made.await.map_err(told)?;
        Ok(S3Response::new(dto::CreateBucketOutput { location: Some(format!("/{name}")) }))
    }

    pub(super) async fn delete_bucket(
        &self,
        request: S3Request<dto::DeleteBucketInput>,
    ) -> S3Result<S3Response<dto::DeleteBucketOutput>> {
        let caller = self.caller(&request);
        let name = present(&request.input.bucket, &request.headers).map_err(told)?;
        self.core.delete_bucket(&caller, &name).await.map_err(told)?;
        Ok(S3Response::new(dto::DeleteBucketOutput::default()))
    }

    pub(super) async fn head_bucket(
        &self,
        request: S3Request<dto::HeadBucketInput>,
    ) -> S3Result<S3Response<dto::HeadBucketOutput>> {
        let caller = self.caller(&request);
        let (name, moment) = place(&request.input.bucket, &request.headers).map_err(told)?;
        self.core.head_bucket(&caller, &name, moment).await.map_err(told)?;
        let mut answer = S3Response::new(dto::HeadBucketOutput::default());
        if let Ok(region) = HeaderValue::from_str(&self.options.region) {
            answer.headers.insert("x-amz-bucket-region", region);
        }
        Ok(answer)
    }

    pub(super) async fn list_buckets(
        &self,
        request: S3Request<dto::ListBucketsInput>,
    ) -> S3Result<S3Response<dto::ListBucketsOutput>> {
        let caller = self.caller(&request);
        let input = request.input;
        let listed = async {
            // Where no page is asked for, all of them are told.
            let max = match input.max_buckets {
                Some(max) => {
                    usize::try_from(max).ok().filter(|max| (1..=10_000).contains(max)).ok_or_else(
                        || Error::new(Code::InvalidArgument, "max-buckets is from 1 to 10000"),
                    )?
                }
                None => usize::MAX,
            };
            let prefix = input.prefix.as_deref().unwrap_or_default();
            let after = input.continuation_token.as_deref();
            self.core.list_buckets(&caller, prefix, after, max).await
        };
        let page = listed.await.map_err(told)?;
        let buckets = page.buckets.into_iter().map(|(name, bucket)| dto::Bucket {
            bucket_region: Some(self.options.region.clone()),
            creation_date: Some(convert::shown(bucket.created)),
            name: Some(name),
        });
        Ok(S3Response::new(dto::ListBucketsOutput {
            buckets: Some(buckets.collect()),
            continuation_token: page.next,
            owner: caller.owner().as_ref().map(convert::owner),
            prefix: input.prefix,
        }))
    }

    pub(super) async fn get_bucket_location(
        &self,
        request: S3Request<dto::GetBucketLocationInput>,
    ) -> S3Result<S3Response<dto::GetBucketLocationOutput>> {
        let caller = self.caller(&request);
        let (name, _) = place(&request.input.bucket, &request.headers).map_err(told)?;
        self.core.head_bucket(&caller, &name, Moment::Now).await.map_err(told)?;
        // The first region of all has no name here.
        let region = Some(self.options.region.clone()).filter(|region| region != "us-east-1");
        Ok(S3Response::new(dto::GetBucketLocationOutput {
            location_constraint: region.map(Into::into),
        }))
    }
}
