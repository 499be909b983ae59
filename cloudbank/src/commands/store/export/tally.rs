//! What an export has done so far, and how that is said.

use serde_json::json;
use storage_txn::Version;

use super::files::Done;
use crate::commands::store::{tally, text};
use crate::config::human_size;
use crate::error::{Code, Error, Result};
use crate::output::count;
use crate::run::Context;

pub(super) struct Tally<'a> {
    files: tally::Tally<'a>,
    version: Version,
    differ: u64,
}

impl<'a> Tally<'a> {
    pub(super) fn new(context: &'a Context, dry_run: bool, version: Version) -> Self {
        Self { files: tally::Tally::new(context, dry_run), version, differ: 0 }
    }

    pub(super) fn done(&mut self, key: &[u8], size: u64, done: Done) -> Result<()> {
        let shown = text::shown(key);
        let action = match done {
            Done::Written { replaced } => {
                self.files.add(1, size);
                tracing::info!("{shown} was written");
                if replaced { "replace" } else { "write" }
            }
            Done::Same => {
                self.files.same += 1;
                tracing::info!("{shown} is there already");
                "skip"
            }
            Done::Differs => {
                self.differ += 1;
                if !self.files.dry_run {
                    self.files.context.output.failure(&Error::Conflict(format!(
                        "`{shown}`: there is a file with other bytes, and it was left as it is (--overwrite replaces it)"
                    )));
                }
                "refuse"
            }
            Done::Refused(why) => {
                self.failed(&Error::Failed(format!("`{shown}` cannot be a file: {why}")));
                return Ok(());
            }
        };
        self.files.say(action, key, size)
    }

    pub(super) fn failed(&mut self, error: &Error) {
        self.files.failed(error);
    }

    pub(super) fn words(&self) -> String {
        let (files, size) = (count(self.files.written, "file"), human_size(self.files.bytes));
        format!("{files} written ({size}){}", self.files.rest(self.differ, "there but different"))
    }

    pub(super) fn finish(self) -> Result<()> {
        let words = self.files.summary(&format!("{}, version {}", self.words(), self.version));
        self.files.context.output.done(
            words,
            &json!({
                "written": self.files.written,
                "bytes": self.files.bytes,
                "skipped": self.files.same,
                "differ": self.differ,
                "failed": self.files.failures(),
                "version": self.version.0,
                "dry_run": self.files.dry_run,
            }),
        )?;
        let differ = self.differ > 0 && !self.files.dry_run;
        self.files.end(differ.then_some(Code::Conflict))
    }
}
