//! The report as a row of a Markdown table of providers.

use std::collections::BTreeSet;

use storage_core::{Atomicity, Durability, ListConsistency, Operation, Sharing, Versions};

use super::{Outcome, Report};

pub(super) const HEADER: &str = "\
| provider | levels | passed | failed | skipped | absent | matches | lists | durability | versions | sharing | put p50 | get p50 | what failed or warns |
|---|---|--:|--:|--:|---|---|---|---|---|---|--:|--:|---|
";

pub(super) fn row(report: &Report) -> String {
    let declared = report.provider.as_ref().map(|provider| provider.capabilities);
    let word = |text: Option<&'static str>| text.unwrap_or("?");
    let p50 = |operation| match report.latency(operation) {
        Some(latency) => format!("{:.1} ms", latency.p50.as_secs_f64() * 1000.0),
        None => "-".into(),
    };
    let failed = report.cases.iter().filter(|case| case.outcome.is_failure()).count();
    let notable: BTreeSet<_> = report
        .cases
        .iter()
        .filter(|case| !matches!(case.outcome, Outcome::Pass | Outcome::Skipped))
        .map(|case| format!("{}: `{}`", case.outcome, case.id))
        .chain(report.problems.iter().cloned())
        .collect();
    let cells = [
        report.provider_name().to_owned(),
        report.level.clone(),
        report.count(Outcome::Pass).to_string(),
        failed.to_string(),
        report.count(Outcome::Skipped).to_string(),
        word(declared.map(|declared| atomicity(declared.absent))).into(),
        word(declared.map(|declared| atomicity(declared.matches))).into(),
        word(declared.map(|declared| match declared.list {
            ListConsistency::Eventual => "eventual",
            ListConsistency::Strong => "strong",
        }))
        .into(),
        word(declared.map(|declared| match declared.durability {
            Durability::Volatile => "volatile",
            Durability::ProcessCrash => "process crash",
            Durability::PowerLoss => "power loss",
        }))
        .into(),
        word(declared.map(|declared| match declared.versions {
            Versions::PerContent => "per content",
            Versions::PerWrite => "per write",
        }))
        .into(),
        word(declared.map(|declared| match declared.sharing {
            Sharing::OneProcess => "one process",
            Sharing::OneHost => "one host",
            Sharing::AllClients => "all clients",
        }))
        .into(),
        p50(Operation::Put),
        p50(Operation::Get),
        notable.into_iter().collect::<Vec<_>>().join(", "),
    ];
    let cells = cells.map(|cell| cell.replace('|', "\\|").replace('\n', " "));
    format!("| {} |\n", cells.join(" | "))
}

fn atomicity(scope: Atomicity) -> &'static str {
    match scope {
        Atomicity::Unsupported => "no",
        Atomicity::OneProcess => "one process",
        Atomicity::OneHost => "one host",
        Atomicity::AllClients => "all clients",
    }
}
