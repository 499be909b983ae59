//! A batch: operations on many objects in many buckets, all of which are done, in one transaction, or none.

mod token;

use bytes::Bytes;
use storage_txn::{Transaction, Version};

use crate::body::{Arrived, Incoming};
use crate::error::{Code, Error, Result};
use crate::op::action;
use crate::op::caller::Caller;
use crate::op::conditions::Conditions;
use crate::op::copy::{Copy, copy_in};
use crate::op::delete::{Delete, Deleted, delete_in};
use crate::op::multipart::{Complete, complete_in};
use crate::op::object::Which;
use crate::op::put::{Description, check_key};
use crate::op::{Core, Moment, View};
use crate::record::{Done, Object};

pub(crate) use token::Token;

/// The header that says which operation was refused, counted from 0.
pub(crate) const OPERATION: &str = "x-cloudbank-operation";

/// What is to be done, in order: each operation sees what those before it have done.
#[derive(Debug, Clone, Default)]
pub(crate) struct Batch {
    /// So that the same batch is not done twice.
    pub(crate) token: Option<Token>,
    pub(crate) operations: Vec<Operation>,
}

/// One operation, and what must hold for it.
#[derive(Debug, Clone)]
pub(crate) struct Operation {
    pub(crate) bucket: String,
    pub(crate) key: String,
    /// The newest version must be this one.
    pub(crate) if_version: Option<Which>,
    pub(crate) conditions: Conditions,
    pub(crate) action: Action,
}

/// What an operation does.
#[derive(Debug, Clone)]
pub(crate) enum Action {
    Put(Description, Bytes),
    Copy(Box<Copy>),
    /// Completes the upload of this id.
    Complete(String, Complete),
    Delete(Which),
    /// Nothing: only its conditions must hold.
    Require,
}

/// What a batch left: in which version of the store, and for each operation.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct BatchDone {
    pub(crate) version: Version,
    pub(crate) results: Vec<Done>,
}

/// The bodies of its puts, received: for each operation its own, if it has one.
type Bodies = Vec<Option<Arrived>>;

impl Core {
    /// Does all of a batch, or nothing. With a token, the same batch again is not done again: it answers as it did.
    ///
    /// # Errors
    ///
    /// Those of the operations, with the header [`OPERATION`]: nothing is done then. [`Code::InvalidRequest`] for one
    /// that is too long or has a part that makes no sense; [`Code::IdempotencyParameterMismatch`].
    pub(crate) async fn batch(&self, caller: &Caller, batch: &Batch) -> Result<BatchDone> {
        let (most, count) = (self.options.batch_operations_max, batch.operations.len());
        if count == 0 || count > most {
            let why = format!("a batch has from 1 to {most} operations, and this one {count}");
            return Err(Error::new(Code::InvalidRequest, why));
        }
        let mut arrived = Vec::with_capacity(count);
        for (at, operation) in batch.operations.iter().enumerate() {
            operation.check().map_err(|error| numbered(error, at))?;
            arrived.push(match &operation.action {
                Action::Put(description, body) => {
                    let place = (&operation.bucket[..], &operation.key[..]);
                    let bytes = body.len() as u64;
                    let sealing = self.sealing_of(caller, place, description, bytes).await?;
                    Some(Incoming::of(body.clone()).receive(&self.store, sealing).await?)
                }
                _ => None,
            });
        }
        if !batch.operations.iter().any(Operation::changes) {
            // What commits nothing is judged by what this handle knows, so that must be all there is.
            self.snapshot(Moment::Now).await?;
        }
        let arrived = &arrived;
        let (done, version) = self
            .transact_at(move |transaction| async move {
                self.batch_in(&transaction, caller, batch, arrived).await
            })
            .await?;
        let (results, earlier) = done;
        Ok(BatchDone { version: earlier.unwrap_or(version), results })
    }

    /// The results, and the version in which they were come by if that was before.
    async fn batch_in(
        &self,
        transaction: &Transaction,
        caller: &Caller,
        batch: &Batch,
        arrived: &Bodies,
    ) -> Result<(Vec<Done>, Option<Version>)> {
        if let Some(token) = &batch.token
            && let Some((version, results)) = token.answered(transaction).await?
        {
            return Ok((results, Some(version)));
        }
        let mut results = Vec::with_capacity(batch.operations.len());
        for (at, (operation, arrived)) in batch.operations.iter().zip(arrived).enumerate() {
            let done = self.operate(transaction, caller, operation, arrived.as_ref()).await;
            results.push(done.map_err(|error| numbered(error, at))?);
        }
        if let Some(token) = &batch.token {
            token.keep(transaction, &results, self.options.batch_token_time).await?;
        }
        Ok((results, None))
    }

