//! Each anomaly by its name, written by hand.

use super::*;

/// A history's name, its text, and what the check must find.
const HISTORIES: &[(&str, &str, &str)] = &[
    ("nothing happened", "", "valid"),
    (
        "a register that a transaction of unknown outcome may have deleted",
        "p0 1..2 ok v1: put r 1
         p0 3..  unknown: delete r
         p1 4..5 ok v2: get r nil",
        "valid",
    ),
    (
        "one after another",
        "p0 1..2 ok: append x 1; append y 1
         p1 3..4 ok: read x [1]; append x 2; put r 7
         p0 5..6 ok: read x [1 2]; read y [1]; get r 7",
        "valid",
    ),
    (
        "at the same time, in either order",
        "p0 1..4 ok: append x 1; append y 1
         p1 2..3 ok: read x [1]; read y [1]
         p2 2..3 ok: read x []; read y []",
        "valid",
    ),
    // Dirty write: two transactions write two lists, one over the other in each.
    (
        "dirty write",
        "p0 1..4 ok: append x 1; append y 1
         p1 2..3 ok: append x 2; append y 2
         p2 5..6 ok: read x [1 2]; read y [2 1]",
        "G0",
    ),
    (
        "dirty read",
        "p0 1..4 failed: append x 1
         p1 2..3 ok: read x [1]",
        "G1a",
    ),
    (
        "dirty read of a register",
        "p0 1..4 failed: put r 1
         p1 2..3 ok: get r 1",
        "G1a",
    ),
    (
        "intermediate read",
        "p0 1..4 ok: append x 1; append x 2
         p1 2..3 ok: read x [1]
         p1 5..6 ok: read x [1 2]",
        "G1b, G-single",
    ),
    (
        "intermediate read of a register",
        "p0 1..4 ok: put r 1; put r 2
         p1 2..3 ok: get r 1",
        "G1b",
    ),
    (
        "circular information flow",
        "p0 1..4 ok: append x 1; read y [1]
         p1 2..3 ok: append y 1; read x [1]",
        "G1c",
    ),
    (
        "lost update",
        "p0 1..4 ok: read x []; append x 1
         p1 2..3 ok: read x []; append x 2
         p2 5..6 ok: read x [2 1]",
        "G-single",
    ),
    (
        "lost update of a register",
        "p0 1..4 ok: get r 1; put r 2
         p1 2..3 ok: get r 1; put r 3
         p2 0..1 ok: put r 1",
        "G2-item",
    ),
    (
        "lost update of a register with versions",
        "p2 0..1 ok v1: put r 1
         p0 1..4 ok v3: get r 1; put r 2
         p1 2..3 ok v2: get r 1; put r 3",
        "G-single",
    ),
    (
        "read skew",
        "p0 1..4 ok: read x []; read y [1]
         p1 2..3 ok: append x 1; append y 1",
        "G-single",
    ),
    (
        "write skew",
        "p0 1..4 ok: read x []; read y []; append x 1
         p1 2..3 ok: read x []; read y []; append y 1",
        "G2-item",
    ),
    (
        "phantom",
        "p0 1..4 ok: scan a..n {}; append p 1
         p1 2..3 ok: scan o..q {}; append b 1",
        "G2-item",
    ),
    (
        "phantom of a deleted register, seen with a limit from behind",
        "p0 1..2 ok v1: put a 1; put b 1
         p1 3..6 ok v3: scan a..c back limit 2 {b=1 a=1}; put z 1
         p2 4..5 ok v2: get z nil; delete a
         p3 7..8 ok v3: scan a..c {b=1}; get z 1",
        "G2-item",
    ),
    (
        "no phantom beyond the limit",
        "p0 1..4 ok: scan a..n limit 1 {b=[1]}; append p 1
         p1 2..3 ok: read p []; append c 1
         p2 0..1 ok: append b 1",
        "valid",
    ),
    (
        "fuzzy read",
        "p0 1..4 ok: read x []; read x [1]
         p1 2..3 ok: append x 1",
        "internal, G-single",
    ),
    ("own writes not seen", "p0 1..2 ok: append x 1; read x []", "internal"),
    ("own write seen before it was made", "p0 1..2 ok: read x [1]; append x 1", "internal"),
    (
        "a scan out of order",
        "p0 1..2 ok: append a 1; append b 1
         p1 3..4 ok: scan a..c back {a=[1] b=[1]}",
        "internal",
    ),
    (
        "a scan beyond its range",
        "p0 1..2 ok: append a 1; append c 1
         p1 3..4 ok: scan a..c {a=[1] c=[1]}",
        "internal",
    ),
    (
        "a scan beyond its limit",
        "p0 1..2 ok: append a 1; append b 1
         p1 3..4 ok: scan a..c limit 1 {a=[1] b=[1]}",
        "internal",
    ),
    // Fekete, O'Neil and O'Neil, 2004: the two writers alone are serializable; who looks on makes it wrong.
    (
        "read-only anomaly",
        "p0 1..8 ok: read x []; read y []; append x 1
         p1 2..3 ok: read y []; append y 1
         p2 4..5 ok: read x []; read y [1]",
        "G2-item",
    ),
    (
        "no read-only anomaly without the onlooker",
        "p0 1..8 ok: read x []; read y []; append x 1
         p1 2..3 ok: read y []; append y 1",
        "valid",
    ),
    (
        "long fork",
        "p0 1..8 ok: append x 1
         p1 1..8 ok: append y 1
         p2 1..8 ok: read x [1]; read y []
         p3 1..8 ok: read x []; read y [1]",
        "G2-item",
    ),
    (
        "real-time violation",
        "p0 1..2 ok: append x 1
         p1 3..4 ok: read x []
         p2 5..6 ok: read x [1]",
        "G-single-realtime",
    ),
    (
        "real-time violation through a third",
        "p0 1..2 ok: append x 1
         p1 3..4 ok: append z 1
         p2 5..6 ok: read x []
         p3 7..8 ok: read x [1]",
        "G-single-realtime",
    ),
    (
        "a stale read by the same process",
        "p0 1..2 ok: append x 1
         p0 3..4 ok: read x []
         p1 5..6 ok: read x [1]",
        "G-single-process",
    ),
    (
        "the past, asked for",
        "p0 1..2 ok: append x 1
         p0 3..4 ok past: read x []
         p1 5..6 ok: read x [1]",
        "valid",
    ),
    (
        "a past that never was",
        "p0 1..2 ok: append x 1; append y 1
         p0 3..4 ok past: read x []; read y [1]",
        "G-single",
    ),
    (
        "lost append",
        "p0 1..2 ok: append x 1
         p1 3..4 ok: read x []",
        "G-single-realtime, lost",
    ),
    // Nobody saw 2, so it comes after the longest read: without this rule, nothing would be found.
    (
        "an append that nobody saw",
        "p0 1..8 ok: append x 1
         p1 1..8 ok: read x [1]; append y 1
         p2 1..8 ok: append x 2; read y []
         p3 1..8 ok: read y [1]; read x [1]",
        "G2-item",
    ),
    (
        "an append that nobody saw, by one who saw its reader",
        "p0 1..8 ok: append x 1
         p1 1..8 ok: read x [1]; read y [1]
         p2 1..8 ok: append x 2; append y 1",
        "G-single",
    ),
    (
        "an append that nobody saw, over the last one that somebody saw",
        "p0 1..8 ok: append x 1; append y 1
         p1 1..8 ok: read x [1]
         p2 1..8 ok: append x 2; read y []",
        "G-single",
    ),
    (
        "unknown, and landed after what its process did next",
        "p0 1..2 unknown: append x 1
         p0 3..4 ok: read x []
         p1 5..6 ok: read x [1]",
        "valid",
    ),
    ("garbage", "p0 1..2 ok: read x [9]", "garbage"),
    ("garbage in a register", "p0 1..2 ok: get r 9", "garbage"),
    (
        "duplicate",
        "p0 1..2 ok: append x 1
         p1 3..4 ok: read x [1 1]",
        "duplicate",
    ),
    (
        "incompatible order",
        "p0 1..2 ok: append x 1
         p1 1..2 ok: append x 2
         p2 3..4 ok: read x [1 2]
         p3 3..4 ok: read x [2 1]",
        "incompatible-order",
    ),
    (
        "unknown, and never seen",
        "p0 1.. unknown: append x 1
         p1 2..3 ok: read x []",
        "valid",
    ),
    (
        "unknown, and landed late",
        "p0 1..2 unknown: append x 1
         p1 3..4 ok: read x []
         p1 5..6 ok: read x [1]",
        "valid",
    ),
    (
        "unknown, seen and gone again",
        "p0 1..2 unknown: append x 1
         p1 3..4 ok: read x [1]
         p1 5..6 ok: read x []",
        "G-single-process",
    ),
    (
        "unknown, and half of it seen",
        "p0 1..2 unknown: append x 1; append y 1
         p1 3..4 ok: read x [1]; read y []",
        "G-single",
    ),
    (
        "unknown, seen only by an unknown that was seen",
        "p0 1.. unknown: append x 1; append y 1
         p1 1.. unknown: read x [1]; append z 1
         p2 2..3 ok: read z [1]; read y []",
        "G-single",
    ),
    (
        "before it was begun",
        "p0 1..2 ok: read x [1]
         p1 3..4 ok: append x 1",
        "G1c-realtime",
    ),
    (
        "writes against time",
        "p0 1..2 ok: append x 1
         p1 3..4 ok: append x 2
         p2 5..6 ok: read x [2 1]",
        "G0-realtime",
    ),
];

