//! `store import`: the files of a folder become keys.

mod tally;

use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt, stream};
use storage_txn::{ErrorKind, Snapshot};
use tokio::sync::mpsc;

use super::commit::Label;
use super::open::OpenStore;
use super::source::Source;
use super::text;
use crate::cli::ImportArgs;
use crate::commands::walk::{Found, Links, is_provider, walk};
use crate::error::{Error, Result};
use crate::run::Context;

use tally::Tally;

/// A transaction takes files up to so many bytes, or one larger file.
const BATCH_BYTES: u64 = 8 << 20;
/// And so many files.
const BATCH_FILES: usize = 1000;
/// Smaller files are in memory until their transaction is committed; larger ones pass through it in pieces.
const IN_MEMORY_BYTES_MAX: u64 = 1 << 20;
/// So many files are compared with what is there at a time.
const FILES_AT_ONCE: usize = 4;
/// So many names are known ahead.
const NAMES_AHEAD: usize = 256;
const BAR: &str = "{bar:30} {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left  {msg}";
const SPINNER: &str = "{spinner} {bytes}  {bytes_per_sec}  {msg}";

pub(super) async fn run(context: &Context, arguments: ImportArgs) -> Result<()> {
    let folder = &arguments.folder;
    let shown = folder.display();
    let prefix = text::key(&arguments.prefix)?;
    check(folder)?;
    let label = Label {
        author: super::author::author(arguments.author.as_deref()),
        message: arguments.message.clone().unwrap_or_else(|| format!("import {shown}")),
        id: None,
    };
    let opened = match arguments.dry_run {
        true => OpenStore::find_to_read(context, &arguments.which).await?,
        false => OpenStore::find(context, &arguments.which).await?,
    };
    let snapshot = opened.snapshot(None).await?;
    let bar = context.output.progress(None, SPINNER);
    let mut tally = Tally::new(context, arguments.dry_run);
    let work = import(&opened, &snapshot, (folder, &prefix), &label, &mut tally, &bar);
    let done = tokio::select! {
        done = work => done,
        // Only adds a total to the progress, and ends long before the import or is not missed.
        never = measure(context.output.shows_progress(), folder, &bar) => match never {},
    };
    bar.finish_and_clear();
    if let Err(error) = done {
        context.output.note(tally.words());
        return Err(error);
    }
    if tally.committed() {
        opened.warn(context);
        // So much at once is put into segments right away: the next to open the store need not read it.
        opened.tidy_now(context, 1).await;
    }
    tally.finish()
}

fn check(folder: &Path) -> Result<()> {
    let shown = folder.display();
    let meta = std::fs::metadata(folder).map_err(Error::file(format!("read {shown}")))?;
    if !meta.is_dir() {
        return Err(Error::Usage(format!(
            "{shown} is not a folder\n  = `cloudbank store put KEY {shown}` puts a file"
        )));
    }
    if is_provider(folder) {
        return Err(Error::Usage(format!(
            "{shown} is the folder of a provider: to import it into a store would copy how objects are kept, not what they are"
        )));
    }
    Ok(())
}

/// What is in a file.
enum Content {
    Small(Bytes),
    Large(PathBuf),
}

/// A file that was looked at.
enum Looked {
    /// It is to be put under this key; whether that replaces what is there.
    Put {
        key: Bytes,
        file: Content,
        size: u64,
        replaces: bool,
    },
    /// The same bytes are there.
    Same {
        key: Bytes,
        size: u64,
    },
    LeftOut {
        name: String,
        why: &'static str,
    },
    Failed(Error),
}

async fn import(
    opened: &OpenStore,
    snapshot: &Snapshot,
    (folder, prefix): (&Path, &Bytes),
    label: &Label,
    tally: &mut Tally<'_>,
    bar: &indicatif::ProgressBar,
) -> Result<()> {
    let looked = files(folder).map(|found| look(opened, snapshot, prefix, found));
    let mut looked = std::pin::pin!(looked.buffered(FILES_AT_ONCE));
    let mut batch = Batch::default();
    while let Some(looked) = looked.next().await {
        match looked {
            Looked::Put { key, size, replaces, .. } if tally.is_dry_run() => {
                tally.would_put(&key, size, replaces)?;
            }
            Looked::Put { key, file, size, .. } => {
                if !batch.has_room_for(size) {
                    batch.commit(opened, label, tally).await?;
                }
                match value(opened, file, size, bar).await {
                    Ok((value, size)) => batch.add(key, value, size),
                    Err(error @ Error::Store { .. }) => return Err(error),
                    Err(error) => tally.failed(&error),
                }
            }
            Looked::Same { key, size } => {
                tally.same(&key, size)?;
                bar.inc(size);
            }
            Looked::LeftOut { name, why } => tally.left_out(&name, why),
            // That would be the same for every file.
            Looked::Failed(error @ Error::Store { .. }) => return Err(error),
            Looked::Failed(error) => tally.failed(&error),
        }
        bar.set_message(tally.words());
    }
    batch.commit(opened, label, tally).await
}

