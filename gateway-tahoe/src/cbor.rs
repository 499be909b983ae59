//! The CBOR of the protocol: its requests, read item by item against what the protocol says of them, and its answers.
//!
//! Nothing is built of a request but what the protocol has: there is no depth to run out of, no length is believed before
//! the bytes are there, and every count has a bound.

mod read;
mod write;

pub(crate) use read::{read_allocate, read_corrupt, read_test_write};
pub(crate) use write::{allocated, numbers, read_test_written, required, version};

/// The tag of a set: <https://github.com/input-output-hk/cbor-sets-spec>.
const SET: u64 = 258;

#[cfg(test)]
mod tests;
