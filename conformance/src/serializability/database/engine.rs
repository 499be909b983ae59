//! The database behind a workload: all versions of all keys, and transactions that go on step by step.

use std::collections::BTreeMap;

use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{Isolation, Operations, Workload};
use crate::serializability::history::{Content, Operation, Scan, Status, Transaction};

/// What a key holds after a version; `None` after a delete.
type Versions = Vec<(u64, Option<Content>)>;

pub(super) struct Database<'w> {
    workload: &'w Workload,
    pub(super) rng: ChaCha8Rng,
    pub(super) clock: u64,
    version: u64,
    keys: BTreeMap<String, Versions>,
    /// Keys in use, and how often each was written.
    live: Vec<(String, u64)>,
    keys_made: usize,
    /// What is to land although nobody waits for it: the process, when it was invoked, its operations.
    limbo: Vec<(u32, u64, Vec<Operation>)>,
    /// The versions of those that have landed, by process and call.
    pub(super) landed: BTreeMap<(u32, u64), u64>,
    pub(super) done: Vec<Transaction>,
}

pub(super) struct Running {
    process: u32,
    invoked: u64,
    begun_at: u64,
    /// What it has yet to do; reads have no results yet.
    plan: Vec<Operation>,
    done: Vec<Operation>,
    outcome: Option<(Status, Option<u64>)>,
}

impl<'w> Database<'w> {
    pub(super) fn new(workload: &'w Workload, seed: u64) -> Self {
        let mut database = Self {
            workload,
            rng: ChaCha8Rng::seed_from_u64(seed),
            clock: 0,
            version: 0,
            keys: BTreeMap::new(),
            live: Vec::new(),
            keys_made: 0,
            limbo: Vec::new(),
            landed: BTreeMap::new(),
            done: Vec::new(),
        };
        for _ in 0..workload.keys {
            let key = database.fresh_key();
            database.live.push(key);
        }
        database
    }

    fn fresh_key(&mut self) -> (String, u64) {
        self.keys_made += 1;
        let list = match self.workload.operations {
            Operations::Lists => true,
            Operations::Registers => false,
            Operations::Everything => self.keys_made.is_multiple_of(2),
        };
        let name = format!("{}{}", if list { "x" } else { "r" }, self.keys_made);
        self.keys.insert(name.clone(), Vec::new());
        (name, 0)
    }

    pub(super) fn begin(&mut self, process: u32) -> Running {
        let count = self.rng.random_range(1..=self.workload.operations_max);
        let plan = (0..count).map(|_| self.operation()).collect();
        let (invoked, begun_at) = (self.clock, self.version);
        Running { process, invoked, begun_at, plan, done: Vec::new(), outcome: None }
    }

    fn operation(&mut self) -> Operation {
        let everything = self.workload.operations == Operations::Everything;
        if everything && self.rng.random_ratio(1, 5) {
            return Operation::Scan(self.scan());
        }
        let at = self.rng.random_range(0..self.live.len());
        let key = self.live[at].0.clone();
        let list = is_list(&key);
        if self.rng.random() {
            let found = Vec::new();
            return if list {
                Operation::Read { key, found }
            } else {
                Operation::Get { key, found: None }
            };
        }
        self.live[at].1 += 1;
        let value = self.live[at].1;
        if value >= self.workload.writes_per_key {
            self.live[at] = self.fresh_key();
        }
        match list {
            true => Operation::Append { key, value },
            false if everything && self.rng.random_ratio(1, 4) => Operation::Delete { key },
            false => Operation::Put { key, value },
        }
    }

    fn scan(&mut self) -> Scan {
        let mut bound = || self.live.choose(&mut self.rng).map(|(key, _)| key.clone());
        let (one, two) = (bound().unwrap_or_default(), bound().unwrap_or_default());
        let (from, to) = if one < two { (one, two) } else { (two, one) };
        Scan {
            from: if self.rng.random_ratio(1, 4) { String::new() } else { from },
            to: if self.rng.random_ratio(1, 4) { None } else { Some(to) },
            backward: self.rng.random(),
            limit: self.rng.random_ratio(1, 2).then(|| self.rng.random_range(1..4)),
            found: Vec::new(),
        }
    }

