//! What a state takes in of the log, and when it is flushed.

#![allow(clippy::unwrap_used, reason = "a test may stop at what cannot be")]

use backend_memory::MemoryProvider;
use storage_log::Entry;

use super::*;
use crate::ErrorKind;
use crate::segment::Cache;

const LOG: LogId = LogId([7; 16]);

fn state() -> State {
    let provider = Arc::new(MemoryProvider::new());
    State::new(LOG, Shelf { provider, cache: Arc::new(Cache::new(1000)), scan_read_bytes: 1000 })
}

/// The next entry: so many transactions of a writer, the first of them with this version.
fn entry(state: &State, writer: u64, first: u64, time: u64, transactions: u8) -> Record {
    let logged = |number: u8| {
        let mut writes = Writes::default();
        let key = space::key(space::USER, &[number]);
        writes.change(key, Change::Put(Bytes::from_static(b"value"))).unwrap();
        let id = TransactionId([number; 16]);
        Logged { id, author: String::new(), message: String::new(), cancelled: false, writes }
    };
    let logged: Vec<_> = (0..transactions).map(logged).collect();
    let mut nonce = [0; 16];
    nonce[..8].copy_from_slice(&writer.to_le_bytes());
    let body = Batch::encode(Version(first), time, &logged);
    Record::from(&Entry::new(LOG, state.head, nonce, &body))
}

/// A state of one entry with two transactions.
fn two_transactions() -> State {
    let mut state = state();
    let record = entry(&state, 1, 1, 100, 2);
    assert_eq!(state.advance(&record, None).unwrap(), Advanced::Yes);
    state
}

#[test]
fn an_entry_has_to_go_on_in_version_and_time() {
    for (first, time, goes_on) in
        [(3, 100, true), (3, 101, true), (3, 99, false), (2, 100, false), (4, 100, false)]
    {
        let mut state = two_transactions();
        let record = entry(&state, 1, first, time, 1);
        let found = state.advance(&record, None);
        let case = format!("version {first} at {time}");
        if goes_on {
            assert_eq!(found.unwrap(), Advanced::Yes, "{case}");
            assert_eq!((state.version, state.time), (Version(3), time), "{case}");
        } else {
            let error = found.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{case}");
            assert!(error.to_string().contains("slot 2 does not go on from version 2"), "{error}");
            assert_eq!((state.version, state.head.slot.0), (Version(2), 1), "{case}");
        }
    }
}

#[test]
fn an_entry_that_is_known_is_passed_over() {
    let mut state = state();
    let first = entry(&state, 1, 1, 100, 2);
    state.advance(&first, None).unwrap();
    let second = entry(&state, 1, 3, 100, 1);
    state.advance(&second, None).unwrap();
    for known in [&first, &second] {
        assert_eq!(state.advance(known, None).unwrap(), Advanced::Yes);
        assert_eq!((state.version, state.head.slot.0), (Version(3), 2));
    }
}

#[test]
fn the_writers_of_the_last_entries_are_counted_and_no_others() {
    let mut state = state();
    let mut add = |writer| {
        let record = entry(&state, writer, state.version.0 + 1, 100, 1);
        state.advance(&record, None).unwrap();
        state.writers()
    };
    assert_eq!([add(7), add(8), add(7)], [1, 2, 2]);
    let mut remembered = 1;
    while add(7) == 2 {
        remembered += 1;
    }
    assert_eq!(remembered + 1, WRITERS_REMEMBERED, "after which the other one is forgotten");
}

#[test]
fn what_is_in_memory_is_frozen_when_it_is_not_flushed_yet() {
    let freeze = |state: &mut State, goal| state.freeze(Version(goal)).unwrap().is_some();
    // Segments may be lost, so all of it is put into new ones, whatever is asked; unless there is nothing.
    assert!(!freeze(&mut state(), 9) && freeze(&mut two_transactions(), 0));
    let (mut empty, mut full) = (state(), two_transactions());
    empty.trust_all().unwrap();
    full.trust_all().unwrap();
    for (goal, some) in [(0, false), (1, true), (2, true), (9, true)] {
        assert!(!freeze(&mut empty, goal), "nobody has written");
        assert_eq!(freeze(&mut full, goal), some, "up to {goal}");
    }
}

#[test]
fn only_what_users_write_has_to_be_flushed_also_when_it_comes_with_system_keys() {
    for (system, key, range, some) in [
        (false, true, false, true),
        (false, false, true, true),
        (true, false, false, false),
        (true, true, false, true),
        (true, false, true, true),
        (true, true, true, true),
    ] {
        let mut state = state();
        let mut writes = Writes::default();
        if range {
            let [start, end] = [b"a", b"b"].map(|key| space::key(space::USER, key));
            writes.delete_range(crate::writes::Range { start, end });
        }
        for (space, wanted) in [(space::SYSTEM, system), (space::USER, key)] {
            if wanted {
                let put = Change::Put(Bytes::from_static(b"value"));
                writes.change(space::key(space, b"note"), put).unwrap();
            }
        }
        let id = TransactionId([1; 16]);
        let [author, message] = [String::new(), String::new()];
        let logged = Logged { id, author, message, cancelled: false, writes };
        let body = Batch::encode(Version(1), 100, [&logged]);
        let entry = Entry::new(LOG, state.head, [1; 16], &body);
        state.advance(&Record::from(&entry), None).unwrap();
        state.trust_all().unwrap();
        let found = state.freeze(Version(1)).unwrap().is_some();
        assert_eq!(found, some, "system {system}, key {key}, range {range}");
    }
}

