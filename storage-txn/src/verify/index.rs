//! Verifying the index: every segment by itself, all of them against the log, and what nobody names.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use storage_core::{Get, StorageProvider};
use storage_log::{CommitLog, Slot};

use super::log::Walked;
use super::names::Listed;
use super::sums::{Mark, Sums, of_change, of_merge, of_range, of_writes};
use super::{Severity, Unnamed, Verifier};
use crate::change::Change;
use crate::format::commit::CommitRecord;
use crate::format::entry::Batch;
use crate::format::segment::{SegmentId, SegmentRef};
use crate::segment::{Cache, Content, Segment, Shelf};
use crate::state::derived;
use crate::store::key;
use crate::view::{Run, View, Walk, small};
use crate::writes::Range;
use crate::{Error, Result, Version, space};

/// How many ranges of versions in which the index is not as the log are looked into.
const DIFFERENCES_MAX: usize = 16;
/// How many changes are named that are not where they should be.
const NAMED_MAX: usize = 100;
/// While segments are checked hardly anything is read twice.
const CACHE_BYTES: usize = 8 << 20;
/// How often everything begins again because segments were replaced meanwhile.
const ROUNDS_MAX: usize = 3;

/// What checking one segment came to.
struct Checked {
    sums: Sums,
    changes: u64,
    wrong: Vec<(Option<u64>, String)>,
}

