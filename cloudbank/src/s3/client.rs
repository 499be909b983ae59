//! Requests: signed, sent, sent again where that is safe, and answered.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use backend_s3::{KeySource, Keys};
use bytes::{Bytes, BytesMut};
use chrono::Utc;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use indicatif::ProgressBar;
use serde::de::DeserializeOwned;
use storage_core::{Effect, ErrorKind};

use super::bucket::is_bucket_name;
use super::endpoint::Endpoint;
use super::failure::Failure;
use super::sign::{self, Signer, UNSIGNED, joined};
use super::wire::{Sent, Trust, Wire};
use super::xml;

/// No answer that is read as a whole is larger.
const TEXT_BYTES_MAX: usize = 64 << 20;
/// A body has so much more time for each of so many bytes.
const SLOWEST_BYTES_PER_SECOND: u64 = 32 << 10;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(10);

pub(crate) type Result<T> = std::result::Result<T, Failure>;

/// How a service is spoken to.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) endpoint: Endpoint,
    pub(crate) keys: KeySource,
    pub(crate) region: String,
    pub(crate) trust: Trust,
    /// How often a request is sent again.
    pub(crate) retries: u32,
    /// How long the service may keep silent.
    pub(crate) silence_max: Duration,
    /// How many requests there are at a time.
    pub(crate) connections: usize,
}

/// A service, and who asks.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    settings: Settings,
    wire: Wire,
    /// Where buckets are that are not in the region of the settings.
    regions: Mutex<BTreeMap<String, String>>,
}

/// A request.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) bucket: String,
    pub(crate) key: String,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Bytes,
    /// The hash of the body, once it is known.
    hash: Option<String>,
    /// How much the service has to work through before it answers, besides the body.
    pub(crate) work_bytes: u64,
    /// Where the bytes are counted that have been sent.
    pub(crate) bar: Option<ProgressBar>,
}

impl Call {
    pub(crate) fn new(method: Method, bucket: &str, key: &str) -> Self {
        Self {
            method,
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            query: Vec::new(),
            headers: Vec::new(),
            body: Bytes::new(),
            hash: None,
            work_bytes: 0,
            bar: None,
        }
    }

    pub(crate) fn query(mut self, name: &str, value: impl ToString) -> Self {
        self.query.push((name.to_owned(), value.to_string()));
        self
    }

    pub(crate) fn header(mut self, name: &str, value: impl ToString) -> Self {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }

    pub(crate) fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// With the hash of the body, so that it need not be computed once more.
    pub(crate) fn hashed(mut self, hash: String) -> Self {
        self.hash = Some(hash);
        self
    }

    fn mutates(&self) -> bool {
        self.method != Method::GET && self.method != Method::HEAD
    }
}

impl Client {
    /// # Errors
    ///
    /// What is wrong with the settings.
    pub(crate) fn new(settings: Settings) -> std::result::Result<Self, String> {
        let encrypted = settings.endpoint.is_encrypted();
        let wire = Wire::new(&settings.trust, encrypted, settings.connections)?;
        let regions = Mutex::default();
        Ok(Self { inner: Arc::new(Inner { settings, wire, regions }) })
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.inner.settings.endpoint
    }

    pub(crate) fn region(&self) -> &str {
        &self.inner.settings.region
    }

    /// How long the service may keep silent within an answer.
    pub(crate) fn silence_max(&self) -> Duration {
        self.inner.settings.silence_max
    }

    /// The answer to a request that may be sent several times, without its body.
    ///
    /// # Errors
    ///
    /// The last one, when there have been as many as there may be.
    pub(crate) async fn call(&self, call: Call) -> Result<Response<Incoming>> {
        let call = call.with_hash();
        self.repeated(async || self.once(&call).await).await
    }

    /// The head of the answer, and its body as a whole.
    ///
    /// # Errors
    ///
    /// As [`call`](Self::call).
    pub(crate) async fn text(&self, call: Call) -> Result<(HeaderMap, Bytes)> {
        let call = call.with_hash();
        self.repeated(async || {
            let (head, body) = self.once(&call).await?.into_parts();
            let body = self.whole(body, call.mutates()).await?;
            // Some requests are answered with success before it is known whether they succeed.
            if let Some(error) = xml::error(&body) {
                let status = StatusCode::INTERNAL_SERVER_ERROR;
                let error = Failure::of_answer(status, &error.code, &error.message, call.mutates());
                return Err(error);
            }
            Ok((head.headers, body))
        })
        .await
    }

