//! What may still be asked for, at every edge.

#![allow(clippy::unwrap_used, reason = "a test may stop at what cannot be")]

use bytes::Bytes;
use prost::Message;

use super::*;
use crate::system::HORIZON;

/// The horizon is 10, and there are tags at 3 and 5.
pub(in crate::compact) fn kept() -> Kept {
    Kept { horizon: Version(10), tags: vec![Version(3), Version(5)] }
}

#[test]
fn the_tags_below_the_higher_of_both_horizons_count_once_and_in_order() {
    let entry = |name: &str, version: u64| {
        let value = Bytes::copy_from_slice(&version.to_be_bytes());
        (Bytes::copy_from_slice(name.as_bytes()), Version(20), value)
    };
    let tags = [("a", 9), ("b", 3), ("c", 10), ("d", 3), ("e", 4), ("f", 12)];
    let tags = tags.map(|(name, version)| entry(&format!("{TAGS}{name}"), version));
    let horizon = entry(std::str::from_utf8(HORIZON).unwrap(), 4);
    let system = System::of(tags.into_iter().chain([horizon]));
    for (asked, horizon, tags) in
        [(0, 4, vec![3]), (4, 4, vec![3]), (5, 5, vec![3, 4]), (10, 10, vec![3, 4, 9])]
    {
        let kept = Kept::of(&system, Version(asked)).unwrap();
        let found: Vec<_> = kept.tags.iter().map(|tag| tag.0).collect();
        assert_eq!((kept.horizon, found), (Version(horizon), tags), "{asked}");
    }
}

#[test]
fn what_was_so_until_the_horizon_or_at_a_tag_is_asked_for() {
    for (first, end, asked) in [
        (1, 11, true),
        (6, 11, true),
        (10, 11, true),
        (6, 10, false),
        (10, 10, false),
        (6, 9, false),
        (1, 3, false),
        (1, 4, true),
        (3, 3, false),
        (3, 4, true),
        (4, 5, false),
        (4, 6, true),
        (5, 6, true),
        (2, 10, true),
    ] {
        let found = kept().asks_for(Version(first), Version(end));
        assert_eq!(found, asked, "from {first}, superseded by {end}");
    }
}

#[test]
fn only_records_of_commits_are_dropped_and_only_of_those_nobody_asks_for() {
    let record = |cancelled| {
        let record = CommitRecord { cancelled, ..CommitRecord::default() };
        Change::Put(record.encode_to_vec().into())
    };
    for (version, change, dropped) in [
        (1, record(false), true),
        (2, record(false), true),
        (3, record(false), false),
        (4, record(false), true),
        (5, record(false), false),
        (9, record(false), true),
        (10, record(false), false),
        (11, record(false), false),
        (9, record(true), false),
        (9, Change::Delete, false),
    ] {
        let stored = Stored::current(Version(version), change);
        let key = space::commit(Version(version));
        assert_eq!(kept().drops(&key, &stored).unwrap(), dropped, "the record of {version}");
        for other in [space::key(space::USER, &key), space::key(space::ID, &key), Bytes::new()] {
            assert!(!kept().drops(&other, &stored).unwrap(), "{other:?}");
        }
    }
    let spoilt = Stored::current(Version(9), Change::Put(Bytes::from_static(b"\xff")));
    let error = kept().drops(&space::commit(Version(9)), &spoilt).unwrap_err();
    assert!(error.to_string().contains("the commit record of version 9"), "{error}");
}
