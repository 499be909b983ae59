//! The words of the commands on a store that move or measure much.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

use super::store::{Read, StoreWhich};

#[derive(Debug, Clone, Args)]
#[command(after_help = "\
A file becomes a key: the prefix and its path in the folder, with / between the parts. What is there
already with the same bytes is skipped, so run it again after an interruption; what differs is
replaced, and the history keeps what it was. Files go in transactions of up to 8 MiB, so others may
see a part of them. Links and special files are named and left out; so are empty folders.

Examples:
  cloudbank store import photos --prefix photos/
  cloudbank store import . --dry-run
  cloudbank store import site -m 'release 7' && cloudbank store tag release-7")]
pub(crate) struct ImportArgs {
    #[command(flatten)]
    pub(crate) which: StoreWhich,
    /// The folder
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,
    /// What every key begins with
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(crate) prefix: OsString,
    /// Only say what would be done
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// What it is for, for the history [default: import DIR]
    #[arg(long, short, value_name = "TEXT")]
    pub(crate) message: Option<String>,
    /// Who does it, for the history [default: user@host]
    #[arg(long, value_name = "WHO", env = "CLOUDBANK_AUTHOR", hide_env_values = true)]
    pub(crate) author: Option<String>,
}

#[derive(Debug, Clone, Args)]
#[command(after_help = "\
A key becomes a file: the prefix is taken off, and / is between folders. All of it is from one
version. Each file is written whole or not at all, and one that is there with the same bytes is left
alone, so run it again after an interruption. A file with other bytes stays unless --overwrite says
so. A key that is no safe name of a file (`..`, a / at either end, a NUL byte), and two that would be
the same file, are named and left out.

Examples:
  cloudbank store export backup
  cloudbank store export site --prefix site/ --at release-7
  cloudbank store export site --prefix site/ --at '1h ago' --overwrite")]
pub(crate) struct ExportArgs {
    #[command(flatten)]
    pub(crate) read: Read,
    /// The folder; it is made when it is not there
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,
    /// Only keys that begin with this, which is taken off
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(crate) prefix: OsString,
    /// Replace files that differ
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// Only say what would be done
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Works under a random prefix of keys and removes them again. The history keeps what it wrote, until
it is packed: better try it on a store of its own.

Examples:
  cloudbank store bench
  cloudbank store bench --concurrency 1,16,256 --count 2000 --size 1KiB
  cloudbank store bench --json > results.jsonl")]
pub(crate) struct StoreBenchArgs {
    #[command(flatten)]
    pub(crate) which: StoreWhich,
    /// Size of the values
    #[arg(long, value_name = "SIZE", default_value = "100B")]
    pub(crate) size: String,
    /// How many transactions at a time
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "1,16", value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub(crate) concurrency: Vec<u16>,
    /// How many transactions for each
    #[arg(long, value_name = "N", default_value = "200", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub(crate) count: u32,
}
