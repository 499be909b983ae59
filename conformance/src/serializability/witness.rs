//! The check against the order of commits: complete, with ranges, and linear in what was read.

use std::collections::{BTreeMap, BTreeSet};

use super::history::{Content, History, Operation, Scan, Status, Transaction};
use super::notation::Values;
use super::verdict::{Anomaly, Violation, Violations};

/// A commit as the log has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Logged {
    /// Its number in the one order. Numbers may be left out: maintenance takes some.
    pub version: u64,
    /// Which transaction of the history it is, by its place from zero.
    pub transaction: usize,
}

pub(super) fn check(history: &History, log: Option<&[Logged]>) -> Result<(), Violations> {
    let mut violations = Vec::new();
    let versions = match log {
        Some(log) => versions_of_log(history, log, &mut violations),
        None => history.transactions().iter().map(|each| each.version).collect(),
    };
    let order = order(history, &versions, &mut violations);
    replay(history, &order, &mut violations);
    against_time(history, &versions, &mut violations);
    Violations::unless_empty(history, violations)
}

fn violation<const N: usize>(anomaly: Anomaly, at: [usize; N], what: String) -> Violation {
    Violation { anomaly, steps: vec![what], transactions: BTreeSet::from(at) }
}

/// The version of each transaction, with those that only the log knows.
fn versions_of_log(
    history: &History,
    log: &[Logged],
    violations: &mut Vec<Violation>,
) -> Vec<Option<u64>> {
    let transactions = history.transactions();
    let mut versions: Vec<Option<u64>> = transactions.iter().map(|each| each.version).collect();
    let mut logged: Vec<Option<u64>> = vec![None; transactions.len()];
    let mut last = None;
    for Logged { version, transaction } in log {
        let Some(each) = transactions.get(*transaction) else {
            let what = format!("the log has T{}, which the history has not", transaction + 1);
            violations.push(violation(Anomaly::LogDiffers, [], what));
            continue;
        };
        let mut differs = |what: String| {
            violations.push(violation(Anomaly::LogDiffers, [*transaction], what));
        };
        let name = transaction + 1;
        if last.is_some_and(|last| *version <= last) {
            differs(format!("the log has T{name} at {version}, after a version as high"));
        }
        last = Some(*version);
        if let Some(before) = logged[*transaction].replace(*version) {
            differs(format!("the log has T{name} twice, at {before} and at {version}"));
        }
        if each.status == Status::Failed {
            differs(format!("the log has T{name} at {version}, which failed"));
        }
        if let Some(told) = each.version.filter(|told| told != version) {
            differs(format!("the log has T{name} at {version}, but its process was told {told}"));
        }
        if !each.writes() {
            differs(format!("the log has T{name} at {version}, which only read"));
        }
        versions[*transaction] = Some(*version);
    }
    for (at, each) in transactions.iter().enumerate() {
        if each.status == Status::Ok && each.writes() && logged[at].is_none() {
            let what = format!("T{} committed, but the log does not have it", at + 1);
            violations.push(violation(Anomaly::LogDiffers, [at], what));
        }
    }
    versions
}

/// Transactions with their versions, as they are replayed: a writer goes before those who only read at its version.
fn order(
    history: &History,
    versions: &[Option<u64>],
    violations: &mut Vec<Violation>,
) -> Vec<(u64, bool, usize)> {
    let transactions = history.transactions();
    let mut order = Vec::with_capacity(transactions.len());
    for (at, each) in transactions.iter().enumerate() {
        match versions[at] {
            Some(version) if each.status != Status::Failed => {
                order.push((version, !each.writes(), at));
            }
            None if each.status == Status::Ok => {
                let what = format!("T{} committed, but its version is not known", at + 1);
                violations.push(violation(Anomaly::WrongOrder, [at], what));
            }
            _ => {}
        }
    }
    order.sort_unstable();
    for pair in order.windows(2) {
        let ((version, only_reads, one), (next, next_only_reads, two)) = (pair[0], pair[1]);
        if version == next && !only_reads && !next_only_reads {
            let what = format!("T{} and T{} both committed as {version}", one + 1, two + 1);
            violations.push(violation(Anomaly::WrongOrder, [one, two], what));
        }
    }
    order
}

