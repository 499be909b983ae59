//! What the two processes say: a line of JSON each way, and after it the bytes of the body it announces.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use storage_core::{
    ByteRange, Effect, Error, ErrorKind, Get, Key, KeyProblem, List, Listed, Object, Page, Prefix,
    PutIf, Version,
};

/// To the second process.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Request {
    Put {
        key: String,
        when: When,
    },
    Get {
        key: String,
        get: GetWords,
    },
    List {
        prefix: String,
        start_after: Option<String>,
        limit: usize,
    },
    Delete {
        key: String,
    },
    /// Stop for ever before the step with this number, counted from now on, and say so.
    StopAt(u64),
}

/// From the second process.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Reply {
    Stored { version: String },
    Object { size: u64, version: String },
    Page { objects: Vec<(String, u64)>, more: bool },
    Done,
    Failed(ErrorWords),
}

/// A line to the second process.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Asked {
    pub(super) id: u64,
    pub(super) request: Request,
    pub(super) body_bytes: usize,
}

/// A line from the second process.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Said {
    /// First of all: what its handle says of itself.
    Hello {
        info: String,
    },
    /// It could not be opened.
    NotOpened {
        problem: String,
    },
    Answer {
        id: u64,
        reply: Reply,
        body_bytes: usize,
    },
    /// It has come to the step at which it was to stop.
    Reached {
        step: String,
    },
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum When {
    Always,
    Absent,
    Matches(String),
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct GetWords {
    range: Option<(u64, Option<u64>)>,
    if_match: Option<String>,
    if_changed: Option<String>,
    meta_only: bool,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ErrorWords {
    kind: String,
    unknown: bool,
    message: String,
    retry_after: Option<Duration>,
}

impl From<PutIf> for When {
    fn from(when: PutIf) -> Self {
        match when {
            PutIf::Always => Self::Always,
            PutIf::Absent => Self::Absent,
            PutIf::Matches(version) => Self::Matches(version.as_str().to_owned()),
        }
    }
}

impl From<When> for PutIf {
    fn from(when: When) -> Self {
        match when {
            When::Always => Self::Always,
            When::Absent => Self::Absent,
            When::Matches(version) => Self::Matches(Version::new(version)),
        }
    }
}

impl From<Get> for GetWords {
    fn from(get: Get) -> Self {
        let text = |version: Version| version.as_str().to_owned();
        Self {
            range: get.range.map(|range| (range.start, range.end)),
            if_match: get.if_match.map(text),
            if_changed: get.if_changed.map(text),
            meta_only: get.meta_only,
        }
    }
}

impl From<GetWords> for Get {
    fn from(words: GetWords) -> Self {
        Self {
            range: words.range.map(|(start, end)| ByteRange { start, end }),
            if_match: words.if_match.map(Version::new),
            if_changed: words.if_changed.map(Version::new),
            meta_only: words.meta_only,
        }
    }
}

impl From<List<'_>> for Request {
    fn from(list: List<'_>) -> Self {
        Self::List {
            prefix: list.prefix.as_str().to_owned(),
            start_after: list.start_after.map(|key| key.as_str().to_owned()),
            limit: list.limit,
        }
    }
}

impl From<Page> for Reply {
    fn from(page: Page) -> Self {
        let objects = page.objects.into_iter();
        let objects = objects.map(|it| (it.key.as_str().to_owned(), it.size)).collect();
        Self::Page { objects, more: page.more }
    }
}

/// The page that a reply tells of.
pub(super) fn page(objects: Vec<(String, u64)>, more: bool) -> Result<Page, KeyProblem> {
    let objects = objects.into_iter().map(|(key, size)| Ok(Listed { key: Key::new(key)?, size }));
    Ok(Page { objects: objects.collect::<Result<_, KeyProblem>>()?, more })
}

/// The object that a reply tells of, without its body.
pub(super) fn reply_to_get(object: &Object) -> Reply {
    Reply::Object { size: object.size, version: object.version.as_str().to_owned() }
}

/// Reads a prefix back. Only a second process of another release could send a bad one.
pub(super) fn prefix(text: &str) -> Result<Prefix, Error> {
    Prefix::new(text)
        .map_err(|problem| Error::not_applied(ErrorKind::InvalidKey, problem.to_string()))
}

/// Reads a key back. Only a second process of another release could send a bad one.
pub(super) fn key(text: &str) -> Result<Key, Error> {
    Key::new(text).map_err(|problem| Error::not_applied(ErrorKind::InvalidKey, problem.to_string()))
}

impl From<Error> for Reply {
    fn from(error: Error) -> Self {
        let mut message = error.message().to_owned();
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            message.push_str(&format!(": {cause}"));
            source = cause.source();
        }
        Self::Failed(ErrorWords {
            kind: error.kind().label().to_owned(),
            unknown: error.effect() == Effect::Unknown,
            message,
            retry_after: error.retry_after(),
        })
    }
}

impl From<ErrorWords> for Error {
    fn from(words: ErrorWords) -> Self {
        let kind = KINDS.into_iter().find(|kind| kind.label() == words.kind);
        let kind = kind.unwrap_or(ErrorKind::Unexpected);
        let error = if words.unknown {
            Self::unknown(kind, words.message)
        } else {
            Self::not_applied(kind, words.message)
        };
        match words.retry_after {
            Some(time) => error.with_retry_after(time),
            None => error,
        }
    }
}

const KINDS: [ErrorKind; 14] = [
    ErrorKind::NotFound,
    ErrorKind::Conflict,
    ErrorKind::NotModified,
    ErrorKind::InvalidRange,
    ErrorKind::InvalidKey,
    ErrorKind::TooLarge,
    ErrorKind::Unsupported,
    ErrorKind::PermissionDenied,
    ErrorKind::Misconfigured,
    ErrorKind::StorageFull,
    ErrorKind::Throttled,
    ErrorKind::Unavailable,
    ErrorKind::Corrupt,
    ErrorKind::Unexpected,
];

/// A line and its body, as bytes to be written at once.
pub(super) fn frame(line: &impl Serialize, body: &Bytes) -> serde_json::Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec(line)?;
    bytes.push(b'\n');
    bytes.extend_from_slice(body);
    Ok(bytes)
}
