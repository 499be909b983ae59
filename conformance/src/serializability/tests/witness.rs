//! The check against the order of commits.

use super::database::{Isolation, Operations, Workload};
use super::*;

const HISTORIES: &[(&str, &str, &str)] = &[
    (
        "as it should be",
        "p0 1..4 ok v2: read x [1]; append x 2; put r 1
         p1 1..3 ok v1: append x 1
         p2 5..6 ok v2: read x [1 2]; get r 1; scan a..z {r=1 x=[1 2]}",
        "valid",
    ),
    (
        "a phantom",
        "p0 1..5 ok v2: scan a..c {}; put total 1
         p1 2..3 ok v1: put b 1",
        "wrong-read",
    ),
    (
        "a phantom by a delete",
        "p0 1..2 ok v1: put b 1
         p1 3..8 ok v3: scan a..c {b=1}; put total 1
         p2 4..5 ok v2: delete b",
        "wrong-read",
    ),
    (
        "a limit that cuts too early",
        "p0 1..2 ok v1: put a 1; put b 1
         p1 3..4 ok v1: scan a..c limit 2 {a=1}",
        "wrong-read",
    ),
    (
        "backward, limited, right",
        "p0 1..2 ok v1: put a 1; put b 1; put c 1
         p1 3..4 ok v1: scan a..c back limit 1 {b=1}; scan b.. {b=1 c=1}; scan ..b {a=1}",
        "valid",
    ),
    (
        "backward, in the wrong order",
        "p0 1..2 ok v1: put a 1; put b 1
         p1 3..4 ok v1: scan a..c back {a=1 b=1}",
        "wrong-read",
    ),
    (
        "the past as it was",
        "p0 1..2 ok v1: append x 1
         p0 3..4 ok v2: append x 2
         p1 5..6 ok v1 past: read x [1]
         p1 7..8 ok v0 past: read x []",
        "valid",
    ),
    (
        "another past",
        "p0 1..2 ok v1: append x 1
         p0 3..4 ok v2: append x 2
         p1 5..6 ok v1 past: read x [1 2]",
        "wrong-read",
    ),
    (
        "the past, not asked for",
        "p0 1..2 ok v1: append x 1
         p1 3..4 ok v0: read x []",
        "against-time",
    ),
    (
        "a commit before one that had returned",
        "p0 1..2 ok v2: append x 1
         p1 3..4 ok v1: append y 1",
        "against-time",
    ),
    (
        "a commit that a reader had seen before it began",
        "p0 1..2 ok v1: read y []
         p1 3..4 ok v1: append x 1",
        "against-time",
    ),
    (
        "one version for two",
        "p0 1..4 ok v1: append x 1
         p1 1..4 ok v1: append y 1",
        "wrong-order",
    ),
    ("no version", "p0 1..4 ok: append x 1", "wrong-order"),
    (
        "unknown, in the order, so it happened",
        "p0 1.. unknown v1: append x 1
         p1 2..3 ok v1: read x []",
        "wrong-read",
    ),
    (
        "unknown, and not in the order",
        "p0 1.. unknown: append x 1
         p1 2..3 ok v0: read x []",
        "valid",
    ),
];

#[test]
fn every_difference_from_the_order_of_commits_is_named() {
    for (name, text, expected) in HISTORIES {
        let history: History = text.parse().unwrap();
        assert_eq!(named(check_witness(&history, None)), *expected, "{name}");
    }
}

type VersionsAndPlaces = &'static [(u64, usize)];

/// A log as versions and places, and what is found with it.
const LOGS: &[(&str, VersionsAndPlaces, &str)] = &[
    ("the same", &[(1, 0), (3, 2)], "valid"),
    ("with the unknown one, which nobody saw", &[(1, 0), (2, 3), (3, 2)], "wrong-read"),
    ("one is missing", &[(1, 0)], "log-differs"),
    ("a version differs", &[(1, 0), (2, 2)], "log-differs"),
    ("one is there twice", &[(1, 0), (2, 0), (3, 2)], "log-differs"),
    ("a failed one is there", &[(1, 0), (2, 1), (3, 2)], "log-differs"),
    ("one that only read is there", &[(1, 0), (3, 2), (4, 4)], "log-differs"),
    ("out of order", &[(3, 2), (1, 0)], "log-differs"),
    ("a stranger is there", &[(1, 0), (3, 2), (4, 9)], "log-differs"),
];

#[test]
fn the_log_must_have_the_commits_of_the_history() {
    let history: History = "
        p0 1..2 ok v1: append x 1
        p1 1..2 failed: append x 2
        p0 5..6 ok v3: read x [1]; append x 3
        p2 3.. unknown: append x 4
        p3 7..8 ok v3: read x [1 3]
    "
    .parse()
    .unwrap();
    for (name, log, expected) in LOGS {
        let log: Vec<Logged> = log
            .iter()
            .map(|(version, transaction)| Logged { version: *version, transaction: *transaction })
            .collect();
        assert_eq!(named(check_witness(&history, Some(&log))), *expected, "{name}");
    }
}

#[test]
fn both_checks_accept_what_a_strictly_serializable_database_did() {
    for operations in [Operations::Lists, Operations::Registers, Operations::Everything] {
        for seed in 0..300 {
            let history =
                Workload::new(Isolation::StrictSerializable, operations).run(seed).unwrap();
            let accepted = check(&history).and_then(|()| check_witness(&history, None));
            assert!(accepted.is_ok(), "{operations:?}, seed {seed}: {}", accepted.unwrap_err());
        }
    }
}

/// The witness check is complete, so it must refuse whatever the other has proved wrong.
#[test]
fn the_witness_check_refuses_whatever_the_cycle_check_refuses() {
    let mut refused = [0, 0];
    for operations in [Operations::Lists, Operations::Registers, Operations::Everything] {
        for seed in 0..500 {
            let history = Workload::new(Isolation::Snapshot, operations).run(seed).unwrap();
            let (cycles, witness) = (check(&history), check_witness(&history, None));
            assert!(
                cycles.is_ok() || witness.is_err(),
                "{operations:?}, seed {seed}: {}",
                cycles.unwrap_err()
            );
            refused[0] += usize::from(cycles.is_err());
            refused[1] += usize::from(witness.is_err());
        }
    }
    assert!(refused[0] > 300 && refused[1] < 1500, "refused {refused:?} of 1,500");
}
