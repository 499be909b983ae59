//! What `array status` tells of the log of the store, where that is on a quorum: how its voters are.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use storage_core::StorageProvider;
use storage_txn::{ErrorKind, Lost, Options, Store, VoterState, VoterStatus};
use storage_wrappers::{TimeLimit, TimeLimits, TokioEnv};

use crate::config::Config;
use crate::error::{Error, Result};
use crate::output::{Grid, count};
use crate::run::Context;

/// The log of the store of a configuration, on these voters.
pub(super) struct Log {
    named: Vec<String>,
    spares: Vec<String>,
}

/// What was found out of it.
enum Seen {
    /// Nothing was ever stored.
    NoStore,
    /// Too few answer, or the objects do not.
    Failed(String),
    Voters(Vec<Voter>),
}

/// One voter, under the name that the configuration has for it.
struct Voter {
    /// `None` where none of the providers that answer is this voter.
    name: Option<String>,
    status: VoterStatus,
}

impl Log {
    /// The log, if `[store]` names voters.
    pub(super) fn find(config: &Config) -> Option<Self> {
        let (named, _) = config.store_voters()?;
        Some(Self { named, spares: config.store_spares().to_vec() })
    }

    /// Says how the voters are, and whether all is well.
    pub(super) async fn tell(
        &self,
        context: &Context,
        config: &Config,
        wait: Duration,
    ) -> Result<bool> {
        let seen = self.look(config, wait).await?;
        let well = match &seen {
            Seen::NoStore => true,
            Seen::Failed(_) => false,
            Seen::Voters(voters) => {
                voters.iter().all(|voter| voter.status.state == VoterState::Current)
            }
        };
        if context.output.json {
            context.output.json(&self.json(&seen, well))?;
            return Ok(well);
        }
        for line in self.lines(&seen) {
            context.output.line(line)?;
        }
        Ok(well)
    }

    async fn look(&self, config: &Config, wait: Duration) -> Result<Seen> {
        let name = config.store_provider(None)?.name().to_owned();
        let env = Arc::new(TokioEnv::new());
        let place = match config.open_place(&name, true).await {
            Ok(place) => place,
            Err(error @ Error::Provider { .. }) => return Ok(Seen::Failed(error.to_string())),
            Err(error) => return Err(error),
        };
        // The objects come first, and what they have to give may be long.
        let mut is_objects = true;
        let place = place.wrapped(|inner| {
            if std::mem::take(&mut is_objects) {
                return inner;
            }
            let limited = TimeLimit::new(inner, TimeLimits::flat(wait), env.clone());
            Arc::new(limited) as Arc<dyn StorageProvider>
        });
        let known = place.voter_names();
        let look = async { Store::open(place, env, Options::default()).await?.info().await };
        let voters = match look.await {
            Ok(info) => info.voters,
            Err(error) if error.kind() == ErrorKind::NoStore => return Ok(Seen::NoStore),
            Err(error) => return Ok(Seen::Failed(error.to_string())),
        };
        // As the configuration calls them.
        let all = [&self.named[..], &self.spares].concat();
        let named = |status: VoterStatus| {
            let at = known.iter().position(|name| Some(name) == status.provider.as_ref());
            Voter { name: at.map(|at| all[at].clone()), status }
        };
        Ok(Seen::Voters(voters.into_iter().map(named).collect()))
    }

    fn lines(&self, seen: &Seen) -> Vec<String> {
        let named = self.named.join(", ");
        let voters = match seen {
            Seen::NoStore => return vec![format!("log on {named}: no store was made yet")],
            Seen::Failed(why) => {
                return vec![format!("log on {named}: HOW ITS VOTERS ARE IS NOT KNOWN: {why}")];
            }
            Seen::Voters(voters) => voters,
        };
        let total = voters.len();
        let survival = match can_lose(voters) {
            None => "NOTHING CAN BE COMMITTED NOW".into(),
            Some(0) => "NO MORE VOTER MAY BE LOST".into(),
            Some(more) => format!("{} more may be lost", count(more as u64, "voter")),
        };
        let mut lines =
            vec![format!("log: {} of {total} voters decide; {survival}", majority(total))];
        let mut table = Grid::new(&["voter", "state", "behind"], &[2]);
        for Voter { name, status } in voters {
            let behind = behind(&status.state).map_or("-".into(), |count| count.to_string());
            table.row([name_of(name.as_ref(), status), word(&status.state).into(), behind]);
        }
        lines.extend(table.lines());
        for Voter { name, status } in voters {
            if let Some(why) = trouble(&status.state) {
                lines.push(format!("{}: {why}", name_of(name.as_ref(), status)));
            }
        }
        let unknown = self.not_seen(voters);
        if !unknown.is_empty() {
            lines.push(format!("not seen among the voters: {}", unknown.join(", ")));
        }
        let spares = self.free(voters);
        if !spares.is_empty() {
            lines.push(format!("spares: {}", spares.join(", ")));
        }
        lines.extend(next(voters).map(|next| format!("next: {next}")));
        lines
    }