    async fn operate(
        &self,
        transaction: &Transaction,
        caller: &Caller,
        operation: &Operation,
        arrived: Option<&Arrived>,
    ) -> Result<Done> {
        let Operation { bucket, key, conditions, .. } = operation;
        let place = (&bucket[..], &key[..]);
        if let Some(which) = &operation.if_version {
            is_newest(&View::Inside(transaction), caller, place, which).await?;
        }
        let placed = match &operation.action {
            Action::Put(description, _) => {
                let arrived = arrived.ok_or(Code::InternalError)?;
                self.put_in(transaction, caller, place, description, conditions, arrived).await?
            }
            Action::Copy(copy) => copy_in(transaction, caller, place, copy).await?.0,
            Action::Complete(id, complete) => {
                let least = self.options.part_bytes_min;
                complete_in(transaction, caller, place, id, complete, least).await?
            }
            Action::Delete(which) => {
                let bucket = View::Inside(transaction).bucket(place.0).await?;
                let delete = Delete {
                    key: key.clone(),
                    which: which.clone(),
                    conditions: conditions.clone(),
                    ..Delete::default()
                };
                return Ok(deleted(
                    delete_in(transaction, caller, place.0, &bucket, &delete).await?,
                ));
            }
            Action::Require => return require(transaction, caller, place, conditions).await,
        };
        Ok(shown(&placed.object))
    }
}

impl Operation {
    fn changes(&self) -> bool {
        !matches!(self.action, Action::Require)
    }

    fn check(&self) -> Result<()> {
        check_key(&self.key)?;
        match &self.action {
            Action::Copy(copy) => copy.check((&self.bucket, &self.key)),
            Action::Complete(_, complete) => complete.check(),
            Action::Require if self.conditions.is_empty() && self.if_version.is_none() => {
                Err(Error::new(Code::InvalidRequest, "what is required is not said"))
            }
            _ => Ok(()),
        }
    }
}

/// # Errors
///
/// [`Code::PreconditionFailed`], [`Code::NoSuchBucket`], [`Code::AccessDenied`].
async fn is_newest(
    view: &View<'_>,
    caller: &Caller,
    (name, key): (&str, &str),
    which: &Which,
) -> Result<()> {
    let bucket = view.bucket(name).await?;
    let put = caller.may_key(action::PUT, (name, key), &bucket, None);
    put.or_else(|_| caller.may(action::LIST, name, &bucket))?;
    let newest = view.version(name, key, &Which::Newest).await?;
    if newest.is_some_and(|newest| which.is(&newest)) {
        return Ok(());
    }
    Err(Error::new(Code::PreconditionFailed, "the newest version is another"))
}

/// Conditions on what is there, for who may see it.
async fn require(
    transaction: &Transaction,
    caller: &Caller,
    (name, key): (&str, &str),
    conditions: &Conditions,
) -> Result<Done> {
    let view = View::Inside(transaction);
    let bucket = view.bucket(name).await?;
    let there = view.object(name, key).await?;
    match &there {
        Some(object) => caller.may_key(action::GET, (name, key), &bucket, Some(object))?,
        None => caller.may(action::LIST, name, &bucket)?,
    }
    conditions.check_write(there.as_ref())?;
    Ok(there.as_ref().map(shown).unwrap_or_default())
}

fn shown(object: &Object) -> Done {
    let version_id = if object.is_null() { String::new() } else { object.version_id() };
    Done { etag: object.etag(), version_id, delete_marker: object.delete_marker }
}

fn deleted(deleted: Deleted) -> Done {
    match deleted {
        Deleted::Object | Deleted::NoVersion => Done::default(),
        Deleted::Marked(object) | Deleted::Version(object) => {
            Done { etag: String::new(), ..shown(&object) }
        }
    }
}

fn numbered(error: Error, at: usize) -> Error {
    error.with_header(OPERATION, at.to_string())
}
