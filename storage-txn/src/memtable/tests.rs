//! Which versions count, at the very edges.

#![allow(clippy::unwrap_used, reason = "a test may stop at what cannot be")]

use super::*;
use crate::change::Merge;

fn range(start: &'static str, end: &'static str) -> Range {
    Range { start: start.into(), end: end.into() }
}

/// "k" merged into at 2, put at 3 and merged into at 5 and 6, "a".."f" emptied at 4, "p" deleted at 7.
fn memtable() -> Memtable {
    let memtable = Memtable::default();
    let change = |version, key: &'static str, change| {
        let mut writes = Writes::default();
        writes.change(key.into(), change).unwrap();
        memtable.apply(Version(version), writes);
    };
    let add = || Change::Merge(vec![Merge::Add(1)]);
    change(2, "k", add());
    change(3, "k", Change::Put("1".into()));
    let mut writes = Writes::default();
    writes.delete_range(range("a", "f"));
    memtable.apply(Version(4), writes);
    change(5, "k", add());
    change(6, "k", add());
    change(7, "p", Change::Delete);
    memtable
}

#[test]
fn a_range_has_changed_only_after_the_version_of_its_last_change() {
    let memtable = memtable();
    for (start, end, last) in [
        ("a", "f", 4),
        ("a", "b", 4),
        ("e", "g", 4),
        ("a", "z", 7),
        ("a", "p", 6),
        ("k", "l", 6),
        ("p", "q", 7),
        ("f", "k", 0),
        ("q", "z", 0),
        // There is nothing in a range without keys.
        ("g", "g", 0),
        ("l", "k", 0),
    ] {
        for version in 0..9 {
            let found = memtable.changed_range(&range(start, end), Version(version));
            assert_eq!(found, version < last, "{start}..{end} after {version}");
        }
    }
}

#[test]
fn a_key_has_changed_when_it_or_its_range_has() {
    let memtable = memtable();
    for (key, last) in [("k", Some(6)), ("p", Some(7)), ("a", Some(4)), ("f", None), ("z", None)] {
        assert_eq!(memtable.changed(key.as_bytes()), last.map(Version), "{key}");
    }
}

#[test]
fn what_comes_after_a_version_does_not_have_that_version_in_it() {
    let memtable = memtable();
    for (after, points, ranges) in [
        (0, &[6, 5, 3, 2, 7][..], &[4][..]),
        (2, &[6, 5, 3, 7], &[4]),
        (3, &[6, 5, 7], &[4]),
        (4, &[6, 5, 7], &[]),
        (6, &[7], &[]),
        (7, &[], &[]),
    ] {
        let (found_points, _) = memtable.after(Version(after), &Bytes::new(), usize::MAX);
        let found_ranges = memtable.emptied_after(Version(after));
        let found: Vec<_> = found_points.iter().map(|(_, version, _)| version.0).collect();
        assert_eq!(found, points, "after {after}");
        let found: Vec<_> = found_ranges.iter().map(|(_, version)| version.0).collect();
        assert_eq!(found, ranges, "after {after}");
    }
}

#[test]
fn a_stack_ends_at_the_first_change_that_is_final() {
    let memtable = memtable();
    for (key, version, expected) in [
        ("k", 1, &[][..]),
        ("k", 2, &[2]),
        ("k", 3, &[3]),
        ("k", 5, &[5, 3]),
        ("k", 9, &[6, 5, 3]),
        ("b", 3, &[]),
        ("b", 4, &[4]),
        ("p", 6, &[]),
        ("p", 7, &[7]),
    ] {
        let stack = memtable.stack(key.as_bytes(), Version(version));
        let found: Vec<_> = stack.iter().map(|(version, _)| version.0).collect();
        assert_eq!(found, expected, "{key} at {version}");
    }
}

#[test]
fn the_changes_of_a_key_are_the_newest_first_and_at_most_as_many_as_asked() {
    let memtable = memtable();
    for (key, after, upto, limit, expected) in [
        ("k", 0, 9, 9, &[6, 5, 3, 2][..]),
        ("k", 2, 6, 9, &[6, 5, 3]),
        ("k", 3, 5, 9, &[5]),
        ("k", 6, 9, 9, &[]),
        ("k", 0, 9, 2, &[6, 5]),
        ("b", 0, 9, 9, &[4]),
        ("b", 3, 4, 9, &[4]),
        ("b", 4, 9, 9, &[]),
        ("b", 0, 3, 9, &[]),
        ("b", 0, 9, 0, &[]),
        ("f", 0, 9, 9, &[]),
    ] {
        let changes = memtable.changes(key.as_bytes(), Version(after), Version(upto), limit);
        let found: Vec<_> = changes.iter().map(|(version, _)| version.0).collect();
        assert_eq!(found, expected, "{key} from {after} to {upto}, {limit} of them");
    }
}

