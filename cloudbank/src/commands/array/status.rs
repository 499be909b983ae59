//! `array status`: how arrays and their members are, in one screen.

use std::time::Duration;

use serde_json::{Value, json};
use storage_array::{Depth, Inspect, Inspected, Inspection, ShardInspection, Walk};

use super::log::Log;
use super::{Chosen, moment};
use crate::arrays::Array;
use crate::cli::WhichArrays;
use crate::config::human_size;
use crate::error::{Code, Error, Result};
use crate::output::{Grid, count, grouped};
use crate::run::Context;

const SPINNER: &str = "{spinner} {msg}";
/// A member that takes longer than this may be slow.
const SLOW_MIN: Duration = Duration::from_millis(50);

pub(super) async fn run(
    context: &Context,
    which: &WhichArrays,
    brief: bool,
    wait: Duration,
) -> Result<()> {
    let config = context.config()?;
    // Who asks for one array is told of that.
    let log = which.provider.is_none().then(|| Log::find(&config)).flatten();
    let chosen = match Chosen::find(context, which, &["mirror", "erasure", "shard"], "show") {
        Err(Error::Usage(_)) if log.is_some() => Chosen { config, names: Vec::new() },
        chosen => chosen?,
    };
    let mut well = true;
    for (at, name) in chosen.names.iter().enumerate() {
        let array = chosen.open(name, true).await?;
        if at > 0 && !context.output.json {
            context.output.line("")?;
        }
        let bar = context.output.progress(None, SPINNER);
        let look = Inspect { wait, walk: !brief };
        let mut tell = |so_far: &Inspection| {
            bar.set_message(format!("{name}: {} listed", count(so_far.objects, "object")));
            true
        };
        let seen = match &array {
            Array::Mirror(array) => Some(array.inspect(&look, &mut tell).await),
            Array::Erasure(array) => Some(array.inspect(&look, &mut tell).await),
            Array::Shard(array) => {
                let seen = array.inspect().await;
                bar.finish_and_clear();
                well &= tell_shard(context, name, &seen)?;
                None
            }
            Array::Encrypt(_) => None,
        };
        bar.finish_and_clear();
        if let Some(seen) = seen {
            let provider = chosen.provider(name)?;
            let seen = seen.map_err(|error| provider.explain(error))?;
            let told = Told { name, kind: provider.kind(), brief, seen: &seen };
            well &= told.tell(context)?;
        }
    }
    if let Some(log) = log {
        if !chosen.names.is_empty() && !context.output.json {
            context.output.line("")?;
        }
        well &= log.tell(context, &chosen.config, wait).await?;
    }
    if well { Ok(()) } else { Err(Error::Reported(Code::Failed)) }
}

/// An array of pieces, as it is told of.
struct Told<'a> {
    name: &'a str,
    kind: &'a str,
    brief: bool,
    seen: &'a Inspection,
}

