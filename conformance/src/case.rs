//! A case: one requirement, and the code that finds out whether it holds.

use std::fmt;
use std::str::FromStr;

use storage_core::{BoxFuture, Error, KeyProblem};

use crate::Context;

/// One requirement and its proof.
#[derive(Clone, Copy)]
pub struct Case {
    /// Stable and dotted: group, subject, detail.
    pub id: &'static str,
    /// How much is asked of the provider, and of the patience of whoever runs it.
    pub level: Level,
    /// The requirement, as a sentence.
    pub requires: &'static str,
    /// What the provider or the harness must offer for the case to mean anything.
    pub needs: &'static [Need],
    /// The most requests it sends to the provider, its cleaning up not counted. More is a failure.
    pub requests_max: u64,
    /// Finds out. Makes its own keys with [`Context::key`], and leaves the cleaning up to the runner.
    pub run: CaseFn,
}

/// The code of a case.
pub type CaseFn = for<'a> fn(&'a Context) -> BoxFuture<'a, CaseResult>;

/// What a case found out.
pub type CaseResult = Result<(), Failure>;

impl Case {
    /// The group: the part of the id before the first dot.
    #[must_use]
    pub fn group(&self) -> &'static str {
        self.id.split('.').next().unwrap_or(self.id)
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Case").field("id", &self.id).field("level", &self.level).finish()
    }
}

/// How much a case asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// What every provider does.
    Core,
    /// What a log of transactions needs besides: conditions that hold in races.
    Txn,
    /// Many keys, large objects.
    Scale,
    /// Lost answers, cancellation, random histories.
    Chaos,
    /// Crashes, full disks.
    Durability,
}

impl Level {
    /// All of them, from the least demanding.
    pub const ALL: [Self; 5] = [Self::Core, Self::Txn, Self::Scale, Self::Chaos, Self::Durability];

    /// Its name in commands and reports.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Core => "core",
            Self::Txn => "txn",
            Self::Scale => "scale",
            Self::Chaos => "chaos",
            Self::Durability => "durability",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

impl FromStr for Level {
    type Err = UnknownLevel;

    fn from_str(text: &str) -> Result<Self, UnknownLevel> {
        let found = Self::ALL.into_iter().find(|level| level.label() == text);
        found.ok_or_else(|| UnknownLevel(text.to_owned()))
    }
}

/// A text that is not the name of a [`Level`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownLevel(String);

impl fmt::Display for UnknownLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no level is called {:?}: there are core, txn, scale, chaos, durability", self.0)
    }
}

impl std::error::Error for UnknownLevel {}

/// What a case needs to mean anything. It is skipped, with the reason, where that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Need {
    /// `PutIf::Absent`, in whatever scope.
    Absent,
    /// `PutIf::Matches`, in whatever scope.
    Matches,
    /// Lists that show every finished mutation.
    StrongList,
    /// Versions that tell every write apart.
    VersionPerWrite,
    /// Objects that another process on this machine can open.
    SharedHost,
    /// [`Hooks::second_process`](crate::Hooks::second_process).
    SecondProcess,
    /// [`Hooks::wire`](crate::Hooks::wire).
    Wire,
    /// [`Hooks::crash`](crate::Hooks::crash).
    Crash,
    /// [`Hooks::missing`](crate::Hooks::missing).
    Missing,
    /// [`Hooks::denied`](crate::Hooks::denied).
    Denied,
    /// [`Hooks::full`](crate::Hooks::full).
    Full,
    /// [`Hooks::read_only`](crate::Hooks::read_only).
    ReadOnly,
}

/// Why a case did not simply pass.
///
/// Any error of the provider becomes one through `?`, and so counts as a failure; make others with
/// [`ensure!`](crate::ensure), [`Failure::new`] or one of the functions that say more.
#[derive(Debug)]
pub struct Failure {
    pub(crate) verdict: Verdict,
    pub(crate) detail: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Fail,
    OverClaim,
    UnderClaim,
    Skipped,
}

impl Failure {
    /// The requirement does not hold: `detail` says what was expected and what was seen.
    pub fn new(detail: impl Into<String>) -> Self {
        Self { verdict: Verdict::Fail, detail: detail.into() }
    }

    /// A capability is declared and does not hold.
    pub fn over_claim(detail: impl Into<String>) -> Self {
        Self { verdict: Verdict::OverClaim, detail: detail.into() }
    }

    /// A capability holds and is not declared: a warning, not a failure of the run.
    pub fn under_claim(detail: impl Into<String>) -> Self {
        Self { verdict: Verdict::UnderClaim, detail: detail.into() }
    }

    /// The case cannot be tried on this provider; also [`Context::skip`].
    pub fn skipped(reason: impl Into<String>) -> Self {
        Self { verdict: Verdict::Skipped, detail: reason.into() }
    }

    /// The same with what was being done before what went wrong.
    #[must_use]
    pub fn during(mut self, what: impl fmt::Display) -> Self {
        self.detail = format!("{what}: {}", self.detail);
        self
    }

    /// The same with something to know about it at the end.
    pub(crate) fn and(mut self, what: impl fmt::Display) -> Self {
        self.detail = format!("{} {what}", self.detail);
        self
    }

    /// What was expected and what was seen.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        unexpected(&error)
    }
}

impl From<storage_txn::Error> for Failure {
    fn from(error: storage_txn::Error) -> Self {
        unexpected(&error)
    }
}

fn unexpected(error: &dyn std::error::Error) -> Failure {
    let mut detail = format!("unexpected error: {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        detail.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    Failure::new(detail)
}

impl From<KeyProblem> for Failure {
    fn from(problem: KeyProblem) -> Self {
        Self::new(format!("the suite made a key that is none: {problem}"))
    }
}

/// Returns a [`Failure`] from the case unless a condition holds.
///
/// ```
/// # fn check(size: u64) -> Result<(), conformance::Failure> {
/// conformance::ensure!(size == 3, "expected 3 bytes, saw {size}");
/// # Ok(())
/// # }
/// # assert!(check(3).is_ok() && check(4).is_err());
/// ```
#[macro_export]
macro_rules! ensure {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err($crate::Failure::new(format!($($message)+)));
        }
    };
}
