//! The words of `serve`.

use clap::{Args, ValueEnum};

use super::store::StoreWhich;

/// What can be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Served {
    /// The S3 protocol
    #[cfg(feature = "gateway-s3")]
    S3,
    /// The storage protocol of Tahoe-LAFS
    #[cfg(feature = "gateway-tahoe")]
    Tahoe,
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
  cloudbank serve --provider aws --config /etc/cloudbank.toml
  cloudbank serve tahoe --dir node --port 3457      shares of Tahoe-LAFS clients; node/nurl says where")]
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
    #[cfg(feature = "gateway-tahoe")]
    #[command(flatten)]
    pub(crate) tahoe: TahoeServeArgs,
}

/// What is said of the server of Tahoe-LAFS.
#[cfg(feature = "gateway-tahoe")]
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Options of `serve tahoe`")]
pub(crate) struct TahoeServeArgs {
    /// The folder of the server: its identity, its address in the file `nurl`, uploads under way; and the store, when there
    /// is no configuration
    #[arg(long, value_name = "FOLDER")]
    pub(crate) dir: Option<std::path::PathBuf>,
    /// The port to listen on; 0 is any that is free
    #[arg(long, value_name = "PORT")]
    pub(crate) port: Option<u16>,
    /// For tests: stops the clock, and listens on this port of the loopback interface for what moves it
    #[arg(long, value_name = "PORT")]
    pub(crate) control_port: Option<u16>,
}
