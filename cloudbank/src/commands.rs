//! The commands, one file each.

pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod conformance;
pub(crate) mod provider;
#[cfg(feature = "gateway-s3")]
pub(crate) mod serve;
pub(crate) mod store;
mod target;
