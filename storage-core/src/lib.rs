//! The waist of Cloudbank: what a place that keeps objects must do, said once.
//!
//! A *provider* is anything that can put, get, list and delete whole objects: a bucket, a folder, a
//! table, an array of other providers. Its author implements [`StorageProvider`], five methods; its
//! user gets [`StorageProviderExt`], and everything built on top works on it unchanged.
//!
//! Read in this order:
//!
//! 1. [`StorageProvider`]: the contract, method by method.
//! 2. [`Key`], [`Prefix`], [`Version`]: the names of things.
//! 3. [`PutIf`], [`Get`], [`List`] and what they answer: [`Object`], [`Page`].
//! 4. [`Capabilities`]: what a provider promises beyond the contract.
//! 5. [`Error`], [`ErrorKind`], [`Effect`]: what went wrong, and whether it happened all the same.
//!
//! This crate starts no task, opens no file, and reads no clock and no environment. What needs time
//! or randomness is handed an [`Env`].

mod capabilities;
mod env;
mod error;
mod ext;
mod key;
mod provider;
mod request;
mod secret;
mod version;

pub use async_trait::async_trait;

pub use capabilities::{
    Atomicity, Capabilities, Durability, ListConsistency, ProviderInfo, Sharing, Versions,
};
pub use env::{BoxFuture, Env};
pub use error::{Effect, Error, ErrorKind, Operation, Result};
pub use ext::{Created, DeleteManyError, StorageProviderExt};
pub use key::{KEY_BYTES_MAX, Key, KeyProblem, Prefix, SEGMENT_BYTES_MAX, is_key_byte};
pub use provider::StorageProvider;
pub use request::{ByteRange, Get, List, Listed, Object, Page, PutIf};
pub use secret::Secret;
pub use version::Version;
