//! Deleting objects: one, or many at once.

use crate::error::{Code, Error, Refusal, Result};
use crate::op::action;
use crate::op::caller::Caller;
use crate::op::conditions::Conditions;
use crate::op::lock;
use crate::op::object::{Slot, Which};
use crate::op::{Core, View};
use crate::record::Object;

/// What is to be deleted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Delete {
    pub(crate) key: String,
    pub(crate) which: Which,
    pub(crate) conditions: Conditions,
    /// Only if it has this size.
    pub(crate) if_size: Option<u64>,
    /// Only if it was put in this second, in microseconds since the Unix epoch.
    pub(crate) if_modified_at: Option<u64>,
    /// Although it is to be kept longer, if the caller has the right to.
    pub(crate) bypass: bool,
}

/// What was deleted.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Deleted {
    /// The object, if there was one, for good.
    Object,
    /// Nothing: a delete marker was put.
    Marked(Object),
    /// This version, or delete marker.
    Version(Object),
    /// There was no such version.
    NoVersion,
}

impl Core {
    /// Deletes an object, or a version of one.
    ///
    /// # Errors
    ///
    /// [`Code::NoSuchBucket`], [`Code::AccessDenied`], [`Code::PreconditionFailed`], [`Code::NoSuchKey`].
    pub(crate) async fn delete_object(
        &self,
        caller: &Caller,
        name: &str,
        delete: &Delete,
    ) -> Result<Deleted> {
        self.transact(move |transaction| async move {
            let view = View::Inside(&transaction);
            let bucket = view.bucket(name).await?;
            delete_in(&transaction, caller, name, &bucket, delete).await
        })
        .await
    }

    /// Deletes several, all at once: for each what was deleted, or why not.
    ///
    /// # Errors
    ///
    /// [`Code::NoSuchBucket`], [`Code::AccessDenied`], where nothing is deleted.
    pub(crate) async fn delete_objects(
        &self,
        caller: &Caller,
        name: &str,
        deletes: &[Delete],
    ) -> Result<Vec<Result<Deleted, Refusal>>> {
        self.transact(move |transaction| async move {
            let bucket = View::Inside(&transaction).bucket(name).await?;
            let mut outcomes = Vec::with_capacity(deletes.len());
            for delete in deletes {
                match delete_in(&transaction, caller, name, &bucket, delete).await {
                    Ok(deleted) => outcomes.push(Ok(deleted)),
                    Err(Error::Refused(refusal)) => outcomes.push(Err(refusal)),
                    Err(error) => return Err(error),
                }
            }
            Ok(outcomes)
        })
        .await
    }
}

/// Deletes an object, or a version of one, in a transaction. That the caller may write to the bucket is known.
///
/// # Errors
///
/// Those of [`Core::delete_object`].
pub(crate) async fn delete_in(
    transaction: &storage_txn::Transaction,
    caller: &Caller,
    name: &str,
    bucket: &crate::record::Bucket,
    delete: &Delete,
) -> Result<Deleted> {
    let slot = Slot { transaction, bucket: name, key: &delete.key };
    let view = View::Inside(transaction);
    let place = (name, &delete.key[..]);
    let by_id = delete.which != Which::Newest;
    let action = if by_id { action::DELETE_VERSION } else { action::DELETE };
    caller.may_key(action, place, bucket, None)?;
    if !delete.is_unconditional() {
        // A delete marker that is the newest is what a condition is about, too.
        let Some(there) = view.version(name, &delete.key, &delete.which).await? else {
            // What is not there is deleted already, and leaves no marker.
            return Ok(if by_id { Deleted::NoVersion } else { Deleted::Object });
        };
        delete.check(&there)?;
    }
    if delete.which != Which::Newest {
        if let Some(there) = view.version(name, &delete.key, &delete.which).await? {
            let bypass =
                || delete.bypass && caller.may_key(action::BYPASS, place, bucket, None).is_ok();
            lock::check_delete(&there, bypass)?;
        }
        let removed = slot.remove(&delete.which).await?;
        return Ok(removed.map_or(Deleted::NoVersion, Deleted::Version));
    }
    let there = view.object(name, &delete.key).await?;
    let owner = caller.owner().unwrap_or_else(|| bucket.owner.clone());
    let marker = slot.delete(bucket, there, &owner).await?;
    Ok(marker.map_or(Deleted::Object, Deleted::Marked))
}

impl Delete {
    fn is_unconditional(&self) -> bool {
        self.conditions.is_empty() && self.if_size.is_none() && self.if_modified_at.is_none()
    }

    fn check(&self, object: &Object) -> Result<()> {
        self.conditions.check_write(Some(object))?;
        let second = |micros: u64| micros / 1_000_000;
        let size = self.if_size.is_none_or(|size| size == object.size);
        let time = self.if_modified_at.is_none_or(|time| second(time) == second(object.modified));
        if size && time { Ok(()) } else { Err(Code::PreconditionFailed.into()) }
    }
}
