//! Time and randomness: the real ones, and those of a test.

mod manual;
mod real;

pub use manual::ManualEnv;
pub use real::TokioEnv;

pub(crate) use real::within;
