//! How an object is encrypted: the format of `docs/formats/array.md`.

use bytes::{BufMut, Bytes, BytesMut};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, KeyType, Salt};
use storage_core::{Error, ErrorKind, Key, Result, Secret};

const MAGIC: [u8; 8] = *b"CBsealed";
/// Bytes of an object under one authentication tag.
pub(crate) const CHUNK_BYTES: u64 = 64 << 10;
pub(crate) const TAG_BYTES: u64 = 16;
pub(crate) const HEADER_BYTES: u64 = 64;
const SALT_BYTES: usize = 32;

/// What stands before the encrypted chunks of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) key_id: [u8; 16],
    pub(crate) salt: [u8; SALT_BYTES],
}

impl Header {
    fn bytes(&self) -> [u8; HEADER_BYTES as usize] {
        let mut bytes = [0; HEADER_BYTES as usize];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8] = 1;
        bytes[12..16].copy_from_slice(&(CHUNK_BYTES as u32).to_le_bytes());
        bytes[16..32].copy_from_slice(&self.key_id);
        bytes[32..].copy_from_slice(&self.salt);
        bytes
    }

    pub(crate) fn read(bytes: &[u8]) -> Result<Self> {
        let wrong = || corrupt("it is not an object that was encrypted here");
        let bytes: &[u8; HEADER_BYTES as usize] = bytes
            .get(..HEADER_BYTES as usize)
            .and_then(|it| it.try_into().ok())
            .ok_or_else(wrong)?;
        let (mut key_id, mut salt) = ([0; 16], [0; SALT_BYTES]);
        key_id.copy_from_slice(&bytes[16..32]);
        salt.copy_from_slice(&bytes[32..]);
        let header = Self { key_id, salt };
        if header.bytes() != *bytes { Err(wrong()) } else { Ok(header) }
    }
}

/// A key that objects are encrypted with, or were.
pub(crate) struct MasterKey {
    pub(crate) id: [u8; 16],
    bytes: [u8; 32],
}

impl MasterKey {
    /// Reads a key of 32 bytes from 64 hexadecimal digits.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.trim().as_bytes();
        if text.len() != 64 {
            return None;
        }
        let mut bytes = [0; 32];
        for (byte, digits) in bytes.iter_mut().zip(text.chunks(2)) {
            let digit = |at: usize| (digits[at] as char).to_digit(16);
            *byte = (digit(0)? * 16 + digit(1)?) as u8;
        }
        let secret = Salt::new(HKDF_SHA256, &[]).extract(&bytes);
        let mut id = [0; 16];
        let info = [&b"cloudbank key id"[..]];
        secret.expand(&info, Length(16)).and_then(|okm| okm.fill(&mut id)).ok()?;
        Some(Self { id, bytes })
    }

    /// The key of one object.
    fn of_object(&self, header: &Header) -> LessSafeKey {
        let secret = Salt::new(HKDF_SHA256, &header.salt).extract(&self.bytes);
        let mut key = [0; 32];
        let info = [&b"cloudbank object"[..]];
        secret
            .expand(&info, Length(32))
            .and_then(|okm| okm.fill(&mut key))
            .expect("thirty-two bytes can be derived");
        LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &key).expect("it has the length of a key"))
    }

    /// Encrypts an object for its name.
    pub(crate) fn seal(&self, name: &Key, body: &[u8], salt: [u8; SALT_BYTES]) -> Bytes {
        let header = Header { key_id: self.id, salt };
        let key = self.of_object(&header);
        let bound = bound(&header, name);
        let mut sealed = BytesMut::with_capacity(sealed_bytes(body.len() as u64) as usize);
        sealed.put_slice(&header.bytes());
        let last = chunks(body.len() as u64) - 1;
        for number in 0..=last {
            let from = (number * CHUNK_BYTES) as usize;
            let chunk = &body[from..body.len().min(from + CHUNK_BYTES as usize)];
            let at = sealed.len();
            sealed.put_slice(chunk);
            let tag = key
                .seal_in_place_separate_tag(
                    nonce(number, number == last),
                    Aad::from(&bound),
                    &mut sealed[at..],
                )
                .expect("a chunk is not too long");
            sealed.put_slice(tag.as_ref());
        }
        sealed.freeze()
    }

    /// Decrypts chunks of an object, from number `first` on; `last` is the number of the last of the object.
    pub(crate) fn open(
        &self,
        name: &Key,
        header: &Header,
        (first, last): (u64, u64),
        sealed: &[u8],
    ) -> Result<Bytes> {
        let key = self.of_object(header);
        let bound = bound(header, name);
        let mut body = BytesMut::with_capacity(sealed.len());
        for (at, chunk) in sealed.chunks((CHUNK_BYTES + TAG_BYTES) as usize).enumerate() {
            let number = first + at as u64;
            let from = body.len();
            body.put_slice(chunk);
            let length = key
                .open_in_place(nonce(number, number == last), Aad::from(&bound), &mut body[from..])
                .map_err(|_| corrupt("it is not what was encrypted under this name"))?
                .len();
            body.truncate(from + length);
        }
        Ok(body.freeze())
    }
}

