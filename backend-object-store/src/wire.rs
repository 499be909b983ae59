//! One HTTP request and what became of it, seen from outside `object_store`.
//!
//! `object_store` turns every answer into an error type that no longer says which status it was, or
//! whether the request left this machine at all. [`Wire`] is an HTTP connection of its own making that
//! writes this down for each request it is handed a [`Record`] with.

use std::error::Error as StdError;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use http::header::{CONTENT_LENGTH, HeaderMap, RANGE, RETRY_AFTER};
use http::{Extensions, StatusCode};
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
    ReqwestConnector,
};
use storage_core::async_trait;

/// How many bytes of an upload are given another second of silence each.
const UPLOAD_BYTES_PER_SECOND_MIN: u64 = 1 << 20;
/// How much memory is set aside on the word of a header.
const READ_AHEAD_BYTES_MAX: u64 = 64 << 20;
/// How many bytes of a service's own words go into a message.
const WORDS_BYTES_MAX: usize = 300;

/// An HTTP connection that tells what became of each request.
#[derive(Debug, Clone)]
pub struct Wire {
    client: HttpClient,
    silence_max: Duration,
}

impl Wire {
    /// Opens none yet: the first request does.
    ///
    /// `silence_max` is how long the service may keep silent: until an answer begins (for an upload,
    /// a second more for every MiB of it), and between two parts of a body.
    ///
    /// # Errors
    ///
    /// When the options contradict each other or the system's TLS roots cannot be read.
    pub fn new(options: &ClientOptions, silence_max: Duration) -> object_store::Result<Self> {
        choose_tls();
        let client = ReqwestConnector::default().connect(options)?;
        Ok(Self { client, silence_max })
    }

    /// How long the service may keep silent.
    #[must_use]
    pub fn silence_max(&self) -> Duration {
        self.silence_max
    }

    /// Sends a request and reads its answer whole.
    ///
    /// # Errors
    ///
    /// A [`Failure`] when there is no answer, or not all of it.
    pub async fn send(&self, request: HttpRequest) -> Result<Answer, Failure> {
        let response = self.exchange(request).await.map_err(|error| Failure::new(&error))?;
        let (parts, body) = response.into_parts();
        let mut answer =
            Answer { status: parts.status, headers: parts.headers, body: Bytes::new() };
        match self.read(body.bytes_stream(), answer.content_length()).await {
            Ok(body) => answer.body = body,
            // The status stands even if the words that explain it do not arrive.
            Err(_) if !answer.status.is_success() => {}
            Err(failure) => return Err(failure),
        }
        Ok(answer)
    }

    /// Reads a body whole: every part of it within [`silence_max`](Self::silence_max).
    ///
    /// A body that comes in one part is not copied.
    ///
    /// # Errors
    ///
    /// A [`Failure`] when it breaks off or the service falls silent.
    pub async fn read<E>(
        &self,
        mut parts: impl Stream<Item = Result<Bytes, E>> + Unpin + Send,
        expected: Option<u64>,
    ) -> Result<Bytes, Failure>
    where
        E: StdError + 'static,
    {
        let mut next = async || match tokio::time::timeout(self.silence_max, parts.next()).await {
            Ok(part) => part.transpose().map_err(|error| Failure::told(&error)),
            Err(_) => Err(Failure::new(&silence())),
        };
        let Some(first) = next().await? else { return Ok(Bytes::new()) };
        let Some(second) = next().await? else { return Ok(first) };
        // What is announced is believed only so far: a lie must not exhaust memory.
        let announced = expected.unwrap_or(0).min(READ_AHEAD_BYTES_MAX) as usize;
        let mut body = BytesMut::with_capacity(announced.max(first.len() + second.len()));
        body.extend_from_slice(&first);
        body.extend_from_slice(&second);
        while let Some(part) = next().await? {
            body.extend_from_slice(&part);
        }
        Ok(body.freeze())
    }

    async fn exchange(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let upload = request.body().content_length() as u64 / UPLOAD_BYTES_PER_SECOND_MIN;
        let limit = self.silence_max + Duration::from_secs(upload);
        tokio::time::timeout(limit, self.client.execute(request))
            .await
            .unwrap_or_else(|_| Err(silence()))
    }
}

#[async_trait]
impl HttpService for Wire {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let Some(record) = request.extensions().get::<Record>().cloned() else {
            return self.exchange(request).await;
        };
        let ranged = request.headers().contains_key(RANGE);
        let response = match self.exchange(request).await {
            Ok(response) => response,
            Err(error) => {
                record.set(Outcome::Failed(Failure::new(&error)));
                return Err(error);
            }
        };
        // A whole object in answer to a range: `object_store` would throw it away.
        let keep =
            !response.status().is_success() || (ranged && response.status() == StatusCode::OK);
        let (parts, body) = response.into_parts();
        let mut answer =
            Answer { status: parts.status, headers: parts.headers.clone(), body: Bytes::new() };
        if !keep {
            record.set(Outcome::Answered(answer));
            return Ok(HttpResponse::from_parts(parts, body));
        }
        // The status stands even if the words that explain it do not arrive.
        record.set(Outcome::Answered(answer.clone()));
        let body = match self.read(body.bytes_stream(), answer.content_length()).await {
            Ok(body) => body,
            Err(failure) if parts.status.is_success() => {
                record.set(Outcome::Failed(failure.clone()));
                return Err(HttpError::new(HttpErrorKind::Interrupted, failure));
            }
            Err(_) => Bytes::new(),
        };
        answer.body = body.clone();
        record.set(Outcome::Answered(answer));
        Ok(HttpResponse::from_parts(parts, body.into()))
    }
}

