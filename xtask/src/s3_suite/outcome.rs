//! What became of the cases of a run, counted and told.

use std::collections::BTreeMap;

use serde::Deserialize;

/// How much is told of why a case failed.
const WHY_CHARACTERS_MAX: usize = 160;

/// A case of the suite.
#[derive(Debug, Deserialize)]
pub(super) struct Case {
    name: String,
    outcome: Outcome,
    why: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    Passed,
    Failed,
    Skipped,
}

/// All cases of a run.
#[derive(Debug)]
pub(super) struct Outcomes(Vec<Case>);

/// How many became what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counts {
    passed: usize,
    failed: usize,
    skipped: usize,
}

impl Counts {
    /// How many of a hundred that were run passed.
    pub(super) fn share(self) -> f64 {
        match self.passed + self.failed {
            0 => 0.0,
            run => 100.0 * self.passed as f64 / run as f64,
        }
    }
}

impl Outcomes {
    pub(super) fn new(cases: BTreeMap<String, Case>) -> Self {
        Self(cases.into_values().collect())
    }

    pub(super) fn counts(&self) -> Counts {
        let count = |outcome| self.0.iter().filter(|case| case.outcome == outcome).count();
        Counts {
            passed: count(Outcome::Passed),
            failed: count(Outcome::Failed),
            skipped: count(Outcome::Skipped),
        }
    }

    /// A line for each case that failed.
    pub(super) fn failures(&self) -> String {
        let failed = self.0.iter().filter(|case| case.outcome == Outcome::Failed);
        let line = |case: &Case| {
            let why: String = case.why.chars().take(WHY_CHARACTERS_MAX).collect();
            format!("  {}: {why}\n", case.name)
        };
        failed.map(line).collect()
    }
}

/// All runs as a table, as wide as its longest name.
pub(super) fn table(all: &[(&str, &Outcomes)]) -> String {
    let width = all.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    let mut table = format!("{:width$}  passed  failed  skipped   share\n", "");
    for (name, outcomes) in all {
        let counts = outcomes.counts();
        table.push_str(&format!(
            "{name:width$}  {:6}  {:6}  {:7}  {:5.1} %\n",
            counts.passed,
            counts.failed,
            counts.skipped,
            counts.share(),
        ));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcomes(text: &str) -> Outcomes {
        Outcomes::new(serde_json::from_str(text).unwrap())
    }

    #[test]
    fn what_passed_is_a_share_of_what_was_run_and_what_failed_is_named() {
        let ours = outcomes(
            r#"{
                "t.py::A::one": {"name": "A::one", "outcome": "passed", "why": ""},
                "t.py::A::two": {"name": "A::two", "outcome": "passed", "why": ""},
                "t.py::A::three": {"name": "A::three", "outcome": "failed", "why": "E  it is 4, not 3"},
                "t.py::A::four": {"name": "A::four", "outcome": "skipped", "why": "not today"}
            }"#,
        );
        let none = outcomes("{}");
        assert_eq!(
            table(&[("ours, in memory", &ours), ("none", &none)]),
            "                 passed  failed  skipped   share\n\
             ours, in memory       2       1        1   66.7 %\n\
             none                  0       0        0    0.0 %\n"
        );
        assert_eq!(ours.failures(), "  A::three: E  it is 4, not 3\n");
        assert_eq!(none.failures(), "");
    }
}
