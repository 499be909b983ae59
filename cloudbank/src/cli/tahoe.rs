//! The words of `tahoe`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::store::StoreWhich;

/// Which server of Tahoe-LAFS.
#[derive(Debug, Clone, Args)]
pub(crate) struct TahoeWhich {
    #[command(flatten)]
    pub(crate) which: StoreWhich,
    /// The folder of the server [default: that of [tahoe]]; also where the store is, when there is no configuration
    #[arg(long, value_name = "FOLDER")]
    pub(crate) dir: Option<PathBuf>,
    /// The name of the server in its store [default: that of [tahoe]]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TahoeCommand {
    /// Print what a client needs to use the server: a servers.yaml
    #[command(after_help = "\
It goes into the folder `private` of the client's node. All clients must be given the same: they derive
their secrets from what is in it. With --json, what an introducer is told.

Examples:
  cloudbank tahoe announce > ~/.tahoe/private/servers.yaml
  cloudbank tahoe announce --location storage.example.org:3457
  cloudbank tahoe announce --dir node")]
    Announce {
        #[command(flatten)]
        which: TahoeWhich,
        /// Where clients reach the server, HOST:PORT; may be given several times [default: what the running server has
        /// written to its file `nurl`, then the location in [tahoe]]
        #[arg(long, value_name = "HOST:PORT")]
        location: Vec<String>,
    },
    /// Say how much is stored, and how much of it is due to go
    Status {
        #[command(flatten)]
        which: TahoeWhich,
    },
    /// List shares: kind, storage index, number, size, leases, when the last of them ends
    #[command(after_help = "\
Examples:
  cloudbank tahoe shares
  cloudbank tahoe shares cciqinrhvlkhxe4mujew3issii      those of one file
  cloudbank tahoe shares --limit 100 --json | jq .size")]
    Shares {
        #[command(flatten)]
        which: TahoeWhich,
        /// Only those of the file of this storage index
        #[arg(value_name = "STORAGE-INDEX")]
        index: Option<String>,
        /// At most so many
        #[arg(long, value_name = "N")]
        limit: Option<u64>,
    },
    /// List the leases of the shares of a file
    Leases {
        #[command(flatten)]
        which: TahoeWhich,
        /// The storage index of the file
        #[arg(value_name = "STORAGE-INDEX")]
        index: String,
    },
    /// List what clients have reported as corrupt, oldest first
    Advisories {
        #[command(flatten)]
        which: TahoeWhich,
    },
    /// Let go of shares whose leases have all ended
    #[command(after_help = "\
Looks at what is due, and at nothing else. A server does it by itself where [tahoe] has `expire = true`.

Examples:
  cloudbank tahoe gc --dry-run
  cloudbank tahoe gc --after 30days")]
    Gc {
        #[command(flatten)]
        which: TahoeWhich,
        /// For how long the leases must have ended
        #[arg(long, value_name = "TIME", default_value = "0s", value_parser = humantime::parse_duration)]
        after: Duration,
        /// Only say what would go
        #[arg(long)]
        dry_run: bool,
    },
    /// Take over a stock server: its shares, and who it is
    #[command(after_help = "\
FOLDER is that of the stock node, which must not be running, or its `storage` folder alone. Nothing in it
is changed. What is there already is not stored again, so an import that was interrupted goes on when it
is started anew. At the end all bytes and leases are compared with what is stored.

From the folder of a node the server also becomes who the node was, so that clients may go on writing to
their mutable files: that takes the same tub id. A server that is somebody already refuses that.

Examples:
  cloudbank tahoe import ~/.tahoe --dir node
  cloudbank tahoe import ~/.tahoe/storage --dir node         only the shares
  cloudbank tahoe import ~/.tahoe --verify-only              compare the shares, and store nothing")]
    Import {
        #[command(flatten)]
        which: TahoeWhich,
        /// The folder of the stock server
        #[arg(value_name = "FOLDER")]
        folder: PathBuf,
        /// Leave the server who it is
        #[arg(long)]
        no_identity: bool,
        /// Do not compare everything at the end
        #[arg(long, conflicts_with = "verify_only")]
        no_verify: bool,
        /// Only compare
        #[arg(long)]
        verify_only: bool,
    },
    /// Write all shares as a storage folder of the stock server
    #[command(after_help = "\
Containers that are there with the same bytes stay, so an export that was interrupted goes on.

Examples:
  cloudbank tahoe export /srv/stock/storage --dir node")]
    Export {
        #[command(flatten)]
        which: TahoeWhich,
        /// The folder, which is made when it is not there
        #[arg(value_name = "FOLDER")]
        folder: PathBuf,
    },
    /// Keep a copy of who the server is, or make it that again
    #[command(subcommand)]
    Identity(IdentityCommand),
}

#[derive(Debug, Subcommand)]
pub(crate) enum IdentityCommand {
    /// Write the identity of the server to a file that only you can read, or to standard output
    #[command(after_help = "\
Keep it where it cannot be lost, and where nobody else can read it: without it nobody can write to
the mutable files on the server, and who has it can pretend to be the server.

Examples:
  cloudbank tahoe identity export server-1.identity
  cloudbank tahoe identity export - | gpg -e > server-1.identity.gpg")]
    Export {
        #[command(flatten)]
        which: TahoeWhich,
        /// The file; `-` is standard output
        #[arg(default_value = "-")]
        file: PathBuf,
    },
    /// Make the server who it was: puts an identity into its store and its folder
    #[command(after_help = "\
A server that has another identity keeps it, unless you say --replace: its clients know it by that.

Examples:
  cloudbank tahoe identity import server-1.identity
  cloudbank tahoe identity import ~/.tahoe       that of a stock node: its key, its names and its secrets")]
    Import {
        #[command(flatten)]
        which: TahoeWhich,
        /// The file, or the folder of a stock node; `-` is standard input
        file: PathBuf,
        /// Also when the server has another identity, which is lost then
        #[arg(long)]
        replace: bool,
    },
}
