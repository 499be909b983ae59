//! Finding what is missing or damaged, and making it anew: object by object, whatever fails.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use storage_core::{Error, ErrorKind, Key, Prefix, Result};

use crate::cell::{Generation, Header, Kind};
use crate::core::{Core, Happening};
use crate::gather::{Survey, Verdict};
use crate::look::Seen;

/// How thoroughly to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// Compares the lists of the members: what is missing, or of another length. One request for a thousand
    /// objects and member; nothing is read.
    Lists,
    /// Reads the head of every piece: also what is of another put, or damaged in its head.
    Heads,
    /// Reads every piece and checks every byte.
    Bytes,
}

/// What to do on a walk over all objects.
#[derive(Debug, Clone)]
pub struct Scrub {
    /// How thoroughly to look.
    pub depth: Depth,
    /// Whether to repair what is found.
    pub repair: bool,
    /// Only objects whose keys begin so.
    pub prefix: Prefix,
    /// Go on after this key: where an earlier walk was interrupted.
    pub start_after: Option<Key>,
    /// Remove what says that an object is deleted once it is older than this, when every member has it.
    pub forget_deleted_after: Option<Duration>,
}

impl Scrub {
    /// A walk over everything, with repairs, that forgets what was deleted a day ago.
    #[must_use]
    pub fn new(depth: Depth) -> Self {
        Self {
            depth,
            repair: true,
            prefix: Prefix::all(),
            start_after: None,
            forget_deleted_after: Some(Duration::from_secs(24 * 3600)),
        }
    }
}

/// What a walk has found so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scrubbed {
    /// Objects looked at.
    pub objects: u64,
    /// Bytes of those objects, where that was learnt.
    pub bytes: u64,
    /// Pieces that were not there.
    pub missing: u64,
    /// Pieces that were damaged, or left over from an earlier put.
    pub damaged: u64,
    /// Pieces written anew.
    pub repaired: u64,
    /// Objects for which too few pieces are left, now.
    pub unreadable: Vec<Key>,
    /// Objects that could not be looked at or repaired, and why: the first hundred.
    pub failed: Vec<(Key, String)>,
    /// How many of those there are.
    pub failures: u64,
    /// Deleted objects of which nothing is left now.
    pub forgotten: u64,
    /// By how many pieces objects are short of all they should have, before repairs: how many objects by
    /// number of pieces.
    pub short_by: Vec<u64>,
    /// The last key that was looked at.
    pub last: Option<Key>,
}

impl Scrubbed {
    /// Whether every object has all its pieces now.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.failures == 0
            && self.unreadable.is_empty()
            && self.missing + self.damaged <= self.repaired
    }

    fn fail(&mut self, key: &Key, error: &Error) {
        self.failures += 1;
        if self.failed.len() < 100 {
            self.failed.push((key.clone(), error.to_string()));
        }
    }
}

/// How one object fared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Repaired {
    /// Bytes of the object.
    pub size: u64,
    /// Pieces that were not there.
    pub missing: u64,
    /// Pieces that were damaged or of an earlier put.
    pub damaged: u64,
    /// Pieces written anew.
    pub repaired: u64,
    /// Members that could not be looked at or written to.
    pub(crate) failed: BTreeSet<usize>,
    /// Whether it is deleted, on every member, and since when in milliseconds since the Unix epoch.
    pub(crate) deleted: Option<u64>,
}

impl Core {
    /// Sees to it that what a read met is repaired.
    pub(crate) fn notice(self: &Arc<Self>, key: &Key, header: &Header, survey: &Survey) {
        for (member, seen) in survey.seen.iter().enumerate() {
            match seen {
                Some(Seen::Damaged(_)) => self.owe(member, key, true),
                Some(Seen::Absent) => self.owe(member, key, false),
                Some(Seen::Cell(cell)) if cell.header.generation != header.generation => {
                    self.owe(member, key, false);
                }
                _ => {}
            }
        }
    }