impl Verifier<'_> {
    pub(super) async fn index(
        &mut self,
        log: Arc<dyn CommitLog>,
        mut walked: Walked,
        listed: Listed,
    ) -> Result<()> {
        let cache = Arc::new(Cache::new(CACHE_BYTES));
        let shelf =
            Shelf { provider: self.provider.clone(), cache, scan_read_bytes: CACHE_BYTES / 4 };
        let mut round = 0;
        loop {
            round += 1;
            walked.present.refresh().await?;
            let segments = walked.present.system.segments()?;
            let (damaged, replaced, sums) = self.segments(&shelf, &mut walked, segments).await?;
            if replaced && round < ROUNDS_MAX {
                continue;
            }
            // What cannot be read is missing in the sums too.
            if damaged.is_empty() && !replaced {
                self.compare(&log, &shelf, &walked, &sums).await?;
                self.commits(&shelf, &walked).await?;
            }
            break;
        }
        self.unnamed(&mut walked, listed).await
    }

    /// Checks all segments that the store names. Those that are damaged; whether any were replaced by others meanwhile;
    /// the sums over what is in them.
    async fn segments(
        &mut self,
        shelf: &Shelf,
        walked: &mut Walked,
        segments: Vec<(SegmentId, Version, SegmentRef)>,
    ) -> Result<(Vec<SegmentId>, bool, Sums)> {
        let bound = walked.bound;
        let mut sums = Sums::new(bound);
        let (mut damaged, mut replaced) = (Vec::new(), false);
        let checks = segments.into_iter().map(|(id, _, about)| {
            let segment = Segment::new(shelf, id, about.clone());
            async move {
                let checked = check(&segment, bound).await?;
                Ok::<_, Error>((id, about, segment, checked))
            }
        });
        let mut checks = stream::iter(checks).buffered(self.options.requests_at_once.max(1));
        while let Some((id, about, segment, mut checked)) = checks.try_next().await? {
            if !checked.wrong.is_empty() {
                self.pause().await;
                walked.present.refresh().await?;
                if !is_current(walked, id) {
                    replaced = true;
                    continue;
                }
                checked = check(&segment, bound).await?;
            }
            self.read(about.bytes);
            self.report.segments += 1;
            self.report.changes += checked.changes;
            sums.add_all(&checked.sums);
            if checked.wrong.is_empty() {
                continue;
            }
            damaged.push(id);
            let unseen = |(first, last): &(Version, Version)| {
                first.0 <= about.last_version && about.first_version <= last.0
            };
            let severity = if walked.unseen.iter().any(unseen) {
                Severity::Lost
            } else {
                Severity::Rebuildable
            };
            for (offset, what) in checked.wrong {
                self.found(severity, id.to_string(), offset, what);
            }
        }
        Ok((damaged, replaced, sums))
    }

    /// Whether segments hold what the log says, up to where they must.
    async fn compare(
        &mut self,
        log: &Arc<dyn CommitLog>,
        shelf: &Shelf,
        walked: &Walked,
        sums: &Sums,
    ) -> Result<()> {
        let seen = |first: Version, last: Version| {
            !walked.unseen.iter().any(|(from, to)| *from <= last && first <= *to)
        };
        // Up to the horizon not everything is kept.
        let lowest = Version(walked.present.system.horizon()?.0 + 1);
        let differences = walked.sums.differences(sums).into_iter();
        let differences = differences
            .filter(|(_, last)| *last >= lowest)
            .map(|(first, last)| (first.max(lowest), last));
        let differences = differences.filter(|(first, last)| seen(*first, *last));
        for (first, last) in differences.take(DIFFERENCES_MAX) {
            self.narrow(log, shelf, walked, first, last).await?;
        }
        Ok(())
    }

    /// Names the changes of these versions that are in the log and not in segments, or the other way around.
    async fn narrow(
        &mut self,
        log: &Arc<dyn CommitLog>,
        shelf: &Shelf,
        walked: &Walked,
        first: Version,
        last: Version,
    ) -> Result<()> {
        let last = last.min(walked.bound);
        let mut logged = logged(log, walked, first, last).await?;
        for (id, _, about) in walked.present.system.segments()? {
            if about.last_version < first.0 || last.0 < about.first_version {
                continue;
            }
            let mut unknown = Vec::new();
            let mut take = |content: Content<'_>| {
                let (mark, key, version) = mark_of(&content);
                if first <= version && version <= last {
                    match logged.get_mut(&mark) {
                        Some(found) => found.2 = true,
                        None if unknown.len() < NAMED_MAX => {
                            unknown.push((Bytes::copy_from_slice(key), version));
                        }
                        None => {}
                    }
                }
                Ok(())
            };
            Segment::new(shelf, id, about).check(&mut take).await?;
            for (key, version) in unknown {
                let what = format!(
                    "it has a change of the key \"{}\" in version {version} that the log does not have",
                    key.escape_ascii()
                );
                self.found(Severity::Rebuildable, id.to_string(), None, what);
            }
        }
        let missing = logged.values().filter(|(_, _, found)| !found).take(NAMED_MAX);
        for (slot, key, _) in missing {
            let what =
                format!("what it does to the key \"{}\" is in no segment", key.escape_ascii());
            self.found(Severity::Rebuildable, self.entry_name(*slot), None, what);
        }
        Ok(())
    }

    /// Whether there is a commit record of every version that the log no longer tells of, with times in order.
    async fn commits(&mut self, shelf: &Shelf, walked: &Walked) -> Result<()> {
        let mut runs: Vec<Arc<dyn Run>> = Vec::new();
        for (id, _, about) in walked.present.system.segments()? {
            runs.push(Arc::new(Segment::new(shelf, id, about)));
        }
        runs.sort_by_key(|run| std::cmp::Reverse(run.last()));
        let view = View { runs, ..View::default() };
        let horizon = walked.present.system.horizon()?;
        for (first, last) in &walked.unseen {
            let (first, last) = (&horizon.max(*first), walked.bound.min(*last));
            let range =
                Range { start: space::commit(*first), end: space::commit(Version(last.0 + 1)) };
            let mut walk = Walk::new(&view, Version(u64::MAX), &range, false, None).await?;
            let (mut expected, mut time) = (first.0, 0);
            while let Some((key, _, value)) = walk.next().await? {
                let version = u64::from_be_bytes(key[1..].try_into().unwrap_or_default());
                if version != expected {
                    self.missing_commits(expected, version - 1);
                }
                let record = CommitRecord::decode_at(Version(version), small(value)?)?;
                if record.time < time {
                    let what =
                        format!("version {version} has a time before that of the version before");
                    self.found(Severity::Lost, "segment/", None, what);
                }
                (expected, time) = (version + 1, record.time);
            }
            if expected <= last.0 {
                self.missing_commits(expected, last.0);
            }
        }
        Ok(())
    }

    fn missing_commits(&mut self, first: u64, last: u64) {
        let what = format!(
            "the log is collected or damaged from version {first} to {last}, and there are no commit records of them"
        );
        self.found(Severity::Lost, "segment/", None, what);
    }

    /// Counts what was there when verifying began, and is there still, and was not named then nor is now.
    async fn unnamed(&mut self, walked: &mut Walked, listed: Listed) -> Result<()> {
        let mut candidates: Vec<_> =
            listed.segments.into_iter().filter(|(id, _)| !is_named(walked, *id)).collect();
        if !candidates.is_empty() {
            self.pause().await;
            walked.present.refresh().await?;
            candidates.retain(|(id, _)| !is_named(walked, *id));
        }
        if !walked.present.is_certain {
            // Who knows what the rest of the log names.
            return Ok(());
        }
        let mut sessions: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
        for (id, bytes) in candidates {
            match self.provider.get(&key(id.to_string())?, Get::meta_only()).await {
                Ok(_) => {}
                Err(error) if error.kind() == storage_core::ErrorKind::NotFound => continue,
                Err(error) => return Err(error.into()),
            }
            let session = sessions.entry(id.session).or_default();
            *session = (session.0 + 1, session.1 + bytes);
            let what = format!("nothing names it ({bytes} bytes)");
            self.found(Severity::Garbage, id.to_string(), None, what);
        }
        let unnamed = sessions.into_iter().map(|(session, (objects, bytes))| Unnamed {
            session: format!("{session:016x}"),
            objects,
            bytes,
        });
        self.report.unnamed = unnamed.collect();
        Ok(())
    }
}

