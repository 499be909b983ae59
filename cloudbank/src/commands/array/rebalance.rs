//! `array rebalance`: moves the objects of shards to where they belong.

use serde_json::json;
use storage_array::{Rebalance, Rebalanced, Shard, ShardInspection};
use storage_wrappers::TokioEnv;

use super::{Chosen, change, rate};
use crate::arrays::Array;
use crate::cli::{Speed, WhichArrays};
use crate::config::{Edit, human_size};
use crate::error::{Code, Error, Result};
use crate::output::{count, grouped};
use crate::run::Context;

const BAR: &str = "{bar:30} {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left  {msg}";

pub(super) async fn run(
    context: &Context,
    which: &WhichArrays,
    speed: &Speed,
    dry_run: bool,
    write: bool,
) -> Result<()> {
    let chosen = Chosen::find(context, which, &["shard"], "rebalance")?;
    let mut done = true;
    for name in &chosen.names {
        let Array::Shard(shard) = chosen.open(name, dry_run).await? else { continue };
        let before = shard.inspect().await;
        if let Some(away) = before.members.iter().find(|member| member.answer.is_err()) {
            let why = away.answer.as_ref().err().map_or("", String::as_str);
            return Err(Error::Failed(format!(
                "{}`{}` does not list what it has, so nothing was moved: {why}",
                chosen.title(name),
                away.name
            )));
        }
        if dry_run {
            tell_plan(context, &chosen.title(name), name, &before)?;
            continue;
        }
        let moved = move_all(context, &chosen, name, &shard, speed, &before).await?;
        done &= moved.failures == 0;
        tell_end(context, &chosen.title(name), name, &moved)?;
        if moved.failures == 0 && before.growing {
            forget_previous(context, &chosen, name, &shard, write).await?;
        }
    }
    if done { Ok(()) } else { Err(Error::Reported(Code::Failed)) }
}

async fn move_all(
    context: &Context,
    chosen: &Chosen,
    name: &str,
    shard: &Shard,
    speed: &Speed,
    before: &ShardInspection,
) -> Result<Rebalanced> {
    let how = Rebalance {
        at_once: usize::from(speed.at_once),
        bytes_per_second_max: rate(speed)?,
        ..Rebalance::default()
    };
    let total: u64 = before.members.iter().map(|member| member.bytes_to_move).sum();
    let bar = context.output.progress(Some(total), BAR);
    let mut tell = |so_far: &Rebalanced| {
        bar.set_position(so_far.bytes);
        bar.set_message(words(so_far));
        !context.is_interrupted()
    };
    let moved = shard.rebalance(&how, &TokioEnv::new(), &mut tell).await;
    bar.finish_and_clear();
    let moved = match moved {
        Ok(moved) => moved,
        Err(error) => return Err(chosen.provider(name)?.explain(error)),
    };
    if context.is_interrupted() {
        return Err(Error::Interrupted(format!(
            "{}{}; that stays so: run the same command again to go on",
            chosen.title(name),
            words(&moved)
        )));
    }
    Ok(moved)
}

/// Says, or sees to it, that the earlier placement goes from the configuration once nothing is there any more.
async fn forget_previous(
    context: &Context,
    chosen: &Chosen,
    name: &str,
    shard: &Shard,
    write: bool,
) -> Result<()> {
    // Whoever does not know of the new members yet may have put something where it was.
    let after = shard.inspect().await;
    let left: u64 = after.members.iter().map(|member| member.to_move).sum();
    if left > 0 {
        context.output.note(format_args!(
            "{}{} came meanwhile where they do not belong: restart what still has the old configuration, and run this again",
            chosen.title(name),
            count(left, "object")
        ));
        return Ok(());
    }
    let edits = [Edit::remove("previous"), Edit::remove("previous_weights")];
    if write {
        change::write(context, &chosen.config, name, &edits)?;
        context.output.note(format_args!(
            "{}`previous` is removed from {}",
            chosen.title(name),
            chosen.config.source().name
        ));
    } else {
        context.output.note(format_args!(
            "{}next: remove `previous` from [providers.{name}], or have it done: cloudbank array rebalance -p {name} --write",
            chosen.title(name)
        ));
    }
    Ok(())
}

fn tell_plan(context: &Context, title: &str, name: &str, seen: &ShardInspection) -> Result<()> {
    let objects: u64 = seen.members.iter().map(|member| member.to_move).sum();
    let bytes: u64 = seen.members.iter().map(|member| member.bytes_to_move).sum();
    let all: u64 = seen.members.iter().map(|member| member.objects).sum();
    context.output.done(
        format_args!(
            "{title}nothing done; it would be: {} of {} moved, {}",
            grouped(objects),
            count(all, "object"),
            human_size(bytes)
        ),
        &json!({ "array": name, "dry_run": true, "to_move": objects, "bytes_to_move": bytes, "objects": all }),
    )
}

fn words(so_far: &Rebalanced) -> String {
    let mut text = format!("{} moved", count(so_far.moved, "object"));
    if so_far.failures > 0 {
        text += &format!("; {} failed", grouped(so_far.failures));
    }
    text
}

fn tell_end(context: &Context, title: &str, name: &str, moved: &Rebalanced) -> Result<()> {
    for (key, why) in &moved.failed {
        context.output.note(format_args!("{title}{key}: {why}"));
    }
    context.output.done(
        format_args!("{title}{}, {}", words(moved), human_size(moved.bytes)),
        &json!({
            "array": name,
            "dry_run": false,
            "moved": moved.moved,
            "bytes": moved.bytes,
            "failures": moved.failures,
        }),
    )
}
