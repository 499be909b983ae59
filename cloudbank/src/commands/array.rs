//! `array ...`: looking after providers that are made of others.

mod change;
mod log;
mod members;
mod rebalance;
mod repair;
mod rotate;
mod scrub;
mod status;
mod voters;

use std::collections::BTreeSet;

use crate::arrays::Array;
use crate::cli::{ArrayCommand, Speed, WhichArrays};
use crate::config::{Config, Provider, SIZE_EXPECTED, parse_size};
use crate::error::{Error, Result};
use crate::run::Context;

const NOTHING_CHANGED: &str = "nothing was changed";
/// A bar over what is known to be there.
const BAR: &str = "{bar:30} {pos}/{len} objects  {per_sec}  {eta} left  {msg}";

pub(crate) async fn run(context: &Context, command: ArrayCommand) -> Result<()> {
    match command {
        ArrayCommand::Status { which, brief, wait } => {
            let status = status::run(context, &which, brief, wait);
            context.unless_interrupted(NOTHING_CHANGED, status).await
        }
        ArrayCommand::Scrub { which, speed, depth, check, prefix, restart } => {
            let scrub = scrub::Args { speed: &speed, depth, check, prefix: &prefix, restart };
            scrub::run(context, &which, &scrub).await
        }
        ArrayCommand::Repair { which, speed, keys } if keys.is_empty() => {
            repair::run(context, &which, &speed).await
        }
        ArrayCommand::Repair { which, keys, .. } => {
            let remains = "what was repaired stays so; run the same command again to go on";
            context.unless_interrupted(remains, repair::keys(context, &which, &keys)).await
        }
        ArrayCommand::Add { change, member, weight } if change.log => {
            let add = voters::add(context, &member, weight);
            context.unless_interrupted(voters::REMAINS, add).await
        }
        ArrayCommand::Remove { change, member } if change.log => {
            let remove = voters::remove(context, &member);
            context.unless_interrupted(voters::REMAINS, remove).await
        }
        ArrayCommand::Replace { change, old, new } if change.log => {
            let replace = voters::replace(context, &old, &new);
            context.unless_interrupted(voters::REMAINS, replace).await
        }
        ArrayCommand::Add { change, member, weight } => {
            let add = change::add(context, &change, &member, weight);
            context.unless_interrupted(NOTHING_CHANGED, add).await
        }
        ArrayCommand::Remove { change, member } => {
            let remove = change::remove(context, &change, &member);
            context.unless_interrupted(NOTHING_CHANGED, remove).await
        }
        ArrayCommand::Replace { change, old, new } => {
            let replace = change::replace(context, &change, &old, &new);
            context.unless_interrupted(NOTHING_CHANGED, replace).await
        }
        ArrayCommand::Rebalance { which, speed, dry_run, write } => {
            rebalance::run(context, &which, &speed, dry_run, write).await
        }
        ArrayCommand::Rotate { which } => rotate::run(context, &which).await,
    }
}

/// Arrays of the configuration, the outermost first.
struct Chosen {
    config: Config,
    names: Vec<String>,
}

impl Chosen {
    /// The arrays of these types that were asked for; `what` is what is to be done with them.
    fn find(context: &Context, which: &WhichArrays, types: &[&str], what: &str) -> Result<Self> {
        let config = context.config()?;
        let mut names = Vec::new();
        let mut seen = BTreeSet::new();
        match which.provider.as_deref() {
            Some(name) => {
                let kind = config.provider(Some(name))?.kind().to_owned();
                within(&config, name, &mut seen, &mut names);
                if names.is_empty() {
                    return Err(Error::Usage(format!(
                        "`{name}` is of type `{kind}`, which is made of no other provider\n  = expected an array: {}",
                        arrays_of(&config)
                    )));
                }
            }
            None => {
                for provider in config.providers() {
                    within(&config, provider.name(), &mut seen, &mut names);
                }
            }
        }
        names.retain(|name| {
            config.providers().any(|it| it.name() == name && types.contains(&it.kind()))
        });
        if names.is_empty() {
            let types = types.iter().map(|kind| format!("`{kind}`")).collect::<Vec<_>>();
            let whose = match &which.provider {
                Some(name) => format!("`{name}` is not, and is not made of,"),
                None => format!("{} has no", config.source().name),
            };
            return Err(Error::Usage(format!(
                "{whose} {}: there is nothing to {what}",
                types.join(" or ")
            )));
        }
        Ok(Self { config, names })
    }

    fn provider(&self, name: &str) -> Result<&Provider> {
        self.config.provider(Some(name))
    }

    /// Opens one of them; `trusting` to read only.
    async fn open(&self, name: &str, trusting: bool) -> Result<Array> {
        let opened = self.provider(name)?.open_array(trusting).await?;
        opened.ok_or_else(|| Error::Usage(format!("`{name}` is no array that can be looked after")))
    }

    /// The name of an array before what is said of it, where there are several.
    fn title(&self, name: &str) -> String {
        if self.names.len() > 1 { format!("{name}: ") } else { String::new() }
    }
}

/// The arrays that `name` is and is made of, the outermost first.
fn within(config: &Config, name: &str, seen: &mut BTreeSet<String>, names: &mut Vec<String>) {
    let Some(provider) = config.providers().find(|provider| provider.name() == name) else {
        return;
    };
    if provider.parts().is_empty() || !seen.insert(name.to_owned()) {
        return;
    }
    names.push(name.to_owned());
    for (_, members) in provider.parts() {
        for member in members {
            within(config, member, seen, names);
        }
    }
}

fn arrays_of(config: &Config) -> String {
    let names: Vec<_> = config
        .providers()
        .filter(|provider| !provider.parts().is_empty())
        .map(|provider| format!("`{}`", provider.name()))
        .collect();
    if names.is_empty() { "there is none in the configuration".into() } else { names.join(", ") }
}

/// The bytes a second that were asked for.
fn rate(speed: &Speed) -> Result<Option<u64>> {
    let Some(text) = &speed.rate else { return Ok(None) };
    match parse_size(text) {
        Some(rate) if rate > 0 => Ok(Some(rate)),
        _ => Err(Error::Usage(format!("--rate `{text}` is no size\n  = expected {SIZE_EXPECTED}"))),
    }
}

/// A time as it is told: to the second, in UTC.
fn moment(time: std::time::Duration) -> String {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    let time = chrono::DateTime::from_timestamp(seconds, 0);
    time.unwrap_or(chrono::DateTime::<chrono::Utc>::MAX_UTC)
        .to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}