    /// Looks at every piece of an object, and writes those anew that are missing, damaged or of an earlier
    /// put. Reads as many pieces as are needed, and no more unless one of them is damaged.
    pub(crate) async fn repair(
        self: &Arc<Self>,
        key: &Key,
        suspects: &BTreeSet<usize>,
        whole: bool,
    ) -> Result<Repaired> {
        let inside = self.cell_key(key)?;
        let survey = self.survey_of(key, &inside, whole).await?;
        // What was begun is finished with what is missing.
        let generation = match survey.verdict(self) {
            Verdict::Nothing => return Ok(Repaired::default()),
            Verdict::Present(generation) | Verdict::Begun(generation) => generation,
            Verdict::Open => match survey.only_possible(self) {
                Some(generation) => generation,
                None => return Err(self.unreadable(&survey, key)),
            },
        };
        let Some(header) = survey.header(generation).cloned() else {
            return Err(self.unreadable(&survey, key));
        };
        let mut report = Repaired { size: header.size, ..Repaired::default() };
        if header.kind == Kind::Pointer {
            let aside = self.aside_key(generation);
            let all = self.survey_of(key, &aside, whole).await?;
            self.repair_pieces(key, &aside, &header, &all, suspects, &mut report).await?;
        }
        if header.kind == Kind::Piece {
            self.repair_pieces(key, &inside, &header, &survey, suspects, &mut report).await?;
        } else {
            let cell = Header { blocks: Vec::new(), index: 0, ..header.clone() }.cell(key, &[]);
            let (lost, _) = self.lost(&survey, generation, suspects, &mut report);
            for member in lost {
                self.rewrite(member, key, &inside, generation, cell.clone(), &mut report).await;
            }
        }
        if header.kind == Kind::Tombstone && report.failed.is_empty() {
            report.deleted = Some(header.written);
        }
        Ok(report)
    }

    /// The members whose cell must be written anew, and those that have what it takes.
    fn lost(
        &self,
        survey: &Survey,
        generation: Generation,
        suspects: &BTreeSet<usize>,
        report: &mut Repaired,
    ) -> (Vec<usize>, Vec<usize>) {
        let (mut lost, mut sound) = (Vec::new(), Vec::new());
        for (member, seen) in survey.seen.iter().enumerate() {
            match seen {
                Some(Seen::Cell(cell)) if cell.header.generation == generation => {
                    if suspects.contains(&member) && cell.payload.is_none() {
                        report.damaged += 1;
                        lost.push(member);
                    } else {
                        sound.push(member);
                    }
                }
                Some(Seen::Absent) => {
                    report.missing += 1;
                    lost.push(member);
                }
                Some(Seen::Cell(_) | Seen::Damaged(_)) => {
                    report.damaged += 1;
                    lost.push(member);
                }
                Some(Seen::Failed(_)) | None => {
                    report.failed.insert(member);
                }
            }
        }
        (lost, sound)
    }

    async fn repair_pieces(
        &self,
        key: &Key,
        inside: &Key,
        header: &Header,
        survey: &Survey,
        suspects: &BTreeSet<usize>,
        report: &mut Repaired,
    ) -> Result<()> {
        let generation = header.generation;
        let (mut lost, sound) = self.lost(survey, generation, suspects, report);
        if lost.is_empty() {
            return Ok(());
        }
        let data = usize::from(self.shape().data);
        let mut pieces = survey.pieces(generation);
        if pieces.len() < data {
            let mut from = self.order(key);
            from.retain(|member| sound.contains(member));
            let (fetched, found) = self.fetch(key, inside, generation, from).await;
            for (member, seen) in fetched.seen.iter().enumerate() {
                if let Some(Seen::Damaged(_)) = seen {
                    report.damaged += 1;
                    lost.push(member);
                }
            }
            pieces = found;
        }
        if pieces.len() < data {
            return Err(self.unreadable(survey, key));
        }
        pieces.truncate(data);
        let wanted: Vec<u8> = lost.iter().map(|member| self.index_of(key, *member)).collect();
        let made = self.coding.rebuild(&pieces, &wanted)?;
        for ((member, index), piece) in lost.into_iter().zip(wanted).zip(made) {
            let cell = Header { index, blocks: Vec::new(), ..header.clone() }.cell(key, &piece);
            self.rewrite(member, key, inside, generation, cell, report).await;
        }
        Ok(())
    }

    async fn rewrite(
        &self,
        member: usize,
        key: &Key,
        inside: &Key,
        generation: Generation,
        cell: Bytes,
        report: &mut Repaired,
    ) {
        let seen = None;
        match self.swing(member, key, inside, generation, cell, seen, true).await {
            Ok(()) => {
                report.repaired += 1;
                self.happened(member, key, Happening::Repaired);
            }
            Err(_) => {
                report.failed.insert(member);
            }
        }
    }

