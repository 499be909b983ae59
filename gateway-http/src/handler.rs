//! What answers requests.

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;

use bytes::Bytes;
use http::{Request, Response, StatusCode};

use crate::body::{BoxError, RequestBody};

/// What answers the requests that the server lets in.
///
/// The extensions of each request hold its [`RequestId`](crate::RequestId) and its [`Peer`].
pub trait Handler: Clone + Send + Sync + 'static {
    /// The body of an answer. It is not polled faster than the client reads.
    type Body: http_body::Body<Data = Bytes, Error = BoxError> + Send + 'static;

    /// What a request asks for, in a word, for metrics and logs: one of a bounded number of words.
    fn operation(&self, request: &Request<RequestBody>) -> &'static str;

    /// Answers a request. The future is dropped when the client goes away or the server is cut off.
    fn call(
        &self,
        request: Request<RequestBody>,
    ) -> impl Future<Output = Response<Self::Body>> + Send;

    /// Says, in the protocol's own words, that the server does not let a request in or see it to its end.
    fn refuse(&self, refusal: Refusal, request: &Request<()>) -> Response<Self::Body>;
}

/// Why a request is not let in, or not seen to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// There is more to do than is taken on at a time. Come back later.
    Busy,
    /// The body is longer than any may be.
    TooLarge,
    /// It took longer than any request may; what it did is unknown.
    TimedOut,
    /// It does not say for which host it is, or says it twice.
    Host,
}

impl Refusal {
    /// The status that says it.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::Busy | Self::TimedOut => StatusCode::SERVICE_UNAVAILABLE,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Host => StatusCode::BAD_REQUEST,
        }
    }

    /// In a word, for metrics.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::TooLarge => "too_large",
            Self::TimedOut => "timed_out",
            Self::Host => "host",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Busy => "the server has more to do than it takes on at a time",
            Self::TooLarge => "the body is larger than this server takes",
            Self::TimedOut => "the request took longer than this server allows",
            Self::Host => "a request has one Host header",
        })
    }
}

/// How many bytes of its body an answer holds at most: an extension of it, for one that does not say how long it is.
/// Without it such a body is taken for a large one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnswerBytes(pub u64);

/// Who sent a request: an extension of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// The address at the other end of the connection.
    pub address: SocketAddr,
    /// Whether it came over TLS.
    pub tls: bool,
}