/// Hands `object_store` this connection instead of one of its own.
impl HttpConnector for Wire {
    fn connect(&self, _options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

/// The connector for requests that fetch credentials: none of them is recorded, and each has the
/// options that `object_store` wants for it.
#[derive(Debug, Clone, Copy, Default)]
pub struct CredentialConnector;

impl HttpConnector for CredentialConnector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        choose_tls();
        ReqwestConnector::default().connect(options)
    }
}

/// Makes `ring` the process's TLS arithmetic unless the program has chosen already.
fn choose_tls() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // A racing thread may have installed one meanwhile; either will do.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
}

fn silence() -> HttpError {
    HttpError::new(HttpErrorKind::Timeout, Silence)
}

#[derive(Debug)]
struct Silence;

impl fmt::Display for Silence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no answer in time")
    }
}

impl StdError for Silence {}

/// Where [`Wire`] writes down what became of one request; travels in the request's extensions.
#[derive(Debug, Clone, Default)]
pub struct Record(Arc<Mutex<Option<Outcome>>>);

impl Record {
    /// The extensions to send along, with this record in them.
    #[must_use]
    pub fn extensions(&self) -> Extensions {
        let mut extensions = Extensions::new();
        extensions.insert(self.clone());
        extensions
    }

    /// What became of it; `None` if it was never sent.
    #[must_use]
    pub fn take(&self) -> Option<Outcome> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn set(&self, outcome: Outcome) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
    }
}

/// What became of a request that was sent.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// It was answered.
    Answered(Answer),
    /// It was not.
    Failed(Failure),
}

/// An answer of the service.
#[derive(Clone)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, where it is words about a failure, a listing, or a whole object nobody asked for.
    pub body: Bytes,
}

impl Answer {
    /// A header as text, if it is there and is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// How long the service asks to be left alone.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        let seconds = self.headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
        Some(Duration::from_secs(seconds))
    }

    /// The service's name for what went wrong: a header (Azure) or an element of an XML body (S3).
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.header("x-ms-error-code").or_else(|| self.element("Code"))
    }

    /// What the service calls this request, to ask its operator about.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.header("x-amz-request-id")
            .or_else(|| self.header("x-ms-request-id"))
            .or_else(|| self.element("RequestId"))
    }

    /// Status, code, words and request id, for a message. Nothing else of the body: services repeat
    /// tokens there.
    #[must_use]
    pub fn words(&self) -> String {
        let mut words = self.status.as_u16().to_string();
        for part in [self.code(), self.element("Message")].into_iter().flatten() {
            words.push(' ');
            words.extend(part.chars().take(WORDS_BYTES_MAX).map(plain));
        }
        if let Some(id) = self.request_id() {
            words.push_str(" (request ");
            words.extend(id.chars().take(100).map(plain));
            words.push(')');
        }
        words
    }

    /// The text of the first such element of an XML body.
    fn element(&self, name: &str) -> Option<&str> {
        let body = std::str::from_utf8(&self.body).ok()?;
        let (_, rest) = body.split_once(&format!("<{name}>"))?;
        let (text, _) = rest.split_once(&format!("</{name}>"))?;
        Some(text.trim()).filter(|text| !text.is_empty())
    }

    /// The size that the headers announce.
    #[must_use]
    pub fn content_length(&self) -> Option<u64> {
        self.headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
    }
}

fn plain(character: char) -> char {
    if character.is_control() { ' ' } else { character }
}

impl fmt::Debug for Answer {
    /// Neither headers nor body: both may hold what must not be shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Answer({})", self.words())
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words())
    }
}

impl StdError for Answer {}

/// Why there is no answer, or not all of it.
#[derive(Debug, Clone)]
pub struct Failure {
    /// Whether there never was a connection, so that nothing was sent.
    pub unsent: bool,
    /// The whole chain of causes in words, without the address, which may hold a signature.
    pub words: String,
}

impl Failure {
    /// What an HTTP error says about the request.
    #[must_use]
    pub fn new(error: &HttpError) -> Self {
        let mut failure = Self::told(error);
        failure.unsent |= error.kind() == HttpErrorKind::Connect;
        failure
    }

    /// What any error that has an HTTP error among its causes says about the request.
    fn told(error: &(dyn StdError + 'static)) -> Self {
        let unsent = never_connected(error);
        let mut words = String::new();
        let mut cause = innermost_http(error).source();
        while let Some(error) = cause {
            let text = error.to_string();
            if !words.ends_with(&text) {
                if !words.is_empty() {
                    words.push_str(": ");
                }
                words.push_str(&text);
            }
            cause = error.source();
        }
        Self { unsent, words }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

impl StdError for Failure {}

/// The HTTP error among the causes, whose own causes hold no address; or the error itself.
fn innermost_http<'a>(error: &'a (dyn StdError + 'static)) -> &'a (dyn StdError + 'static) {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.is::<HttpError>() {
            return error;
        }
        cause = error.source();
    }
    error
}

/// A time limit on connecting is a timeout to `object_store`; only `reqwest` knows which it was.
fn never_connected(error: &(dyn StdError + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.downcast_ref::<reqwest::Error>().is_some_and(reqwest::Error::is_connect) {
            return true;
        }
        cause = error.source();
    }
    false
}
