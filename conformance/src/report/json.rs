//! The report as JSON, in the shape that scripts rely on.

use std::collections::BTreeMap;

use serde::Serialize;
use storage_core::Operation;

use super::{Outcome, Report};

#[derive(Serialize)]
struct Run<'a> {
    /// The name; `null` where the provider could not be opened.
    provider: Option<&'a str>,
    seed: u64,
    level: &'a str,
    cases: Vec<Case<'a>>,
    summary: Summary<'a>,
}

#[derive(Serialize)]
struct Case<'a> {
    id: &'a str,
    level: &'a str,
    outcome: &'a str,
    requests: u64,
    millis: u128,
    detail: &'a str,
}

#[derive(Serialize)]
struct Summary<'a> {
    failed: bool,
    outcomes: BTreeMap<&'a str, usize>,
    requests: u64,
    millis: u128,
    latency: BTreeMap<&'a str, Latency>,
    problems: &'a [String],
}

#[derive(Serialize)]
struct Latency {
    requests: usize,
    p50_micros: u128,
    p90_micros: u128,
    p99_micros: u128,
    max_micros: u128,
}

pub(super) fn write(report: &Report) -> String {
    let cases = report.cases.iter().map(|case| Case {
        id: case.id,
        level: case.level.label(),
        outcome: case.outcome.label(),
        requests: case.requests,
        millis: case.elapsed.as_millis(),
        detail: &case.detail,
    });
    let latency = Operation::ALL.into_iter().filter_map(|operation| {
        let latency = report.latency(operation)?;
        let times = Latency {
            requests: latency.requests,
            p50_micros: latency.p50.as_micros(),
            p90_micros: latency.p90.as_micros(),
            p99_micros: latency.p99.as_micros(),
            max_micros: latency.max.as_micros(),
        };
        Some((operation.label(), times))
    });
    let run = Run {
        provider: report.provider.as_ref().map(|provider| &*provider.name),
        seed: report.seed,
        level: &report.level,
        cases: cases.collect(),
        summary: Summary {
            failed: report.failed(),
            outcomes: Outcome::ALL.map(|outcome| (outcome.label(), report.count(outcome))).into(),
            requests: report.requests(),
            millis: report.elapsed.as_millis(),
            latency: latency.collect(),
            problems: &report.problems,
        },
    };
    serde_json::to_string_pretty(&run).expect("text, numbers and maps by text become JSON")
}
