//! The command line as its users meet it, and everything that can be wrong with a configuration.
#![allow(clippy::unwrap_used)] // A test that unwraps an error has failed as it should.

mod array;
mod commands;
mod config_problems;
mod conformance;
mod copying;
mod replica;
#[cfg(all(feature = "gateway-s3", feature = "s3"))]
mod s3;
mod secrets;
#[cfg(feature = "gateway-s3")]
mod serve;
mod store;
mod support;
mod third_party;
