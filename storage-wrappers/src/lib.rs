//! What every provider can wear: each concern that is the same on all of them, written once.
//!
//! A wrapper takes a [`StorageProvider`](storage_core::StorageProvider) and is one; so they stack, and
//! work on a `MemoryProvider` as on an `Arc<dyn StorageProvider>`. None names a runtime or reads a clock:
//! what needs time or randomness is handed an [`Env`](storage_core::Env).
//!
//! Read in this order:
//!
//! 1. [`standard`]: the stack for production, in the one order that is right, and why.
//! 2. What it is made of: [`Guarded`], [`Metered`], [`Retry`], [`TimeLimit`], [`ConcurrencyLimit`].
//! 3. For wiring: [`Prefixed`], [`Override`].
//! 4. For tests: [`Counted`], [`Faulty`], [`ManualEnv`].
//! 5. [`TokioEnv`]: the real clock.

mod concurrency_limit;
mod counted;
mod env;
mod faulty;
mod guarded;
mod metered;
mod overridden;
mod prefixed;
mod retry;
mod stack;
mod time_limit;

pub use concurrency_limit::ConcurrencyLimit;
pub use counted::{Counted, Counts, OperationCounts};
pub use env::{ManualEnv, TokioEnv};
pub use faulty::{Fault, FaultPlan, Faulty, Injected, Outage, Window};
pub use guarded::Guarded;
pub use metered::{Metered, describe_metrics};
pub use overridden::Override;
pub use prefixed::Prefixed;
pub use retry::{Retry, RetryBudget, RetryPolicy};
pub use stack::{Options, standard};
pub use time_limit::{TimeLimit, TimeLimits};
