//! What came of a run.

mod json;
mod junit;
mod markdown;
mod table;

use std::fmt;
use std::time::Duration;

use storage_core::{Error, Operation, ProviderInfo};

use crate::{Case, Level, Settings};

/// What came of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// The requirement holds.
    Pass,
    /// It does not.
    Fail,
    /// It was not tried: the provider declares that it cannot, or the harness offers no way.
    Skipped,
    /// A declared capability does not hold: a failure.
    OverClaim,
    /// A capability that is not declared holds: a warning.
    UnderClaim,
    /// It fails, and that is known and accepted for now.
    KnownIssue,
    /// It is known to fail, and passed.
    UnexpectedPass,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Pass,
        Self::Fail,
        Self::Skipped,
        Self::OverClaim,
        Self::UnderClaim,
        Self::KnownIssue,
        Self::UnexpectedPass,
    ];

    /// Whether the run fails with it.
    #[must_use]
    pub fn is_failure(self) -> bool {
        matches!(self, Self::Fail | Self::OverClaim)
    }

    /// Its name in reports, in words joined by `_`.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Skipped => "skipped",
            Self::OverClaim => "over_claim",
            Self::UnderClaim => "under_claim",
            Self::KnownIssue => "known_issue",
            Self::UnexpectedPass => "unexpected_pass",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.label().replace('_', " "))
    }
}

/// What came of one case.
#[derive(Debug, Clone)]
pub struct CaseReport {
    /// The id of the case.
    pub id: &'static str,
    /// Its level.
    pub level: Level,
    /// The requirement.
    pub requires: &'static str,
    /// What came of it.
    pub outcome: Outcome,
    /// How many requests it sent.
    pub requests: u64,
    /// How long it took, cleaning up included.
    pub elapsed: Duration,
    /// What was expected and seen, or why it was skipped. Empty for a plain pass.
    pub detail: String,
    /// How long each request took, by operation.
    pub(crate) times: [Vec<Duration>; 4],
}

/// What a problem begins with that leaves something behind.
pub(crate) const CLEANING_UP: &str = "cleaning up: ";

/// What came of a run.
#[derive(Debug, Clone)]
pub struct Report {
    /// What was tested, and what it declares.
    pub provider: Option<ProviderInfo>,
    /// The seed that replays the run.
    pub seed: u64,
    /// The levels that were asked for.
    pub level: String,
    /// What came of each case, in the order of the catalogue.
    pub cases: Vec<CaseReport>,
    /// What went wrong besides cases: the provider could not be opened, no case ran, something was left
    /// behind, the run was interrupted. Any is a failure.
    pub problems: Vec<String>,
    /// How long it took.
    pub elapsed: Duration,
}

impl Report {
    /// Whether a case failed or something else went wrong.
    #[must_use]
    pub fn failed(&self) -> bool {
        !self.problems.is_empty() || self.cases.iter().any(|case| case.outcome.is_failure())
    }

    /// What went wrong when everything the run had put was deleted, if something did: objects may be left.
    #[must_use]
    pub fn left_behind(&self) -> Option<&str> {
        self.problems.iter().find_map(|problem| problem.strip_prefix(CLEANING_UP))
    }

    /// How many cases ended so.
    #[must_use]
    pub fn count(&self, outcome: Outcome) -> usize {
        self.cases.iter().filter(|case| case.outcome == outcome).count()
    }

    /// How many requests all cases sent.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.cases.iter().map(|case| case.requests).sum()
    }

    /// What came of the case `id`, if it was asked for.
    #[must_use]
    pub fn case(&self, id: &str) -> Option<&CaseReport> {
        self.cases.iter().find(|case| case.id == id)
    }

    /// How long the requests of one kind took, over all cases; `None` where there were none.
    #[must_use]
    pub fn latency(&self, operation: Operation) -> Option<Latency> {
        let times = self.cases.iter().flat_map(|case| &case.times[operation as usize]);
        let mut times: Vec<Duration> = times.copied().collect();
        times.sort_unstable();
        let last = times.len().checked_sub(1)?;
        let at = |percent: usize| times[last * percent / 100];
        Some(Latency { requests: times.len(), p50: at(50), p90: at(90), p99: at(99), max: at(100) })
    }

    /// The name of what was tested, or what to call it when it could not be opened.
    #[must_use]
    pub fn provider_name(&self) -> &str {
        self.provider.as_ref().map_or("not opened", |provider| &provider.name)
    }

    /// As JSON: `{"provider", "seed", "level", "cases": [{"id", "level", "outcome", "requests",
    /// "millis", "detail"}], "summary"}`.
    #[must_use]
    pub fn to_json(&self) -> String {
        json::write(self)
    }

    /// As JUnit XML.
    #[must_use]
    pub fn to_junit(&self) -> String {
        junit::write(self)
    }

    /// As a row of a Markdown table, to stand below [`markdown_header`](Self::markdown_header).
    #[must_use]
    pub fn to_markdown_row(&self) -> String {
        markdown::row(self)
    }

    /// The head of the Markdown table.
    #[must_use]
    pub fn markdown_header() -> &'static str {
        markdown::HEADER
    }

    /// As aligned lines of text: a line for each case with what it says, latencies, and a last line
    /// with the counts, the verdict and the seed.
    #[must_use]
    pub fn table(&self) -> String {
        table::write(self)
    }

    pub(crate) fn not_opened(settings: &Settings, error: &Error) -> Self {
        Self {
            provider: None,
            seed: settings.seed,
            level: settings.levels_label(),
            cases: Vec::new(),
            problems: vec![format!("the provider could not be opened: {error}")],
            elapsed: Duration::ZERO,
        }
    }
}

/// How long requests took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Latency {
    /// How many there were.
    pub requests: usize,
    /// Half of them took at most so long.
    pub p50: Duration,
    /// Nine in ten took at most so long.
    pub p90: Duration,
    /// All but one in a hundred took at most so long.
    pub p99: Duration,
    /// The slowest took so long.
    pub max: Duration,
}

/// Hears how a run goes on. `()` listens to nothing.
pub trait Progress: Send {
    /// The provider is open, and so many cases will run.
    fn planned(&mut self, provider: &ProviderInfo, settings: &Settings, cases: usize);
    /// A case begins.
    fn started(&mut self, case: &Case);
    /// A case has ended.
    fn finished(&mut self, report: &CaseReport);
}

impl Progress for () {
    fn planned(&mut self, _: &ProviderInfo, _: &Settings, _: usize) {}
    fn started(&mut self, _: &Case) {}
    fn finished(&mut self, _: &CaseReport) {}
}

#[cfg(test)]
mod tests;
