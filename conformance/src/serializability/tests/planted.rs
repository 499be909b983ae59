//! One mistake planted in a right history, and found.

use rand::seq::IteratorRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::database::{Isolation, Operations, Workload};
use super::*;

/// Changes a history in one place, if it has one that is fit.
type Plant = fn(&[Transaction], &mut ChaCha8Rng) -> Option<Vec<Transaction>>;

/// What a stale read makes: with the writer's return, one missed write; the rest of the history may close a worse cycle.
const STALE: &[&str] =
    &["G-single", "G2-item", "G-single-process", "G2-item-process", "G-single-realtime"];

/// A mistake, and the anomalies of which its history must show one.
const PLANTS: &[(&str, Plant, &[&str])] = &[
    ("two values swapped in one read", swap, &["incompatible-order"]),
    ("a value dropped from the middle of one read", drop_middle, &["incompatible-order"]),
    ("a value dropped from every read", drop_everywhere, &["lost"]),
    ("a read as it was before", stale, STALE),
    ("a commit that was said to have failed", flip_to_failed, &["G1a"]),
    ("a value read twice", double, &["duplicate"]),
    ("a value that nobody wrote", invent, &["garbage"]),
    ("a transaction that did not see its own append", forget_own, &["internal"]),
    ("a half of a transaction", intermediate, &["G1b"]),
];

#[test]
fn every_planted_mistake_is_found_and_called_by_its_name() {
    for (name, plant, expected) in PLANTS {
        let mut planted = 0;
        for seed in 0..600 {
            let workload = Workload::new(Isolation::StrictSerializable, Operations::Lists);
            let history = workload.run(seed).unwrap();
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let Some(changed) = plant(history.transactions(), &mut rng) else { continue };
            let changed = History::new(changed).unwrap();
            assert_ne!(changed, history, "{name}, seed {seed}: nothing was planted");
            let found = named(check(&changed));
            let is_found = found.split(", ").any(|found| expected.contains(&found));
            assert!(is_found, "{name}, seed {seed}: {found}\n{changed}");
            assert_ne!(
                named(check_witness(&changed, None)),
                "valid",
                "{name}, seed {seed}, by the order"
            );
            planted += 1;
        }
        assert!(planted >= 300, "{name}: planted only {planted} times");
    }
}

/// The place of a random read that is fit, by transaction and operation, and what it found.
fn some_read(
    transactions: &[Transaction],
    rng: &mut ChaCha8Rng,
    is_fit: impl Fn(&Transaction, &str, &[u64]) -> bool,
) -> Option<(usize, usize, String, Vec<u64>)> {
    let reads = transactions.iter().enumerate().filter(|(_, each)| each.status == Status::Ok);
    let reads = reads.flat_map(|(at, each)| {
        each.operations.iter().enumerate().filter_map(move |(place, operation)| match operation {
            Operation::Read { key, found } => Some((at, place, key, found)),
            _ => None,
        })
    });
    reads
        .filter(|(at, _, key, found)| is_fit(&transactions[*at], key, found))
        .choose(rng)
        .map(|(at, place, key, found)| (at, place, key.clone(), found.clone()))
}

fn with_read(
    transactions: &[Transaction],
    (at, place, key, found): (usize, usize, String, Vec<u64>),
) -> Option<Vec<Transaction>> {
    let mut changed = transactions.to_vec();
    changed[at].operations[place] = Operation::Read { key, found };
    Some(changed)
}

fn touches_once(transaction: &Transaction, name: &str) -> bool {
    let touching = transaction.operations.iter().filter(|operation| match operation {
        Operation::Read { key, .. } | Operation::Append { key, .. } => key == name,
        _ => false,
    });
    touching.count() == 1
}

/// How often a list was read so far or further.
fn reads_beyond(transactions: &[Transaction], name: &str, length: usize) -> usize {
    let committed = transactions.iter().filter(|each| each.status == Status::Ok);
    let beyond = committed.flat_map(|each| &each.operations).filter(
        |operation| matches!(operation, Operation::Read { key, found } if key == name && found.len() >= length),
    );
    beyond.count()
}

fn swap(transactions: &[Transaction], rng: &mut ChaCha8Rng) -> Option<Vec<Transaction>> {
    let (at, place, key, mut found) = some_read(transactions, rng, |_, key, found| {
        found.len() >= 2 && reads_beyond(transactions, key, found.len()) >= 2
    })?;
    let one = rng.random_range(1..found.len());
    found.swap(one - 1, one);
    with_read(transactions, (at, place, key, found))
}

