//! The gateway: requests in, answers out.

mod answer;
mod route;
mod secrets;

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_RANGE, CONTENT_TYPE, RANGE};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::BodyExt as _;
use tokio::sync::Semaphore;

pub use answer::AnswerBody;

use crate::cbor;
use crate::error::{Error, Refusal, Result};
use crate::metrics::STRANGERS;
use crate::shares::{MUTABLE_BYTES_MAX, Shares};
use crate::uploads::{Progress, Uploads};
use crate::{Kind, StorageIndex};
use answer::{CBOR, accepted, cbor_of, failed, said};
use route::{Place, Route};
use secrets::{Secrets, Wanted};

/// The longest bodies: to allocate, and to report corruption.
const ALLOCATE_BYTES_MAX: usize = 8192;
const CORRUPT_BYTES_MAX: usize = 32_768;
/// What a read-test-write has beside the bytes that it writes and compares.
const VECTORS_BYTES_MAX: usize = 4 << 20;
/// Of the body of a refused request so much is read: a piece of an upload, as clients send it, and more.
const DISCARDED_BYTES_MAX: usize = 2 << 20;
/// How many such bodies are in memory at a time: as many as have so many times the bytes of the largest one.
const BODIES: usize = 1;
/// Bodies of up to so many bytes are small: they never wait for large ones, whose clients may be slow.
const SMALL_BYTES_MAX: usize = 256 << 10;
/// Memory for small bodies.
const SMALL_BODIES_BYTES: usize = 8 << 20;
/// Memory for bodies is counted in units of so many bytes.
const UNIT_BYTES: usize = 4 << 10;
/// What the server calls itself.
const APPLICATION: &str = concat!("cloudbank/", env!("CARGO_PKG_VERSION"));

/// The storage protocol over the shares of a server. A handle is cheap to clone, and all of them are the same.
#[derive(Debug, Clone)]
pub struct Gateway {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    uploads: Uploads,
    /// A hash of what `Authorization` must be.
    authorization: blake3::Hash,
    /// Memory for bodies of read-test-writes: large and small ones.
    bodies: Semaphore,
    small_bodies: Semaphore,
    refused: AtomicU64,
}

impl Gateway {
    /// Puts the protocol in front of shares, for those who know the swissnum.
    #[must_use]
    pub fn new(uploads: Uploads, swissnum: &str) -> Self {
        use base64::Engine as _;
        let encoded = base64::engine::general_purpose::STANDARD.encode(swissnum);
        let most = uploads.shares().options().change_bytes_max + VECTORS_BYTES_MAX;
        Self {
            inner: Arc::new(Inner {
                authorization: blake3::hash(format!("Tahoe-LAFS {encoded}").as_bytes()),
                bodies: Semaphore::new(BODIES * most.div_ceil(UNIT_BYTES)),
                small_bodies: Semaphore::new(SMALL_BODIES_BYTES / UNIT_BYTES),
                refused: AtomicU64::new(0),
                uploads,
            }),
        }
    }

    /// The uploads under way.
    #[must_use]
    pub fn uploads(&self) -> &Uploads {
        &self.inner.uploads
    }

    /// How many requests came without the right swissnum.
    #[must_use]
    pub fn strangers(&self) -> u64 {
        self.inner.refused.load(Ordering::Relaxed)
    }

