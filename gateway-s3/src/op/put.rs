//! Putting an object whole.

use bytes::Bytes;
use storage_txn::Transaction;

use crate::body::{Arrived, Digests, INLINE_BYTES_MAX, Incoming, Received};
use crate::error::{Code, Error, Result};
use crate::layout;
use crate::op::acl::AclWish;
use crate::op::action;
use crate::op::caller::Caller;
use crate::op::conditions::Conditions;
use crate::op::encryption::{EncryptionWish, Sealing};
use crate::op::lock::LockWish;
use crate::op::object::{Placed, Slot};
use crate::op::{Core, Moment, Opened, View, new_id};
use crate::record::{Bucket, Headers, Object, Owner, Pair, Piece};
use crate::seal::seal;

/// Bodies that are longer are not read before it is known that the bucket is there and may be written to.
const READ_FIRST_BYTES_MAX: u64 = 64 << 10;

/// What an object is to be, but for its bytes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Description {
    pub(crate) headers: Headers,
    pub(crate) metadata: Vec<Pair>,
    pub(crate) tags: Vec<Pair>,
    pub(crate) acl: AclWish,
    pub(crate) lock: LockWish,
    pub(crate) encryption: EncryptionWish,
}

impl Description {
    /// The record of an object that is described so, in `bucket`, put by `writer`.
    ///
    /// # Errors
    ///
    /// Those of [`AclWish::check`] and [`LockWish::resolve`].
    pub(crate) fn object(self, bucket: &Bucket, writer: Owner) -> Result<Object> {
        self.acl.check(bucket)?;
        let owner = self.acl.owner(bucket, writer);
        let lock = self.lock.resolve(bucket)?;
        let acl = self.acl.resolve(&owner, &bucket.owner);
        let headers = (self.headers != Headers::default()).then_some(self.headers);
        let (metadata, tags) = (self.metadata, self.tags);
        Ok(Object { owner, acl, headers, metadata, tags, lock, ..Object::default() })
    }
}

impl Core {
    /// Puts an object: as it is now.
    ///
    /// # Errors
    ///
    /// [`Code::NoSuchBucket`], [`Code::AccessDenied`], [`Code::EntityTooLarge`], those of [`Incoming::receive`]
    /// and of [`Conditions::check_write`].
    pub(crate) async fn put_object(
        &self,
        caller: &Caller,
        (name, key): (&str, &str),
        description: Description,
        conditions: &Conditions,
        body: Incoming,
    ) -> Result<Placed> {
        check_key(key)?;
        if body.length > self.options.put_bytes_max {
            return Err(Code::EntityTooLarge.into());
        }
        if body.length > READ_FIRST_BYTES_MAX {
            let opened = self.open(name, Moment::Now).await?;
            caller.may_key(action::PUT, (name, key), &opened.bucket, None)?;
            if !conditions.is_empty() {
                let there = View::At(&opened.snapshot).object(name, key).await?;
                conditions.check_write(there.as_ref())?;
            }
        }
        if body.ask_first {
            let check =
                |opened: &Opened| caller.may_key(action::PUT, (name, key), &opened.bucket, None);
            // What is seen at once may be old; so only what it lets through counts.
            let seen = self.glimpse(name).await.and_then(|opened| check(&opened));
            if seen.is_err() {
                check(&self.open(name, Moment::Now).await?)?;
            }
        }
        let sealing = self.sealing_of(caller, (name, key), &description, body.length).await?;
        let arrived = &body.receive(&self.store, sealing).await?;
        let description = &description;
        let put = self.transact(move |transaction| async move {
            self.put_in(&transaction, caller, (name, key), description, conditions, arrived).await
        });
        put.await
    }

