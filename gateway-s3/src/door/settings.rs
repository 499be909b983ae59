//! Requests for settings of buckets.

use s3s::{S3Request, S3Response, S3Result, dto};

use crate::door::refuse::told;
use crate::door::{Inner, convert, place, present};
use crate::error::{Code, Error, Result};
use crate::op::action::{self, Action};
use crate::op::settings::check_cors;
use crate::op::tags::BUCKET_TAGS_MAX;
use crate::record::{Bucket, CorsRule, Grant, PublicAccessBlock, Versioning};

impl Inner {
    /// A bucket, for who may manage it.
    pub(super) async fn managed<T>(
        &self,
        action: Action,
        request: &S3Request<T>,
        bucket: &str,
    ) -> Result<Bucket> {
        let caller = self.caller(request);
        let (name, moment) = place(bucket, &request.headers)?;
        self.core.settings(&caller, action, &name, moment).await
    }

    pub(super) async fn change<T>(
        &self,
        action: Action,
        request: &S3Request<T>,
        bucket: &str,
        change: impl Fn(&mut Bucket) -> Result<()> + Sync,
    ) -> Result<()> {
        let caller = self.caller(request);
        let name = present(bucket, &request.headers)?;
        self.core.set(&caller, action, &name, &change).await
    }

    /// A setting that is not there: the error that clients expect, if there is such a bucket.
    pub(super) async fn without<T, U>(
        &self,
        action: Action,
        request: S3Request<T>,
        bucket: &str,
        code: Code,
    ) -> S3Result<S3Response<U>> {
        self.managed(action, &request, bucket).await.map_err(told)?;
        Err(told(code.into()))
    }

    /// A setting that is always the usual one.
    pub(super) async fn usual<T, U: Default>(
        &self,
        action: Action,
        request: S3Request<T>,
        bucket: &str,
    ) -> S3Result<S3Response<U>> {
        self.managed(action, &request, bucket).await.map_err(told)?;
        Ok(S3Response::new(U::default()))
    }

    pub(super) async fn get_bucket_versioning(
        &self,
        request: S3Request<dto::GetBucketVersioningInput>,
    ) -> S3Result<S3Response<dto::GetBucketVersioningOutput>> {
        let bucket = self
            .managed(action::GET_VERSIONING, &request, &request.input.bucket)
            .await
            .map_err(told)?;
        let status = match bucket.versions() {
            Versioning::Never => None,
            Versioning::Enabled => Some(dto::BucketVersioningStatus::ENABLED),
            Versioning::Suspended => Some(dto::BucketVersioningStatus::SUSPENDED),
        };
        Ok(S3Response::new(dto::GetBucketVersioningOutput {
            mfa_delete: None,
            status: status.map(dto::BucketVersioningStatus::from_static),
        }))
    }

    pub(super) async fn put_bucket_versioning(
        &self,
        request: S3Request<dto::PutBucketVersioningInput>,
    ) -> S3Result<S3Response<dto::PutBucketVersioningOutput>> {
        let wanted = &request.input.versioning_configuration;
        let changed = async {
            if wanted.mfa_delete.as_ref().is_some_and(|mfa| mfa.as_str() == "Enabled") {
                return Err(Error::new(Code::NotImplemented, "MFA delete is not implemented"));
            }
            let status = match wanted.status.as_ref().map(dto::BucketVersioningStatus::as_str) {
                Some(dto::BucketVersioningStatus::ENABLED) => Versioning::Enabled,
                Some(dto::BucketVersioningStatus::SUSPENDED) => Versioning::Suspended,
                Some(_) => return Err(Code::MalformedXML.into()),
                None => return Err(Code::IllegalVersioningConfigurationException.into()),
            };
            self.change(action::PUT_VERSIONING, &request, &request.input.bucket, |bucket| {
                if bucket.object_lock.is_some() && status != Versioning::Enabled {
                    let why = "versions are kept where objects can be locked";
                    return Err(Error::new(Code::InvalidBucketState, why));
                }
                bucket.versioning = status as i32;
                Ok(())
            })
            .await
        };
        changed.await.map_err(told)?;
        Ok(S3Response::new(dto::PutBucketVersioningOutput::default()))
    }

    pub(super) async fn get_bucket_tagging(
        &self,
        request: S3Request<dto::GetBucketTaggingInput>,
    ) -> S3Result<S3Response<dto::GetBucketTaggingOutput>> {
        let bucket = self
            .managed(action::GET_BUCKET_TAGS, &request, &request.input.bucket)
            .await
            .map_err(told)?;
        if bucket.tags.is_empty() {
            return Err(told(Code::NoSuchTagSet.into()));
        }
        let tag_set = convert::tag_set(&bucket.tags);
        Ok(S3Response::new(dto::GetBucketTaggingOutput { tag_set }))
    }

