//! What of objects is encrypted, and with whose key.

use bytes::Bytes;

use crate::error::{Code, Error, Refusal, Result};
use crate::op::Core;
use crate::record::{BucketEncryption, Encryption, EncryptionKind};
use crate::seal::{DataKey, EncryptionKey, Wrapper, random};

/// How a client wants an object to be encrypted.
#[derive(Debug, Clone, Default)]
pub(crate) enum EncryptionWish {
    /// As the bucket has it.
    #[default]
    Default,
    Server,
    /// With the key of the server that has this name.
    Named(String),
    Customer(CustomerKey),
    /// What was said makes no sense; who may put is told so.
    Wrong(Refusal),
}

/// A key that a client sends, and that is not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CustomerKey {
    pub(crate) key: EncryptionKey,
    pub(crate) md5: Bytes,
}

/// How an object is encrypted, and its key.
#[derive(Debug, Clone)]
pub(crate) struct Sealing {
    pub(crate) encryption: Encryption,
    pub(crate) key: DataKey,
}

impl EncryptionWish {
    /// Whether something was said.
    pub(crate) fn is_said(&self) -> bool {
        !matches!(self, Self::Default)
    }
}

impl Core {
    /// How an object is to be encrypted that is put into a bucket with these settings: a key for it, or none.
    ///
    /// # Errors
    ///
    /// What was wrong with what the client said; [`Code::NotImplemented`], for a key that the server does not have.
    pub(crate) fn sealing(
        &self,
        wish: &EncryptionWish,
        bucket: Option<&BucketEncryption>,
    ) -> Result<Option<Sealing>> {
        let (kind, name, customer) = match (wish, bucket) {
            (EncryptionWish::Wrong(refusal), _) => return Err(Error::Refused(refusal.clone())),
            (EncryptionWish::Default, None) => return Ok(None),
            (EncryptionWish::Default, Some(bucket)) => (bucket.kind(), &bucket.key_id[..], None),
            (EncryptionWish::Server, _) => (EncryptionKind::Server, "", None),
            (EncryptionWish::Named(name), _) => (EncryptionKind::Named, &name[..], None),
            (EncryptionWish::Customer(key), _) => (EncryptionKind::Customer, "", Some(key)),
        };
        let key = DataKey::draw()?;
        let sealed_key = self.wrapper(kind, name, customer)?.wrap(&key)?;
        let salt: [u8; 16] = random()?;
        let encryption = Encryption {
            kind: kind as i32,
            key_id: name.to_owned(),
            sealed_key,
            key_md5: customer.map(|customer| customer.md5.clone()).unwrap_or_default(),
            salt: Bytes::copy_from_slice(&salt),
        };
        Ok(Some(Sealing { encryption, key }))
    }

    /// The key of an object that is read or added to, given the key that the client sends, if it does.
    ///
    /// # Errors
    ///
    /// [`Code::InvalidRequest`], for a key that is missing, wrong, or not asked for; [`Code::InternalError`] where the
    /// server has not the key it was encrypted with.
    pub(crate) fn opening(
        &self,
        encryption: Option<&Encryption>,
        customer: Option<&CustomerKey>,
    ) -> Result<Option<Sealing>> {
        let invalid = |why: &str| Error::new(Code::InvalidRequest, why);
        let Some(encryption) = encryption else {
            return match customer {
                Some(_) => Err(invalid("the object is not encrypted with a key of the client")),
                None => Ok(None),
            };
        };
        let kind = encryption.kind();
        let key = match (kind, customer) {
            (EncryptionKind::Customer, None) => {
                return Err(invalid("the object is encrypted with a key that was not sent"));
            }
            (EncryptionKind::Customer, Some(_)) | (_, None) => {
                let wrapper = self.wrapper(kind, &encryption.key_id, customer)?;
                wrapper.unwrap(&encryption.sealed_key)
            }
            (_, Some(_)) => {
                return Err(invalid("the object is not encrypted with a key of the client"));
            }
        };
        let wrong = || match kind {
            EncryptionKind::Customer => invalid("the object is encrypted with another key"),
            _ => {
                tracing::error!("an object is encrypted with another encryption_key");
                Error::from(Code::InternalError)
            }
        };
        let key = key.ok_or_else(wrong)?;
        Ok(Some(Sealing { encryption: encryption.clone(), key }))
    }

    fn wrapper<'a>(
        &'a self,
        kind: EncryptionKind,
        name: &'a str,
        customer: Option<&'a CustomerKey>,
    ) -> Result<Wrapper<'a>> {
        let none = || {
            let why = "the server has no encryption key";
            Error::new(Code::NotImplemented, why)
        };
        let server = self.options.encryption_key.as_ref();
        let (key, kind) = match (kind, customer) {
            (EncryptionKind::Customer, Some(customer)) => (&customer.key, "customer"),
            (EncryptionKind::Named, _) => (server.ok_or_else(none)?, "named"),
            _ => (server.ok_or_else(none)?, "server"),
        };
        Ok(Wrapper { key, purpose: [kind, name] })
    }
}
