//! Finding on one voter's chain what was decided somewhere along it.

use std::collections::BTreeMap;

use super::cell::Cell;
use super::member::Member;
use super::{Point, Value};
use crate::Slot;

/// How many bytes of cells of one voter are kept.
const BYTES_MAX: usize = 4 << 20;
/// And how many cells.
const CELLS_MAX: usize = 256;

/// Cells of one voter's chain that were read.
#[derive(Debug, Default)]
pub(crate) struct Cells {
    cells: BTreeMap<u64, Cell>,
    bytes: usize,
}

impl Cells {
    /// Keeps a cell, and lets go of those that are farthest from it where there are too many.
    pub(crate) fn keep(&mut self, cell: Cell) {
        let position = cell.position();
        self.bytes += size(&cell);
        if let Some(before) = self.cells.insert(position, cell) {
            self.bytes -= size(&before);
        }
        while self.cells.len() > CELLS_MAX || self.bytes > BYTES_MAX && self.cells.len() > 4 {
            let first = self.cells.keys().next().map_or(0, |first| position - first);
            let last = self.cells.keys().next_back().map_or(0, |last| last - position);
            let gone = if first >= last { self.cells.pop_first() } else { self.cells.pop_last() };
            self.bytes -= gone.map_or(0, |(_, cell)| size(&cell));
        }
    }
}

fn size(cell: &Cell) -> usize {
    cell.value().map_or(0, |value| value.bytes().len())
}

/// What is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// The entry in a slot.
    Slot(Slot),
    /// The decision of an index.
    Index(u64),
}

impl Target {
    fn number(self) -> u64 {
        match self {
            Self::Slot(slot) => slot.0,
            Self::Index(index) => index,
        }
    }

    /// How far a chain has come, as far as it matters.
    fn of(self, reach: (u64, Slot)) -> u64 {
        match self {
            Self::Slot(_) => reach.1.0,
            Self::Index(_) => reach.0,
        }
    }

    fn is(self, value: &Value) -> bool {
        match self {
            Self::Slot(slot) => value.point().slot == slot && value.new_voters().is_none(),
            Self::Index(index) => value.point().index == index,
        }
    }
}

/// One step of a search.
#[derive(Debug)]
pub(crate) enum Step {
    /// It is this.
    Found(Box<Cell>),
    /// Read this position, keep what is there, and ask again.
    Read(u64),
    /// This voter cannot tell.
    NotHere,
}

/// The next step in looking for what was decided at `target`, on the chain of `member`. Whatever follows a value of a
/// lower index on a chain tells that the last one accepted for it there is the one that was decided.
pub(crate) fn step(
    target: Target,
    member: &Member,
    cells: &Cells,
    decided: &Point,
    turn: u32,
) -> Step {
    // What was read of it meanwhile may be later than what whoever leads here has taken in.
    let read = cells.cells.values().next_back();
    let last = member.last().into_iter().chain(read).max_by_key(|cell| cell.position());
    let (Some(base), Some(last)) = (&member.base, last) else { return Step::NotHere };
    let wanted = target.number();
    let reach = |cell: &Cell| target.of(cell.reach());
    let base_reach = target.of((base.point.index, base.point.slot));
    if wanted <= base_reach {
        return Step::NotHere;
    }
    let known = || cells.cells.values().chain(std::iter::once(last));
    // The last cell before the next value, and the first with it or after.
    let low = known().filter(|cell| reach(cell) <= wanted).max_by_key(|cell| cell.position());
    let high = known().filter(|cell| reach(cell) > wanted).min_by_key(|cell| cell.position());
    // Where nothing follows, it has to be what is known to be decided.
    let mut is_last = high.is_none();
    let high_position = high.map_or(last.position() + 1, Cell::position);
    if reach(last) < wanted {
        return Step::NotHere;
    }
    let same_epoch = known().find(|cell| {
        high.is_some_and(|high| cell.epoch() == high.epoch())
            && cell.value().is_some_and(|value| target.is(value))
    });
    if let Some(cell) = same_epoch {
        return Step::Found(Box::new(cell.clone()));
    }
    let (position, come) =
        low.map_or((base.position, base_reach), |cell| (cell.position(), reach(cell)));
    if position + 1 < high_position {
        let ahead =
            if turn % 2 == 0 { (wanted - come).max(1) } else { (high_position - position) / 2 };
        return Step::Read((position + ahead.max(1)).min(high_position - 1));
    }
    // Here is where the next value begins: the last one accepted before is it.
    let mut before = low;
    while let Some(cell) = before {
        match cell.value() {
            Some(value) if target.is(value) => {
                let is_decided = !is_last || value.point() == *decided;
                return if is_decided {
                    Step::Found(Box::new(cell.clone()))
                } else {
                    Step::NotHere
                };
            }
            Some(_) if reach(cell) < wanted => return Step::NotHere,
            // Voters that were decided on after the slot.
            Some(_) => {
                is_last = false;
                let position = cell.position() - 1;
                before = known().find(|cell| cell.position() == position);
                if before.is_none() {
                    return if position > base.position {
                        Step::Read(position)
                    } else {
                        Step::NotHere
                    };
                }
            }
            None if cell.accepted_at == 0 => return Step::NotHere,
            None => {
                let position = cell.accepted_at;
                before = known().find(|cell| cell.position() == position);
                if before.is_none() {
                    return Step::Read(position);
                }
            }
        }
    }
    Step::NotHere
}

#[cfg(test)]
mod tests;