/// How many chunks an object has: at least one, so that even an empty one is authenticated.
pub(crate) fn chunks(size: u64) -> u64 {
    size.div_ceil(CHUNK_BYTES).max(1)
}

/// The bytes of an encrypted object.
pub(crate) fn sealed_bytes(size: u64) -> u64 {
    HEADER_BYTES + size + chunks(size) * TAG_BYTES
}

/// The bytes of the object that has so many encrypted; `None` if none has.
pub(crate) fn opened_bytes(sealed: u64) -> Option<u64> {
    let rest = sealed.checked_sub(HEADER_BYTES)?;
    let size = rest.checked_sub(rest.div_ceil(CHUNK_BYTES + TAG_BYTES).max(1) * TAG_BYTES)?;
    (sealed_bytes(size) == sealed).then_some(size)
}

/// The keys of a text: one on each line, the first to encrypt with, the others to decrypt what is older.
pub(crate) fn parse_keys(text: &Secret) -> Result<Vec<MasterKey>> {
    let lines = text.reveal().lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut keys = Vec::new();
    for (number, line) in lines.enumerate() {
        let key = MasterKey::parse(line).ok_or_else(|| {
            crate::core::wrong(format!(
                "`key`: key {} is not 64 hexadecimal digits (make one with: openssl rand -hex 32)",
                number + 1
            ))
        })?;
        keys.push(key);
    }
    if keys.is_empty() {
        let what = "`key` has no key: 64 hexadecimal digits (make them with: openssl rand -hex 32)";
        return Err(crate::core::wrong(what.into()));
    }
    Ok(keys)
}

pub(crate) fn corrupt(what: &str) -> Error {
    Error::not_applied(ErrorKind::Corrupt, what)
}

/// What each tag covers besides its chunk: the header and the name.
fn bound(header: &Header, name: &Key) -> Vec<u8> {
    [&header.bytes()[..], name.as_str().as_bytes()].concat()
}

/// The number of the chunk, and whether it is the last: each is used once with the key of an object.
fn nonce(number: u64, last: bool) -> Nonce {
    let mut bytes = [0; 12];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    bytes[11] = u8::from(last);
    Nonce::assume_unique_for_key(bytes)
}

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_found_back() {
        let chunk = CHUNK_BYTES;
        for size in [0, 1, chunk - 1, chunk, chunk + 1, 7 * chunk, 7 * chunk + 5] {
            assert_eq!(opened_bytes(sealed_bytes(size)), Some(size));
        }
        assert_eq!(opened_bytes(HEADER_BYTES + TAG_BYTES - 1), None);
        assert_eq!(opened_bytes(sealed_bytes(chunk) + TAG_BYTES), None);
    }

    #[test]
    fn nothing_opens_that_was_changed_cut_or_put_under_another_name() {
        let key = MasterKey::parse(&"5a".repeat(32)).unwrap();
        let name = Key::new("a").unwrap();
        let body = vec![9; CHUNK_BYTES as usize + 40];
        let sealed = key.seal(&name, &body, [1; 32]);
        let open = |name: &Key, sealed: &[u8]| {
            let header = Header::read(sealed)?;
            let rest = &sealed[HEADER_BYTES as usize..];
            let last = (rest.len() as u64).div_ceil(CHUNK_BYTES + TAG_BYTES).max(1) - 1;
            key.open(name, &header, (0, last), rest)
        };
        assert_eq!(open(&name, &sealed).unwrap(), body);
        assert!(open(&Key::new("b").unwrap(), &sealed).is_err());
        assert!(open(&name, &sealed[..HEADER_BYTES as usize + 65536 + 16]).is_err());
        for at in [0, 9, 12, 20, 40, 63, 64, 1000, 65_660, sealed.len() - 1] {
            let mut changed = sealed.to_vec();
            changed[at] ^= 1;
            assert!(open(&name, &changed).is_err(), "byte {at}");
        }
    }
}
