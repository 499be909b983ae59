//! A voter: a chain of cells, each written once, and what the processes know of it.

use std::collections::BTreeSet;
use std::fmt;

/// More slots than any of the models has.
const SLOTS_MAX: usize = 3;

/// Who leads, in which order. Nobody leads in round 0.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Epoch {
    pub(super) round: u8,
    pub(super) by: u8,
}

/// A log up to some slot: for each slot, whose value is in it. It stands for the id of the last entry, which is a hash of all
/// before.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Upto {
    len: u8,
    values: [u8; SLOTS_MAX],
}

impl Upto {
    pub(super) fn slot(self) -> u8 {
        self.len
    }

    pub(super) fn last(self) -> Option<u8> {
        self.values[..usize::from(self.len)].last().copied()
    }

    /// With one more.
    pub(super) fn then(mut self, value: u8) -> Self {
        self.values[usize::from(self.len)] = value;
        self.len += 1;
        self
    }

    /// Without what comes after this slot.
    pub(super) fn cut(self, slot: u8) -> Self {
        let kept = &self.values[..usize::from(slot.min(self.len))];
        kept.iter().fold(Self::default(), |log, value| log.then(*value))
    }

    /// Without the last.
    pub(super) fn before(self) -> Self {
        self.cut(self.len - 1)
    }

    pub(super) fn begins(self, longer: Self) -> bool {
        longer.len >= self.len && longer.cut(self.len) == self
    }
}

/// What a cell says.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Cell {
    /// Nobody of a lower epoch comes after this.
    Promise(Epoch),
    /// The last of these values is accepted in this epoch, and all before it are decided.
    Accept(Epoch, Upto),
}

impl Cell {
    pub(super) fn epoch(self) -> Epoch {
        match self {
            Self::Promise(epoch) | Self::Accept(epoch, _) => epoch,
        }
    }
}

/// A request to put a cell where there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Put {
    pub(super) position: u8,
    /// Which process has sent it.
    pub(super) from: u8,
    pub(super) cell: Cell,
}

/// What a process knows of a voter: what it would find by reading all cells that it has read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct View {
    /// The position after the last cell that it knows.
    pub(super) next: u8,
    pub(super) promised: Epoch,
    pub(super) accepted: (Epoch, Upto),
    /// The end of its chain was read. Who writes has done so when it began.
    pub(super) looked: bool,
    /// The voter was still itself after all that is known of it, or whatever else makes its answers count.
    pub(super) proved: bool,
    /// It was found to be none any more.
    pub(super) lost: bool,
}

impl View {
    /// Of a voter with nothing on its chain.
    pub(super) const EMPTY: Self = Self {
        next: 0,
        promised: Epoch { round: 0, by: 0 },
        accepted: (Epoch { round: 0, by: 0 }, Upto { len: 0, values: [0; SLOTS_MAX] }),
        looked: true,
        proved: true,
        lost: false,
    };

    /// Of one that is none any more.
    pub(super) const LOST: Self = Self { lost: true, ..Self::EMPTY };

    /// Takes in the next cell of the chain.
    pub(super) fn learn(&mut self, cell: Cell, by_kind: bool) {
        if cell.epoch() < self.promised && !by_kind {
            // Along a chain epochs never decrease.
            *self = Self::LOST;
            return;
        }
        self.next += 1;
        self.promised = self.promised.max(cell.epoch());
        if let Cell::Accept(epoch, log) = cell {
            self.accepted = (epoch, log);
        }
    }
}

/// A voter, and everything that there is between it and the processes. Two that differ only by their names are the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Voter {
    /// What stands at positions 0, 1 and so on. One that was emptied can have gaps.
    pub(super) chain: Vec<Option<Cell>>,
    /// It has lost all or some of what it had, and its marker where that is what marks are for.
    pub(super) emptied: bool,
    /// Requests that may land yet, at whatever time, also after their sender has begun anew.
    pub(super) sent: BTreeSet<Put>,
    /// What each process knows of it.
    pub(super) views: Vec<View>,
}

