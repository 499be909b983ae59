//! `store collect`: deletes what nothing needs any more.

use serde_json::json;
use storage_txn::{CollectOptions, Collected};

use super::open::OpenStore;
use crate::cli::CollectArgs;
use crate::config::human_size;
use crate::error::Result;
use crate::output::count;
use crate::run::Context;

pub(super) async fn run(context: &Context, arguments: &CollectArgs) -> Result<()> {
    let mut options = CollectOptions::default();
    options.grace = arguments.grace;
    options.session_grace = arguments.session_grace;
    options.checkpoints_kept = usize::from(arguments.keep_checkpoints);
    options.entries_kept = arguments.keep_entries;
    options.sweep = arguments.sweep;
    options.dry_run = arguments.dry_run;
    let opened = match options.dry_run {
        true => OpenStore::find_to_read(context, &arguments.which).await?,
        false => OpenStore::find(context, &arguments.which).await?,
    };
    let collected = opened.store.collect(&options).await.map_err(opened.explain())?;
    let words = words(&collected, options.dry_run);
    context.output.done(
        words,
        &json!({
            "entries": collected.entries,
            "checkpoints": collected.checkpoints,
            "segments": collected.segments,
            "values": collected.values,
            "pins": collected.pins,
            "sessions_reaped": collected.sessions_reaped,
            "sessions": collected.sessions,
            "bytes": collected.bytes,
            "dry_run": options.dry_run,
        }),
    )
}

fn words(collected: &Collected, dry_run: bool) -> String {
    let parts = [
        (collected.entries, "log slot"),
        (collected.checkpoints, "checkpoint"),
        (collected.segments, "segment"),
        (collected.values, "large value"),
        (collected.pins, "pin"),
        (collected.sessions, "session"),
    ];
    let mut parts: Vec<_> = parts
        .iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, what)| count(*number, what))
        .collect();
    if collected.sessions_reaped > 0 {
        parts.push(format!("{} shut out", count(collected.sessions_reaped, "dead session")));
    }
    if parts.is_empty() {
        return "there is nothing to delete".into();
    }
    let did = if dry_run { "nothing done; it would be" } else { "deleted" };
    format!("{did}: {}, {}", parts.join(", "), human_size(collected.bytes))
}
