//! What can be wrong with single reads, before any order of transactions is thought of.

use std::collections::{BTreeMap, BTreeSet};

use super::facts::{Facts, Found, KeyFacts, Read, Touch};
use super::history::{Operation, Scan, Status};
use super::notation::Values;
use super::verdict::{Anomaly, Violation};

/// All violations that a read proves on its own, or with one other transaction.
pub(super) fn check(facts: &Facts<'_>) -> Vec<Violation> {
    let mut violations = Vec::new();
    for key in &facts.keys {
        sources(facts, key, &mut violations);
        if key.is_list {
            duplicates(key, &mut violations);
            if let Err(violation) = longest(key) {
                violations.push(violation);
            }
            lost(facts, key, &mut violations);
        }
    }
    for by in (0..facts.touches.len()).filter(|by| facts.happened[*by]) {
        violations.extend(internal(facts, by));
        violations.extend(scans(facts, by));
    }
    violations
}

/// The longest read of a list, of which all others are beginnings.
///
/// # Errors
///
/// The violation, if they are not.
pub(super) fn longest<'h>(key: &KeyFacts<'h>) -> Result<&'h [u64], Violation> {
    let mut longest: (&[u64], Option<usize>) = (&[], None);
    let mut reads: Vec<(&[u64], usize)> = lists(key).collect();
    reads.sort_by_key(|(found, _)| found.len());
    for (found, by) in reads {
        if !found.starts_with(longest.0) {
            let other = longest.1.unwrap_or(by);
            let (name, one, two) = (key.name, Values(longest.0), Values(found));
            return Err(Violation {
                anomaly: Anomaly::IncompatibleOrder,
                steps: vec![format!(
                    "T{} read {name} as {one} and T{} as {two}: neither is a beginning of the other",
                    other + 1,
                    by + 1,
                )],
                transactions: BTreeSet::from([other, by]),
            });
        }
        longest = (found, Some(by));
    }
    Ok(longest.0)
}

fn lists<'k, 'h: 'k>(key: &'k KeyFacts<'h>) -> impl Iterator<Item = (&'h [u64], usize)> + 'k {
    key.reads.iter().filter_map(|read| match read.found {
        Found::List(found) => Some((found, read.by)),
        Found::Value(_) => None,
    })
}

/// Garbage, aborted and intermediate reads: each value once, by the first who read it.
fn sources(facts: &Facts<'_>, key: &KeyFacts<'_>, violations: &mut Vec<Violation>) {
    let mut looked_at = BTreeSet::new();
    for Read { by, found, .. } in &key.reads {
        let (by, name) = (*by, key.name);
        for value in found.values().iter().filter(|value| looked_at.insert(**value)) {
            match key.write_of(*value) {
                None => violations.push(Violation {
                    anomaly: Anomaly::Garbage,
                    steps: vec![format!("T{} read {value} in {name}, which nobody wrote", by + 1)],
                    transactions: BTreeSet::from([by]),
                }),
                Some(write) if facts.failed(write.by) => violations.push(Violation {
                    anomaly: Anomaly::AbortedRead,
                    steps: vec![format!(
                        "T{} read {value} in {name}, which T{} wrote, and that failed",
                        by + 1,
                        write.by + 1,
                    )],
                    transactions: BTreeSet::from([by, write.by]),
                }),
                Some(_) => {}
            }
        }
        if let Some(value) = found.values().last()
            && let Some(write) = key.write_of(*value)
            && !write.last
            && write.by != by
        {
            violations.push(Violation {
                anomaly: Anomaly::IntermediateRead,
                steps: vec![format!(
                    "T{} read {name} up to {value}, but T{} wrote to it again after that",
                    by + 1,
                    write.by + 1,
                )],
                transactions: BTreeSet::from([by, write.by]),
            });
        }
    }
}

fn duplicates(key: &KeyFacts<'_>, violations: &mut Vec<Violation>) {
    for (found, by) in lists(key) {
        let mut seen = BTreeSet::new();
        if let Some(value) = found.iter().find(|value| !seen.insert(**value)) {
            let what = format!("T{} read {value} twice in {} {}", by + 1, key.name, Values(found));
            violations.push(Violation {
                anomaly: Anomaly::Duplicate,
                steps: vec![what],
                transactions: BTreeSet::from([by]),
            });
        }
    }
}

/// Committed appends that nobody ever saw, although someone read the list later.
fn lost(facts: &Facts<'_>, key: &KeyFacts<'_>, violations: &mut Vec<Violation>) {
    let transactions = facts.history.transactions();
    let seen: BTreeSet<u64> = lists(key).flat_map(|(found, _)| found.iter().copied()).collect();
    let reads = lists(key).map(|(_, by)| (transactions[by].invoked, by));
    let Some((invoked, by)) = reads.filter(|(_, by)| !transactions[*by].past).max() else {
        return;
    };
    for write in &key.writes {
        let returned = transactions[write.by].returned.filter(|_| facts.happened[write.by]);
        if let (Some(value), Some(returned)) = (write.value, returned)
            && returned < invoked
            && by != write.by
            && transactions[write.by].status == Status::Ok
            && !seen.contains(&value)
        {
            violations.push(Violation {
                anomaly: Anomaly::Lost,
                steps: vec![format!(
                    "T{} appended {value} to {} and returned at {returned}; T{}, invoked at {invoked}, did not \
                     find it, nor did anybody else",
                    write.by + 1,
                    key.name,
                    by + 1,
                )],
                transactions: BTreeSet::from([by, write.by]),
            });
        }
    }
}

