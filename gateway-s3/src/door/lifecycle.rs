//! Requests for the rules of what becomes of objects as they age, and the headers that tell of them.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use s3s::{S3Request, S3Response, S3Result, dto};

use crate::door::lists::some;
use crate::door::refuse::told;
use crate::door::{Inner, convert};
use crate::error::{Code, Error, Result};
use crate::op::action;
use crate::op::lifecycle::{Expires, check_rules};
use crate::record::{Expiration, Filter, LifecycleRule, Noncurrent, Pair, Transition};

impl Inner {
    pub(super) async fn get_bucket_lifecycle_configuration(
        &self,
        request: S3Request<dto::GetBucketLifecycleConfigurationInput>,
    ) -> S3Result<S3Response<dto::GetBucketLifecycleConfigurationOutput>> {
        let name = &request.input.bucket;
        let bucket = self.managed(action::GET_LIFECYCLE, &request, name).await.map_err(told)?;
        if bucket.lifecycle.is_empty() {
            return Err(told(Code::NoSuchLifecycleConfiguration.into()));
        }
        let rules = bucket.lifecycle.into_iter().map(shown).collect();
        Ok(S3Response::new(dto::GetBucketLifecycleConfigurationOutput {
            rules: Some(rules),
            transition_default_minimum_object_size: None,
        }))
    }

    pub(super) async fn put_bucket_lifecycle_configuration(
        &self,
        request: S3Request<dto::PutBucketLifecycleConfigurationInput>,
    ) -> S3Result<S3Response<dto::PutBucketLifecycleConfigurationOutput>> {
        let changed = async {
            let said = request.input.lifecycle_configuration.clone();
            let said = said.map(|configuration| configuration.rules).unwrap_or_default();
            let rules = said.into_iter().map(rule).collect::<Result<Vec<_>>>()?;
            check_rules(&rules)?;
            self.change(action::PUT_LIFECYCLE, &request, &request.input.bucket, |bucket| {
                bucket.lifecycle.clone_from(&rules);
                Ok(())
            })
            .await
        };
        changed.await.map_err(told)?;
        Ok(S3Response::new(dto::PutBucketLifecycleConfigurationOutput::default()))
    }

    pub(super) async fn delete_bucket_lifecycle(
        &self,
        request: S3Request<dto::DeleteBucketLifecycleInput>,
    ) -> S3Result<S3Response<dto::DeleteBucketLifecycleOutput>> {
        let name = &request.input.bucket;
        let changed = self.change(action::PUT_LIFECYCLE, &request, name, |bucket| {
            bucket.lifecycle.clear();
            Ok(())
        });
        changed.await.map_err(told)?;
        Ok(S3Response::new(dto::DeleteBucketLifecycleOutput::default()))
    }
}

/// The header that says when an object goes, and why.
pub(super) fn header(expires: Option<&Expires>) -> Option<String> {
    let expires = expires?;
    let mut date = Vec::new();
    let time = convert::timestamp(expires.at);
    time.format(dto::TimestampFormat::HttpDate, &mut date).ok()?;
    let date = String::from_utf8(date).ok()?;
    let rule = utf8_percent_encode(&expires.rule, RULE_ID);
    Some(format!("expiry-date=\"{date}\", rule-id=\"{rule}\""))
}

/// What stays as it is in the id of a rule in a header.
const RULE_ID: &percent_encoding::AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'/').remove(b'~');

/// # Errors
///
/// [`Code::MalformedXML`], [`Code::InvalidArgument`].
fn rule(said: dto::LifecycleRule) -> Result<LifecycleRule> {
    let disabled = match said.status.as_str() {
        dto::ExpirationStatus::ENABLED => false,
        dto::ExpirationStatus::DISABLED => true,
        other => {
            let why = format!("the status of a rule is Enabled or Disabled, not {other:?}");
            return Err(Error::new(Code::MalformedXML, why));
        }
    };
    let id = match said.id.filter(|id| !id.is_empty()) {
        Some(id) => id,
        None => format!("{:016x}{:016x}", crate::op::random()?, crate::op::random()?),
    };
    let expiration = said.expiration.map(|said| {
        Ok::<_, Error>(Expiration {
            days: positive("Days of an expiration", said.days)?.unwrap_or(0),
            date: said.date.map(convert::micros_since),
            delete_marker: said.expired_object_delete_marker,
        })
    });
    let noncurrent = said.noncurrent_version_expiration.map(|said| {
        Ok::<_, Error>(Noncurrent {
            days: positive("NoncurrentDays", said.noncurrent_days)?.unwrap_or(0),
            newer: positive("NewerNoncurrentVersions", said.newer_noncurrent_versions)?
                .unwrap_or(0),
        })
    });
    let abort = said.abort_incomplete_multipart_upload.map(|said| {
        let days = positive("DaysAfterInitiation", said.days_after_initiation)?;
        days.ok_or_else(|| Error::new(Code::MalformedXML, "DaysAfterInitiation is not said"))
    });
    let transitions = said.transitions.unwrap_or_default().into_iter().map(|said| {
        Ok(Transition {
            days: number("Days of a transition", said.days)?,
            date: said.date.map(convert::micros_since),
            newer: 0,
            storage_class: class(said.storage_class),
        })
    });
    let past = said.noncurrent_version_transitions.unwrap_or_default().into_iter().map(|said| {
        let newer = positive("NewerNoncurrentVersions", said.newer_noncurrent_versions)?;
        Ok(Transition {
            days: number("NoncurrentDays", said.noncurrent_days)?,
            date: None,
            newer: newer.unwrap_or(0),
            storage_class: class(said.storage_class),
        })
    });
    Ok(LifecycleRule {
        id,
        disabled,
        prefix: said.prefix,
        filter: said.filter.map(filter).transpose()?,
        expiration: expiration.transpose()?,
        noncurrent: noncurrent.transpose()?,
        abort_days: abort.transpose()?.unwrap_or(0),
        transitions: transitions.collect::<Result<_>>()?,
        noncurrent_transitions: past.collect::<Result<_>>()?,
    })
}