impl Told<'_> {
    fn tell(&self, context: &Context) -> Result<bool> {
        let well = self.seen.is_whole() && !self.seen.members.iter().any(|it| self.is_damaged(it));
        if context.output.json {
            context.output.json(&self.json(well))?;
            return Ok(well);
        }
        let (total, data, quorum) = (self.seen.members.len(), self.seen.data, self.seen.quorum);
        let shape = match self.kind {
            "mirror" => format!("mirror of {total}"),
            _ => format!("erasure {data}+{}", total - data),
        };
        let output = &context.output;
        output.line(format_args!(
            "{}: {shape}, a put is done at {quorum} of {total}; {}",
            self.name,
            self.survival()
        ))?;
        for line in self.table().lines() {
            output.line(line)?;
        }
        if !self.brief {
            output.line(self.data())?;
        }
        output.line(self.scrubbed())?;
        for member in &self.seen.members {
            if let Err(why) = &member.answer {
                output.line(format_args!("{}: {why}", member.name))?;
            }
        }
        if let Some(next) = self.next() {
            output.line(format_args!("next: {next}"))?;
        }
        Ok(well)
    }

    fn survival(&self) -> String {
        match self.seen.can_lose() {
            None => "SOME OBJECTS CANNOT BE READ NOW".into(),
            Some(0) => "NO MORE MEMBER MAY BE LOST".into(),
            Some(more) => format!("{} more may be lost", count(more as u64, "member")),
        }
    }

    fn table(&self) -> Grid {
        let priced = self.seen.members.iter().any(|member| !member.prices.is_free());
        let mut headings = vec!["member", "state", "answer", "pieces", "stored", "missing"];
        if priced {
            headings.extend(["a month", "to read it all"]);
        }
        let mut table = Grid::new(&headings, &[2, 3, 4, 5, 6, 7]);
        for member in &self.seen.members {
            let answer = match member.answer {
                Ok(took) => format!("{} ms", took.as_millis()),
                Err(_) => "-".into(),
            };
            let known = |text: String| match member.answer {
                Ok(_) if !self.brief => text,
                _ => "-".into(),
            };
            let mut row = vec![
                member.name.clone(),
                self.state(member).to_owned(),
                answer,
                known(grouped(member.pieces)),
                known(human_size(member.bytes)),
                known(grouped(member.missing)),
            ];
            if priced {
                row.push(known(money(member.prices.monthly(member.bytes))));
                row.push(known(money(read_all(member))));
            }
            table.row(row);
        }
        table
    }

    fn state(&self, member: &Inspected) -> &'static str {
        let mut answers: Vec<Duration> =
            self.seen.members.iter().filter_map(|member| member.answer.clone().ok()).collect();
        answers.sort();
        match &member.answer {
            Err(_) => "down",
            Ok(_) if self.is_damaged(member) => "damaged",
            Ok(_) if member.behind_since.is_some() || member.missing > 0 => "behind",
            Ok(took) if *took > SLOW_MIN && *took > answers[answers.len() / 2] * 3 => "slow",
            Ok(_) => "up",
        }
    }

    /// Whether the last scrub left something damaged on it.
    fn is_damaged(&self, member: &Inspected) -> bool {
        let found = self.seen.last_scrub.as_ref().and_then(|it| it.found.members.get(&member.name));
        found.is_some_and(|found| {
            found.damaged > 0 && found.missing + found.damaged > found.repaired
        })
    }

    fn data(&self) -> String {
        let seen = self.seen;
        let mut text = format!("{}, {}", count(seen.objects, "object"), human_size(seen.bytes));
        let stored: u64 = seen.members.iter().map(|member| member.bytes).sum();
        text += &format!(" kept in {}", human_size(stored));
        let short: Vec<_> = seen
            .short_by
            .iter()
            .enumerate()
            .skip(1)
            .filter(|(_, objects)| **objects > 0)
            .map(|(pieces, objects)| {
                format!("{} short by {}", grouped(*objects), count(pieces as u64, "piece"))
            })
            .collect();
        match (short.is_empty(), seen.objects) {
            (_, 0) => {}
            (true, _) => text += "; all have every piece",
            (false, _) => {
                text += &format!(
                    "; {} have every piece, {}",
                    grouped(seen.short_by[0]),
                    short.join(", ")
                );
            }
        }
        if seen.unclear > 0 {
            let unclear = grouped(seen.unclear);
            text += &format!(
                "\n{unclear} of them were put over: only their heads tell more (array scrub --depth heads)"
            );
        }
        if seen.leftovers > 0 {
            let keys = count(seen.leftovers, "key");
            text += &format!(
                "\n{keys} with too few pieces to be an object: puts that never finished, or more losses than it survives"
            );
        }
        let month: f64 =
            seen.members.iter().map(|member| member.prices.monthly(member.bytes)).sum();
        if month > 0.0 {
            text += &format!("\nall of it costs {} a month", money(month));
        }
        text
    }

    fn scrubbed(&self) -> String {
        let Some(walk) = &self.seen.last_scrub else { return "never scrubbed".into() };
        let found = &walk.found;
        let looked = match walk.depth {
            Depth::Lists => "the lists of",
            Depth::Heads => "the heads of",
            Depth::Bytes => "every byte of",
        };
        let objects = count(found.objects, "object");
        let mut text = match walk.done {
            true => format!("scrubbed {}: {looked} {objects}", moment(walk.told)),
            false => format!(
                "a scrub under way or interrupted, last heard of {}: {looked} {objects} so far",
                moment(walk.told)
            ),
        };
        if found.missing + found.damaged + found.failures == 0 {
            return text + ", nothing wrong";
        }
        text += &format!(
            ", {} missing, {} damaged, {} repaired",
            grouped(found.missing),
            grouped(found.damaged),
            grouped(found.repaired)
        );
        if !found.unreadable.is_empty() {
            let keys: Vec<_> = found.unreadable.iter().take(5).map(ToString::to_string).collect();
            let more = found.unreadable.len().saturating_sub(keys.len());
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            text += &format!("; CANNOT BE READ: {}{more}", keys.join(", "));
        } else if found.failures > 0 {
            text += &format!("; {} could not be looked at", count(found.failures, "object"));
        }
        text
    }

    /// What to do about it.
    fn next(&self) -> Option<String> {
        let members = &self.seen.members;
        let name = self.name;
        if members.iter().any(|member| member.answer.is_err()) {
            return Some(format!(
                "bring back who is down, or put another in its place (cloudbank array replace); then cloudbank array repair -p {name}"
            ));
        }
        if members.iter().any(|it| it.missing > 0 || it.behind_since.is_some()) {
            return Some(format!("cloudbank array repair -p {name}"));
        }
        members
            .iter()
            .any(|member| self.is_damaged(member))
            .then(|| format!("cloudbank array scrub -p {name}"))
    }

    fn json(&self, well: bool) -> Value {
        let seen = self.seen;
        let members: Vec<_> = seen
            .members
            .iter()
            .map(|member| {
                let (answer, error) = match &member.answer {
                    Ok(took) => (Some(took.as_millis() as u64), None),
                    Err(error) => (None, Some(error)),
                };
                let priced = !member.prices.is_free() && !self.brief;
                json!({
                    "name": member.name,
                    "domain": member.domain,
                    "state": self.state(member),
                    "answer_millis": answer,
                    "error": error,
                    "pieces": (!self.brief).then_some(member.pieces),
                    "bytes": (!self.brief).then_some(member.bytes),
                    "missing": (!self.brief).then_some(member.missing),
                    "behind_since": member.behind_since.map(moment),
                    "cost_a_month": priced.then(|| member.prices.monthly(member.bytes)),
                    "cost_to_read": priced.then(|| read_all(member)),
                })
            })
            .collect();
        json!({
            "array": self.name,
            "type": self.kind,
            "data": seen.data,
            "quorum": seen.quorum,
            "whole": well,
            "can_lose": seen.can_lose(),
            "objects": (!self.brief).then_some(seen.objects),
            "bytes": (!self.brief).then_some(seen.bytes),
            "short_by": (!self.brief).then_some(&seen.short_by),
            "unclear": (!self.brief).then_some(seen.unclear),
            "deleted": (!self.brief).then_some(seen.deleted),
            "leftovers": (!self.brief).then_some(seen.leftovers),
            "members": members,
            "last_scrub": seen.last_scrub.as_ref().map(walk_json),
            "next": self.next(),
        })
    }
}

