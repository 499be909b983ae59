//! What is wrong with a history, in words.

use std::collections::BTreeSet;
use std::fmt;

use super::history::History;

/// A way in which a history can be wrong, named as Adya and Elle name it where they do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Anomaly {
    /// A transaction read a value that nobody ever wrote.
    Garbage,
    /// A list held a value twice.
    Duplicate,
    /// G1a: a transaction read what a failed one wrote.
    AbortedRead,
    /// G1b: a transaction read what another wrote and replaced or added to before it committed.
    IntermediateRead,
    /// A transaction did not see its own writes, read a key twice with different results, saw what it wrote only
    /// later, or was told by a scan what it had not asked for.
    Internal,
    /// Two reads of a list are not beginnings of one order of its appends.
    IncompatibleOrder,
    /// A cycle of dependencies.
    Cycle(Class, Strength),
    /// A committed append was in no later read.
    Lost,
    /// Two transactions have one version, or the order of commits has one that did not commit.
    WrongOrder,
    /// The log's order of commits is not what processes were told.
    LogDiffers,
    /// A read is not what the state at its version was.
    WrongRead,
    /// The order of versions contradicts the order of time.
    AgainstTime,
}

/// What a cycle is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Of writes over writes only.
    G0,
    /// Of writes over writes and reads of writes.
    G1c,
    /// With exactly one read that missed a write.
    GSingle,
    /// With two or more.
    G2Item,
}

/// What a cycle leans on besides reads and writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Strength {
    /// Nothing: the history is not serializable.
    Plain,
    /// The order of what one process did.
    Process,
    /// The order of time: without it, the history is serializable as far as this cycle goes.
    Realtime,
}

impl Anomaly {
    /// Whether an order of the transactions exists all the same, and only contradicts that of time or
    /// of a process. A serializable store may do this; a strictly serializable one may not.
    #[must_use]
    pub fn only_breaks_strictness(self) -> bool {
        match self {
            Self::Cycle(_, strength) => strength != Strength::Plain,
            Self::Lost | Self::AgainstTime => true,
            _ => false,
        }
    }
}

impl fmt::Display for Anomaly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Garbage => "garbage",
            Self::Duplicate => "duplicate",
            Self::AbortedRead => "G1a",
            Self::IntermediateRead => "G1b",
            Self::Internal => "internal",
            Self::IncompatibleOrder => "incompatible-order",
            Self::Cycle(Class::G0, _) => "G0",
            Self::Cycle(Class::G1c, _) => "G1c",
            Self::Cycle(Class::GSingle, _) => "G-single",
            Self::Cycle(Class::G2Item, _) => "G2-item",
            Self::Lost => "lost",
            Self::WrongOrder => "wrong-order",
            Self::LogDiffers => "log-differs",
            Self::WrongRead => "wrong-read",
            Self::AgainstTime => "against-time",
        })?;
        match self {
            Self::Cycle(_, Strength::Process) => f.write_str("-process"),
            Self::Cycle(_, Strength::Realtime) => f.write_str("-realtime"),
            _ => Ok(()),
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// What kind of wrong.
    pub anomaly: Anomaly,
    /// What is wrong, in a sentence for each step of the proof.
    pub steps: Vec<String>,
    /// The transactions that the steps name, by their places in the history.
    pub transactions: BTreeSet<usize>,
}

/// All that is wrong with a history, the worst first. There is at least one violation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violations {
    violations: Vec<Violation>,
    /// Those named by the violations that are shown, as text.
    named: Vec<String>,
}

/// How many violations are written out.
const SHOWN_MAX: usize = 5;

impl Violations {
    /// `Err` unless there are none.
    pub(super) fn unless_empty(
        history: &History,
        mut violations: Vec<Violation>,
    ) -> Result<(), Self> {
        if violations.is_empty() {
            return Ok(());
        }
        violations.sort_by_key(|violation| (violation.anomaly, violation.steps.len()));
        let shown = violations.iter().take(SHOWN_MAX);
        let named: BTreeSet<usize> =
            shown.flat_map(|violation| violation.transactions.iter().copied()).collect();
        let named = named
            .into_iter()
            .map(|at| format!("T{} {}", at + 1, history.transactions()[at]))
            .collect();
        Err(Self { violations, named })
    }

    /// Each violation, the worst first.
    #[must_use]
    pub fn all(&self) -> &[Violation] {
        &self.violations
    }

    /// The kinds of anomaly, each once, the worst first.
    #[must_use]
    pub fn anomalies(&self) -> BTreeSet<Anomaly> {
        self.violations.iter().map(|violation| violation.anomaly).collect()
    }
}

impl fmt::Display for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for violation in self.violations.iter().take(SHOWN_MAX) {
            writeln!(f, "{}:", violation.anomaly)?;
            for step in &violation.steps {
                writeln!(f, "    {step}")?;
            }
        }
        if let Some(more) = self.violations.len().checked_sub(SHOWN_MAX)
            && more > 0
        {
            writeln!(f, "and {more} more")?;
        }
        f.write_str("of these transactions:")?;
        self.named.iter().try_for_each(|line| write!(f, "\n    {line}"))
    }
}

impl std::error::Error for Violations {}
