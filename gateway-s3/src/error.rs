//! What can go wrong, in the words of S3.

use std::fmt;

use storage_txn::ErrorKind;

/// The result of an operation.
pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an operation was not done.
#[derive(Debug)]
pub(crate) enum Error {
    /// S3 has a word for it.
    Refused(Refusal),
    /// The store failed.
    Store(storage_txn::Error),
}

/// What a client is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: Code,
    pub(crate) message: String,
    /// Headers that say more.
    pub(crate) headers: Vec<(&'static str, String)>,
}

macro_rules! codes {
    ($($code:ident $status:literal $message:literal,)*) => {
        /// A code of S3, with its usual status.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Code { $($code,)* }

        impl Code {
            #[cfg(test)]
            pub(crate) const ALL: &[Self] = &[$(Self::$code,)*];

            /// As it stands in the answer.
            pub(crate) fn name(self) -> &'static str {
                match self { $(Self::$code => stringify!($code),)* }
            }

            pub(crate) fn status(self) -> u16 {
                match self { $(Self::$code => $status,)* }
            }

            fn message(self) -> &'static str {
                match self { $(Self::$code => $message,)* }
            }
        }
    };
}

codes! {
    AccessDenied 403 "access denied",
    AccessControlListNotSupported 400 "the bucket does not allow access control lists",
    BadDigest 400 "the body does not have the checksum that was said",
    BucketAlreadyExists 409 "the name of the bucket is taken by another",
    BucketAlreadyOwnedByYou 409 "the bucket is there already and is yours",
    BucketNotEmpty 409 "the bucket is not empty",
    ChangesExpired 410 "changes from there on are no longer kept",
    ConditionalRequestConflict 409 "others have changed the same at the same time; try again",
    EntityTooLarge 400 "the body is larger than the largest that is taken",
    EntityTooSmall 400 "a part that is not the last is smaller than 5 MiB",
    IdempotencyParameterMismatch 400 "this token was used for another batch",
    IllegalLocationConstraintException 400 "the location is not the one of this endpoint",
    IllegalVersioningConfigurationException 400 "the versioning status is neither Enabled nor Suspended",
    IncompleteBody 400 "the body is shorter than was said",
    InternalError 500 "the server could not do it",
    InvalidArgument 400 "an argument is wrong",
    InvalidBucketAclWithObjectOwnership 400 "the access control list of the bucket lets others in",
    InvalidBucketName 400 "the name is not one a bucket can have",
    InvalidBucketState 409 "the bucket is not in a state for this",
    InvalidDigest 400 "the checksum that was said is none",
    InvalidPart 400 "a part is not there, or has another entity tag",
    InvalidPartOrder 400 "the parts are not in ascending order",
    InvalidPolicyDocument 400 "the policy of the form is wrong",
    InvalidRange 416 "the range is not within the object",
    InvalidRequest 400 "the request is wrong",
    InvalidRetentionPeriod 400 "the retention period is not a positive number",
    InvalidStorageClass 400 "there is no such storage class",
    InvalidTag 400 "a tag is wrong",
    KeyTooLongError 400 "the key is longer than 1024 bytes",
    MalformedACLError 400 "the access control list is wrong",
    MalformedJSON 400 "the JSON is wrong",
    MalformedPolicy 400 "the policy is wrong",
    MalformedXML 400 "the XML is wrong",
    MetadataTooLarge 400 "the metadata is larger than 2 KiB",
    MethodNotAllowed 405 "the method is not allowed here",
    MissingContentLength 411 "the length of the body was not said",
    NoSuchBucket 404 "there is no such bucket",
    NoSuchBucketPolicy 404 "the bucket has no policy",
    NoSuchCORSConfiguration 404 "the bucket has no CORS configuration",
    NoSuchKey 404 "there is no such key",
    NoSuchLifecycleConfiguration 404 "the bucket has no lifecycle configuration",
    NoSuchObjectLockConfiguration 404 "the object is not locked",
    NoSuchPublicAccessBlockConfiguration 404 "the bucket has no public access block",
    NoSuchTagSet 404 "the bucket has no tags",
    NoSuchUpload 404 "there is no such upload",
    NoSuchVersion 404 "there is no such version",
    NoSuchWebsiteConfiguration 404 "the bucket has no website configuration",
    NotImplemented 501 "this is not implemented",
    NotModified 304 "not modified",
    ObjectLockConfigurationNotFoundError 404 "the bucket has no object lock configuration",
    OwnershipControlsNotFoundError 404 "the bucket has no ownership controls",
    PreconditionFailed 412 "a condition does not hold",
    ReplicationConfigurationNotFoundError 404 "the bucket has no replication configuration",
    RequestTimeTooSkewed 403 "the date of the request is too far from now",
    ServerSideEncryptionConfigurationNotFoundError 404 "the bucket has no encryption configuration",
    ServiceUnavailable 503 "the storage cannot be reached; try again",
    SignatureDoesNotMatch 403 "the signature of the body is wrong",
    SlowDown 503 "too many requests; try again later",
    TooManyBuckets 400 "there are too many buckets",
    UnresolvableGrantByEmailAddress 400 "there is no account with this address",
    XAmzContentSHA256Mismatch 400 "the body does not have the hash that was signed",
}

