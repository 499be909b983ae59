//! `array ...`: the words of the commands that look after arrays of providers.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

/// Which arrays.
#[derive(Debug, Clone, Args)]
pub(crate) struct WhichArrays {
    /// The array, with those that it is made of [default: every array of the configuration]
    #[arg(long, short, value_name = "NAME")]
    pub(crate) provider: Option<String>,
}

/// How fast to go.
#[derive(Debug, Clone, Args)]
pub(crate) struct Speed {
    /// At most so many bytes a second, to and from all members together, such as 20MiB
    #[arg(long, value_name = "SIZE")]
    pub(crate) rate: Option<String>,
    /// How many objects at a time; each is held in memory
    #[arg(long, value_name = "N", default_value = "4", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) at_once: u16,
}

/// How thoroughly to look.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum ScrubDepth {
    /// Compare the lists of the members: a request for a thousand objects and member
    Lists,
    /// Read the head of every piece: also finds pieces of another put
    Heads,
    /// Read every piece and check every byte
    Bytes,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ArrayCommand {
    /// Show which members, and voters of the log, are up, behind or damaged, how much more may be lost, and what it costs
    #[command(after_help = "\
A member is `down` if it does not answer within --wait, `behind` if it lacks something that it should
have, `damaged` if the last scrub found something on it that is not repaired, `slow` if it takes more
than three times as long as the others. Costs are told for members with `prices` in the configuration.
Nothing is read but lists: a request for a thousand objects and member.

Without --provider, and with the log of the store on a quorum, the voters are told of too: `up` has
everything that was decided, `behind` lacks so many decisions, `down` does not answer, `wiped` has
lost its marker and `damaged` a part of its chain, so both vote no more until `store mend`. A voter
that is not recognized has its id for a name. With --json the log is the last value.

Exit code 0 if every member and voter is up and has everything, 1 if not.

Examples:
  cloudbank array status
  cloudbank array status -p safe --brief     without going over the lists
  cloudbank array status --json | jq .can_lose")]
    Status {
        #[command(flatten)]
        which: WhichArrays,
        /// Only ask whether the members answer
        #[arg(long)]
        brief: bool,
        /// How long a member may take to answer
        #[arg(long, value_name = "TIME", default_value = "10s", value_parser = humantime::parse_duration)]
        wait: Duration,
    },
    /// Look over every object, and repair what is missing or damaged
    #[command(after_help = "\
How far it is is kept on the members: interrupted, it goes on where it was when the same command is
run again, from whatever machine. `--depth bytes` reads everything, which clouds charge for.

Exit code 0 if everything is whole now, 1 if something is not.

Examples:
  cloudbank array scrub
  cloudbank array scrub -p safe --rate 20MiB
  cloudbank array scrub --depth heads        no more than the heads of pieces are read
  cloudbank array scrub --check              only say what is wrong")]
    Scrub {
        #[command(flatten)]
        which: WhichArrays,
        #[command(flatten)]
        speed: Speed,
        /// How thoroughly to look
        #[arg(long, value_enum, default_value = "bytes")]
        depth: ScrubDepth,
        /// Repair nothing
        #[arg(long)]
        check: bool,
        /// Only objects whose keys begin with this
        #[arg(long, value_name = "PREFIX", default_value = "", hide_default_value = true)]
        prefix: String,
        /// Begin anew, not where an earlier scrub was interrupted
        #[arg(long)]
        restart: bool,
    },
    /// Bring members what they lack, what is closest to being lost first
    #[command(after_help = "\
For a member that was away, wiped or replaced. What is missing is found by lists; damage in what is
there is found by `scrub`. One object that cannot be repaired stops nothing. Interrupted, run it
again: what is done stays done.

Exit code 0 if every member has everything now, 1 if not.

Examples:
  cloudbank array repair
  cloudbank array repair -p safe --rate 20MiB
  cloudbank array repair -p safe value/1/2   just this object, every byte of it")]
    Repair {
        #[command(flatten)]
        which: WhichArrays,
        #[command(flatten)]
        speed: Speed,
        /// Only these objects, and every byte of them
        #[arg(value_name = "KEY")]
        keys: Vec<String>,
    },
    /// Add a member: room to a shard, a copy to a mirror, a voter to the log
    #[command(after_help = "\
Says what to change in the configuration, after looking whether it can be done: the new member answers,
is empty and used by nobody else, and the array is whole. With --write it is changed. Then restart what
uses the array, and run what it says next: `rebalance` for a shard, `repair` for a mirror.

An `erasure` has as many members as pieces: replace one, or put a `shard` of several in its place.

With --log a provider becomes a voter of the store's log, at once and while the store is used: it gets
all that was decided, and then votes. Name it in `spares` of [store] first, wherever the store is used.
Four voters survive the loss of one, as three do: add two.

Examples:
  cloudbank array add gcs --log
  cloudbank array add aws2 -p room
  cloudbank array add aws2 -p room --weight 2 --write")]
    Add {
        #[command(flatten)]
        change: Change,
        /// The provider that becomes a member
        member: String,
        /// How much of a shard it gets, beside the weights of the others
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
        weight: Option<u64>,
    },
    /// Take a member out of a shard or a mirror, or a voter out of the log
    #[command(after_help = "\
Says what to change in the configuration, after looking whether the others have everything. With --write
it is changed. What is on the member stays there: of a shard until `rebalance` has moved it.

With --log it votes no more for the store's log, at once; three are left at least. When the command
is done the others have everything.

Examples:
  cloudbank array remove gcs --log
  cloudbank array remove aws -p room
  cloudbank array remove aws -p room --write && cloudbank array rebalance -p room")]
    Remove {
        #[command(flatten)]
        change: Change,
        /// The provider that is a member
        member: String,
    },
    /// Put a provider in the place of a member, or of a voter
    #[command(after_help = "\
Says what to change in the configuration, after looking whether the new one is there, empty and used by
nobody else, and the others have everything. With --write it is changed. Then restart what uses the
array, and run what it says next. The old member may be gone already.

With --log the new one votes for the store's log in the place of the old one, at once and while the
store is used. Name it in `spares` of [store] first, wherever the store is used.

Examples:
  cloudbank array replace aws gcs --log
  cloudbank array replace aws gcs -p safe
  cloudbank array replace aws gcs -p safe --write && cloudbank array repair -p safe")]
    Replace {
        #[command(flatten)]
        change: Change,
        /// The provider that is a member
        old: String,
        /// The provider that takes its place
        new: String,
    },
    /// Move the objects of a shard to where they belong, after members or weights have changed
    #[command(after_help = "\
Every process that uses the array must know the new members first. Interrupted, run it again: what is
moved stays moved. When all is moved, `previous` can go from the configuration: --write removes it.

Examples:
  cloudbank array rebalance -p room --dry-run
  cloudbank array rebalance -p room --rate 20MiB --write")]
    Rebalance {
        #[command(flatten)]
        which: WhichArrays,
        #[command(flatten)]
        speed: Speed,
        /// Only say how much would be moved
        #[arg(long)]
        dry_run: bool,
        /// Remove `previous` from the configuration once all is moved
        #[arg(long)]
        write: bool,
    },
    /// Encrypt everything anew that is not encrypted with the first key
    #[command(after_help = "\
For an `encrypt` whose `key` has a new line above the old ones. Once it is done the old ones can go.
Interrupted, run it again: what is done stays done.

Examples:
  cloudbank array rotate -p secret")]
    Rotate {
        #[command(flatten)]
        which: WhichArrays,
    },
}

/// A change of the members of an array.
#[derive(Debug, Clone, Args)]
pub(crate) struct Change {
    /// The array [default: the only one that can be changed so]
    #[arg(long, short, value_name = "NAME")]
    pub(crate) provider: Option<String>,
    /// The voters of the store's log, in place of an array
    #[arg(long, conflicts_with_all = ["provider", "write"])]
    pub(crate) log: bool,
    /// Change the configuration file
    #[arg(long)]
    pub(crate) write: bool,
}
