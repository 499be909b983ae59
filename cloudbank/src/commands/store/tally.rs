//! What import and export count alike, and how that is said.

use std::time::Instant;

use serde_json::{Map, Value};

use super::text;
use crate::commands::provider::worst_of;
use crate::config::human_size;
use crate::error::{Code, Error, Result};
use crate::output::grouped;
use crate::run::Context;

/// What has become of files so far, whichever way they go.
pub(in crate::commands) struct Tally<'a> {
    pub(in crate::commands) context: &'a Context,
    pub(in crate::commands) dry_run: bool,
    /// How many were written, and how many bytes they have.
    pub(in crate::commands) written: u64,
    pub(in crate::commands) bytes: u64,
    /// How many are there already.
    pub(in crate::commands) same: u64,
    failed: Vec<Code>,
    start: Instant,
}

impl<'a> Tally<'a> {
    pub(in crate::commands) fn new(context: &'a Context, dry_run: bool) -> Self {
        let failed = Vec::new();
        Self { context, dry_run, written: 0, bytes: 0, same: 0, failed, start: Instant::now() }
    }

    pub(in crate::commands) fn add(&mut self, files: u64, bytes: u64) {
        self.written += files;
        self.bytes += bytes;
    }

    /// Says what would be done with a key, if nothing is.
    pub(in crate::commands) fn say(&self, action: &str, key: &[u8], size: u64) -> Result<()> {
        if !self.dry_run {
            return Ok(());
        }
        let output = &self.context.output;
        if output.json {
            let mut object = Map::new();
            object.insert("action".into(), action.into());
            text::insert(&mut object, "key", key);
            object.insert("size".into(), size.into());
            return output.json(&Value::Object(object));
        }
        output.line(format_args!("{action:8} {}  {}", text::shown(key), human_size(size)))
    }

    pub(in crate::commands) fn failed(&mut self, error: &Error) {
        // One of many: it is not the command line that is wrong.
        self.failed.push(match error.code() {
            Code::Usage => Code::Failed,
            code => code,
        });
        self.context.output.failure(error);
    }

    pub(in crate::commands) fn failures(&self) -> usize {
        self.failed.len()
    }

    /// How many are there already, how many `others` there are, and how many failed; as far as there are any.
    pub(in crate::commands) fn rest(&self, others: u64, what: &str) -> String {
        let counts =
            [(self.same, "there already"), (others, what), (self.failed.len() as u64, "failed")];
        let counts = counts.into_iter().filter(|(count, _)| *count > 0);
        counts.map(|(count, what)| format!(", {} {what}", grouped(count))).collect()
    }

    /// What was done, or would be, and how long it took.
    pub(in crate::commands) fn summary(&self, words: &str) -> String {
        match self.dry_run {
            true => format!("nothing done; it would be: {words}"),
            false => format!("{words}, in {:.1} s", self.start.elapsed().as_secs_f64()),
        }
    }

    /// How it ended, with these failures beside.
    pub(in crate::commands) fn end(mut self, more: Option<Code>) -> Result<()> {
        self.failed.extend(more);
        worst_of(&self.failed)
    }
}
