//! Objects in memory: the shortest correct [`StorageProvider`](storage_core::StorageProvider), and
//! the model that the others are compared with.
//!
//! Clones of a [`MemoryProvider`] are handles on the same objects. What it guarantees, and what it
//! costs, is in the README.

mod config;
mod provider;

pub use config::Config;
pub use provider::MemoryProvider;
