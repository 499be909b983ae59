//! Where requests of Tahoe-LAFS clients come in, and those of a test that controls the server.

use bytes::Bytes;
use gateway_http::{Handler, Refusal, RequestBody};
use gateway_tahoe::{AnswerBody, Control, Gateway};
use http::{Request, Response};

/// Answers the storage protocol.
#[derive(Clone)]
pub(crate) struct Tahoe {
    gateway: Gateway,
}

impl Tahoe {
    pub(crate) fn new(gateway: Gateway) -> Self {
        Self { gateway }
    }
}

impl Handler for Tahoe {
    type Body = AnswerBody;

    fn operation(&self, request: &Request<RequestBody>) -> &'static str {
        Gateway::operation(request)
    }

    async fn call(&self, request: Request<RequestBody>) -> Response<AnswerBody> {
        self.gateway.call(request).await
    }

    fn refuse(&self, refusal: Refusal, _: &Request<()>) -> Response<AnswerBody> {
        refused(refusal)
    }
}

/// Answers a test.
#[derive(Clone)]
pub(crate) struct Controlled(pub(crate) Control);

impl Handler for Controlled {
    type Body = AnswerBody;

    fn operation(&self, _: &Request<RequestBody>) -> &'static str {
        "Control"
    }

    async fn call(&self, request: Request<RequestBody>) -> Response<AnswerBody> {
        self.0.call(request).await
    }

    fn refuse(&self, refusal: Refusal, _: &Request<()>) -> Response<AnswerBody> {
        refused(refusal)
    }
}

fn refused(refusal: Refusal) -> Response<AnswerBody> {
    let mut response = Response::new(Bytes::from(format!("{refusal}\n")).into());
    *response.status_mut() = refusal.status();
    let text = http::HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(http::header::CONTENT_TYPE, text);
    response
}