    /// One step of a transaction: an operation, then the commit, then the return.
    pub(super) fn go_on(&mut self, mut each: Running) -> Option<Running> {
        if let Some((status, version)) = each.outcome {
            if status == Status::Unknown {
                each.done.retain(|operation| operation.key_written().is_some());
            }
            self.done.push(Transaction {
                process: each.process,
                invoked: each.invoked,
                returned: Some(self.clock),
                status,
                version,
                past: false,
                operations: each.done,
            });
            return None;
        }
        let at_once = self.workload.isolation == Isolation::StrictSerializable;
        if !each.plan.is_empty() && !at_once {
            let next = each.plan.remove(0);
            let next = self.execute(next, each.begun_at, &each.done);
            each.done.push(next);
            return Some(each);
        }
        each.outcome = Some(self.end(&mut each));
        Some(each)
    }

    fn end(&mut self, each: &mut Running) -> (Status, Option<u64>) {
        let in_place = self.workload.isolation == Isolation::ReadUncommitted;
        for next in std::mem::take(&mut each.plan) {
            let next = self.execute(next, self.version, &each.done);
            each.done.push(next);
        }
        let dice = self.rng.random_range(0..100);
        let overtaken = self.workload.isolation == Isolation::Snapshot
            && each.done.iter().filter_map(Operation::key_written).any(|key| {
                self.keys[key].last().is_some_and(|(version, _)| *version > each.begun_at)
            });
        if dice < self.workload.failed_percent || overtaken {
            if in_place {
                self.undo(&each.done);
            }
            return (Status::Failed, None);
        }
        if dice < self.workload.failed_percent + self.workload.unknown_percent {
            if self.rng.random() && !in_place {
                self.limbo.push((each.process, each.invoked, each.done.clone()));
            }
            return (Status::Unknown, None);
        }
        let wrote = !in_place && self.commit(&each.done);
        let version = match self.workload.isolation {
            Isolation::StrictSerializable => Some(self.version),
            Isolation::Snapshot => Some(if wrote { self.version } else { each.begun_at }),
            Isolation::ReadCommitted => wrote.then_some(self.version),
            Isolation::ReadUncommitted => None,
        };
        (Status::Ok, version)
    }

    /// Sometimes, what was lost on the way arrives.
    pub(super) fn land_something(&mut self) {
        if !self.limbo.is_empty() && self.rng.random_ratio(1, 20) {
            let (process, invoked, operations) = self.limbo.remove(0);
            if self.commit(&operations) {
                self.landed.insert((process, invoked), self.version);
            }
        }
    }

    pub(super) fn retires(&self, process: u32) -> bool {
        self.done
            .last()
            .is_some_and(|last| last.process == process && last.status == Status::Unknown)
    }

    /// Does an operation, and fills in what it found.
    fn execute(&mut self, operation: Operation, begun_at: u64, own: &[Operation]) -> Operation {
        if self.workload.isolation == Isolation::ReadUncommitted
            && operation.key_written().is_some()
        {
            self.commit(std::slice::from_ref(&operation));
        }
        let at = match self.workload.isolation {
            Isolation::StrictSerializable | Isolation::Snapshot => begun_at,
            Isolation::ReadCommitted | Isolation::ReadUncommitted => u64::MAX,
        };
        let view = |key: &str| {
            let mut content = self.at(key, at);
            if self.workload.isolation != Isolation::ReadUncommitted {
                own.iter().for_each(|operation| apply(operation, key, &mut content));
            }
            content
        };
        match operation {
            Operation::Read { key, .. } => {
                let found = match view(&key) {
                    Some(Content::List(values)) => values,
                    _ => Vec::new(),
                };
                Operation::Read { key, found }
            }
            Operation::Get { key, .. } => {
                let found = match view(&key) {
                    Some(Content::Value(value)) => Some(value),
                    _ => None,
                };
                Operation::Get { key, found }
            }
            Operation::Scan(scan) => {
                let range = self.keys.range(scan.from.clone()..);
                let names = range.map(|(key, _)| key);
                let inside = names.take_while(|key| scan.to.as_ref().is_none_or(|to| *key < to));
                let mut found: Vec<(String, Content)> =
                    inside.filter_map(|key| Some((key.clone(), view(key)?))).collect();
                if scan.backward {
                    found.reverse();
                }
                found.truncate(scan.limit.unwrap_or(usize::MAX));
                Operation::Scan(Scan { found, ..scan })
            }
            other => other,
        }
    }