/// Whether it is part of the index.
fn is_current(walked: &Walked, id: SegmentId) -> bool {
    walked.present.system.get(id.to_string().as_bytes()).is_some()
}

/// Whether it is part of the index, or was and is to be deleted.
fn is_named(walked: &Walked, id: SegmentId) -> bool {
    let obsolete = format!("obsolete/{id}");
    is_current(walked, id) || walked.present.system.get(obsolete.as_bytes()).is_some()
}

async fn check(segment: &Segment, bound: Version) -> Result<Checked> {
    let (mut sums, mut changes) = (Sums::new(bound), 0);
    let mut take = |content: Content<'_>| {
        let (mark, _, version) = mark_of(&content);
        changes += 1;
        if version <= bound {
            sums.add(version, mark);
        }
        match content {
            Content::Change(key, stored) => derived_is_right(key, stored.version, &stored.change),
            Content::Emptied(..) => Ok(()),
        }
    };
    let wrong = segment.check(&mut take).await?;
    let wrong = wrong.into_iter().map(|wrong| (wrong.offset, wrong.what)).collect();
    Ok(Checked { sums, changes, wrong })
}

fn mark_of<'a>(content: &Content<'a>) -> (Mark, &'a [u8], Version) {
    match *content {
        Content::Change(key, stored) => {
            let mark = if stored.merged {
                of_merge(key, stored.version)
            } else {
                of_change(key, stored.version, &stored.change)
            };
            (mark, key, stored.version)
        }
        Content::Emptied(range, version) => (of_range(range, version), &range.start, version),
    }
}

/// Whether what is kept of a transaction stands where it must.
fn derived_is_right(key: &[u8], version: Version, change: &Change) -> Result<()> {
    let number = version.0.to_be_bytes();
    let wrong = |what| Err(Error::corrupt(format!("{what} of version {version} is wrong")));
    match (key.first(), change) {
        (Some(&space::COMMIT), Change::Put(value)) if key[1..] == number => {
            let record = CommitRecord::decode_at(version, value.clone())?;
            if record.id.len() == 16 { Ok(()) } else { wrong("the id in the commit record") }
        }
        (Some(&space::COMMIT), _) => wrong("the commit record"),
        (Some(&space::ID), Change::Put(value)) if key.len() == 17 && value[..] == number => Ok(()),
        (Some(&space::ID), _) => wrong("the id"),
        _ => Ok(()),
    }
}

/// What the log does in these versions: by its mark the slot, the key and whether it was found elsewhere.
async fn logged(
    log: &Arc<dyn CommitLog>,
    walked: &Walked,
    first: Version,
    last: Version,
) -> Result<BTreeMap<Mark, (u64, Bytes, bool)>> {
    let mut all = BTreeMap::new();
    let mut slot = walked.slots.range(..=first).next_back().map_or(1, |(_, slot)| *slot);
    while let Some(record) = log.read(Slot(slot)).await? {
        let Some(batch) = record.body().map(Batch::decode).transpose()? else {
            // It was collected meanwhile: there is nothing to compare any more.
            return Ok(BTreeMap::new());
        };
        if batch.first > last {
            break;
        }
        for (at, transaction) in batch.transactions.iter().enumerate() {
            let version = Version(batch.first.0 + at as u64);
            if first <= version && version <= last {
                let record = CommitRecord::of(transaction, slot, batch.time);
                let derived = derived(version, transaction, &record)?;
                for writes in [&transaction.writes, &derived] {
                    for (mark, key) in of_writes(writes, version) {
                        all.insert(mark, (slot, key.clone(), false));
                    }
                }
            }
        }
        slot += 1;
    }
    Ok(all)
}

#[cfg(test)]
mod tests;
