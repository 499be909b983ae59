//! Files and standard input that become values, in bounded memory.

use std::io;
use std::path::Path;
use std::pin::Pin;

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use indicatif::ProgressBar;
use storage_txn::{ErrorKind, Value, ValueStream};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::open::OpenStore;
use crate::config::exact_size;
use crate::error::{Error, Result};

/// How much is read at a time.
const PIECE_BYTES: usize = 1 << 20;

/// Where bytes come from.
pub(super) struct Source {
    reader: Pin<Box<dyn AsyncRead + Send>>,
    /// What it is called in messages.
    name: String,
    size: Option<u64>,
}

impl Source {
    /// A file, or standard input for `-`.
    ///
    /// # Errors
    ///
    /// [`Error::File`], and [`Error::Usage`] for a folder.
    pub(super) async fn open(path: &Path) -> Result<Self> {
        if path.as_os_str() == "-" {
            let reader = Box::pin(tokio::io::stdin());
            return Ok(Self { reader, name: "standard input".into(), size: None });
        }
        Self::file(path).await
    }

    pub(super) async fn file(path: &Path) -> Result<Self> {
        let shown = path.display().to_string();
        let failed = |error| Error::File { what: format!("read {shown}"), error };
        let file = tokio::fs::File::open(path).await.map_err(failed)?;
        let meta = file.metadata().await.map_err(failed)?;
        if meta.is_dir() {
            return Err(Error::Usage(format!(
                "{shown} is a folder: a value is made of a file\n  = `cloudbank store import {shown}` puts all its files"
            )));
        }
        // A pipe or a device says nothing of its size.
        let size = meta.is_file().then_some(meta.len());
        Ok(Self { reader: Box::pin(file), name: shown, size })
    }

    /// Bytes that are in memory.
    pub(super) fn bytes(bytes: Bytes) -> Self {
        let size = Some(bytes.len() as u64);
        Self { reader: Box::pin(io::Cursor::new(bytes)), name: "memory".into(), size }
    }

    /// How many bytes there are to come, if that is known.
    pub(super) fn size(&self) -> Option<u64> {
        self.size
    }

    /// All of it, in memory.
    ///
    /// # Errors
    ///
    /// [`Error::File`], and [`Error::Failed`] for more than `most` bytes.
    pub(super) async fn read(self, most: u64) -> Result<Bytes> {
        let mut bytes = Vec::new();
        let mut reader = self.reader.take(most + 1);
        let read = reader.read_to_end(&mut bytes).await;
        read.map_err(Error::file(format!("read {}", self.name)))?;
        if bytes.len() as u64 > most {
            let (name, most) = (&self.name, exact_size(most));
            return Err(Error::Failed(format!("{name} is too large: there are more than {most}")));
        }
        Ok(bytes.into())
    }

    /// Piece by piece.
    pub(super) fn pieces(self) -> impl Stream<Item = io::Result<Bytes>> + Send {
        stream::try_unfold(self.reader, |mut reader| async move {
            let mut piece = BytesMut::with_capacity(PIECE_BYTES);
            // Small reads of a pipe would be small pieces.
            while piece.len() < PIECE_BYTES && reader.read_buf(&mut piece).await? > 0 {}
            Ok((!piece.is_empty()).then(|| (piece.freeze(), reader)))
        })
    }
}

impl OpenStore {
    /// Uploads what a source has, to be put by a transaction.
    pub(super) async fn upload(&self, source: Source, bar: &ProgressBar) -> Result<Value> {
        let name = source.name.clone();
        let counted = bar.clone();
        let pieces = source.pieces().inspect_ok(move |piece| counted.inc(piece.len() as u64));
        self.store.upload(pieces).await.map_err(|error| {
            let source = std::error::Error::source(&error);
            match source.and_then(|source| source.downcast_ref::<io::Error>()) {
                Some(cause) if error.kind() == ErrorKind::Aborted => {
                    let error = io::Error::new(cause.kind(), cause.to_string());
                    Error::File { what: format!("read {name}"), error }
                }
                _ => self.explain()(error),
            }
        })
    }

    /// Whether a value has the bytes of a file.
    pub(super) async fn is_same(&self, value: &mut ValueStream, file: Source) -> Result<bool> {
        let what = format!("read {}", file.name);
        let mut pieces = Box::pin(file.pieces());
        let mut rest = Bytes::new();
        while let Some(piece) = value.next().await.map_err(self.explain())? {
            let mut piece = piece;
            while !piece.is_empty() {
                if rest.is_empty() {
                    match pieces.next().await {
                        Some(next) => rest = next.map_err(Error::file(&what[..]))?,
                        None => return Ok(false),
                    }
                }
                let length = piece.len().min(rest.len());
                if piece.split_to(length) != rest.split_to(length) {
                    return Ok(false);
                }
            }
        }
        let more = match pieces.next().await {
            Some(next) => !next.map_err(Error::file(&what[..]))?.is_empty(),
            None => false,
        };
        Ok(rest.is_empty() && !more)
    }
}
