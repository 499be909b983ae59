//! Requests for object lock: configurations, retentions, legal holds.

use s3s::{S3Request, S3Response, S3Result, dto};

use crate::door::refuse::told;
use crate::door::{Inner, convert, place, present};
use crate::error::{Code, Error, Result};
use crate::op::lock::{LockWish, check_default};
use crate::op::object::Which;
use crate::op::{action, now};
use crate::record::{Lock, ObjectLock, Retention};

impl Inner {
    pub(super) async fn get_object_lock_configuration(
        &self,
        request: S3Request<dto::GetObjectLockConfigurationInput>,
    ) -> S3Result<S3Response<dto::GetObjectLockConfigurationOutput>> {
        let name = &request.input.bucket;
        let bucket = self.managed(action::GET_LOCK_CONFIGURATION, &request, name).await;
        let Some(lock) = bucket.map_err(told)?.object_lock else {
            return Err(told(Code::ObjectLockConfigurationNotFoundError.into()));
        };
        let period = |number: u32| i32::try_from(number).ok().filter(|number| *number > 0);
        let rule = mode(lock.mode()).map(|mode| dto::ObjectLockRule {
            default_retention: Some(dto::DefaultRetention {
                days: period(lock.days),
                mode: Some(mode),
                years: period(lock.years),
            }),
        });
        let enabled = dto::ObjectLockEnabled::from_static(dto::ObjectLockEnabled::ENABLED);
        Ok(S3Response::new(dto::GetObjectLockConfigurationOutput {
            object_lock_configuration: Some(dto::ObjectLockConfiguration {
                object_lock_enabled: Some(enabled),
                rule,
            }),
        }))
    }

    pub(super) async fn put_object_lock_configuration(
        &self,
        request: S3Request<dto::PutObjectLockConfigurationInput>,
    ) -> S3Result<S3Response<dto::PutObjectLockConfigurationOutput>> {
        let caller = self.caller(&request);
        let changed = async {
            let name = present(&request.input.bucket, &request.headers)?;
            let lock = configuration(request.input.object_lock_configuration.as_ref())?;
            self.core.set_object_lock(&caller, &name, lock).await
        };
        changed.await.map_err(told)?;
        Ok(S3Response::new(dto::PutObjectLockConfigurationOutput::default()))
    }

    pub(super) async fn get_object_retention(
        &self,
        request: S3Request<dto::GetObjectRetentionInput>,
    ) -> S3Result<S3Response<dto::GetObjectRetentionOutput>> {
        let caller = self.caller(&request);
        let lock = async {
            let (name, moment) = place(&request.input.bucket, &request.headers)?;
            let which = Which::parse(request.input.version_id.as_deref())?;
            let place = (&name[..], &request.input.key[..], moment);
            let lock = self.core.object_lock(&caller, action::GET_RETENTION, place, &which).await?;
            match lock.mode() {
                Retention::None => Err(Error::from(Code::NoSuchObjectLockConfiguration)),
                _ => Ok(lock),
            }
        };
        let lock = lock.await.map_err(told)?;
        Ok(S3Response::new(dto::GetObjectRetentionOutput {
            retention: Some(dto::ObjectLockRetention {
                mode: mode(lock.mode()),
                retain_until_date: Some(convert::timestamp(lock.until)),
            }),
        }))
    }

    pub(super) async fn put_object_retention(
        &self,
        request: S3Request<dto::PutObjectRetentionInput>,
    ) -> S3Result<S3Response<dto::PutObjectRetentionOutput>> {
        let caller = self.caller(&request);
        let input = request.input;
        let changed = async {
            let name = present(&input.bucket, &request.headers)?;
            let which = Which::parse(input.version_id.as_deref())?;
            let said = input.retention.unwrap_or_default();
            let until = said.retain_until_date.map(convert::micros_since);
            let malformed = |error: Error| Error::new(Code::MalformedXML, error.to_string());
            let retention = match (said.mode, until) {
                (None, None) => None,
                (mode, until) => retention(mode.as_ref(), until).map_err(malformed)?,
            };
            future(retention)?;
            let bypass = input.bypass_governance_retention == Some(true);
            let place = (&name[..], &input.key[..]);
            self.core.set_retention(&caller, place, &which, (retention, bypass)).await
        };
        changed.await.map_err(told)?;
        Ok(S3Response::new(dto::PutObjectRetentionOutput::default()))
    }

    pub(super) async fn get_object_legal_hold(
        &self,
        request: S3Request<dto::GetObjectLegalHoldInput>,
    ) -> S3Result<S3Response<dto::GetObjectLegalHoldOutput>> {
        let caller = self.caller(&request);
        let lock = async {
            let (name, moment) = place(&request.input.bucket, &request.headers)?;
            let which = Which::parse(request.input.version_id.as_deref())?;
            let place = (&name[..], &request.input.key[..], moment);
            self.core.object_lock(&caller, action::GET_HOLD, place, &which).await
        };
        let lock = lock.await.map_err(told)?;
        Ok(S3Response::new(dto::GetObjectLegalHoldOutput {
            legal_hold: Some(dto::ObjectLockLegalHold { status: Some(hold(&lock)) }),
        }))
    }

