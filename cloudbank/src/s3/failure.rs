//! Why a request to a service failed, and whether it took effect all the same.

use std::fmt;
use std::time::Duration;

use http::StatusCode;
use storage_core::{Effect, ErrorKind};

/// What a service said, or what became of the way to it.
#[derive(Debug, Clone)]
pub struct Failure {
    /// What kind of failure it is.
    pub kind: ErrorKind,
    /// Whether it took effect all the same.
    pub effect: Effect,
    /// The status of the answer, if there was one.
    pub status: Option<u16>,
    /// The code of the protocol, such as `NoSuchKey`; empty if there was none.
    pub code: String,
    /// In words.
    pub message: String,
    /// What to tell the operator of the service.
    pub request_id: Option<String>,
    /// How long the service asked to be left alone.
    pub retry_after: Option<Duration>,
    /// The region that the service says the bucket is in.
    pub(crate) region: Option<String>,
}

impl Failure {
    /// One without an answer.
    pub(crate) fn new(kind: ErrorKind, effect: Effect, message: impl Into<String>) -> Self {
        Self {
            kind,
            effect,
            status: None,
            code: String::new(),
            message: message.into(),
            request_id: None,
            retry_after: None,
            region: None,
        }
    }

    /// An answer that cannot be right. Nothing is concluded from it.
    pub(crate) fn wrong_answer(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Corrupt, Effect::NotApplied, message)
    }

    /// What an answer means that is no success.
    pub(crate) fn of_answer(status: StatusCode, code: &str, message: &str, mutates: bool) -> Self {
        let kind = kind_of(status, code);
        // What was refused was not done. A server that broke down may have done it before.
        let effect = match (mutates, kind) {
            (true, ErrorKind::Unavailable) => Effect::Unknown,
            _ => Effect::NotApplied,
        };
        let mut failure = Self::new(kind, effect, message);
        failure.status = Some(status.as_u16());
        failure.code = code.to_owned();
        failure
    }

    /// Whether the same request may succeed a little later.
    pub(crate) fn is_transient(&self) -> bool {
        self.kind.is_transient()
    }

    pub(crate) fn is_not_found(&self) -> bool {
        self.kind == ErrorKind::NotFound
    }

    /// What to do about it, where there is something to do.
    pub(crate) fn advice(&self) -> Option<&'static str> {
        Some(match self.code.as_str() {
            "BucketNotEmpty" => "`cloudbank s3 rb --force` removes what is in it first",
            "InvalidBucketName" => {
                "a bucket has 3 to 63 lower-case letters, digits, dots and hyphens for a name"
            }
            "RequestTimeTooSkewed" => "set the clock of this machine",
            "InvalidAccessKeyId" | "SignatureDoesNotMatch" => {
                "`cloudbank s3 ls -v` says where the access key comes from"
            }
            "EntityTooLarge" => "--part-size says how large the parts of an upload are",
            "NotImplemented" | "InvalidRequest" | "XAmzContentSHA256Mismatch"
                if self.message.to_ascii_lowercase().contains("checksum") =>
            {
                "--checksum none leaves the checksum out"
            }
            _ => return None,
        })
    }
}

fn kind_of(status: StatusCode, code: &str) -> ErrorKind {
    match (code, status.as_u16()) {
        ("RequestTimeout" | "InternalError" | "ServiceUnavailable" | "IncompleteBody", _) => {
            ErrorKind::Unavailable
        }
        ("SlowDown" | "Throttling" | "TooManyRequests", _) | (_, 429) => ErrorKind::Throttled,
        ("EntityTooLarge", _) => ErrorKind::TooLarge,
        ("NotImplemented", _) | (_, 405 | 501) => ErrorKind::Unsupported,
        (_, 304) => ErrorKind::NotModified,
        (_, 401 | 403) => ErrorKind::PermissionDenied,
        (_, 404 | 410) => ErrorKind::NotFound,
        (_, 409 | 412) => ErrorKind::Conflict,
        (_, 408 | 500 | 502..=504) => ErrorKind::Unavailable,
        (_, 416) => ErrorKind::InvalidRange,
        (_, 507) => ErrorKind::StorageFull,
        (_, 300..=399) => ErrorKind::Misconfigured,
        _ => ErrorKind::Unexpected,
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let message = self.message.trim().trim_end_matches('.');
        match (message.is_empty(), self.code.is_empty()) {
            (false, _) => f.write_str(message)?,
            (true, false) => f.write_str(&self.code)?,
            (true, true) => write!(f, "{}", self.kind)?,
        }
        let mut more = Vec::new();
        if !self.code.is_empty() && !message.is_empty() {
            more.push(self.code.clone());
        } else if let (Some(status), true) = (self.status, self.code.is_empty()) {
            more.push(format!("status {status}"));
        }
        // For who is asked about it; what is simply not there needs no such thing.
        if let Some(id) = self.request_id.as_ref().filter(|_| self.status >= Some(500)) {
            more.push(format!("request {id}"));
        }
        if !more.is_empty() {
            write!(f, " ({})", more.join(", "))?;
        }
        if self.effect == Effect::Unknown {
            f.write_str("; it may have been done all the same")?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}
