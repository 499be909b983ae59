//! `array add|remove|replace`: what to change in the configuration, checked, and changed when that is asked for.

use serde_json::json;

use super::members::{check_newcomer, check_others};
use super::{Chosen, arrays_of};
use crate::cli::{Change, WhichArrays};
use crate::commands::target::Target;
use crate::config::{Config, Edit};
use crate::error::{Error, Result};
use crate::run::Context;

/// The array whose members are changed.
struct Site {
    chosen: Chosen,
    name: String,
    kind: String,
    members: Vec<String>,
}

impl Site {
    /// The array of one of these types.
    fn find(context: &Context, change: &Change, types: &[&str], what: &str) -> Result<Self> {
        let which = WhichArrays { provider: change.provider.clone() };
        let chosen = Chosen::find(context, &which, &["mirror", "erasure", "shard"], what)?;
        let name = match (&change.provider, &chosen.names[..]) {
            (Some(name), _) if chosen.names.contains(name) => name.clone(),
            (Some(name), _) => {
                return Err(Error::Usage(format!(
                    "`{name}` has no members of this kind\n  = expected one of {}",
                    arrays_of(&chosen.config)
                )));
            }
            (None, [only]) => only.clone(),
            (None, names) => {
                return Err(Error::Usage(format!(
                    "which array? there are {}\n  = add --provider",
                    names.join(", ")
                )));
            }
        };
        let provider = chosen.provider(&name)?;
        let kind = provider.kind().to_owned();
        if !types.contains(&kind.as_str()) {
            return Err(Error::Usage(format!(
                "`{name}` is an `{kind}`, which has as many members as pieces\n  = put one in the place of another (cloudbank array replace), or name a `shard` of several providers in the place of one"
            )));
        }
        let members = list(&chosen.config, &name, "members").unwrap_or_default();
        Ok(Self { chosen, name, kind, members })
    }

    fn config(&self) -> &Config {
        &self.chosen.config
    }

    /// A setting that has a name for each member, if it is written.
    fn names(&self, setting: &str) -> Option<Vec<String>> {
        list(self.config(), &self.name, setting)
    }

    fn place_of(&self, member: &str) -> Result<usize> {
        self.members.iter().position(|name| name == member).ok_or_else(|| {
            Error::NotFound(format!(
                "`{member}` is no member of `{}`\n  = its members are {}",
                self.name,
                self.members.join(", ")
            ))
        })
    }

    /// What the array knows a member by.
    fn known_as(&self, at: usize) -> String {
        let places = self.names("places").unwrap_or_else(|| self.members.clone());
        places[at].clone()
    }

    /// That objects of a shard are looked for where they were, which is possible once at a time.
    fn check_not_growing(&self) -> Result<()> {
        match self.names("previous") {
            None => Ok(()),
            Some(_) => Err(Error::Conflict(format!(
                "the last change of `{0}` is not done: it has `previous`\n  = first: cloudbank array rebalance -p {0} --write",
                self.name
            ))),
        }
    }

    /// The changes of a shard that gets these members with these weights.
    fn shard_edits(&self, members: &[String], weights: &[u64]) -> Vec<Edit> {
        let mut edits =
            vec![Edit::names("members", members), Edit::names("previous", &self.members)];
        let before = self.weights();
        if weights.iter().chain(&before).any(|weight| *weight != 1) {
            edits.insert(1, Edit::numbers("weights", weights));
            edits.push(Edit::numbers("previous_weights", &before));
        }
        edits
    }

    fn weights(&self) -> Vec<u64> {
        let written = value(self.config(), &self.name, "weights");
        let numbers = written.map(|text| {
            let inner = text.trim_matches(['[', ']']).split(',');
            inner.filter_map(|number| number.trim().parse().ok()).collect::<Vec<u64>>()
        });
        numbers.unwrap_or_else(|| vec![1; self.members.len()])
    }

    async fn check_others(&self, leaving: Option<&str>) -> Result<()> {
        let array = self.chosen.open(&self.name, true).await?;
        check_others(&array, &self.name, leaving).await
    }

    fn done(&self, context: &Context, change: &Change, edits: &[Edit]) -> Result<()> {
        let next = match self.kind.as_str() {
            "shard" => format!("cloudbank array rebalance -p {}", self.name),
            _ => format!("cloudbank array repair -p {}", self.name),
        };
        let file = self.config().source().name.clone();
        // Whether it could be changed is found out in any case.
        let edited = edited(context, self.config(), &self.name, edits)?;
        if change.write {
            save(&file, &edited)?;
        }
        let lines: Vec<_> = edits
            .iter()
            .map(|Edit { setting, value }| match value {
                Some(value) => format!("  {setting} = {value}"),
                None => format!("  (without {setting})"),
            })
            .collect();
        let said = match change.write {
            true => format!("changed in {file}, [providers.{}]:", self.name),
            false => format!(
                "nothing is changed yet; write in {file}, [providers.{}] (or say --write):",
                self.name
            ),
        };
        let settings: serde_json::Map<_, _> =
            edits.iter().map(|edit| (edit.setting.to_owned(), json!(edit.value))).collect();
        context.output.done(
            format_args!("{said}\n{}\nnext: restart what uses it, then {next}", lines.join("\n")),
            &json!({
                "array": self.name,
                "file": file,
                "written": change.write,
                "settings": settings,
                "next": next,
            }),
        )
    }
}

