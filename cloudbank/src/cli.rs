//! The command line: every word a user can type.

mod array;
mod replica;
#[cfg(feature = "s3")]
mod s3;
#[cfg(feature = "s3")]
mod s3_transfer;
#[cfg(feature = "serve")]
mod serve;
mod store;
#[cfg(feature = "gateway-tahoe")]
mod tahoe;
mod transfer;
mod upkeep;

use std::ffi::OsString;
use std::path::PathBuf;

pub(crate) use array::{ArrayCommand, Change, ScrubDepth, Speed, WhichArrays};
pub(crate) use replica::{ReplicaCommand, WhichReplica};
#[cfg(feature = "s3")]
pub(crate) use s3::{
    Connection, LsArgs, PresignMethod, RmArgs, S3Args, S3Command, Style, WhichVersion,
};
#[cfg(feature = "s3")]
pub(crate) use s3_transfer::{AboutArgs, Checksum, CopyArgs, Filters, SyncArgs, TransferArgs};
#[cfg(feature = "serve")]
pub(crate) use serve::{ServeArgs, Served};
pub(crate) use store::{Read, StoreCommand, StoreWhich, Write};
#[cfg(feature = "gateway-tahoe")]
pub(crate) use tahoe::{IdentityCommand, TahoeCommand, TahoeWhich};
pub(crate) use transfer::{ExportArgs, ImportArgs, StoreBenchArgs};
pub(crate) use upkeep::CollectArgs;

use clap::{ArgAction, Args, Parser, Subcommand};

/// Keeps data in any storage service: objects as they are, or a store with transactions and history.
#[derive(Debug, Parser)]
#[command(
    name = "cloudbank",
    version,
    propagate_version = true,
    max_term_width = 100,
    arg_required_else_help = true,
    after_help = "\
Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 not found, 4 conflict,
5 unknown outcome: it may have happened.

Examples:
  cloudbank serve                            serve a store in ./data to every S3 client
  cloudbank config init                      write a cloudbank.toml to start from
  cloudbank store init                       make a store on the only provider
  cloudbank store put notes/1 letter.txt     keep a file in it; what was there stays in its history
  cloudbank store get notes/1 --at '1h ago'  what it was an hour ago
  cloudbank s3 sync photos s3://photos       make a bucket as a folder is
  cloudbank provider ls -p aws --long        list what the provider `aws` holds
  cloudbank conformance -p aws               does that service keep its promises?

Without any cloudbank.toml there is one provider, `local`, which keeps its objects in ./data."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Global {
    /// The configuration [default: $CLOUDBANK_CONFIG, then ./cloudbank.toml, then the user's]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Global options")]
    pub(crate) config: Option<PathBuf>,
    /// Write results as JSON, one value a line; errors too, on standard error
    #[arg(long, global = true, help_heading = "Global options")]
    pub(crate) json: bool,
    /// Say nothing but results and errors
    #[arg(long, short, global = true, conflicts_with = "verbose", help_heading = "Global options")]
    pub(crate) quiet: bool,
    /// Say what is being done; twice, every request
    #[arg(long, short, global = true, action = ArgAction::Count, help_heading = "Global options")]
    pub(crate) verbose: u8,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write, check and show the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Work with the objects of a provider
    #[command(subcommand)]
    Provider(ProviderCommand),
    /// Work with a store: keys and values with transactions and full history
    #[command(subcommand)]
    Store(StoreCommand),
    /// Look after providers that are made of others: mirror, erasure, shard, encrypt
    #[command(subcommand)]
    Array(ArrayCommand),
    /// Copy a store to another provider, follow it there, and let the copy take its place
    #[command(subcommand)]
    Replica(ReplicaCommand),
    /// Serve a store to every S3 client, and to those of Tahoe-LAFS
    #[cfg(feature = "serve")]
    Serve(ServeArgs),
    /// Work with the buckets and objects of any S3 service
    #[cfg(feature = "s3")]
    S3(Box<S3Args>),
    /// Look after a storage server for Tahoe-LAFS
    #[cfg(feature = "gateway-tahoe")]
    #[command(subcommand)]
    Tahoe(TahoeCommand),
    /// Find out whether a provider keeps what it promises
    Conformance(ConformanceArgs),
    /// What `conformance` starts as its second process
    #[command(hide = true)]
    ConformanceWorker {
        #[command(flatten)]
        which: Which,
    },
    /// Write the completions for a shell
    #[command(after_help = "\
