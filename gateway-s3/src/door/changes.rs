//! Change feeds, as they are asked for and answered: lines of JSON (`docs/s3-extensions.md`).

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, StatusCode};
use http_body::Frame;
use http_body_util::StreamBody;
use s3s::dto::TimestampFormat;
use s3s::{Body, S3Request, S3Response};
use serde::Serialize;
use tokio::time::Instant;

use crate::door::refuse::told;
use crate::door::{Inner, convert, present};
use crate::error::{Code, Error, Result};
use crate::op::caller::Caller;
use crate::op::changes::{Event, EventKind, Events, Feed, Place};

/// The most events of one answer, and how many there are if it is not said.
const EVENTS_MAX: usize = 10_000;
const EVENTS: usize = 1000;

/// What is asked of a feed.
#[derive(Debug, Default, PartialEq, Eq)]
struct Asked {
    from: Option<Place>,
    prefix: String,
    wait: Duration,
    max: usize,
    cursor: Option<String>,
}

/// How many feeds are being waited for. One less when it is dropped.
#[derive(Debug)]
struct Waiting(Arc<AtomicUsize>);

/// An answer that is being given.
struct Answer {
    feed: Feed,
    until: Option<Instant>,
    left: usize,
    /// It has ended, and so much has been said.
    ended: bool,
    _waiting: Option<Waiting>,
}

/// One line.
#[derive(Debug, Serialize)]
struct Line<'a> {
    #[serde(skip_serializing_if = "Option::is_none", flatten)]
    event: Option<Told<'a>>,
    /// Where to go on.
    next: String,
}

#[derive(Debug, Serialize)]
struct Told<'a> {
    version: u64,
    time: String,
    event: &'static str,
    key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    etag: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version_id: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    delete_marker: bool,
}

impl Inner {
    /// Answers what asks for a feed, or for its cursor to be taken away.
    pub(super) async fn changes(&self, bucket: &str, request: S3Request<Body>) -> S3Response<Body> {
        let caller = self.caller(&request);
        let answered = async {
            let name = present(bucket, &request.headers)?;
            let asked = Asked::read(request.uri.query().unwrap_or_default())?;
            if request.method == Method::DELETE {
                let none = || Error::new(Code::InvalidArgument, "no cursor is named");
                let cursor = asked.cursor.as_deref().ok_or_else(none)?;
                self.core.remove_cursor(&caller, &name, cursor).await?;
                return Ok(S3Response::with_status(Body::empty(), StatusCode::NO_CONTENT));
            }
            self.feed(&caller, &name, asked).await
        };
        answered.await.unwrap_or_else(|error: Error| {
            let answer = told(error).to_http_response();
            let Ok(answer) = answer else {
                return S3Response::with_status(Body::empty(), StatusCode::INTERNAL_SERVER_ERROR);
            };
            let (parts, body) = answer.into_parts();
            let mut response = S3Response::with_status(body, parts.status);
            response.headers = parts.headers;
            response
        })
    }

    async fn feed(&self, caller: &Caller, name: &str, asked: Asked) -> Result<S3Response<Body>> {
        let most = self.options.changes_wait_max;
        let waiting = match asked.wait.is_zero() {
            true => None,
            false => Some(self.wait_for_changes()?),
        };
        let until = waiting.is_some().then(|| Instant::now() + asked.wait.min(most));
        let from = match &asked.cursor {
            Some(cursor) => Some(self.core.cursor(caller, name, cursor, asked.from).await?),
            None => asked.from,
        };
        let feed = self.core.changes(caller, name, from, &asked.prefix).await?;
        let answer = Answer { feed, until, left: asked.max, ended: false, _waiting: waiting };
        let frames = stream::unfold(answer, async |mut answer| {
            let lines = answer.lines().await?;
            Some((Ok::<_, Infallible>(Frame::data(lines)), answer))
        });
        let mut response = S3Response::new(Body::http_body_unsync(StreamBody::new(frames)));
        let kind = HeaderValue::from_static("application/x-ndjson");
        response.headers.insert(CONTENT_TYPE, kind);
        Ok(response)
    }

