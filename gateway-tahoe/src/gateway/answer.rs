//! Answers, as the client expects them.

use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt};
use http::header::{CONTENT_RANGE, CONTENT_TYPE, GetAll};
use http::{HeaderValue, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use storage_txn::ErrorKind;

use crate::error::{Error, Refusal, Result};
use crate::shares::Reader;

/// What everything is but the bytes of shares.
pub(super) const CBOR: &str = "application/cbor";
const BYTES: HeaderValue = HeaderValue::from_static("application/octet-stream");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// Bytes of shares up to so many are held until they are sent.
const SMALL_BYTES_MAX: u64 = 64 << 10;

/// The body of an answer. Says how long it is.
pub struct AnswerBody {
    first: Option<Bytes>,
    rest: Option<BoxStream<'static, Result<Bytes>>>,
    left: u64,
}

impl std::fmt::Debug for AnswerBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AnswerBody").field("left", &self.left).finish_non_exhaustive()
    }
}

impl From<Bytes> for AnswerBody {
    fn from(bytes: Bytes) -> Self {
        let left = bytes.len() as u64;
        Self { first: Some(bytes).filter(|bytes| !bytes.is_empty()), rest: None, left }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        let next = match this.first.take() {
            Some(first) => Some(Ok(first)),
            None => match &mut this.rest {
                Some(rest) => std::task::ready!(rest.poll_next_unpin(context)),
                None => None,
            },
        };
        Poll::Ready(next.map(|piece| {
            let piece = piece?;
            this.left = this.left.saturating_sub(piece.len() as u64);
            Ok(Frame::data(piece))
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// An answer in words.
pub(super) fn said(status: StatusCode, text: &str) -> Response<AnswerBody> {
    let mut response = Response::new(Bytes::from(format!("{text}\n")).into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, TEXT);
    response
}

/// An answer without anything in it.
pub(super) fn empty(status: StatusCode) -> Response<AnswerBody> {
    let mut response = Response::new(Bytes::new().into());
    *response.status_mut() = status;
    response
}

/// An answer in CBOR, if that is what is wanted.
pub(super) fn cbor_of(
    accept: GetAll<'_, HeaderValue>,
    status: StatusCode,
    content: Vec<u8>,
) -> Response<AnswerBody> {
    if !accepted(accept) {
        return said(StatusCode::NOT_ACCEPTABLE, "there are answers in application/cbor only");
    }
    let mut response = Response::new(Bytes::from(content).into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(CBOR));
    response
}

/// Whether CBOR is what is wanted most. As in the stock server, a kind that is said in full comes before one with a star
/// in it, then the one with more weight, then the first; and a star alone is not enough.
pub(super) fn accepted(accept: GetAll<'_, HeaderValue>) -> bool {
    let Some(value) = accept.iter().next() else { return true };
    let Ok(text) = value.to_str() else { return false };
    let mut best: Option<((usize, u32), String)> = None;
    for item in text.split(',') {
        let mut parts = item.split(';').map(str::trim);
        let mut kind = parts.next().unwrap_or_default().to_owned();
        let mut weight = 1000;
        for part in parts {
            match part.split_once('=') {
                Some((name, value)) if name.trim().eq_ignore_ascii_case("q") => {
                    let value: f64 = value.trim().parse().unwrap_or(0.0);
                    weight = (value.clamp(0.0, 1.0) * 1000.0) as u32;
                }
                _ => kind = format!("{kind};{part}"),
            }
        }
        if kind.is_empty() {
            continue;
        }
        let stars = kind.split('/').filter(|part| *part == "*").count();
        let rank = (2_usize.saturating_sub(stars), weight);
        if best.as_ref().is_none_or(|(found, _)| rank > *found) {
            best = Some((rank, kind));
        }
    }
    best.is_none_or(|(_, kind)| kind == CBOR)
}

/// The bytes of a share: all of it, or a range that is said so.
pub(super) async fn share(
    reader: Reader,
    range: Range<u64>,
    told: Option<String>,
) -> Result<Response<AnswerBody>> {
    let left = range.end - range.start;
    let mut pieces = reader.clone().stream(range.clone()).boxed();
    // What can be said to be wrong is said before anything else.
    let mut first = pieces.next().await.transpose()?;
    let mut rest =
        first.as_ref().is_some_and(|first| (first.len() as u64) < left).then_some(pieces);
    if left > SMALL_BYTES_MAX {
        // Who waits to send it must not hold it: it is in the cache, most likely, when it is its turn.
        first = None;
        rest = Some(reader.stream(range).boxed());
    }
    let mut response = Response::new(AnswerBody { first, rest, left });
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, BYTES);
    if let Some(told) = told {
        let told = HeaderValue::try_from(told);
        headers.insert(
            CONTENT_RANGE,
            told.map_err(|_| Error::Damaged("a range is no header".into()))?,
        );
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    Ok(response)
}

/// The same answer, said to be bytes.
pub(super) fn as_bytes(mut answer: Response<AnswerBody>) -> Response<AnswerBody> {
    answer.headers_mut().insert(CONTENT_TYPE, BYTES);
    answer
}

/// What an error is to the client: the one place where errors become statuses.
pub(super) fn failed(error: &Error) -> Response<AnswerBody> {
    let status = match error {
        Error::Refused(refusal) => match refusal {
            Refusal::WrongSecret => StatusCode::UNAUTHORIZED,
            Refusal::NotFound => StatusCode::NOT_FOUND,
            Refusal::Complete => StatusCode::METHOD_NOT_ALLOWED,
            Refusal::Conflict(_) => StatusCode::CONFLICT,
            Refusal::OutOfRange => StatusCode::RANGE_NOT_SATISFIABLE,
            Refusal::Invalid(_) => StatusCode::BAD_REQUEST,
            Refusal::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Refusal::NoSpace => StatusCode::INSUFFICIENT_STORAGE,
            Refusal::ReadOnly => StatusCode::FORBIDDEN,
        },
        Error::Body(_) => StatusCode::BAD_REQUEST,
        Error::Store(error) => match error.kind() {
            // Not one to try again, as 503 is: a copy, or a store that was sealed, stays so.
            ErrorKind::ReadOnly => return failed(&Refusal::ReadOnly.into()),
            ErrorKind::Storage(_)
            | ErrorKind::Conflict
            | ErrorKind::CommitUnknown(_)
            | ErrorKind::Cancelled
            | ErrorKind::SessionReaped => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        },
        Error::Damaged(_) | Error::File { .. } | Error::InUse(_) => {
            StatusCode::INTERNAL_SERVER_ERROR
        }
    };
    if status.is_server_error() {
        // Details are for the operator.
        tracing::warn!("a request failed: {error}");
        return said(status, "the server could not do it");
    }
    // The client does not read what these say, and a connection with an answer that nobody reads is not used again.
    match status {
        StatusCode::UNAUTHORIZED
        | StatusCode::NOT_FOUND
        | StatusCode::METHOD_NOT_ALLOWED
        | StatusCode::CONFLICT
        | StatusCode::RANGE_NOT_SATISFIABLE => empty(status),
        _ => said(status, &error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use http::header::ACCEPT;

    use super::*;

    #[test]
    fn cbor_must_be_what_is_wanted_most() {
        let check = |value: Option<&str>, expected: bool| {
            let mut headers = HeaderMap::new();
            if let Some(value) = value {
                headers.insert(ACCEPT, value.parse().unwrap());
            }
            assert_eq!(accepted(headers.get_all(ACCEPT)), expected, "{value:?}");
        };
        check(None, true);
        check(Some("application/cbor"), true);
        check(Some("application/cbor, text/html"), true);
        check(Some("text/html, application/cbor"), false);
        check(Some("text/html;q=0.5, application/cbor"), true);
        check(Some("application/cbor;q=0.5, */*"), true);
        check(Some("*/*"), false);
        check(Some("application/*"), false);
        check(Some("application/json"), false);
    }
}
