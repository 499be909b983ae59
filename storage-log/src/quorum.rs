//! The log on a quorum of independent providers, each of which holds a chain of objects and votes with it.
//!
//! It is Multi-Paxos in which every voter's chain is an acceptor. A cell of a chain is created once, at the position
//! after the last, and never changed; so whoever puts a cell there has seen all before it, and a promise takes a
//! position like anything else: the next put of whoever led before fails, and tells him so. A commit is one parallel
//! round of puts, done when a quorum has them.
//!
//! Nothing in [`Proposer`] and [`Reader`] does anything: they are told [`Event`]s and answer with [`Request`]s, so the
//! same code runs in [`QuorumLog`], in the simulation and in the model checker.

mod cell;
mod change;
mod core;
mod council;
mod elect;
mod ends;
mod find;
mod known;
mod lookup;
mod make;
mod marker;
mod member;
mod perform;
mod proposer;
mod reader;
mod request;
#[cfg(test)]
mod stage;
mod status;
mod value;

pub use self::core::{QuorumLog, QuorumOptions};
pub use cell::{Cell, CellHash, Epoch, Said};
pub use elect::{CopyProgress, VoterChange};
pub use member::Lost;
pub use proposer::{Goal, Outcome, Proposer};
pub use reader::{Found, Reader};
pub use request::{Asked, Base, Event, Proof, Request};
pub use status::{VoterState, VoterStatus};
pub use value::{Point, VOTERS_MAX, Value, VoterId, Voters};