#[test]
fn memory_is_what_no_flush_takes_care_of_and_all_of_it_while_segments_may_be_lost() {
    let mut state = two_transactions();
    let bytes = state.memory_bytes();
    assert!(bytes > 2 * "value".len() && state.is_whole());
    let part = state.freeze_part();
    assert_eq!((part.from, part.to.version, part.memtables.len()), (Version::ZERO, 2, 1));
    assert_eq!((state.memory_bytes(), state.view.memtables.len()), (bytes, 2));
    state.remade(&part, Vec::new());
    assert_eq!((state.memory_bytes(), state.view.memtables.len()), (0, 1));
    let next = state.freeze_part();
    assert_eq!(
        (next.from, next.to.version),
        (Version(2), 2),
        "it goes on where the last one ended"
    );

    let mut state = two_transactions();
    state.trust_all().unwrap();
    assert!(!state.is_whole());
    assert_eq!(state.memory_bytes(), bytes);
    state.freeze(Version(2)).unwrap().unwrap();
    assert_eq!((state.memory_bytes(), state.view.memtables.len()), (0, 2));
}

#[test]
fn a_share_is_how_many_of_the_last_entries_there_are_of_one_for_each_that_writes() {
    let mut state = state();
    assert_eq!(state.share(7), 0.0);
    for (writer, of_7, of_8) in [
        (7, 1.0, 0.0),
        (8, 1.0, 1.0),
        (7, 4.0 / 3.0, 2.0 / 3.0),
        (9, 1.5, 0.75),
        (8, 1.2, 1.2),
        (8, 1.0, 1.5),
    ] {
        let record = entry(&state, writer, state.version.0 + 1, 100, 1);
        state.advance(&record, None).unwrap();
        assert_eq!((state.share(7), state.share(8)), (of_7, of_8), "after {writer}");
    }
}

/// The next entry, with one transaction that puts a system key.
fn system_entry(state: &State, name: &[u8], value: Bytes) -> Record {
    let mut writes = Writes::default();
    writes.change(space::system(name), Change::Put(value)).unwrap();
    let id = TransactionId([7; 16]);
    let [author, message] = [String::new(), String::new()];
    let logged = Logged { id, author, message, cancelled: false, writes };
    let body = Batch::encode(Version(state.version.0 + 1), 100, [&logged]);
    Record::from(&Entry::new(LOG, state.head, [1; 16], &body))
}

#[test]
fn system_keys_are_made_anew_only_for_what_changes_them_and_is_not_known_yet() {
    let mut state = two_transactions();
    // As after a checkpoint that knows of the next version.
    state.system_known = Version(3);
    let before = state.view.system.clone();
    let record = system_entry(&state, b"note", Bytes::from_static(b"known"));
    state.advance(&record, None).unwrap();
    assert!(Arc::ptr_eq(&before, &state.view.system), "it is known already");
    let record = entry(&state, 1, 4, 100, 3);
    state.advance(&record, None).unwrap();
    assert!(Arc::ptr_eq(&before, &state.view.system), "it concerns users only");
    let record = system_entry(&state, b"note", Bytes::from_static(b"new"));
    state.advance(&record, None).unwrap();
    let found = state.view.system.get(b"note").map(|(version, value)| (version, value.clone()));
    assert_eq!(found, Some((Version(7), Bytes::from_static(b"new"))));
}

#[test]
fn what_was_flushed_is_handed_out_once_to_be_dropped_and_nothing_else() {
    let mut state = two_transactions();
    state.trust_all().unwrap();
    state.take_retired();
    let frozen = state.freeze(Version(2)).unwrap().unwrap();
    let record = system_entry(&state, FLUSHED, frozen.to.encode_to_vec().into());
    state.advance(&record, None).unwrap();
    let [flushed] = &frozen.memtables[..] else { panic!("{:?}", frozen.memtables) };
    let retired = state.take_retired();
    assert!(retired.iter().any(|memtable| Arc::ptr_eq(memtable, flushed)));
    for memtable in &state.view.memtables {
        assert!(!retired.iter().any(|retired| Arc::ptr_eq(memtable, retired)), "it is in use");
    }
    assert!(state.take_retired().is_empty());
}

#[test]
fn a_handle_relies_on_the_segments_it_has_made_again_until_they_are_named() {
    let mut state = two_transactions();
    let part = state.freeze_part();
    let id = SegmentId { session: 7, number: 1 };
    let [own, other] =
        [id, SegmentId { number: 2, ..id }].map(|id| Key::new(id.to_string()).unwrap());
    assert!(!state.has_remade() && !state.relies_on(&own));
    state.remade(&part, vec![(id, SegmentRef::default())]);
    assert!(state.has_remade() && state.relies_on(&own) && !state.relies_on(&other));
    let record = system_entry(&state, id.to_string().as_bytes(), Bytes::new());
    state.advance(&record, None).unwrap();
    assert!(!state.has_remade() && !state.relies_on(&own) && !state.is_whole());
}
