//! `array scrub`: looks over every object, and repairs what it finds.

use serde_json::json;
use storage_array::{Depth, Inspect, Inspection, Scrub, Scrubbed};

use super::{BAR, Chosen, rate};
use crate::arrays::Array;
use crate::cli::{ScrubDepth, Speed, WhichArrays};
use crate::config::human_size;
use crate::error::{Code, Error, Result};
use crate::output::{count, grouped};
use crate::run::Context;

/// How it is to be done.
pub(super) struct Args<'a> {
    pub(super) speed: &'a Speed,
    pub(super) depth: ScrubDepth,
    pub(super) check: bool,
    pub(super) prefix: &'a str,
    pub(super) restart: bool,
}

pub(super) async fn run(context: &Context, which: &WhichArrays, args: &Args<'_>) -> Result<()> {
    let chosen = Chosen::find(context, which, &["mirror", "erasure"], "scrub")?;
    let depth = match args.depth {
        ScrubDepth::Lists => Depth::Lists,
        ScrubDepth::Heads => Depth::Heads,
        ScrubDepth::Bytes => Depth::Bytes,
    };
    let scrub = Scrub {
        repair: !args.check,
        prefix: crate::commands::provider::prefix(args.prefix)?,
        on_record: true,
        anew: args.restart,
        at_once: usize::from(args.speed.at_once),
        bytes_per_second_max: rate(args.speed)?,
        ..Scrub::new(depth)
    };
    let mut whole = true;
    for name in &chosen.names {
        let array = chosen.open(name, args.check).await?;
        let total = known_objects(context, &array, &scrub).await;
        let bar = context.output.progress(total, BAR);
        let mut tell = |so_far: &Scrubbed| {
            bar.set_position(so_far.objects);
            bar.set_message(found(so_far));
            !context.is_interrupted()
        };
        let scrubbed = match &array {
            Array::Mirror(array) => array.scrub(&scrub, &mut tell).await,
            Array::Erasure(array) => array.scrub(&scrub, &mut tell).await,
            Array::Shard(_) | Array::Encrypt(_) => continue,
        };
        bar.finish_and_clear();
        let scrubbed = scrubbed.map_err(|error| {
            chosen
                .config
                .provider(Some(name))
                .map_or_else(|wrong| wrong, |provider| provider.explain(error))
        })?;
        if context.is_interrupted() {
            return Err(Error::Interrupted(format!(
                "{}{}; how far it is, is on record: run the same command again to go on",
                chosen.title(name),
                found(&scrubbed)
            )));
        }
        whole &= tell_end(context, &chosen.title(name), name, &scrub, &scrubbed)?;
    }
    if whole { Ok(()) } else { Err(Error::Reported(Code::Failed)) }
}

/// How many objects there are, for an estimate, where one is shown.
async fn known_objects(context: &Context, array: &Array, scrub: &Scrub) -> Option<u64> {
    if !context.output.shows_progress() || !scrub.prefix.as_str().is_empty() {
        return None;
    }
    let look = Inspect::default();
    let mut tell = |_: &Inspection| !context.is_interrupted();
    let seen = match array {
        Array::Mirror(array) => array.inspect(&look, &mut tell).await,
        Array::Erasure(array) => array.inspect(&look, &mut tell).await,
        Array::Shard(_) | Array::Encrypt(_) => return None,
    };
    let seen = seen.ok()?;
    Some(seen.objects + seen.deleted + seen.leftovers)
}

fn found(so_far: &Scrubbed) -> String {
    let mut parts =
        vec![format!("{}, {}", count(so_far.objects, "object"), human_size(so_far.bytes))];
    let numbers = [
        (so_far.missing, "missing"),
        (so_far.damaged, "damaged"),
        (so_far.repaired, "repaired"),
        (so_far.failures, "failed"),
    ];
    let numbers = numbers.iter().filter(|(number, _)| *number > 0);
    parts.extend(numbers.map(|(number, what)| format!("{} {what}", grouped(*number))));
    parts.join("; ")
}

fn tell_end(
    context: &Context,
    title: &str,
    name: &str,
    scrub: &Scrub,
    scrubbed: &Scrubbed,
) -> Result<bool> {
    for (key, why) in &scrubbed.failed {
        context.output.note(format_args!("{title}{key}: {why}"));
    }
    let whole = scrubbed.is_whole();
    for member in &scrubbed.behind {
        let what =
            "a server still goes on without it, or brings what it owes: run `array repair` later";
        context.output.note(format_args!("{title}{member}: {what}"));
    }
    let state = match (whole, scrubbed.unreadable.is_empty(), scrub.repair) {
        (true, _, _) => "whole",
        (false, true, true) if !scrubbed.behind.is_empty() => "not whole: a member is behind",
        (false, false, _) => "not whole: some objects cannot be read",
        (false, true, true) => "not whole: some pieces could not be repaired",
        (false, true, false) => "not whole: nothing was repaired",
    };
    let members: serde_json::Map<_, _> = scrubbed
        .members
        .iter()
        .map(|(member, it)| {
            let found = json!({
                "missing": it.missing, "damaged": it.damaged, "repaired": it.repaired, "failed": it.failed,
            });
            (member.clone(), found)
        })
        .collect();
    context.output.done(
        format_args!("{title}{state}: {}", found(scrubbed)),
        &json!({
            "array": name,
            "whole": whole,
            "objects": scrubbed.objects,
            "bytes": scrubbed.bytes,
            "missing": scrubbed.missing,
            "damaged": scrubbed.damaged,
            "repaired": scrubbed.repaired,
            "failures": scrubbed.failures,
            "forgotten": scrubbed.forgotten,
            "behind": scrubbed.behind,
            "unreadable": scrubbed.unreadable.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "members": members,
        }),
    )?;
    Ok(whole)
}
