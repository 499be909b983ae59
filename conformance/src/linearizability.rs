//! Decides whether the history of one key could have happened one operation at a time.
//!
//! The method is that of Wing and Gong with the memory of Lowe ("Testing for linearizability", 2017), taken just
//! in time: the events are walked in order while the set of all configurations (state of the key, which of the
//! operations under way have happened) is kept. Operations with unknown outcome stay under way for ever.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use storage_core::{PutIf, Version, Versions};

use crate::history::{Action, Answer, Content, Timed};

mod search;

use search::{Asked, Stuck};
pub use search::{CONFIGURATIONS_MAX, UNDER_WAY_MAX, UNKNOWN_MAX};

/// What the key holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum State {
    Missing,
    Holds(Content, Mark),
}

/// The version of what a key holds, as far as the history tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Mark {
    /// This one, by number.
    Known(u32),
    /// Not told yet: the put's answer was lost, and other puts have the same content.
    Open,
    /// One that nobody ever learnt.
    Unseen,
}

/// Why a history cannot be accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// What is wrong, in a sentence.
    pub what: String,
    /// What the key held before the window, in words.
    pub before: String,
    /// What happened earlier to the contents that the window is about, in order of the calls.
    pub earlier: Vec<Timed>,
    /// The operations that are to blame, in order of their calls; others cannot explain them.
    pub window: Vec<Timed>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        for timed in &self.earlier {
            write!(f, "\n    {timed}")?;
        }
        write!(f, "\n      then there is {}", self.before)?;
        for timed in &self.window {
            write!(f, "\n    {timed}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Violation {}

/// Checks the history of one key, which starts missing.
///
/// Versions are part of it: a version names one content; where versions are declared
/// [`PerWrite`](Versions::PerWrite), no two puts have the same.
///
/// # Errors
///
/// A [`Violation`] with few operations that no order explains, or one that says that the history is too
/// concurrent to decide (more than [`UNDER_WAY_MAX`] at once, [`UNKNOWN_MAX`] unknown or
/// [`CONFIGURATIONS_MAX`] configurations).
pub fn check(history: &[Timed], versions: Versions) -> Result<(), Violation> {
    let facts = Facts::gather(history, versions)?;
    let mut operations: Vec<Asked<'_>> = history
        .iter()
        .filter(|timed| timed.answer != Answer::NotApplied)
        .map(|timed| Asked { timed, optional: timed.answer == Answer::Unknown })
        .filter(|asked| !asked.optional || asked.timed.action.is_mutation())
        .collect();
    operations.sort_by_key(|asked| asked.timed.called);
    match facts.search(&operations, State::Missing, CONFIGURATIONS_MAX) {
        Ok(()) => Ok(()),
        Err(Stuck::TooConcurrent(what)) => {
            let before = facts.describe(State::Missing);
            Err(Violation { what, earlier: Vec::new(), before, window: Vec::new() })
        }
        Err(Stuck::Nowhere { before, window }) => {
            let window = facts.blame(before, window);
            let mut earlier = lead_up(history, &window);
            earlier.sort_by_key(|timed| timed.called);
            Err(Violation {
                what: "no order of these operations explains what came back".into(),
                earlier: earlier.into_iter().cloned().collect(),
                before: facts.describe(before),
                window: window.into_iter().cloned().collect(),
            })
        }
    }
}

/// What the history as a whole says about versions.
struct Facts<'a> {
    numbers: HashMap<&'a Version, u32>,
    /// The version of a content that was put once only.
    mark_of_unknown: HashMap<Content, Mark>,
}

impl<'a> Facts<'a> {
    fn gather(history: &'a [Timed], versions: Versions) -> Result<Self, Violation> {
        let mut numbers = HashMap::new();
        let mut content_of: HashMap<&Version, &Timed> = HashMap::new();
        let mut stored_as: HashMap<&Version, &Timed> = HashMap::new();
        let mut puts_of: HashMap<Content, usize> = HashMap::new();
        let mut versions_of: BTreeMap<Content, Vec<(&Version, &Timed)>> = BTreeMap::new();
        for timed in history {
            if let Action::Put(content, when) = &timed.action {
                if let PutIf::Matches(version) = when {
                    let next = numbers.len() as u32;
                    numbers.entry(version).or_insert(next);
                }
                if matches!(timed.answer, Answer::Stored(_) | Answer::Unknown) {
                    *puts_of.entry(*content).or_default() += 1;
                }
            }
            let (content, version) = match (&timed.action, &timed.answer) {
                (Action::Put(content, _), Answer::Stored(version)) => (*content, version),
                (_, Answer::Found(content, version)) => (*content, version),
                _ => continue,
            };
            let next = numbers.len() as u32;
            numbers.entry(version).or_insert(next);
            versions_of.entry(content).or_default().push((version, timed));
            let earlier = content_of.entry(version).or_insert(timed);
            if content_named(earlier) != Some(content) {
                return Err(about(
                    format!("version {version} names two contents"),
                    [earlier, timed],
                ));
            }
            if matches!(timed.answer, Answer::Stored(_))
                && let Some(earlier) = stored_as.insert(version, timed)
                && versions == Versions::PerWrite
            {
                let what = format!("two puts have version {version}, declared one per write");
                return Err(about(what, [earlier, timed]));
            }
        }
        Self::refuse_reads_of_nothing(history)?;
        let mut mark_of_unknown = HashMap::new();
        for (content, puts) in puts_of {
            let seen = versions_of.get(&content).map(Vec::as_slice).unwrap_or_default();
            let mark = match seen {
                _ if puts > 1 => Mark::Open,
                [] => Mark::Unseen,
                [(version, first), rest @ ..] => {
                    if let Some((other, second)) = rest.iter().find(|(other, _)| other != version) {
                        let what = format!("one put has two versions, {version} and {other}");
                        return Err(about(what, [*first, *second]));
                    }
                    numbers.get(version).map_or(Mark::Unseen, |number| Mark::Known(*number))
                }
            };
            mark_of_unknown.insert(content, mark);
        }
        Ok(Self { numbers, mark_of_unknown })
    }

    /// Refuses a get of a content that nobody was putting by then: the search would refuse it too, but
    /// could not say why in one line.
    fn refuse_reads_of_nothing(history: &[Timed]) -> Result<(), Violation> {
        let mut first_put: HashMap<Content, u64> = HashMap::new();
        for timed in history {
            if let (Action::Put(content, _), Answer::Stored(_) | Answer::Unknown) =
                (&timed.action, &timed.answer)
            {
                let first = first_put.entry(*content).or_insert(timed.called);
                *first = timed.called.min(*first);
            }
        }
        for timed in history {
            if let Answer::Found(content, _) = timed.answer
                && first_put.get(&content).is_none_or(|called| *called > timed.returned)
            {
                let put = history
                    .iter()
                    .find(|put| put.action.is_mutation() && content_named(put) == Some(content));
                let what = format!("c{} was found, which no put had stored by then", content.0);
                return Err(about(what, put.into_iter().chain([timed])));
            }
        }
        Ok(())
    }

    fn mark(&self, version: &Version) -> Mark {
        self.numbers.get(version).map_or(Mark::Unseen, |number| Mark::Known(*number))
    }

    fn describe(&self, state: State) -> String {
        match state {
            State::Missing => "no object".into(),
            State::Holds(content, Mark::Known(number)) => {
                let version = self.numbers.iter().find(|(_, known)| **known == number);
                let version = version.map(|(version, _)| version.as_str()).unwrap_or_default();
                format!("c{}, {version}", content.0)
            }
            State::Holds(content, Mark::Open | Mark::Unseen) => {
                format!("c{}, of a version not told", content.0)
            }
        }
    }

    /// The state after an operation, if its answer fits the state before.
    fn step(&self, state: State, timed: &Timed) -> Option<State> {
        match (&timed.action, &timed.answer) {
            (Action::Put(content, when), Answer::Stored(version)) => {
                self.may_hold(when, state).then(|| State::Holds(*content, self.mark(version)))
            }
            (Action::Put(_, when), Answer::Conflict) => self.may_fail(when, state).then_some(state),
            (Action::Put(content, when), Answer::Unknown) => {
                self.may_hold(when, state).then(|| {
                    let mark = self.mark_of_unknown.get(content).copied().unwrap_or(Mark::Open);
                    State::Holds(*content, mark)
                })
            }
            (Action::Get, Answer::Found(content, version)) => match state {
                State::Holds(held, mark)
                    if held == *content && (mark == Mark::Open || mark == self.mark(version)) =>
                {
                    Some(State::Holds(held, self.mark(version)))
                }
                _ => None,
            },
            (Action::Get, Answer::Missing) => (state == State::Missing).then_some(state),
            (Action::Delete, Answer::Deleted) => Some(State::Missing),
            (Action::Delete, Answer::Unknown) => {
                (state != State::Missing).then_some(State::Missing)
            }
            _ => None,
        }
    }

    fn may_hold(&self, when: &PutIf, state: State) -> bool {
        match (when, state) {
            (PutIf::Always, _) | (PutIf::Absent, State::Missing) => true,
            (PutIf::Absent, _) | (PutIf::Matches(_), State::Missing) => false,
            (PutIf::Matches(version), State::Holds(_, mark)) => {
                mark == Mark::Open || mark == self.mark(version)
            }
        }
    }

    fn may_fail(&self, when: &PutIf, state: State) -> bool {
        match (when, state) {
            (PutIf::Always, _) | (PutIf::Absent, State::Missing) => false,
            (PutIf::Absent, _) | (PutIf::Matches(_), State::Missing) => true,
            (PutIf::Matches(version), State::Holds(_, mark)) => mark != self.mark(version),
        }
    }
}

fn is_read(timed: &Timed) -> bool {
    !timed.action.is_mutation() || timed.answer == Answer::Conflict
}

fn content_named(timed: &Timed) -> Option<Content> {
    match (&timed.action, &timed.answer) {
        (Action::Put(content, _), _) | (_, Answer::Found(content, _)) => Some(*content),
        _ => None,
    }
}

fn about<'t>(what: String, window: impl IntoIterator<Item = &'t Timed>) -> Violation {
    let window = window.into_iter().cloned().collect();
    Violation { what, earlier: Vec::new(), before: "whatever there is".into(), window }
}

/// The operations before the window that a reader wants to see: the last mutation, and the puts of what
/// the window is about.
fn lead_up<'t>(history: &'t [Timed], window: &[&Timed]) -> Vec<&'t Timed> {
    let start = window.iter().map(|timed| timed.called).min().unwrap_or_default();
    let happened = |timed: &&Timed| {
        timed.called < start
            && timed.action.is_mutation()
            && !matches!(timed.answer, Answer::Conflict | Answer::NotApplied)
            && !window.contains(timed)
    };
    let last = history.iter().filter(happened).max_by_key(|timed| timed.returned);
    let named = history.iter().filter(happened).filter(|timed| {
        let content = content_named(timed);
        content.is_some() && window.iter().any(|other| content_named(other) == content)
    });
    let mut lead_up: Vec<&Timed> = named.collect();
    if let Some(last) = last
        && !lead_up.contains(&last)
    {
        lead_up.push(last);
    }
    lead_up
}

#[cfg(test)]
mod tests;
