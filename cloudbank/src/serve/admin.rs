//! What an operator asks, on a listener of its own: health, readiness, metrics.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gateway_http::{BoxError, Handler, Refusal, RequestBody};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use storage_txn::Store;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::health::Health;
use super::metrics::Recorder;
use crate::arrays::Arrays;

/// How old the numbers of the store may be: asking for them takes two requests to the provider.
const NUMBERS_EVERY: Duration = Duration::from_secs(60);
/// How long is waited for them. Without them the rest is told.
const NUMBERS_TIME_MAX: Duration = Duration::from_secs(5);
/// What metrics come as: the text format of Prometheus.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What is said to the operator.
type Body = UnsyncBoxBody<Bytes, BoxError>;

/// Answers the operator.
#[derive(Clone)]
pub(crate) struct Admin {
    health: Health,
    recorder: Recorder,
    store: Store,
    arrays: Arrays,
    /// When the store was last asked for its numbers.
    asked: Arc<Mutex<Option<Instant>>>,
}

impl Admin {
    pub(crate) fn new(health: Health, recorder: Recorder, store: Store, arrays: Arrays) -> Self {
        Self { health, recorder, store, arrays, asked: Arc::default() }
    }

    async fn metrics(&self) -> String {
        // Who asks at the same time waits for the same numbers.
        let mut asked = self.asked.lock().await;
        if asked.is_none_or(|asked| asked.elapsed() >= NUMBERS_EVERY) {
            *asked = Some(Instant::now());
            match tokio::time::timeout(NUMBERS_TIME_MAX, self.store.info()).await {
                Ok(Ok(info)) => super::metrics::set_store(&info),
                Ok(Err(error)) => tracing::warn!("no numbers of the store: {error}"),
                Err(_) => tracing::warn!("no numbers of the store within {NUMBERS_TIME_MAX:?}"),
            }
        }
        super::metrics::set_counters(&self.store.counters());
        super::metrics::set_combining(self.store.combining().as_ref());
        super::metrics::set_maintenance(self.store.maintenance_error().is_none());
        super::metrics::set_arrays(&self.arrays);
        self.recorder.render()
    }
}

impl Handler for Admin {
    type Body = Body;

    fn operation(&self, _: &Request<RequestBody>) -> &'static str {
        "Admin"
    }

    async fn call(&self, request: Request<RequestBody>) -> Response<Body> {
        let (method, path) = (request.method(), request.uri().path());
        if !matches!(*method, Method::GET | Method::HEAD) {
            return said(StatusCode::METHOD_NOT_ALLOWED, "GET and HEAD are answered here\n");
        }
        if let Some(answer) = self.health.answer(method, path).await {
            return answer.map(body);
        }
        if path != "/-/metrics" {
            return said(StatusCode::NOT_FOUND, "there are /-/healthy, /-/ready and /-/metrics\n");
        }
        let mut response = said(StatusCode::OK, &self.metrics().await);
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(METRICS_TYPE));
        response
    }

    fn refuse(&self, refusal: Refusal, _: &Request<()>) -> Response<Body> {
        said(refusal.status(), &format!("{refusal}\n"))
    }
}

fn said(status: StatusCode, text: &str) -> Response<Body> {
    let mut response = Response::new(body(text.to_owned()));
    *response.status_mut() = status;
    response
}

fn body(text: impl Into<Bytes>) -> Body {
    Full::new(text.into()).map_err(|never| match never {}).boxed_unsync()
}
