//! The dependencies between transactions: who must come before whom, and why.

use std::collections::{BTreeMap, BTreeSet};

use super::checks::longest;
use super::facts::{Facts, Found, KeyFacts, Write};
use super::graph::{Edge, Graph, PROCESS, REALTIME, RW, Relations, WR, WW};
use super::history::Status;

/// Why one transaction comes before another.
#[derive(Debug, Clone, Copy)]
pub(super) enum Why {
    /// It wrote this, and the other wrote that over it.
    Follows { key: usize, before: Option<u64>, after: Option<u64> },
    /// The other saw what it wrote.
    Saw { key: usize, value: u64 },
    /// It did not see what the other wrote.
    Missed { key: usize, value: Option<u64> },
    /// The same process did the other afterwards.
    Process,
    /// It returned before the other was invoked; helper nodes are in between.
    Time,
}

/// The graph of all dependencies: a node for each transaction, then one for each barrier.
pub(super) fn graph(facts: &Facts<'_>) -> Graph<Why> {
    let mut edges = Edges(Vec::new());
    for (number, key) in facts.keys.iter().enumerate() {
        match key.is_list {
            true => edges.of_list(facts, number, key),
            false => edges.of_register(facts, number, key),
        }
    }
    edges.of_processes(facts);
    let transactions = facts.happened.len();
    let barriers = edges.of_time(facts);
    Graph::new(transactions + barriers, transactions, edges.0)
}

struct Edges(Vec<Edge<Why>>);

impl Edges {
    fn add(&mut self, from: usize, to: usize, relation: Relations, why: Why) {
        if from != to {
            self.0.push(Edge { from: from as u32, to: to as u32, relation, why });
        }
    }

    fn follows(&mut self, key: usize, before: Write, after: Write) {
        let why = Why::Follows { key, before: before.value, after: after.value };
        self.add(before.by, after.by, WW, why);
    }

    fn missed(&mut self, key: usize, by: usize, write: Write) {
        self.add(by, write.by, RW, Why::Missed { key, value: write.value });
    }

    /// The order of a list is that of its longest read. What committed and nobody saw comes after it, in an order
    /// that nobody knows.
    fn of_list(&mut self, facts: &Facts<'_>, number: usize, key: &KeyFacts<'_>) {
        let known = |value: &u64| key.write_of(*value).filter(|write| facts.happened[write.by]);
        let Ok(longest) = longest(key) else {
            // There is no order, but who read from whom is as certain as ever.
            for read in &key.reads {
                let seen = read.found.values().iter().rev().copied();
                if let Some((value, write)) = seen.filter_map(|v| Some((v, known(&v)?))).next() {
                    self.add(write.by, read.by, WR, Why::Saw { key: number, value });
                }
            }
            return;
        };
        // Garbage, duplicates and values of failed transactions are found elsewhere; the order does without them.
        let mut order: Vec<(u64, Write)> = Vec::with_capacity(longest.len());
        let mut seen = BTreeSet::new();
        // How much of the order a read of so many values has seen.
        let mut reach = vec![0];
        for value in longest {
            if seen.insert(*value)
                && let Some(write) = known(value)
            {
                order.push((*value, write));
            }
            reach.push(order.len());
        }
        let unseen = |write: &&Write| {
            facts.happened[write.by] && write.value.is_some_and(|value| !seen.contains(&value))
        };
        let unseen: Vec<Write> = key.writes.iter().filter(unseen).copied().collect();
        for pair in order.windows(2) {
            self.follows(number, pair[0].1, pair[1].1);
        }
        for write in &unseen {
            if let Some((_, last)) = order.last() {
                self.follows(number, *last, *write);
            }
        }
        for read in &key.reads {
            let reach = reach[read.found.values().len()];
            if let Some((value, write)) = reach.checked_sub(1).and_then(|last| order.get(last)) {
                self.add(write.by, read.by, WR, Why::Saw { key: number, value: *value });
            }
            match order.get(reach) {
                Some((_, next)) => self.missed(number, read.by, *next),
                None => unseen.iter().for_each(|write| self.missed(number, read.by, *write)),
            }
        }
    }

