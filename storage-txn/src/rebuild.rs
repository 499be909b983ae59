//! Making segments and a checkpoint again, from the log.

use std::sync::Arc;

use futures_util::stream::{self, StreamExt};
use prost::Message;
use storage_core::Env;
use storage_log::{Head, LogId, Slot, catch_up, catch_up_while};

use crate::change::Change;
use crate::flush::Frozen;
use crate::format::commit::CommitRecord;
use crate::format::entry::Batch;
use crate::format::segment::{SegmentId, SegmentRef, Span};
use crate::memtable::Memtable;
use crate::segment::{Cache, Segment, Shelf};
use crate::shared::Shared;
use crate::state::{Advanced, State, derived};
use crate::store::key;
use crate::system::{Obsolete, make_obsolete};
use crate::writes::Writes;
use crate::{Error, Options, Place, Result, Store, Version, space};

/// How many times as much as it should have in memory a handle has that reads the whole log, before it puts it into
/// segments meanwhile.
const WHOLE_PATIENCE: usize = 4;

/// What [`Store::rebuild_index`] has made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rebuilt {
    /// The last version that is in segments.
    pub version: Version,
    /// How many segments were made.
    pub segments_made: u64,
    /// How many were there and are whole, and were kept. None of those that the whole log makes again.
    pub segments_kept: u64,
}

impl Store {
    /// Makes everything again that is derived from the log: segments and a checkpoint. For a store whose segments are lost
    /// or damaged; what they were is to be collected later. Others may use the store meanwhile, and it may be stopped at
    /// any time: nothing changes before the commit with which it ends.
    ///
    /// Where the log is whole, all of it is read, and no segment. Where it was collected, every segment is read, those that
    /// are whole are kept, and the others are made again from what is left of the log: if that has all that was in them, and
    /// they hold nothing of what was [compacted](Store::compact) or [packed](Store::pack). Memory holds some times
    /// [`flush_bytes`](Options::flush_bytes).
    ///
    /// # Errors
    ///
    /// [`Corrupt`](crate::ErrorKind::Corrupt) when something is damaged that the log no longer has, which the message
    /// names, with nothing done; [`NoStore`](crate::ErrorKind::NoStore), [`UnknownFormat`](crate::ErrorKind::UnknownFormat),
    /// [`Conflict`](crate::ErrorKind::Conflict) when other processes were always faster,
    /// [`Storage`](crate::ErrorKind::Storage), [`CommitUnknown`](crate::ErrorKind::CommitUnknown).
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use storage_txn::{Options, Store};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), storage_txn::Error> {
    /// # let provider = Arc::new(backend_memory::MemoryProvider::new());
    /// # let env = Arc::new(storage_wrappers::TokioEnv::new());
    /// # let store = Store::init(provider.clone(), env.clone(), Options::default()).await?;
    /// store.transact(async |tx| tx.put("a", "1")).await?;
    /// let rebuilt = Store::rebuild_index(provider, env, Options::default()).await?;
    /// assert_eq!(rebuilt.segments_made, 1);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn rebuild_index(
        place: impl Into<Place>,
        env: Arc<dyn Env>,
        options: Options,
    ) -> Result<Rebuilt> {
        let place = place.into();
        let root = place.root().await?;
        let id = root.id;
        let log = place.log(root, &env).await?;
        let shelf = Shelf {
            provider: place.objects.clone(),
            cache: Arc::new(Cache::new(options.cache_bytes_max)),
            scan_read_bytes: options.scan_read_bytes,
        };
        let state = State::new(id, shelf.clone());
        let is_replica = root.is_replica;
        let shared = Shared::new(
            log.clone(),
            place.clone(),
            env.clone(),
            options.clone(),
            shelf,
            state,
            is_replica,
        );
        shared.check_writable()?;
        if shared.read_whole().await? == Advanced::Yes {
            return shared.rebuild_whole().await;
        }
        let shared = Self::open(place, env, options).await?.shared;
        shared.rebuild_damaged(id).await
    }
}