Examples:
  cloudbank completions bash > ~/.local/share/bash-completion/completions/cloudbank
  cloudbank completions zsh > ~/.zfunc/_cloudbank
  cloudbank completions fish > ~/.config/fish/completions/cloudbank.fish")]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Write a configuration to start from, in ./cloudbank.toml or where --config says
    #[command(after_help = "\
Examples:
  cloudbank config init
  cloudbank config init --config ~/.config/cloudbank/cloudbank.toml")]
    Init,
    /// Say everything that is wrong with the configuration
    #[command(after_help = "\
Examples:
  cloudbank config check
  cloudbank config check --connect        also open every provider
  cloudbank config check --json | jq .problems")]
    Check {
        /// Also open every provider, to see whether it can be reached
        #[arg(long)]
        connect: bool,
    },
    /// Show the configuration as it is meant: defaults filled in, paths resolved, secrets masked
    #[command(after_help = "\
Examples:
  cloudbank config show
  cloudbank config show --json")]
    Show,
}

/// Which provider.
#[derive(Debug, Clone, Args)]
pub(crate) struct Which {
    /// The name of the provider; may be left out if there is only one
    #[arg(long, short, value_name = "NAME")]
    pub(crate) provider: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ProviderCommand {
    /// List keys, in byte order
    #[command(after_help = "\
A prefix is bytes, not folders: `log/00` lists log/0001 too.

Examples:
  cloudbank provider ls
  cloudbank provider ls log/ --long
  cloudbank provider ls log/ --start-after log/0041 --limit 100
  cloudbank provider ls --json | jq .size")]
    Ls {
        #[command(flatten)]
        which: Which,
        /// Only keys that begin with this
        #[arg(default_value = "")]
        prefix: String,
        /// With sizes in bytes
        #[arg(long, short)]
        long: bool,
        /// At most this many keys
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
        limit: Option<u64>,
        /// Only keys after this one
        #[arg(long, value_name = "KEY")]
        start_after: Option<String>,
    },
    /// Store a file under a key
    #[command(after_help = "\
A key has 1 to 512 bytes of 0-9 a-z _ = ~ in segments joined by /.

Examples:
  cloudbank provider put notes/1 letter.txt
  date | cloudbank provider put notes/now -
  cloudbank provider put lock/a - --if-absent < /dev/null    exit code 4 if it is taken
  cloudbank provider put notes/1 new.txt --if-match \"$VERSION\"")]
    Put {
        #[command(flatten)]
        which: Which,
        /// The key
        key: String,
        /// The file; `-` is standard input
        file: PathBuf,
        /// Only if there is no object under the key
        #[arg(long, conflicts_with = "if_match")]
        if_absent: bool,
        /// Only if the object has this version
        #[arg(long, value_name = "VERSION")]
        if_match: Option<String>,
    },
    /// Read an object into a file
    #[command(after_help = "\
The file is replaced as a whole once everything has arrived, or not touched at all.

Examples:
  cloudbank provider get notes/1 letter.txt
  cloudbank provider get notes/1 | less
  cloudbank provider get notes/1 --range 0-99       the first hundred bytes, as in HTTP
  cloudbank provider get notes/1 --range 100-       from the 101st byte on
  cloudbank provider get notes/1 f --if-changed V   exit code 4 if it still has version V")]
    Get {
        #[command(flatten)]
        which: Which,
        /// The key
        key: String,
        /// The file; `-` is standard output
        #[arg(default_value = "-")]
        file: PathBuf,
        /// Only these bytes, counted from 0, both ends included; without B to the end
        #[arg(long, value_name = "A-B")]
        range: Option<String>,
        /// Only if the object has this version
        #[arg(long, value_name = "VERSION")]
        if_match: Option<String>,
        /// Only if the object no longer has this version
        #[arg(long, value_name = "VERSION")]
        if_changed: Option<String>,
    },
    /// Remove objects
    #[command(after_help = "\
Removing what is not there succeeds: it is as you want it.

