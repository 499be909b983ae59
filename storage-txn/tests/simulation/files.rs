//! Values that are too large for the log, put in every way there is, and what each version has to show of them.
//!
//! What the checks of histories know nothing of: copies, undoing, parts, and the same value twice. A transaction is
//! known by its id here, so that the log tells which of its attempts counts.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use bytes::Bytes;
use storage_txn::{TransactionId, Version};

/// Keys of which the values are large, or not.
pub(crate) const FILES: [&str; 3] = ["file/a", "file/b", "file/c"];

/// Something that an attempt at a transaction does to a file.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Put { file: &'static str, value: Bytes },
    Append { file: &'static str, value: Bytes },
    Delete { file: &'static str },
    Copy { from: &'static str, to: &'static str, found: bool },
    Undo(Version),
    Read { file: &'static str, range: Range<usize>, found: Option<Bytes> },
}

/// What a file holds.
type State = BTreeMap<&'static str, Bytes>;

/// What is noted of files.
#[derive(Debug, Default)]
pub(crate) struct Files {
    attempts: BTreeMap<TransactionId, Attempt>,
    /// What snapshots showed.
    shown: Vec<(Version, &'static str, Option<Bytes>)>,
    /// Versions that changed files and are known to be committed.
    committed: Vec<Version>,
}

#[derive(Debug, Default)]
struct Attempt {
    steps: Vec<Step>,
    told: Option<Told>,
}

/// What the one who made an attempt was told of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    Committed(Version),
    Failed,
}

impl Files {
    /// An attempt begins.
    pub(crate) fn begin(&mut self, id: TransactionId) {
        self.attempts.insert(id, Attempt::default());
    }

    pub(crate) fn step(&mut self, id: TransactionId, step: Step) {
        self.attempts.entry(id).or_default().steps.push(step);
    }

    pub(crate) fn end(&mut self, id: TransactionId, told: Told) {
        let attempt = self.attempts.entry(id).or_default();
        attempt.told = Some(told);
        if let (Told::Committed(version), true) = (told, attempt.writes()) {
            self.committed.push(version);
        }
    }

    /// The versions that are known to have changed files.
    pub(crate) fn committed(&self) -> &[Version] {
        &self.committed
    }

    pub(crate) fn ids(&self) -> Vec<TransactionId> {
        self.attempts.keys().copied().collect()
    }

    pub(crate) fn shows(&mut self, version: Version, file: &'static str, found: Option<Bytes>) {
        self.shown.push((version, file, found));
    }

    /// Holds everything that was told against what the log has. Tells what there is in the end.
    pub(crate) fn check(
        &self,
        log: &BTreeMap<Version, TransactionId>,
    ) -> Result<Vec<Bytes>, String> {
        let mut states = BTreeMap::from([(Version(0), State::new())]);
        let mut changed: BTreeMap<Version, BTreeSet<&'static str>> = BTreeMap::new();
        for (version, id) in log {
            let Some(attempt) = self.attempts.get(id) else { continue };
            let mut state = at(&states, Version(version.0 - 1)).clone();
            let mut touched = BTreeSet::new();
            for step in &attempt.steps {
                let wrong = |what| format!("files: version {version}: {step:?}, but {what}");
                run(step, &mut state, &mut touched, &states, &changed).map_err(wrong)?;
            }
            states.insert(*version, state);
            changed.insert(*version, touched);
        }
        let logged: BTreeMap<_, _> = log.iter().map(|(version, id)| (*id, *version)).collect();
        for (id, attempt) in &self.attempts {
            self.check_told(*id, attempt, logged.get(id).copied(), &states)?;
        }
        for (version, file, found) in &self.shown {
            let there = at(&states, *version).get(file);
            if there != found.as_ref() {
                return Err(format!(
                    "files: a snapshot of version {version} showed {found:?} in {file}, where {there:?} was"
                ));
            }
        }
        let last = states.pop_last().map(|(_, state)| state).unwrap_or_default();
        Ok(last.into_values().collect())
    }

    fn check_told(
        &self,
        id: TransactionId,
        attempt: &Attempt,
        logged: Option<Version>,
        states: &BTreeMap<Version, State>,
    ) -> Result<(), String> {
        match attempt.told {
            Some(Told::Committed(version)) if attempt.writes() && logged != Some(version) => {
                Err(format!(
                    "files: {id} was told as committed in version {version}, but the log has it as {logged:?}"
                ))
            }
            Some(Told::Failed) if logged.is_some() => {
                Err(format!("files: {id} was told as failed, but is in the log as {logged:?}"))
            }
            Some(Told::Committed(version)) if !attempt.writes() => {
                let mut state = at(states, version).clone();
                attempt.steps.iter().try_for_each(|step| {
                    run(step, &mut state, &mut BTreeSet::new(), states, &BTreeMap::new())
                        .map_err(|what| format!("files: read at {version}: {step:?}, but {what}"))
                })
            }
            _ => Ok(()),
        }
    }
}

impl Attempt {
    fn writes(&self) -> bool {
        self.steps.iter().any(|step| match step {
            Step::Put { .. } | Step::Append { .. } | Step::Delete { .. } | Step::Undo(_) => true,
            Step::Copy { found, .. } => *found,
            Step::Read { .. } => false,
        })
    }
}

fn at(states: &BTreeMap<Version, State>, version: Version) -> &State {
    states.range(..=version).next_back().map(|(_, state)| state).expect("there is one of version 0")
}

fn run(
    step: &Step,
    state: &mut State,
    touched: &mut BTreeSet<&'static str>,
    states: &BTreeMap<Version, State>,
    changed: &BTreeMap<Version, BTreeSet<&'static str>>,
) -> Result<(), String> {
    match step {
        Step::Put { file, value } => {
            state.insert(file, value.clone());
            touched.insert(file);
        }
        Step::Append { file, value } => {
            let before = state.remove(file).unwrap_or_default();
            state.insert(file, [before, value.clone()].concat().into());
            touched.insert(file);
        }
        Step::Delete { file } => {
            state.remove(file);
            touched.insert(file);
        }
        Step::Copy { from, to, found } => {
            let there = state.get(from).cloned();
            if there.is_some() != *found {
                return Err(format!("{there:?} was there"));
            }
            if let Some(value) = there {
                state.insert(to, value);
                touched.insert(to);
            }
        }
        Step::Undo(version) => {
            let before = at(states, Version(version.0 - 1));
            let undone = changed.get(version).into_iter().flatten();
            // To delete what is not there changes nothing.
            let is_there =
                |file: &'static str, version| at(states, Version(version)).contains_key(file);
            let changed_since = |file: &&&'static str| {
                changed.range(Version(version.0 + 1)..).any(|(at, touched)| {
                    touched.contains(**file) && (is_there(file, at.0 - 1) || is_there(file, at.0))
                })
            };
            if let Some(file) = undone.into_iter().find(changed_since) {
                return Err(format!("{file} was changed since"));
            }
            for file in changed.get(version).into_iter().flatten() {
                match before.get(file) {
                    Some(value) => state.insert(file, value.clone()),
                    None => state.remove(file),
                };
                touched.insert(file);
            }
        }
        Step::Read { file, range, found } => {
            let part = |value: &Bytes| {
                value.slice(range.start.min(value.len())..range.end.min(value.len()))
            };
            let there = state.get(file).map(part);
            if there != *found {
                return Err(format!("{there:?} was there"));
            }
        }
    }
    Ok(())
}

/// The bytes of a value: one of four is inline, one shares its object, one has two chunks and one three.
pub(crate) fn bytes(value: u64) -> Bytes {
    let mut bytes = value.to_le_bytes().to_vec();
    match value % 4 {
        0 => {}
        1 => bytes.push(0xff),
        2 => bytes.extend(value.to_be_bytes()),
        _ => bytes.extend([7; 16]),
    }
    bytes.into()
}
