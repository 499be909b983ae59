//! The shares of a server of ours written as those of a stock server.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read};
use std::path::{Path, PathBuf};

use futures_util::TryStreamExt;
use futures_util::stream::{self, StreamExt};
use tokio::sync::mpsc;

use super::container::{Container, Content};
use super::folder::{StockFolder, UNFINISHED};
use super::import::{FILES_AT_ONCE, Moved};
use super::lease::Schema;
use crate::error::{Error, Result};
use crate::{Kind, Reader, ShareInfo, Shares, StorageIndex};

/// Writes every share as a container, in the newer schema; `node` is the server that mutable ones name. A container that is
/// there with the same bytes stays, another is replaced as a whole.
///
/// # Errors
///
/// What the store says, which ends it; what the system says of a single file does not. It can be begun anew.
pub async fn export(
    shares: &Shares,
    folder: &StockFolder,
    node: [u8; 20],
    tell: &mut (dyn FnMut(Moved) + Send),
) -> Result<()> {
    let immutable = shares
        .all_immutable(None)
        .await?
        .map(|found| found.map(|info| (Kind::Immutable, info, Content::Immutable)));
    let slots = shares.all_slots(None).await?.flat_map(|found| {
        let all: Vec<Result<_>> = match found {
            Ok(slot) => {
                let content = Content::Mutable { node, write_enabler: slot.write_enabler };
                let of = |info| Ok((Kind::Mutable, info, content.clone()));
                slot.shares.into_iter().map(of).collect()
            }
            Err(error) => vec![Err(error)],
        };
        stream::iter(all)
    });
    let work = |found: Result<(Kind, ShareInfo, Content)>| async move {
        let (kind, info, content) = found?;
        let place = folder.place(info.index, info.number);
        match one(shares, (kind, &info), content, place).await {
            Ok(moved) => Ok(moved),
            Err(error @ Error::Store(_)) => Err(error),
            Err(error) => Ok(Moved::Failed(error)),
        }
    };
    let mut moved = std::pin::pin!(immutable.chain(slots).map(work).buffered(FILES_AT_ONCE));
    while let Some(moved) = moved.next().await {
        tell(moved?);
    }
    Ok(())
}

async fn one(
    shares: &Shares,
    (kind, info): (Kind, &ShareInfo),
    content: Content,
    place: PathBuf,
) -> Result<Moved> {
    // It may have changed since it was listed, or be gone.
    let Some(reader) = shares.reader(kind, info.index, info.number).await? else {
        return Ok(Moved::Same { shares: 0, bytes: 0 });
    };
    let bytes = reader.size();
    let container = Container {
        schema: Schema::Hashed,
        content,
        offset: 0,
        size: bytes,
        leases: leases(shares, info.index, info.number).await?,
    };
    let is_new = write(container, reader, place).await?;
    Ok(match is_new {
        true => Moved::Done { shares: 1, bytes },
        false => Moved::Same { shares: 1, bytes },
    })
}

async fn leases(shares: &Shares, index: StorageIndex, number: u64) -> Result<Vec<crate::Lease>> {
    let all = shares.leases(index).await?;
    Ok(all.into_iter().find(|(of, _)| *of == number).map(|(_, leases)| leases).unwrap_or_default())
}

/// Writes a container, unless the same is there; whether it was written.
async fn write(container: Container, reader: Reader, place: PathBuf) -> Result<bool> {
    // The bytes come from here, the file is written on a thread that may wait for it.
    let (sender, receiver) = mpsc::channel(2);
    let path = place.clone();
    let writing = tokio::task::spawn_blocking(move || {
        place_file(&container, Pieces { receiver, rest: bytes::Bytes::new() }, &path)
    });
    let size = reader.size();
    let pieces = reader.stream(0..size);
    let mut pieces = std::pin::pin!(pieces);
    let sent = async {
        while let Some(piece) = pieces.try_next().await? {
            // Who does not read any more has failed, and says why.
            if sender.send(piece).await.is_err() {
                break;
            }
        }
        drop(sender);
        Ok::<_, Error>(())
    }
    .await;
    let written = match writing.await {
        Ok(written) => written.map_err(Error::file(place)),
        Err(error) => Err(Error::Damaged(format!("writing a container ended early: {error}"))),
    };
    // What was read wrong is why a file is too short.
    sent.and(written)
}

fn place_file(container: &Container, mut share: Pieces, path: &Path) -> io::Result<bool> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let number = path.file_name().unwrap_or_default().to_string_lossy();
    let unfinished = folder.join(format!("{number}{UNFINISHED}"));
    let file = match write_file(container, &mut share, &unfinished) {
        Ok(file) => file,
        Err(error) => {
            // Nobody wants half of it; that it could not be written is what matters.
            let _ = fs::remove_file(&unfinished);
            return Err(error);
        }
    };
    if same_files(&unfinished, path)? {
        fs::remove_file(&unfinished)?;
        return Ok(false);
    }
    file.sync_all()?;
    fs::rename(&unfinished, path)?;
    File::open(folder)?.sync_all()?;
    Ok(true)
}

fn write_file(container: &Container, share: &mut Pieces, path: &Path) -> io::Result<File> {
    let mut file = BufWriter::new(File::create(path)?);
    container.write(share, &mut file)?;
    file.into_inner().map_err(io::IntoInnerError::into_error)
}

fn same_files(one: &Path, other: &Path) -> io::Result<bool> {
    let there = match File::open(other) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        there => there?,
    };
    let one = File::open(one)?;
    if one.metadata()?.len() != there.metadata()?.len() {
        return Ok(false);
    }
    let (mut one, mut there) = (io::BufReader::new(one), io::BufReader::new(there));
    let (mut left, mut right) = ([0; 16 << 10], [0; 16 << 10]);
    loop {
        let read = one.read(&mut left)?;
        if read == 0 {
            return Ok(true);
        }
        there.read_exact(&mut right[..read])?;
        if left[..read] != right[..read] {
            return Ok(false);
        }
    }
}

/// What comes through a channel, as a file would be read.
struct Pieces {
    receiver: mpsc::Receiver<bytes::Bytes>,
    rest: bytes::Bytes,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            match self.receiver.blocking_recv() {
                Some(piece) => self.rest = piece,
                None => return Ok(0),
            }
        }
        let count = buffer.len().min(self.rest.len());
        buffer[..count].copy_from_slice(&self.rest.split_to(count));
        Ok(count)
    }
}