/// Everything in the folder, from a thread of its own.
fn files(folder: &Path) -> impl Stream<Item = Found> + use<> {
    let (sender, receiver) = mpsc::channel(NAMES_AHEAD);
    let folder = folder.to_path_buf();
    // Ends with the folder, or when nobody receives any more.
    tokio::task::spawn_blocking(move || walk(&folder, Links::LeaveOut, &sender));
    stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|found| (found, receiver))
    })
}

/// Reads a file and compares it with what is there.
async fn look(opened: &OpenStore, snapshot: &Snapshot, prefix: &Bytes, found: Found) -> Looked {
    let (path, name) = match found {
        Found::File { path, name, .. } => (path, name),
        Found::LeftOut { path, why } => {
            return Looked::LeftOut { name: path.display().to_string(), why };
        }
        Found::Failed { path, error } => {
            return Looked::Failed(Error::File { what: format!("read {}", path.display()), error });
        }
    };
    let mut key = BytesMut::from(&prefix[..]);
    key.extend_from_slice(&name);
    let looked = async {
        let key = text::checked(key.freeze())?;
        let source = Source::file(&path).await?;
        let there = match snapshot.meta(&key).await {
            // Whatever it is, it is not the file.
            Err(error) if error.kind() == ErrorKind::NotANumber => Some(None),
            there => there.map_err(opened.explain())?.map(Some),
        };
        let (small, length) = match source.size() {
            Some(size) if size > IN_MEMORY_BYTES_MAX => (None, size),
            _ => {
                let bytes = source.read(IN_MEMORY_BYTES_MAX).await?;
                let length = bytes.len() as u64;
                (Some(bytes), length)
            }
        };
        if there.as_ref().and_then(Option::as_ref).is_some_and(|there| there.size == length)
            && let Some(mut value) = snapshot.get_stream(&key).await.map_err(opened.explain())?
        {
            let source = match &small {
                Some(bytes) => Source::bytes(bytes.clone()),
                None => Source::file(&path).await?,
            };
            if opened.is_same(&mut value, source).await? {
                return Ok(Looked::Same { key, size: length });
            }
        }
        let file = small.map_or(Content::Large(path), Content::Small);
        Ok(Looked::Put { key, file, size: length, replaces: there.is_some() })
    };
    looked.await.unwrap_or_else(Looked::Failed)
}

/// What a transaction puts for a file: the bytes, or what was uploaded of them. And how many they are.
async fn value(
    opened: &OpenStore,
    file: Content,
    size: u64,
    bar: &indicatif::ProgressBar,
) -> Result<(Put, u64)> {
    match file {
        Content::Small(bytes) => {
            bar.inc(size);
            Ok((Put::Bytes(bytes), size))
        }
        Content::Large(path) => {
            let value = opened.upload(Source::file(&path).await?, bar).await?;
            let size = value.size();
            Ok((Put::Uploaded(value), size))
        }
    }
}

/// What a transaction puts.
enum Put {
    Bytes(Bytes),
    Uploaded(storage_txn::Value),
}

/// Files that go in one transaction.
#[derive(Default)]
struct Batch {
    files: Vec<(Bytes, Put)>,
    bytes: u64,
}

impl Batch {
    fn has_room_for(&self, size: u64) -> bool {
        self.files.is_empty()
            || (self.files.len() < BATCH_FILES && self.bytes + size <= BATCH_BYTES)
    }

    fn add(&mut self, key: Bytes, value: Put, size: u64) {
        self.bytes += size;
        self.files.push((key, value));
    }

    async fn commit(
        &mut self,
        opened: &OpenStore,
        label: &Label,
        tally: &mut Tally<'_>,
    ) -> Result<()> {
        if self.files.is_empty() {
            return Ok(());
        }
        let batch = std::mem::take(self);
        let ((), receipt) = opened
            .commit(label, async |transaction| {
                for (key, value) in &batch.files {
                    match value {
                        Put::Bytes(bytes) => transaction.put(key, bytes.clone())?,
                        Put::Uploaded(value) => transaction.put_value(key, value)?,
                    }
                }
                Ok(())
            })
            .await?;
        tally.put(batch.files.len() as u64, batch.bytes, &receipt);
        Ok(())
    }
}

/// Goes through the folder once more to know how much there is, for the estimate; then waits for ever.
async fn measure(
    wanted: bool,
    folder: &Path,
    bar: &indicatif::ProgressBar,
) -> std::convert::Infallible {
    if wanted {
        let total = files(folder).fold(0, |total, found| async move {
            match found {
                Found::File { size, .. } => total + size,
                _ => total,
            }
        });
        bar.set_length(total.await);
        if let Ok(style) = indicatif::ProgressStyle::with_template(BAR) {
            bar.set_style(style.progress_chars("=> "));
        }
    }
    std::future::pending().await
}