/// A sweep could not go on.
#[derive(Debug)]
pub struct SweepError(Error);

impl fmt::Display for SweepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for SweepError {}

impl From<Error> for SweepError {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl Refusal {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), headers: Vec::new() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.name(), self.message)
    }
}

impl std::error::Error for Refusal {}

impl Error {
    /// A code, with what is particular to it.
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self::Refused(Refusal::new(code, message))
    }

    /// Adds a header to the answer.
    pub(crate) fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        if let Self::Refused(refusal) = &mut self {
            refusal.headers.push((name, value.into()));
        }
        self
    }

    /// The code of a refusal.
    pub(crate) fn code(&self) -> Option<Code> {
        match self {
            Self::Refused(refusal) => Some(refusal.code),
            Self::Store(_) => None,
        }
    }

    /// What a client is told.
    pub(crate) fn refusal(&self) -> Refusal {
        match self {
            Self::Refused(refusal) => refusal.clone(),
            Self::Store(error) => of_store(error),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => refusal.fmt(f),
            Self::Store(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {}

impl From<Code> for Error {
    fn from(code: Code) -> Self {
        Self::new(code, code.message())
    }
}

impl From<storage_txn::Error> for Error {
    fn from(error: storage_txn::Error) -> Self {
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            if let Some(refusal) = cause.downcast_ref::<Refusal>() {
                return Self::Refused(refusal.clone());
            }
            source = cause.source();
        }
        Self::Store(error)
    }
}

/// Of a copy of a store, and of a store whose copy has taken its place. Where the other is is for the operator to tell.
const READ_ONLY: &str =
    "the store takes no writes here: it is a copy, or its copy has taken its place; it can be read";

/// What a failure of the store is to a client. It is not told how the store is made: that is for the log.
fn of_store(error: &storage_txn::Error) -> Refusal {
    let code = match error.kind() {
        ErrorKind::Conflict | ErrorKind::PreconditionFailed => Code::ConditionalRequestConflict,
        ErrorKind::LimitExceeded => Code::SlowDown,
        // Not one to try again, as those of the fifth hundred are: the store stays so.
        ErrorKind::ReadOnly => {
            let mut refusal = Refusal::new(Code::MethodNotAllowed, READ_ONLY);
            refusal.headers.push(("allow", "GET, HEAD".to_owned()));
            return refusal;
        }
        ErrorKind::Storage(_) | ErrorKind::Cancelled => Code::ServiceUnavailable,
        ErrorKind::NoSuchVersion | ErrorKind::SnapshotExpired => {
            return Refusal::new(Code::InvalidArgument, "that time or version is not kept");
        }
        _ => Code::InternalError,
    };
    Refusal::new(code, code.message())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_survives_the_store_and_is_read_back_from_what_it_says() {
        for code in Code::ALL {
            let refusal = Refusal::new(*code, "because");
            let error = Error::from(storage_txn::Error::abort(refusal.clone()));
            assert_eq!(error.code(), Some(*code));
            assert_eq!(error.refusal(), refusal);
            assert!((300..600).contains(&code.status()), "{}", code.name());
        }
    }
}
