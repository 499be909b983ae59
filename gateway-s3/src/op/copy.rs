//! Copying an object: its bytes are shared, not moved.

use storage_txn::Transaction;

use crate::error::{Code, Error, Result};
use crate::op::action;
use crate::op::caller::Caller;
use crate::op::conditions::Conditions;
use crate::op::encryption::CustomerKey;
use crate::op::get::Get;
use crate::op::object::{Placed, Slot, Which};
use crate::op::put::{Description, check_key, keep};
use crate::op::{Core, Moment, View};
use crate::record::{Headers, Object, Pair};

/// Where a copy comes from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Source {
    pub(crate) bucket: String,
    pub(crate) key: String,
    pub(crate) which: Which,
    pub(crate) conditions: Conditions,
    /// The key that it is encrypted with, if it is one of the client.
    pub(crate) customer: Option<CustomerKey>,
}

/// What a copy is to be.
#[derive(Debug, Clone, Default)]
pub(crate) struct Copy {
    pub(crate) source: Source,
    /// What is said of the object, instead of what is said of the source.
    pub(crate) replace: Option<(Headers, Vec<Pair>)>,
    pub(crate) replace_tags: Option<Vec<Pair>>,
    pub(crate) storage_class: String,
    pub(crate) description: Description,
    /// What must hold of what is overwritten.
    pub(crate) conditions: Conditions,
}

impl Core {
    /// Copies an object: the copy, and the source as it was.
    ///
    /// # Errors
    ///
    /// [`Code::NoSuchBucket`], [`Code::NoSuchKey`], [`Code::NoSuchVersion`], [`Code::AccessDenied`],
    /// [`Code::PreconditionFailed`]; [`Code::InvalidRequest`] for a copy to itself that changes nothing.
    pub(crate) async fn copy_object(
        &self,
        caller: &Caller,
        (name, key): (&str, &str),
        copy: &Copy,
    ) -> Result<(Placed, Object)> {
        copy.check((name, key))?;
        if !copy.description.encryption.is_said() && copy.source.customer.is_none() {
            let copied = self.transact(move |transaction| async move {
                copy_in(&transaction, caller, (name, key), copy).await
            });
            match copied.await {
                Err(error) if error.code() == Some(Code::NotImplemented) => {}
                copied => return copied,
            }
        }
        self.copy_sealed(caller, (name, key), copy).await
    }

    /// Copies an object that is encrypted, or is to be: its bytes are read and written again.
    async fn copy_sealed(
        &self,
        caller: &Caller,
        (name, key): (&str, &str),
        copy: &Copy,
    ) -> Result<(Placed, Object)> {
        let opened = self.open(name, Moment::Now).await?;
        caller.may_key(action::PUT, (name, key), &opened.bucket, None)?;
        let source = &copy.source;
        let from = &source.find(&View::At(&opened.snapshot), caller).await?;
        source.conditions.check_source(from)?;
        let default = opened.bucket.encryption.as_ref();
        let sealing = self.sealing(&copy.description.encryption, default)?;
        let (which, customer) = (source.which.clone(), source.customer.clone());
        let get = Get { which, customer, ..Get::default() };
        let got = self.get_object(caller, (&source.bucket, &source.key, Moment::Now), &get).await?;
        if got.object.order != from.order || got.object.version != from.version {
            return Err(Code::ConditionalRequestConflict.into());
        }
        let algorithm = from.checksum.as_ref().map(crate::record::Checksum::algorithm);
        let arrived = &got.incoming(algorithm).receive(&self.store, sealing).await?;
        self.transact(move |transaction| async move {
            let view = View::Inside(&transaction);
            let bucket = view.bucket(name).await?;
            caller.may_key(action::PUT, (name, key), &bucket, None)?;
            source.find_again(&view, caller, from).await?;
            let there = view.object(name, key).await?;
            copy.conditions.check_write(there.as_ref())?;
            let slot = Slot { transaction: &transaction, bucket: name, key };
            let owner = caller.owner().unwrap_or_else(|| bucket.owner.clone());
            let mut object = copy.describe(from).object(&bucket, owner)?;
            // It is put whole now, whatever it was made of.
            object.size = arrived.digests.bytes;
            object.md5 = arrived.digests.md5.clone();
            object.checksum = arrived.digests.checksum();
            let sealing = self.sealing_in(&bucket, arrived)?;
            keep(&slot, &arrived.received, sealing.as_ref(), &mut object)?;
            Ok((slot.place(&bucket, there, object).await?, from.clone()))
        })
        .await
    }
}

