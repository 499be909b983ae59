//! Requests for encryption: what headers say of it, and the settings of buckets.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use md5::{Digest, Md5};
use s3s::{S3Request, S3Response, S3Result, dto};

use crate::door::Inner;
use crate::door::puts::header;
use crate::door::refuse::told;
use crate::error::{Code, Error, Result};
use crate::op::action;
use crate::op::encryption::{CustomerKey, EncryptionWish};
use crate::record::{BucketEncryption, Encryption, EncryptionKind};
use crate::seal::EncryptionKey;

const SERVER: &str = "x-amz-server-side-encryption";
const KEY_ID: &str = "x-amz-server-side-encryption-aws-kms-key-id";
const ALGORITHM: &str = "x-amz-server-side-encryption-customer-algorithm";
const KEY_MD5: &str = "x-amz-server-side-encryption-customer-key-md5";
const AES: &str = "AES256";
const NAMED: &str = "aws:kms";

/// What a request says of encryption.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) server: Option<String>,
    pub(super) key_id: Option<String>,
    pub(super) customer: Customer,
}

/// What it says of a key of its own.
#[derive(Default)]
pub(super) struct Customer {
    pub(super) algorithm: Option<String>,
    pub(super) key: Option<String>,
    pub(super) md5: Option<String>,
}

impl std::fmt::Debug for Customer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Customer").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

impl Customer {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        Self::named(headers, "x-amz-server-side-encryption-customer")
    }

    /// Of the source of a copy.
    pub(super) fn of_source(headers: &HeaderMap) -> Self {
        Self::named(headers, "x-amz-copy-source-server-side-encryption-customer")
    }

    fn named(headers: &HeaderMap, start: &str) -> Self {
        let part = |end: &str| header(headers, &format!("{start}-{end}"));
        Self { algorithm: part("algorithm"), key: part("key"), md5: part("key-md5") }
    }

    /// The key, if there is one.
    ///
    /// # Errors
    ///
    /// [`Code::InvalidArgument`].
    pub(super) fn key(&self) -> Result<Option<CustomerKey>> {
        let invalid = |why: &str| Err(Error::new(Code::InvalidArgument, why));
        let (algorithm, key, md5) = match (&self.algorithm, &self.key, &self.md5) {
            (None, None, None) => return Ok(None),
            (Some(algorithm), Some(key), Some(md5)) => (algorithm, key, md5),
            _ => return invalid("a key of the client needs its algorithm and its MD5"),
        };
        if algorithm != AES {
            return invalid("keys of clients are for AES256");
        }
        let bytes = STANDARD.decode(key).ok().and_then(|key| <[u8; 32]>::try_from(key).ok());
        let Some(bytes) = bytes else { return invalid("a key of the client has 256 bits") };
        let sum = Md5::digest(bytes);
        if STANDARD.encode(sum) != *md5 {
            return invalid("the key of the client does not have the MD5 that was said");
        }
        let md5 = Bytes::copy_from_slice(&sum);
        Ok(Some(CustomerKey { key: EncryptionKey::new(bytes), md5 }))
    }
}

impl Said {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        Self {
            server: header(headers, SERVER),
            key_id: header(headers, KEY_ID),
            customer: Customer::of(headers),
        }
    }

    /// How an object is to be encrypted.
    pub(super) fn wish(&self) -> EncryptionWish {
        self.read().unwrap_or_else(|error| EncryptionWish::Wrong(error.refusal()))
    }

    fn read(&self) -> Result<EncryptionWish> {
        let invalid = |why: &str| Err(Error::new(Code::InvalidArgument, why));
        let customer = self.customer.key()?;
        match (self.server.as_deref(), &self.key_id, customer) {
            (None, None, None) => Ok(EncryptionWish::Default),
            (None, None, Some(key)) => Ok(EncryptionWish::Customer(key)),
            (_, _, Some(_)) => invalid("a key of the client is the only one"),
            (Some(AES), None, None) => Ok(EncryptionWish::Server),
            (Some(NAMED), Some(id), None) if !id.is_empty() => {
                Ok(EncryptionWish::Named(id.clone()))
            }
            (Some(NAMED), _, None) => invalid("aws:kms needs the name of a key"),
            (_, Some(_), None) => invalid("the name of a key is for aws:kms"),
            (Some(_), None, None) => invalid("the encryption is AES256 or aws:kms"),
        }
    }
}

/// Who reads does not say how something is to be encrypted.
///
/// # Errors
///
/// [`Code::InvalidArgument`].
pub(super) fn only_customer(headers: &HeaderMap) -> Result<Option<CustomerKey>> {
    if headers.contains_key(SERVER) || headers.contains_key(KEY_ID) {
        return Err(Error::new(Code::InvalidArgument, "what is there is encrypted as it is"));
    }
    Customer::of(headers).key()
}

/// Says with an answer how the object is encrypted.
pub(super) fn show(encryption: Option<&Encryption>, headers: &mut HeaderMap) {
    let Some(encryption) = encryption else { return };
    let mut insert = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    match encryption.kind() {
        EncryptionKind::None => {}
        EncryptionKind::Server => insert(SERVER, AES),
        EncryptionKind::Named => {
            insert(SERVER, NAMED);
            insert(KEY_ID, &encryption.key_id);
        }
        EncryptionKind::Customer => {
            insert(ALGORITHM, AES);
            insert(KEY_MD5, &STANDARD.encode(&encryption.key_md5));
        }
    }
}

