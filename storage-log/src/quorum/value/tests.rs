//! Decisions on who votes: read back as they were, or refused.

#![allow(clippy::unwrap_used, reason = "a test may stop at what cannot be")]

use super::*;

const LOG: LogId = LogId([7; 16]);

fn members(count: usize) -> Vec<VoterId> {
    (0..count).map(|at| VoterId([at as u8; 16])).collect()
}

#[test]
fn more_than_half_decide_and_there_are_no_more_voters_than_anybody_needs() {
    for (count, quorum, problem) in [
        (1, 1, None),
        (2, 2, None),
        (4, 3, None),
        (5, 3, None),
        (5, 5, None),
        (VOTERS_MAX, 8, None),
        (4, 2, Some("2 of 4 voters is no quorum")),
        (5, 2, Some("2 of 5 voters is no quorum")),
        (5, 6, Some("6 of 5 voters is no quorum")),
        (VOTERS_MAX + 1, 9, Some("16 voters are more than 15")),
    ] {
        let voters = Voters { version: 0, quorum, members: members(count) };
        assert_eq!(voters.problem().as_deref(), problem);
        let majority = Voters::majority(0, members(count)).quorum;
        assert!(problem.is_some() || majority <= quorum, "{majority} of {count}");
    }
}

#[test]
fn a_decision_on_voters_is_read_back_and_told_what_is_wrong_with_it() {
    let head = Head::genesis(LOG);
    for (index, slot) in [(0, 0), (7, 7), (9, 7)] {
        let before = Point { index, slot: Slot(slot), id: head.id, entry: head.id };
        let value = Value::voters(LOG, before, 2, members(3)).unwrap();
        assert_eq!(value.new_voters().unwrap().version, index - slot + 1);
        let read = |log: LogId, slot: u64, bytes: &[u8]| {
            let bytes = Bytes::copy_from_slice(bytes);
            Value::decode_voters(log, Slot(slot), &bytes).map_err(|error| error.to_string())
        };
        assert_eq!(read(LOG, slot, value.bytes()).as_ref(), Ok(&value));
        let of = |why: &str, slot: u64| Err(format!("log slot {slot}: corrupt: {why}"));
        let unknown = "it does not say who votes in a format this program knows";
        let other = "it says who votes on another log, or only half of it";
        let elsewhere = "it says who votes after another slot";
        let bytes = value.bytes();
        assert_eq!(read(LogId([8; 16]), slot, bytes), of(other, slot));
        assert_eq!(read(LOG, slot + 1, bytes), of(elsewhere, slot + 1));
        assert_eq!(read(LOG, slot, &bytes[..HEADER - 1]), of(unknown, slot));
        assert_eq!(read(LOG, slot, &bytes[..HEADER]), of(other, slot));
        assert_eq!(read(LOG, slot, &bytes[..bytes.len() - 1]), of(other, slot));
        assert_eq!(read(LOG, slot, &[bytes, &[0; 16][..]].concat()), of(other, slot));
        for (at, byte, why) in [
            (0, b'x', unknown),
            (24, 0, "nothing is decided at 0"),
            (32, 200, elsewhere),
            (4, 1, "1 of 3 voters is no quorum"),
        ] {
            let mut wrong = bytes.to_vec();
            wrong[at] = byte;
            assert_eq!(read(LOG, slot, &wrong), of(why, slot), "{at}");
        }
        let mut nobody = bytes[..HEADER].to_vec();
        nobody[6] = 0;
        assert_eq!(read(LOG, slot, &nobody), of("there are no voters", slot));
    }
    // As many decisions as entries there are at least.
    let before = Point { index: 7, slot: Slot(7), id: head.id, entry: head.id };
    let mut wrong = Value::voters(LOG, before, 2, members(3)).unwrap().bytes().to_vec();
    wrong[24] = 7;
    let error = Value::decode_voters(LOG, Slot(7), &wrong.into()).unwrap_err();
    assert!(error.to_string().contains("after another slot"), "{error}");
}

#[test]
fn a_value_prints_where_it_is_and_how_much_and_never_what() {
    let entry = Entry::new(LOG, Head::genesis(LOG), [1; 16], b"secret");
    let value = Value::of(&entry, Point::genesis(LOG)).unwrap();
    let (id, bytes) = (value.point().id, value.bytes().len());
    assert_eq!(
        format!("{value:?}"),
        format!("Value {{ index: 1, slot: 1, id: {id:?}, bytes: {bytes}, .. }}")
    );
    let voters = Value::voters(LOG, value.point(), 1, members(1)).unwrap();
    let (id, who) = (voters.point().id, voters.new_voters().unwrap());
    assert_eq!(
        format!("{voters:?}"),
        format!("Value {{ index: 2, slot: 1, id: {id:?}, voters: {who:?}, .. }}")
    );
}
