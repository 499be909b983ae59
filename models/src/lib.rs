//! The protocols of the log and the store as models, and every state they can reach.
//!
//! A model says in a few hundred lines what a process may do next and what may befall its requests; the
//! checker (`stateright`) goes through all orders of that and holds each state against what must always be
//! true. What it cannot say is whether the code does what the model does: that is for the simulation.
//!
//! Every model is checked as it should be, and with single mistakes put in that must be found, so a model
//! that says nothing is noticed. `docs/design/0007-models.md` has what was checked, and what was assumed.
//!
//! ```
//! use models::{Checked, Protocol, Size, SlotRace, check};
//!
//! for model in SlotRace::right(Size::Quick) {
//!     let Checked { states, .. } = check(&model).expect("the protocol is right");
//!     assert!(states > 1000);
//! }
//! ```

mod check;
mod collection;
mod log;
mod outcome;
mod quorum;
mod reaping;
mod slot_race;

pub use check::{Checked, Flaw, Mistaken, Protocol, Size, Wrong, check};
pub use collection::{Collection, CollectionMistake, Way};
pub use outcome::{OutcomeFence, OutcomeMistake};
pub use quorum::{Quorum, QuorumMistake};
pub use reaping::{Reaping, ReapingMistake};
pub use slot_race::{SlotRace, SlotRaceMistake};
