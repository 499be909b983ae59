//! The bytes of cells and markers: read back as they were, or refused.

#![allow(clippy::unwrap_used, reason = "a test may stop at what cannot be")]

use super::*;
use crate::quorum::marker::Marker;
use crate::quorum::{Base, Voters};
use crate::{Entry, Head};

const LOG: LogId = LogId([7; 16]);
const VOTER: VoterId = VoterId([1; 16]);
const EPOCH: Epoch = Epoch { round: 3, writer: 99 };

fn cells() -> Vec<Cell> {
    let genesis = Point::genesis(LOG);
    let entry = Entry::new(LOG, Head::genesis(LOG), [5; 16], b"body");
    let value = Value::of(&entry, genesis).unwrap();
    let members = vec![VOTER, VoterId([2; 16]), VoterId([3; 16])];
    let voters = Value::voters(LOG, value.point(), 2, members).unwrap();
    let promise = Said::Promise { index: 0, slot: Slot(0), decided: 0 };
    let mut cells = Vec::new();
    let mut previous = CellHash::NONE;
    for (position, said) in [promise, Said::Accept(Box::new(value)), Said::Accept(Box::new(voters))]
        .into_iter()
        .enumerate()
    {
        let place = (VOTER, position as u64 + 1, previous);
        let cell = Cell::new(LOG, place, EPOCH, said, (0, 0));
        previous = cell.hash;
        cells.push(cell);
    }
    let collected = cells[1].collected(&Record::from(&entry));
    assert_eq!(collected.hash, cells[1].hash, "what follows a cell does not see it collected");
    cells.push(collected);
    cells
}

#[test]
fn a_cell_is_read_back_as_it_was() {
    for cell in cells() {
        let bytes = cell.encode(LOG);
        assert_eq!(Cell::decode(LOG, VOTER, cell.position, &bytes).unwrap(), cell);
    }
}

#[test]
fn every_wrong_bit_of_a_cell_is_noticed_and_so_is_a_wrong_place() {
    for cell in cells() {
        let bytes = cell.encode(LOG);
        for bit in 0..bytes.len() * 8 {
            let mut wrong = bytes.to_vec();
            wrong[bit / 8] ^= 1 << (bit % 8);
            let found = Cell::decode(LOG, VOTER, cell.position, &wrong.into());
            assert!(found.is_err(), "bit {bit} of {cell:?}");
        }
        for length in 0..bytes.len() {
            let found = Cell::decode(LOG, VOTER, cell.position, &bytes.slice(..length));
            assert!(found.is_err(), "{length} bytes of {cell:?}");
        }
        for (log, voter, position) in [
            (LogId([8; 16]), VOTER, cell.position),
            (LOG, VoterId([2; 16]), cell.position),
            (LOG, VOTER, cell.position + 1),
        ] {
            let error = Cell::decode(log, voter, position, &bytes).unwrap_err().to_string();
            assert!(error.contains("another log, another voter or another position"), "{error}");
        }
    }
}

#[test]
fn a_marker_is_read_back_as_it_was_or_refused() {
    let voters = Voters::majority(4, vec![VOTER, VoterId([2; 16])]);
    let point = Point { index: 9, slot: Slot(5), ..Point::genesis(LOG) };
    let marker = Marker { voter: VOTER, base: Base { position: 9, point, voters } };
    let bytes = marker.encode(LOG);
    assert_eq!(Marker::decode(LOG, &bytes).unwrap(), marker);
    for bit in 0..bytes.len() * 8 {
        let mut wrong = bytes.to_vec();
        wrong[bit / 8] ^= 1 << (bit % 8);
        assert!(Marker::decode(LOG, &wrong.into()).is_err(), "bit {bit}");
    }
    let error = Marker::decode(LogId([8; 16]), &bytes).unwrap_err().to_string();
    assert!(error.contains("belongs to the log 0707"), "{error}");
}

#[test]
fn voters_that_cannot_decide_are_refused() {
    for (quorum, members, problem) in [
        (1, vec![], "there are no voters"),
        (1, vec![VOTER, VoterId([2; 16])], "1 of 2 voters is no quorum"),
        (2, vec![VOTER], "2 of 1 voters is no quorum"),
        (2, vec![VOTER, VOTER], "a voter is named twice"),
    ] {
        let error = Value::voters(LOG, Point::genesis(LOG), quorum, members).unwrap_err();
        assert_eq!(error.to_string(), format!("log slot 0: corrupt: {problem}"));
    }
}