    fn wait_for_changes(&self) -> Result<Waiting> {
        let waiting = Waiting(self.waiting.clone());
        if waiting.0.fetch_add(1, Ordering::Relaxed) >= self.options.changes_waiting_max {
            return Err(Error::new(Code::SlowDown, "too many wait for changes; try again later"));
        }
        Ok(waiting)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Asked {
    fn read(query: &str) -> Result<Self> {
        let mut asked = Self { max: EVENTS, ..Self::default() };
        for part in query.split('&') {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let value = value.replace('+', " ");
            let value = percent_encoding::percent_decode_str(&value).decode_utf8();
            let wrong = |what: &str| {
                Err(Error::new(Code::InvalidArgument, format!("{name} is not {what}")))
            };
            let Ok(value) = value else { return wrong("UTF-8") };
            match name {
                "from" => asked.from = Some(value.parse()?),
                "prefix" => asked.prefix = value.into_owned(),
                "wait" => match value.parse() {
                    Ok(seconds) => asked.wait = Duration::from_secs(seconds),
                    Err(_) => return wrong("a number of seconds"),
                },
                "max" => match value.parse() {
                    Ok(max) if (1..=EVENTS_MAX).contains(&max) => asked.max = max,
                    _ => return wrong(&format!("a number from 1 to {EVENTS_MAX}")),
                },
                "cursor" if value.is_empty() => return wrong("the name of a cursor"),
                "cursor" => asked.cursor = Some(value.into_owned()),
                _ => {}
            }
        }
        Ok(asked)
    }
}

impl Answer {
    /// What is to be sent next; `None` after the last line.
    async fn lines(&mut self) -> Option<Bytes> {
        if self.ended {
            return None;
        }
        let events = match self.next().await {
            Ok(events) => events,
            Err(error) => {
                // The status was sent: without a last line it is clear that there is more.
                let code = error.refusal().code.name();
                tracing::warn!(code, "a feed of changes broke off");
                return None;
            }
        };
        Some(match events {
            Some(events) => self.told(&events),
            None => {
                self.ended = true;
                line(&Line { event: None, next: self.feed.place().to_string() })
            }
        })
    }

    /// The next events; `None` when there are none in time.
    async fn next(&mut self) -> Result<Option<Events>> {
        if let Some(events) = self.feed.past().await? {
            return Ok(Some(events));
        }
        let Some(until) = self.until else { return Ok(None) };
        match tokio::time::timeout_at(until, self.feed.next()).await {
            Ok(events) => Ok(Some(events?)),
            Err(_) => Ok(None),
        }
    }

    /// The lines of a commit, as far as they are still asked for.
    fn told(&mut self, events: &Events) -> Bytes {
        let (all, passed) = (events.events.len(), events.passed);
        let mut lines = Vec::new();
        for (at, event) in events.events.iter().enumerate().take(self.left) {
            let place = match at + 1 == all {
                true => Place { seen: events.version.0, events: 0 },
                false => Place { seen: events.version.0 - 1, events: passed + at + 1 },
            };
            lines
                .extend(line(&Line { event: Some(shown(events, event)), next: place.to_string() }));
        }
        self.ended = all >= self.left;
        if all > self.left {
            let place = Place { seen: events.version.0 - 1, events: passed + self.left };
            lines.extend(line(&Line { event: None, next: place.to_string() }));
        } else if self.ended {
            lines.extend(line(&Line { event: None, next: self.feed.place().to_string() }));
        }
        self.left -= self.left.min(all);
        lines.into()
    }
}

fn shown<'a>(events: &Events, event: &'a Event) -> Told<'a> {
    let object = &event.object;
    let put = event.kind != EventKind::Delete;
    Told {
        version: events.version.0,
        time: time(events.time),
        event: match event.kind {
            EventKind::Put => "put",
            EventKind::Delete => "delete",
            EventKind::Update => "update",
        },
        key: &event.key,
        etag: put.then(|| format!("\"{}\"", object.etag())),
        size: put.then_some(object.size),
        version_id: (!object.is_null()).then(|| object.version_id()),
        delete_marker: object.delete_marker,
    }
}

fn time(micros: u64) -> String {
    let mut text = Vec::new();
    // A time that cannot be written is one of the far future.
    let _ = convert::timestamp(micros).format(TimestampFormat::DateTime, &mut text);
    String::from_utf8(text).unwrap_or_default()
}

fn line(line: &Line<'_>) -> Bytes {
    // Text and numbers only: there is nothing in it that JSON has no form for.
    let mut text = serde_json::to_vec(line).unwrap_or_default();
    text.push(b'\n');
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_of_a_feed_is_read_or_named() {
        let asked = Asked::read("changes&from=17.3&prefix=a%2Fb+c&wait=20&max=5&cursor=m").unwrap();
        assert_eq!(asked.from, Some(Place { seen: 17, events: 3 }));
        assert_eq!((&asked.prefix[..], asked.wait.as_secs(), asked.max), ("a/b c", 20, 5));
        assert_eq!(asked.cursor.as_deref(), Some("m"));
        assert_eq!(Asked::read("changes=").unwrap(), Asked { max: EVENTS, ..Asked::default() });
        for wrong in [
            "from=",
            "from=x",
            "from=1.",
            "from=+1",
            "from=-1",
            "wait=x",
            "max=0",
            "max=10001",
            "cursor=",
            "prefix=%ff",
        ] {
            let code = Asked::read(wrong).expect_err(wrong).code();
            assert_eq!(code, Some(Code::InvalidArgument), "{wrong}");
        }
    }
}
