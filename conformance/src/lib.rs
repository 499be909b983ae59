//! The definition of a backend: cases that every provider passes, and what runs and reports them.
//!
//! Read in this order:
//!
//! 1. [`main!`], [`Target`]: one line in a backend's tests runs all of it.
//! 2. [`Harness`], [`Hooks`]: what an author hands over.
//! 3. [`Case`], [`cases()`], [`Level`]: the catalogue.
//! 4. [`Context`], [`Failure`]: what a case works with, and what it says.
//! 5. [`history`], [`linearizability`], [`wire`], [`child`]: the oracle of races, the proxy that loses answers and
//!    the second process, usable on their own.
//! 6. [`serializability`]: the oracles of transactions.
//! 7. [`store`]: what the cases about transactions ask of a store; [`on_quorum`]: those on stores with several voters.
//! 8. [`run()`], [`Settings`], [`Report`], [`Outcome`]: running it from other programs.

mod case;
mod cases;
pub mod child;
mod context;
mod harness;
pub mod history;
pub mod linearizability;
mod measure;
mod quorum;
mod report;
mod resend;
mod run;
pub mod serializability;
mod settings;
pub mod store;
mod target;
pub mod wire;
mod words;

pub use case::{Case, CaseFn, CaseResult, Failure, Level, Need, UnknownLevel};
pub use cases::{case, cases};
pub use context::{Context, expect_kind};
pub use harness::{
    CrashHook, Denied, FnHarness, Harness, Hooks, Missing, Opener, ProcessHook, Reach, WireHook,
    harness, opener,
};
pub use quorum::on_quorum;
pub use report::{CaseReport, Latency, Outcome, Progress, Report};
pub use run::{run, run_until};
pub use settings::{KnownIssue, Settings};
pub use target::{ROUNDS_VARIABLE, SEED_VARIABLE, Target, run_targets};

/// The page for authors of backends: its provider is compiled, and passes the suite.
#[cfg(doctest)]
#[doc = include_str!("../../docs/backends.md")]
struct BackendsPage;
