//! The words of the commands that look after a store.

use std::time::Duration;

use clap::Args;

use super::store::StoreWhich;

#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Old checkpoints, entries of the log that are in segments, segments that were merged into others, what
processes that are gone have left behind. Versions, history and tags lose nothing by it: that is
`pack`. Any process may do it, at any time; do it once a day, or after `compact`.

What is deleted is left alone for some time first, so that those who still read it are not
disturbed. Times are written 30s, 10m, 1h, 1day.

Examples:
  cloudbank store collect
  cloudbank store collect --dry-run
  cloudbank store collect --grace 0s --session-grace 1h    nobody else is using the store
  cloudbank store collect --sweep                          looks for what nothing names, too")]
pub(crate) struct CollectArgs {
    #[command(flatten)]
    pub(crate) which: StoreWhich,
    /// For how long what is no longer needed is left to those who have not heard of it
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = humantime::parse_duration)]
    pub(crate) grace: Duration,
    /// For how long a process must have given no sign of life until it is taken for dead
    #[arg(long, value_name = "TIME", default_value = "1day", value_parser = humantime::parse_duration)]
    pub(crate) session_grace: Duration,
    /// How many checkpoints to keep, at least two
    #[arg(long, value_name = "N", default_value = "2", value_parser = clap::value_parser!(u16).range(2..))]
    pub(crate) keep_checkpoints: u16,
    /// How many of the last entries of the log to keep
    #[arg(long, value_name = "N", default_value = "0")]
    pub(crate) keep_entries: u64,
    /// Also list everything, to find what nothing names
    #[arg(long)]
    pub(crate) sweep: bool,
    /// Only say what would be deleted, as far as that can be told
    #[arg(long)]
    pub(crate) dry_run: bool,
}
