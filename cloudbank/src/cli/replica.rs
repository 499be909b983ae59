//! `replica ...`: the words of the commands on a copy of a store that follows it.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::StoreWhich;

/// Which copy.
#[derive(Debug, Clone, Args)]
pub(crate) struct WhichReplica {
    #[command(flatten)]
    pub(crate) store: StoreWhich,
    /// The provider that keeps the copy
    #[arg(long, short, value_name = "NAME")]
    pub(crate) to: String,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ReplicaCommand {
    /// Copy the store to another provider, and then everything that is committed to it
    #[command(after_help = "\
The copy is the store as it was at one of its versions, at any time: what an entry of the log names is
copied before the entry. It can be read with every command that reads, and nothing else is committed to
it. Until everything is there for the first time it cannot be read. Interrupted, run it again, from
whatever machine: it goes on where it was. What cannot be reached is tried again until it can.

What is being copied is not deleted from the store, and for an hour after the last sign of life. A copy
that was away for longer may have to be filled anew; that is done by itself.

Examples:
  cloudbank replica follow --to backup                  goes on until it is interrupted
  cloudbank replica follow --to backup --once           ends when it has what there was
  cloudbank replica follow -p main --to backup --every 10s --json
  cloudbank store ls -p backup                          reads the copy")]
    Follow {
        #[command(flatten)]
        which: WhichReplica,
        /// End once the copy has what the store had
        #[arg(long)]
        once: bool,
        /// How often to ask for more; each time is a request
        #[arg(long, value_name = "TIME", default_value = "1s", value_parser = humantime::parse_duration)]
        every: Duration,
        /// How many objects at a time; each is held in memory
        #[arg(long, value_name = "N", default_value = "4", value_parser = clap::value_parser!(u16).range(1..=256))]
        at_once: u16,
    },
    /// Show how far the copy is
    #[command(after_help = "\
Exit code 0 if the copy can be read, however far behind, 1 if not.

Examples:
  cloudbank replica status --to backup
  cloudbank replica status --to backup --json | jq .behind")]
    Status {
        #[command(flatten)]
        which: WhichReplica,
    },
    /// Let the copy take the place of the store
    #[command(after_help = "\
The store is sealed first: no process commits to it any more, whatever it is configured to. Then what was
committed before is copied to the end, and the copy is a store like any other. Nothing is lost. After
that, name its provider in the configuration of whatever used the store.

When the store cannot be reached, --force does without: what was committed after the last entry that was
copied is not in the copy, and the store is not sealed. Once it is back, run the same command again: it
is sealed, and what it had committed meanwhile is counted and kept beside the copy, under
replica/diverged/.

Examples:
  cloudbank replica promote --to backup           asks first
  cloudbank replica promote --to backup --yes
  cloudbank replica promote --to backup --force   the store is lost, or out of reach")]
    Promote {
        #[command(flatten)]
        which: WhichReplica,
        /// Also when the store cannot be reached: what is not copied yet is lost
        #[arg(long)]
        force: bool,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}