/// What it costs to read everything that a member has.
fn read_all(member: &Inspected) -> f64 {
    let traffic = storage_array::Traffic {
        gets: member.pieces,
        read_bytes: member.bytes,
        ..Default::default()
    };
    member.prices.of(&traffic)
}

fn walk_json(walk: &Walk) -> Value {
    let depth = match walk.depth {
        Depth::Lists => "lists",
        Depth::Heads => "heads",
        Depth::Bytes => "bytes",
    };
    let found = &walk.found;
    json!({
        "depth": depth,
        "repair": walk.repair,
        "began": moment(walk.began),
        "told": moment(walk.told),
        "done": walk.done,
        "objects": found.objects,
        "missing": found.missing,
        "damaged": found.damaged,
        "repaired": found.repaired,
        "failures": found.failures,
        "unreadable": found.unreadable.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

/// An amount, with as many digits as tell something.
fn money(amount: f64) -> String {
    match amount {
        amount if amount == 0.0 || amount >= 1.0 => format!("{amount:.2}"),
        amount if amount >= 0.0001 => format!("{amount:.4}"),
        _ => "< 0.0001".into(),
    }
}

fn tell_shard(context: &Context, name: &str, seen: &ShardInspection) -> Result<bool> {
    let to_move: u64 = seen.members.iter().map(|member| member.to_move).sum();
    let bytes_to_move: u64 = seen.members.iter().map(|member| member.bytes_to_move).sum();
    let well = to_move == 0 && seen.members.iter().all(|member| member.answer.is_ok());
    let state = |member: &storage_array::ShardMember| match (&member.answer, member.weight) {
        (Err(_), _) => "down",
        (Ok(()), None) => "leaving",
        (Ok(()), Some(_)) if member.to_move > 0 => "to be moved from",
        (Ok(()), Some(_)) => "up",
    };
    let next = (to_move > 0).then(|| format!("cloudbank array rebalance -p {name}"));
    if context.output.json {
        let members: Vec<_> = seen
            .members
            .iter()
            .map(|member| {
                let priced = !member.prices.is_free();
                json!({
                    "name": member.name,
                    "state": state(member),
                    "error": member.answer.as_ref().err(),
                    "weight": member.weight,
                    "weight_before": member.weight_before,
                    "objects": member.objects,
                    "bytes": member.bytes,
                    "to_move": member.to_move,
                    "bytes_to_move": member.bytes_to_move,
                    "cost_a_month": priced.then(|| member.prices.monthly(member.bytes)),
                })
            })
            .collect();
        context.output.json(&json!({
            "array": name,
            "type": "shard",
            "whole": well,
            "growing": seen.growing,
            "to_move": to_move,
            "bytes_to_move": bytes_to_move,
            "members": members,
            "next": next,
        }))?;
        return Ok(well);
    }
    let output = &context.output;
    let now = seen.members.iter().filter(|member| member.weight.is_some()).count();
    output.line(format_args!("{name}: shard of {now}, each object on one of them"))?;
    let priced = seen.members.iter().any(|member| !member.prices.is_free());
    let mut headings = vec!["member", "state", "weight", "objects", "stored", "to move"];
    if priced {
        headings.push("a month");
    }
    let mut table = Grid::new(&headings, &[2, 3, 4, 5, 6]);
    for member in &seen.members {
        let known = |text: String| if member.answer.is_ok() { text } else { "-".into() };
        let mut row = vec![
            member.name.clone(),
            state(member).to_owned(),
            member.weight.map_or("-".into(), |weight| weight.to_string()),
            known(grouped(member.objects)),
            known(human_size(member.bytes)),
            known(grouped(member.to_move)),
        ];
        if priced {
            row.push(known(money(member.prices.monthly(member.bytes))));
        }
        table.row(row);
    }
    for line in table.lines() {
        output.line(line)?;
    }
    for member in &seen.members {
        if let Err(why) = &member.answer {
            output.line(format_args!("{}: {why}", member.name))?;
        }
    }
    if to_move > 0 {
        let size = human_size(bytes_to_move);
        output.line(format_args!(
            "{} of {size} belong on another member",
            count(to_move, "object")
        ))?;
    }
    if let Some(next) = next {
        output.line(format_args!("next: {next}"))?;
    } else if seen.growing && well {
        output.line(format_args!(
            "all is where it belongs: `previous` can go from [providers.{name}]"
        ))?;
    }
    Ok(well)
}
