//! What the server reports to the [`metrics`] recorder in use.

use metrics::Unit;

pub(crate) const REQUESTS: &str = "cloudbank_http_requests_total";
pub(crate) const SECONDS: &str = "cloudbank_http_request_seconds";
pub(crate) const RECEIVED: &str = "cloudbank_http_received_bytes_total";
pub(crate) const SENT: &str = "cloudbank_http_sent_bytes_total";
pub(crate) const UNDER_WAY: &str = "cloudbank_http_requests_under_way";
pub(crate) const REFUSED: &str = "cloudbank_http_refused_total";
pub(crate) const CONNECTIONS: &str = "cloudbank_http_connections";
pub(crate) const ACCEPTED: &str = "cloudbank_http_connections_total";
pub(crate) const CUT: &str = "cloudbank_http_connections_cut_total";

/// Tells the recorder in use the units and meanings of the metrics. Once, when it is installed.
///
/// | metric | type | labels |
/// |---|---|---|
/// | `cloudbank_http_requests_total` | counter | `operation`, `status` (`none` if the client went away before the answer) |
/// | `cloudbank_http_request_seconds` | histogram | `operation`: until the last byte of the answer was taken |
/// | `cloudbank_http_received_bytes_total`, `cloudbank_http_sent_bytes_total` | counter | `operation`: bytes of bodies |
/// | `cloudbank_http_requests_under_way` | gauge | |
/// | `cloudbank_http_refused_total` | counter | `reason`: `busy`, `too_large`, `timed_out` |
/// | `cloudbank_http_connections` | gauge | |
/// | `cloudbank_http_connections_total` | counter | `kind`: `plain`, `tls` |
/// | `cloudbank_http_connections_cut_total` | counter | `reason`: `idle`, `stalled`, `handshake` |
pub fn describe_metrics() {
    metrics::describe_counter!(REQUESTS, Unit::Count, "requests, by operation and status");
    metrics::describe_histogram!(
        SECONDS,
        Unit::Seconds,
        "time until the last byte of the answer was taken"
    );
    metrics::describe_counter!(RECEIVED, Unit::Bytes, "bytes of bodies of requests");
    metrics::describe_counter!(SENT, Unit::Bytes, "bytes of bodies of answers");
    metrics::describe_gauge!(UNDER_WAY, Unit::Count, "requests being answered or waiting");
    metrics::describe_counter!(REFUSED, Unit::Count, "requests that were not let in, by reason");
    metrics::describe_gauge!(CONNECTIONS, Unit::Count, "open connections");
    metrics::describe_counter!(ACCEPTED, Unit::Count, "connections accepted, by kind");
    metrics::describe_counter!(CUT, Unit::Count, "connections the server ended, by reason");
}
