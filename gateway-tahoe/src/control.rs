//! A server under test: its clock stands still until it is told to go on, and what it keeps can be asked for.
//!
//! For a listener on the loopback interface of a test, and for nothing else: who can reach it sees what clients must not.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt as _, Limited};
use serde_json::{Value, json};

use crate::error::Result;
use crate::{AnswerBody, Clock as _, Gateway, Kind, StillClock, StorageIndex};

/// The longest body of a request.
const BODY_BYTES_MAX: usize = 4096;

/// Answers a test:
///
/// | request | answer |
/// |---|---|
/// | `GET /now` | `{"now": SECONDS}`, since the Unix epoch |
/// | `POST /advance` with `{"seconds": N}` | moves the clock forward, ends uploads whose time is up, and answers as `/now` |
/// | `GET /leases/SI` | `[{"share_number", "expiration_time", "renew_hash", "cancel_hash"}]`, hashes in hexadecimal digits |
/// | `GET /advisories` | `[{"time", "type", "storage_index", "share_number", "reason"}]`, oldest first |
#[derive(Debug, Clone)]
pub struct Control {
    gateway: Gateway,
    clock: StillClock,
}

impl Control {
    /// Controls a gateway that goes by this clock.
    #[must_use]
    pub fn new(gateway: Gateway, clock: StillClock) -> Self {
        Self { gateway, clock }
    }

    /// Answers a request.
    pub async fn call<B>(&self, request: Request<B>) -> Response<AnswerBody>
    where
        B: Body<Data = Bytes> + Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path();
        match (&parts.method, path) {
            (&Method::GET, "/now") => said(StatusCode::OK, &json!({ "now": self.clock.now() })),
            (&Method::POST, "/advance") => {
                let body = Limited::new(body, BODY_BYTES_MAX).collect().await;
                let body = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
                let given: Value = serde_json::from_slice(&body).unwrap_or_default();
                let Some(seconds) = given.get("seconds").and_then(whole) else {
                    return wrong("the body must be {\"seconds\": N}, where N is not negative");
                };
                let now = self.clock.advance(seconds);
                answer(self.gateway.uploads().sweep().await.map(|_| json!({ "now": now })))
            }
            (&Method::GET, "/advisories") => answer(self.advisories().await),
            (&Method::GET, path) => {
                let index = path.strip_prefix("/leases/").and_then(StorageIndex::parse);
                match index {
                    Some(index) => answer(self.leases(index).await),
                    None => none(),
                }
            }
            _ => none(),
        }
    }

    async fn leases(&self, index: StorageIndex) -> Result<Value> {
        let all = self.gateway.uploads().shares().leases(index).await?;
        let mut told = Vec::new();
        for (number, leases) in all {
            for lease in leases {
                told.push(json!({
                    "share_number": number,
                    "expiration_time": lease.expires,
                    "renew_hash": data_encoding::HEXLOWER.encode(&lease.renew_hash),
                    "cancel_hash": data_encoding::HEXLOWER.encode(&lease.cancel_hash),
                }));
            }
        }
        Ok(told.into())
    }

    async fn advisories(&self) -> Result<Value> {
        let all = self.gateway.uploads().shares().advisories().await?;
        let told = all.into_iter().map(|advisory| {
            json!({
                "time": advisory.time,
                "type": match advisory.kind {
                    Kind::Immutable => "immutable",
                    Kind::Mutable => "mutable",
                },
                "storage_index": advisory.index.to_string(),
                "share_number": advisory.number,
                "reason": advisory.reason,
            })
        });
        Ok(told.collect())
    }
}

/// Seconds, of which parts count up: a test that says 0.5 wants some time to pass.
fn whole(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| {
        let seconds = value.as_f64().filter(|seconds| *seconds >= 0.0)?;
        Some(seconds.ceil() as u64)
    })
}

fn answer(done: Result<Value>) -> Response<AnswerBody> {
    match done {
        Ok(value) => said(StatusCode::OK, &value),
        Err(error) => {
            said(StatusCode::INTERNAL_SERVER_ERROR, &json!({ "error": error.to_string() }))
        }
    }
}

fn wrong(why: &str) -> Response<AnswerBody> {
    said(StatusCode::BAD_REQUEST, &json!({ "error": why }))
}

fn none() -> Response<AnswerBody> {
    let why = "there are GET /now, POST /advance, GET /leases/SI and GET /advisories";
    said(StatusCode::NOT_FOUND, &json!({ "error": why }))
}

fn said(status: StatusCode, value: &Value) -> Response<AnswerBody> {
    let mut response = Response::new(Bytes::from(format!("{value}\n")).into());
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}
