//! Transactions over many keys, with history, on any Cloudbank provider.
//!
//! A [`Store`] is an ordered map that any number of processes open and write at the same time, with no server
//! and no lock between them: what decides is one conditional put, that of the next entry of the log.
//!
//! Read in this order:
//!
//! 1. [`Store`]: open, transact, snapshot, outcome; [`Store::transact_settled`] asks for the outcome itself.
//! 2. [`Transaction`]: reads and writes that are committed together, as if nobody else were there.
//! 3. [`Snapshot`], [`At`]: the store at one version, for as long as it is held.
//! 4. [`Value`], [`ValueStream`]: values larger than memory, uploaded before they are put and read in parts.
//! 5. [`Commit`], [`History`], [`Changes`], [`Watch`]: what was done, when and by whom, in the past and as it comes;
//!    [`Store::undo`].
//! 6. [`Store::verify`]: is everything as it must be, and what is not; [`Store::rebuild_index`].
//! 7. [`Store::combine_through`]: handles that share entries, where many write.
//! 8. [`Error`], [`ErrorKind`]: what went wrong; [`ErrorKind::CommitUnknown`] is not a failure.
//!
//! # Examples
//!
//! ```
//! use std::sync::Arc;
//! use backend_memory::MemoryProvider;
//! use storage_txn::{At, Merge, Options, Store};
//! use storage_wrappers::TokioEnv;
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), storage_txn::Error> {
//! let provider = Arc::new(MemoryProvider::new());
//! let store = Store::init(provider, Arc::new(TokioEnv::new()), Options::default()).await?;
//! let receipt = store
//!     .transact(async |tx| {
//!         tx.put("alice", "10")?;
//!         tx.merge("accounts", Merge::Add(1))
//!     })
//!     .await?;
//! store.transact(async |tx| tx.delete("alice")).await?;
//!
//! let then = store.snapshot(At::Version(receipt.version)).await?;
//! assert_eq!(then.get("alice").await?.as_deref(), Some(&b"10"[..]));
//! let now = store.snapshot(At::Latest).await?;
//! assert_eq!(now.get("alice").await?, None);
//! # Ok(())
//! # }
//! ```

mod bounds;
mod change;
mod changes;
mod checkpoint;
mod collect;
mod combine;
mod commit;
mod commits;
mod compact;
mod content;
mod counters;
mod error;
mod flush;
mod format;
mod history;
mod info;
mod memtable;
mod move_log;
mod names;
mod open;
mod options;
mod pin;
mod place;
mod reads;
mod rebuild;
mod renew;
mod replica;
mod segment;
mod session;
mod settle;
mod shared;
mod snapshot;
mod space;
mod state;
mod store;
mod store_log;
mod system;
mod transaction;
mod turns;
mod value;
mod verify;
mod version;
mod view;
mod watch;
mod writes;

pub use bounds::KeyRange;
pub use change::Merge;
pub use changes::{ChangedKey, ChangedKeys, Changes, CommitChanges};
pub use collect::{CollectOptions, Collected};
pub use combine::{COMBINE_BYTES_MAX, CombineKey, Combiner, Combining};
pub use commits::{Commit, CommitRef, Commits, LogScan};
pub use content::Content;
pub use counters::Counters;
pub use error::{Error, ErrorKind, Result};
pub use history::{History, Revision, Written};
pub use info::StoreInfo;
pub use move_log::LogTarget;
pub use names::NAME_BYTES_MAX;
pub use options::{INLINE_BYTES_MAX, KEY_BYTES_MAX, Options};
pub use pin::Pin;
pub use place::Place;
pub use rebuild::Rebuilt;
pub use replica::{
    Diverged, Followed, Promoted, Replica, ReplicaOptions, ReplicaProgress, ReplicaStage,
    ReplicaStatus,
};
pub use session::SESSION_BEAT;
pub use snapshot::{Item, Items, Meta, Metas, Scan, Snapshot};
pub use storage_log::quorum::{
    CopyProgress, Lost, Proof, QuorumOptions, VoterChange, VoterId, VoterState, VoterStatus,
};
pub use store::{At, Outcome, Store};
pub use transaction::{Receipt, Transaction};
pub use value::{Value, ValueStream};
pub use verify::{
    Finding, Severity, Unnamed, VerifyEvent, VerifyOptions, VerifyProgress, VerifyReport,
};
pub use version::{NotATransactionId, TransactionId, Version};
pub use watch::Watch;
