//! `replica promote`: a copy takes the place of its store.

use serde_json::json;
use storage_txn::{ErrorKind, ReplicaProgress};

use super::Pair;
use crate::cli::WhichReplica;
use crate::error::{Error, Result};
use crate::output::{confirm, count};
use crate::run::Context;

const BAR: &str = "{bar:30} {pos}/{len} entries  {eta} left  {msg}";

pub(super) async fn run(
    context: &Context,
    which: &WhichReplica,
    force: bool,
    yes: bool,
) -> Result<()> {
    let pair = Pair::find(context, which)?;
    let mut replica = pair.open(false).await?;
    let (store, copy) = (&pair.store, &pair.copy);
    if !yes {
        let what = match force {
            true => format!(
                "let the copy on `{copy}` take the place of the store on `{store}`, also without what was not copied yet"
            ),
            false => {
                format!("seal the store on `{store}`, and let its copy on `{copy}` take its place")
            }
        };
        match confirm(&format!("{what}, for good?")) {
            Some(true) => {}
            Some(false) => return Err(Error::Failed("nothing was changed".into())),
            None => {
                return Err(Error::Usage(format!(
                    "this would {what}, for good\n  = add --yes: there is no terminal to ask on"
                )));
            }
        }
    }
    let bar = context.output.progress(None, BAR);
    let mut tell = |progress: ReplicaProgress| {
        bar.set_length(progress.entries_total.max(progress.entries));
        bar.set_position(progress.entries);
        bar.set_message(count(progress.objects, "object"));
    };
    let promoted = replica.promote(force, &mut tell).await;
    bar.finish_and_clear();
    let promoted = promoted.map_err(|error| match error.kind() {
        ErrorKind::Storage(_) | ErrorKind::NoStore | ErrorKind::Corrupt if !force => {
            Error::Failed(format!(
                "{}\n  = if the store on `{store}` is lost, --force does without it",
                pair.explain(error).to_string().trim_start_matches("error: ")
            ))
        }
        _ => pair.explain(error),
    })?;
    let mut words = format!(
        "the copy on `{copy}` is the store now, with everything up to version {}",
        promoted.version
    );
    words += &match (promoted.sealed, promoted.diverged) {
        (true, None) => format!("\nthe store on `{store}` is sealed, and had nothing more"),
        (true, Some(diverged)) if diverged.transactions + diverged.gone == 0 => {
            format!("\nthe store on `{store}` is sealed now, and had nothing more")
        }
        (true, Some(diverged)) => format!(
            "\nthe store on `{store}` is sealed now; it had {} more, {} under replica/diverged/",
            count(diverged.transactions, "transaction"),
            match diverged.gone {
                0 => "kept".to_owned(),
                gone => format!("kept but for {}", count(gone, "object")),
            }
        ),
        (false, _) => format!(
            "\nthe store on `{store}` could not be reached and is not sealed: once it is back, run the same command again"
        ),
    };
    let diverged = promoted.diverged.map(|diverged| {
        json!({
            "transactions": diverged.transactions,
            "entries": diverged.entries,
            "objects": diverged.objects,
            "gone": diverged.gone,
        })
    });
    context.output.done(
        words,
        &json!({
            "version": promoted.version.0,
            "slot": promoted.slot,
            "sealed": promoted.sealed,
            "diverged": diverged,
        }),
    )
}
