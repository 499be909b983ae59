//! What the file system backend promises beyond the conformance suite, in one binary.
#![allow(clippy::unwrap_used)] // A test that unwraps an error has failed as it should.

mod dropped;
mod golden;
mod listing;
mod power;
mod roles;
mod support;
mod trouble;
mod whole;