    /// The answer as it is meant.
    ///
    /// # Errors
    ///
    /// As [`call`](Self::call), and for an answer that means nothing.
    pub(crate) async fn read<T: DeserializeOwned>(&self, call: Call) -> Result<T> {
        let (_, body) = self.text(call).await?;
        xml::read(&body)
    }

    /// An address that anybody may use for so long.
    ///
    /// # Errors
    ///
    /// Without keys there is nothing to sign with.
    pub(crate) async fn presign(&self, call: &Call, expires_in: Duration) -> Result<String> {
        let region = self.region_of(&call.bucket);
        let Some(keys) = self.keys().await? else {
            let message = "there is no access key to sign with";
            return Err(Failure::new(ErrorKind::PermissionDenied, Effect::NotApplied, message));
        };
        let signer = Signer { keys: &keys, region: &region, time: Utc::now() };
        let address = self.endpoint().address(&region, &call.bucket, &call.key);
        Ok(signer.presigned(call.method.as_str(), &address, &call.query, expires_in))
    }

    /// Does something again while it may succeed a little later.
    pub(crate) async fn repeated<T>(&self, work: impl AsyncFn() -> Result<T>) -> Result<T> {
        let mut pause = FIRST_PAUSE;
        let mut unknown = false;
        for left in (0..=self.inner.settings.retries).rev() {
            let mut failure = match work().await {
                Ok(done) => return Ok(done),
                Err(failure) => failure,
            };
            // What one of several attempts may have done may have been done.
            unknown |= failure.effect == Effect::Unknown;
            if left == 0 || !failure.is_transient() {
                if unknown {
                    failure.effect = Effect::Unknown;
                }
                return Err(failure);
            }
            tracing::info!("sending it again: {failure}");
            let asked_for = failure.retry_after.unwrap_or_default().min(PAUSE_MAX);
            tokio::time::sleep(jittered(pause).max(asked_for)).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
        unreachable!("the last attempt returns")
    }

    /// The answer to one attempt; the region of the bucket is found out on the way.
    async fn once(&self, call: &Call) -> Result<Response<Incoming>> {
        let region = self.region_of(&call.bucket);
        match self.attempt(call, &region).await {
            Err(Failure { region: Some(other), .. }) if other != region => {
                tracing::info!("the bucket `{}` is in {other}", call.bucket);
                self.note_region(&call.bucket, &other);
                self.attempt(call, &other).await
            }
            answer => answer,
        }
    }

    async fn attempt(&self, call: &Call, region: &str) -> Result<Response<Incoming>> {
        let settings = &self.inner.settings;
        let address = settings.endpoint.address(region, &call.bucket, &call.key);
        let mut headers = call.headers.clone();
        if let Some(keys) = self.keys().await? {
            let signer = Signer { keys: &keys, region, time: Utc::now() };
            let hash = call.hash.as_deref().unwrap_or(UNSIGNED);
            let (method, query) = (call.method.as_str(), &call.query);
            headers.extend(signer.headers(method, &address, query, &call.headers, hash));
        }
        let mut request = Request::builder()
            .method(call.method.clone())
            .uri(address.url(&joined(&call.query)))
            .header("user-agent", concat!("cloudbank/", env!("CARGO_PKG_VERSION")));
        if call.method == Method::PUT || call.method == Method::POST {
            // Of an empty body it would not be said, and some services ask for it.
            request = request.header("content-length", call.body.len());
        }
        for (name, value) in &headers {
            request = request.header(name.as_str(), value.as_str());
        }
        let body = Sent::new(call.body.clone(), call.bar.clone());
        let request = request.body(body).map_err(|error| {
            Failure::new(ErrorKind::InvalidKey, Effect::NotApplied, error.to_string())
        })?;
        tracing::debug!("{} {}", call.method, address.url(""));
        let length = call.body.len() as u64 + call.work_bytes;
        let patience =
            settings.silence_max + Duration::from_secs(length / SLOWEST_BYTES_PER_SECOND);
        let answer = self.inner.wire.send(request, patience, call.mutates()).await?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        Err(self.refusal(answer, call).await)
    }

    /// What an answer says that is no success.
    async fn refusal(&self, answer: Response<Incoming>, call: &Call) -> Failure {
        let (head, body) = answer.into_parts();
        // That the reason did not arrive is not the reason.
        let body = self.whole(body, false).await.unwrap_or_default();
        let mut error = xml::error(&body).unwrap_or_default();
        // An answer to HEAD has no body to say so in.
        if head.status == StatusCode::BAD_REQUEST
            && call.method == Method::HEAD
            && !is_bucket_name(&call.bucket)
        {
            error.code = "InvalidBucketName".to_owned();
        }
        let header = |name: &str| {
            head.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
        };
        let mut failure =
            Failure::of_answer(head.status, &error.code, &error.message, call.mutates());
        failure.request_id = header("x-amz-request-id").or(error.request_id);
        failure.retry_after =
            header("retry-after").and_then(|text| text.parse().ok()).map(Duration::from_secs);
        let elsewhere = matches!(head.status.as_u16(), 301 | 307 | 400);
        failure.region = header("x-amz-bucket-region").or(error.region).filter(|_| elsewhere);
        failure
    }

    async fn whole(&self, body: Incoming, mutates: bool) -> Result<Bytes> {
        let mut body = body;
        let mut whole = BytesMut::new();
        while let Some(piece) = self.piece(&mut body).await.map_err(|mut failure| {
            // It was done, perhaps, but what came of it is not known.
            if mutates {
                failure.effect = Effect::Unknown;
            }
            failure
        })? {
            if whole.len() + piece.len() > TEXT_BYTES_MAX {
                return Err(Failure::wrong_answer("the answer has no end"));
            }
            whole.extend_from_slice(&piece);
        }
        Ok(whole.freeze())
    }

    /// The next bytes of a body.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unavailable`] when it breaks off.
    pub(crate) async fn piece(&self, body: &mut Incoming) -> Result<Option<Bytes>> {
        let silence = self.silence_max();
        loop {
            let broken =
                |why: String| Failure::new(ErrorKind::Unavailable, Effect::NotApplied, why);
            match tokio::time::timeout(silence, body.frame()).await {
                Ok(None) => return Ok(None),
                Ok(Some(Ok(frame))) => {
                    if let Ok(piece) = frame.into_data() {
                        return Ok(Some(piece));
                    }
                }
                Ok(Some(Err(error))) => {
                    let why = super::wire::told(&error);
                    return Err(broken(format!("the answer broke off: {why}")));
                }
                Err(_) => {
                    let seconds = silence.as_secs();
                    return Err(broken(format!("the answer did not go on within {seconds} s")));
                }
            }
        }
    }

    fn region_of(&self, bucket: &str) -> String {
        let regions = self.inner.regions.lock().unwrap_or_else(PoisonError::into_inner);
        regions.get(bucket).cloned().unwrap_or_else(|| self.inner.settings.region.clone())
    }

    fn note_region(&self, bucket: &str, region: &str) {
        let mut regions = self.inner.regions.lock().unwrap_or_else(PoisonError::into_inner);
        regions.insert(bucket.to_owned(), region.to_owned());
    }

    async fn keys(&self) -> Result<Option<Keys>> {
        self.inner.settings.keys.keys().await.map_err(|error| {
            let why = super::wire::told(&error);
            Failure::new(ErrorKind::PermissionDenied, Effect::NotApplied, why)
        })
    }
}

impl Call {
    fn with_hash(mut self) -> Self {
        if self.hash.is_none() {
            self.hash = Some(sign::hash(&self.body));
        }
        self
    }
}

/// A half to all of it, so that those who were turned away together do not come back together.
fn jittered(pause: Duration) -> Duration {
    let share = f64::from(getrandom::u32().unwrap_or(u32::MAX / 2)) / f64::from(u32::MAX);
    pause.mul_f64(0.5 + share / 2.0)
}
