//! The commands, one file each.

pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod conformance;
pub(crate) mod provider;
pub(crate) mod store;
mod target;
