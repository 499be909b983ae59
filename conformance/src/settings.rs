//! How a run is asked for.

use std::time::Duration;

use rand::RngExt as _;

use crate::{Case, Level};

/// How a run is asked for.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Which levels to run.
    pub levels: Vec<Level>,
    /// Only cases whose id contains this.
    pub filter: Option<String>,
    /// What randomness is drawn from: the same seed draws the same again.
    pub seed: u64,
    /// The largest object that is put, in bytes, where the provider declares more.
    pub object_bytes_max_tested: u64,
    /// How many times the usual rounds the cases of races and random histories go, one being a quick
    /// look. Their bounds on requests and time grow with it.
    pub rounds: u32,
    /// After how long a case of many rounds begins no further one, for each of `rounds`: slow services
    /// get fewer.
    pub round_time_max: Duration,
    /// How many cases run side by side; at least one.
    pub cases_at_once: usize,
    /// How long a case may take before it counts as hanging, and failed.
    pub case_time_max: Duration,
    /// Failures that are known and accepted for now.
    pub known_issues: Vec<KnownIssue>,
}

/// A failure that is known and accepted for now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownIssue {
    /// The id of the case that fails.
    pub case: String,
    /// Where it is written down.
    pub link: String,
}

impl Default for Settings {
    /// Every level, a random seed, objects of up to 8 MiB, one case at a time, a quarter of an hour each.
    fn default() -> Self {
        Self {
            levels: Level::ALL.to_vec(),
            filter: None,
            seed: random_seed(),
            object_bytes_max_tested: 8 << 20,
            rounds: 1,
            round_time_max: Duration::from_secs(15),
            cases_at_once: 1,
            case_time_max: Duration::from_secs(900),
            known_issues: Vec::new(),
        }
    }
}

impl Settings {
    /// Whether these settings ask for `case`.
    #[must_use]
    pub fn asks_for(&self, case: &Case) -> bool {
        self.levels.contains(&case.level)
            && self.filter.as_ref().is_none_or(|filter| case.id.contains(filter.as_str()))
    }

    /// The levels in one word: `all`, or their names joined by commas.
    #[must_use]
    pub fn levels_label(&self) -> String {
        if Level::ALL.iter().all(|level| self.levels.contains(level)) {
            return "all".into();
        }
        let labels: Vec<_> = self.levels.iter().map(|level| level.label()).collect();
        labels.join(",")
    }
}

/// A seed short enough to be typed, and exact as a number in JSON.
pub(crate) fn random_seed() -> u64 {
    rand::rng().random_range(0..1 << 32)
}