impl Inner {
    pub(super) async fn get_bucket_encryption(
        &self,
        request: S3Request<dto::GetBucketEncryptionInput>,
    ) -> S3Result<S3Response<dto::GetBucketEncryptionOutput>> {
        let bucket = self.managed(action::GET_ENCRYPTION, &request, &request.input.bucket).await;
        let Some(encryption) = bucket.map_err(told)?.encryption else {
            return Err(told(Code::ServerSideEncryptionConfigurationNotFoundError.into()));
        };
        let named = encryption.kind() == EncryptionKind::Named;
        let algorithm = if named { NAMED } else { AES };
        let default = dto::ServerSideEncryptionByDefault {
            kms_master_key_id: named.then_some(encryption.key_id),
            sse_algorithm: algorithm.to_owned().into(),
        };
        let rule = dto::ServerSideEncryptionRule {
            apply_server_side_encryption_by_default: Some(default),
            bucket_key_enabled: Some(false),
        };
        Ok(S3Response::new(dto::GetBucketEncryptionOutput {
            server_side_encryption_configuration: Some(dto::ServerSideEncryptionConfiguration {
                rules: vec![rule],
            }),
        }))
    }

    pub(super) async fn put_bucket_encryption(
        &self,
        request: S3Request<dto::PutBucketEncryptionInput>,
    ) -> S3Result<S3Response<dto::PutBucketEncryptionOutput>> {
        let changed = async {
            let malformed = |why: &str| Error::new(Code::MalformedXML, why);
            let rules = &request.input.server_side_encryption_configuration.rules;
            let default = match &rules[..] {
                [rule] => rule.apply_server_side_encryption_by_default.as_ref(),
                _ => return Err(malformed("there is not just one rule")),
            };
            let default = default.ok_or_else(|| malformed("the rule says no encryption"))?;
            let said = Said {
                server: Some(default.sse_algorithm.as_str().to_owned()),
                key_id: default.kms_master_key_id.clone().filter(|id| !id.is_empty()),
                customer: Customer::default(),
            };
            let encryption = match said.read()? {
                EncryptionWish::Server => {
                    BucketEncryption { kind: EncryptionKind::Server as i32, key_id: String::new() }
                }
                EncryptionWish::Named(key_id) => {
                    BucketEncryption { kind: EncryptionKind::Named as i32, key_id }
                }
                _ => return Err(malformed("the rule says no encryption")),
            };
            // Nothing could be put any more with a key that is not there.
            self.core.sealing(&EncryptionWish::Default, Some(&encryption))?;
            let bucket = &request.input.bucket;
            self.change(action::PUT_ENCRYPTION, &request, bucket, |bucket| {
                bucket.encryption = Some(encryption.clone());
                Ok(())
            })
            .await
        };
        changed.await.map_err(told)?;
        Ok(S3Response::new(dto::PutBucketEncryptionOutput::default()))
    }

    pub(super) async fn delete_bucket_encryption(
        &self,
        request: S3Request<dto::DeleteBucketEncryptionInput>,
    ) -> S3Result<S3Response<dto::DeleteBucketEncryptionOutput>> {
        let bucket = &request.input.bucket;
        let changed = self.change(action::PUT_ENCRYPTION, &request, bucket, |bucket| {
            bucket.encryption = None;
            Ok(())
        });
        changed.await.map_err(told)?;
        Ok(S3Response::new(dto::DeleteBucketEncryptionOutput::default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_encryption_makes_sense_or_is_refused() {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let (key, md5) =
            ("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "cLyLi8lNj/tBTmTEuhCd7g==");
        let md5_of_key = STANDARD.encode(Md5::digest([0; 32]));
        let own = &md5_of_key[..];
        let cases = [
            ("", "", "", "", "", "default"),
            ("AES256", "", "", "", "", "server"),
            ("aws:kms", "a", "", "", "", "named"),
            ("", "", "AES256", key, own, "customer"),
            ("aws:kms", "", "", "", "", "wrong"),
            ("", "a", "", "", "", "wrong"),
            ("AES256", "a", "", "", "", "wrong"),
            ("aes:kms", "", "", "", "", "wrong"),
            ("AES256", "", "AES256", key, own, "wrong"),
            ("", "", "AES256", key, md5, "wrong"),
            ("", "", "AES192", key, own, "wrong"),
            ("", "", "AES256", key, "", "wrong"),
            ("", "", "AES256", "", "", "wrong"),
            ("", "", "", key, own, "wrong"),
            ("", "", "AES256", "AAAA", own, "wrong"),
        ];
        for (server, id, algorithm, key, md5, expected) in cases {
            let customer = Customer { algorithm: text(algorithm), key: text(key), md5: text(md5) };
            let said = Said { server: text(server), key_id: text(id), customer };
            let wish = match said.wish() {
                EncryptionWish::Default => "default",
                EncryptionWish::Server => "server",
                EncryptionWish::Named(_) => "named",
                EncryptionWish::Customer(_) => "customer",
                EncryptionWish::Wrong(_) => "wrong",
            };
            assert_eq!(wish, expected, "{server} {id} {algorithm} {md5}");
            assert!(!format!("{said:?}").contains("AAAAA"), "{said:?}");
        }
    }
}
