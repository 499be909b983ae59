//! What the gateway reports to the [`metrics`] recorder in use.

use metrics::Unit;

pub(crate) const STORED: &str = "cloudbank_tahoe_stored_bytes";
pub(crate) const STRANGERS: &str = "cloudbank_tahoe_strangers_total";
pub(crate) const UPLOADS: &str = "cloudbank_tahoe_uploads";

/// Tells the recorder in use the units and meanings of the metrics. Once, when it is installed.
///
/// | metric | type |
/// |---|---|
/// | `cloudbank_tahoe_stored_bytes` | gauge: the bytes of all shares, as far as this server knows |
/// | `cloudbank_tahoe_strangers_total` | counter: requests without the right swissnum |
/// | `cloudbank_tahoe_uploads` | gauge: uploads of shares under way |
pub fn describe_metrics() {
    metrics::describe_gauge!(STORED, Unit::Bytes, "bytes of all shares of Tahoe-LAFS");
    metrics::describe_counter!(STRANGERS, Unit::Count, "requests without the right swissnum");
    metrics::describe_gauge!(UPLOADS, Unit::Count, "uploads of shares under way");
}
