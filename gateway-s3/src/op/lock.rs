//! Object lock: versions that cannot be deleted before their time, and who may do it all the same.
//!
//! What keeps a version stands in its record, so it is looked at in the transaction that would delete it.

use crate::error::{Code, Error, Result};
use crate::op::action::{self, Action};
use crate::op::caller::Caller;
use crate::op::object::{Slot, Which};
use crate::op::{Core, Moment, View, now};
use crate::record::{Bucket, Lock, Object, ObjectLock, Retention, Versioning};

const DAY: u64 = 24 * 60 * 60 * 1_000_000;
/// The longest default retention, in days and in years, as in S3.
const DAYS_MAX: u32 = 36_500;
const YEARS_MAX: u32 = 100;

/// What a client says of the lock of a new object.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct LockWish {
    /// How, and until when.
    pub(crate) retention: Option<(Retention, u64)>,
    pub(crate) hold: Option<bool>,
}

impl LockWish {
    /// The lock of an object that is put into the bucket now.
    ///
    /// # Errors
    ///
    /// [`Code::InvalidRequest`], for one where there are none.
    pub(crate) fn resolve(&self, bucket: &Bucket) -> Result<Option<Lock>> {
        let Some(default) = bucket.object_lock else {
            return if *self == Self::default() { Ok(None) } else { Err(none()) };
        };
        let mut lock = Lock { hold: self.hold.unwrap_or(false), ..Lock::default() };
        if let Some((mode, until)) = self.retention {
            (lock.mode, lock.until) = (mode as i32, until);
        } else if default.mode() != Retention::None {
            let days = u64::from(default.days) + u64::from(default.years) * 365;
            (lock.mode, lock.until) = (default.mode, now() + days * DAY);
        }
        Ok((lock != Lock::default()).then_some(lock))
    }
}

/// Whether a version may be deleted for good; `bypass` says whether the caller may do so before its time.
///
/// # Errors
///
/// [`Code::AccessDenied`].
pub(crate) fn check_delete(object: &Object, bypass: impl FnOnce() -> bool) -> Result<()> {
    let Some(lock) = &object.lock else { return Ok(()) };
    if lock.hold {
        return Err(Error::new(Code::AccessDenied, "the version is held"));
    }
    check_free(lock, bypass)
}

/// # Errors
///
/// [`Code::AccessDenied`], where the retention of a version cannot be ended.
fn check_free(lock: &Lock, bypass: impl FnOnce() -> bool) -> Result<()> {
    let kept = match lock.mode() {
        Retention::None => false,
        _ if lock.until <= now() => false,
        Retention::Governance => !bypass(),
        Retention::Compliance => true,
    };
    if kept {
        Err(Error::new(Code::AccessDenied, "the version is to be kept longer"))
    } else {
        Ok(())
    }
}

/// # Errors
///
/// [`Code::InvalidRetentionPeriod`], [`Code::MalformedXML`].
pub(crate) fn check_default(
    mode: Retention,
    days: Option<i32>,
    years: Option<i32>,
) -> Result<ObjectLock> {
    let period = |number: i32, most: u32| {
        u32::try_from(number).ok().filter(|number| (1..=most).contains(number)).ok_or_else(|| {
            let why = format!("a period is from 1 to {most}, and not {number}");
            Error::new(Code::InvalidRetentionPeriod, why)
        })
    };
    let (days, years) = match (days, years) {
        (Some(days), None) => (period(days, DAYS_MAX)?, 0),
        (None, Some(years)) => (0, period(years, YEARS_MAX)?),
        _ => return Err(Error::new(Code::MalformedXML, "a period is in days or in years")),
    };
    Ok(ObjectLock { mode: mode as i32, days, years })
}

