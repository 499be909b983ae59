//! Traces for OpenTelemetry: spans of requests, of commits and of requests to the provider, sent to a collector.
//!
//! Off unless an endpoint is named. What is sent is what the spans say: no keys of objects, no secrets.

mod otlp;
mod send;
mod settings;

use std::time::SystemTime;

use metrics::Unit;
use tokio::sync::mpsc;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

pub(crate) use send::Sender;
pub(crate) use settings::TraceSettings;

/// Spans that are made for traces only have this target, so that logs are not longer for them.
pub(crate) const TARGET: &str = gateway_s3::SPANS;
/// The span of a request to the provider.
const PROVIDER_REQUEST: &str = "provider_request";
/// A field that holds what the client said of its own span (W3C Trace Context).
pub(crate) const TRACEPARENT: &str = "traceparent";
/// A field that holds what a span is called, where that is not known beforehand.
const NAME: &str = "otel.name";
/// The most spans that wait to be sent. Further ones are dropped.
const WAITING_MAX: usize = 4096;

const SENT: &str = "cloudbank_traces_sent_total";
const DROPPED: &str = "cloudbank_traces_dropped_total";

pub(super) fn describe_metrics() {
    metrics::describe_counter!(SENT, Unit::Count, "spans that a collector has taken");
    metrics::describe_counter!(DROPPED, Unit::Count, "spans that none has taken, by reason");
}

/// Gathers spans as they end. Never waits: what there is no room for is dropped, and counted.
pub(crate) struct Spans {
    sender: mpsc::Sender<Span>,
    /// Of traces that begin here, which share is kept: from 0 to 1.
    share: f64,
}

/// A span that has ended.
#[derive(Debug, Clone, PartialEq)]
struct Span {
    trace: u128,
    id: u64,
    parent: Option<u64>,
    name: String,
    /// It answers somebody else's request; otherwise it is a part of what is done here.
    is_server: bool,
    began: SystemTime,
    ended: SystemTime,
    fields: Vec<(&'static str, Value)>,
    failed: bool,
}

#[derive(Debug, Clone, PartialEq)]
enum Value {
    Text(String),
    Number(i64),
}

/// A span that has not ended.
struct Open {
    span: Span,
    sampled: bool,
}

/// What somebody said of the span that a request is part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Remote {
    trace: u128,
    id: u64,
    sampled: bool,
}

impl Spans {
    /// With the other end, where they come out.
    fn new(share: f64) -> (Self, mpsc::Receiver<Span>) {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        (Self { sender, share }, receiver)
    }

    /// Which spans are wanted.
    pub(crate) fn wants(metadata: &Metadata<'_>) -> bool {
        metadata.is_span() && (metadata.target() == TARGET || metadata.name() == PROVIDER_REQUEST)
    }