/// Scans that told what they were not asked for: keys out of order, out of the range, beyond the limit.
fn scans(facts: &Facts<'_>, by: usize) -> Option<Violation> {
    let scans =
        facts.history.transactions()[by].operations.iter().filter_map(
            |operation| match operation {
                Operation::Scan(scan) => Some(scan),
                _ => None,
            },
        );
    let wrong = |scan: &Scan| {
        let inside =
            |key: &str| key >= scan.from.as_str() && scan.to.as_deref().is_none_or(|to| key < to);
        let ordered = scan.found.is_sorted_by(|(one, _), (two, _)| match scan.backward {
            true => one > two,
            false => one < two,
        });
        match scan.limit {
            _ if !ordered => Some("its keys are not in order"),
            _ if !scan.found.iter().all(|(key, _)| inside(key)) => {
                Some("a key is not in its range")
            }
            Some(limit) if scan.found.len() > limit => Some("it is longer than its limit"),
            _ => None,
        }
    };
    let (scan, wrong) = scans.filter_map(|scan| Some((scan, wrong(scan)?))).next()?;
    Some(Violation {
        anomaly: Anomaly::Internal,
        steps: vec![format!("T{}: {scan}: {wrong}", by + 1)],
        transactions: BTreeSet::from([by]),
    })
}

/// What a transaction may expect of a key after what it did itself.
enum Expected<'h> {
    /// Whatever was there before, then these.
    Appended(Vec<u64>),
    /// This list, then these.
    List(&'h [u64], Vec<u64>),
    /// This value.
    Value(Option<u64>),
}

/// The first contradiction of a transaction with itself.
fn internal(facts: &Facts<'_>, by: usize) -> Option<Violation> {
    let mut expected: BTreeMap<usize, Expected<'_>> = BTreeMap::new();
    let mut seen: BTreeSet<(usize, u64)> = BTreeSet::new();
    let touches = &facts.touches[by];
    let written_later = |key: usize, value: u64| {
        touches.iter().any(|(other, touch)| {
            let written = match touch {
                Touch::Append(value) | Touch::Set(Some(value)) => *value,
                Touch::Set(None) | Touch::Read(_) => return false,
            };
            *other == key && written == value
        })
    };
    for (key, touch) in touches {
        let name = facts.keys[*key].name;
        let wrong = match *touch {
            Touch::Append(value) => {
                match expected.entry(*key).or_insert_with(|| Expected::Appended(Vec::new())) {
                    Expected::Appended(own) | Expected::List(_, own) => own.push(value),
                    Expected::Value(_) => {}
                }
                seen.insert((*key, value));
                None
            }
            Touch::Set(value) => {
                expected.insert(*key, Expected::Value(value));
                seen.extend(value.map(|value| (*key, value)));
                None
            }
            Touch::Read(found) => {
                let contradiction = match (expected.get(key), found) {
                    (Some(expected), found) => expected.contradicts(found),
                    (None, _) => None,
                };
                let early = found
                    .values()
                    .iter()
                    .find(|value| !seen.contains(&(*key, **value)) && written_later(*key, **value));
                let next = match found {
                    Found::List(found) => Expected::List(found, Vec::new()),
                    Found::Value(found) => Expected::Value(found),
                };
                expected.insert(*key, next);
                contradiction.or_else(|| {
                    early.map(|value| format!("saw {value}, which it wrote only later"))
                })
            }
        };
        if let Some(wrong) = wrong {
            return Some(Violation {
                anomaly: Anomaly::Internal,
                steps: vec![format!("T{} read {name} and {wrong}", by + 1)],
                transactions: BTreeSet::from([by]),
            });
        }
    }
    None
}

impl Expected<'_> {
    fn contradicts(&self, found: Found<'_>) -> Option<String> {
        match (self, found) {
            (Self::Appended(own), Found::List(found)) if !found.ends_with(own) => Some(format!(
                "saw {}, which does not end with its own appends {}",
                Values(found),
                Values(own)
            )),
            (Self::List(before, own), Found::List(found))
                if found.strip_prefix(*before) != Some(own.as_slice()) =>
            {
                let expected: Vec<u64> = before.iter().chain(own).copied().collect();
                let (expected, found) = (Values(&expected), Values(found));
                Some(format!("saw {found}, where by its own doing there was {expected}"))
            }
            (Self::Value(expected), Found::Value(found)) if *expected != found => {
                let show = |value: Option<u64>| {
                    value.map_or_else(|| "nil".to_owned(), |value| value.to_string())
                };
                let (found, expected) = (show(found), show(*expected));
                Some(format!("saw {found}, where by its own doing there was {expected}"))
            }
            _ => None,
        }
    }
}
