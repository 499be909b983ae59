//! The report as lines of text for a terminal.

use std::fmt::{self, Write as _};

use storage_core::Operation;

use super::{CaseReport, Outcome, Report};

pub(super) fn write(report: &Report) -> String {
    let mut text = String::new();
    write_to(&mut text, report).expect("writing to a string succeeds");
    text
}

fn write_to(text: &mut String, report: &Report) -> fmt::Result {
    let width = report.cases.iter().map(|case| case.id.len()).max().unwrap_or(0);
    for case in &report.cases {
        write_case(text, case, width)?;
    }
    if !report.cases.is_empty() {
        writeln!(text)?;
        writeln!(text, "requests      count       p50       p90       p99       max")?;
    }
    for operation in Operation::ALL {
        if let Some(latency) = report.latency(operation) {
            write!(text, "{:<8} {:>10}", operation.label(), latency.requests)?;
            for time in [latency.p50, latency.p90, latency.p99, latency.max] {
                write!(text, " {:>6.2} ms", time.as_secs_f64() * 1000.0)?;
            }
            writeln!(text)?;
        }
    }
    if !report.cases.is_empty() {
        writeln!(text)?;
    }
    for problem in &report.problems {
        writeln!(text, "problem: {problem}")?;
    }
    let counts = Outcome::ALL.into_iter().filter_map(|outcome| {
        let count = report.count(outcome);
        (count > 0).then(|| format!("{count} {outcome}"))
    });
    let counts: Vec<_> = counts.collect();
    writeln!(
        text,
        "{}: {}; {}; {} requests in {:.1} s; seed {}",
        report.provider_name(),
        if report.failed() { "FAILED" } else { "ok" },
        if counts.is_empty() { "no case ran".into() } else { counts.join(", ") },
        report.requests(),
        report.elapsed.as_secs_f64(),
        report.seed
    )
}

fn write_case(text: &mut String, case: &CaseReport, width: usize) -> fmt::Result {
    let CaseReport { id, outcome, requests, .. } = case;
    let millis = case.elapsed.as_millis();
    writeln!(text, "{id:<width$}  {outcome:<15} {requests:>6} requests {millis:>7} ms")?;
    if outcome.is_failure() {
        writeln!(text, "    required: {}", case.requires)?;
    }
    if !case.detail.is_empty() {
        for line in case.detail.lines() {
            // What a service says must not move the cursor or change the colours.
            let line = line.replace(char::is_control, "\u{fffd}");
            writeln!(text, "    {line}")?;
        }
    }
    Ok(())
}
