//! Spans as OTLP has them, in JSON (<https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>).

use std::time::SystemTime;

use serde_json::{Value as Json, json};

use super::{Span, Value};

/// `SPAN_KIND_INTERNAL`, `SPAN_KIND_SERVER` and `STATUS_CODE_ERROR`.
const INTERNAL: u8 = 1;
const SERVER: u8 = 2;
const ERROR: u8 = 2;

/// The body of a request to a collector.
pub(super) fn encode(service: &str, spans: &[Span]) -> Vec<u8> {
    let resource = [
        attribute("service.name", &Value::Text(service.to_owned())),
        attribute("service.version", &Value::Text(env!("CARGO_PKG_VERSION").to_owned())),
    ];
    let spans: Vec<Json> = spans.iter().map(span).collect();
    let body = json!({"resourceSpans": [{
        "resource": {"attributes": resource},
        "scopeSpans": [{"scope": {"name": "cloudbank"}, "spans": spans}],
    }]});
    body.to_string().into_bytes()
}

fn span(span: &Span) -> Json {
    let mut told = json!({
        "traceId": format!("{:032x}", span.trace),
        "spanId": format!("{:016x}", span.id),
        "name": span.name,
        "kind": if span.is_server { SERVER } else { INTERNAL },
        // Numbers of 64 bits are text there.
        "startTimeUnixNano": nanos(span.began),
        "endTimeUnixNano": nanos(span.ended),
        "attributes": span.fields.iter().map(|(name, value)| attribute(name, value)).collect::<Vec<_>>(),
    });
    if let Some(parent) = span.parent {
        told["parentSpanId"] = format!("{parent:016x}").into();
    }
    if span.failed {
        told["status"] = json!({"code": ERROR});
    }
    told
}

fn attribute(name: &str, value: &Value) -> Json {
    let value = match value {
        Value::Text(text) => json!({"stringValue": text}),
        Value::Number(number) => json!({"intValue": number.to_string()}),
    };
    json!({"key": name, "value": value})
}

fn nanos(time: SystemTime) -> String {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    since.as_nanos().to_string()
}
