//! `store ...`: the words of the commands on a store.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum StoreCommand {
    /// Make a store on a provider where there is none
    #[command(after_help = "\
Examples:
  cloudbank store init
  cloudbank store init --provider aws
  cloudbank store init --if-absent      exit code 0 also when there is one already")]
    Init {
        #[command(flatten)]
        which: StoreWhich,
        /// Be content with a store that is there already
        #[arg(long)]
        if_absent: bool,
    },
    /// Show how large the store is and how far its maintenance has come
    #[command(after_help = "\
Examples:
  cloudbank store info
  cloudbank store info --count          also counts keys and bytes, which reads all of them
  cloudbank store info --json | jq .version")]
    Info {
        #[command(flatten)]
        read: Read,
        /// Also count keys and the bytes of their values
        #[arg(long)]
        count: bool,
    },
    /// Read a value into a file
    #[command(after_help = "\
The file is replaced as a whole once everything has arrived, or not touched at all. On standard
output, --json writes key, version, size and value as one object; `cat` always writes just bytes.

Examples:
  cloudbank store get notes/1 letter.txt
  cloudbank store get notes/1 --at '2 hours ago'
  cloudbank store get notes/1 --json | jq .version")]
    Get {
        #[command(flatten)]
        read: Read,
        /// The key
        key: OsString,
        /// The file; `-` is standard output
        #[arg(default_value = "-")]
        file: PathBuf,
    },
    /// Write values to standard output, one after the other
    #[command(after_help = "\
Examples:
  cloudbank store cat notes/1 notes/2 | less
  cloudbank store cat config --at release-1       as of a tag")]
    Cat {
        #[command(flatten)]
        read: Read,
        /// The keys, all read at the same version
        #[arg(required = true, value_name = "KEY")]
        keys: Vec<OsString>,
    },
    /// Give a key a value
    #[command(after_help = "\
What was there before stays in the history: `history`, `--at` and `undo` bring it back.

Examples:
  cloudbank store put notes/1 letter.txt -m 'first draft'
  date | cloudbank store put notes/now -
  cloudbank store put lock - --if-absent < /dev/null    exit code 4 if it is taken
  cloudbank store put notes/1 new.txt --if-version 17   exit code 4 if it has changed since")]
    Put {
        #[command(flatten)]
        write: Write,
        /// The key
        key: OsString,
        /// The file; `-` is standard input
        file: PathBuf,
        /// Only if the key has no value
        #[arg(long, conflicts_with = "if_version")]
        if_absent: bool,
        /// Only if the key was last changed in this version
        #[arg(long, value_name = "N")]
        if_version: Option<u64>,
    },
    /// Take values away, all in one transaction
    #[command(after_help = "\
Removing what is not there succeeds: it is as you want it. The history keeps what is removed.