    /// What a request asks for, in a word: one of a bounded number of words.
    #[must_use]
    pub fn operation<B>(request: &Request<B>) -> &'static str {
        Route::of(request.method(), request.uri().path()).map_or("Other", |route| route.word())
    }

    /// Answers a request. Never fails: what goes wrong is said in the answer.
    ///
    /// May be dropped at any time. A change that was under way then is done as a whole or not at all.
    pub async fn call<B>(&self, request: Request<B>) -> Response<AnswerBody>
    where
        B: Body<Data = Bytes> + Send,
        B::Error: std::fmt::Display,
    {
        let (parts, body) = request.into_parts();
        let mut body = std::pin::pin!(body);
        let path = parts.uri.path();
        let reads_share = route::reads_share(&parts.method, path);
        let answer = match Route::of(&parts.method, path) {
            // On the heap, as it is large.
            Ok(route) => Box::pin(self.answer(route, &parts.headers, body.as_mut())).await,
            Err(status) => {
                said(status, "there is nothing of this name, or it cannot be done with it")
            }
        };
        if !answer.status().is_success() {
            discard(body).await;
        }
        match reads_share && !answer.status().is_success() {
            // The client looks at the type before it looks at the status.
            true => answer::as_bytes(answer),
            false => answer,
        }
    }

    async fn answer<B>(&self, route: Route, headers: &HeaderMap, body: B) -> Response<AnswerBody>
    where
        B: Body<Data = Bytes> + Send,
        B::Error: std::fmt::Display,
    {
        let given = headers.get(AUTHORIZATION).map_or(&b""[..], |value| value.as_bytes());
        // Hashes of this crate are compared in a time that says nothing.
        if blake3::hash(given) != self.inner.authorization {
            self.inner.refused.fetch_add(1, Ordering::Relaxed);
            metrics::counter!(STRANGERS).increment(1);
            return said(StatusCode::UNAUTHORIZED, "the swissnum is not the right one");
        }
        let secrets = match Secrets::read(headers, route.wants()) {
            Ok(secrets) => secrets,
            Err(why) => return said(StatusCode::BAD_REQUEST, why),
        };
        let done = match route {
            Route::Version => Ok(self.version(headers)),
            Route::Lease(index) => self.lease(index, &secrets).await,
            Route::Allocate(index) => self.allocate(index, &secrets, headers, body).await,
            Route::Write(place) => self.write(place, &secrets, headers, body).await,
            Route::Abort(place) => self.abort(place, &secrets).await,
            Route::List(kind, index) => self.list(kind, index, headers).await,
            Route::Read(kind, place) => self.read(kind, place, headers).await,
            Route::Corrupt(kind, place) => self.corrupt(kind, place, headers, body).await,
            Route::ReadTestWrite(index) => {
                self.read_test_write(index, &secrets, headers, body).await
            }
        };
        done.unwrap_or_else(|error| failed(&error))
    }

    fn version(&self, headers: &HeaderMap) -> Response<AnswerBody> {
        let free = self.uploads().free_bytes();
        let said = cbor::version(free, MUTABLE_BYTES_MAX, free, APPLICATION);
        cbor_of(headers.get_all(ACCEPT), StatusCode::OK, said)
    }

    async fn lease(&self, index: StorageIndex, secrets: &Secrets) -> Result<Response<AnswerBody>> {
        match self.shares().renew(index, &secrets.lease()?).await? {
            true => Ok(answer::empty(StatusCode::NO_CONTENT)),
            false => Err(Refusal::NotFound.into()),
        }
    }

    async fn allocate<B>(
        &self,
        index: StorageIndex,
        secrets: &Secrets,
        headers: &HeaderMap,
        body: B,
    ) -> Result<Response<AnswerBody>>
    where
        B: Body<Data = Bytes> + Send,
        B::Error: std::fmt::Display,
    {
        let Some(body) = cbor_body(headers, body, ALLOCATE_BYTES_MAX).await? else {
            return Ok(not_cbor());
        };
        let asked = cbor::read_allocate(body)?;
        let (lease, upload) = (secrets.lease()?, secrets.upload()?);
        let allocated =
            self.uploads().allocate(index, &asked.numbers, asked.size, &lease, upload).await?;
        Ok(cbor_of(headers.get_all(ACCEPT), StatusCode::OK, cbor::allocated(&allocated)))
    }

    async fn write<B>(
        &self,
        (index, number): Place,
        secrets: &Secrets,
        headers: &HeaderMap,
        body: B,
    ) -> Result<Response<AnswerBody>>
    where
        B: Body<Data = Bytes> + Send,
        B::Error: std::fmt::Display,
    {
        let Some(range) = route::content_range(headers.get_all(CONTENT_RANGE)) else {
            return Err(Refusal::OutOfRange.into());
        };
        let written = self.uploads().write((index, number), secrets.upload()?, range, body).await?;
        let (status, missing) = match written {
            Progress::Complete => (StatusCode::CREATED, Vec::new()),
            Progress::Missing(missing) => (StatusCode::OK, missing),
        };
        Ok(cbor_of(headers.get_all(ACCEPT), status, cbor::required(&missing)))
    }

    async fn abort(&self, place: Place, secrets: &Secrets) -> Result<Response<AnswerBody>> {
        self.uploads().abort(place, secrets.upload()?).await?;
        Ok(answer::empty(StatusCode::OK))
    }

    async fn list(
        &self,
        kind: Kind,
        index: StorageIndex,
        headers: &HeaderMap,
    ) -> Result<Response<AnswerBody>> {
        // What cannot be said need not be looked for.
        if !accepted(headers.get_all(ACCEPT)) {
            return Ok(cbor_of(headers.get_all(ACCEPT), StatusCode::OK, Vec::new()));
        }
        let numbers: BTreeSet<u64> = self.shares().list(kind, index).await?;
        Ok(cbor_of(headers.get_all(ACCEPT), StatusCode::OK, cbor::numbers(&numbers)))
    }

    async fn read(
        &self,
        kind: Kind,
        (index, number): Place,
        headers: &HeaderMap,
    ) -> Result<Response<AnswerBody>> {
        let reader = self.shares().reader(kind, index, number).await?;
        let reader = reader.ok_or(Refusal::NotFound)?;
        let size = reader.size();
        if !headers.contains_key(RANGE) {
            return answer::share(reader, 0..size, None).await;
        }
        let Some(range) = route::range(headers.get_all(RANGE)) else {
            return Err(Refusal::OutOfRange.into());
        };
        if range.start >= size {
            return Ok(answer::empty(StatusCode::NO_CONTENT));
        }
        let range = range.start..range.end.min(size);
        let told = format!("bytes {}-{}/*", range.start, range.end - 1);
        answer::share(reader, range, Some(told)).await
    }

    async fn corrupt<B>(
        &self,
        kind: Kind,
        (index, number): Place,
        headers: &HeaderMap,
        body: B,
    ) -> Result<Response<AnswerBody>>
    where
        B: Body<Data = Bytes> + Send,
        B::Error: std::fmt::Display,
    {
        if self.shares().reader(kind, index, number).await?.is_none() {
            return Err(Refusal::NotFound.into());
        }
        let Some(body) = cbor_body(headers, body, CORRUPT_BYTES_MAX).await? else {
            return Ok(not_cbor());
        };
        let reason = cbor::read_corrupt(body)?;
        self.shares().advise(kind, (index, number), reason).await?;
        Ok(answer::empty(StatusCode::OK))
    }

    async fn read_test_write<B>(
        &self,
        index: StorageIndex,
        secrets: &Secrets,
        headers: &HeaderMap,
        body: B,
    ) -> Result<Response<AnswerBody>>
    where
        B: Body<Data = Bytes> + Send,
        B::Error: std::fmt::Display,
    {
        let most = self.shares().options().change_bytes_max + VECTORS_BYTES_MAX;
        // What is too large need not wait to be told so.
        let bytes = match body.size_hint() {
            hint if hint.lower() > most as u64 => 0,
            hint => hint.exact().map_or(most, |bytes| bytes as usize),
        };
        let memory = match bytes <= SMALL_BYTES_MAX {
            true => &self.inner.small_bodies,
            false => &self.inner.bodies,
        };
        let units = u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX);
        let _memory = memory.acquire_many(units).await.expect("nobody closes it");
        let Some(body) = cbor_body(headers, body, most).await? else { return Ok(not_cbor()) };
        let request = cbor::read_test_write(body)?;
        let (enabler, lease) = (secrets.write_enabler()?, secrets.lease()?);
        let answer = self.shares().read_test_write(index, enabler, &lease, &request).await?;
        Ok(cbor_of(headers.get_all(ACCEPT), StatusCode::OK, cbor::read_test_written(&answer)))
    }

    fn shares(&self) -> &Shares {
        self.inner.uploads.shares()
    }
}

