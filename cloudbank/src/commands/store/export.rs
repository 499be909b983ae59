//! `store export`: keys become the files of a folder.

mod folder;
mod tally;

use bytes::Bytes;
use futures_util::future::join;
use storage_txn::{Item, KeyRange, Scan, Snapshot};

use super::open::OpenStore;
use super::text;
use crate::cli::ExportArgs;
use crate::error::{Error, Result};
use crate::run::Context;

use folder::Folder;
use tally::Tally;

const BAR: &str = "{bar:30} {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left  {msg}";
const SPINNER: &str = "{spinner} {bytes}  {bytes_per_sec}  {msg}";

pub(super) async fn run(context: &Context, arguments: ExportArgs) -> Result<()> {
    let prefix = text::key(&arguments.prefix)?;
    let opened = OpenStore::find_to_read(context, &arguments.read.which).await?;
    let snapshot = opened.snapshot(arguments.read.at.as_deref()).await?;
    let folder = Folder::open(&arguments.folder, arguments.overwrite, arguments.dry_run)?;
    let bar = context.output.progress(None, SPINNER);
    let mut tally = Tally::new(context, arguments.dry_run, snapshot.version());
    let work = export(&opened, &snapshot, &prefix, folder, &mut tally, &bar);
    let done = tokio::select! {
        done = work => done,
        // Only adds a total to the progress, and ends before the export or is not missed.
        never = measure(context.output.shows_progress(), &snapshot, &prefix, &bar) => match never {},
    };
    bar.finish_and_clear();
    if let Err(error) = done {
        context.output.note(tally.words());
        return Err(error);
    }
    tally.finish()
}

async fn export(
    opened: &OpenStore,
    snapshot: &Snapshot,
    prefix: &Bytes,
    mut folder: Folder,
    tally: &mut Tally<'_>,
    bar: &indicatif::ProgressBar,
) -> Result<()> {
    let scan = Scan::new(KeyRange::prefix(prefix));
    let mut items = snapshot.scan(&scan).await.map_err(opened.explain())?;
    let mut next = items.next().await.map_err(opened.explain())?;
    while let Some(Item { key, value, .. }) = next {
        let (name, size) = (key.slice(prefix.len()..), value.len() as u64);
        let writing = tokio::task::spawn_blocking(move || {
            let done = folder.write(&name, &value);
            (folder, done)
        });
        // The next one is read while this one is written.
        let (written, following) = join(writing, items.next()).await;
        let (returned, done) = written
            .map_err(|error| Error::Failed(format!("write {}: {error}", text::shown(&key))))?;
        folder = returned;
        match done {
            Ok(done) => tally.done(&key, size, done)?,
            Err(error) => tally.failed(&error),
        }
        bar.inc(size);
        bar.set_message(tally.words());
        next = following.map_err(opened.explain())?;
    }
    Ok(())
}

/// Reads all once more to know how much there is, for the estimate; then waits for ever.
async fn measure(
    wanted: bool,
    snapshot: &Snapshot,
    prefix: &Bytes,
    bar: &indicatif::ProgressBar,
) -> std::convert::Infallible {
    let total = async {
        let mut total = 0;
        let mut items = snapshot.scan(&Scan::new(KeyRange::prefix(prefix))).await?;
        while let Some(item) = items.next().await? {
            total += item.value.len() as u64;
        }
        Ok::<_, storage_txn::Error>(total)
    };
    if wanted && let Ok(total) = total.await {
        bar.set_length(total);
        if let Ok(style) = indicatif::ProgressStyle::with_template(BAR) {
            bar.set_style(style.progress_chars("=> "));
        }
    }
    std::future::pending().await
}