Examples:
  cloudbank provider rm notes/1 notes/2
  cloudbank provider rm --prefix notes/          asks first
  cloudbank provider rm --prefix notes/ --yes")]
    Rm {
        #[command(flatten)]
        which: Which,
        /// The keys
        #[arg(required_unless_present = "prefix", conflicts_with = "prefix")]
        keys: Vec<String>,
        /// Everything whose key begins with this
        #[arg(long)]
        prefix: Option<String>,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
    /// Show size and version of an object
    #[command(after_help = "\
Examples:
  cloudbank provider stat notes/1
  cloudbank provider stat notes/1 --json | jq -r .version")]
    Stat {
        #[command(flatten)]
        which: Which,
        /// The key
        key: String,
    },
    /// Copy objects from one provider to another
    #[command(after_help = "\
Run it again after an interruption: what is there already with the same size is skipped. Nothing
is replaced unless --overwrite says so.

Examples:
  cloudbank provider cp local:notes/1 aws:notes/1
  cloudbank provider cp --recursive local:notes/ aws:backup/notes/
  cloudbank provider cp --recursive local: aws: --dry-run
  cloudbank provider cp --recursive local: aws: --verify --overwrite   make them equal")]
    Cp(CpArgs),
    /// Make the place: the bucket, container or folder
    #[command(after_help = "\
Examples:
  cloudbank provider create --provider aws")]
    Create {
        #[command(flatten)]
        which: Which,
    },
    /// Remove the place: the bucket, container or folder, which must be empty
    #[command(after_help = "\
Examples:
  cloudbank provider rm --provider aws --prefix '' --yes
  cloudbank provider destroy --provider aws --yes")]
    Destroy {
        #[command(flatten)]
        which: Which,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
    /// Measure latency and throughput, next to the service's usual library
    #[command(after_help = "\
Works under a random prefix and removes it again. Rounds of ours and of the raw library alternate, so
that both meet the same conditions.

Examples:
  cloudbank provider bench --provider aws
  cloudbank provider bench --sizes 4KiB,1MiB --concurrency 1,16 --count 500
  cloudbank provider bench --json > results.jsonl")]
    Bench(BenchArgs),
}

#[derive(Debug, Clone, Args)]
pub(crate) struct CpArgs {
    #[command(flatten)]
    pub(crate) which: Which,
    /// From: NAME:KEY, or NAME:PREFIX/ with --recursive
    #[arg(value_name = "SRC")]
    pub(crate) source: String,
    /// To: NAME:KEY or NAME:PREFIX/
    #[arg(value_name = "DST")]
    pub(crate) destination: String,
    /// Copy everything under the prefix
    #[arg(long, short)]
    pub(crate) recursive: bool,
    /// Replace objects that differ
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// Compare the contents of what is there already, not only the size
    #[arg(long)]
    pub(crate) verify: bool,
    /// Only say what would be done
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// How many objects at a time
    #[arg(long, value_name = "N", default_value = "16", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) concurrency: u16,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct BenchArgs {
    #[command(flatten)]
    pub(crate) which: Which,
    /// Sizes of the objects
    #[arg(long, value_name = "SIZES", value_delimiter = ',', default_value = "1KiB,64KiB,1MiB")]
    pub(crate) sizes: Vec<String>,
    /// How many requests at a time
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "1,16", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) concurrency: Vec<u16>,
    /// How many objects for each size and concurrency
    #[arg(long, value_name = "N", default_value = "200", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) count: u32,
    /// In how many alternating rounds
    #[arg(long, value_name = "N", default_value = "4", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) rounds: u32,
    /// Leave out the raw library
    #[arg(long)]
    pub(crate) no_raw: bool,
}

#[derive(Debug, Clone, Args)]
#[command(after_help = "\
It works under a random prefix, touches nothing else and leaves nothing behind, also when it is
interrupted. The seed it prints replays a run. Exit code 1 if a promise is not kept.

Levels: core (the contract), txn (what transactions need), scale (many keys), chaos (lost answers),
durability (crashes), all.

Examples:
  cloudbank conformance --provider aws
  cloudbank conformance --provider aws --level all --report markdown=report.md,junit=report.xml
  cloudbank conformance --provider aws --filter put.absent --seed 42
  cloudbank conformance --provider aws --level txn --filter race --rounds 100    2,500 races of each kind")]
pub(crate) struct ConformanceArgs {
    #[command(flatten)]
    pub(crate) which: Which,
    /// How much to ask: core, txn, scale, chaos, durability or all; several with commas
    #[arg(long, value_delimiter = ',', default_value = "core")]
    pub(crate) level: Vec<String>,
    /// Only cases whose id contains this
    #[arg(long, value_name = "ID")]
    pub(crate) filter: Option<String>,
    /// Replay the run with this seed
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// How many times the usual rounds the cases of races and random histories go
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) rounds: u32,
    /// Also write reports: json=FILE, junit=FILE, markdown=FILE; several with commas
    #[arg(long, value_name = "FORMAT=FILE", value_delimiter = ',')]
    pub(crate) report: Vec<String>,
    /// Only list the cases
    #[arg(long)]
    pub(crate) list: bool,
}

/// Parses the arguments, the program's name first.
pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(arguments)
}
