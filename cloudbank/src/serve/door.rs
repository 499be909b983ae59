//! Where S3 requests come in: the gateway behind the HTTP server.

use std::sync::Arc;

use gateway_http::{AnswerBytes, Handler, Peer, Refusal, RequestBody, RequestId};
use gateway_s3::{Body, Gateway, Origin};
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use tracing::field::Empty;
use tracing::{Instrument, Span};

use super::health::Health;
use super::operation::operation;
use super::traces::{TARGET, TRACEPARENT};

/// The header with the id of a request, as S3 has it.
const REQUEST_ID: &str = "x-amz-request-id";
/// What a feed of changes holds: the lines of a commit, and most commits are small. It must not wait for memory among
/// large answers, nor they for it.
const FEED_BYTES: u64 = 64 << 10;
/// The most bytes of the name of a bucket.
const BUCKET_BYTES_MAX: usize = 63;
/// After how many seconds who was refused may come back.
const RETRY_AFTER_SECONDS: u16 = 1;

/// Answers S3 requests, and those for the health of the server.
#[derive(Clone)]
pub(crate) struct S3 {
    gateway: Gateway,
    health: Health,
    /// Below which each bucket has a host of its own.
    domains: Arc<[String]>,
}

impl S3 {
    pub(crate) fn new(gateway: Gateway, health: Health, domains: &[String]) -> Self {
        Self { gateway, health, domains: domains.into() }
    }
}

impl S3 {
    /// What a collector is told of a request: no key of an object.
    fn span<B>(&self, request: &Request<B>, operation: &str, id: Option<RequestId>) -> Span {
        let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
        tracing::info_span!(
            target: TARGET,
            "request",
            otel.name = operation,
            traceparent = header(TRACEPARENT).unwrap_or_default(),
            http.request.method = request.method().as_str(),
            http.response.status_code = Empty,
            aws.request_id = id.map(|id| id.to_string()).unwrap_or_default(),
            aws.s3.bucket = self.bucket(request),
        )
    }

    /// The bucket that a request names, whether there is one or not.
    fn bucket<'a, B>(&self, request: &'a Request<B>) -> &'a str {
        let bucket = match self.in_host(request) {
            Some(bucket) => bucket,
            None => request.uri().path().trim_start_matches('/').split('/').next().unwrap_or(""),
        };
        bucket.split('@').next().filter(|name| name.len() <= BUCKET_BYTES_MAX).unwrap_or("")
    }

    /// The bucket that the host names.
    fn in_host<'a, B>(&self, request: &'a Request<B>) -> Option<&'a str> {
        let host = request.headers().get(http::header::HOST).and_then(|host| host.to_str().ok());
        let host = request.uri().host().or(host).unwrap_or_default();
        let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
        let below = |domain: &String| host.strip_suffix(domain.as_str())?.strip_suffix('.');
        self.domains.iter().find_map(below)
    }
}

impl Handler for S3 {
    type Body = Body;

    fn operation(&self, request: &Request<RequestBody>) -> &'static str {
        let in_host = self.in_host(request).is_some();
        operation(request.method(), request.uri(), request.headers(), in_host)
    }

    async fn call(&self, request: Request<RequestBody>) -> Response<Body> {
        let id = request.extensions().get::<RequestId>().copied();
        // No bucket has such a name.
        let mut response = match self.health.answer(request.method(), request.uri().path()).await {
            Some(answer) => answer.map(Body::from),
            None => {
                let mut request = request;
                let peer = request.extensions().get::<Peer>().copied();
                let origin = Origin {
                    id: id.map(|id| id.to_string()).unwrap_or_default(),
                    address: peer.map(|peer| peer.address.ip()),
                    tls: peer.is_some_and(|peer| peer.tls),
                };
                request.extensions_mut().insert(origin);
                let operation = self.operation(&request);
                let span = self.span(&request, operation, id);
                let answer = self.gateway.call(request.map(Body::http_body_unsync));
                let mut answer = answer.instrument(span.clone()).await;
                span.record("http.response.status_code", answer.status().as_u16());
                if operation == "ListChanges" {
                    answer.extensions_mut().insert(AnswerBytes(FEED_BYTES));
                }
                answer
            }
        };
        if let Some(id) = id {
            name(&mut response, id);
        }
        response
    }

    fn refuse(&self, refusal: Refusal, request: &Request<()>) -> Response<Body> {
        let (status, code) = match refusal {
            Refusal::Busy => (StatusCode::SERVICE_UNAVAILABLE, "SlowDown"),
            Refusal::TooLarge => (StatusCode::BAD_REQUEST, "EntityTooLarge"),
            Refusal::Host => (StatusCode::BAD_REQUEST, "InvalidRequest"),
            _ => (StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable"),
        };
        let id = request.extensions().get::<RequestId>().copied();
        let shown = id.map(|id| id.to_string()).unwrap_or_default();
        let text = match *request.method() {
            Method::HEAD => String::new(),
            // Nothing in it needs to be escaped.
            _ => format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code>\
                 <Message>{refusal}</Message><RequestId>{shown}</RequestId></Error>"
            ),
        };
        let mut response = Response::new(Body::from(text));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, RETRY_AFTER_SECONDS.into());
        }
        if let Some(id) = id {
            name(&mut response, id);
        }
        response
    }
}

/// Gives an answer the id under which its request is in the logs.
fn name(response: &mut Response<Body>, id: RequestId) {
    if let Ok(id) = HeaderValue::from_str(&id.to_string()) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
}
