//! Which cells are kept of those that were read.

#![allow(clippy::unwrap_used, reason = "a test may stop at what cannot be")]

use super::super::cell::{CellHash, Epoch, Said};
use super::super::{Point, Value, VoterId};
use super::*;
use crate::{Entry, Head, LogId};

const LOG: LogId = LogId([7; 16]);

fn cell(position: u64, said: Said) -> Cell {
    let epoch = Epoch { round: 1, writer: 2 };
    Cell::new(LOG, (VoterId([1; 16]), position, CellHash::NONE), epoch, said, (0, 0))
}

fn promise(position: u64) -> Cell {
    cell(position, Said::Promise { index: 0, slot: Slot(0), decided: 0 })
}

/// One whose value has so many bytes.
fn sized(position: u64, bytes: usize) -> Cell {
    let value = |body: usize| {
        let entry = Entry::new(LOG, Head::genesis(LOG), [5; 16], &vec![0; body]);
        Value::of(&entry, Point::genesis(LOG)).unwrap()
    };
    let frame = value(0).bytes().len();
    cell(position, Said::Accept(Box::new(value(bytes - frame))))
}

/// The first and the last position that are kept, how many, and their bytes.
fn kept(cells: impl IntoIterator<Item = Cell>) -> (u64, u64, usize, usize) {
    let mut all = Cells::default();
    cells.into_iter().for_each(|cell| all.keep(cell));
    let bytes: usize = all.cells.values().map(size).sum();
    assert_eq!(all.bytes, bytes, "what is counted is what is there");
    let (first, last) = (all.cells.first_key_value(), all.cells.last_key_value());
    (*first.unwrap().0, *last.unwrap().0, all.cells.len(), bytes)
}

#[test]
fn of_too_many_cells_those_are_let_go_of_that_are_farthest_from_the_last_one() {
    let most = CELLS_MAX as u64;
    let upward = || (1000..1000 + most).map(promise);
    let downward = || (1000..1000 + most).rev().map(promise);
    assert_eq!(kept(upward()), (1000, 999 + most, CELLS_MAX, 0), "as many as there may be");
    let one_more = |at: u64| upward().chain([promise(at)]);
    assert_eq!(kept(one_more(1000 + most)), (1001, 1000 + most, CELLS_MAX, 0));
    assert_eq!(kept(downward().chain([promise(999)])), (999, 998 + most, CELLS_MAX, 0));
    // Every other position, and then one in between: the first where both ends are as far away.
    let sparse = |at: u64| (0..most).map(|at| promise(1000 + 2 * at)).chain([promise(at)]);
    let last = 1000 + 2 * (most - 1);
    assert_eq!(kept(sparse(999 + most)), (1002, last, CELLS_MAX, 0), "in the middle");
    assert_eq!(kept(sparse(997 + most)), (1000, last - 2, CELLS_MAX, 0), "nearer to the first");
}

#[test]
fn cells_have_a_bound_in_bytes_but_four_may_be_of_any_size() {
    let of = |count: u64, bytes: usize| kept((1..=count).map(|at| sized(at, bytes)));
    assert_eq!(of(8, BYTES_MAX / 8), (1, 8, 8, BYTES_MAX), "no more than there may be");
    assert_eq!(of(9, BYTES_MAX / 8), (2, 9, 8, BYTES_MAX));
    assert_eq!(of(4, BYTES_MAX / 2), (1, 4, 4, 2 * BYTES_MAX));
    assert_eq!(of(6, BYTES_MAX / 2), (3, 6, 4, 2 * BYTES_MAX));
    // Read again it is not counted twice.
    assert_eq!(kept((0..9).map(|_| sized(7, BYTES_MAX / 4))), (7, 7, 1, BYTES_MAX / 4));
}
