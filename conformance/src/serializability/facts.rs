//! A history by key: who wrote what, who read what, which transactions happened.

use std::collections::{BTreeMap, BTreeSet};

use super::history::{Content, History, Operation, Scan, Status};

/// What a history says, with keys and transactions as numbers.
pub(super) struct Facts<'h> {
    pub(super) history: &'h History,
    /// By number, which is their rank by name.
    pub(super) keys: Vec<KeyFacts<'h>>,
    /// What each transaction did to which key, in order. A scan is a read of every key of the history that it covers.
    pub(super) touches: Vec<Vec<(usize, Touch<'h>)>>,
    /// Whether a transaction certainly happened: it said so, has a version, or one that happened read from it.
    pub(super) happened: Vec<bool>,
}

/// What was done to one key.
pub(super) struct KeyFacts<'h> {
    pub(super) name: &'h str,
    pub(super) is_list: bool,
    /// In order of the transactions and of what each did, those that failed included.
    pub(super) writes: Vec<Write>,
    /// Those of transactions that happened, in the same order.
    pub(super) reads: Vec<Read<'h>>,
    /// Where each value is in `writes`.
    place: BTreeMap<u64, usize>,
}

/// One append, put or delete.
#[derive(Debug, Clone, Copy)]
pub(super) struct Write {
    pub(super) by: usize,
    /// `None` for a delete.
    pub(super) value: Option<u64>,
    /// Whether its transaction wrote the key no more after this.
    pub(super) last: bool,
}

/// One read, or what a scan tells of one key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Read<'h> {
    pub(super) by: usize,
    pub(super) found: Found<'h>,
    /// Whether its transaction had neither written nor read the key before.
    pub(super) first: bool,
}

/// What a read found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found<'h> {
    /// A list; empty if it does not exist.
    List(&'h [u64]),
    /// A register.
    Value(Option<u64>),
}

/// What an operation does to one key.
#[derive(Debug, Clone, Copy)]
pub(super) enum Touch<'h> {
    /// It adds this to the list.
    Append(u64),
    /// It sets the register, or removes it.
    Set(Option<u64>),
    /// It sees this.
    Read(Found<'h>),
}

impl Found<'_> {
    /// The values seen, in order.
    pub(super) fn values(&self) -> &[u64] {
        match self {
            Self::List(values) => values,
            Self::Value(value) => value.as_slice(),
        }
    }
}

impl KeyFacts<'_> {
    /// Who wrote a value.
    pub(super) fn write_of(&self, value: u64) -> Option<Write> {
        self.place.get(&value).map(|place| self.writes[*place])
    }
}

impl<'h> Facts<'h> {
    pub(super) fn of(history: &'h History) -> Self {
        let names = Names::of(history);
        let transactions = history.transactions();
        let mut facts = Self {
            history,
            keys: Vec::with_capacity(names.keys.len()),
            touches: transactions.iter().map(|each| names.touches(&each.operations)).collect(),
            happened: transactions
                .iter()
                .map(|each| each.status == Status::Ok || each.version.is_some())
                .collect(),
        };
        for (name, is_list) in &names.keys {
            let (writes, reads, place) = (Vec::new(), Vec::new(), BTreeMap::new());
            facts.keys.push(KeyFacts { name, is_list: *is_list, writes, reads, place });
        }
        facts.collect_writes();
        facts.find_happened();
        facts.collect_reads();
        facts
    }

    fn status(&self, transaction: usize) -> Status {
        self.history.transactions()[transaction].status
    }

    /// Whether a transaction failed.
    pub(super) fn failed(&self, transaction: usize) -> bool {
        self.status(transaction) == Status::Failed
    }

    fn collect_writes(&mut self) {
        for (by, touches) in self.touches.iter().enumerate() {
            for (key, touch) in touches {
                let value = match touch {
                    Touch::Append(value) => Some(*value),
                    Touch::Set(value) => *value,
                    Touch::Read(_) => continue,
                };
                let key = &mut self.keys[*key];
                if let Some(before) = key.writes.last_mut().filter(|before| before.by == by) {
                    before.last = false;
                }
                if let Some(value) = value {
                    key.place.insert(value, key.writes.len());
                }
                key.writes.push(Write { by, value, last: true });
            }
        }
    }