#[test]
fn every_anomaly_is_called_by_its_name() {
    for (name, text, expected) in HISTORIES {
        let history: History = text.parse().unwrap();
        let verdict = check(&history);
        let report = verdict.as_ref().err().map(ToString::to_string).unwrap_or_default();
        assert_eq!(named(verdict), *expected, "{name}:\n{text}\n{report}");
    }
}

#[test]
fn a_history_is_as_wrong_in_any_order_of_its_lines() {
    for (name, text, expected) in HISTORIES {
        let lines: Vec<&str> = text.lines().collect();
        let reversed: Vec<&str> = lines.into_iter().rev().collect();
        let history: History = reversed.join("\n").parse().unwrap();
        assert_eq!(named(check(&history)), *expected, "{name}, reversed");
    }
}

/// The cycle goes through every transaction's barrier: a search that starts over at each would not come to an end.
#[test]
fn a_stale_read_across_all_of_a_long_history_is_found() {
    let workload = database::Workload {
        transactions: 20_000,
        ..database::Workload::new(
            database::Isolation::StrictSerializable,
            database::Operations::Lists,
        )
    };
    let mut transactions = workload.run(1).unwrap().transactions().to_vec();
    let end = transactions.iter().filter_map(|each| each.returned).max().unwrap();
    let stale: History = format!("p9999 {}..{} ok: read x1 []", end + 1, end + 2).parse().unwrap();
    transactions.extend(stale.transactions().iter().cloned());
    let violations = check(&History::new(transactions).unwrap()).unwrap_err();
    let [violation] = violations.all() else { panic!("{violations}") };
    assert_eq!(violation.anomaly, Anomaly::Cycle(Class::GSingle, Strength::Realtime));
    assert_eq!(violation.steps.len(), 2, "{violations}");
}

#[test]
fn the_steps_of_a_cycle_say_who_came_before_whom_and_why() {
    let history: History = "
        p0 1..2 ok: append x 1
        p1 3..4 ok: append y 1
        p2 5..6 ok: read x []; read y [1]
        p3 7..8 ok: read x [1]
    "
    .parse()
    .unwrap();
    expect_test::expect![[r#"
        G-single-realtime:
            T3 < T1: T3 read x before T1 wrote 1 (rw)
            T1 < T3: T1 returned at 2, before T3 was invoked at 5
        of these transactions:
            T1 p0 1..2 ok: append x 1
            T3 p2 5..6 ok: read x []; read y [1]"#]]
    .assert_eq(&check(&history).unwrap_err().to_string());
}
