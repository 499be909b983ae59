//! Verifying the log: every entry by itself, the chain that they make, and what checkpoints say of it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use futures_util::stream::{self, StreamExt};
use storage_core::Key;
use storage_log::{EntryId, Head, LogId, Record};

use super::checkpoints::Flush;
use super::entries::{Entries, Found};
use super::names::Listed;
use super::present::Present;
use super::sums::{Sums, of_writes};
use super::{Severity, Verifier};
use crate::format::checkpoint::{Checkpoint, PREFIX};
use crate::format::commit::CommitRecord;
use crate::format::entry::Batch;
use crate::format::root::{LogAt, Root};
use crate::state::derived;
use crate::store_log::StoreLog;
use crate::system::System;
use crate::{ErrorKind, Result, Version};

/// Where the body of an entry begins.
const BODY: u64 = 112;

/// What the log adds up to.
pub(super) struct Walked {
    pub(super) present: Present,
    /// What is in segments up to `bound`, if they are right. Without what was collected or is damaged.
    pub(super) sums: Sums,
    /// Everything up to this version must be in segments.
    pub(super) bound: Version,
    /// Versions that could not be seen in the log, first and last, in order.
    pub(super) unseen: Vec<(Version, Version)>,
    /// For some versions the slot that begins with them.
    pub(super) slots: BTreeMap<Version, u64>,
}

/// How many versions at least there are between two of which the slot is kept.
const SLOTS_STEP: u64 = 256;

/// How far the walk is.
pub(super) struct Walk {
    pub(super) id: LogId,
    entries: Entries,
    /// The id of the last entry, if it is known.
    previous: Option<EntryId>,
    slot: u64,
    /// The last version, and whether it is that of the last entry.
    pub(super) version: Version,
    pub(super) is_sure: bool,
    time: u64,
    /// The system keys, where all that makes them was seen.
    pub(super) system: Option<System>,
    pub(super) checkpoints: VecDeque<Key>,
    /// What checkpoints to come say of these slots is to be checked.
    pub(super) flushes: BTreeMap<u64, Option<Flush>>,
    /// Slots that are collected, first and last, with nothing to make up for them.
    uncovered: Option<(u64, u64)>,
    walked: Walked,
}