impl Core {
    /// Lets objects of a bucket be locked, and says how new ones are.
    ///
    /// # Errors
    ///
    /// [`Code::NoSuchBucket`], [`Code::AccessDenied`]; [`Code::InvalidBucketState`], without versions.
    pub(crate) async fn set_object_lock(
        &self,
        caller: &Caller,
        name: &str,
        object_lock: ObjectLock,
    ) -> Result<()> {
        let change = move |bucket: &mut Bucket| {
            if bucket.versions() != Versioning::Enabled {
                let why = "objects can be locked only where versions are kept";
                return Err(Error::new(Code::InvalidBucketState, why));
            }
            bucket.object_lock = Some(object_lock);
            Ok(())
        };
        self.set(caller, action::PUT_LOCK_CONFIGURATION, name, &change).await
    }

    /// The lock of an object, which there may be none of.
    ///
    /// # Errors
    ///
    /// [`Code::NoSuchBucket`], [`Code::InvalidRequest`] in a bucket without locks, those of [`View::existing`],
    /// [`Code::AccessDenied`].
    pub(crate) async fn object_lock(
        &self,
        caller: &Caller,
        action: Action,
        (name, key, moment): (&str, &str, Moment),
        which: &Which,
    ) -> Result<Lock> {
        let opened = self.open(name, moment).await?;
        let bucket = &opened.bucket;
        let found = View::At(&opened.snapshot).existing(name, key, which).await;
        let object = found.map_err(|error| caller.missing((name, key), bucket, error))?;
        caller.may_key(action, (name, key), bucket, Some(&object))?;
        if bucket.object_lock.is_none() {
            return Err(none());
        }
        Ok(object.lock.unwrap_or_default())
    }

    /// Says until when a version is to be kept, and how strictly.
    ///
    /// # Errors
    ///
    /// Those of [`object_lock`](Self::object_lock); [`Code::AccessDenied`], where that would make it less.
    pub(crate) async fn set_retention(
        &self,
        caller: &Caller,
        place: (&str, &str),
        which: &Which,
        (retention, bypass): (Option<(Retention, u64)>, bool),
    ) -> Result<()> {
        let (mode, until) = retention.unwrap_or((Retention::None, 0));
        self.change_lock(caller, action::PUT_RETENTION, place, which, &|bucket, object, lock| {
            let stays = mode == lock.mode() && until >= lock.until;
            if !stays {
                let may = || {
                    bypass && caller.may_key(action::BYPASS, place, bucket, Some(object)).is_ok()
                };
                check_free(lock, may)?;
            }
            (lock.mode, lock.until) = (mode as i32, until);
            Ok(())
        })
        .await
    }

    /// Holds a version, or lets it go.
    ///
    /// # Errors
    ///
    /// Those of [`object_lock`](Self::object_lock).
    pub(crate) async fn set_hold(
        &self,
        caller: &Caller,
        place: (&str, &str),
        which: &Which,
        hold: bool,
    ) -> Result<()> {
        self.change_lock(caller, action::PUT_HOLD, place, which, &|_, _, lock| {
            lock.hold = hold;
            Ok(())
        })
        .await
    }

    async fn change_lock(
        &self,
        caller: &Caller,
        action: Action,
        (name, key): (&str, &str),
        which: &Which,
        change: &(dyn Fn(&Bucket, &Object, &mut Lock) -> Result<()> + Sync),
    ) -> Result<()> {
        self.transact(move |transaction| async move {
            let view = View::Inside(&transaction);
            let bucket = view.bucket(name).await?;
            let found = view.existing(name, key, which).await;
            let mut object = found.map_err(|error| caller.missing((name, key), &bucket, error))?;
            caller.may_key(action, (name, key), &bucket, Some(&object))?;
            if bucket.object_lock.is_none() {
                return Err(none());
            }
            let mut lock = object.lock.unwrap_or_default();
            change(&bucket, &object, &mut lock)?;
            object.lock = (lock != Lock::default()).then_some(lock);
            Slot { transaction: &transaction, bucket: name, key }.rewrite(&object).await
        })
        .await
    }
}

fn none() -> Error {
    Error::new(Code::InvalidRequest, "objects of this bucket cannot be locked")
}
