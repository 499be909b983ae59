//! The records of buckets, objects, uploads and parts, as they are stored (`docs/formats/s3.md`).

mod lifecycle;

pub(crate) use lifecycle::{Expiration, Filter, LifecycleRule, Noncurrent, Transition};

use bytes::Bytes;
use prost::Message;

use crate::error::{Code, Error, Result};
use crate::layout::DataId;

/// A bucket.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Bucket {
    #[prost(message, required, tag = "1")]
    pub(crate) owner: Owner,
    /// When it was made, in microseconds since the Unix epoch.
    #[prost(uint64, tag = "2")]
    pub(crate) created: u64,
    #[prost(enumeration = "Versioning", tag = "3")]
    pub(crate) versioning: i32,
    /// None: the owner alone has all rights.
    #[prost(message, optional, tag = "4")]
    pub(crate) acl: Option<Acl>,
    #[prost(message, repeated, tag = "5")]
    pub(crate) cors: Vec<CorsRule>,
    #[prost(message, repeated, tag = "6")]
    pub(crate) tags: Vec<Pair>,
    #[prost(message, optional, tag = "7")]
    pub(crate) public_access_block: Option<PublicAccessBlock>,
    /// Who owns what others put, in the words of S3; empty when it was not said.
    #[prost(string, tag = "8")]
    pub(crate) object_ownership: String,
    /// In the JSON of AWS; empty when there is none.
    #[prost(string, tag = "9")]
    pub(crate) policy: String,
    /// None: nothing in it can be locked.
    #[prost(message, optional, tag = "10")]
    pub(crate) object_lock: Option<ObjectLock>,
    /// How objects are encrypted of which that is not said.
    #[prost(message, optional, tag = "11")]
    pub(crate) encryption: Option<BucketEncryption>,
    /// What becomes of objects as they age.
    #[prost(message, repeated, tag = "12")]
    pub(crate) lifecycle: Vec<LifecycleRule>,
}

/// How new objects are locked of which that is not said.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(crate) struct ObjectLock {
    #[prost(enumeration = "Retention", tag = "1")]
    pub(crate) mode: i32,
    #[prost(uint32, tag = "2")]
    pub(crate) days: u32,
    #[prost(uint32, tag = "3")]
    pub(crate) years: u32,
}

/// Who may delete a version before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(crate) enum Retention {
    None = 0,
    /// Who has the right to, and says so.
    Governance = 1,
    /// Nobody.
    Compliance = 2,
}

/// What keeps a version from being deleted.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(crate) struct Lock {
    #[prost(enumeration = "Retention", tag = "1")]
    pub(crate) mode: i32,
    /// Until when, in microseconds since the Unix epoch.
    #[prost(uint64, tag = "2")]
    pub(crate) until: u64,
    /// However long: a legal hold.
    #[prost(bool, tag = "3")]
    pub(crate) hold: bool,
}

/// How objects of a bucket are encrypted.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct BucketEncryption {
    #[prost(enumeration = "EncryptionKind", tag = "1")]
    pub(crate) kind: i32,
    #[prost(string, tag = "2")]
    pub(crate) key_id: String,
}

/// Whose key it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(crate) enum EncryptionKind {
    None = 0,
    /// That of the server.
    Server = 1,
    /// One of the server that has a name.
    Named = 2,
    /// That of the client, which is not kept.
    Customer = 3,
}

/// How the bytes of an object are encrypted.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct Encryption {
    #[prost(enumeration = "EncryptionKind", tag = "1")]
    pub(crate) kind: i32,
    #[prost(string, tag = "2")]
    pub(crate) key_id: String,
    /// The key of the object, encrypted with the one it is of.
    #[prost(bytes = "bytes", tag = "3")]
    pub(crate) sealed_key: Bytes,
    /// The MD5 of the key of the client.
    #[prost(bytes = "bytes", tag = "4")]
    pub(crate) key_md5: Bytes,
    /// Of the bytes that stand in the record.
    #[prost(bytes = "bytes", tag = "5")]
    pub(crate) salt: Bytes,
}