    /// The order of a register is that of the versions of its writers, if all are known. Otherwise it is known that
    /// nothing comes first, and that a transaction wrote over what it read.
    fn of_register(&mut self, facts: &Facts<'_>, number: usize, key: &KeyFacts<'_>) {
        let transactions = facts.history.transactions();
        let writes: Vec<Write> = key
            .writes
            .iter()
            .filter(|write| write.last && facts.happened[write.by])
            .copied()
            .collect();
        let mut readers: BTreeMap<Option<u64>, Vec<usize>> = BTreeMap::new();
        for read in key.reads.iter().filter(|read| read.first) {
            let Found::Value(found) = read.found else { continue };
            readers.entry(found).or_default().push(read.by);
            let write = found.and_then(|value| key.write_of(value));
            if let (Some(value), Some(write)) = (found, write)
                && facts.happened[write.by]
            {
                self.add(write.by, read.by, WR, Why::Saw { key: number, value });
            }
        }
        let none = Vec::new();
        let readers_of = |value: Option<u64>| readers.get(&value).unwrap_or(&none);
        // A delete leaves nothing that could be seen, so one of unknown outcome counts as well.
        let may_have_happened = |write: &&Write| transactions[write.by].status != Status::Failed;
        let deleted =
            key.writes.iter().filter(may_have_happened).any(|write| write.value.is_none());
        let mut versions: Vec<(Option<u64>, Write)> =
            writes.iter().map(|write| (transactions[write.by].version, *write)).collect();
        if versions.iter().all(|(version, _)| version.is_some()) {
            versions.sort_by_key(|(version, _)| *version);
            for pair in versions.windows(2) {
                let (before, after) = (pair[0].1, pair[1].1);
                self.follows(number, before, after);
                if before.value.is_some() {
                    readers_of(before.value).iter().for_each(|by| self.missed(number, *by, after));
                }
            }
            // After a delete, one who read nothing may have read at two places.
            if let (Some((_, first)), false) = (versions.first(), deleted) {
                readers_of(None).iter().for_each(|by| self.missed(number, *by, *first));
            }
            return;
        }
        for write in &writes {
            if !deleted {
                readers_of(None).iter().for_each(|by| self.missed(number, *by, *write));
            }
            let own = key.reads.iter().find(|read| read.by == write.by && read.first);
            let Some(Found::Value(Some(over))) = own.map(|read| read.found) else { continue };
            if let Some(before) = key.write_of(over).filter(|before| facts.happened[before.by]) {
                self.follows(number, before, *write);
                readers_of(Some(over)).iter().for_each(|by| self.missed(number, *by, *write));
            }
        }
    }

    /// A transaction of unknown outcome comes after what its process did before, but may land after what it did next.
    /// One that asked for the past has no place in the order.
    fn of_processes(&mut self, facts: &Facts<'_>) {
        let transactions = facts.history.transactions();
        let mut order: Vec<usize> =
            (0..transactions.len()).filter(|at| facts.happened[*at]).collect();
        order.sort_by_key(|at| (transactions[*at].process, transactions[*at].invoked));
        let mut last: Option<usize> = None;
        for at in order {
            let transaction = &transactions[at];
            if let Some(before) = last
                && transactions[before].process == transaction.process
                && !transaction.past
            {
                self.add(before, at, PROCESS, Why::Process);
            }
            if transaction.status == Status::Ok && !transaction.past {
                last = Some(at);
            }
        }
    }

    /// Whoever returns leads to the next barrier, each barrier to the next, and the last one to whoever is invoked: so
    /// the order of time takes three edges a transaction. Answers how many barriers there are.
    fn of_time(&mut self, facts: &Facts<'_>) -> usize {
        let transactions = facts.history.transactions();
        let mut events: Vec<(u64, bool, usize)> = Vec::with_capacity(2 * transactions.len());
        for (at, transaction) in transactions.iter().enumerate() {
            if !facts.happened[at] {
                continue;
            }
            if !transaction.past {
                events.push((transaction.invoked, false, at));
            }
            if let (Some(returned), Status::Ok) = (transaction.returned, transaction.status) {
                events.push((returned, true, at));
            }
        }
        // At one tick the calls come first: then neither is before the other.
        events.sort_unstable();
        let (mut barriers, mut open, mut closed) = (0, None, None);
        for (_, returns, at) in events {
            if returns {
                let barrier = *open.get_or_insert_with(|| {
                    let barrier = transactions.len() + barriers;
                    barriers += 1;
                    if let Some(before) = closed {
                        self.add(before, barrier, REALTIME, Why::Time);
                    }
                    barrier
                });
                self.add(at, barrier, REALTIME, Why::Time);
            } else {
                closed = open.take().or(closed);
                if let Some(barrier) = closed {
                    self.add(barrier, at, REALTIME, Why::Time);
                }
            }
        }
        barriers
    }
}