fn drop_middle(transactions: &[Transaction], rng: &mut ChaCha8Rng) -> Option<Vec<Transaction>> {
    let (at, place, key, mut found) = some_read(transactions, rng, |_, key, found| {
        found.len() >= 2 && reads_beyond(transactions, key, found.len()) >= 2
    })?;
    found.remove(rng.random_range(0..found.len() - 1));
    with_read(transactions, (at, place, key, found))
}

fn drop_everywhere(transactions: &[Transaction], rng: &mut ChaCha8Rng) -> Option<Vec<Transaction>> {
    let appends = transactions.iter().filter(|each| each.status == Status::Ok);
    let appends =
        appends.flat_map(|each| &each.operations).filter_map(|operation| match operation {
            Operation::Append { key, value } => Some((key, *value)),
            _ => None,
        });
    let (gone_key, gone) = appends.choose(rng)?;
    let mut changed = transactions.to_vec();
    for operation in changed.iter_mut().flat_map(|each| &mut each.operations) {
        if let Operation::Read { key, found } = operation
            && key == gone_key
        {
            found.retain(|value| *value != gone);
        }
    }
    Some(changed)
}

/// Leaves out the end of a list that was committed and returned before the reader began.
fn stale(transactions: &[Transaction], rng: &mut ChaCha8Rng) -> Option<Vec<Transaction>> {
    let returned_before = |reader: &Transaction, name: &str, seen: u64| {
        transactions.iter().any(|writer| {
            writer.status == Status::Ok
                && writer.returned.is_some_and(|returned| returned < reader.invoked)
                && writer.operations.iter().any(|operation| {
                    matches!(operation, Operation::Append { key, value } if key == name && *value == seen)
                })
        })
    };
    let (at, place, key, mut found) = some_read(transactions, rng, |each, key, found| {
        touches_once(each, key)
            && reads_beyond(transactions, key, found.len()) >= 2
            && found.last().is_some_and(|last| returned_before(each, key, *last))
    })?;
    found.pop();
    with_read(transactions, (at, place, key, found))
}

fn flip_to_failed(transactions: &[Transaction], rng: &mut ChaCha8Rng) -> Option<Vec<Transaction>> {
    let (reader, _, _, found) = some_read(transactions, rng, |_, _, found| !found.is_empty())?;
    let (_, _, key, _) =
        some_read(&transactions[reader..=reader], rng, |_, _, other| *other == found)?;
    let value = *found.iter().choose(rng)?;
    let wrote = Operation::Append { key, value };
    let writer = transactions.iter().position(|each| each.operations.contains(&wrote))?;
    if writer == reader || transactions[writer].status != Status::Ok {
        return None;
    }
    let mut changed = transactions.to_vec();
    (changed[writer].status, changed[writer].version) = (Status::Failed, None);
    Some(changed)
}

fn double(transactions: &[Transaction], rng: &mut ChaCha8Rng) -> Option<Vec<Transaction>> {
    let (at, place, key, mut found) =
        some_read(transactions, rng, |_, _, found| !found.is_empty())?;
    let value = *found.iter().choose(rng)?;
    found.push(value);
    with_read(transactions, (at, place, key, found))
}

fn invent(transactions: &[Transaction], rng: &mut ChaCha8Rng) -> Option<Vec<Transaction>> {
    let (at, place, key, mut found) = some_read(transactions, rng, |_, _, _| true)?;
    found.push(u64::MAX);
    with_read(transactions, (at, place, key, found))
}

fn forget_own(transactions: &[Transaction], rng: &mut ChaCha8Rng) -> Option<Vec<Transaction>> {
    let (at, place, key, mut found) = some_read(transactions, rng, |each, name, found| {
        let own = |operation: &Operation| matches!(operation, Operation::Append { key, value } if key == name && found.last() == Some(value));
        each.operations.iter().any(own)
    })?;
    found.pop();
    with_read(transactions, (at, place, key, found))
}

/// Cuts a list between two appends of one transaction.
fn intermediate(transactions: &[Transaction], rng: &mut ChaCha8Rng) -> Option<Vec<Transaction>> {
    let writer_of = |name: &str, seen: u64| {
        transactions.iter().position(|each| {
            each.operations.iter().any(|operation| {
                matches!(operation, Operation::Append { key, value } if key == name && *value == seen)
            })
        })
    };
    let cut = |name: &str, found: &[u64]| {
        found.windows(2).position(|pair| writer_of(name, pair[0]) == writer_of(name, pair[1]))
    };
    let (at, place, key, mut found) = some_read(transactions, rng, |each, key, found| {
        let own = |operation: &Operation| operation.key_written() == Some(key);
        !each.operations.iter().any(own) && cut(key, found).is_some()
    })?;
    let end = cut(&key, &found)? + 1;
    found.truncate(end);
    with_read(transactions, (at, place, key, found))
}
