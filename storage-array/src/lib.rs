//! Arrays: providers made of providers.
//!
//! Each is a [`StorageProvider`](storage_core::StorageProvider) that keeps the contract on members that may be
//! slow, away, behind or damaged. They nest in any way. None names a runtime: time, tasks and randomness come
//! from an [`Env`](storage_core::Env).
//!
//! Read in this order:
//!
//! 1. [`Mirror`], [`Erasure`]: copies, and pieces of which some may be lost.
//! 2. [`Shard`], [`Encrypt`], [`Split`]: more room, secrecy, and the log of a store apart from its objects.
//! 3. [`Member`]: what they are made of.
//! 4. [`Status`], [`Inspect`], [`Scrub`], [`Mend`], [`Event`]: how they are doing, and having them looked over.
//! 5. [`Prices`]: what they cost.

mod array;
mod cell;
mod coding;
mod core;
mod create;
mod encrypt;
mod erasure;
mod gather;
mod health;
mod inspect;
mod listing;
mod look;
mod marks;
mod member;
mod mend;
mod merge;
mod mirror;
mod owed;
mod pace;
mod price;
mod read;
mod rendezvous;
mod repair;
mod round;
mod scrub;
mod sealed;
mod shard;
mod split;
mod walk;
mod write;

pub use crate::core::{Counts, Event, Happening};
pub use array::{MemberState, MemberStatus, Status};
pub use encrypt::{Encrypt, Rotated, check_keys};
pub use erasure::Erasure;
pub use inspect::{Inspect, Inspected, Inspection};
pub use member::Member;
pub use mend::{Mend, Mended};
pub use mirror::Mirror;
pub use price::{Prices, Traffic};
pub use repair::Repaired;
pub use scrub::{Depth, MemberScrubbed, Scrub, Scrubbed};
pub use shard::{Rebalance, Rebalanced, Shard, ShardInspection, ShardMember};
pub use split::Split;
pub use walk::Walk;
