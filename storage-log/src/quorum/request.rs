//! What the state machines ask of the world, and what it answers.

use std::time::Duration;

use super::{Cell, Point, Value, VoterId, Voters};

/// Where a voter's chain begins, and which voters there were then: what its marker says.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Base {
    /// The position before the first cell.
    pub position: u64,
    /// What was decided before.
    pub point: Point,
    /// Who voted then.
    pub voters: Voters,
}

/// When what a voter answers counts. A voter that was emptied accepts what it should refuse, so it has to prove
/// that it is still itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Proof {
    /// When its marker was read after it: safe whenever a voter is wiped, and a small read more a commit.
    Always,
    /// When a read of its marker began no longer ago than this: a steady commit reads nothing. Safe unless a voter is
    /// wiped, and another takes over, all within this time; which is what this mode assumes.
    Within(Duration),
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Request {
    /// Read a cell. Answered by [`Event::Answer`].
    Read {
        /// Whose.
        voter: VoterId,
        /// Where.
        position: u64,
    },
    /// Put a cell if there is none at its position. Answered by [`Event::Answer`].
    Put(Box<Cell>),
    /// Read a voter's marker. Answered by [`Event::Marked`].
    Mark {
        /// Whose.
        voter: VoterId,
    },
    /// Read what was decided at an index, from whoever has it. Answered by [`Event::Fetched`].
    Fetch {
        /// Which.
        index: u64,
    },
    /// Say [`Event::Resumed`] after a pause that grows with the failures.
    Pause {
        /// Who did not answer.
        voter: VoterId,
        /// How often in a row.
        failures: u8,
    },
    /// Say [`Event::BackedOff`] after a random pause that grows with how often others took over.
    BackOff {
        /// How often in a row.
        times: u32,
    },
}

/// What a voter answers to a read or a put of a cell.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Asked {
    /// The cell was put.
    Created,
    /// There is a cell already: perhaps the same, put by a request whose answer was lost.
    Exists,
    /// The cell that was read.
    Found(Box<Cell>),
    /// There is no cell.
    Empty,
    /// What is there is no cell of this chain.
    Damaged(String),
    /// Nothing that is known to be an answer. A put may have been applied, or may be yet.
    Failed,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Event {
    /// A voter has answered to a read or a put.
    Answer(VoterId, Asked),
    /// A voter's marker was read: where its chain begins, if the marker is this voter's.
    Marked {
        /// Whose.
        voter: VoterId,
        /// What it says; `None` when it is missing or another's.
        base: Option<Box<Base>>,
        /// When the read began, by the monotonic clock.
        asked: Duration,
    },
    /// A voter's marker could not be read.
    NotMarked(VoterId),
    /// What was decided at an index; `None` when nobody could be asked.
    Fetched {
        /// Which.
        index: u64,
        /// What it was.
        value: Option<Value>,
    },
    /// A pause is over.
    Resumed(VoterId),
    /// A pause for others is over.
    BackedOff,
}
