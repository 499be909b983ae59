//! Makes a failing history small.

use std::collections::BTreeSet;

use super::history::{Content, History, Operation, Transaction};

/// The least of a history that still fails: no transaction and no operation can be left out of it.
///
/// What a transaction wrote goes with it out of the reads of the others, so that the rest looks as if it had never been.
/// The history is run through `fails` some hundreds of times, most of them when it is small already.
///
/// # Examples
///
/// ```
/// use conformance::serializability::{Anomaly, History, check, smallest};
///
/// let history: History = "
///     p0 1..2 ok: append x 1
///     p1 1..9 ok: append y 1; read z []
///     p2 3..4 ok: read x []
/// ".parse()?;
/// let anomaly = *check(&history).unwrap_err().anomalies().first().expect("not empty");
/// let small = smallest(&history, |history| {
///     check(history).is_err_and(|violations| violations.anomalies().contains(&anomaly))
/// });
/// assert_eq!(small.to_string(), "T1 p0 1..2 ok: append x 1\nT2 p2 3..4 ok: read x []\n");
/// # Ok::<(), conformance::serializability::Malformed>(())
/// ```
#[must_use]
pub fn smallest(history: &History, fails: impl Fn(&History) -> bool) -> History {
    let mut best = history.clone();
    loop {
        let before = size(&best);
        best = with_fewer(best, |history| history.transactions().len(), without, &fails);
        best = with_fewer(best, operations, without_operations, &fails);
        if size(&best) == before {
            return best;
        }
    }
}

fn size(history: &History) -> (usize, usize) {
    (history.transactions().len(), operations(history))
}

fn operations(history: &History) -> usize {
    history.transactions().iter().map(|each| each.operations.len()).sum()
}

/// Leaves out what can be left out, in chunks that are halved until they are of one.
fn with_fewer(
    mut best: History,
    count: impl Fn(&History) -> usize,
    without: impl Fn(&History, &dyn Fn(usize) -> bool) -> Option<History>,
    fails: impl Fn(&History) -> bool,
) -> History {
    let mut chunk = count(&best).div_ceil(2);
    while chunk > 0 {
        let mut from = 0;
        while from < count(&best) {
            let out = from..from + chunk;
            match without(&best, &|at| out.contains(&at)).filter(|smaller| fails(smaller)) {
                Some(smaller) => best = smaller,
                None => from += chunk,
            }
        }
        chunk /= 2;
    }
    best
}

fn without(history: &History, is_out: &dyn Fn(usize) -> bool) -> Option<History> {
    let mut gone = BTreeSet::new();
    let mut kept: Vec<Transaction> = Vec::new();
    for (at, transaction) in history.transactions().iter().enumerate() {
        if is_out(at) {
            gone.extend(transaction.operations.iter().filter_map(written));
        } else {
            kept.push(transaction.clone());
        }
    }
    forget(&mut kept, &gone);
    History::new(kept).ok()
}

/// The same by operations, which are numbered through the history.
fn without_operations(history: &History, is_out: &dyn Fn(usize) -> bool) -> Option<History> {
    let mut gone = BTreeSet::new();
    let mut kept: Vec<Transaction> = history.transactions().to_vec();
    let mut number = 0;
    for transaction in &mut kept {
        transaction.operations.retain(|operation| {
            number += 1;
            let out = is_out(number - 1);
            gone.extend(written(operation).filter(|_| out));
            !out
        });
    }
    forget(&mut kept, &gone);
    History::new(kept).ok()
}

fn written(operation: &Operation) -> Option<(String, u64)> {
    match operation {
        Operation::Append { key, value } | Operation::Put { key, value } => {
            Some((key.clone(), *value))
        }
        _ => None,
    }
}

/// Takes values out of what was read. A register that held one was not empty without it, so nothing is known of it.
fn forget(transactions: &mut [Transaction], gone: &BTreeSet<(String, u64)>) {
    let is_gone = |key: &str, value: u64| gone.contains(&(key.to_owned(), value));
    for transaction in transactions {
        transaction.operations.retain_mut(|operation| match operation {
            Operation::Read { key, found } => {
                found.retain(|value| !is_gone(key, *value));
                true
            }
            Operation::Get { key, found } => !found.is_some_and(|value| is_gone(key, value)),
            Operation::Scan(scan) => {
                scan.found.retain_mut(|(key, content)| match content {
                    Content::List(values) => {
                        values.retain(|value| !is_gone(key, *value));
                        !values.is_empty()
                    }
                    Content::Value(value) => !is_gone(key, *value),
                });
                true
            }
            Operation::Append { .. } | Operation::Put { .. } | Operation::Delete { .. } => true,
        });
    }
}