    fn json(&self, seen: &Seen, well: bool) -> Value {
        let mut told = json!({ "log": self.named, "type": "quorum", "whole": well });
        let more = match seen {
            Seen::NoStore => json!({ "store": false }),
            Seen::Failed(why) => json!({ "error": why }),
            Seen::Voters(voters) => json!({
                "quorum": majority(voters.len()),
                "can_lose": can_lose(voters),
                "voters": voters.iter().map(|Voter { name, status }| json!({
                    "name": name,
                    "voter": status.voter.to_string(),
                    "state": word(&status.state),
                    "behind": behind(&status.state),
                    "error": trouble(&status.state),
                })).collect::<Vec<_>>(),
                "not_seen": self.not_seen(voters),
                "spares": self.free(voters),
                "next": next(voters),
            }),
        };
        if let (Value::Object(told), Value::Object(more)) = (&mut told, more) {
            told.extend(more);
        }
        told
    }

    /// Those who are named as voters and of whom nobody could tell that they are. Which of the voters without a name each
    /// would be is not known: it may be one that was let go, and the file one of before.
    fn not_seen(&self, voters: &[Voter]) -> Vec<&str> {
        if voters.iter().all(|voter| voter.name.is_some()) {
            return Vec::new();
        }
        without(&self.named, voters)
    }

    /// The spares that do not vote yet.
    fn free(&self, voters: &[Voter]) -> Vec<&str> {
        without(&self.spares, voters)
    }
}

fn without<'a>(names: &'a [String], voters: &[Voter]) -> Vec<&'a str> {
    let votes = |name: &&String| voters.iter().any(|voter| voter.name.as_ref() == Some(*name));
    names.iter().filter(|name| !votes(name)).map(String::as_str).collect()
}

fn majority(voters: usize) -> usize {
    voters / 2 + 1
}

/// How many more voters may be lost with something still committed; `None` when too few are left.
fn can_lose(voters: &[Voter]) -> Option<usize> {
    let able = voters.iter().filter(|voter| behind(&voter.status.state).is_some()).count();
    able.checked_sub(majority(voters.len()))
}

fn name_of(name: Option<&String>, status: &VoterStatus) -> String {
    name.cloned().unwrap_or_else(|| status.voter.to_string())
}

fn word(state: &VoterState) -> &'static str {
    match state {
        VoterState::Current => "up",
        VoterState::Behind(_) => "behind",
        VoterState::Silent(_) => "down",
        VoterState::Lost(Lost::Wiped) => "wiped",
        VoterState::Lost(Lost::Damaged(_)) => "damaged",
    }
}

/// How many decisions it lacks, where that can be told.
fn behind(state: &VoterState) -> Option<u64> {
    match state {
        VoterState::Current => Some(0),
        VoterState::Behind(count) => Some(*count),
        VoterState::Silent(_) | VoterState::Lost(_) => None,
    }
}

fn trouble(state: &VoterState) -> Option<String> {
    match state {
        VoterState::Current | VoterState::Behind(_) => None,
        VoterState::Silent(_) | VoterState::Lost(_) => Some(state.to_string()),
    }
}

/// What to do about it.
fn next(voters: &[Voter]) -> Option<&'static str> {
    let any = |which: fn(&VoterState) -> bool| voters.iter().any(|it| which(&it.status.state));
    if any(|state| matches!(state, VoterState::Silent(_))) {
        return Some(
            "bring back who is down, or put another in its place (cloudbank array replace OLD NEW --log)",
        );
    }
    if any(|state| matches!(state, VoterState::Lost(_))) {
        return Some("cloudbank store mend");
    }
    any(|state| matches!(state, VoterState::Behind(_)))
        .then_some("wait: who is behind gets what it lacks with the next commits")
}
