//! A memtable tells the same whichever way it is asked.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::space;

/// What one transaction does: keys by their numbers, put or deleted, and perhaps a range.
type Step = (Vec<(u8, bool)>, Option<(u8, u8)>);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let range = prop::option::weighted(0.1, (0..40_u8, 0..40_u8));
    vec((vec((0..40_u8, any::<bool>()), 0..4), range), 0..60)
}

/// The last of them comes after all spaces there are.
fn user(number: u8) -> Bytes {
    let space = if number < 39 { space::USER } else { u8::MAX };
    space::key(space, &[number])
}

/// A memtable of these transactions, and all changes to keys that are in it.
fn made(steps: &[Step]) -> (Memtable, Vec<Point>) {
    let (memtable, mut points) = (Memtable::default(), Vec::new());
    for (at, (keys, range)) in steps.iter().enumerate() {
        let version = Version(at as u64 + 1);
        let mut writes = Writes::default();
        if let Some((start, end)) = *range {
            writes.delete_range(Range { start: user(start), end: user(end) });
        }
        for (key, put) in keys {
            let change = if *put { Change::Put(user(*key)) } else { Change::Delete };
            writes.change(user(*key), change).expect("nothing is merged");
        }
        points.extend(writes.points().map(|(key, change)| (key.clone(), version, change.clone())));
        memtable.apply(version, writes.clone());
        let id = TransactionId([at as u8 ^ 0x55; 16]);
        let record = Bytes::from(format!("record {version}"));
        points.push((space::commit(version), version, Change::Put(record.clone())));
        let number = Bytes::copy_from_slice(&version.0.to_be_bytes());
        points.push((space::id(id), version, Change::Put(number)));
        memtable.record(version, id, record);
    }
    points.sort_by_key(|(key, version, _)| (key.clone(), Reverse(*version)));
    (memtable, points)
}

proptest! {
    #[test]
    fn what_is_taken_out_in_parts_is_what_is_there(
        steps in steps(),
        many in 1..9_usize,
        from in 0..30_u64,
    ) {
        let (memtable, mut points) = made(&steps);
        points.retain(|(_, version, _)| version.0 > from);
        let (mut taken, mut rest) = (Vec::new(), Some(Bytes::new()));
        while let Some(start) = rest {
            let (part, next) = memtable.after(Version(from), &start, many);
            prop_assert!(next.as_ref().is_none_or(|next| *next > start));
            taken.extend(part);
            rest = next;
        }
        prop_assert!(taken == points, "{taken:?} and not {points:?}");
    }

    #[test]
    fn keys_are_found_one_by_one_and_in_scans(steps in steps(), at in 0..60_u64) {
        let (memtable, points) = made(&steps);
        let version = Version(at);
        let all = Range { start: Bytes::new(), end: Bytes::from_static(&[u8::MAX; 9]) };
        let mut newest: BTreeMap<&Bytes, (Version, &Change)> = BTreeMap::new();
        let mut last: BTreeMap<&Bytes, Version> = BTreeMap::new();
        for (key, changed, change) in &points {
            last.entry(key).or_insert(*changed);
            if *changed <= version {
                newest.entry(key).or_insert((*changed, change));
            }
        }
        for backward in [false, true] {
            let (mut scanned, more) = memtable.scan(&all, backward, version);
            prop_assert!(!more);
            if backward {
                scanned.reverse();
            }
            let keys: Vec<_> = scanned.iter().map(|(key, _)| key).collect();
            prop_assert_eq!(keys, last.keys().copied().collect::<Vec<_>>());
            for (key, stack) in &scanned {
                let expected = newest.get(key).map(|(at, change)| (*at, (*change).clone()));
                prop_assert_eq!(stack, &Vec::from_iter(expected));
            }
        }
        for (key, changed) in &last {
            let emptied = memtable.emptied(&Range { start: (*key).clone(), end: after(key) }, ANY);
            let emptied = emptied.into_iter().map(|(_, at)| at).max();
            prop_assert_eq!(memtable.changed(key), Some(*changed).max(emptied));
            let all = memtable.changes(key, Version::ZERO, ANY, usize::MAX);
            prop_assert_eq!(all[0].0, Some(*changed).max(emptied).unwrap());
        }
    }
}