pub(super) async fn add(
    context: &Context,
    change: &Change,
    member: &str,
    weight: Option<u64>,
) -> Result<()> {
    let site = Site::find(context, change, &["mirror", "shard"], "add to")?;
    if site.kind == "mirror" && weight.is_some() {
        return Err(Error::Usage(format!("`{}` is a mirror, which has no weights", site.name)));
    }
    if site.members.iter().any(|name| name == member) {
        return Err(Error::Conflict(format!("`{member}` is a member of `{}` already", site.name)));
    }
    check_newcomer(site.config(), &site.name, member).await?;
    let with = |names: &[String], more: &str| [names, &[more.to_owned()]].concat();
    let members = with(&site.members, member);
    let edits = match site.kind.as_str() {
        "shard" => {
            site.check_not_growing()?;
            let weights = [site.weights(), vec![weight.unwrap_or(1)]].concat();
            site.shard_edits(&members, &weights)
        }
        _ => {
            site.check_others(None).await?;
            let mut edits = vec![Edit::names("members", &members)];
            for setting in ["domains", "places"] {
                if let Some(names) = site.names(setting) {
                    edits.push(Edit::names(setting, &with(&names, member)));
                }
            }
            edits
        }
    };
    site.done(context, change, &edits)
}

pub(super) async fn remove(context: &Context, change: &Change, member: &str) -> Result<()> {
    let site = Site::find(context, change, &["mirror", "shard"], "remove from")?;
    let at = site.place_of(member)?;
    if site.members.len() == 1 {
        return Err(Error::Conflict(format!("`{member}` is the only member of `{}`", site.name)));
    }
    let without = |names: &[String]| {
        let mut names = names.to_vec();
        names.remove(at);
        names
    };
    let members = without(&site.members);
    let edits = match site.kind.as_str() {
        "shard" => {
            site.check_not_growing()?;
            let mut weights = site.weights();
            weights.remove(at);
            site.shard_edits(&members, &weights)
        }
        _ => {
            let quorum = value(site.config(), &site.name, "quorum");
            let quorum = quorum.and_then(|quorum| quorum.parse::<usize>().ok());
            if quorum.is_some_and(|quorum| quorum > members.len()) {
                return Err(Error::Conflict(format!(
                    "`quorum` of `{}` is more than the members that would be left\n  = lower it first",
                    site.name
                )));
            }
            site.check_others(Some(&site.known_as(at))).await?;
            let mut edits = vec![Edit::names("members", &members)];
            for setting in ["domains", "places"] {
                if let Some(names) = site.names(setting) {
                    edits.push(Edit::names(setting, &without(&names)));
                }
            }
            edits
        }
    };
    site.done(context, change, &edits)
}

pub(super) async fn replace(
    context: &Context,
    change: &Change,
    old: &str,
    new: &str,
) -> Result<()> {
    let site = Site::find(context, change, &["mirror", "erasure", "shard"], "replace in")?;
    let at = site.place_of(old)?;
    if site.members.iter().any(|name| name == new) {
        return Err(Error::Conflict(format!("`{new}` is a member of `{}` already", site.name)));
    }
    check_newcomer(site.config(), &site.name, new).await?;
    let mut members = site.members.clone();
    members[at] = new.to_owned();
    let edits = match site.kind.as_str() {
        "shard" => {
            site.check_not_growing()?;
            site.shard_edits(&members, &site.weights())
        }
        _ => {
            site.check_others(Some(&site.known_as(at))).await?;
            // Which pieces a member has follows from what it is known by: the new one takes that over.
            let places = site.names("places").unwrap_or_else(|| site.members.clone());
            let mut edits = vec![Edit::names("members", &members)];
            match places == members {
                true => edits.push(Edit::remove("places")),
                false => edits.push(Edit::names("places", &places)),
            }
            if let Some(mut domains) = site.names("domains") {
                domains[at] = new.to_owned();
                edits.push(Edit::names("domains", &domains));
            }
            edits
        }
    };
    site.done(context, change, &edits)
}

/// Changes settings of a provider in the configuration file.
pub(super) fn write(context: &Context, config: &Config, name: &str, edits: &[Edit]) -> Result<()> {
    let text = edited(context, config, name, edits)?;
    save(&config.source().name, &text)
}

fn edited(context: &Context, config: &Config, name: &str, edits: &[Edit]) -> Result<String> {
    if config.source().built_in {
        return Err(Error::Usage("there is no configuration file to change".into()));
    }
    let variables = |name: &str| std::env::var_os(name);
    let source = config.edited(&context.registry, &variables, name, edits, "members")?;
    Ok(source.text)
}

/// Writes the file, as a whole or not at all.
fn save(file: &str, text: &str) -> Result<()> {
    let path = std::path::Path::new(file);
    let mut target = Target::open(path).map_err(Error::file(format!("write {file}")))?;
    target.write(text.as_bytes()).map_err(Error::file(format!("write {file}")))?;
    target.finish().map_err(Error::file(format!("write {file}")))
}

/// The value of a setting, as it is meant.
fn value(config: &Config, name: &str, setting: &str) -> Option<String> {
    let provider = config.providers().find(|provider| provider.name() == name)?;
    let shown = provider.shown().iter().find(|shown| shown.name == setting && shown.written)?;
    shown.value.clone()
}

/// The names that a setting has, if it is written.
fn list(config: &Config, name: &str, setting: &str) -> Option<Vec<String>> {
    let text = format!("list = {}", value(config, name, setting)?);
    let table: toml::Table = text.parse().ok()?;
    let list = table.get("list")?.as_array()?;
    list.iter().map(|item| item.as_str().map(str::to_owned)).collect()
}
