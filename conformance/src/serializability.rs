//! Decides whether the transactions of a history could have happened one at a time, in the order of time.
//!
//! Nothing here knows a store: a [`History`], written down by a [`Recorder`] or typed as text, says what transactions did,
//! when, and what they were told. There are two
//! checks, which share no more than that and can so be held against each other:
//!
//! - [`check`] needs nothing else. It finds who must come before whom (a write over a write, a read of a write, a write
//!   over what was read, one process, real time) and looks for cycles, as Elle does (Kingsbury and Alvaro, "Elle:
//!   inferring isolation anomalies from experimental observations", 2020). What it reports is proof that the history is
//!   not strictly serializable. It proves much with lists, less with registers whose versions are not known, and
//!   nothing where no two transactions touched one key.
//! - [`check_witness`] is given the order of commits by the store or its log, and runs the transactions in that order:
//!   every read, ranges and the past included, must be what there was. It is complete, and so the stricter.
//!
//! Transactions of unknown outcome may have happened or not. Both checks take one for having happened if its effect
//! was seen, or (the second) if the log has it.
//!
//! [`smallest`] makes a failing history small enough to read, and [`database`] makes histories of known isolation, to
//! try checks on.

mod checks;
mod cycles;
pub mod database;
mod edges;
mod facts;
mod graph;
mod history;
mod notation;
mod recorder;
mod shrink;
mod verdict;
mod witness;

use facts::Facts;
pub use history::{Content, History, Malformed, Operation, Scan, Status, Transaction};
pub use recorder::{Begun, Recorder};
pub use shrink::smallest;
pub use verdict::{Anomaly, Class, Strength, Violation, Violations};
pub use witness::Logged;

/// Looks for proof that a history is not strictly serializable.
///
/// Takes time and memory in proportion to the history; with one exception: of a list, each read of all that was ever
/// seen is compared with each committed append that was not, so workloads should go over to fresh keys after some
/// dozens of appends, and read all keys at the end. A scan counts as a read of each of the history's keys in its range.
///
/// # Errors
///
/// All violations found, with a shortest cycle for each knot of transactions. Whether the history is serializable
/// without regard to time is told by [`Anomaly::only_breaks_strictness`].
///
/// # Examples
///
/// Two transactions read both of two lists, and each appended to the one that the other had found empty:
///
/// ```
/// use conformance::serializability::{History, check};
///
/// let history: History = "
///     p0 1..4 ok: read x []; read y []; append x 1
///     p1 2..3 ok: read x []; read y []; append y 1
/// ".parse()?;
/// let violations = check(&history).unwrap_err();
/// assert_eq!(
///     violations.to_string(),
///     "G2-item:
///     T1 < T2: T1 read y before T2 wrote 1 (rw)
///     T2 < T1: T2 read x before T1 wrote 1 (rw)
/// of these transactions:
///     T1 p0 1..4 ok: read x []; read y []; append x 1
///     T2 p1 2..3 ok: read x []; read y []; append y 1"
/// );
/// # Ok::<(), conformance::serializability::Malformed>(())
/// ```
pub fn check(history: &History) -> Result<(), Violations> {
    let facts = Facts::of(history);
    let mut violations = checks::check(&facts);
    violations.extend(cycles::check(&facts));
    Violations::unless_empty(history, violations)
}

/// Runs the transactions of a history in order of their versions, and compares what each was told.
///
/// A transaction that writes must have read what there was just before its own version; one that only reads, what there
/// was at its version. Whoever returned before another was invoked has no higher version, and a lower one if the other
/// wrote; except that one which asked for the past may have any.
///
/// With the `log`, its list of commits must be that of the history: each committed writer once, at the version that its
/// process was told, none that failed, and of those with unknown outcome any. Without it, versions are those of the
/// transactions themselves, and one of unknown outcome happened if it has one.
///
/// # Errors
///
/// Everything that differs.
///
/// # Examples
///
/// A phantom: the range was read before a key came into it, but the commit has its place after it.
///
/// ```
/// use conformance::serializability::{Anomaly, History, check_witness};
///
/// let history: History = "
///     p0 1..5 ok v2: scan a..c {}; put total 1
///     p1 2..3 ok v1: put b 1
/// ".parse()?;
/// let violations = check_witness(&history, None).unwrap_err();
/// assert!(violations.anomalies().contains(&Anomaly::WrongRead));
/// # Ok::<(), conformance::serializability::Malformed>(())
/// ```
pub fn check_witness(history: &History, log: Option<&[Logged]>) -> Result<(), Violations> {
    witness::check(history, log)
}

#[cfg(test)]
mod tests;