/// The whole body of a request; `None` when it says that it is something else than CBOR.
///
/// # Errors
///
/// [`Refusal::TooLarge`], [`Error::Body`].
async fn cbor_body<B>(headers: &HeaderMap, body: B, bytes_max: usize) -> Result<Option<Bytes>>
where
    B: Body<Data = Bytes>,
    B::Error: std::fmt::Display,
{
    if let Some(kind) = headers.get(CONTENT_TYPE) {
        let kind = kind.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
        if !kind.trim().eq_ignore_ascii_case(CBOR) {
            return Ok(None);
        }
    }
    let too_large = || {
        let why = format!("the body is longer than {bytes_max} bytes");
        Error::Refused(Refusal::TooLarge(why))
    };
    let hint = body.size_hint();
    let mut body = std::pin::pin!(body);
    if hint.lower() > bytes_max as u64 {
        return Err(too_large());
    }
    let mut first = Bytes::new();
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Error::Body(error.to_string()))?;
        let Ok(data) = frame.into_data() else { continue };
        if first.len() + bytes.len() + data.len() > bytes_max {
            return Err(too_large());
        }
        // Most bodies are one piece, which need not be copied.
        if first.is_empty() && bytes.is_empty() {
            first = data;
        } else {
            if bytes.is_empty() {
                let all = hint.exact().unwrap_or(0).max((first.len() + data.len()) as u64);
                bytes.reserve(all as usize);
                bytes.extend_from_slice(&std::mem::take(&mut first));
            }
            bytes.extend_from_slice(&data);
        }
    }
    Ok(Some(if bytes.is_empty() { first } else { bytes.freeze() }))
}

/// Reads what is left of a body that is refused, up to a bound: whoever is still sending when the connection ends may never
/// see the answer.
async fn discard<B>(mut body: Pin<&mut B>)
where
    B: Body<Data = Bytes>,
{
    let mut bytes = 0;
    while let Some(Ok(frame)) = body.frame().await {
        bytes += frame.data_ref().map_or(0, Bytes::len);
        if bytes > DISCARDED_BYTES_MAX {
            break;
        }
    }
}

fn not_cbor() -> Response<AnswerBody> {
    said(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the body must be application/cbor")
}

impl Route {
    /// Which secrets must come with it, and no others.
    fn wants(&self) -> Wanted {
        match self {
            Self::Lease(_) => Wanted::LEASE,
            Self::Allocate(_) => Wanted { upload: true, ..Wanted::LEASE },
            Self::Write(_) | Self::Abort(_) => Wanted { upload: true, ..Wanted::NONE },
            Self::ReadTestWrite(_) => Wanted { write_enabler: true, ..Wanted::LEASE },
            Self::Version | Self::List(..) | Self::Read(..) | Self::Corrupt(..) => Wanted::NONE,
        }
    }
}
