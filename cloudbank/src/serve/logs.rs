//! How a server logs.

use tracing_subscriber::EnvFilter;

use crate::cli::Global;
use crate::config::LogFormat;

/// Crates that log in words that are known to hold no secret.
const OURS: [&str; 8] = [
    "cloudbank",
    "gateway_http",
    "gateway_s3",
    "storage_wrappers",
    "storage_txn",
    "backend_fs",
    "backend_s3",
    "backend_azure",
];

/// From now on logs go to standard error: what an operator should know of; with `-v` every request, with `-vv` every one
/// to the provider too.
pub(crate) fn start(global: &Global, format: LogFormat) {
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
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // Somebody else's subscriber stays in place.
    let _ = match format {
        LogFormat::Json => logs.json().flatten_event(true).with_span_list(false).try_init(),
        LogFormat::Text => logs
            .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
            .with_target(false)
            .try_init(),
    };
}
