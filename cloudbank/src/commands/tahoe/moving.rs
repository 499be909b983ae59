//! `tahoe import` and `export`: a stock server taken over, and its storage folder written.

use std::path::Path;

use gateway_tahoe::Shares;
use gateway_tahoe::stock::{self, Moved, StockFolder, Task};
use indicatif::ProgressBar;
use serde_json::json;

use super::identity;
use super::place::{Place, failed};
use crate::cli::TahoeWhich;
use crate::config::human_size;
use crate::error::{Error, Result};
use crate::output::{Output, count};
use crate::run::Context;

const BAR: &str = "{bar:30} {pos}/{len} files  {eta} left  {msg}";

/// What is done of an import.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tasks {
    /// Makes the server who the stock node was, where it is known.
    pub(super) identity: bool,
    pub(super) import: bool,
    pub(super) verify: bool,
}

/// How it went.
#[derive(Debug, Default)]
struct Tally {
    done: u64,
    done_bytes: u64,
    same: u64,
    same_bytes: u64,
    failed: u64,
}

impl Tally {
    fn add(&mut self, moved: Moved, output: &Output, bar: &ProgressBar) {
        match moved {
            Moved::Done { shares, bytes } => {
                self.done += shares;
                self.done_bytes += bytes;
            }
            Moved::Same { shares, bytes } => {
                self.same += shares;
                self.same_bytes += bytes;
            }
            Moved::Failed(error) => {
                self.failed += 1;
                bar.suspend(|| output.failure(&failed(error)));
            }
        }
        bar.set_message(human_size(self.done_bytes + self.same_bytes));
        bar.inc(1);
    }
}

pub(super) async fn import(
    context: &Context,
    which: &TahoeWhich,
    folder: &Path,
    tasks: Tasks,
) -> Result<()> {
    let from = StockFolder::open(folder).map_err(failed)?;
    let place = match tasks.import {
        true => Place::find_or_make(context, which).await?,
        false => Place::find_to_read(context, which).await?,
    };
    let mut words = Vec::new();
    let mut node = None;
    if tasks.identity
        && tasks.import
        && let Some(given) = stock::identity(folder).map_err(failed)?
    {
        identity::keep(&place, &given, false).await?;
        words.push(format!("the server is {} from its next start on", given.tub_id()));
        node = Some(given.tub_id());
    }
    let mut moved = Tally::default();
    if tasks.import {
        moved = run(context, &place.shares, &from, Task::Import).await?;
    }
    let mut compared = Tally::default();
    // What could not be stored need not be compared as well.
    if tasks.verify && moved.failed == 0 {
        compared = run(context, &place.shares, &from, Task::Verify).await?;
    }
    if tasks.import {
        words.push(format!(
            "took over {} ({}), {} there already",
            count(moved.done, "share"),
            human_size(moved.done_bytes),
            moved.same
        ));
    }
    if tasks.verify && moved.failed == 0 {
        words.push(format!("{} compared ({})", compared.same, human_size(compared.same_bytes)));
    }
    let problems = moved.failed + compared.failed;
    context.output.done(
        words.join("; "),
        &json!({
            "shares": moved.done,
            "bytes": moved.done_bytes,
            "there_already": moved.same,
            "compared": compared.same,
            "failed": problems,
            "tub_id": node,
        }),
    )?;
    all_well(problems)
}

pub(super) async fn export(context: &Context, which: &TahoeWhich, folder: &Path) -> Result<()> {
    let place = Place::find_to_read(context, which).await?;
    let identity = place.shares.identity().await.map_err(failed)?;
    // Only ever shown by the stock server, when somebody's secret is the wrong one.
    let node = identity.map(|identity| identity.tub_id_bytes()).unwrap_or_default();
    let to = StockFolder::create(folder).map_err(failed)?;
    let output = &context.output;
    let bar = output.progress(Some(place.shares.count().await.map_err(failed)?), BAR);
    let mut tally = Tally::default();
    let done = {
        let mut tell = |moved| tally.add(moved, output, &bar);
        let work = stock::export(&place.shares, &to, node, &mut tell);
        context
            .unless_interrupted("started anew, it goes on", async { work.await.map_err(failed) })
            .await
    };
    bar.finish_and_clear();
    done?;
    output.done(
        format_args!(
            "wrote {} ({}), {} there already",
            count(tally.done, "share"),
            human_size(tally.done_bytes),
            tally.same
        ),
        &json!({
            "shares": tally.done,
            "bytes": tally.done_bytes,
            "there_already": tally.same,
            "failed": tally.failed,
        }),
    )?;
    all_well(tally.failed)
}

async fn run(context: &Context, shares: &Shares, from: &StockFolder, task: Task) -> Result<Tally> {
    let output = &context.output;
    // Only whoever looks at a terminal waits for the files to be counted.
    let total = match output.shows_progress() {
        true => Some(from.entries().map_err(failed)?.count() as u64),
        false => None,
    };
    let bar = output.progress(total, BAR);
    let mut tally = Tally::default();
    let done = {
        let mut tell = |moved| tally.add(moved, output, &bar);
        let work = stock::import(shares, from, task, &mut tell);
        context
            .unless_interrupted("started anew, it goes on", async { work.await.map_err(failed) })
            .await
    };
    bar.finish_and_clear();
    done?;
    Ok(tally)
}

fn all_well(problems: u64) -> Result<()> {
    if problems == 0 {
        return Ok(());
    }
    Err(Error::Failed(format!(
        "{} of files that were left out, or are not the same; each is named above",
        count(problems, "problem")
    )))
}
