//! Two processes that write at once.

use serde_json::Value;

use super::{json, store};

#[test]
fn two_processes_that_write_at_once_lose_nothing() {
    let bench = store();
    std::thread::scope(|scope| {
        for name in ["a", "b"] {
            let bench = &bench;
            scope.spawn(move || {
                for number in 0..20 {
                    let line = format!("store put {name}/{number:02} -");
                    let output = bench.feed(&line, b"x");
                    assert!(output.status.success(), "{line}: {}", bench.shown(&output));
                }
            });
        }
    });
    assert_eq!(bench.ok("store ls").lines().count(), 40);
    let versions: Vec<_> = bench
        .ok("store log --json")
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["version"].as_u64().unwrap())
        .collect();
    assert!(versions.is_sorted_by(|a, b| a > b), "{versions:?}");
}

#[test]
fn of_those_who_take_a_lock_at_once_one_has_it() {
    let bench = store();
    for round in 0..5 {
        let line = format!("store put lock/{round} - --if-absent");
        let codes: Vec<_> = std::thread::scope(|scope| {
            let takers: Vec<_> =
                (0..4).map(|_| scope.spawn(|| bench.feed(&line, b"x").status.code())).collect();
            takers.into_iter().map(|taker| taker.join().unwrap()).collect()
        });
        let (taken, refused) = (
            codes.iter().filter(|code| **code == Some(0)),
            codes.iter().filter(|code| **code == Some(4)),
        );
        assert_eq!((taken.count(), refused.count()), (1, 3), "{codes:?}");
    }
}

#[test]
fn numbers_that_are_added_at_once_add_up() {
    let bench = store();
    bench.write("add", "{\"op\":\"add\",\"key\":\"n\",\"number\":1}");
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| (0..10).for_each(|_| drop(bench.ok("store txn add"))));
        }
    });
    assert_eq!(json(&bench, "store get n --json")["size"], 8);
    assert_eq!(bench.feed("store get n", b"").stdout, 30_i64.to_le_bytes());
}
