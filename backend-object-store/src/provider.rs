//! The provider: each operation is one request, and its answer is checked before it is believed.

use std::fmt;
use std::ops::Range;

use bytes::Bytes;
use http::{Method, StatusCode};
use object_store::client::{HttpRequest, HttpRequestBody};
use object_store::path::Path;
use object_store::{
    Attributes, GetOptions, GetRange, GetResult, PutMode, PutOptions, UpdateVersion,
};
use storage_core::{
    Atomicity, Capabilities, Durability, Effect, Error, ErrorKind, Get, KEY_BYTES_MAX, Key, List,
    ListConsistency, Object, Operation, Page, ProviderInfo, PutIf, Result, Sharing,
    StorageProvider, Version, async_trait,
};

use crate::classify::{self, answered, refused, unanswered};
use crate::condition::{Mark, is_entity_tag};
use crate::page::Lister;
use crate::service::{Call, Service};
use crate::wire::{Answer, Outcome, Record};

/// A provider over a bucket or container.
pub struct ObjectProvider<S> {
    service: S,
    lister: Lister,
}

impl<S: Service> ObjectProvider<S> {
    /// A provider over this bucket. Sends nothing.
    pub fn new(service: S) -> Self {
        Self { service, lister: Lister::default() }
    }

    /// The service asked.
    pub fn service(&self) -> &S {
        &self.service
    }

    fn path(&self, key: &Key) -> Result<Path> {
        let place = self.service.place();
        Path::parse(place.names.spell(&place.prefix, key.as_str())).map_err(|error| {
            refused(ErrorKind::InvalidKey, "the library does not take it").with_source(error)
        })
    }

    async fn put_once(&self, key: &Key, body: Bytes, when: &PutIf) -> Result<Version> {
        let place = self.service.place();
        let size = body.len() as u64;
        if size > place.object_bytes_max {
            let limit = place.object_bytes_max;
            let message = format!("{size} bytes, but an object has at most {limit}");
            return Err(refused(ErrorKind::TooLarge, message));
        }
        let mut attributes = Attributes::new();
        let mut mark = None;
        if *when != PutIf::Always {
            if !place.conditional_put {
                let message = "puts with a condition are switched off by `conditional_put`";
                return Err(refused(ErrorKind::Unsupported, message));
            }
            let (name, value) = mark.insert(Mark::new()).attribute();
            attributes.insert(name, value.into());
        }
        let mode = match when {
            PutIf::Always => PutMode::Overwrite,
            PutIf::Absent => PutMode::Create,
            PutIf::Matches(version) if !is_entity_tag(version) => {
                let message = format!("no object has the version {version:?}");
                return Err(refused(ErrorKind::Conflict, message));
            }
            PutIf::Matches(version) => PutMode::Update(UpdateVersion {
                e_tag: Some(version.as_str().to_owned()),
                version: None,
            }),
        };
        let path = self.path(key)?;
        let record = Record::default();
        let options = PutOptions {
            mode,
            attributes,
            extensions: record.extensions(),
            ..PutOptions::default()
        };
        let call = Call::Put(when);
        let cause = match self.service.store().put_opts(&path, body.into(), options).await {
            Ok(put) => match put.e_tag {
                Some(tag) => return Ok(Version::new(tag)),
                None => object_store::Error::NotImplemented {
                    operation: "put".into(),
                    implementer: "an answer without an entity tag".into(),
                },
            },
            Err(cause) => cause,
        };
        let error = classify::error(&self.service, call, record.take(), &cause);
        match mark {
            Some(mark) if error.kind() == ErrorKind::Conflict => {
                self.own_object(&path, &mark, error).await
            }
            _ => Err(error),
        }
    }