    fn at(&self, key: &str, version: u64) -> Option<Content> {
        let versions = &self.keys[key];
        let after = versions.partition_point(|(other, _)| *other <= version);
        after.checked_sub(1).and_then(|last| versions[last].1.clone())
    }

    /// Makes writes one version of the database; answers whether there were any.
    fn commit(&mut self, operations: &[Operation]) -> bool {
        let mut changed: BTreeMap<&str, Option<Content>> = BTreeMap::new();
        for operation in operations {
            let Some(key) = operation.key_written() else { continue };
            let content = changed.entry(key).or_insert_with(|| self.at(key, u64::MAX));
            apply(operation, key, content);
        }
        if changed.is_empty() {
            return false;
        }
        self.version += 1;
        for (key, content) in changed {
            self.keys.entry(key.to_owned()).or_default().push((self.version, content));
        }
        true
    }

    /// Takes the values of a failed transaction out of what is there.
    fn undo(&mut self, operations: &[Operation]) {
        for operation in operations {
            let Some(key) = operation.key_written() else { continue };
            let content = match (operation, self.at(key, u64::MAX)) {
                (Operation::Append { value, .. }, Some(Content::List(mut values))) => {
                    values.retain(|other| other != value);
                    Some(Content::List(values))
                }
                (Operation::Put { value, .. }, Some(Content::Value(there))) if there == *value => {
                    None
                }
                (_, there) => there,
            };
            self.version += 1;
            self.keys.entry(key.to_owned()).or_default().push((self.version, content));
        }
    }

    pub(super) fn read_everything(&mut self, process: u32) {
        let keys: Vec<String> = self.keys.keys().cloned().collect();
        for some in keys.chunks(8) {
            let read = |key: &String| {
                let (key, content) = (key.clone(), self.at(key, u64::MAX));
                match (is_list(&key), content) {
                    (true, Some(Content::List(found))) => Operation::Read { key, found },
                    (true, _) => Operation::Read { key, found: Vec::new() },
                    (false, Some(Content::Value(value))) => {
                        Operation::Get { key, found: Some(value) }
                    }
                    (false, _) => Operation::Get { key, found: None },
                }
            };
            let operations = some.iter().map(read).collect();
            let known = !matches!(
                self.workload.isolation,
                Isolation::ReadCommitted | Isolation::ReadUncommitted
            );
            self.clock += 2;
            self.done.push(Transaction {
                process,
                invoked: self.clock - 1,
                returned: Some(self.clock),
                status: Status::Ok,
                version: known.then_some(self.version),
                past: false,
                operations,
            });
        }
    }
}

fn is_list(key: &str) -> bool {
    key.starts_with('x')
}

/// Does a write to a key's content.
fn apply(operation: &Operation, name: &str, content: &mut Option<Content>) {
    match operation {
        Operation::Append { key, value } if key == name => match content {
            Some(Content::List(values)) => values.push(*value),
            _ => *content = Some(Content::List(vec![*value])),
        },
        Operation::Put { key, value } if key == name => *content = Some(Content::Value(*value)),
        Operation::Delete { key } if key == name => *content = None,
        _ => {}
    }
}
