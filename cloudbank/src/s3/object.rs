//! Objects: asked about, read, put, copied, deleted.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use http::{HeaderMap, Method, StatusCode};
use hyper::body::Incoming;
use md5::{Digest, Md5};
use serde::Deserialize;
use storage_core::{Effect, ErrorKind};

use super::checksum::Expected;
use super::client::{Call, Client, Result};
use super::endpoint::{encoded, encoded_path};
use super::failure::Failure;
use super::xml::escaped;

/// How many keys one request deletes at most.
pub(crate) const DELETES_MAX: usize = 1000;

/// An object, or a version of one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Name {
    pub(crate) bucket: String,
    pub(crate) key: String,
    pub(crate) version: Option<String>,
}

impl Name {
    pub(crate) fn new(bucket: &str, key: &str) -> Self {
        Self { bucket: bucket.to_owned(), key: key.to_owned(), version: None }
    }

    pub(crate) fn call(&self, method: Method) -> Call {
        let call = Call::new(method, &self.bucket, &self.key);
        match &self.version {
            Some(version) => call.query("versionId", version),
            None => call,
        }
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let key = crate::commands::shown_line(&self.key);
        write!(f, "s3://{}/{key}", self.bucket)?;
        match &self.version {
            Some(version) => write!(f, " (version {version})"),
            None => Ok(()),
        }
    }
}

/// What is known of an object without reading it.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub(crate) size: u64,
    pub(crate) etag: String,
    pub(crate) modified: Option<DateTime<Utc>>,
    pub(crate) headers: HeaderMap,
    /// What all of it must come to.
    pub(crate) expected: Option<Expected>,
}

/// Bytes on their way, and what they are.
#[derive(Debug)]
pub(crate) struct Reading {
    pub(crate) head: Head,
    /// Where in the object they begin.
    pub(crate) start: u64,
    pub(crate) body: Incoming,
}

/// What is said of an object when it is written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct About {
    /// Headers that are kept, such as `content-type`, `cache-control` or `x-amz-meta-...`.
    pub(crate) headers: Vec<(String, String)>,
}

impl About {
    pub(crate) fn apply(&self, mut call: Call) -> Call {
        call.headers.extend(self.headers.iter().cloned());
        call
    }
}

/// What became of one of many deletes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct NotDeleted {
    #[serde(default)]
    pub(crate) key: String,
    #[serde(default)]
    pub(crate) version_id: Option<String>,
    #[serde(default)]
    pub(crate) code: String,
    #[serde(default)]
    pub(crate) message: String,
}

#[derive(Debug, Deserialize)]
struct Deleted {
    #[serde(default, rename = "Error")]
    errors: Vec<NotDeleted>,
}

#[derive(Debug, Deserialize)]
struct Copied {
    #[serde(default, rename = "ETag")]
    etag: String,
}

impl Client {
    pub(crate) async fn head(&self, name: &Name) -> Result<Head> {
        let call = name.call(Method::HEAD).header("x-amz-checksum-mode", "ENABLED");
        let answer = self.call(call).await?;
        let size = length(answer.headers())
            .ok_or_else(|| Failure::wrong_answer("the answer does not say how large it is"))?;
        Ok(Head::of(answer.headers(), size))
    }

    /// Begins to read an object, all of it or so many bytes from a place on, as long as it is the one with this ETag.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Conflict`] when it is another by now; [`ErrorKind::Corrupt`] for an answer that is not to the
    /// question.
    pub(crate) async fn get(
        &self,
        name: &Name,
        range: Option<(u64, u64)>,
        etag: Option<&str>,
    ) -> Result<Reading> {
        let mut call = name.call(Method::GET).header("x-amz-checksum-mode", "ENABLED");
        if let Some((start, length)) = range {
            call = call.header("range", format!("bytes={start}-{}", start + length - 1));
        }
        if let Some(etag) = etag {
            call = call.header("if-match", etag);
        }
        let (parts, body) = self.call(call).await?.into_parts();
        let length = length(&parts.headers)
            .ok_or_else(|| Failure::wrong_answer("the answer does not say how long it is"))?;
        let (start, size) = match (range, parts.status) {
            (Some(asked), StatusCode::PARTIAL_CONTENT) => {
                let (start, end, size) = content_range(&parts.headers)
                    .ok_or_else(|| Failure::wrong_answer("the answer does not say its range"))?;
                let answered = (start, (end + 1).saturating_sub(start));
                if answered != asked || length != asked.1 {
                    return Err(Failure::wrong_answer(format!(
                        "{} bytes from {} on were asked for, {length} from {start} on came",
                        asked.1, asked.0
                    )));
                }
                (start, size)
            }
            // Some know no ranges. All of it begins at the beginning.
            (Some((0, _)) | None, StatusCode::OK) => (0, length),
            (_, status) => {
                return Err(Failure::new(
                    ErrorKind::Unsupported,
                    Effect::NotApplied,
                    format!("the service does not answer with ranges (status {status})"),
                ));
            }
        };
        Ok(Reading { head: Head::of(&parts.headers, size), start, body })
    }