    /// Whether the object that made a condition fail is the very one this put stored: a proxy that
    /// repeats a request whose answer it lost makes a put conflict with itself.
    async fn own_object(&self, path: &Path, mark: &Mark, conflict: Error) -> Result<Version> {
        let record = Record::default();
        let options =
            GetOptions { head: true, extensions: record.extensions(), ..Default::default() };
        match self.service.store().get_opts(path, options).await {
            Ok(found) if mark.is_on(&found.attributes) => version_of(&found),
            Ok(_) => Err(conflict),
            Err(cause) => {
                let outcome = record.take();
                // Nothing is there for `Matches`, or what was there for `Absent` has been deleted since:
                // the daily course of races with deletes, and not to be told from an object of this very
                // put that came and went. docs/design/0003 says why it stays a conflict.
                if let Some(Outcome::Answered(answer)) = &outcome
                    && answer.status == StatusCode::NOT_FOUND
                {
                    return Err(conflict);
                }
                let reason = classify::error(&self.service, Call::Get, outcome, &cause);
                let message = format!(
                    "the condition did not hold, perhaps because the request was delivered twice; \
                     that could not be checked: {reason}"
                );
                Err(Error::unknown(ErrorKind::Unavailable, message))
            }
        }
    }

    async fn get_once(&self, key: &Key, request: &Get) -> Result<Object> {
        // These cannot be put to the service as they are, but size and version decide them.
        let hopeless_match = request.if_match.as_ref().is_some_and(|tag| !is_entity_tag(tag));
        let hopeless_range = request
            .range
            .is_some_and(|range| range.is_empty() || i64::try_from(range.start).is_err());
        let head = request.meta_only || hopeless_match || hopeless_range;
        let tag = |version: &Option<Version>| {
            version.as_ref().filter(|tag| is_entity_tag(tag)).map(|tag| tag.as_str().to_owned())
        };
        let range = request.range.filter(|_| !head).map(|range| match range.end {
            // Some servers read offsets as signed numbers.
            Some(end) if i64::try_from(end).is_ok() => GetRange::Bounded(range.start..end),
            _ => GetRange::Offset(range.start),
        });
        let record = Record::default();
        let options = GetOptions {
            head,
            range,
            if_match: tag(&request.if_match),
            if_none_match: tag(&request.if_changed),
            extensions: record.extensions(),
            ..GetOptions::default()
        };
        let path = self.path(key)?;
        let found = match self.service.store().get_opts(&path, options).await {
            Ok(found) => found,
            Err(cause) => {
                return self.get_otherwise(&path, request, head, record.take(), &cause).await;
            }
        };
        let version = version_of(&found)?;
        // Not every service looks at the conditions.
        request.check(&version)?;
        let size = found.meta.size;
        if request.meta_only {
            return Ok(Object { body: Bytes::new(), size, version });
        }
        if let Some(range) = request.range {
            let wanted = range.within(size)?;
            if wanted != found.range {
                let message = format!("bytes {:?} in answer to {wanted:?} of {size}", found.range);
                return Err(refused(ErrorKind::Corrupt, message));
            }
        }
        let expected = found.range.end - found.range.start;
        let body = self
            .service
            .wire()
            .read(found.into_stream(), Some(expected))
            .await
            .map_err(|failure| unanswered(&self.service, Call::Get, &failure))?;
        if body.len() as u64 != expected {
            let message = format!("{} bytes, but {expected} were announced", body.len());
            return Err(refused(ErrorKind::Corrupt, message));
        }
        Ok(Object { body, size, version })
    }

