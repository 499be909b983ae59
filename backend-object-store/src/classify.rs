//! What a failed request means: kind, effect, and the setting to look at.

use std::error::Error as StdError;

use http::StatusCode;
use object_store::client::HttpError;
use storage_core::{Error, ErrorKind};

use crate::service::{Call, Service};
use crate::wire::{Answer, Failure, Outcome};

/// What to say when a service cannot put with conditions.
pub const UNSUPPORTED_WAY_OUT: &str =
    "with the setting `conditional_put = \"unsupported\"` it can be used for plain objects";

/// The error for a request that did not succeed.
///
/// `cause` is what `object_store` made of it, and is looked at only if the request was never sent.
pub(crate) fn error(
    service: &dyn Service,
    call: Call<'_>,
    outcome: Option<Outcome>,
    cause: &(dyn StdError + 'static),
) -> Error {
    match outcome {
        Some(Outcome::Answered(answer)) => answered(service, call, answer),
        Some(Outcome::Failed(failure)) => unanswered(service, call, &failure),
        None => unsent(service, cause),
    }
}

/// The error for an answer that is not what was asked for.
pub(crate) fn answered(service: &dyn Service, call: Call<'_>, answer: Answer) -> Error {
    let error = service.explain(call, &answer).unwrap_or_else(|| by_status(service, call, &answer));
    let error = match answer.retry_after() {
        Some(time) => error.with_retry_after(time),
        None => error,
    };
    // As a cause only where the message does not say it already: both are printed.
    if error.message().contains(&answer.words()) { error } else { error.with_source(answer) }
}

/// The error for a request without an answer.
pub(crate) fn unanswered(service: &dyn Service, call: Call<'_>, failure: &Failure) -> Error {
    let host = host(&service.place().url);
    let address = service.place().address;
    let words = &failure.words;
    if !failure.unsent {
        in_doubt(call, ErrorKind::Unavailable, format!("{host}: {words}"))
    } else if words.contains("certificate") {
        refused(
            ErrorKind::Misconfigured,
            format!(
                "{host} is not trusted: {words}; check {address}, or give `ca_certificate` the \
                 certificate it is signed with"
            ),
        )
    } else if words.contains("InvalidContentType") || words.contains("invalid TLS") {
        refused(
            ErrorKind::Misconfigured,
            format!("{host} does not speak TLS: {words}; should `endpoint` begin with http://?"),
        )
    } else {
        refused(
            ErrorKind::Unavailable,
            format!("cannot connect to {host}: {words}; is it up, and are {address} right?"),
        )
    }
}

/// The error for a request that could not even be signed.
fn unsent(service: &dyn Service, cause: &(dyn StdError + 'static)) -> Error {
    let credentials = &service.place().credentials;
    let mut link = Some(cause);
    while let Some(error) = link {
        if let Some(http) = error.downcast_ref::<HttpError>() {
            let failure = Failure::new(http);
            let message = format!(
                "no credentials: {failure}; they are fetched over the network because of {credentials}"
            );
            return refused(ErrorKind::Unavailable, message);
        }
        link = error.source();
    }
    refused(ErrorKind::PermissionDenied, format!("no credentials; check {credentials}"))
}

/// The error for an answer whose code nobody knows.
fn by_status(service: &dyn Service, call: Call<'_>, answer: &Answer) -> Error {
    use ErrorKind as Kind;
    let words = answer.words();
    let credentials = &service.place().credentials;
    match answer.status {
        StatusCode::NOT_MODIFIED if matches!(call, Call::Get) => refused(Kind::NotModified, words),
        // An answer to reads alone (RFC 9110 §15.4.5): who gives it to a put may have stored the object.
        StatusCode::NOT_MODIFIED => in_doubt(call, Kind::Misconfigured, stranger(service, &words)),
        StatusCode::PRECONDITION_FAILED => refused(Kind::Conflict, words),
        StatusCode::RANGE_NOT_SATISFIABLE => refused(Kind::InvalidRange, words),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            refused(Kind::PermissionDenied, format!("{words}; check {credentials}"))
        }
        StatusCode::REQUEST_TIMEOUT => in_doubt(call, Kind::Unavailable, words),
        // Somebody else is at work on the same object, and the service says to try again.
        StatusCode::CONFLICT => refused(Kind::Unavailable, words),
        StatusCode::PAYLOAD_TOO_LARGE => refused(Kind::TooLarge, words),
        // A limiter stands before the work. A 503 in its place may come from behind it: see below.
        StatusCode::TOO_MANY_REQUESTS => refused(Kind::Throttled, words),
        StatusCode::NOT_IMPLEMENTED if call.is_conditional() => {
            refused(Kind::Unsupported, format!("{words}; {UNSUPPORTED_WAY_OUT}"))
        }
        StatusCode::INSUFFICIENT_STORAGE => in_doubt(call, Kind::StorageFull, words),
        // Proxies were seen to answer for a server that had done the work: measured, notes on lost
        // answers.
        StatusCode::SERVICE_UNAVAILABLE => in_doubt(call, Kind::Throttled, words),
        status if status.is_server_error() => in_doubt(call, Kind::Unavailable, words),
        StatusCode::TEMPORARY_REDIRECT => refused(
            Kind::Misconfigured,
            format!("{words}: it is temporarily elsewhere; check {}", service.place().address),
        ),
        status if status.is_redirection() => refused(
            Kind::Misconfigured,
            format!("{words}: it is elsewhere; check {}", service.place().address),
        ),
        status if status.is_success() => match call {
            Call::Get => refused(Kind::Corrupt, format!("{words}, but not an object as asked for")),
            Call::Put(_) if answer.header("etag").is_none() => {
                let words = format!("{words}, without an entity tag (`ETag`) of what was put");
                in_doubt(call, Kind::Misconfigured, stranger(service, &words))
            }
            _ => in_doubt(call, Kind::Misconfigured, stranger(service, &words)),
        },
        // The service itself always says what it does not like; somebody else answered.
        _ if answer.code().is_none() => refused(Kind::Misconfigured, stranger(service, &words)),
        _ => refused(Kind::Unexpected, words),
    }
}

fn stranger(service: &dyn Service, words: &str) -> String {
    let place = service.place();
    let address = place.address;
    let scheme = place.name.split(':').next().unwrap_or_default();
    let host = host(&place.url);
    format!("{host} does not answer as an {scheme} service does ({words}); check {address}")
}

/// An error after which nothing has happened.
pub fn refused(kind: ErrorKind, message: impl Into<String>) -> Error {
    Error::not_applied(kind, message)
}

/// An error after which a mutation may have happened.
pub fn in_doubt(call: Call<'_>, kind: ErrorKind, message: impl Into<String>) -> Error {
    if call.is_mutation() { Error::unknown(kind, message) } else { refused(kind, message) }
}

/// The scheme, host and port of an address.
fn host(url: &str) -> &str {
    let start = url.find("://").map_or(0, |at| at + 3);
    let end = url[start..].find('/').map_or(url.len(), |at| start + at);
    &url[..end]
}