/// Copies an object, in a transaction: what [`Core::copy_object`] does once [`Copy::check`] has passed.
///
/// # Errors
///
/// Those of [`Core::copy_object`].
pub(crate) async fn copy_in(
    transaction: &Transaction,
    caller: &Caller,
    (name, key): (&str, &str),
    copy: &Copy,
) -> Result<(Placed, Object)> {
    let view = View::Inside(transaction);
    let bucket = view.bucket(name).await?;
    caller.may_key(action::PUT, (name, key), &bucket, None)?;
    let from = copy.source.find(&view, caller).await?;
    copy.source.conditions.check_source(&from)?;
    if from.encryption.is_some() || bucket.encryption.is_some() {
        let why = "what is encrypted cannot be copied in a batch";
        return Err(Error::new(Code::NotImplemented, why));
    }
    let there = view.object(name, key).await?;
    copy.conditions.check_write(there.as_ref())?;
    let slot = Slot { transaction, bucket: name, key };
    let owner = caller.owner().unwrap_or_else(|| bucket.owner.clone());
    let mut object = copy.describe(&from).object(&bucket, owner)?;
    object.size = from.size;
    object.md5 = from.md5.clone();
    object.part_count = from.part_count;
    object.checksum = from.checksum.clone();
    slot.share(&from, &mut object).await?;
    Ok((slot.place(&bucket, there, object).await?, from))
}

impl Source {
    /// The object, if the caller may read it.
    ///
    /// # Errors
    ///
    /// [`Code::NoSuchBucket`], [`Code::NoSuchKey`], [`Code::NoSuchVersion`], [`Code::AccessDenied`].
    pub(crate) async fn find(&self, view: &View<'_>, caller: &Caller) -> Result<Object> {
        let bucket = view.bucket(&self.bucket).await?;
        let object = match view.existing(&self.bucket, &self.key, &self.which).await {
            Err(error) if error.code() == Some(Code::MethodNotAllowed) => {
                let why = "the source is a delete marker";
                return Err(Error::new(Code::InvalidRequest, why));
            }
            Err(error) if error.code().is_some() => {
                return Err(caller.missing((&self.bucket, &self.key), &bucket, error));
            }
            other => other?,
        };
        let newest = self.which == Which::Newest;
        let action = if newest { action::GET } else { action::GET_VERSION };
        caller.may_key(action, (&self.bucket, &self.key), &bucket, Some(&object))?;
        Ok(object)
    }
}

impl Copy {
    /// Whether it can be a copy to there.
    ///
    /// # Errors
    ///
    /// [`Code::KeyTooLongError`], [`Code::InvalidRequest`].
    pub(crate) fn check(&self, (name, key): (&str, &str)) -> Result<()> {
        check_key(key)?;
        let source = &self.source;
        let same = (name, key) == (&source.bucket[..], &source.key[..]);
        let changes = self.replace.is_some()
            || source.which != Which::Newest
            || !self.storage_class.is_empty()
            || self.description.encryption.is_said();
        if same && !changes {
            let why = "a copy of an object to itself must change its metadata or storage class";
            return Err(Error::new(Code::InvalidRequest, why));
        }
        Ok(())
    }

    fn describe(&self, from: &Object) -> Description {
        let (mut headers, metadata) = match &self.replace {
            Some((headers, metadata)) => (headers.clone(), metadata.clone()),
            None => (from.headers.clone().unwrap_or_default(), from.metadata.clone()),
        };
        headers.storage_class.clone_from(&self.storage_class);
        let tags = self.replace_tags.clone().unwrap_or_else(|| from.tags.clone());
        Description { headers, metadata, tags, ..self.description.clone() }
    }
}

impl Source {
    /// The same object again, in a transaction.
    ///
    /// # Errors
    ///
    /// Those of [`find`](Self::find); [`Code::ConditionalRequestConflict`], where there is another now.
    pub(crate) async fn find_again(
        &self,
        view: &View<'_>,
        caller: &Caller,
        before: &Object,
    ) -> Result<()> {
        let there = self.find(view, caller).await?;
        if there.order != before.order || there.version != before.version {
            return Err(Code::ConditionalRequestConflict.into());
        }
        Ok(())
    }
}
