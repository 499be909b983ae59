//! Encryption at rest: keys of objects, and the keys that they are encrypted with.
//!
//! Every object that is encrypted has a key of its own, drawn at random, which stands in its record encrypted with the
//! key of the server, one that is made from it for a name, or one of the client. Everything is AES-256-GCM with keys
//! made by HKDF-SHA256, from `ring`, which TLS uses too.

mod bytes;

use std::fmt;

use ::bytes::Bytes;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Salt};

use crate::error::{Code, Error, Result};

pub(crate) use bytes::{Opener, Sealer, open, seal, sealed_range};

/// The salt of all keys that are made from others.
const SALT: &[u8] = b"cloudbank s3 encryption 1";

/// A secret key of 32 bytes. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct EncryptionKey([u8; 32]);

impl EncryptionKey {
    /// The key that these bytes are.
    ///
    /// # Examples
    ///
    /// ```
    /// use gateway_s3::EncryptionKey;
    ///
    /// let key = EncryptionKey::new([7; 32]);
    /// assert_eq!(format!("{key:?}"), "EncryptionKey(..)");
    /// ```
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The same for each purpose, and another for any other.
    fn key_for(&self, purpose: &[&[u8]]) -> LessSafeKey {
        derived(&self.0, purpose)
    }
}

impl fmt::Debug for EncryptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EncryptionKey(..)")
    }
}

/// What a key of an object is encrypted with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wrapper<'a> {
    pub(crate) key: &'a EncryptionKey,
    /// What sets its use apart: `server`, `named` or `customer`, and a name.
    pub(crate) purpose: [&'a str; 2],
}

/// The key of one object.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct DataKey([u8; 32]);

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataKey(..)")
    }
}

impl DataKey {
    /// One that nobody knows.
    ///
    /// # Errors
    ///
    /// [`Code::InternalError`], where the system has no random numbers.
    pub(crate) fn draw() -> Result<Self> {
        random().map(Self)
    }

    /// The key of bytes that have a salt of their own.
    fn for_bytes(&self, salt: &[u8]) -> LessSafeKey {
        derived(&self.0, &[b"bytes", salt])
    }
}

impl Wrapper<'_> {
    fn aead(&self) -> LessSafeKey {
        let [kind, name] = self.purpose;
        self.key.key_for(&[b"keys ", kind.as_bytes(), b" ", name.as_bytes()])
    }

    /// A key, encrypted.
    ///
    /// # Errors
    ///
    /// [`Code::InternalError`], where the system has no random numbers.
    pub(crate) fn wrap(&self, key: &DataKey) -> Result<Bytes> {
        let nonce: [u8; NONCE_LEN] = random()?;
        let mut sealed = key.0.to_vec();
        let aad = Aad::empty();
        let done = self.aead().seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            aad,
            &mut sealed,
        );
        done.map_err(|_| Error::from(Code::InternalError))?;
        Ok([&nonce[..], &sealed].concat().into())
    }

    /// The key that was encrypted, if it was with this.
    pub(crate) fn unwrap(&self, sealed: &[u8]) -> Option<DataKey> {
        let (nonce, sealed) = sealed.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut sealed = sealed.to_vec();
        let key = self.aead().open_in_place(nonce, Aad::empty(), &mut sealed).ok()?;
        <[u8; 32]>::try_from(&*key).ok().map(DataKey)
    }
}

/// Bytes that nobody knows.
///
/// # Errors
///
/// [`Code::InternalError`], where the system has none.
pub(crate) fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| {
        tracing::error!(%error, "the system has no random numbers");
        Error::from(Code::InternalError)
    })?;
    Ok(bytes)
}

fn derived(secret: &[u8], purpose: &[&[u8]]) -> LessSafeKey {
    let made = Salt::new(HKDF_SHA256, SALT).extract(secret);
    let key = made.expand(purpose, &AES_256_GCM).expect("32 bytes are not too many");
    LessSafeKey::new(UnboundKey::from(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_got_back_with_what_it_was_encrypted_with_and_with_nothing_else() {
        let (one, other) = (EncryptionKey::new([1; 32]), EncryptionKey::new([2; 32]));
        let key = DataKey::draw().unwrap();
        let wrapper = Wrapper { key: &one, purpose: ["named", "a"] };
        let sealed = wrapper.wrap(&key).unwrap();
        assert_eq!(sealed.len(), NONCE_LEN + 32 + 16);
        assert_eq!(wrapper.unwrap(&sealed), Some(key));
        assert_ne!(
            wrapper.wrap(&DataKey([0; 32])).unwrap(),
            wrapper.wrap(&DataKey([0; 32])).unwrap()
        );
        for wrong in [
            Wrapper { key: &other, purpose: ["named", "a"] },
            Wrapper { key: &one, purpose: ["named", "b"] },
            Wrapper { key: &one, purpose: ["server", "a"] },
        ] {
            assert_eq!(wrong.unwrap(&sealed), None, "{wrong:?}");
        }
        for at in 0..sealed.len() {
            let mut damaged = sealed.to_vec();
            damaged[at] ^= 1;
            assert_eq!(wrapper.unwrap(&damaged), None);
        }
        assert_eq!(wrapper.unwrap(&sealed[..10]), None);
        assert!(!format!("{wrapper:?} {:?}", DataKey([9; 32])).contains('9'));
    }
}
