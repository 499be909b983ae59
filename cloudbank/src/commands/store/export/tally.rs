//! What an export has done so far, and how that is said.

use std::time::Instant;

use serde_json::{Map, Value, json};
use storage_txn::Version;

use super::folder::Done;
use crate::commands::provider::worst_of;
use crate::commands::store::text;
use crate::config::human_size;
use crate::error::{Code, Error, Result};
use crate::output::count;
use crate::run::Context;

pub(super) struct Tally<'a> {
    context: &'a Context,
    start: Instant,
    dry_run: bool,
    version: Version,
    written: u64,
    bytes: u64,
    same: u64,
    differ: u64,
    failed: Vec<Code>,
}

impl<'a> Tally<'a> {
    pub(super) fn new(context: &'a Context, dry_run: bool, version: Version) -> Self {
        Self {
            context,
            start: Instant::now(),
            dry_run,
            version,
            written: 0,
            bytes: 0,
            same: 0,
            differ: 0,
            failed: Vec::new(),
        }
    }

    pub(super) fn done(&mut self, key: &[u8], size: u64, done: Done) -> Result<()> {
        let shown = text::shown(key);
        let action = match done {
            Done::Written { replaced } => {
                self.written += 1;
                self.bytes += size;
                tracing::info!("{shown} was written");
                if replaced { "replace" } else { "write" }
            }
            Done::Same => {
                self.same += 1;
                tracing::info!("{shown} is there already");
                "skip"
            }
            Done::Differs if self.dry_run => {
                self.differ += 1;
                "refuse"
            }
            Done::Differs => {
                self.differ += 1;
                self.context.output.failure(&Error::Conflict(format!(
                    "`{shown}`: there is a file with other bytes, and it was left as it is (--overwrite replaces it)"
                )));
                return Ok(());
            }
            Done::Refused(why) => {
                self.failed(&Error::Failed(format!("`{shown}` cannot be a file: {why}")));
                return Ok(());
            }
        };
        if self.dry_run { self.say(action, key, size) } else { Ok(()) }
    }

    /// Says what would be done with a key.
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

    pub(super) fn failed(&mut self, error: &Error) {
        // One of many: it is not the command line that is wrong.
        self.failed.push(match error.code() {
            Code::Usage => Code::Failed,
            code => code,
        });
        self.context.output.failure(error);
    }

    pub(super) fn words(&self) -> String {
        let (files, size) = (count(self.written, "file"), human_size(self.bytes));
        let mut words = format!("{files} written ({size})");
        if self.same > 0 {
            words += &format!(", {} there already", self.same);
        }
        if self.differ > 0 {
            words += &format!(", {} there but different", self.differ);
        }
        if !self.failed.is_empty() {
            words += &format!(", {} failed", self.failed.len());
        }
        words
    }

    pub(super) fn finish(self) -> Result<()> {
        let (words, version) = (self.words(), self.version);
        let words = match self.dry_run {
            true => format!("nothing done; it would be: {words}, version {version}"),
            false => {
                format!(
                    "{words}, version {version}, in {:.1} s",
                    self.start.elapsed().as_secs_f64()
                )
            }
        };
        self.context.output.done(
            words,
            &json!({
                "written": self.written,
                "bytes": self.bytes,
                "skipped": self.same,
                "differ": self.differ,
                "failed": self.failed.len(),
                "version": version.0,
                "dry_run": self.dry_run,
            }),
        )?;
        let mut codes = self.failed;
        if self.differ > 0 && !self.dry_run {
            codes.push(Code::Conflict);
        }
        worst_of(&codes)
    }
}