    pub(super) async fn put_bucket_tagging(
        &self,
        request: S3Request<dto::PutBucketTaggingInput>,
    ) -> S3Result<S3Response<dto::PutBucketTaggingOutput>> {
        let tags = request.input.tagging.tag_set.clone();
        let tags = convert::body_tags(tags, BUCKET_TAGS_MAX).map_err(told)?;
        let changed =
            self.change(action::PUT_BUCKET_TAGS, &request, &request.input.bucket, |bucket| {
                bucket.tags.clone_from(&tags);
                Ok(())
            });
        changed.await.map_err(told)?;
        Ok(S3Response::new(dto::PutBucketTaggingOutput::default()))
    }

    pub(super) async fn delete_bucket_tagging(
        &self,
        request: S3Request<dto::DeleteBucketTaggingInput>,
    ) -> S3Result<S3Response<dto::DeleteBucketTaggingOutput>> {
        let changed =
            self.change(action::PUT_BUCKET_TAGS, &request, &request.input.bucket, |bucket| {
                bucket.tags.clear();
                Ok(())
            });
        changed.await.map_err(told)?;
        Ok(S3Response::new(dto::DeleteBucketTaggingOutput::default()))
    }

    pub(super) async fn get_bucket_cors(
        &self,
        request: S3Request<dto::GetBucketCorsInput>,
    ) -> S3Result<S3Response<dto::GetBucketCorsOutput>> {
        let bucket =
            self.managed(action::GET_CORS, &request, &request.input.bucket).await.map_err(told)?;
        if bucket.cors.is_empty() {
            return Err(told(Code::NoSuchCORSConfiguration.into()));
        }
        let rule = |rule: CorsRule| dto::CORSRule {
            allowed_headers: super::lists::some(rule.headers),
            allowed_methods: rule.methods,
            allowed_origins: rule.origins,
            expose_headers: super::lists::some(rule.expose),
            id: (!rule.id.is_empty()).then_some(rule.id),
            max_age_seconds: rule.max_age_seconds.and_then(|age| i32::try_from(age).ok()),
        };
        let rules = bucket.cors.into_iter().map(rule).collect();
        Ok(S3Response::new(dto::GetBucketCorsOutput { cors_rules: Some(rules) }))
    }

    pub(super) async fn put_bucket_cors(
        &self,
        request: S3Request<dto::PutBucketCorsInput>,
    ) -> S3Result<S3Response<dto::PutBucketCorsOutput>> {
        let rule = |rule: &dto::CORSRule| CorsRule {
            id: rule.id.clone().unwrap_or_default(),
            origins: rule.allowed_origins.clone(),
            methods: rule.allowed_methods.clone(),
            headers: rule.allowed_headers.clone().unwrap_or_default(),
            expose: rule.expose_headers.clone().unwrap_or_default(),
            max_age_seconds: rule.max_age_seconds.and_then(|age| u32::try_from(age).ok()),
        };
        let rules: Vec<_> = request.input.cors_configuration.cors_rules.iter().map(rule).collect();
        let changed = async {
            check_cors(&rules)?;
            self.change(action::PUT_CORS, &request, &request.input.bucket, |bucket| {
                bucket.cors.clone_from(&rules);
                Ok(())
            })
            .await
        };
        changed.await.map_err(told)?;
        Ok(S3Response::new(dto::PutBucketCorsOutput::default()))
    }

    pub(super) async fn delete_bucket_cors(
        &self,
        request: S3Request<dto::DeleteBucketCorsInput>,
    ) -> S3Result<S3Response<dto::DeleteBucketCorsOutput>> {
        let changed = self.change(action::PUT_CORS, &request, &request.input.bucket, |bucket| {
            bucket.cors.clear();
            Ok(())
        });
        changed.await.map_err(told)?;
        Ok(S3Response::new(dto::DeleteBucketCorsOutput::default()))
    }

    pub(super) async fn get_public_access_block(
        &self,
        request: S3Request<dto::GetPublicAccessBlockInput>,
    ) -> S3Result<S3Response<dto::GetPublicAccessBlockOutput>> {
        let bucket = self
            .managed(action::GET_ACCESS_BLOCK, &request, &request.input.bucket)
            .await
            .map_err(told)?;
        let Some(block) = bucket.public_access_block else {
            return Err(told(Code::NoSuchPublicAccessBlockConfiguration.into()));
        };
        Ok(S3Response::new(dto::GetPublicAccessBlockOutput {
            public_access_block_configuration: Some(dto::PublicAccessBlockConfiguration {
                block_public_acls: Some(block.block_acls),
                block_public_policy: Some(block.block_policy),
                ignore_public_acls: Some(block.ignore_acls),
                restrict_public_buckets: Some(block.restrict_buckets),
            }),
        }))
    }

