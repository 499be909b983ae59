//! Finding what is missing or damaged, and making it anew: one object, whatever fails.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{Either, select};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use storage_core::{Key, Result};

use crate::cell::{Generation, Header, Kind};
use crate::core::{Core, Happening};
use crate::gather::{Survey, Verdict};
use crate::look::Seen;

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
    /// The members of each of those.
    pub(crate) missing_on: Vec<usize>,
    pub(crate) damaged_on: Vec<usize>,
    pub(crate) repaired_on: Vec<usize>,
    /// Members that could not be looked at or written to.
    pub(crate) failed: BTreeSet<usize>,
    /// Whether it is deleted, on every member, and since when in milliseconds since the Unix epoch.
    pub(crate) deleted: Option<u64>,
}

/// How an object is looked at before it is repaired.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    /// Whether all bytes are read, not just heads.
    pub(crate) whole: bool,
    /// Whether members that are slow are waited for: else they are left out, and told of as not reached.
    pub(crate) patient: bool,
}

/// How long a member is waited for by those who are patient.
const PATIENCE: Duration = Duration::from_secs(30);

impl Repaired {
    fn is_damaged(&mut self, member: usize) {
        self.damaged += 1;
        self.damaged_on.push(member);
    }
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
        look: Look,
    ) -> Result<Repaired> {
        let inside = self.cell_key(key)?;
        let survey = self.look_over(key, &inside, look).await?;
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
            let all = self.look_over(key, &aside, look).await?;
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

    /// What the members have of an object.
    pub(crate) async fn look_over(&self, key: &Key, inside: &Key, look: Look) -> Result<Survey> {
        if look.patient {
            self.patient_survey(key, inside, look.whole).await
        } else {
            self.survey_of(key, inside, look.whole).await
        }
    }

    /// The same of all members that are not known to be down, however slow they are.
    async fn patient_survey(&self, key: &Key, inside: &Key, whole: bool) -> Result<Survey> {
        let total = self.workers.len();
        let mut asked: Vec<usize> =
            (0..total).filter(|member| !self.workers[*member].is_aside()).collect();
        if asked.len() < self.answers_needed() {
            asked = (0..total).collect();
        }
        let mut survey = Survey::new(total);
        let mut waiting: FuturesUnordered<_> = asked
            .clone()
            .into_iter()
            .map(|member| async move { (member, self.look(member, key, inside, whole).await) })
            .collect();
        let mut late = self.env.sleep(PATIENCE);
        loop {
            match select(waiting.next(), late).await {
                Either::Left((Some((member, seen)), left)) => {
                    survey.seen[member] = Some(seen);
                    late = left;
                }
                Either::Left((None, _)) => break,
                Either::Right(_) => break,
            }
        }
        for member in asked.into_iter().filter(|member| survey.seen[*member].is_none()) {
            // So that it is left alone when this goes on.
            self.workers[member].health().failed(self.env.monotonic());
        }
        // Damaged cells are answers here: they are there to be replaced.
        let damaged = survey.seen.iter().flatten().filter(|it| matches!(it, Seen::Damaged(_)));
        if total - survey.unknown() + damaged.count() < self.answers_needed() {
            return Err(self.unreadable(&survey, key));
        }
        Ok(survey)
    }

    /// The members whose cell must be written anew, and those that have what it takes.
    pub(crate) fn lost(
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
                        report.is_damaged(member);
                        lost.push(member);
                    } else {
                        sound.push(member);
                    }
                }
                Some(Seen::Absent) => {
                    report.missing += 1;
                    report.missing_on.push(member);
                    lost.push(member);
                }
                Some(Seen::Cell(_) | Seen::Damaged(_)) => {
                    report.is_damaged(member);
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
                    report.is_damaged(member);
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
            let header = Header { kind: Kind::Piece, index, blocks: Vec::new(), ..header.clone() };
            let cell = header.cell(key, &piece);
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
            Ok(_) => {
                report.repaired += 1;
                report.repaired_on.push(member);
                self.happened(member, key, Happening::Repaired);
            }
            Err(_) => {
                report.failed.insert(member);
            }
        }
    }

    /// Removes what says that an object is deleted, one member after the other, for as long as the others
    /// still say so: a put that comes meanwhile loses one piece at most, which is then repaired.
    pub(crate) async fn forget_deleted(self: &Arc<Self>, key: &Key) -> bool {
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