/// Runs the transactions one by one, and compares what each was told.
fn replay(history: &History, order: &[(u64, bool, usize)], violations: &mut Vec<Violation>) {
    let mut state: BTreeMap<&str, Content> = BTreeMap::new();
    for (version, only_reads, at) in order {
        let transaction: &Transaction = &history.transactions()[*at];
        // A transaction that writes has read what there was just before it, and its own writes.
        let read_at = if *only_reads { *version } else { version.saturating_sub(1) };
        for operation in &transaction.operations {
            if let Err(there_was) = run(&mut state, operation) {
                let what =
                    format!("T{}: {operation}, but at version {read_at} {there_was}", at + 1);
                violations.push(violation(Anomaly::WrongRead, [*at], what));
            }
        }
    }
}

/// Does what an operation does.
///
/// # Errors
///
/// What it should have found, if it is a read and found something else.
fn run<'h>(state: &mut BTreeMap<&'h str, Content>, operation: &'h Operation) -> Result<(), String> {
    match operation {
        Operation::Append { key, value } => {
            let list = state.entry(key).or_insert_with(|| Content::List(Vec::new()));
            if let Content::List(values) = list {
                values.push(*value);
            }
        }
        Operation::Put { key, value } => {
            state.insert(key, Content::Value(*value));
        }
        Operation::Delete { key } => {
            state.remove(key.as_str());
        }
        Operation::Read { key, found } => {
            let there: &[u64] = match state.get(key.as_str()) {
                Some(Content::List(values)) => values,
                _ => &[],
            };
            if there != found.as_slice() {
                return Err(format!("it was {}", Values(there)));
            }
        }
        Operation::Get { key, found } => {
            let there = match state.get(key.as_str()) {
                Some(Content::Value(value)) => Some(*value),
                _ => None,
            };
            if there != *found {
                let there = there.map_or_else(|| "nil".to_owned(), |there| there.to_string());
                return Err(format!("it was {there}"));
            }
        }
        Operation::Scan(scan) => {
            let there = scanned(state, scan);
            if there != scan.found {
                let there = Scan { found: there, ..scan.clone() };
                return Err(format!("the same is {there}"));
            }
        }
    }
    Ok(())
}

fn scanned(state: &BTreeMap<&str, Content>, scan: &Scan) -> Vec<(String, Content)> {
    let inside = |(key, _): &(&&str, &Content)| scan.to.as_deref().is_none_or(|to| **key < to);
    let owned = |(key, content): (&&str, &Content)| ((*key).to_owned(), content.clone());
    let range = state.range(scan.from.as_str()..).take_while(inside);
    let limit = scan.limit.unwrap_or(usize::MAX);
    if !scan.backward {
        return range.take(limit).map(owned).collect();
    }
    let mut found: Vec<_> = range.map(owned).collect();
    found.reverse();
    found.truncate(limit);
    found
}

/// Whoever returned before another was invoked has a version no higher, and lower if the other wrote.
fn against_time(history: &History, versions: &[Option<u64>], violations: &mut Vec<Violation>) {
    let transactions = history.transactions();
    let mut events: Vec<(u64, bool, usize)> = Vec::with_capacity(2 * transactions.len());
    for (at, each) in transactions.iter().enumerate() {
        if each.status == Status::Failed || versions[at].is_none() {
            continue;
        }
        if !each.past {
            events.push((each.invoked, false, at));
        }
        if let (Some(returned), Status::Ok) = (each.returned, each.status) {
            events.push((returned, true, at));
        }
    }
    events.sort_unstable();
    let mut highest: Option<(u64, usize)> = None;
    for (_, returns, at) in events {
        let Some(version) = versions[at] else { continue };
        if returns {
            highest = highest.max(Some((version, at)));
            continue;
        }
        let Some((before, other)) = highest else { continue };
        if version < before || (version == before && transactions[at].writes()) {
            let (one, two) = (other + 1, at + 1);
            let returned = transactions[other].returned.unwrap_or_default();
            let invoked = transactions[at].invoked;
            let what = format!(
                "T{one} returned at {returned} with version {before}, before T{two} was invoked at {invoked}, \
                 but T{two} has version {version}"
            );
            violations.push(violation(Anomaly::AgainstTime, [other, at], what));
        }
    }
}
