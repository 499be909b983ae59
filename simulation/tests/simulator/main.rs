//! What the simulator promises, and that its drivers find planted mistakes.

#![allow(clippy::unwrap_used, reason = "this is all test code")]

mod drivers;
mod faults;
mod journal;
mod nodes;
mod search;