    fn is_sampled(&self, trace: u128) -> bool {
        // The lower half is drawn at random.
        (trace as u64 >> 11) as f64 / ((1_u64 << 53) as f64) < self.share
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Spans {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        let above = span.parent().and_then(|parent| {
            let extensions = parent.extensions();
            let above = extensions.get::<Open>()?;
            Some((above.span.trace, above.span.id, above.sampled))
        });
        let remote = fields.remote.map(|remote| (remote.trace, remote.id, remote.sampled));
        let (trace, parent, sampled) = match above.or(remote) {
            Some((trace, parent, sampled)) => (trace, Some(parent), sampled),
            None => {
                let trace = (u128::from(random()) << 64) | u128::from(random());
                (trace, None, self.is_sampled(trace))
            }
        };
        let now = SystemTime::now();
        let name = fields.name.take().unwrap_or_else(|| attributes.metadata().name().to_owned());
        let span_made = Span {
            trace,
            id: random(),
            parent,
            name,
            is_server: above.is_none() && attributes.metadata().target() == TARGET,
            began: now,
            ended: now,
            failed: fields.failed,
            fields: fields.all,
        };
        span.extensions_mut().insert(Open { span: span_made, sampled });
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut extensions = span.extensions_mut();
        let Some(open) = extensions.get_mut::<Open>() else { return };
        let mut fields = Fields::default();
        values.record(&mut fields);
        open.span.fields.extend(fields.all);
        open.span.failed |= fields.failed;
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else { return };
        let Some(open) = span.extensions_mut().remove::<Open>() else { return };
        if !open.sampled {
            return;
        }
        let ended = Span { ended: SystemTime::now(), ..open.span };
        if self.sender.try_send(ended).is_err() {
            metrics::counter!(DROPPED, "reason" => "full").increment(1);
        }
    }
}

/// The fields of a span, as they are sent.
#[derive(Default)]
struct Fields {
    all: Vec<(&'static str, Value)>,
    name: Option<String>,
    remote: Option<Remote>,
    failed: bool,
}

impl Fields {
    fn text(&mut self, field: &Field, text: String) {
        match field.name() {
            TRACEPARENT => self.remote = Remote::parse(&text),
            NAME => self.name = Some(text),
            _ if text.is_empty() => {}
            name => self.all.push((name, Value::Text(text))),
        }
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.text(field, format!("{value:?}"));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.record_i64(field, i64::try_from(value).unwrap_or(i64::MAX));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.failed |= field.name() == "http.response.status_code" && value >= 500;
        self.all.push((field.name(), Value::Number(value)));
    }
}

impl Remote {
    /// What `traceparent` says: `00-`, 32 digits, `-`, 16 digits, `-`, 2 digits. What is longer is of a later version,
    /// and read as far as this one goes.
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let mut next = |digits: usize| {
            let part = parts.next()?;
            let plain = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
            (part.len() == digits && part.bytes().all(plain)).then_some(part)
        };
        let version = next(2)?;
        let (trace, id) = (next(32)?, next(16)?);
        let flags = u8::from_str_radix(next(2)?, 16).ok()?;
        let trace = u128::from_str_radix(trace, 16).ok().filter(|trace| *trace != 0)?;
        let id = u64::from_str_radix(id, 16).ok().filter(|id| *id != 0)?;
        let more = parts.next().is_some();
        let known = version != "ff" && !(version == "00" && more);
        known.then_some(Self { trace, id, sampled: flags & 1 == 1 })
    }
}

/// Not zero, which is no id.
fn random() -> u64 {
    getrandom::u64().unwrap_or_default().max(1)
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[test]
    fn what_a_client_says_of_its_span_is_taken_or_passed_over() {
        let trace = "0af7651916cd43dd8448eb211c80319c";
        let good = format!("00-{trace}-b7ad6b7169203331-01");
        let remote = Remote::parse(&good).unwrap();
        assert_eq!((format!("{:032x}", remote.trace), remote.sampled), (trace.to_owned(), true));
        assert_eq!(remote.id, 0xb7ad_6b71_6920_3331);
        assert!(!Remote::parse(&good.replace("-01", "-00")).unwrap().sampled);
        assert!(Remote::parse(&format!("cc-{}-more", &good[3..])).is_some());
        for bad in [
            "",
            "00",
            &good.to_uppercase(),
            &format!("{good}-more"),
            &format!("ff-{}", &good[3..]),
            &good.replace(trace, &"0".repeat(32)),
            &good.replace("b7ad6b7169203331", &"0".repeat(16)),
            &good.replace("-01", "-1"),
        ] {
            assert_eq!(Remote::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn spans_are_of_one_trace_and_what_has_no_room_is_dropped() {
        let (spans, mut ended) = Spans::new(1.0);
        let filtered = spans.with_filter(tracing_subscriber::filter::filter_fn(Spans::wants));
        let subscriber = tracing_subscriber::registry().with(filtered);
        let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        tracing::subscriber::with_default(subscriber, || {
            let request = tracing::info_span!(
                target: TARGET, "request", traceparent = parent, otel.name = "PutObject",
                http.response.status_code = tracing::field::Empty,
            );
            request.in_scope(|| {
                // One that is not wanted does not break the chain.
                let _other = tracing::info_span!("other").entered();
                tracing::debug_span!("provider_request", operation = "put").in_scope(|| {});
            });
            request.record("http.response.status_code", 503);
            drop(request);
            for _ in 0..WAITING_MAX {
                let _one = tracing::info_span!(target: TARGET, "more");
            }
        });
        let (put, request) = (ended.try_recv().unwrap(), ended.try_recv().unwrap());
        assert_eq!(
            (&request.name[..], request.is_server, request.failed),
            ("PutObject", true, true)
        );
        assert_eq!(request.parent, Some(0xb7ad_6b71_6920_3331));
        assert_eq!(request.fields, [("http.response.status_code", Value::Number(503))]);
        assert_eq!((put.trace, put.parent), (request.trace, Some(request.id)));
        assert_eq!((&put.name[..], put.is_server), ("provider_request", false));
        let mut more = 0;
        while ended.try_recv().is_ok() {
            more += 1;
        }
        assert_eq!(more, WAITING_MAX - 2);
    }

    #[test]
    fn only_a_share_of_traces_is_kept_and_parts_go_with_the_whole() {
        let (spans, mut ended) = Spans::new(0.25);
        let subscriber = tracing_subscriber::registry().with(spans);
        tracing::subscriber::with_default(subscriber, || {
            for _ in 0..1000 {
                tracing::info_span!(target: TARGET, "whole").in_scope(|| {
                    let _part = tracing::info_span!(target: TARGET, "part");
                });
            }
        });
        let mut kept = Vec::new();
        while let Ok(span) = ended.try_recv() {
            kept.push((span.name, span.trace));
        }
        // So far off is one in many billions.
        assert!((2 * 150..2 * 350).contains(&kept.len()), "{}", kept.len());
        for pair in kept.chunks(2) {
            assert_eq!((&pair[0].0[..], &pair[1].0[..], pair[0].1), ("part", "whole", pair[1].1));
        }
    }
}
