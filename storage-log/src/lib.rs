//! One order that everyone agrees on: an ordered log of opaque entries.
//!
//! Any number of processes append to one log, with no server and no lock between them. Each entry
//! stands at a *slot*, names the entry before it by a hash, and is decided once and for all: whoever
//! creates the slot first has it. The log knows nothing of keys and values.
//!
//! Read in this order:
//!
//! 1. [`CommitLog`]: the contract, and what [`Appended`] tells apart: ours, taken, not known.
//! 2. [`Slot`], [`EntryId`], [`Head`]: places in the log, and the chain that joins them.
//! 3. [`Entry`], [`Record`]: what is appended, and what is found at a slot.
//! 4. [`ProviderLog`]: the log on one provider.
//! 5. [`quorum`]: the log on several, of which any minority may fail.
//! 6. [`catch_up`]: all entries after a head, read ahead in parallel and checked link by link.
//! 7. [`copy_log`]: the same entries in another place, where the log is to go on.
//!
//! The formats are described in `docs/formats/log.md` and `docs/formats/quorum-log.md`.

mod chain;
mod copy;
mod entry;
mod error;
mod log;
#[doc(hidden)]
pub mod planted;
mod provider_log;
pub mod quorum;
mod tail;

pub use chain::{EntryId, Head, LogId, Slot};
pub use copy::{copy_log, last_record};
pub use entry::{ENTRY_OVERHEAD_BYTES, Entry, Record};
pub use error::{Error, Result};
pub use log::{Appended, CommitLog};
pub use provider_log::ProviderLog;
pub use tail::{catch_up, catch_up_while};