impl Verifier<'_> {
    pub(super) async fn log(
        &mut self,
        root: Root,
        log: &Arc<StoreLog>,
        listed: &Listed,
    ) -> Result<Walked> {
        let ahead = self.options.requests_at_once.max(1);
        let present = Present::new(self.provider.clone(), log.clone(), ahead).await?;
        // Known now, however often it was moved.
        let at = log.leg().at;
        self.log_at = at;
        let entries = match at {
            LogAt::Provider | LogAt::Folder(_) => {
                Entries::OnProvider(self.provider.clone(), root.id, at)
            }
            LogAt::Quorum(_) => Entries::InLog(log.clone()),
        };
        // Those that it has left are there for who comes late, and nothing depends on what is in them.
        for (_, left) in listed.logs.iter().filter(|(left, _)| **left != at) {
            let progress = &mut self.report.progress;
            progress.objects += left.objects;
            progress.bytes += left.bytes;
        }
        let last_listed = listed.logs.get(&at).map_or(0, |listed| listed.last_slot);
        let bound = present.system.flushed()?.map_or(Version::ZERO, |at| Version(at.version));
        let slots = listed.checkpoints.iter().filter_map(Checkpoint::slot);
        let mut walk = Walk {
            id: root.id,
            entries,
            previous: Some(Head::genesis(root.id).id),
            slot: 0,
            version: Version::ZERO,
            is_sure: true,
            time: 0,
            system: Some(System::default()),
            checkpoints: listed.checkpoints.iter().cloned().collect(),
            flushes: slots.map(|slot| (slot, None)).collect(),
            uncovered: None,
            walked: Walked {
                present,
                sums: Sums::new(bound),
                bound,
                unseen: Vec::new(),
                slots: BTreeMap::new(),
            },
        };
        loop {
            let entries = walk.entries.clone();
            let from = walk.slot + 1;
            let reads = stream::iter(from..).map(|slot| entries.read(slot)).buffered(ahead);
            let mut reads = Box::pin(reads);
            let end = loop {
                match reads.next().await.transpose()? {
                    Some(Found::Missing) | None => break walk.slot + 1,
                    Some(found) => self.step(&mut walk, found).await?,
                }
            };
            drop(reads);
            match self.after_gap(&walk.entries, end, last_listed).await? {
                Some(next) if next == end => {}
                Some(next) => {
                    let what = format!("it is missing, and so are all up to slot {}", next - 1);
                    let severity = self.severity(&walk, end);
                    self.found(severity, self.entry_name(end), None, what);
                    walk.lose_track(next - 1);
                }
                None => break,
            }
        }
        self.remaining_checkpoints(&mut walk).await?;
        if let Some((first, last)) = walk.uncovered {
            let what = format!(
                "the log is collected from slot {first} to {last}, and no checkpoint that can be read stands there"
            );
            self.found(Severity::Lost, PREFIX, None, what);
        }
        self.report.version = walk.version;
        walk.walked.unseen_up_to_bound(walk.version);
        Ok(walk.walked)
    }

    /// Takes in what stands at the next slot.
    async fn step(&mut self, walk: &mut Walk, found: Found) -> Result<()> {
        let slot = walk.slot + 1;
        let found = match found {
            Found::Damaged(..) => {
                self.pause().await;
                walk.entries.read(slot).await?
            }
            found => found,
        };
        match found {
            Found::Record(record, bytes) => {
                self.read(bytes);
                self.record(walk, &record).await?;
            }
            Found::Damaged(why, bytes) => {
                self.read(bytes);
                let severity = self.severity(walk, slot);
                self.found(severity, self.entry_name(slot), None, why);
                walk.lose_track(slot);
            }
            Found::Missing => {
                let severity = self.severity(walk, slot);
                self.found(
                    severity,
                    self.entry_name(slot),
                    None,
                    "it was there and is missing now",
                );
                walk.lose_track(slot);
            }
        }
        Ok(())
    }

    async fn record(&mut self, walk: &mut Walk, record: &Record) -> Result<()> {
        let slot = record.slot().0;
        if let Some(previous) = walk.previous
            && previous != record.previous()
        {
            let what = format!(
                "it continues {} and not {previous}, the entry before it: the log was rolled back or forked",
                record.previous()
            );
            self.found(Severity::Lost, self.entry_name(slot), Some(32), what);
            walk.lose_track(slot);
        }
        let Some(body) = record.body() else {
            self.report.entries_collected += 1;
            if slot > walk.walked.present.checkpoint_slot {
                walk.walked.present.restore().await?;
            }
            if slot > walk.walked.present.checkpoint_slot {
                walk.uncovered = Some((walk.uncovered.map_or(slot, |(first, _)| first), slot));
            }
            walk.lose_track(slot);
            walk.previous = Some(record.id());
            walk.keep_flush(slot, record.id(), None);
            return Ok(());
        };
        self.report.entries += 1;
        let batch = match Batch::decode(body) {
            Ok(batch) => batch,
            Err(error) => {
                self.found(Severity::Lost, self.entry_name(slot), Some(BODY), error.to_string());
                walk.lose_track(slot);
                walk.previous = Some(record.id());
                return Ok(());
            }
        };
        self.batch(walk, slot, &batch).await?;
        walk.slot = slot;
        walk.previous = Some(record.id());
        walk.keep_flush(slot, record.id(), Some((walk.version, batch.time)));
        Ok(())
    }

    async fn batch(&mut self, walk: &mut Walk, slot: u64, batch: &Batch) -> Result<()> {
        let first = batch.first.0;
        let expected = walk.version.0 + 1;
        if first < expected || (walk.is_sure && first > expected) {
            let what = format!("it begins with version {first}, where {expected} is to come");
            self.found(Severity::Lost, self.entry_name(slot), Some(BODY), what);
        }
        if batch.time < walk.time {
            let what = format!(
                "its time {} is before that of the entry before, {}",
                batch.time, walk.time
            );
            self.found(Severity::Lost, self.entry_name(slot), Some(BODY), what);
        }
        if first > expected {
            walk.walked.unseen.push((Version(expected), Version(first - 1)));
            walk.version = Version(first - 1);
            self.due_checkpoints(walk).await?;
        }
        walk.is_sure = true;
        walk.time = batch.time;
        if !batch.transactions.is_empty() {
            walk.walked.keep_slot(batch.first, slot);
        }
        for (at, transaction) in batch.transactions.iter().enumerate() {
            let version = Version(first + at as u64);
            if version <= walk.walked.bound {
                let record = CommitRecord::of(transaction, slot, batch.time);
                let derived = derived(version, transaction, &record)?;
                for writes in [&transaction.writes, &derived] {
                    for (mark, _) in of_writes(writes, version) {
                        walk.walked.sums.add(version, mark);
                    }
                }
            }
            if let Some(system) = &mut walk.system
                && System::is_concerned(&transaction.writes)
            {
                match system.apply(version, &transaction.writes) {
                    Ok(()) => {}
                    Err(error) if error.kind() == ErrorKind::NotANumber => walk.system = None,
                    Err(error) => return Err(error),
                }
            }
            walk.version = version;
            self.due_checkpoints(walk).await?;
        }
        Ok(())
    }

    /// The next slot that is there, where `end` was missing when it was read; `None` if it is the end of the log.
    async fn after_gap(
        &mut self,
        entries: &Entries,
        end: u64,
        last_listed: u64,
    ) -> Result<Option<u64>> {
        if last_listed < end {
            return Ok(None);
        }
        // A slot is created after the one before, so this one must be there by now.
        self.pause().await;
        entries.next_from(end).await
    }

    /// How bad it is that an entry of the log is damaged.
    fn severity(&self, walk: &Walk, slot: u64) -> Severity {
        if slot <= walk.walked.present.checkpoint_slot {
            Severity::Weakened
        } else {
            Severity::Lost
        }
    }
}

impl Walk {
    /// Goes on after `slot`, of which nothing is known.
    fn lose_track(&mut self, slot: u64) {
        self.slot = slot;
        self.previous = None;
        self.is_sure = false;
        self.system = None;
    }

    fn keep_flush(&mut self, slot: u64, id: EntryId, ends: Option<(Version, u64)>) {
        if let Some(flush) = self.flushes.get_mut(&slot) {
            *flush = Some(Flush { id, ends });
        }
    }

    /// The last slot of the log.
    pub(super) fn slot(&self) -> u64 {
        self.slot
    }
}

impl Walked {
    /// The last versions may not have been seen either.
    fn unseen_up_to_bound(&mut self, last: Version) {
        if last < self.bound {
            self.unseen.push((Version(last.0 + 1), self.bound));
        }
    }

    fn keep_slot(&mut self, first: Version, slot: u64) {
        let before = self.slots.last_key_value();
        if before.is_none_or(|(at, _)| first.0 >= at.0 + SLOTS_STEP) {
            self.slots.insert(first, slot);
        }
    }
}