    /// Puts an object in one piece; its ETag.
    pub(crate) async fn put(&self, call: Call) -> Result<String> {
        let (headers, _) = self.text(call).await?;
        Ok(text(&headers, "etag"))
    }

    /// Copies an object within the service; the ETag of the copy.
    pub(crate) async fn copy(
        &self,
        from: &Name,
        (etag, size): (&str, u64),
        to: &Name,
        replaced: Option<&About>,
        besides: &About,
    ) -> Result<String> {
        let mut call = to.call(Method::PUT).header("x-amz-copy-source", source(from));
        call.work_bytes = size;
        if !etag.is_empty() {
            call = call.header("x-amz-copy-source-if-match", etag);
        }
        // What replaces all has what is said besides in it.
        call = match replaced {
            Some(about) => about.apply(call.header("x-amz-metadata-directive", "REPLACE")),
            None => besides.apply(call),
        };
        let copied: Copied = self.read(call).await?;
        Ok(copied.etag)
    }

    pub(crate) async fn delete(&self, name: &Name) -> Result<()> {
        self.text(name.call(Method::DELETE)).await.map(drop)
    }

    /// Deletes up to [`DELETES_MAX`] objects of a bucket; those that were not deleted.
    pub(crate) async fn delete_all(
        &self,
        bucket: &str,
        names: &[(String, Option<String>)],
    ) -> Result<Vec<NotDeleted>> {
        let objects: String = names
            .iter()
            .map(|(key, version)| {
                let version = version
                    .as_ref()
                    .map(|version| format!("<VersionId>{}</VersionId>", escaped(version)));
                let key = escaped_key(key);
                format!("<Object><Key>{key}</Key>{}</Object>", version.unwrap_or_default())
            })
            .collect();
        let body = format!(
            "<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Quiet>true</Quiet>{objects}</Delete>"
        );
        let md5 = STANDARD.encode(Md5::digest(&body));
        let call = Call::new(Method::POST, bucket, "")
            .query("delete", "")
            .header("content-md5", md5)
            .body(body);
        let deleted: Deleted = self.read(call).await?;
        Ok(deleted.errors)
    }
}

impl Head {
    fn of(headers: &HeaderMap, size: u64) -> Self {
        let etag = text(headers, "etag");
        let modified = DateTime::parse_from_rfc2822(&text(headers, "last-modified")).ok();
        let expected = Expected::of(headers, &etag);
        let modified = modified.map(|time| time.to_utc());
        Self { size, etag, modified, headers: headers.clone(), expected }
    }
}

/// Where a copy comes from, as a header has it.
pub(crate) fn source(name: &Name) -> String {
    let version = name.version.as_ref().map(|version| format!("?versionId={}", encoded(version)));
    let (bucket, key) = (encoded(&name.bucket), encoded_path(&name.key));
    format!("/{bucket}/{key}{}", version.unwrap_or_default())
}

/// A header, empty if it is not there or no text.
pub(crate) fn text(headers: &HeaderMap, name: &str) -> String {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

/// What an answer without a body says of it, or the body of one with.
fn length(headers: &HeaderMap) -> Option<u64> {
    text(headers, "content-length").parse().ok()
}

/// `bytes 0-9/100`: the first, the last, and how many there are.
fn content_range(headers: &HeaderMap) -> Option<(u64, u64, u64)> {
    let text = text(headers, "content-range");
    let (range, size) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (start, end) = range.split_once('-')?;
    Some((start.parse().ok()?, end.parse().ok()?, size.parse().ok()?))
}

/// A key in a document, where a line's end would be read as another one unless it is written as a number.
fn escaped_key(key: &str) -> String {
    escaped(key).replace('\r', "&#13;").replace('\n', "&#10;").replace('\t', "&#9;")
}
