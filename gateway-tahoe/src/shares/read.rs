//! Reading shares: which there are, and their bytes, through the cache.

use std::collections::BTreeSet;
use std::ops::Range;

use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use futures_util::stream;
use storage_txn::{At, ErrorKind, Scan, Snapshot};

use super::{Kind, Shares, View, data_id};
use crate::StorageIndex;
use crate::error::{Error, Result};
use crate::layout::DataId;
use crate::record::{MutableShare, Share, decode};

/// How large the blocks of mutable shares are.
pub(crate) const BLOCK_BYTES: u64 = 1 << 20;
/// How many zeros are given at once, for what was never written.
const ZEROS_BYTES: u64 = 64 << 10;

/// A share that can be read: as it was when it was opened.
#[derive(Debug, Clone)]
pub struct Reader {
    shares: Shares,
    index: StorageIndex,
    number: u64,
    size: u64,
    source: Source,
    snapshot: Snapshot,
}

#[derive(Debug, Clone)]
enum Source {
    Immutable { data: DataId, part_bytes: u64 },
    Mutable(MutableShare),
}

impl Shares {
    /// The numbers of all shares of a file that are complete.
    ///
    /// # Errors
    ///
    /// What the store says.
    pub async fn list(&self, kind: Kind, index: StorageIndex) -> Result<BTreeSet<u64>> {
        if kind == Kind::Mutable {
            let snapshot = self.core.store.snapshot(At::Latest).await?;
            let slot = View::At(&snapshot).slot(self.layout(), index).await?;
            return Ok(slot.map_or_else(BTreeSet::new, |slot| slot.numbers()));
        }
        // What there is stays; whether there is nothing, only the latest says.
        let age = self.core.options.staleness_max;
        let snapshot = self.core.store.snapshot(At::Within(age)).await?;
        let known = self.numbers(&snapshot, index).await?;
        if !known.is_empty() {
            return Ok(known);
        }
        let snapshot = self.core.store.snapshot(At::Latest).await?;
        self.numbers(&snapshot, index).await
    }

    /// The numbers of the immutable shares of a file, as of a snapshot.
    pub(super) async fn numbers(
        &self,
        snapshot: &Snapshot,
        index: StorageIndex,
    ) -> Result<BTreeSet<u64>> {
        let scan = Scan::new(self.layout().shares(index));
        let mut keys = snapshot.scan_meta(&scan).await?;
        let mut numbers = BTreeSet::new();
        while let Some(meta) = keys.next().await? {
            let found = self.layout().share_at(&meta.key);
            let (_, number) =
                found.ok_or_else(|| Error::Damaged("a share has no number".into()))?;
            numbers.insert(number);
        }
        Ok(numbers)
    }

    /// A share, to read; `None` when there is none.
    ///
    /// # Errors
    ///
    /// What the store says.
    pub async fn reader(
        &self,
        kind: Kind,
        index: StorageIndex,
        number: u64,
    ) -> Result<Option<Reader>> {
        match kind {
            Kind::Immutable => {
                // It never changes, so an old look at it is as good as a new one.
                let snapshot = self.core.store.snapshot(At::Known).await?;
                let found = self.immutable_reader(snapshot, index, number).await?;
                if found.is_some() {
                    return Ok(found);
                }
                let snapshot = self.core.store.snapshot(At::Latest).await?;
                self.immutable_reader(snapshot, index, number).await
            }
            Kind::Mutable => {
                let snapshot = self.core.store.snapshot(At::Latest).await?;
                let slot = View::At(&snapshot).slot(self.layout(), index).await?;
                let share = slot
                    .and_then(|slot| slot.shares.into_iter().find(|share| share.number == number));
                Ok(share.map(|share| Reader {
                    shares: self.clone(),
                    index,
                    number,
                    size: share.size,
                    source: Source::Mutable(share),
                    snapshot,
                }))
            }
        }
    }

    async fn immutable_reader(
        &self,
        snapshot: Snapshot,
        index: StorageIndex,
        number: u64,
    ) -> Result<Option<Reader>> {
        let record = snapshot.get(self.layout().share(index, number)).await?;
        let Some(record) = record else { return Ok(None) };
        let share: Share = decode(record)?;
        let source =
            Source::Immutable { data: data_id(&share.data)?, part_bytes: share.part_bytes.max(1) };
        Ok(Some(Reader { shares: self.clone(), index, number, size: share.size, source, snapshot }))
    }

    /// A block of a mutable share, as it is kept: shorter than others where zeros follow.
    pub(super) async fn block(
        &self,
        view: View<'_>,
        share: &MutableShare,
        block: u64,
    ) -> Result<Bytes> {
        let Some(generation) = share.generation_of(block) else { return Ok(Bytes::new()) };
        let data = data_id(&share.data)?;
        let key = self.layout().block(&data, block, generation);
        let read = self.large(async {
            let value = view.get(&key).await?;
            value.ok_or_else(|| Error::Damaged("a block of a mutable share is missing".into()))
        });
        // What a transaction has written itself is not known to anybody else.
        self.core.cache.get((data, block, generation), read).await
    }