    /// A transaction of unknown outcome has happened if one that happened read from it.
    fn find_happened(&mut self) {
        let all = 0..self.touches.len();
        if all.clone().all(|at| self.status(at) != Status::Unknown) {
            return;
        }
        let mut open: Vec<usize> = all.filter(|at| self.happened[*at]).collect();
        while let Some(reader) = open.pop() {
            for (key, touch) in &self.touches[reader] {
                let Touch::Read(found) = touch else { continue };
                for value in found.values() {
                    let Some(write) = self.keys[*key].write_of(*value) else { continue };
                    if self.status(write.by) == Status::Unknown && !self.happened[write.by] {
                        self.happened[write.by] = true;
                        open.push(write.by);
                    }
                }
            }
        }
    }

    fn collect_reads(&mut self) {
        let happened = self.touches.iter().enumerate().filter(|(by, _)| self.happened[*by]);
        for (by, touches) in happened {
            let mut touched = BTreeSet::new();
            for (key, touch) in touches {
                let first = touched.insert(*key);
                if let Touch::Read(found) = *touch {
                    self.keys[*key].reads.push(Read { by, found, first });
                }
            }
        }
    }
}

/// The keys of a history in order, and whether each is a list.
struct Names<'h> {
    keys: Vec<(&'h str, bool)>,
}

impl<'h> Names<'h> {
    fn of(history: &'h History) -> Self {
        let mut keys: BTreeMap<&str, bool> = BTreeMap::new();
        for operation in history.transactions().iter().flat_map(|each| &each.operations) {
            match operation {
                Operation::Append { key, .. } | Operation::Read { key, .. } => {
                    keys.insert(key, true);
                }
                Operation::Put { key, .. }
                | Operation::Delete { key }
                | Operation::Get { key, .. } => {
                    keys.insert(key, false);
                }
                Operation::Scan(scan) => {
                    for (key, content) in &scan.found {
                        keys.insert(key, matches!(content, Content::List(_)));
                    }
                }
            }
        }
        Self { keys: keys.into_iter().collect() }
    }

    fn number(&self, name: &str) -> usize {
        self.keys.partition_point(|(key, _)| *key < name)
    }

    fn touches(&self, operations: &'h [Operation]) -> Vec<(usize, Touch<'h>)> {
        let mut touches = Vec::with_capacity(operations.len());
        for operation in operations {
            let (key, touch) = match operation {
                Operation::Append { key, value } => (key, Touch::Append(*value)),
                Operation::Read { key, found } => (key, Touch::Read(Found::List(found))),
                Operation::Put { key, value } => (key, Touch::Set(Some(*value))),
                Operation::Delete { key } => (key, Touch::Set(None)),
                Operation::Get { key, found } => (key, Touch::Read(Found::Value(*found))),
                Operation::Scan(scan) => {
                    self.touches_of_scan(scan, &mut touches);
                    continue;
                }
            };
            touches.push((self.number(key), touch));
        }
        touches
    }

    fn touches_of_scan(&self, scan: &'h Scan, touches: &mut Vec<(usize, Touch<'h>)>) {
        let mut told = BTreeSet::new();
        for (key, content) in &scan.found {
            told.insert(key.as_str());
            let found = match content {
                Content::List(values) => Found::List(values),
                Content::Value(value) => Found::Value(Some(*value)),
            };
            touches.push((self.number(key), Touch::Read(found)));
        }
        let inside = self.keys.iter().enumerate().skip(self.number(&scan.from));
        for (number, (name, is_list)) in inside {
            if scan.to.as_deref().is_some_and(|to| *name >= to) {
                break;
            }
            if scan.covers(name) && !told.contains(name) {
                let found = if *is_list { Found::List(&[]) } else { Found::Value(None) };
                touches.push((number, Touch::Read(found)));
            }
        }
    }
}
