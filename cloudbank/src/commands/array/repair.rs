//! `array repair`: brings members what they lack.

use serde_json::json;
use storage_array::{Mend, Mended, Repaired};

use super::{BAR, Chosen, rate};
use crate::arrays::Array;
use crate::cli::{Speed, WhichArrays};
use crate::config::human_size;
use crate::error::{Code, Error, Result};
use crate::output::{count, grouped};
use crate::run::Context;

pub(super) async fn run(context: &Context, which: &WhichArrays, speed: &Speed) -> Result<()> {
    let chosen = Chosen::find(context, which, &["mirror", "erasure"], "repair")?;
    let mend = Mend {
        at_once: usize::from(speed.at_once),
        bytes_per_second_max: rate(speed)?,
        ..Mend::default()
    };
    let mut whole = true;
    for name in &chosen.names {
        let array = chosen.open(name, false).await?;
        let bar = context.output.progress(None, BAR);
        let mut tell = |so_far: &Mended| {
            match so_far.to_do {
                Some(to_do) => bar.set_length(to_do),
                None => bar.set_message(format!("{} listed", count(so_far.listed, "key"))),
            }
            bar.set_position(so_far.done.objects);
            if so_far.done.objects > 0 {
                bar.set_message(done(so_far));
            }
            !context.is_interrupted()
        };
        let mended = match &array {
            Array::Mirror(array) => array.mend(&mend, &mut tell).await,
            Array::Erasure(array) => array.mend(&mend, &mut tell).await,
            Array::Shard(_) | Array::Encrypt(_) => continue,
        };
        bar.finish_and_clear();
        let mended = match mended {
            Ok(mended) => mended,
            Err(error) => return Err(chosen.provider(name)?.explain(error)),
        };
        if context.is_interrupted() {
            return Err(Error::Interrupted(format!(
                "{}{}; that stays done: run the same command again to go on",
                chosen.title(name),
                done(&mended)
            )));
        }
        whole &= tell_end(context, &chosen.title(name), name, &mended)?;
    }
    if whole { Ok(()) } else { Err(Error::Reported(Code::Failed)) }
}

/// Checks and repairs single objects.
pub(super) async fn keys(context: &Context, which: &WhichArrays, keys: &[String]) -> Result<()> {
    let chosen = Chosen::find(context, which, &["mirror", "erasure"], "repair")?;
    let [name] = &chosen.names[..] else {
        return Err(Error::Usage(format!(
            "of which array? there are {}\n  = add --provider",
            chosen.names.join(", ")
        )));
    };
    let array = chosen.open(name, false).await?;
    let provider = chosen.provider(name)?;
    let mut failed = Vec::new();
    for text in keys {
        let key = crate::commands::provider::key(text)?;
        let repaired = match &array {
            Array::Mirror(array) => array.repair(&key).await,
            Array::Erasure(array) => array.repair(&key).await,
            Array::Shard(_) | Array::Encrypt(_) => continue,
        };
        match repaired {
            Ok(found) => {
                tell_one(context, text, &found)?;
                if found.missing + found.damaged > found.repaired {
                    failed.push(Code::Failed);
                }
            }
            Err(error) => {
                let error = provider.explain(error);
                context.output.failure(&error);
                failed.push(error.code());
            }
        }
    }
    match failed.into_iter().max() {
        None => Ok(()),
        Some(code) => Err(Error::Reported(code)),
    }
}

fn tell_one(context: &Context, key: &str, found: &Repaired) -> Result<()> {
    let words = match (found.missing, found.damaged, found.repaired) {
        (0, 0, _) => format!("{key}: nothing wrong"),
        (missing, damaged, repaired) => {
            format!("{key}: {missing} missing, {damaged} damaged, {repaired} repaired")
        }
    };
    context.output.done(
        words,
        &json!({
            "key": key,
            "bytes": found.size,
            "missing": found.missing,
            "damaged": found.damaged,
            "repaired": found.repaired,
        }),
    )
}

fn done(so_far: &Mended) -> String {
    let done = &so_far.done;
    let mut text =
        format!("{} of {} repaired", count(done.repaired, "piece"), count(done.objects, "object"));
    if done.failures > 0 {
        text += &format!("; {} failed", grouped(done.failures));
    }
    text
}

fn tell_end(context: &Context, title: &str, name: &str, mended: &Mended) -> Result<bool> {
    for (key, why) in &mended.done.failed {
        context.output.note(format_args!("{title}{key}: {why}"));
    }
    for (member, why) in &mended.away {
        context.output.note(format_args!("{title}nothing was brought to {member}: {why}"));
    }
    let whole = mended.is_whole();
    let listed = count(mended.listed, "key");
    let words = match (whole, mended.to_do) {
        (true, Some(0) | None) => format!("{title}whole: {listed}, and nothing lacks"),
        (true, _) => {
            format!("{title}whole: {}, {}", done(mended), human_size(mended.done.bytes))
        }
        (false, _) if !mended.away.is_empty() => {
            let away: Vec<_> = mended.away.iter().map(|(member, _)| member.as_str()).collect();
            format!("{title}not whole: {} away; {}", away.join(", "), done(mended))
        }
        (false, _) if !mended.behind.is_empty() => format!(
            "{title}not whole: a server still goes on without {}, or brings what it owes; {}; run the same command \
             again",
            mended.behind.join(", "),
            done(mended)
        ),
        (false, _) => format!("{title}not whole: {}", done(mended)),
    };
    context.output.done(
        words,
        &json!({
            "array": name,
            "whole": whole,
            "listed": mended.listed,
            "objects": mended.done.objects,
            "bytes": mended.done.bytes,
            "repaired": mended.done.repaired,
            "failures": mended.done.failures,
            "unreadable": mended.done.unreadable.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "away": mended.away.iter().map(|(member, _)| member).collect::<Vec<_>>(),
            "behind": mended.behind,
        }),
    )?;
    Ok(whole)
}