impl Shared {
    /// Reads the log from its start to its end, or to where it was collected. For a handle that nobody else has yet: what is
    /// too much for memory goes into segments meanwhile.
    pub(crate) async fn read_whole(&self) -> Result<Advanced> {
        let most = self.options.flush_bytes.saturating_mul(WHOLE_PATIENCE);
        loop {
            let start = self.env.monotonic();
            let head = self.state().head;
            let mut advanced = Ok(Advanced::Yes);
            let part = catch_up_while(&*self.log, head, 1, self.options.read_ahead, |record| {
                advanced = self.advance(&record);
                Ok(matches!(advanced, Ok(Advanced::Yes)) && self.state().memory_bytes() <= most)
            });
            let part = part.await;
            if advanced? == Advanced::Collected {
                return Ok(Advanced::Collected);
            }
            let (_, at_end) = part?;
            if at_end {
                self.arrivals.asked_at(start);
                return Ok(Advanced::Yes);
            }
            let part = self.state().freeze_part();
            let mut made = Vec::new();
            self.make_segments(&part, &mut made).await?;
            self.state().remade(&part, made);
        }
    }

    /// Commits segments of everything that is known, in place of all that are named.
    async fn rebuild_whole(self: &Arc<Self>) -> Result<Rebuilt> {
        self.flush().await?;
        if self.state().view.system.horizon()? > Version::ZERO {
            // The log still has what was packed away.
            Store { shared: self.clone() }.compact().await?;
            self.write_checkpoint().await?;
        }
        let system = self.state().view.system.clone();
        Ok(Rebuilt {
            version: system.flushed()?.map_or(Version::ZERO, |flushed| Version(flushed.version)),
            segments_made: system.segments()?.len() as u64,
            segments_kept: 0,
        })
    }

    /// Makes those segments again that are not whole, if the log still has what was in them.
    async fn rebuild_damaged(self: &Arc<Self>, id: LogId) -> Result<Rebuilt> {
        let system = self.state().view.system.clone();
        let flushed = system.flushed()?.map_or(Version::ZERO, |flushed| Version(flushed.version));
        let (mut damaged, mut kept) = (Vec::new(), 0);
        let checks = system.segments()?.into_iter().map(|(id, named_at, about)| {
            let segment = Segment::new(&self.shelf, id, about.clone());
            async move {
                let wrong = segment.check(&mut |_| Ok(())).await?;
                let first = wrong.into_iter().next();
                Ok::<_, Error>(first.map(|wrong| Damaged { id, named_at, about, what: wrong.what }))
            }
        });
        let mut checks = stream::iter(checks).buffered(self.options.read_ahead.max(1));
        while let Some(checked) = checks.next().await {
            match checked? {
                None => kept += 1,
                Some(wrong) => damaged.push(wrong),
            }
        }
        drop(checks);
        let mut made = Vec::new();
        // What compaction made of several entries cannot be told from some of them: what was superseded is elsewhere, or
        // gone. A segment that begins after all that is as the log has it.
        let superseded = system.segments()?.iter().map(|(_, _, about)| about.superseded).max();
        let compacted = superseded.unwrap_or(0).max(system.horizon()?.0);
        let mixed = |damaged: &&Damaged| {
            damaged.about.superseded > 0 || damaged.about.first_version <= compacted
        };
        if compacted > 0
            && let Some(Damaged { id, about, what, .. }) = damaged.iter().find(mixed)
        {
            return Err(Error::corrupt(format!(
                "{id} cannot be made again: {what}; it holds versions {} to {}, up to version {compacted} segments were \
                 compacted, and the log was collected",
                about.first_version, about.last_version
            )));
        }
        if !damaged.is_empty() {
            made = self.make_again(id, &damaged).await?;
            self.commit_again(&damaged, &made).await?;
        }
        self.write_checkpoint().await?;
        let segments_made = made.len() as u64;
        Ok(Rebuilt { version: flushed, segments_made, segments_kept: kept })
    }

    /// Segments of what the log says for those that are damaged.
    async fn make_again(
        &self,
        id: LogId,
        damaged: &[Damaged],
    ) -> Result<Vec<(SegmentId, SegmentRef)>> {
        let mut head = self.whole_from(id, damaged).await?;
        let mut made = Vec::new();
        loop {
            let memtable = Arc::new(Memtable::default());
            let mut taken = Ok(());
            let part = catch_up_while(&*self.log, head, 1, self.options.read_ahead, |record| {
                let batch = record.body().map(Batch::decode).transpose();
                taken = batch.and_then(|batch| match batch {
                    Some(batch) => take_in(&memtable, &batch, record.slot(), damaged),
                    None => Err(Error::corrupt(format!(
                        "log slot {} was collected meanwhile",
                        record.slot()
                    ))),
                });
                Ok(taken.is_ok() && memtable.bytes() <= self.options.flush_bytes)
            });
            let (reached, at_end) = part.await?;
            taken?;
            head = reached;
            if memtable.bytes() > 0 {
                let part = Frozen { memtables: vec![memtable], ..Frozen::default() };
                self.make_segments(&part, &mut made).await?;
            }
            if at_end {
                return Ok(made);
            }
        }
    }