impl Voter {
    pub(super) fn new(processes: usize) -> Self {
        Self {
            chain: Vec::new(),
            emptied: false,
            sent: BTreeSet::new(),
            views: vec![View::EMPTY; processes],
        }
    }

    fn at(&self, position: u8) -> Option<Cell> {
        self.chain.get(usize::from(position)).copied().flatten()
    }

    /// Whether the request would create its cell.
    pub(super) fn is_free(&self, put: &Put, by_kind: bool) -> bool {
        if by_kind {
            let after = self.chain.iter().skip(usize::from(put.position)).flatten();
            let promises = matches!(put.cell, Cell::Promise(_));
            return !after.into_iter().any(|cell| matches!(cell, Cell::Promise(_)) == promises);
        }
        self.at(put.position).is_none()
    }

    /// The request lands, and is the first at its position.
    pub(super) fn land(&mut self, put: &Put, by_kind: bool) {
        let position = if by_kind { self.chain.len() } else { usize::from(put.position) };
        if self.chain.len() <= position {
            self.chain.resize(position + 1, None);
        }
        self.chain[position] = Some(put.cell);
    }

    /// A process reads what comes after what it knows. Whether there was anything.
    pub(super) fn read(&mut self, process: usize, by_kind: bool) -> bool {
        let before = self.views[process];
        while let (false, Some(cell)) =
            (self.views[process].lost, self.at(self.views[process].next))
        {
            self.views[process].learn(cell, by_kind);
        }
        self.views[process] != before
    }

    /// Whether there is something after what a process knows.
    pub(super) fn has_more(&self, process: usize) -> bool {
        self.at(self.views[process].next).is_some()
    }

    /// Forgets requests that would find their position taken.
    pub(super) fn prune(&mut self, by_kind: bool) {
        let mut sent = std::mem::take(&mut self.sent);
        sent.retain(|put| self.is_free(put, by_kind));
        self.sent = sent;
    }

    /// The last epoch on its chain.
    pub(super) fn promised(&self) -> Epoch {
        self.chain.iter().flatten().map(|cell| cell.epoch()).max().unwrap_or_default()
    }

    /// The last value that it has accepted, with all before.
    pub(super) fn accepted(&self) -> Upto {
        let cells = self.chain.iter().rev().flatten();
        let accepts = |cell: &Cell| match cell {
            Cell::Accept(_, log) => Some(*log),
            Cell::Promise(_) => None,
        };
        cells.filter_map(accepts).next().unwrap_or_default()
    }

    /// Whether the last values that it has accepted for each slot are those before its last.
    pub(super) fn is_whole(&self) -> bool {
        let mut logs = vec![Upto::default()];
        for cell in self.chain.iter().flatten() {
            if let Cell::Accept(_, log) = cell {
                logs.truncate(usize::from(log.slot()));
                logs.resize(usize::from(log.slot()), Upto::default());
                logs.push(*log);
            }
        }
        let last = *logs.last().expect("there is the empty one");
        (0..).zip(&logs).all(|(slot, log)| *log == last.cut(slot))
    }

    /// Whether neither epochs nor slots go back along its chain.
    pub(super) fn is_in_order(&self) -> bool {
        let cells: Vec<_> = self.chain.iter().flatten().collect();
        let slots: Vec<_> = cells
            .iter()
            .filter_map(|cell| match cell {
                Cell::Accept(_, log) => Some(log.slot()),
                Cell::Promise(_) => None,
            })
            .collect();
        cells.is_sorted_by_key(|cell| cell.epoch()) && slots.is_sorted()
    }
}

impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.round, self.by)
    }
}

impl fmt::Debug for Upto {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.values[..usize::from(self.len)]).finish()
    }
}

impl fmt::Debug for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Promise(epoch) => write!(f, "promise {epoch:?}"),
            Self::Accept(epoch, log) => write!(f, "accept {epoch:?} {log:?}"),
        }
    }
}