    pub(super) async fn put_object_legal_hold(
        &self,
        request: S3Request<dto::PutObjectLegalHoldInput>,
    ) -> S3Result<S3Response<dto::PutObjectLegalHoldOutput>> {
        let caller = self.caller(&request);
        let input = request.input;
        let changed = async {
            let name = present(&input.bucket, &request.headers)?;
            let which = Which::parse(input.version_id.as_deref())?;
            let status = input.legal_hold.and_then(|hold| hold.status);
            let held = holds(status.as_ref())?
                .ok_or_else(|| Error::new(Code::MalformedXML, "no status was said"))?;
            self.core.set_hold(&caller, (&name, &input.key), &which, held).await
        };
        changed.await.map_err(told)?;
        Ok(S3Response::new(dto::PutObjectLegalHoldOutput::default()))
    }
}

/// What headers say of the lock of a new object.
///
/// # Errors
///
/// [`Code::InvalidArgument`], [`Code::MalformedXML`].
pub(super) fn wish(
    mode: Option<&dto::ObjectLockMode>,
    until: Option<dto::Timestamp>,
    hold: Option<&dto::ObjectLockLegalHoldStatus>,
) -> Result<LockWish> {
    let mode = mode.map(|mode| dto::ObjectLockRetentionMode::from(mode.as_str().to_owned()));
    let retention = retention(mode.as_ref(), until.map(convert::micros_since))?;
    future(retention)?;
    Ok(LockWish { retention, hold: holds(hold)? })
}

/// The headers that say how an object is locked.
pub(super) struct Shown {
    pub(super) mode: Option<dto::ObjectLockMode>,
    pub(super) until: Option<dto::Timestamp>,
    pub(super) hold: Option<dto::ObjectLockLegalHoldStatus>,
}

impl Shown {
    pub(super) fn of(lock: Option<&Lock>) -> Self {
        let kept = lock.and_then(|lock| Some((mode(lock.mode())?, lock.until)));
        Self {
            mode: kept.as_ref().map(|(mode, _)| mode.as_str().to_owned().into()),
            until: kept.map(|(_, until)| convert::timestamp(until)),
            hold: lock.map(hold),
        }
    }
}

fn configuration(said: Option<&dto::ObjectLockConfiguration>) -> Result<ObjectLock> {
    let malformed = |why: &str| Error::new(Code::MalformedXML, why);
    let said = said.ok_or_else(|| malformed("there is no configuration"))?;
    let enabled = said.object_lock_enabled.as_ref();
    if enabled.is_none_or(|one| one.as_str() != dto::ObjectLockEnabled::ENABLED) {
        return Err(malformed("object lock can be enabled only"));
    }
    let Some(rule) = &said.rule else { return Ok(ObjectLock::default()) };
    let default = rule.default_retention.as_ref();
    let default = default.ok_or_else(|| malformed("a rule has a default retention"))?;
    let mode = match default.mode.as_ref().map(dto::ObjectLockRetentionMode::as_str) {
        Some(dto::ObjectLockRetentionMode::GOVERNANCE) => Retention::Governance,
        Some(dto::ObjectLockRetentionMode::COMPLIANCE) => Retention::Compliance,
        _ => return Err(malformed("a mode is GOVERNANCE or COMPLIANCE")),
    };
    check_default(mode, default.days, default.years)
}

fn retention(
    mode: Option<&dto::ObjectLockRetentionMode>,
    until: Option<u64>,
) -> Result<Option<(Retention, u64)>> {
    let invalid = |why: &str| Error::new(Code::InvalidArgument, why);
    let (mode, until) = match (mode, until) {
        (None, None) => return Ok(None),
        (Some(mode), Some(until)) => (mode, until),
        _ => return Err(invalid("a mode and a date to keep an object until belong together")),
    };
    let mode = match mode.as_str() {
        dto::ObjectLockRetentionMode::GOVERNANCE => Retention::Governance,
        dto::ObjectLockRetentionMode::COMPLIANCE => Retention::Compliance,
        _ => return Err(invalid("a mode is GOVERNANCE or COMPLIANCE")),
    };
    Ok(Some((mode, until)))
}

/// # Errors
///
/// [`Code::InvalidArgument`], for what is over already.
fn future(retention: Option<(Retention, u64)>) -> Result<()> {
    if retention.is_some_and(|(_, until)| until <= now()) {
        let why = "the date to keep an object until is not in the future";
        return Err(Error::new(Code::InvalidArgument, why));
    }
    Ok(())
}

fn holds(status: Option<&dto::ObjectLockLegalHoldStatus>) -> Result<Option<bool>> {
    match status.map(dto::ObjectLockLegalHoldStatus::as_str) {
        None => Ok(None),
        Some(dto::ObjectLockLegalHoldStatus::ON) => Ok(Some(true)),
        Some(dto::ObjectLockLegalHoldStatus::OFF) => Ok(Some(false)),
        Some(_) => Err(Error::new(Code::MalformedXML, "a legal hold is ON or OFF")),
    }
}

fn hold(lock: &Lock) -> dto::ObjectLockLegalHoldStatus {
    let status = if lock.hold {
        dto::ObjectLockLegalHoldStatus::ON
    } else {
        dto::ObjectLockLegalHoldStatus::OFF
    };
    dto::ObjectLockLegalHoldStatus::from_static(status)
}

fn mode(retention: Retention) -> Option<dto::ObjectLockRetentionMode> {
    let mode = match retention {
        Retention::None => return None,
        Retention::Governance => dto::ObjectLockRetentionMode::GOVERNANCE,
        Retention::Compliance => dto::ObjectLockRetentionMode::COMPLIANCE,
    };
    Some(dto::ObjectLockRetentionMode::from_static(mode))
}
