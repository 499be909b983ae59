//! What happens to every request, whatever it asks for.

use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use http::header::{CONNECTION, EXPECT, HOST};
use http::{HeaderValue, Method, Request, Response, Version};
use http_body::Body as _;
use hyper::body::Incoming;
use tokio::time::Instant;
use tracing::{Instrument, Span};

use crate::admission::Admission;
use crate::body::{RequestBody, ResponseBody};
use crate::connection::{Activity, UnderWay};
use crate::handler::{AnswerBytes, Handler, Peer, Refusal};
use crate::limits::Limits;
use crate::metrics::{RECEIVED, REFUSED, REQUESTS, SECONDS, SENT, UNDER_WAY};
use crate::request_id::RequestIds;

/// What all connections share.
#[derive(Debug)]
pub(crate) struct House {
    pub(crate) limits: Limits,
    pub(crate) admission: Admission,
    pub(crate) ids: RequestIds,
}

/// Where the requests of one connection come in.
#[derive(Debug, Clone)]
pub(crate) struct Door<H> {
    handler: H,
    house: Arc<House>,
    peer: Peer,
    activity: Activity,
}

impl<H: Handler> Door<H> {
    pub(crate) fn new(handler: H, house: Arc<House>, peer: Peer) -> Self {
        Self { handler, house, peer, activity: Activity::new() }
    }

    pub(crate) fn activity(&self) -> &Activity {
        &self.activity
    }

    /// Answers a request, or refuses it.
    pub(crate) async fn answer(
        &self,
        request: Request<Incoming>,
    ) -> Response<ResponseBody<H::Body>> {
        let limits = &self.house.limits;
        let id = self.house.ids.next();
        let mut request = request.map(|body| RequestBody::new(body, limits));
        request.extensions_mut().insert(id);
        request.extensions_mut().insert(self.peer);
        let operation = self.handler.operation(&request);
        let alone = request.version() < Version::HTTP_2;
        let expects = request.headers().get(EXPECT).is_some_and(|what| what == "100-continue");
        let span = tracing::info_span!("request", id = %id, operation);
        let record = Arc::new(Record::new(
            operation,
            request.method().clone(),
            self.peer,
            span.clone(),
            self.activity.begin(),
        ));
        request.body_mut().record(record.clone());
        let mut response = self.let_in(request).instrument(span).await;
        record.answered(response.status().as_u16());
        // It asked whether it may send a body and was given the final answer instead, as also to an empty body
        // (RFC 9110 §10.1.1). Clients of AWS then take the next answer on this connection for a part of this one.
        let unasked = expects && record.received.load(Ordering::Relaxed) == 0;
        // It still sends what nobody will read, so the connection ends here, and it must not send a request on it.
        let unread = record.unread.load(Ordering::Relaxed) && response.status().as_u16() >= 400;
        if alone && (unasked || unread) {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        let outgoing = self.activity.outgoing();
        let admission = self.house.admission.clone();
        let held = response.extensions().get::<AnswerBytes>().map(|held| held.0);
        response.map(|body| ResponseBody::new(body, held, admission, outgoing, record))
    }

    async fn let_in(&self, request: Request<RequestBody>) -> Response<H::Body> {
        let limits = &self.house.limits;
        // What is left to refuse with when the request is gone.
        let mut shell = Request::new(());
        *shell.method_mut() = request.method().clone();
        *shell.uri_mut() = request.uri().clone();
        *shell.extensions_mut() = request.extensions().clone();
        if !has_one_host(&request) {
            return self.refuse(Refusal::Host, &shell);
        }
        let size = request.body().size_hint();
        if size.lower() > limits.body_bytes_max {
            return self.refuse(Refusal::TooLarge, &shell);
        }
        let Some(_admitted) = self.house.admission.enter(size.exact()).await else {
            return self.refuse(Refusal::Busy, &shell);
        };
        let answer = self.handler.call(request);
        match tokio::time::timeout(limits.request_time_max, answer).await {
            Ok(response) => response,
            Err(_) => self.refuse(Refusal::TimedOut, &shell),
        }
    }

    fn refuse(&self, refusal: Refusal, request: &Request<()>) -> Response<H::Body> {
        metrics::counter!(REFUSED, "reason" => refusal.label()).increment(1);
        self.handler.refuse(refusal, request)
    }
}

/// Whether it says once for which host it is, as RFC 9112 §3.2 has it: of two that stand before a server, each might believe
/// another one. HTTP/2 says it in its own way, and HTTP/1.0 need not.
fn has_one_host(request: &Request<RequestBody>) -> bool {
    match request.headers().get_all(HOST).iter().count() {
        0 => request.version() != Version::HTTP_11,
        count => count == 1,
    }
}

/// What is said of a request once it is over: when this is dropped.
#[derive(Debug)]
pub(crate) struct Record {
    operation: &'static str,
    method: Method,
    peer: Peer,
    span: Span,
    began: Instant,
    /// 0 while there is no answer.
    status: AtomicU16,
    received: AtomicU64,
    sent: AtomicU64,
    unread: AtomicBool,
    failure: Mutex<Option<String>>,
    _under_way: UnderWay,
}

impl Record {
    fn new(
        operation: &'static str,
        method: Method,
        peer: Peer,
        span: Span,
        under_way: UnderWay,
    ) -> Self {
        metrics::gauge!(UNDER_WAY).increment(1);
        Self {
            operation,
            method,
            peer,
            span,
            began: Instant::now(),
            status: AtomicU16::new(0),
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            unread: AtomicBool::new(false),
            failure: Mutex::new(None),
            _under_way: under_way,
        }
    }

    fn answered(&self, status: u16) {
        self.status.store(status, Ordering::Relaxed);
    }

    pub(crate) fn received(&self, bytes: u64) {
        self.received.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Of the body of the request not all was taken.
    pub(crate) fn left_unread(&self) {
        self.unread.store(true, Ordering::Relaxed);
    }

    pub(crate) fn sent(&self, bytes: u64) {
        self.sent.fetch_add(bytes, Ordering::Relaxed);
    }

    /// The answer broke off.
    pub(crate) fn failed(&self, error: &crate::body::BoxError) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let seconds = self.began.elapsed().as_secs_f64();
        let (received, sent) = (*self.received.get_mut(), *self.sent.get_mut());
        let operation = self.operation;
        let status = match *self.status.get_mut() {
            0 => "none".to_owned(),
            status => status.to_string(),
        };
        metrics::gauge!(UNDER_WAY).decrement(1);
        metrics::histogram!(SECONDS, "operation" => operation).record(seconds);
        metrics::counter!(RECEIVED, "operation" => operation).increment(received);
        metrics::counter!(SENT, "operation" => operation).increment(sent);
        let failure = self.failure.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        let (method, peer) = (&self.method, self.peer.address);
        let ours = status.starts_with('5');
        self.span.in_scope(|| match failure {
            Some(failure) => {
                tracing::warn!(%method, status, %peer, received, sent, seconds, failure, "broke off");
            }
            None if ours => {
                tracing::warn!(%method, status, %peer, received, sent, seconds, "answered");
            }
            None => {
                tracing::debug!(%method, status, %peer, received, sent, seconds, "answered");
            }
        });
        metrics::counter!(REQUESTS, "operation" => operation, "status" => status).increment(1);
    }
}