    pub(super) async fn put_public_access_block(
        &self,
        request: S3Request<dto::PutPublicAccessBlockInput>,
    ) -> S3Result<S3Response<dto::PutPublicAccessBlockOutput>> {
        let wanted = &request.input.public_access_block_configuration;
        let block = PublicAccessBlock {
            block_acls: wanted.block_public_acls.unwrap_or(false),
            ignore_acls: wanted.ignore_public_acls.unwrap_or(false),
            block_policy: wanted.block_public_policy.unwrap_or(false),
            restrict_buckets: wanted.restrict_public_buckets.unwrap_or(false),
        };
        let changed =
            self.change(action::PUT_ACCESS_BLOCK, &request, &request.input.bucket, |bucket| {
                bucket.public_access_block = Some(block);
                Ok(())
            });
        changed.await.map_err(told)?;
        Ok(S3Response::new(dto::PutPublicAccessBlockOutput::default()))
    }

    pub(super) async fn delete_public_access_block(
        &self,
        request: S3Request<dto::DeletePublicAccessBlockInput>,
    ) -> S3Result<S3Response<dto::DeletePublicAccessBlockOutput>> {
        let changed =
            self.change(action::PUT_ACCESS_BLOCK, &request, &request.input.bucket, |bucket| {
                bucket.public_access_block = None;
                Ok(())
            });
        changed.await.map_err(told)?;
        Ok(S3Response::new(dto::DeletePublicAccessBlockOutput::default()))
    }

    pub(super) async fn get_bucket_ownership_controls(
        &self,
        request: S3Request<dto::GetBucketOwnershipControlsInput>,
    ) -> S3Result<S3Response<dto::GetBucketOwnershipControlsOutput>> {
        let bucket = self
            .managed(action::GET_OWNERSHIP, &request, &request.input.bucket)
            .await
            .map_err(told)?;
        if bucket.object_ownership.is_empty() {
            return Err(told(Code::OwnershipControlsNotFoundError.into()));
        }
        let rule = dto::OwnershipControlsRule { object_ownership: bucket.object_ownership.into() };
        Ok(S3Response::new(dto::GetBucketOwnershipControlsOutput {
            ownership_controls: Some(dto::OwnershipControls { rules: vec![rule] }),
        }))
    }

    pub(super) async fn put_bucket_ownership_controls(
        &self,
        request: S3Request<dto::PutBucketOwnershipControlsInput>,
    ) -> S3Result<S3Response<dto::PutBucketOwnershipControlsOutput>> {
        let changed = async {
            let rules = &request.input.ownership_controls.rules;
            let ownership = match &rules[..] {
                [rule] => rule.object_ownership.as_str(),
                _ => return Err(Error::new(Code::MalformedXML, "there is not just one rule")),
            };
            if !["BucketOwnerPreferred", "ObjectWriter", "BucketOwnerEnforced"].contains(&ownership)
            {
                return Err(Error::new(
                    Code::MalformedXML,
                    format!("{ownership:?} is no ownership"),
                ));
            }
            self.change(action::PUT_OWNERSHIP, &request, &request.input.bucket, |bucket| {
                let others = bucket.acl.as_ref().is_some_and(|acl| {
                    let own = |grant: &Grant| grant.user.as_ref() == Some(&bucket.owner);
                    !acl.grants.iter().all(own)
                });
                if ownership == "BucketOwnerEnforced" && others {
                    return Err(Code::InvalidBucketAclWithObjectOwnership.into());
                }
                ownership.clone_into(&mut bucket.object_ownership);
                Ok(())
            })
            .await
        };
        changed.await.map_err(told)?;
        Ok(S3Response::new(dto::PutBucketOwnershipControlsOutput::default()))
    }

    pub(super) async fn delete_bucket_ownership_controls(
        &self,
        request: S3Request<dto::DeleteBucketOwnershipControlsInput>,
    ) -> S3Result<S3Response<dto::DeleteBucketOwnershipControlsOutput>> {
        let changed =
            self.change(action::PUT_OWNERSHIP, &request, &request.input.bucket, |bucket| {
                bucket.object_ownership.clear();
                Ok(())
            });
        changed.await.map_err(told)?;
        Ok(S3Response::new(dto::DeleteBucketOwnershipControlsOutput::default()))
    }

    pub(super) async fn get_bucket_request_payment(
        &self,
        request: S3Request<dto::GetBucketRequestPaymentInput>,
    ) -> S3Result<S3Response<dto::GetBucketRequestPaymentOutput>> {
        self.managed(action::GET_PAYMENT, &request, &request.input.bucket).await.map_err(told)?;
        let payer = Some(dto::Payer::from_static(dto::Payer::BUCKET_OWNER));
        Ok(S3Response::new(dto::GetBucketRequestPaymentOutput { payer }))
    }
}