    /// What a get is that the library took for a failure.
    async fn get_otherwise(
        &self,
        path: &Path,
        request: &Get,
        head: bool,
        outcome: Option<Outcome>,
        cause: &object_store::Error,
    ) -> Result<Object> {
        let answer = match outcome {
            Some(Outcome::Answered(answer)) => answer,
            outcome => return Err(classify::error(&self.service, Call::Get, outcome, cause)),
        };
        match answer.status {
            StatusCode::OK => self.whole_instead(request, answer),
            // A range without a byte in it, all the same called a part (Azurite does).
            StatusCode::PARTIAL_CONTENT => {
                let found = answer.header("content-range").and_then(|text| text.rsplit_once('/'));
                let size = found.and_then(|(_, size)| size.parse().ok());
                if let (Some(range), Some(size)) = (request.range, size) {
                    range.within(size)?;
                }
                let part = match answer.header("content-range") {
                    Some(text) => format!("`Content-Range: {}`", text.escape_debug()),
                    None => "no `Content-Range`".to_owned(),
                };
                let asked = request.range.map_or("the whole".into(), |range| format!("{range:?}"));
                let message = format!("{} with {part} in answer to {asked}", answer.words());
                Err(refused(ErrorKind::Corrupt, message))
            }
            StatusCode::NOT_FOUND if head => self.nothing_at(path, answer).await,
            // No version matches where there is no object (RFC 9110 §13.1.1), but here a missing
            // object is that before anything else.
            StatusCode::PRECONDITION_FAILED if request.if_match.is_some() => {
                let conflict = answered(&self.service, Call::Get, answer);
                if conflict.kind() == ErrorKind::Conflict {
                    self.there(path).await?;
                }
                Err(conflict)
            }
            _ => Err(answered(&self.service, Call::Get, answer)),
        }
    }

    /// Whether there is an object at all.
    async fn there(&self, path: &Path) -> Result<()> {
        let record = Record::default();
        let options =
            GetOptions { head: true, extensions: record.extensions(), ..Default::default() };
        match self.service.store().get_opts(path, options).await {
            Ok(_) => Ok(()),
            Err(cause) => match record.take() {
                Some(Outcome::Answered(answer)) if answer.status == StatusCode::NOT_FOUND => {
                    self.nothing_at(path, answer).await.map(drop)
                }
                outcome => Err(classify::error(&self.service, Call::Get, outcome, &cause)),
            },
        }
    }

    /// A range was answered with status 200: by the whole object, which RFC 9110 §14.2 allows, or by
    /// the range all the same (rclone does), which only its `Content-Range` tells.
    fn whole_instead(&self, request: &Get, answer: Answer) -> Result<Object> {
        let (Some(range), Some(tag)) = (request.range, answer.header("etag")) else {
            return Err(answered(&self.service, Call::Get, answer));
        };
        let version = Version::new(tag);
        request.check(&version)?;
        let length = answer.body.len() as u64;
        let Some(found) = answer.header("content-range") else {
            let wanted = range.within(length)?;
            let body = answer.body.slice(wanted.start as usize..wanted.end as usize);
            return Ok(Object { body, size: length, version });
        };
        if let Some((found, size)) = content_range(found) {
            let wanted = range.within(size)?;
            if found == wanted && wanted.end - wanted.start == length {
                return Ok(Object { body: answer.body, size, version });
            }
        }
        let message = format!("{length} bytes as {found:?} in answer to {range:?}");
        Err(refused(ErrorKind::Corrupt, message))
    }

    /// A HEAD has no body to say what is missing, object or bucket. A GET has.
    async fn nothing_at(&self, path: &Path, answer: Answer) -> Result<Object> {
        if answer.code().is_some() {
            return Err(answered(&self.service, Call::Get, answer));
        }
        let record = Record::default();
        let options = GetOptions {
            range: Some(GetRange::Bounded(0..1)),
            extensions: record.extensions(),
            ..GetOptions::default()
        };
        match self.service.store().get_opts(path, options).await {
            // It has come into being since. When it was asked for, it was not there.
            Ok(_) => Err(refused(ErrorKind::NotFound, "there is no object")),
            Err(cause) => {
                let error = classify::error(&self.service, Call::Get, record.take(), &cause);
                Err(match error.kind() {
                    ErrorKind::InvalidRange => refused(ErrorKind::NotFound, "there is no object"),
                    _ => error,
                })
            }
        }
    }

