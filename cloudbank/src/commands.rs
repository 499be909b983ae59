//! The commands, one file each.

pub(crate) mod array;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod conformance;
mod folder;
pub(crate) mod provider;
pub(crate) mod replica;
#[cfg(feature = "s3")]
pub(crate) mod s3;
#[cfg(feature = "serve")]
pub(crate) mod serve;
pub(crate) mod store;
#[cfg(feature = "gateway-tahoe")]
pub(crate) mod tahoe;
mod target;
mod to_write;
mod walk;

#[cfg(feature = "s3")]
pub(crate) use store::shown_line;
