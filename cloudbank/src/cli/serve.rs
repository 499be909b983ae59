//! The words of `serve`.

use clap::{Args, ValueEnum};

use super::store::StoreWhich;

/// What can be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Served {
    /// The S3 protocol
    S3,
    /// Everything that is configured
    All,
}

#[derive(Debug, Clone, Args)]
#[command(after_help = "\
With no configuration it serves a store in ./data, which it makes, on 127.0.0.1:9000, with an access
key that it makes up once and keeps in ./cloudbank-keys.toml. Where to listen, keys and their rights,
TLS and limits are in the tables [s3] and [server] of the configuration.

Any number of servers may serve the same store, on any machines. With the table [combiner] they put
their commits together, which saves requests.

Examples:
  cloudbank serve
  cloudbank serve --listen 127.0.0.1:0 --json      on a free port; where, as JSON
  cloudbank serve --listen :9000 --admin off       on every address of this machine
  cloudbank serve --provider aws --config /etc/cloudbank.toml")]
pub(crate) struct ServeArgs {
    /// What to serve
    #[arg(value_enum, default_value = "all")]
    pub(crate) what: Served,
    #[command(flatten)]
    pub(crate) which: StoreWhich,
    /// Where to listen, instead of what the configuration says; may be given several times
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Vec<String>,
    /// Where the operator is served, or `off`, instead of what the configuration says
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) admin: Option<String>,
}
