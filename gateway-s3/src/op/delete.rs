//! Deleting objects: one, or many at once.

use crate::error::{Code, Error, Refusal, Result};
use crate::op::caller::Caller;
use crate::op::conditions::Conditions;
use crate::op::object::{Slot, Which};
use crate::op::{Core, View};
use crate::record::{Object, Permission};

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
            caller.may(Permission::Write, name, &bucket)?;
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
            let may = caller.may(Permission::Write, name, &bucket).map_err(|error| error.refusal());
            let mut outcomes = Vec::with_capacity(deletes.len());
            for delete in deletes {
                if let Err(refusal) = &may {
                    outcomes.push(Err(refusal.clone()));
                    continue;
                }
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
    if !delete.is_unconditional() {
        let there = match delete.which {
            Which::Newest => view.object(name, &delete.key).await?,
            _ => view.version(name, &delete.key, &delete.which).await?,
        };
        delete.check(there.as_ref())?;
    }
    if delete.which != Which::Newest {
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

    fn check(&self, there: Option<&Object>) -> Result<()> {
        let Some(object) = there else {
            // What is not there is deleted already; only who names a version of it is told.
            return match &self.conditions.if_match {
                Some(_) => Err(Code::NoSuchKey.into()),
                None => Ok(()),
            };
        };
        self.conditions.check_write(Some(object))?;
        let second = |micros: u64| micros / 1_000_000;
        let size = self.if_size.is_none_or(|size| size == object.size);
        let time = self.if_modified_at.is_none_or(|time| second(time) == second(object.modified));
        if size && time { Ok(()) } else { Err(Code::PreconditionFailed.into()) }
    }
}