    /// How the bytes of an object are to be encrypted that are on their way, as far as it has to be known before.
    ///
    /// # Errors
    ///
    /// Those of [`Core::sealing`]; but who may not put is told so first.
    pub(crate) async fn sealing_of(
        &self,
        caller: &Caller,
        (name, key): (&str, &str),
        description: &Description,
        bytes: u64,
    ) -> Result<Option<Sealing>> {
        let wish = &description.encryption;
        if wish.is_said() {
            let bucket = self.open(name, Moment::Now).await?.bucket;
            caller.may_key(action::PUT, (name, key), &bucket, None)?;
            return self.sealing(wish, None);
        }
        if bytes <= INLINE_BYTES_MAX {
            return Ok(None);
        }
        // What the bucket has is looked at again in the transaction.
        match self.glimpse(name).await {
            Ok(seen) => self.sealing(wish, seen.bucket.encryption.as_ref()),
            Err(error) if error.code().is_some() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Puts what has arrived, in a transaction.
    ///
    /// # Errors
    ///
    /// Those of [`Core::put_object`] that do not come from the body.
    pub(crate) async fn put_in(
        &self,
        transaction: &Transaction,
        caller: &Caller,
        (name, key): (&str, &str),
        description: &Description,
        conditions: &Conditions,
        arrived: &Arrived,
    ) -> Result<Placed> {
        let view = View::Inside(transaction);
        let bucket = view.bucket(name).await?;
        caller.may_key(action::PUT, (name, key), &bucket, None)?;
        let there = view.object(name, key).await?;
        conditions.check_write(there.as_ref())?;
        let slot = Slot { transaction, bucket: name, key };
        let owner = caller.owner().unwrap_or_else(|| bucket.owner.clone());
        let mut object = description.clone().object(&bucket, owner)?;
        describe(&mut object, &arrived.digests);
        let sealing = self.sealing_in(&bucket, arrived)?;
        keep(&slot, &arrived.received, sealing.as_ref(), &mut object)?;
        slot.place(&bucket, there, object).await
    }

    /// How what has arrived is encrypted in this bucket.
    ///
    /// # Errors
    ///
    /// [`Code::ServiceUnavailable`], where the bucket has changed and the bytes are uploaded already.
    pub(crate) fn sealing_in(&self, bucket: &Bucket, arrived: &Arrived) -> Result<Option<Sealing>> {
        match (&arrived.sealing, &bucket.encryption, &arrived.received) {
            (Some(sealing), ..) => Ok(Some(sealing.clone())),
            (None, None, _) => Ok(None),
            (None, default, Received::Small(_)) => {
                self.sealing(&EncryptionWish::Default, default.as_ref())
            }
            (None, Some(_), Received::Value(..)) => {
                let why = "the bucket encrypts since a moment ago; try again";
                Err(Error::new(Code::ServiceUnavailable, why))
            }
        }
    }
}

/// Puts what was received where an object finds it.
pub(crate) fn keep(
    slot: &Slot<'_>,
    received: &Received,
    sealing: Option<&Sealing>,
    object: &mut Object,
) -> Result<()> {
    object.encryption = sealing.map(|sealing| sealing.encryption.clone());
    match received {
        Received::Small(bytes) => {
            object.body = match sealing {
                Some(Sealing { encryption, key }) => seal(key, &encryption.salt, bytes)?,
                None => bytes.clone(),
            };
            Ok(())
        }
        Received::Value(value, salt) => {
            let id = new_id()?;
            slot.transaction.put_value(layout::data(&id), value)?;
            let data = Bytes::copy_from_slice(&id);
            let (size, salt) = (object.size, salt.clone());
            slot.set_pieces(object, vec![Piece { data, size, salt, ..Piece::default() }])
        }
    }
}

fn describe(object: &mut Object, digests: &Digests) {
    object.size = digests.bytes;
    object.md5 = digests.md5.clone();
    object.checksum = digests.checksum();
}

/// # Errors
///
/// [`Code::KeyTooLongError`].
pub(crate) fn check_key(key: &str) -> Result<()> {
    if key.len() > 1024 {
        return Err(Code::KeyTooLongError.into());
    }
    if key.is_empty() {
        return Err(Error::new(Code::InvalidArgument, "the key is empty"));
    }
    Ok(())
}
