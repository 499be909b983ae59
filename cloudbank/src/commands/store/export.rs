//! `store export`: keys become the files of a folder.

mod files;
mod hold;
mod tally;

use bytes::Bytes;
use storage_txn::{ErrorKind, KeyRange, Scan, Snapshot};

use super::open::OpenStore;
use super::text;
use crate::cli::ExportArgs;
use crate::error::{Error, Result};
use crate::run::Context;

use files::Files;
use hold::hold;
use tally::Tally;

const BAR: &str = "{bar:30} {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left  {msg}";
const SPINNER: &str = "{spinner} {bytes}  {bytes_per_sec}  {msg}";

pub(super) async fn run(context: &Context, arguments: ExportArgs) -> Result<()> {
    let prefix = text::key(&arguments.prefix)?;
    let opened = OpenStore::find_to_read(context, &arguments.read.which).await?;
    let snapshot = opened.snapshot(arguments.read.at.as_deref()).await?;
    let files = Files::open(&arguments.folder, arguments.overwrite, arguments.dry_run)?;
    let bar = context.output.progress(None, SPINNER);
    let mut tally = Tally::new(context, arguments.dry_run, snapshot.version());
    let mut held = None;
    let work = export(&opened, &snapshot, &prefix, files, &mut tally, &bar);
    let done = tokio::select! {
        done = work => done,
        // Only adds a total to the progress, and ends before the export or is not missed.
        never = measure(context.output.shows_progress(), &snapshot, &prefix, &bar) => match never {},
        never = hold(&snapshot, &context.output, &mut held) => match never {},
    };
    bar.finish_and_clear();
    if let Some(pin) = held {
        // It ends by itself too.
        let _ = pin.release().await;
    }
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
    mut files: Files,
    tally: &mut Tally<'_>,
    bar: &indicatif::ProgressBar,
) -> Result<()> {
    let scan = Scan::new(KeyRange::prefix(prefix));
    let mut metas = snapshot.scan_meta(&scan).await.map_err(opened.explain())?;
    loop {
        let meta = match metas.next().await {
            Ok(Some(meta)) => meta,
            Ok(None) => return Ok(()),
            // That is about one key, and says which.
            Err(error) if error.kind() == ErrorKind::NotANumber => {
                tally.failed(&opened.explain()(error));
                continue;
            }
            Err(error) => return Err(opened.explain()(error)),
        };
        let name = meta.key.slice(prefix.len()..);
        let value = async || {
            let value = snapshot.get_stream(&meta.key).await.map_err(opened.explain())?;
            // Of the same snapshot, so it is there.
            let missing = || Error::Failed(format!("`{}` is missing", text::shown(&meta.key)));
            value.ok_or_else(missing)
        };
        match files.write(&name, meta.size, &value, opened).await {
            Ok(done) => tally.done(&meta.key, meta.size, done)?,
            // That would be the same for every file.
            Err(error @ Error::Store { .. }) => return Err(error),
            Err(error) => tally.failed(&error),
        }
        bar.inc(meta.size);
        bar.set_message(tally.words());
    }
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
        let mut metas = snapshot.scan_meta(&Scan::new(KeyRange::prefix(prefix))).await?;
        while let Some(meta) = metas.next().await? {
            total += meta.size;
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
