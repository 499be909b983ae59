//! `store ...`: keys and values with transactions and history.

pub(in crate::commands) mod at;
mod author;
mod bench;
mod cat;
mod collect;
mod commit;
mod compact;
mod export;
mod get;
mod history;
mod import;
mod info;
mod init;
mod log;
mod ls;
mod mend;
mod move_log;
mod open;
mod outcome;
mod put;
mod rebuild;
mod rm;
mod source;
mod tag;
pub(super) mod tally;
mod text;
mod txn;
mod undo;
mod verify;
mod watch;

#[cfg(feature = "s3")]
pub(crate) use text::line as shown_line;

use crate::cli::StoreCommand;
use crate::error::Result;
use crate::run::Context;

const NOTHING_CHANGED: &str = "nothing was changed";
/// What an interrupted commit leaves.
const COMMIT_REMAINS: &str = "it may or may not have been committed; a part of it never is\n  = `cloudbank store log --limit 1` shows the last transaction";

pub(crate) async fn run(context: &Context, command: StoreCommand) -> Result<()> {
    match command {
        StoreCommand::Init { which, if_absent } => {
            let remains = "the store may or may not have been made";
            context.unless_interrupted(remains, init::run(context, &which, if_absent)).await
        }
        StoreCommand::Info { read, count } => {
            context.unless_interrupted(NOTHING_CHANGED, info::run(context, &read, count)).await
        }
        StoreCommand::Get { read, key, file } => {
            let get = get::Get { read, key: text::key(&key)?, file };
            context.unless_interrupted("no file was changed", get.run(context)).await
        }
        StoreCommand::Cat { read, keys } => {
            let keys = text::keys(&keys)?;
            context.unless_interrupted(NOTHING_CHANGED, cat::run(context, &read, &keys)).await
        }
        StoreCommand::Put { write, key, file, if_absent, if_version } => {
            let key = text::key(&key)?;
            let put = put::Put { write, key, file, if_absent, if_version };
            context.unless_interrupted(COMMIT_REMAINS, put.run(context)).await
        }
        StoreCommand::Rm { write, keys, prefix, if_version, yes } => {
            let what = rm::What::parse(&keys, prefix.as_deref(), if_version)?;
            let remove = rm::run(context, &write, what, yes);
            context.unless_interrupted(COMMIT_REMAINS, remove).await
        }
        StoreCommand::Ls { read, prefix, long, limit, start_after, reverse } => {
            let ls = ls::Ls {
                read,
                prefix: text::key(&prefix)?,
                long,
                limit,
                start_after: start_after.as_deref().map(text::key).transpose()?,
                reverse,
            };
            context.unless_interrupted(NOTHING_CHANGED, ls.run(context)).await
        }
        StoreCommand::History { read, key, limit } => {
            let history = history::run(context, &read, text::key(&key)?, limit);
            context.unless_interrupted(NOTHING_CHANGED, history).await
        }
        StoreCommand::Log { read, key, prefix, limit, all } => {
            let log = log::Log {
                read,
                key: key.as_deref().map(text::key).transpose()?,
                prefix: prefix.as_deref().map(text::key).transpose()?,
                limit,
                all,
            };
            context.unless_interrupted(NOTHING_CHANGED, log.run(context)).await
        }
        StoreCommand::Undo { write, transaction } => {
            let undo = undo::run(context, &write, &transaction);
            context.unless_interrupted(COMMIT_REMAINS, undo).await
        }
        StoreCommand::Watch { which, prefix, from, limit } => {
            let watch = watch::Watch { which, prefix: text::key(&prefix)?, from, limit };
            watch.run(context).await
        }
        StoreCommand::Tag { read, name, delete } => {
            let remains = "the tag may or may not have been changed";
            let tag = tag::run(context, &read, name.as_deref(), delete);
            context.unless_interrupted(remains, tag).await
        }
        StoreCommand::Txn { write, file } => {
            context.unless_interrupted(COMMIT_REMAINS, txn::run(context, &write, &file)).await
        }
        StoreCommand::Outcome { which, transaction } => {
            let remains = "it was not found out; ask again";
            let outcome = outcome::run(context, &which, &transaction);
            context.unless_interrupted(remains, outcome).await
        }
        StoreCommand::Verify { which, at_once } => {
            context.unless_interrupted(NOTHING_CHANGED, verify::run(context, &which, at_once)).await
        }
        StoreCommand::Rebuild { which } => {
            let remains = "the store is as it was, or as it was to be";
            context.unless_interrupted(remains, rebuild::run(context, &which)).await
        }
        StoreCommand::Mend { which } => {
            let remains = "the voters are as they were, or as they were to be";
            context.unless_interrupted(remains, mend::run(context, &which)).await
        }
        StoreCommand::MoveLog { providers } => {
            context.unless_interrupted(move_log::REMAINS, move_log::run(context, &providers)).await
        }
        StoreCommand::Compact { which } => {
            let remains = "the store is as it was, or compacted";
            context.unless_interrupted(remains, compact::compact(context, &which)).await
        }
        StoreCommand::Pack { which, before, yes } => {
            let remains = "the history is as it was, or packed";
            let pack = compact::pack(context, &which, &before, yes);
            context.unless_interrupted(remains, pack).await
        }
        StoreCommand::Collect(arguments) => {
            let remains = "what was deleted was not needed; run the same command again to go on";
            context.unless_interrupted(remains, collect::run(context, &arguments)).await
        }
        StoreCommand::Import(arguments) => {
            let remains = "what was committed stays; run the same command again to go on";
            context.unless_interrupted(remains, import::run(context, arguments)).await
        }
        StoreCommand::Export(arguments) => {
            let remains = "the files written so far are whole; run the same command again to go on";
            context.unless_interrupted(remains, export::run(context, arguments)).await
        }
        StoreCommand::Bench(arguments) => bench::run(context, arguments).await,
    }
}
