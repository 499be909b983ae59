//! What has been moved so far, and how that is said.

use std::cell::{Cell, RefCell};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use crate::commands::store::tally::Tally as Files;
use crate::config::human_size;
use crate::error::{Error, Result};
use crate::output::{count, grouped};
use crate::run::Context;

const BAR: &str = "{bar:30} {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left  {msg}";
/// While it is not known yet how much there is.
const SPINNER: &str = "{spinner} {bytes} of at least {total_bytes}  {bytes_per_sec}  {msg}";

/// Counts what is done, and shows it.
pub(super) struct Tally<'a> {
    context: &'a Context,
    dry_run: bool,
    /// Whether what is moved goes to standard output, where nothing else belongs.
    goes_to_stdout: Cell<bool>,
    counts: RefCell<Counts<'a>>,
    pub(super) bar: ProgressBar,
}

struct Counts<'a> {
    files: Files<'a>,
    removed: u64,
    left_out: u64,
}

impl<'a> Tally<'a> {
    pub(super) fn new(context: &'a Context, dry_run: bool) -> Self {
        let files = Files::new(context, dry_run);
        let bar = context.output.progress(Some(0), SPINNER);
        let counts = RefCell::new(Counts { files, removed: 0, left_out: 0 });
        Self { context, dry_run, goes_to_stdout: Cell::new(false), counts, bar }
    }

    /// What is moved goes to standard output.
    pub(super) fn goes_to_stdout(&self) {
        self.goes_to_stdout.set(true);
    }

    /// There is so much more to do.
    pub(super) fn expect(&self, bytes: u64) {
        self.bar.inc_length(bytes);
    }

    /// Now it is known how much there is.
    pub(super) fn all_is_known(&self) {
        if let Ok(style) = ProgressStyle::with_template(BAR) {
            self.bar.set_style(style.progress_chars("=> "));
        }
    }

    /// Something was moved, or would be.
    pub(super) fn moved(&self, action: &str, from: &str, to: &str, bytes: u64) -> Result<()> {
        self.counts.borrow_mut().files.add(1, bytes);
        self.told();
        self.say(
            format_args!("{action:8} {from} -> {to}"),
            &json!({ "action": action, "source": from, "target": to, "size": bytes }),
        )
    }

    /// Something was removed from where it should no longer be, or would be.
    pub(super) fn removed(&self, what: &str) -> Result<()> {
        self.counts.borrow_mut().removed += 1;
        self.told();
        self.say(
            format_args!("{:8} {what}", "remove"),
            &json!({ "action": "remove", "target": what }),
        )
    }

    pub(super) fn same(&self, what: &str) {
        self.counts.borrow_mut().files.same += 1;
        tracing::info!("{what} is there already");
        self.told();
    }

    pub(super) fn left_out(&self, what: &str, why: &str) {
        self.counts.borrow_mut().left_out += 1;
        self.bar.suspend(|| self.context.output.note(format_args!("left out: {what}: {why}")));
    }

    pub(super) fn failed(&self, error: &Error) {
        self.bar.suspend(|| self.counts.borrow_mut().files.failed(error));
        self.told();
    }

    pub(super) fn failures(&self) -> usize {
        self.counts.borrow().files.failures()
    }

    pub(super) fn words(&self) -> String {
        let counts = self.counts.borrow();
        let (files, size) = (count(counts.files.written, "object"), human_size(counts.files.bytes));
        let removed = match counts.removed {
            0 => String::new(),
            removed => format!(", {} removed", grouped(removed)),
        };
        format!(
            "{files} copied ({size}){removed}{}",
            counts.files.rest(counts.left_out, "left out")
        )
    }

    /// What was done, in all; the exit code that says how it went.
    pub(super) fn finish(self) -> Result<()> {
        self.bar.finish_and_clear();
        let words = self.counts.borrow().files.summary(&self.words());
        let counts = self.counts.into_inner();
        if self.goes_to_stdout.get() {
            return counts.files.end(None);
        }
        self.context.output.done(
            words,
            &json!({
                "copied": counts.files.written,
                "bytes": counts.files.bytes,
                "removed": counts.removed,
                "skipped": counts.files.same,
                "left_out": counts.left_out,
                "failed": counts.files.failures(),
                "dry_run": self.dry_run,
            }),
        )?;
        counts.files.end(None)
    }

    fn told(&self) {
        self.bar.set_message(self.words());
    }

    fn say(&self, words: impl std::fmt::Display, value: &serde_json::Value) -> Result<()> {
        let output = &self.context.output;
        self.bar.suspend(|| {
            output.done(words, value)?;
            // What is written between the lines of the progress must not come late.
            if output.shows_progress() { output.flush() } else { Ok(()) }
        })
    }
}