Examples:
  cloudbank store rm notes/1 notes/2
  cloudbank store rm --prefix notes/            asks first
  cloudbank store rm --prefix notes/ --yes
  cloudbank store rm notes/1 --if-version 17    exit code 4 if it has changed since")]
    Rm {
        #[command(flatten)]
        write: Write,
        /// The keys
        #[arg(required_unless_present = "prefix", conflicts_with = "prefix", value_name = "KEY")]
        keys: Vec<OsString>,
        /// Everything whose key begins with this
        #[arg(long)]
        prefix: Option<OsString>,
        /// Only if the key, the only one named, was last changed in this version
        #[arg(long, value_name = "N", conflicts_with = "prefix")]
        if_version: Option<u64>,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
    /// List keys, in byte order
    #[command(after_help = "\
A prefix is bytes, not folders: `log/00` lists log/0001 too. Bytes that cannot be shown are written
\\n, \\t, \\r or \\xNN and a backslash is \\\\; wherever a key is typed, it is typed that way too.

Examples:
  cloudbank store ls
  cloudbank store ls log/ --long
  cloudbank store ls log/ --reverse --limit 10        the last ten
  cloudbank store ls --at 2026-11-22 --json | jq .key")]
    Ls {
        #[command(flatten)]
        read: Read,
        /// Only keys that begin with this
        #[arg(default_value = "")]
        prefix: OsString,
        /// With size in bytes, version and time of the last change
        #[arg(long, short)]
        long: bool,
        /// At most this many keys
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
        limit: Option<u64>,
        /// Only keys after this one; before it, with --reverse
        #[arg(long, value_name = "KEY")]
        start_after: Option<OsString>,
        /// From the last key to the first
        #[arg(long, short)]
        reverse: bool,
    },
    /// Show everything a key ever was, newest first
    #[command(after_help = "\
Examples:
  cloudbank store history notes/1
  cloudbank store history notes/1 --limit 1 --json | jq .version
  cloudbank store get notes/1 --at 17             what it was then")]
    History {
        #[command(flatten)]
        read: Read,
        /// The key
        key: OsString,
        /// At most this many changes
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
        limit: Option<u64>,
    },
    /// Show who changed what, when and why, newest first
    #[command(after_help = "\
Examples:
  cloudbank store log --limit 10
  cloudbank store log notes/1                     the transactions that changed this key
  cloudbank store log --prefix notes/ --json
  cloudbank store log --at '1 day ago'            up to then")]
    Log {
        #[command(flatten)]
        read: Read,
        /// Only transactions that changed this key
        key: Option<OsString>,
        /// Only transactions that changed a key that begins with this
        #[arg(long, conflicts_with = "key")]
        prefix: Option<OsString>,
        /// At most this many transactions
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
        limit: Option<u64>,
        /// Also the store's own, which change no key
        #[arg(long, conflicts_with_all = ["key", "prefix"])]
        all: bool,
    },
    /// Put back what was there before a transaction
    #[command(after_help = "\
A new transaction; what is undone stays in the history, and an undo can be undone. Exit code 4, with
the keys named, if one of them has been changed since.

Examples:
  cloudbank store undo 17
  cloudbank store undo 4f2c9a0d8b7e4c11a5d3f0e6b9c8d7a1 -m 'wrong file'")]
    Undo {
        #[command(flatten)]
        write: Write,
        /// The transaction: its version or its id
        #[arg(value_name = "TXN")]
        transaction: String,
    },
    /// Show every transaction as it is committed, until interrupted
    #[command(after_help = "\
Each is written at once, without gap or repeat. Where it ended is said in the end; --from goes on
there.

Examples:
  cloudbank store watch
  cloudbank store watch notes/ --json
  cloudbank store watch --from 17 --limit 1      the next one after version 17")]
    Watch {
        #[command(flatten)]
        which: StoreWhich,
        /// Only keys that begin with this
        #[arg(default_value = "")]
        prefix: OsString,
        /// Those after this version; `latest` is from now on, 0 from the beginning
        #[arg(long, value_name = "VERSION|latest", default_value = "latest")]
        from: String,
        /// End after this many transactions
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
        limit: Option<u64>,
    },
    /// Name a version, or list the names
    #[command(after_help = "\
A tag is not moved: take it away and give it anew. Wherever --at is taken, so is a tag.

Examples:
  cloudbank store tag                            list them
  cloudbank store tag release-1                  the latest version
  cloudbank store tag before-the-mess --at '1 hour ago'
  cloudbank store tag --delete release-1")]
    Tag {
        #[command(flatten)]
        read: Read,
        /// The name
        #[arg(required_if_eq("delete", "true"))]
        name: Option<String>,
        /// Take the name away
        #[arg(long, short, conflicts_with = "at")]
        delete: bool,
    },
    /// Do several things in one transaction: all of them or none
    #[command(after_help = "\
The file has one JSON object a line, done in order. Requirements come first:
  {\"op\":\"require\",\"key\":\"a\",\"version\":17}        or \"absent\":true, \"present\":true, \"value\":\"text\"
  {\"op\":\"put\",\"key\":\"a\",\"value\":\"text\"}           or \"value_base64\":\"...\", \"value_file\":\"path\"
  {\"op\":\"delete\",\"key\":\"a\"}
  {\"op\":\"delete_prefix\",\"prefix\":\"tmp/\"}
  {\"op\":\"delete_range\",\"start\":\"a\",\"end\":\"b\"}     from a to before b
  {\"op\":\"add\",\"key\":\"n\",\"number\":1}              or \"max\"; an 8-byte little-endian number
  {\"op\":\"append\",\"key\":\"a\",\"value\":\"text\"}
  {\"op\":\"get\",\"key\":\"a\"}                         writes what it is at this point
Every key can be \"key_base64\" instead, and so can prefix, start and end. Exit code 4 if a
requirement does not hold; nothing is done then.

Examples:
  cloudbank store txn changes.jsonl -m 'rename a to b'
  generate | cloudbank store txn -
  cloudbank store txn transfer.jsonl --id \"$ID\"    run twice with the same id, it is done once")]
    Txn {
        #[command(flatten)]
        write: Write,
        /// The file; `-` is standard input
        file: PathBuf,
    },
    /// Find out for good whether a transaction was committed
    #[command(after_help = "\
For when a command ended with exit code 5. A transaction that was not committed by now never will be.
Exit code 0 if it was committed, 3 if it was not.

Examples:
  cloudbank store outcome 4f2c9a0d8b7e4c11a5d3f0e6b9c8d7a1")]
    Outcome {
        #[command(flatten)]
        which: StoreWhich,
        /// The id of the transaction
        #[arg(value_name = "TXN")]
        transaction: String,
    },
    /// Read all that is stored, and say what is wrong with it
    #[command(after_help = "\
Reads every object, bit by bit, and writes nothing. What is wrong is said with the object and the byte:
  lost         it is stored nowhere else
  weakened     an entry of the log is damaged that segments have taken in: nothing is lost yet
  rebuildable  it can be made again from the log
  garbage      it only takes up room
Exit code 1 if there is anything but garbage. Others may use the store meanwhile.

Examples:
  cloudbank store verify
  cloudbank store verify --at-once 64 --json")]
    Verify {
        #[command(flatten)]
        which: StoreWhich,
        /// How many requests at a time
        #[arg(long, value_name = "N", default_value = "16", value_parser = clap::value_parser!(u16).range(1..=1024))]
        at_once: u16,
    },
    /// Make segments and a checkpoint again, from the log
    #[command(after_help = "\
For a store of which `verify` says that something is rebuildable. Nothing changes before all of it is
made; others may use the store meanwhile.

Examples:
  cloudbank store rebuild
  cloudbank store rebuild --provider aws")]
    Rebuild {
        #[command(flatten)]
        which: StoreWhich,
    },
    /// Let others vote in the place of voters of the log that were wiped or replaced
    #[command(after_help = "\
For a store whose log is on several voters, when `store info` says that one is lost. The configuration
stays as it is: what has the name of the lost one votes again, once it has a copy of all that was
decided. The store may be used meanwhile. All voters have to answer.

Examples:
  cloudbank store info
  cloudbank store mend")]
    Mend {
        #[command(flatten)]
        which: StoreWhich,
    },
    /// Move the log to voters, or back to one provider, while it is used
    #[command(
        name = "move-log",
        after_help = "\
With several names the log goes to a quorum of these voters: an odd number of at least three. Name them in
`spares` of [store] first, wherever the store is used, and restart what uses it. With one name, that of the
provider of the objects, it goes back there.

Everything is copied first, while others go on. Stopped anywhere, the log is where it was or where it is to
be, and the same command again does the rest. Leave what the log has left as it is until everything that uses the
store was restarted.

Examples:
  cloudbank store move-log home aws azure
  cloudbank store move-log home"
    )]
    MoveLog {
        /// Where the log is to be
        #[arg(value_name = "PROVIDER", required = true)]
        providers: Vec<String>,
    },
    /// Merge segments, so that there are few, and what is current is apart from what was
    #[command(after_help = "\
Everything can be read as before. It is done in the background too, by processes that write much;
what was merged stays stored until it is collected.

Examples:
  cloudbank store compact && cloudbank store collect")]
    Compact {
        #[command(flatten)]
        which: StoreWhich,
    },
    /// Drop history: what was before a version, for good
    #[command(after_help = "\
The store can be read as it was then and at any later version, and at those of tags. Cursors, and
those who read just now, hold history back. The room is free again once it is collected.

Examples:
  cloudbank store pack '90 days ago'              asks first
  cloudbank store pack release-7 --yes && cloudbank store collect
  cloudbank store pack latest --yes               keep only what is, and tags")]
    Pack {
        #[command(flatten)]
        which: StoreWhich,
        /// The first version to keep: a version, a time, a tag or `latest`
        #[arg(value_name = "VERSION|TIME|TAG")]
        before: String,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
    /// Delete what nothing needs any more
    Collect(super::CollectArgs),
    /// Put the files of a folder into the store
    Import(super::ImportArgs),
    /// Write the values of the store into the files of a folder
    Export(super::ExportArgs),
    /// Measure commits and reads, and the requests they take
    Bench(super::StoreBenchArgs),
}

/// Which store.
#[derive(Debug, Clone, Args)]
pub(crate) struct StoreWhich {
    /// The provider that keeps the store [default: that of [store], else the only one]
    #[arg(long, short, value_name = "NAME")]
    pub(crate) provider: Option<String>,
}

/// What every command that reads can be told.
#[derive(Debug, Clone, Args)]
pub(crate) struct Read {
    #[command(flatten)]
    pub(crate) which: StoreWhich,
    /// As of a version, a time (2026-11-22, 2026-11-22T10:00:00Z, '1h ago') or a tag [default: latest]
    #[arg(long, value_name = "VERSION|TIME|TAG")]
    pub(crate) at: Option<String>,
}

/// What every command that writes can be told.
#[derive(Debug, Clone, Args)]
pub(crate) struct Write {
    #[command(flatten)]
    pub(crate) which: StoreWhich,
    /// What it is for, for the history
    #[arg(long, short, value_name = "TEXT")]
    pub(crate) message: Option<String>,
    /// Who does it, for the history [default: user@host]
    #[arg(long, value_name = "WHO", env = "CLOUDBANK_AUTHOR", hide_env_values = true)]
    pub(crate) author: Option<String>,
    /// An id of your own, 32 hexadecimal digits: what was committed under it is not committed again
    #[arg(long, value_name = "ID")]
    pub(crate) id: Option<String>,
}