/// Whether past versions are kept as versions of S3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(crate) enum Versioning {
    Never = 0,
    Enabled = 1,
    Suspended = 2,
}

/// A user, as known when the record was written.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct Owner {
    #[prost(string, tag = "1")]
    pub(crate) id: String,
    /// Empty when it is the id.
    #[prost(string, tag = "2")]
    pub(crate) name: String,
}

/// Who else may do what.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct Acl {
    #[prost(message, repeated, tag = "1")]
    pub(crate) grants: Vec<Grant>,
}

/// A permission for a user or a group.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct Grant {
    /// A user, unless `group` is set.
    #[prost(message, optional, tag = "1")]
    pub(crate) user: Option<Owner>,
    #[prost(enumeration = "Group", tag = "2")]
    pub(crate) group: i32,
    #[prost(enumeration = "Permission", tag = "3")]
    pub(crate) permission: i32,
}

/// Whom a grant is for, if for many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(crate) enum Group {
    None = 0,
    Everybody = 1,
    Authenticated = 2,
}

/// What a grant is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(crate) enum Permission {
    FullControl = 0,
    Read = 1,
    Write = 2,
    ReadAcp = 3,
    WriteAcp = 4,
}

/// Which of the grants to everybody count.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(crate) struct PublicAccessBlock {
    #[prost(bool, tag = "1")]
    pub(crate) block_acls: bool,
    #[prost(bool, tag = "2")]
    pub(crate) ignore_acls: bool,
    #[prost(bool, tag = "3")]
    pub(crate) block_policy: bool,
    #[prost(bool, tag = "4")]
    pub(crate) restrict_buckets: bool,
}

/// What pages from elsewhere may do with a bucket.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct CorsRule {
    #[prost(string, tag = "1")]
    pub(crate) id: String,
    #[prost(string, repeated, tag = "2")]
    pub(crate) origins: Vec<String>,
    #[prost(string, repeated, tag = "3")]
    pub(crate) methods: Vec<String>,
    #[prost(string, repeated, tag = "4")]
    pub(crate) headers: Vec<String>,
    #[prost(string, repeated, tag = "5")]
    pub(crate) expose: Vec<String>,
    #[prost(uint32, optional, tag = "6")]
    pub(crate) max_age_seconds: Option<u32>,
}

/// A name and a value: a tag, or an item of metadata.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Message)]
pub(crate) struct Pair {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(string, tag = "2")]
    pub(crate) value: String,
}

/// A version of an object, or a delete marker.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Object {
    /// Its place among the versions of its key: higher is newer.
    #[prost(fixed64, tag = "1")]
    pub(crate) order: u64,
    /// The random half of its version id; 0 for the null version.
    #[prost(fixed64, tag = "2")]
    pub(crate) version: u64,
    /// When it was put, in microseconds since the Unix epoch.
    #[prost(uint64, tag = "3")]
    pub(crate) modified: u64,
    #[prost(uint64, tag = "4")]
    pub(crate) size: u64,
    /// The MD5 of the bytes, or for an object made of parts that of their MD5s.
    #[prost(bytes = "bytes", tag = "5")]
    pub(crate) md5: Bytes,
    /// How many parts it was made of; 0 when it was put whole.
    #[prost(uint32, tag = "6")]
    pub(crate) part_count: u32,
    #[prost(bool, tag = "7")]
    pub(crate) delete_marker: bool,
    #[prost(message, required, tag = "8")]
    pub(crate) owner: Owner,
    /// The bytes, of a small one.
    #[prost(bytes = "bytes", tag = "9")]
    pub(crate) body: Bytes,
    /// Where the bytes are, of a larger one: in order.
    #[prost(message, repeated, tag = "10")]
    pub(crate) parts: Vec<Piece>,
    /// Where `parts` are, as a [`Manifest`], if there are many.
    #[prost(bytes = "bytes", tag = "11")]
    pub(crate) manifest: Bytes,
    #[prost(message, optional, tag = "12")]
    pub(crate) headers: Option<Headers>,
    #[prost(message, repeated, tag = "13")]
    pub(crate) metadata: Vec<Pair>,
    #[prost(message, repeated, tag = "14")]
    pub(crate) tags: Vec<Pair>,
    #[prost(message, optional, tag = "15")]
    pub(crate) checksum: Option<Checksum>,
    /// None: the owner alone has all rights.
    #[prost(message, optional, tag = "16")]
    pub(crate) acl: Option<Acl>,
    #[prost(message, optional, tag = "17")]
    pub(crate) lock: Option<Lock>,
    /// None: the bytes are as they were sent.
    #[prost(message, optional, tag = "18")]
    pub(crate) encryption: Option<Encryption>,
}