    /// Where the log is whole from, if all that is damaged came after.
    async fn whole_from(&self, id: LogId, damaged: &[Damaged]) -> Result<Head> {
        let (mut from, mut wrong) = (None, None);
        let walked =
            catch_up(&*self.log, Head::genesis(id), 1, self.options.read_ahead, |record| {
                match record.body().map(Batch::decode) {
                    None => from = None,
                    Some(Ok(batch)) if from.is_none() => {
                        let before = Slot(record.slot().0 - 1);
                        from = Some((Head { slot: before, id: record.previous() }, batch.first));
                    }
                    Some(Ok(_)) => {}
                    Some(Err(error)) => wrong = Some(error),
                }
                Ok(())
            });
        walked.await?;
        if let Some(wrong) = wrong {
            return Err(wrong);
        }
        let lost = |damaged: &&Damaged| {
            from.is_none_or(|(_, first)| damaged.about.first_version < first.0)
        };
        match (damaged.iter().find(lost), from) {
            (None, Some((head, _))) => Ok(head),
            (found, _) => {
                let Damaged { id, about, what, .. } = found.unwrap_or(&damaged[0]);
                Err(Error::corrupt(format!(
                    "{id} cannot be made again: {what}; it holds versions {} to {}, of which the log was collected",
                    about.first_version, about.last_version
                )))
            }
        }
    }

    /// Commits that these segments are in the place of those.
    async fn commit_again(
        self: &Arc<Self>,
        damaged: &[Damaged],
        made: &[(SegmentId, SegmentRef)],
    ) -> Result<()> {
        let (mut writes, mut required) = (Writes::default(), Vec::new());
        for Damaged { id, named_at, about, .. } in damaged {
            let name = space::system(id.to_string().as_bytes());
            writes.change(name.clone(), Change::Delete)?;
            let about = Obsolete { time: self.wall_micros(), bytes: about.bytes };
            make_obsolete(&mut writes, &key(id.to_string())?, &about)?;
            required.push((name, Some(*named_at)));
        }
        for (id, about) in made {
            let name = space::system(id.to_string().as_bytes());
            writes.change(name, Change::Put(about.encode_to_vec().into()))?;
        }
        self.commit_system(writes, required, "rebuild").await
    }
}

/// A segment that is not whole.
#[derive(Debug)]
struct Damaged {
    id: SegmentId,
    named_at: Version,
    about: SegmentRef,
    what: String,
}

impl Damaged {
    /// Whether it may have held what was done to these keys in this version.
    fn held(&self, first: &[u8], last: &[u8], version: Version) -> bool {
        let about = &self.about;
        let meets = |span: &Span| *span.first <= *last && *first <= *span.last;
        about.first_version <= version.0
            && version.0 <= about.last_version
            && about.spans.iter().any(meets)
    }
}

/// Adds to a memtable what an entry of the log did that damaged segments held.
fn take_in(memtable: &Memtable, batch: &Batch, slot: Slot, damaged: &[Damaged]) -> Result<()> {
    for (at, transaction) in batch.transactions.iter().enumerate() {
        let version = Version(batch.first.0 + at as u64);
        let record = CommitRecord::of(transaction, slot.0, batch.time);
        let held = |first: &[u8], last: &[u8]| {
            damaged.iter().any(|damaged| damaged.held(first, last, version))
        };
        for all in [&transaction.writes, &derived(version, transaction, &record)?] {
            let mut writes = Writes::default();
            for range in all.ranges().iter().filter(|range| held(&range.start, &range.end)) {
                writes.delete_range(range.clone());
            }
            for (key, change) in all.points().filter(|(key, _)| held(key, key)) {
                writes.change(key.clone(), change.clone())?;
            }
            if !writes.is_empty() {
                memtable.apply(version, writes);
            }
        }
    }
    Ok(())
}
