//! The shares of a stock server taken over.

use std::path::Path;
use std::sync::Arc;

use futures_util::stream::{self, StreamExt};

use super::container::{Container, Content};
use super::folder::{Entry, StockFolder};
use super::verify;
use crate::error::{Error, Result};
use crate::{AdoptedShare, Data, Kind, Shares};

/// How many files are moved at the same time.
pub(super) const FILES_AT_ONCE: usize = 8;

/// What is done with the shares of a stock server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// Those that are not there yet are stored. Of those that are there, the size is looked at, so that what was interrupted
    /// goes on where it was.
    Import,
    /// All bytes and leases are compared with what is stored. Nothing is written.
    Verify,
}

/// What became of one file, of all its shares.
#[derive(Debug)]
pub enum Moved {
    /// It was stored, or written.
    Done {
        /// How many shares.
        shares: u64,
        /// How many bytes they have.
        bytes: u64,
    },
    /// It was there already, or is the same on both sides.
    Same {
        /// How many shares.
        shares: u64,
        /// How many bytes they have.
        bytes: u64,
    },
    /// It was left out. The error says which file it is, and why.
    Failed(Error),
}

/// Goes through the shares of a stock server, in the order of their names, and says what became of each file.
///
/// # Errors
///
/// What the store says, which ends it; what is wrong with a single container does not. It can be begun anew.
pub async fn import(
    shares: &Shares,
    folder: &StockFolder,
    task: Task,
    tell: &mut (dyn FnMut(Moved) + Send),
) -> Result<()> {
    let work = |entry: Result<Entry>| async move {
        match entry {
            Err(error) => Ok(Moved::Failed(error)),
            Ok(entry) => match one(shares, &entry, task).await {
                Ok(moved) => Ok(moved),
                Err(error @ Error::Store(_)) => Err(error),
                Err(error) => Ok(Moved::Failed(error)),
            },
        }
    };
    let mut moved = stream::iter(folder.entries()?).map(work).buffered(FILES_AT_ONCE);
    while let Some(moved) = moved.next().await {
        tell(moved?);
    }
    Ok(())
}

/// A file's shares, all of one kind.
async fn one(shares: &Shares, entry: &Entry, task: Task) -> Result<Moved> {
    let opened = open(entry).await?;
    let bytes = opened.iter().map(|share| share.container.size).sum();
    let count = opened.len() as u64;
    let Some(first) = opened.first() else { return Ok(Moved::Same { shares: 0, bytes: 0 }) };
    if task == Task::Verify {
        for share in &opened {
            verify::same(shares, entry.index, share).await?;
        }
        return Ok(Moved::Same { shares: count, bytes });
    }
    let is_new = match &first.container.content {
        Content::Immutable => {
            let mut any = false;
            for share in &opened {
                let Content::Immutable = share.container.content else {
                    return Err(wrong(
                        &share.path,
                        "it is mutable, and others of its file are not",
                    ));
                };
                let place = (entry.index, share.number);
                if !there(shares, Kind::Immutable, entry, share).await? {
                    any |=
                        shares.put_immutable(place, &share.data(), &share.container.leases).await?;
                }
            }
            any
        }
        Content::Mutable { write_enabler, .. } => {
            let mut adopted = Vec::with_capacity(opened.len());
            let mut there_already = 0;
            for share in &opened {
                let same = matches!(&share.container.content,
                    Content::Mutable { write_enabler: other, .. } if other == write_enabler);
                if !same {
                    let why = "it has another write enabler than others of its file";
                    return Err(wrong(&share.path, why));
                }
                there_already += u64::from(there(shares, Kind::Mutable, entry, share).await?);
                let leases = share.container.leases.clone();
                adopted.push(AdoptedShare { number: share.number, data: share.data(), leases });
            }
            let is_new = shares.adopt_slot(entry.index, write_enabler, &adopted).await?;
            if !is_new && there_already < count {
                let why = "there is a mutable file of this storage index with other shares";
                return Err(wrong(&first.path, why));
            }
            is_new
        }
    };
    match is_new {
        true => Ok(Moved::Done { shares: count, bytes }),
        false => Ok(Moved::Same { shares: count, bytes }),
    }
}

/// A container that was looked at.
pub(super) struct Opened {
    pub(super) number: u64,
    pub(super) path: Arc<std::path::PathBuf>,
    pub(super) container: Container,
}

impl Opened {
    pub(super) fn data(&self) -> Data {
        let Container { offset, size, .. } = self.container;
        Data::File { path: self.path.clone(), offset, size }
    }
}

async fn open(entry: &Entry) -> Result<Vec<Opened>> {
    let files = entry.files.clone();
    let read = move || {
        let open = |(number, path): (u64, std::path::PathBuf)| {
            let container = Container::open(&path)?;
            Ok(Opened { number, path: Arc::new(path), container })
        };
        files.into_iter().map(open).collect()
    };
    match tokio::task::spawn_blocking(read).await {
        Ok(done) => done,
        Err(error) => Err(Error::Damaged(format!("reading containers ended early: {error}"))),
    }
}

/// Whether a share of this size is there. One of another size is an error: it is another share.
async fn there(shares: &Shares, kind: Kind, entry: &Entry, share: &Opened) -> Result<bool> {
    let Some(reader) = shares.reader(kind, entry.index, share.number).await? else {
        return Ok(false);
    };
    if reader.size() == share.container.size {
        return Ok(true);
    }
    let why = format!(
        "it has {} bytes, and the share that is stored {}",
        share.container.size,
        reader.size()
    );
    Err(wrong(&share.path, why))
}

/// That something is wrong with a file.
pub(super) fn wrong(path: &Path, why: impl Into<String>) -> Error {
    Error::file(path)(std::io::Error::new(std::io::ErrorKind::InvalidData, why.into()))
}