    async fn delete_once(&self, key: &Key) -> Result<()> {
        let place = self.service.place();
        let url =
            format!("{}/{}", place.url, encode(&place.names.spell(&place.prefix, key.as_str())));
        match call(&self.service, Call::Delete, Method::DELETE, &url, Bytes::new()).await {
            Ok(answer) => match answer.status {
                // S3 says 204, Azure 202, some imitations 200; none has anything to add. A web page is
                // somebody else's.
                StatusCode::OK | StatusCode::ACCEPTED | StatusCode::NO_CONTENT
                    if answer.body.is_empty() =>
                {
                    Ok(())
                }
                _ => Err(answered(&self.service, Call::Delete, answer)),
            },
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }
}

fn version_of(found: &GetResult) -> Result<Version> {
    match &found.meta.e_tag {
        Some(tag) => Ok(Version::new(tag.as_str())),
        None => Err(refused(ErrorKind::Corrupt, "the answer has no entity tag")),
    }
}

/// Reads `bytes 0-1/10` (RFC 9110 §14.4) as a range and the size of the whole.
fn content_range(text: &str) -> Option<(Range<u64>, u64)> {
    let (range, size) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let end = last.parse::<u64>().ok()?.checked_add(1)?;
    Some((first.parse().ok()?..end, size.parse().ok()?))
}

/// Sends a request that the library has no call for; anything but success is an error.
pub(crate) async fn call(
    service: &dyn Service,
    call: Call<'_>,
    method: Method,
    url: &str,
    body: Bytes,
) -> Result<Answer> {
    let mut builder = http::Request::builder().method(method).uri(url);
    for (name, value) in service.headers(call) {
        builder = builder.header(*name, *value);
    }
    let length = body.len();
    let request: Result<HttpRequest, _> =
        builder.header("content-length", length).body(HttpRequestBody::from(body));
    let mut request = request.map_err(|error| {
        refused(ErrorKind::Misconfigured, "`endpoint` does not make an address").with_source(error)
    })?;
    if let Err(cause) = service.sign(&mut request).await {
        return Err(classify::error(service, call, None, &cause));
    }
    match service.wire().send(request).await {
        Ok(answer) if answer.status.is_success() => Ok(answer),
        Ok(answer) => Err(answered(service, call, answer)),
        Err(failure) => Err(unanswered(service, call, &failure)),
    }
}

/// Percent-encodes all but the unreserved characters of RFC 3986 §2.3 and `/`.
pub(crate) fn encode(text: &str) -> String {
    use std::fmt::Write;
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                encoded.push(char::from(byte));
            }
            _ => write!(encoded, "%{byte:02X}").expect("a string takes all that is written to it"),
        }
    }
    encoded
}

impl<S: Service> fmt::Debug for ObjectProvider<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectProvider").field("place", self.service.place()).finish()
    }
}

#[async_trait]
impl<S: Service> StorageProvider for ObjectProvider<S> {
    fn info(&self) -> ProviderInfo {
        let place = self.service.place();
        let conditional =
            if place.conditional_put { Atomicity::AllClients } else { Atomicity::Unsupported };
        ProviderInfo {
            name: place.name.clone().into(),
            capabilities: Capabilities {
                absent: conditional,
                matches: conditional,
                list: ListConsistency::Strong,
                durability: Durability::PowerLoss,
                versions: place.versions,
                sharing: Sharing::AllClients,
                key_bytes_max: KEY_BYTES_MAX,
                object_bytes_max: place.object_bytes_max,
            },
        }
    }

    async fn put(&self, key: &Key, body: Bytes, when: PutIf) -> Result<Version> {
        self.put_once(key, body, &when).await.map_err(|error| error.during(Operation::Put, key))
    }

    async fn get(&self, key: &Key, request: Get) -> Result<Object> {
        let result = self.get_once(key, &request).await;
        debug_assert!(result.as_ref().err().is_none_or(|e| e.effect() == Effect::NotApplied));
        result.map_err(|error| error.during(Operation::Get, key))
    }

    async fn list(&self, request: List<'_>) -> Result<Page> {
        self.lister.list(&self.service, request).await.map_err(Error::during_list)
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.delete_once(key).await.map_err(|error| error.during(Operation::Delete, key))
    }
}
