//! How a server logs.

use tracing::Level;
#[cfg(feature = "gateway-s3")]
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::filter::{FilterExt, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

#[cfg(feature = "gateway-s3")]
use super::traces::Spans;
use crate::cli::Global;
use crate::config::LogFormat;

/// Nobody is told of spans.
#[cfg(not(feature = "gateway-s3"))]
type Spans = tracing_subscriber::layer::Identity;

/// Crates that log in words that are known to hold no secret.
const OURS: [&str; 9] = [
    "cloudbank",
    "gateway_http",
    "gateway_s3",
    "gateway_tahoe",
    "storage_wrappers",
    "storage_txn",
    "backend_fs",
    "backend_s3",
    "backend_azure",
];

/// A crate that logs what clients do wrong as errors, whole bodies among it. What was answered is logged by ours.
const PROTOCOL: &str = "s3s";

/// From now on logs go to standard error: what an operator should know of; with `-v` every request, with `-vv` every one
/// to the provider too.
///
/// Spans go to a collector besides, if there is one; they are chosen without regard to what is logged.
pub(crate) fn start(global: &Global, format: LogFormat, spans: Option<Spans>) {
    let filter = EnvFilter::try_from_env("CLOUDBANK_LOG").unwrap_or_else(|_| {
        let level = match (global.quiet, global.verbose) {
            (true, _) => "warn",
            (_, 0 | 1) => "info",
            _ => "debug",
        };
        let mut filter = OURS.map(|name| format!("{name}={level}")).join(",");
        if global.verbose == 1 {
            filter += ",gateway_http=debug";
        }
        // Other people's crates stay at errors: what they log is not known to be free of secrets.
        EnvFilter::new(format!("error,{filter}"))
    });
    // Also where everything is asked for: signatures and tokens are among it.
    let filter = filter.and(filter_fn(|metadata| {
        let of = metadata.target().split("::").next().unwrap_or_default();
        OURS.contains(&of) || (of != PROTOCOL && *metadata.level() <= Level::WARN)
    }));
    let logs = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let logs = match format {
        LogFormat::Json => {
            logs.json().flatten_event(true).with_span_list(false).with_filter(filter).boxed()
        }
        LogFormat::Text => logs
            .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
            .with_target(false)
            .with_filter(filter)
            .boxed(),
    };
    #[cfg(feature = "gateway-s3")]
    let wanted = filter_fn(Spans::wants).with_max_level_hint(LevelFilter::DEBUG);
    #[cfg(feature = "gateway-s3")]
    let spans = spans.map(|spans| spans.with_filter(wanted));
    // Somebody else's subscriber stays in place.
    let _ = tracing_subscriber::registry().with(logs).with(spans).try_init();
}
