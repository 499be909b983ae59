//! Objects as files: a [`StorageProvider`](storage_core::StorageProvider) written on the file system
//! itself, for unix.
//!
//! A put writes a temporary file, syncs it, gives it its name in one step and syncs the directory;
//! readers never see a part, and what was acknowledged survives a loss of power. What it guarantees,
//! and what it costs, is in the README; how the folder is laid out, in `docs/formats/fs.md`.
//!
//! Read in this order: `provider` (the five methods), `folder` and `marker` (what is open, what is on
//! disk), `key` and `object` (the format), `put` (step by step), `direct` (past the page cache), `durable` (who syncs), `list`, `scan`
//! and `ahead`, `pool`.
#![cfg(unix)]

mod ahead;
mod config;
mod direct;
mod durable;
mod error;
mod folder;
mod key;
mod list;
mod lock;
mod marker;
mod object;
mod pool;
mod provider;
mod put;
mod scan;
mod step;
mod temporary;

pub use config::Config;
pub use provider::FsProvider;
pub use step::{Observe, Step};
