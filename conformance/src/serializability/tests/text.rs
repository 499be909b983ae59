//! Histories as text, and what is refused as one.

use super::database::{Isolation, Operations, Workload};
use super::*;

#[test]
fn a_printed_history_is_the_same_when_it_is_read() {
    for seed in 0..100 {
        let workload = Workload::new(Isolation::ReadUncommitted, Operations::Everything);
        let history = workload.run(seed).unwrap();
        assert_eq!(history.to_string().parse(), Ok(history), "seed {seed}");
    }
}

/// A text, and why it is no history.
const REFUSED: &[(&str, &str)] = &[
    ("p0 1..2 ok append x 1", "line 1: no colon before the operations"),
    ("\np 1..2 ok:", r#"line 2: "" is not a number"#),
    ("p0 1-2 ok:", "line 1: no INVOKED..RETURNED"),
    ("p0 1..2 fine:", "line 1: the status is not ok, failed or unknown"),
    ("p0 1..2 ok later:", "line 1: later is neither a version nor past"),
    ("p0 1..2 ok: append x", r#"line 1: append x: "" is not a number"#),
    ("p0 1..2 ok: read x 1", "line 1: read x 1: no brackets around a list"),
    ("p0 1..2 ok: drop x 1", "line 1: drop x 1: drop is not an operation"),
    ("p0 1..2 ok: put x! 1", r#"line 1: put x! 1: "x!" is not a key"#),
    ("p0 1..2 ok: scan a..b", "line 1: scan a..b: no braces around what was found"),
    ("p0 2..2 ok:", "T1: returned at 2, but was invoked at 2"),
    ("p0 1.. ok:", "T1: is ok, but never returned"),
    ("p0 1..2 failed v3:", "T1: failed, but has the version 3"),
    ("p0 1..4 ok:\np0 3..5 ok:", "T2: process 0 began it at 3, while T1 ran"),
    (
        "p0 1..2 ok: append x 1\np1 1..2 failed: append x 1",
        "T2: writes 1 to x, which T1 wrote already",
    ),
    ("p0 1..2 ok: append x 1; get x nil", "T1: x is used as a list and as a register"),
];

#[test]
fn what_is_no_history_is_refused_with_its_place() {
    for (text, expected) in REFUSED {
        let refused = text.parse::<History>().unwrap_err();
        assert_eq!(refused.to_string(), *expected, "{text}");
    }
}

#[test]
fn a_failing_history_is_made_small_and_fails_the_same_way() {
    let mut tried = 0;
    for seed in 0..40 {
        let workload = Workload::new(Isolation::Snapshot, Operations::Lists);
        let history = workload.run(seed).unwrap();
        let Err(violations) = check(&history) else { continue };
        let anomaly = violations.all()[0].anomaly;
        let fails = |history: &History| {
            check(history).is_err_and(|violations| violations.anomalies().contains(&anomaly))
        };
        let small = smallest(&history, fails);
        assert!(fails(&small), "seed {seed}");
        // A write skew takes two transactions; more are needed to tell the order of appends that nobody read.
        assert!(small.transactions().len() <= 6, "seed {seed}:\n{small}");
        tried += 1;
    }
    assert!(tried > 5, "only {tried} failed");
}