fn filter(said: dto::LifecycleRuleFilter) -> Result<Filter> {
    let pair = |tag: dto::Tag| Pair {
        name: tag.key.unwrap_or_default(),
        value: tag.value.unwrap_or_default(),
    };
    let and = said.and.map(|and| {
        Ok::<_, Error>(Box::new(Filter {
            prefix: and.prefix,
            tags: and.tags.unwrap_or_default().into_iter().map(pair).collect(),
            larger_than: bytes("ObjectSizeGreaterThan", and.object_size_greater_than)?,
            smaller_than: bytes("ObjectSizeLessThan", and.object_size_less_than)?,
            and: None,
        }))
    });
    Ok(Filter {
        prefix: said.prefix,
        tags: said.tag.map(pair).into_iter().collect(),
        larger_than: bytes("ObjectSizeGreaterThan", said.object_size_greater_than)?,
        smaller_than: bytes("ObjectSizeLessThan", said.object_size_less_than)?,
        and: and.transpose()?,
    })
}

fn class(said: Option<dto::TransitionStorageClass>) -> String {
    said.map(|class| class.as_str().to_owned()).unwrap_or_default()
}

fn positive(name: &str, said: Option<i32>) -> Result<Option<u32>> {
    match number(name, said)? {
        Some(0) => Err(Error::new(Code::InvalidArgument, format!("{name} is 0, and must be more"))),
        said => Ok(said),
    }
}

fn number(name: &str, said: Option<i32>) -> Result<Option<u32>> {
    let negative = |number| {
        let why = format!("{name} is {number}, and must not be less than 0");
        Error::new(Code::InvalidArgument, why)
    };
    said.map(|number| u32::try_from(number).map_err(|_| negative(number))).transpose()
}

fn bytes(name: &str, said: Option<i64>) -> Result<Option<u64>> {
    let negative = |number| {
        let why = format!("{name} is {number}, and must not be less than 0");
        Error::new(Code::InvalidArgument, why)
    };
    said.map(|number| u64::try_from(number).map_err(|_| negative(number))).transpose()
}

/// A rule as it was put.
fn shown(rule: LifecycleRule) -> dto::LifecycleRule {
    let status = match rule.disabled {
        true => dto::ExpirationStatus::DISABLED,
        false => dto::ExpirationStatus::ENABLED,
    };
    let days = |days: u32| i32::try_from(days).ok();
    let transitions = rule.transitions.into_iter().map(|one| dto::Transition {
        days: one.days.and_then(days),
        date: one.date.map(convert::timestamp),
        storage_class: Some(one.storage_class.into()),
    });
    let past =
        rule.noncurrent_transitions.into_iter().map(|one| dto::NoncurrentVersionTransition {
            newer_noncurrent_versions: days(one.newer).filter(|newer| *newer > 0),
            noncurrent_days: one.days.and_then(days),
            storage_class: Some(one.storage_class.into()),
        });
    dto::LifecycleRule {
        abort_incomplete_multipart_upload: (rule.abort_days > 0).then(|| {
            dto::AbortIncompleteMultipartUpload { days_after_initiation: days(rule.abort_days) }
        }),
        expiration: rule.expiration.map(|one| dto::LifecycleExpiration {
            date: one.date.map(convert::timestamp),
            days: days(one.days).filter(|days| *days > 0),
            expired_object_delete_marker: one.delete_marker,
        }),
        filter: rule.filter.map(filter_shown),
        id: Some(rule.id),
        noncurrent_version_expiration: rule.noncurrent.map(|one| {
            dto::NoncurrentVersionExpiration {
                newer_noncurrent_versions: days(one.newer).filter(|newer| *newer > 0),
                noncurrent_days: days(one.days),
            }
        }),
        noncurrent_version_transitions: some(past.collect()),
        prefix: rule.prefix,
        status: dto::ExpirationStatus::from_static(status),
        transitions: some(transitions.collect()),
    }
}

fn filter_shown(filter: Filter) -> dto::LifecycleRuleFilter {
    let and = filter.and.map(|and| dto::LifecycleRuleAndOperator {
        object_size_greater_than: and.larger_than.map(convert::signed),
        object_size_less_than: and.smaller_than.map(convert::signed),
        prefix: and.prefix,
        tags: some(convert::tag_set(&and.tags)),
    });
    dto::LifecycleRuleFilter {
        and,
        object_size_greater_than: filter.larger_than.map(convert::signed),
        object_size_less_than: filter.smaller_than.map(convert::signed),
        prefix: filter.prefix,
        tag: convert::tag_set(&filter.tags).pop(),
    }
}