    /// Walks over all objects; `progress` is told after each page of keys and may stop the walk by answering
    /// false.
    pub(crate) async fn scrub(
        self: &Arc<Self>,
        scrub: &Scrub,
        progress: &mut (dyn FnMut(&Scrubbed) -> bool + Send),
    ) -> Result<Scrubbed> {
        let marks = self.marks().await?;
        let mut report =
            Scrubbed { short_by: vec![0; self.workers.len() + 1], ..Scrubbed::default() };
        let mut after = scrub.start_after.clone();
        let mut everyone = true;
        loop {
            let stretch = self.stretch(&scrub.prefix, after.as_ref(), usize::MAX).await?;
            everyone &= stretch.answered.iter().all(|answered| *answered);
            for (key, lengths) in &stretch.cells {
                report.objects += 1;
                self.scrub_one(scrub, key, lengths, &stretch.answered, &mut report).await;
                report.last = Some(key.clone());
            }
            let go_on = progress(&report);
            match stretch.more_after {
                Some(last) if go_on => after = Some(last),
                Some(_) => return Ok(report),
                None => break,
            }
        }
        let all = scrub.prefix == Prefix::all() && scrub.start_after.is_none();
        if all && everyone && scrub.repair && report.is_whole() {
            for marks in marks.values() {
                self.clear_marks(marks).await?;
            }
        }
        Ok(report)
    }

    async fn scrub_one(
        self: &Arc<Self>,
        scrub: &Scrub,
        key: &Key,
        lengths: &[Option<u64>],
        answered: &[bool],
        report: &mut Scrubbed,
    ) {
        let everywhere = lengths.iter().all(Option::is_some);
        let by_lengths = self.size_by_lengths(key, lengths, answered);
        if scrub.depth == Depth::Lists && everywhere {
            if let Some(Some(size)) = by_lengths {
                report.bytes += size;
                report.short_by[0] += 1;
                return;
            }
            if by_lengths == Some(None) && scrub.forget_deleted_after.is_none() {
                return;
            }
        }
        if !scrub.repair {
            return self.examine(scrub, key, report).await;
        }
        match self.repair(key, &BTreeSet::new(), scrub.depth == Depth::Bytes).await {
            Ok(found) => {
                report.bytes += found.size;
                report.missing += found.missing;
                report.damaged += found.damaged;
                report.repaired += found.repaired;
                let short = (found.missing + found.damaged) as usize;
                report.short_by[short.min(self.workers.len())] += 1;
                if !found.failed.is_empty() {
                    let members: Vec<_> = found
                        .failed
                        .iter()
                        .map(|member| self.workers[*member].member.name())
                        .collect();
                    let message = format!("not reached: {}", members.join(", "));
                    report.fail(key, &Error::not_applied(ErrorKind::Unavailable, message));
                }
                if let (Some(since), Some(age)) = (found.deleted, scrub.forget_deleted_after)
                    && u128::from(self.wall_millis().saturating_sub(since)) >= age.as_millis()
                    && self.forget_deleted(key).await
                {
                    report.forgotten += 1;
                }
            }
            Err(error) => self.note_failure(key, &error, report),
        }
    }

    /// Looks and repairs nothing.
    async fn examine(&self, scrub: &Scrub, key: &Key, report: &mut Scrubbed) {
        let looked = async {
            let inside = self.cell_key(key)?;
            let survey = self.survey_of(key, &inside, scrub.depth == Depth::Bytes).await?;
            let generation = match survey.verdict(self) {
                Verdict::Nothing => return Ok(()),
                Verdict::Present(generation) | Verdict::Begun(generation) => generation,
                Verdict::Open => match survey.only_possible(self) {
                    Some(generation) => generation,
                    None => return Err(self.unreadable(&survey, key)),
                },
            };
            let mut found = Repaired::default();
            let (_, sound) = self.lost(&survey, generation, &BTreeSet::new(), &mut found);
            report.missing += found.missing;
            report.damaged += found.damaged;
            let short = (self.workers.len() - sound.len()).min(self.workers.len());
            report.short_by[short] += 1;
            report.bytes += survey.header(generation).map_or(0, |header| header.size);
            Ok(())
        };
        if let Err(error) = looked.await {
            self.note_failure(key, &error, report);
        }
    }

    fn note_failure(&self, key: &Key, error: &Error, report: &mut Scrubbed) {
        if matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Unavailable) {
            report.unreadable.push(key.clone());
        }
        report.fail(key, error);
    }

    /// Removes what says that an object is deleted, one member after the other, for as long as the others
    /// still say so: a put that comes meanwhile loses one piece at most, which is then repaired.
    async fn forget_deleted(self: &Arc<Self>, key: &Key) -> bool {
        let Ok(inside) = self.cell_key(key) else { return false };
        let mut left: Vec<usize> = (0..self.workers.len()).collect();
        while let Some(member) = left.pop() {
            for other in left.iter().copied().chain([member]) {
                let seen = self.look(other, key, &inside, false).await;
                let deleted =
                    matches!(&seen, Seen::Cell(cell) if cell.header.kind == Kind::Tombstone);
                if !deleted {
                    self.owe(member, key, false);
                    return false;
                }
            }
            if self.workers[member].delete(&inside).await.is_err() {
                return false;
            }
        }
        true
    }
}