/// The headers that are kept with an object. Empty ones were not sent.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct Headers {
    #[prost(string, tag = "1")]
    pub(crate) content_type: String,
    #[prost(string, tag = "2")]
    pub(crate) content_encoding: String,
    #[prost(string, tag = "3")]
    pub(crate) content_disposition: String,
    #[prost(string, tag = "4")]
    pub(crate) content_language: String,
    #[prost(string, tag = "5")]
    pub(crate) cache_control: String,
    #[prost(string, tag = "6")]
    pub(crate) expires: String,
    #[prost(string, tag = "7")]
    pub(crate) website_redirect: String,
    #[prost(string, tag = "8")]
    pub(crate) storage_class: String,
}

/// Bytes of an object: of the part that has this number, or of one that was put whole.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct Piece {
    /// 0 when the object was put whole. Several pieces can be of one part.
    #[prost(uint32, tag = "1")]
    pub(crate) number: u32,
    /// The key of the data.
    #[prost(bytes = "bytes", tag = "2")]
    pub(crate) data: Bytes,
    /// Where in the data it begins.
    #[prost(uint64, tag = "3")]
    pub(crate) offset: u64,
    #[prost(uint64, tag = "4")]
    pub(crate) size: u64,
    /// The checksum of the part, with its first piece.
    #[prost(bytes = "bytes", tag = "5")]
    pub(crate) checksum: Bytes,
    /// What the key of these bytes is made with, if they are encrypted; they are a whole value then.
    #[prost(bytes = "bytes", tag = "6")]
    pub(crate) salt: Bytes,
}

/// Where the bytes of an object are.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct Manifest {
    #[prost(message, repeated, tag = "1")]
    pub(crate) parts: Vec<Piece>,
}

/// A checksum beside the MD5.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct Checksum {
    #[prost(enumeration = "Algorithm", tag = "1")]
    pub(crate) algorithm: i32,
    #[prost(bytes = "bytes", tag = "2")]
    pub(crate) value: Bytes,
    /// It is a checksum of those of the parts, not of the bytes.
    #[prost(bool, tag = "3")]
    pub(crate) composite: bool,
}

/// How a checksum is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(crate) enum Algorithm {
    Unknown = 0,
    Crc32 = 1,
    Crc32c = 2,
    Crc64Nvme = 3,
    Sha1 = 4,
    Sha256 = 5,
}

/// A multipart upload under way.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Upload {
    /// What the object will be, but for its bytes.
    #[prost(message, required, tag = "1")]
    pub(crate) object: Object,
    /// When it began, in microseconds since the Unix epoch.
    #[prost(uint64, tag = "2")]
    pub(crate) initiated: u64,
    #[prost(message, required, tag = "3")]
    pub(crate) initiator: Owner,
    /// Which checksums its parts have.
    #[prost(enumeration = "Algorithm", tag = "4")]
    pub(crate) algorithm: i32,
    /// The checksum of the object is to be of its bytes, not of those of its parts.
    #[prost(bool, tag = "5")]
    pub(crate) full_object: bool,
    /// The client said which algorithm it is.
    #[prost(bool, tag = "6")]
    pub(crate) algorithm_said: bool,
}