#[test]
fn what_is_held_is_counted() {
    let memtable = memtable();
    assert_eq!(memtable.last(), Version(7));
    let merged = Change::Merge(vec![Merge::Add(1)]).bytes();
    assert_eq!(memtable.bytes(), 3 * (1 + merged) + (1 + 1) + 2 + 1);
}

#[test]
fn a_scan_says_whether_there_may_be_more() {
    for (keys, more) in
        [(SCAN_KEYS_MAX - 1, false), (SCAN_KEYS_MAX, true), (SCAN_KEYS_MAX + 1, true)]
    {
        let (memtable, mut writes) = (Memtable::default(), Writes::default());
        for key in 0..keys {
            writes.change(format!("{key:04}").into(), Change::Put(Bytes::new())).unwrap();
        }
        memtable.apply(Version(1), writes);
        for backward in [false, true] {
            let all = range("0", "9");
            let (found, may) = memtable.scan(&all, backward, Version(1));
            assert_eq!((found.len(), may), (keys.min(SCAN_KEYS_MAX), more), "{keys} keys");
        }
    }
}

#[test]
fn ranges_overlap_when_they_have_a_key_in_common() {
    for (start, end, overlaps) in [
        ("a", "b", false),
        ("a", "c", false),
        ("a", "d", true),
        ("c", "f", true),
        ("d", "e", true),
        ("e", "g", true),
        ("f", "g", false),
        ("g", "h", false),
    ] {
        let (one, other) = (range("c", "f"), range(start, end));
        assert_eq!((one.overlaps(&other), other.overlaps(&one)), (overlaps, overlaps), "{other:?}");
    }
    assert_eq!(format!("{:?}", range("c", "\n")), "c..\\n");
}

#[test]
fn the_bytes_of_writes_are_those_of_keys_values_and_bounds() {
    let mut writes = Writes::default();
    writes.delete_range(range("aaa", "bbbbb"));
    writes.change("kk".into(), Change::Put("1234567".into())).unwrap();
    assert_eq!(writes.bytes(), 3 + 5 + 2 + 7);
}

#[test]
fn a_record_of_a_commit_is_a_change_of_its_version_and_of_no_later_one() {
    let memtable = Memtable::default();
    let (id, record) = (TransactionId([9; 16]), Bytes::from_static(b"record"));
    memtable.record(Version(8), id, record);
    for key in [crate::space::commit(Version(8)), crate::space::id(id)] {
        for (after, upto, found) in [(7, 8, true), (0, 9, true), (8, 9, false), (0, 7, false)] {
            let changes = memtable.changes(&key, Version(after), Version(upto), 9);
            assert_eq!(changes.len(), usize::from(found), "{key:?} after {after} up to {upto}");
        }
    }
}

#[test]
fn so_many_keys_come_at_once_beside_the_records_of_commits() {
    let memtable = Memtable::default();
    for key in ["k1", "k2", "k3", "k4", "k5", "k6"] {
        let mut writes = Writes::default();
        writes.change(key.into(), Change::Delete).unwrap();
        memtable.apply(Version(1), writes);
    }
    memtable.record(Version(1), TransactionId([9; 16]), Bytes::from_static(b"record"));
    let keys = |start: &Bytes, many| {
        let (found, next) = memtable.after(Version::ZERO, start, many);
        (found.iter().filter(|(key, _, _)| key.starts_with(b"k")).count(), found.len(), next)
    };
    let start = Bytes::new();
    assert_eq!(keys(&start, 4), (4, 6, Some("k5".into())));
    assert_eq!(keys(&"k5".into(), 4), (2, 2, None));
    assert_eq!(keys(&start, 6), (6, 8, None));
    let (points, all, next) = keys(&start, 2);
    assert_eq!((points, all), (0, 2), "a record, and a version by its id");
    assert_eq!(keys(&next.unwrap(), 2), (2, 2, Some("k3".into())));
}

/// How often it lets others go first.
fn turns(work: impl Future<Output = ()>) -> usize {
    let mut work = std::pin::pin!(work);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    (0..100).take_while(|_| work.as_mut().poll(&mut context).is_pending()).count()
}

#[test]
fn a_memtable_is_taken_down_a_part_at_a_time() {
    for (points, records, expected) in [
        (0, 0, 0),
        (511, 0, 0),
        (512, 0, 1),
        (1024, 0, 2),
        (1500, 0, 2),
        (0, 1500, 2),
        (600, 512, 2),
    ] {
        let memtable = Memtable::default();
        let mut writes = Writes::default();
        for at in 0..points {
            writes.change(format!("k{at}").into(), Change::Delete).unwrap();
        }
        memtable.apply(Version(1), writes);
        for at in 0..records {
            memtable.record(Version(at + 1), TransactionId([9; 16]), Bytes::new());
        }
        assert_eq!(turns(memtable.take_down()), expected, "{points} and {records}");
    }
}
