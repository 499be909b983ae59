//! A run as it goes on, and what came of it.

use std::time::{Duration, Instant};

use conformance::{Case, CaseReport, Outcome, Progress, Report, Settings};
use indicatif::ProgressBar;
use serde_json::{Value, json};
use storage_core::ProviderInfo;
use tokio::task::AbortHandle;

use crate::error::{Error, Result};
use crate::output::{Output, count};
use crate::run::Context;

const BAR: &str = "{bar:30} {pos}/{len}  {msg}";
/// How often a case that goes on is named where there is no bar to show it.
const STILL_RUNNING_EVERY: Duration = Duration::from_secs(30);

/// Shows cases as they end: a line for each, and on a terminal a bar with the one under way.
pub(super) struct Live<'a> {
    output: &'a Output,
    name: &'a str,
    bar: ProgressBar,
    /// Speaks up while a case goes on.
    reminder: Option<Reminder>,
}

impl<'a> Live<'a> {
    pub(super) fn new(context: &'a Context, name: &'a str) -> Self {
        let output = &context.output;
        Self { output, name, bar: output.progress(None, BAR), reminder: None }
    }

    pub(super) fn end(self) {
        self.bar.finish_and_clear();
    }

    fn say(&self, line: &str) {
        if self.output.shows_progress() {
            self.bar.println(line);
        } else {
            self.output.note(line);
        }
    }
}

impl Progress for Live<'_> {
    fn planned(&mut self, provider: &ProviderInfo, settings: &Settings, cases: usize) {
        self.bar.set_length(cases as u64);
        self.say(&format!(
            "testing provider `{}`, {}: {} of level {}, seed {}",
            self.name,
            provider.name,
            count(cases as u64, "case"),
            settings.levels_label(),
            settings.seed
        ));
    }

    fn started(&mut self, case: &Case) {
        self.bar.set_message(case.id);
        if !self.output.quiet && !self.output.shows_progress() {
            let id = case.id;
            self.reminder = Some(Reminder::every(STILL_RUNNING_EVERY, move |so_far| {
                Output::remark(format_args!("{id} is still running, after {} s", so_far.as_secs()));
            }));
        }
    }

    fn finished(&mut self, report: &CaseReport) {
        self.bar.inc(1);
        self.reminder = None;
        // What simply passes is in the table at the end; what does not is worth knowing at once.
        if !matches!(report.outcome, Outcome::Pass | Outcome::Skipped) {
            let first = report.detail.lines().next().unwrap_or_default();
            self.say(&format!("{:<11} {}: {first}", report.outcome, report.id));
        }
    }
}

/// Calls something again and again until it is dropped.
struct Reminder(AbortHandle);

impl Reminder {
    /// Tells `say` after each `period` how long it has been. Must be called within a Tokio runtime.
    fn every(period: Duration, say: impl Fn(Duration) + Send + 'static) -> Self {
        let begun = Instant::now();
        let task = tokio::spawn(async move {
            loop {
                tokio::time::sleep(period).await;
                say(begun.elapsed());
            }
        });
        Self(task.abort_handle())
    }
}

impl Drop for Reminder {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The table, or the report as JSON, and what to do next.
pub(super) fn report(context: &Context, name: &str, report: &Report) -> Result<()> {
    let output = &context.output;
    if output.json {
        let data: Value = serde_json::from_str(&report.to_json())
            .map_err(|error| Error::Failed(format!("the report is not JSON: {error}")))?;
        return output.json(&data);
    }
    output.bytes(report.table().as_bytes())?;
    if output.quiet {
        return Ok(());
    }
    for line in next_steps(&command(context, name), report) {
        output.line(line)?;
    }
    Ok(())
}

/// The command that tests this provider again, as configured now.
fn command(context: &Context, name: &str) -> String {
    let config = context.global.config.as_deref();
    let config = config.map(|path| format!(" --config {}", quoted(&path.display().to_string())));
    format!("cloudbank conformance{} --provider {name}", config.unwrap_or_default())
}

/// A word as a shell takes it for one.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:=@%,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// What somebody who owns the provider would do now.
fn next_steps(command: &str, report: &Report) -> Vec<String> {
    let replay = |id: &str| format!("  {command} --level all --filter {id} --seed {}", report.seed);
    let first = |outcome| report.cases.iter().find(|case| case.outcome == outcome);
    let mut lines = Vec::new();
    if let Some(case) = first(Outcome::OverClaim) {
        lines.push("next: it declares more than it keeps; do not use it where that matters. To see it again:".into());
        lines.push(replay(case.id));
    } else if let Some(case) = first(Outcome::Fail) {
        lines.push("next: to see the first failure again:".into());
        lines.push(replay(case.id));
    }
    if first(Outcome::UnderClaim).is_some() {
        lines
            .push("next: it keeps more than it declares; its author may want to declare it".into());
    }
    if lines.is_empty() && !report.failed() && report.level != "all" {
        lines.push(format!("next: {command} --level all"));
    }
    lines
}

/// The cases that settings ask for, with what each requires.
pub(super) fn list(context: &Context, settings: &Settings) -> Result<()> {
    let cases: Vec<_> =
        conformance::cases().iter().filter(|case| settings.asks_for(case)).collect();
    let width = cases.iter().map(|case| case.id.len()).max().unwrap_or(0);
    for case in cases {
        if context.output.json {
            context.output.json(&json!({
                "id": case.id,
                "level": case.level.label(),
                "requires": case.requires,
                "requests_max": case.requests_max,
            }))?;
        } else {
            let (id, level, requires) = (case.id, case.level.label(), case.requires);
            context.output.line(format_args!("{id:width$}  {level:10}  {requires}"))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_reminder_speaks_until_it_is_dropped() {
        let (say, mut said) = tokio::sync::mpsc::unbounded_channel();
        let reminder = Reminder::every(Duration::from_millis(1), move |so_far| {
            // The test may have heard enough.
            let _ = say.send(so_far);
        });
        let (first, second) = (said.recv().await, said.recv().await);
        assert!(first.is_some() && first < second, "{first:?} {second:?}");
        drop(reminder);
        // What was under way is said; then nobody is left to say more.
        while said.recv().await.is_some() {}
    }
}