    /// The bytes of a mutable share from `start` to `end`, which is not after the end of it.
    pub(super) async fn bytes_of(
        &self,
        view: View<'_>,
        share: &MutableShare,
        range: Range<u64>,
    ) -> Result<Bytes> {
        let Range { mut start, end } = range;
        let mut bytes = BytesMut::new();
        while start < end {
            let (block, at) = (start / BLOCK_BYTES, start % BLOCK_BYTES);
            let until = (end - start).min(BLOCK_BYTES - at);
            let value = self.block(view, share, block).await?;
            let piece = piece(&value, at, until);
            if piece.len() as u64 == until && bytes.is_empty() && start + until == end {
                return Ok(piece);
            }
            bytes.extend_from_slice(&piece);
            bytes.resize(bytes.len() + (until as usize - piece.len()), 0);
            start += until;
        }
        Ok(bytes.freeze())
    }

    /// Does what has a large part in memory, when there is room for another.
    pub(super) async fn large<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let _place = self.core.parts.acquire().await.expect("nobody closes it");
        work.await
    }
}

/// So many of these bytes from `at` on, or those that there are. Much less than all is copied: it would keep all in memory
/// for as long as the client takes it.
fn piece(value: &Bytes, at: u64, bytes: u64) -> Bytes {
    let len = value.len() as u64;
    let (start, end) = (at.min(len), at.saturating_add(bytes).min(len));
    let piece = start as usize..end as usize;
    match piece.len() * 2 <= value.len() {
        true => Bytes::copy_from_slice(&value[piece]),
        false => value.slice(piece),
    }
}

impl Reader {
    /// How many bytes the share has.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The bytes in a range, which is cut off at the end of the share, piece by piece: at most
    /// [`part_bytes`](crate::Options::part_bytes) at a time are in memory.
    pub fn stream(self, range: Range<u64>) -> impl Stream<Item = Result<Bytes>> + Send + 'static {
        let range = range.start..range.end.min(self.size);
        stream::try_unfold((self, range), |(mut reader, range)| async move {
            if range.start >= range.end {
                return Ok(None);
            }
            let piece = reader.piece(range.clone()).await?;
            let next = range.start + piece.len() as u64..range.end;
            Ok(Some((piece, (reader, next))))
        })
    }

    /// The bytes in a range, which is cut off at the end of the share, all at once.
    ///
    /// # Errors
    ///
    /// What the store says.
    pub async fn read(mut self, range: Range<u64>) -> Result<Bytes> {
        let Range { mut start, end } = range.start..range.end.min(self.size);
        let mut bytes = BytesMut::new();
        while start < end {
            let piece = self.piece(start..end).await?;
            start += piece.len() as u64;
            if bytes.is_empty() && start == end {
                return Ok(piece);
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes.freeze())
    }

    /// The first bytes of a range that is not empty: at least one.
    async fn piece(&mut self, range: Range<u64>) -> Result<Bytes> {
        match self.try_piece(range.clone()).await {
            // The snapshot is old, and meanwhile the share was deleted, or all of it was stored anew.
            Err(Error::Store(error)) if error.kind() == ErrorKind::SnapshotExpired => {
                let snapshot = self.shares.core.store.snapshot(At::Latest).await?;
                let Source::Immutable { .. } = self.source else { return Err(error.into()) };
                let again = self.shares.immutable_reader(snapshot, self.index, self.number);
                match again.await? {
                    Some(reader) if reader.size == self.size => *self = reader,
                    _ => return Err(error.into()),
                }
                self.try_piece(range).await
            }
            done => done,
        }
    }

    async fn try_piece(&self, range: Range<u64>) -> Result<Bytes> {
        let Range { start, end } = range;
        let (value, at, until) = match &self.source {
            Source::Immutable { data, part_bytes } => {
                let (part, at) = (start / part_bytes, start % part_bytes);
                let key = self.shares.layout().part(data, part);
                let read = self.shares.large(async {
                    let value = self.snapshot.get(&key).await?;
                    value.ok_or_else(|| Error::Damaged("a part of a share is missing".into()))
                });
                let value = self.shares.core.cache.get((*data, part, 0), read).await?;
                (value, at, (end - start).min(part_bytes - at))
            }
            Source::Mutable(share) => {
                let (block, at) = (start / BLOCK_BYTES, start % BLOCK_BYTES);
                let value = self.shares.block(View::At(&self.snapshot), share, block).await?;
                (value, at, (end - start).min(BLOCK_BYTES - at))
            }
        };
        let found = piece(&value, at, until);
        match (&self.source, found.is_empty()) {
            (_, false) => Ok(found),
            (Source::Mutable(_), true) => Ok(Bytes::from_static(&[0; ZEROS_BYTES as usize])
                .slice(..until.min(ZEROS_BYTES) as usize)),
            (Source::Immutable { .. }, true) => {
                Err(Error::Damaged("a part of a share is too short".into()))
            }
        }
    }
}
