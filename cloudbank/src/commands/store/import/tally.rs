//! What an import has done so far, and how that is said.

use std::time::Instant;

use serde_json::{Map, Value, json};
use storage_txn::{Receipt, Version};

use crate::commands::provider::worst_of;
use crate::commands::store::text;
use crate::config::human_size;
use crate::error::{Code, Error, Result};
use crate::output::count;
use crate::run::Context;

pub(super) struct Tally<'a> {
    context: &'a Context,
    start: Instant,
    pub(super) dry_run: bool,
    put: u64,
    bytes: u64,
    same: u64,
    left_out: u64,
    version: Option<Version>,
    failed: Vec<Code>,
}

impl<'a> Tally<'a> {
    pub(super) fn new(context: &'a Context, dry_run: bool) -> Self {
        Self {
            context,
            start: Instant::now(),
            dry_run,
            put: 0,
            bytes: 0,
            same: 0,
            left_out: 0,
            version: None,
            failed: Vec::new(),
        }
    }

    pub(super) fn committed(&self) -> bool {
        self.version.is_some()
    }

    pub(super) fn put(&mut self, files: u64, bytes: u64, receipt: &Receipt) {
        self.put += files;
        self.bytes += bytes;
        self.version = Some(receipt.version);
        tracing::info!("{} in version {}", count(files, "file"), receipt.version);
    }

    pub(super) fn would_put(&mut self, key: &[u8], size: u64, replaces: bool) -> Result<()> {
        self.put += 1;
        self.bytes += size;
        self.say(if replaces { "replace" } else { "put" }, key, size)
    }

    pub(super) fn same(&mut self, key: &[u8], size: u64) -> Result<()> {
        self.same += 1;
        tracing::info!("{} is there already", text::shown(key));
        if self.dry_run { self.say("skip", key, size) } else { Ok(()) }
    }

    /// Says what would be done with a file.
    fn say(&self, action: &str, key: &[u8], size: u64) -> Result<()> {
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

    pub(super) fn left_out(&mut self, name: &str, why: &str) {
        self.left_out += 1;
        self.context.output.note(format_args!("left out: {name}: {why}"));
    }

    pub(super) fn failed(&mut self, error: &Error) {
        // One of many: it is not the command line that is wrong.
        self.failed.push(match error.code() {
            Code::Usage => Code::Failed,
            code => code,
        });
        self.context.output.failure(error);
    }

    pub(super) fn words(&self) -> String {
        let mut words = format!("{} put ({})", count(self.put, "file"), human_size(self.bytes));
        if self.same > 0 {
            words += &format!(", {} there already", self.same);
        }
        if self.left_out > 0 {
            words += &format!(", {} left out", self.left_out);
        }
        if !self.failed.is_empty() {
            words += &format!(", {} failed", self.failed.len());
        }
        words
    }

    pub(super) fn finish(self) -> Result<()> {
        let words = match self.dry_run {
            true => format!("nothing done; it would be: {}", self.words()),
            false => format!("{}, in {:.1} s", self.words(), self.start.elapsed().as_secs_f64()),
        };
        self.context.output.done(
            words,
            &json!({
                "put": self.put,
                "bytes": self.bytes,
                "skipped": self.same,
                "left_out": self.left_out,
                "failed": self.failed.len(),
                "version": self.version.map(|version| version.0),
                "dry_run": self.dry_run,
            }),
        )?;
        worst_of(&self.failed)
    }
}
