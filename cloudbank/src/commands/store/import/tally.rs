//! What an import has done so far, and how that is said.

use serde_json::json;
use storage_txn::{Receipt, Version};

use crate::commands::store::{tally, text};
use crate::config::human_size;
use crate::error::{Error, Result};
use crate::output::count;
use crate::run::Context;

pub(super) struct Tally<'a> {
    files: tally::Tally<'a>,
    left_out: u64,
    version: Option<Version>,
}

impl<'a> Tally<'a> {
    pub(super) fn new(context: &'a Context, dry_run: bool) -> Self {
        Self { files: tally::Tally::new(context, dry_run), left_out: 0, version: None }
    }

    pub(super) fn is_dry_run(&self) -> bool {
        self.files.dry_run
    }

    pub(super) fn committed(&self) -> bool {
        self.version.is_some()
    }

    pub(super) fn put(&mut self, files: u64, bytes: u64, receipt: &Receipt) {
        self.files.add(files, bytes);
        self.version = Some(receipt.version);
        tracing::info!("{} in version {}", count(files, "file"), receipt.version);
    }

    pub(super) fn would_put(&mut self, key: &[u8], size: u64, replaces: bool) -> Result<()> {
        self.files.add(1, size);
        self.files.say(if replaces { "replace" } else { "put" }, key, size)
    }

    pub(super) fn same(&mut self, key: &[u8], size: u64) -> Result<()> {
        self.files.same += 1;
        tracing::info!("{} is there already", text::shown(key));
        self.files.say("skip", key, size)
    }

    pub(super) fn left_out(&mut self, name: &str, why: &str) {
        self.left_out += 1;
        self.files.context.output.note(format_args!("left out: {name}: {why}"));
    }

    pub(super) fn failed(&mut self, error: &Error) {
        self.files.failed(error);
    }

    pub(super) fn words(&self) -> String {
        let (files, size) = (count(self.files.written, "file"), human_size(self.files.bytes));
        format!("{files} put ({size}){}", self.files.rest(self.left_out, "left out"))
    }

    pub(super) fn finish(self) -> Result<()> {
        let words = self.files.summary(&self.words());
        self.files.context.output.done(
            words,
            &json!({
                "put": self.files.written,
                "bytes": self.files.bytes,
                "skipped": self.files.same,
                "left_out": self.left_out,
                "failed": self.files.failures(),
                "version": self.version.map(|version| version.0),
                "dry_run": self.files.dry_run,
            }),
        )?;
        self.files.end(None)
    }
}