/// A part that was uploaded.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Part {
    #[prost(uint64, tag = "1")]
    pub(crate) size: u64,
    #[prost(bytes = "bytes", tag = "2")]
    pub(crate) md5: Bytes,
    #[prost(uint64, tag = "3")]
    pub(crate) modified: u64,
    #[prost(message, repeated, tag = "4")]
    pub(crate) pieces: Vec<Piece>,
    #[prost(message, optional, tag = "5")]
    pub(crate) checksum: Option<Checksum>,
}

/// A batch that was done, and what was answered.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Answered {
    /// When, in microseconds since the Unix epoch.
    #[prost(uint64, tag = "1")]
    pub(crate) time: u64,
    /// The SHA-256 of what was asked.
    #[prost(bytes = "bytes", tag = "2")]
    pub(crate) request: Bytes,
    /// One for each operation.
    #[prost(message, repeated, tag = "3")]
    pub(crate) results: Vec<Done>,
}

/// What one operation of a batch left. All is empty where nothing is left.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct Done {
    /// Without quotes.
    #[prost(string, tag = "1")]
    pub(crate) etag: String,
    /// Empty where there are no versions.
    #[prost(string, tag = "2")]
    pub(crate) version_id: String,
    #[prost(bool, tag = "3")]
    pub(crate) delete_marker: bool,
}

/// Reads a record.
///
/// # Errors
///
/// [`Code::InternalError`], for what is none.
pub(crate) fn decode<M: Message + Default>(bytes: Bytes) -> Result<M> {
    M::decode(bytes).map_err(|error| {
        tracing::error!(%error, "a record of the gateway cannot be read");
        Error::from(Code::InternalError)
    })
}

impl Bucket {
    /// Whether versions are kept.
    pub(crate) fn versions(&self) -> Versioning {
        Versioning::try_from(self.versioning).unwrap_or(Versioning::Never)
    }

    /// Whether its owner owns all that is in it, and lists do not count.
    pub(crate) fn is_enforced(&self) -> bool {
        self.object_ownership == "BucketOwnerEnforced"
    }
}

impl Owner {
    /// The name to show.
    pub(crate) fn display(&self) -> &str {
        if self.name.is_empty() { &self.id } else { &self.name }
    }
}

impl Object {
    /// The entity tag, without quotes.
    pub(crate) fn etag(&self) -> String {
        let md5 = hex(&self.md5);
        if self.part_count > 0 { format!("{md5}-{}", self.part_count) } else { md5 }
    }

    /// The version id that clients are shown.
    pub(crate) fn version_id(&self) -> String {
        if self.version == 0 {
            "null".to_owned()
        } else {
            format!("{:016x}{:016x}", self.order, self.version)
        }
    }

    pub(crate) fn is_null(&self) -> bool {
        self.version == 0
    }

    /// A header that is kept; empty when it was not sent.
    pub(crate) fn header(&self, of: impl Fn(&Headers) -> &String) -> Option<String> {
        let value = of(self.headers.as_ref()?).clone();
        (!value.is_empty()).then_some(value)
    }
}

impl Piece {
    /// The key of the data.
    pub(crate) fn id(&self) -> Option<DataId> {
        self.data[..].try_into().ok()
    }
}

/// The two halves of a version id; `None` for what is none.
pub(crate) fn parse_version(id: &str) -> Option<(u64, u64)> {
    let ok = id.len() == 32 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let half = |digits: &str| u64::from_str_radix(digits, 16).ok();
    if ok { Some((half(&id[..16])?, half(&id[16..])?)) } else { None }
}

/// Hexadecimal digits, in lower case.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// What hexadecimal digits, in lower case, say.
pub(crate) fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}
