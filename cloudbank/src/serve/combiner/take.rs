//! What takes the commits of other servers.

use gateway_http::{Handler, Peer, Refusal, RequestBody};
use gateway_s3::Body;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use storage_txn::{COMBINE_BYTES_MAX, CombineKey, ErrorKind, Store};

use super::{MESSAGE_TYPE, PATH};

/// Takes the commits of other servers.
#[derive(Clone)]
pub(crate) struct Taker {
    store: Store,
    key: CombineKey,
}

impl Taker {
    pub(super) fn new(store: Store, key: CombineKey) -> Self {
        Self { store, key }
    }
}

impl Handler for Taker {
    type Body = Body;

    fn operation(&self, _: &Request<RequestBody>) -> &'static str {
        "Combine"
    }

    async fn call(&self, request: Request<RequestBody>) -> Response<Body> {
        if request.uri().path() != PATH {
            return said(
                StatusCode::NOT_FOUND,
                "servers combine commits here, and nothing else is served",
            );
        }
        if *request.method() != Method::POST {
            return said(StatusCode::METHOD_NOT_ALLOWED, "POST is answered here");
        }
        let peer = request.extensions().get::<Peer>().map(|peer| peer.address.ip());
        let message = match Limited::new(request.into_body(), COMBINE_BYTES_MAX).collect().await {
            Ok(message) => message.to_bytes(),
            Err(error) => return said(StatusCode::BAD_REQUEST, &error.to_string()),
        };
        match self.store.combine(&self.key, message).await {
            Ok(answer) => {
                let mut response = Response::new(Body::from(answer));
                let kind = HeaderValue::from_static(MESSAGE_TYPE);
                response.headers_mut().insert(CONTENT_TYPE, kind);
                response
            }
            Err(error) => {
                tracing::warn!(?peer, "no commits were taken: {error}");
                let status = match error.kind() {
                    ErrorKind::Storage(storage_core::ErrorKind::PermissionDenied) => {
                        StatusCode::FORBIDDEN
                    }
                    ErrorKind::LimitExceeded => StatusCode::PAYLOAD_TOO_LARGE,
                    _ => StatusCode::BAD_REQUEST,
                };
                said(status, &error.to_string())
            }
        }
    }

    fn refuse(&self, refusal: Refusal, _: &Request<()>) -> Response<Body> {
        said(refusal.status(), &refusal.to_string())
    }
}

fn said(status: StatusCode, text: &str) -> Response<Body> {
    let mut response = Response::new(Body::from(format!("{text}\n")));
    *response.status_mut() = status;
    response
}
