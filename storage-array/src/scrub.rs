//! Walking over all objects to find what is missing or damaged, and to repair it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesOrdered, StreamExt as _};
use storage_core::{Error, ErrorKind, Key, Prefix, Result};

use crate::core::Core;
use crate::gather::Verdict;
use crate::mend::{Mend, Mended};
use crate::pace::Pace;
use crate::repair::{Look, Repaired};
use crate::walk::Walk;

/// How many keys are taken from lists at a time.
const PAGE_KEYS: usize = 1000;
/// How many failures are told one by one, and keys kept.
const TOLD_MAX: usize = 100;
/// How often a walk is put on record while it goes on within a page.
const RECORD_EVERY: Duration = Duration::from_secs(10);

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
    /// Keep on the members how far it is and what it found, and go on where a walk like this one was
    /// interrupted. `start_after` is then not asked for.
    pub on_record: bool,
    /// Begin anew all the same.
    pub anew: bool,
    /// How many objects are looked at together. Each is held in memory, with all its pieces, when bytes are
    /// checked.
    pub at_once: usize,
    /// How many bytes a second may be moved, to and from all members together.
    pub bytes_per_second_max: Option<u64>,
}

impl Scrub {
    /// A walk over everything, with repairs, that forgets what was deleted a day ago, one object at a time, at
    /// full speed and off the record.
    #[must_use]
    pub fn new(depth: Depth) -> Self {
        Self {
            depth,
            repair: true,
            prefix: Prefix::all(),
            start_after: None,
            forget_deleted_after: Some(Duration::from_secs(24 * 3600)),
            on_record: false,
            anew: false,
            at_once: 1,
            bytes_per_second_max: None,
        }
    }

    fn look(&self) -> Look {
        Look { whole: self.depth == Depth::Bytes, patient: true }
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
    /// What was found on each member, by name.
    pub members: BTreeMap<String, MemberScrubbed>,
    /// The last key that was looked at.
    pub last: Option<Key>,
    /// Members that running processes still go on without, or bring what they owe, by their records. Not on record.
    pub behind: Vec<String>,
}

/// What a walk found on one member.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MemberScrubbed {
    /// Pieces that were not there.
    pub missing: u64,
    /// Pieces that were damaged, or left over from an earlier put.
    pub damaged: u64,
    /// Pieces written anew.
    pub repaired: u64,
    /// Pieces that could not be looked at, or not be written.
    pub failed: u64,
}

impl Scrubbed {
    /// Whether every object has all its pieces now.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.failures == 0
            && self.behind.is_empty()
            && self.unreadable.is_empty()
            && self.missing + self.damaged <= self.repaired
    }

    pub(crate) fn fail(&mut self, key: &Key, error: &Error) {
        self.failures += 1;
        if self.failed.len() < TOLD_MAX {
            self.failed.push((key.clone(), error.to_string()));
        }
    }

    /// Notes an error of an object that could not be read at all.
    pub(crate) fn fail_whole(&mut self, key: &Key, error: &Error) {
        if matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Unavailable) {
            self.unreadable.push(key.clone());
        }
        self.fail(key, error);
    }

    pub(crate) fn add(&mut self, core: &Core, found: &Repaired) {
        self.bytes += found.size;
        self.missing += found.missing;
        self.damaged += found.damaged;
        self.repaired += found.repaired;
        let mut count = |members: &[usize], field: fn(&mut MemberScrubbed) -> &mut u64| {
            for member in members {
                let name = core.workers[*member].member.name();
                *field(self.members.entry(name.to_owned()).or_default()) += 1;
            }
        };
        count(&found.missing_on, |it| &mut it.missing);
        count(&found.damaged_on, |it| &mut it.damaged);
        count(&found.repaired_on, |it| &mut it.repaired);
        let failed: Vec<usize> = found.failed.iter().copied().collect();
        count(&failed, |it| &mut it.failed);
    }
}

/// What was found out about one object.
enum One {
    /// It has all its pieces, by the lists.
    Whole(u64),
    /// It is deleted, on every member.
    Deleted,
    /// It was looked at.
    Looked { found: Repaired, short: usize, forgotten: bool },
    /// It could not be.
    Failed(Error),
}

impl Core {
    /// Walks over all objects; `progress` is told after each object and may stop the walk by answering false.
    pub(crate) async fn scrub(
        self: &Arc<Self>,
        scrub: &Scrub,
        progress: &mut (dyn FnMut(&Scrubbed) -> bool + Send),
    ) -> Result<Scrubbed> {
        let mut walk = self.begin_walk(scrub).await?;
        let pace = Pace::new(self, scrub.bytes_per_second_max);
        let mut after = walk.found.last.clone().or_else(|| scrub.start_after.clone());
        let mut kept = self.env.monotonic();
        let mut go_on = true;
        while go_on {
            let stretch = self.stretch(&scrub.prefix, after.as_ref(), PAGE_KEYS).await?;
            walk.everyone &= stretch.answered.iter().all(|answered| *answered);
            let mut keys = stretch.cells.iter();
            let mut looking = FuturesOrdered::new();
            loop {
                while go_on
                    && looking.len() < scrub.at_once.max(1)
                    && let Some((key, lengths)) = keys.next()
                {
                    let (pace, answered) = (&pace, &stretch.answered);
                    looking.push_back(async move {
                        pace.wait(self).await;
                        (key, self.scrub_one(scrub, key, lengths, answered).await)
                    });
                }
                let Some((key, one)) = looking.next().await else { break };
                self.note(&mut walk.found, key, one);
                go_on &= progress(&walk.found);
                if scrub.on_record && self.env.monotonic().saturating_sub(kept) >= RECORD_EVERY {
                    self.keep_walk(&mut walk).await;
                    kept = self.env.monotonic();
                }
            }
            walk.done = go_on && stretch.more_after.is_none();
            go_on &= !walk.done;
            after = stretch.more_after;
            if scrub.on_record {
                self.keep_walk(&mut walk).await;
                kept = self.env.monotonic();
            }
        }
        let all = scrub.prefix == Prefix::all() && scrub.start_after.is_none();
        if all && walk.done && walk.everyone && scrub.repair && walk.found.is_whole() {
            self.clear_after(scrub, &mut walk.found, progress).await?;
        }
        Ok(walk.found)
    }

    /// Removes the records that members were behind, of which nobody relies on one.
    async fn clear_after(
        self: &Arc<Self>,
        scrub: &Scrub,
        found: &mut Scrubbed,
        progress: &mut (dyn FnMut(&Scrubbed) -> bool + Send),
    ) -> Result<()> {
        let how = Mend {
            at_once: scrub.at_once,
            bytes_per_second_max: scrub.bytes_per_second_max,
            ..Mend::default()
        };
        let mut mended = Mended::default();
        mended.done.short_by = vec![0; self.workers.len() + 1];
        let mut answers: Vec<Result<Duration>> = vec![];
        answers.resize_with(self.workers.len(), || Ok(Duration::ZERO));
        let so_far = &*found;
        let mut tell = |_: &Mended| progress(so_far);
        self.see_marks_off(&how, &mut answers, &mut mended, &mut tell).await?;
        found.behind = mended.behind;
        found.missing += mended.done.missing;
        found.damaged += mended.done.damaged;
        found.repaired += mended.done.repaired;
        found.failures += mended.done.failures;
        found.failed.extend(mended.done.failed);
        found.unreadable.extend(mended.done.unreadable);
        for (member, why) in mended.away {
            found.failures += 1;
            found.behind.push(format!("{member} ({why})"));
        }
        Ok(())
    }

    /// A walk from its beginning, or from where it was interrupted.
    async fn begin_walk(&self, scrub: &Scrub) -> Result<Walk> {
        if scrub.on_record
            && !scrub.anew
            && let Some(walk) = self.last_walk().await
            && walk.is_interrupted(scrub)
        {
            return Ok(walk);
        }
        let mut walk = Walk::new(scrub, self.env.wall());
        walk.found.short_by = vec![0; self.workers.len() + 1];
        Ok(walk)
    }

    async fn scrub_one(
        self: &Arc<Self>,
        scrub: &Scrub,
        key: &Key,
        lengths: &[Option<u64>],
        answered: &[bool],
    ) -> One {
        let everywhere = lengths.iter().all(Option::is_some);
        if scrub.depth == Depth::Lists && everywhere {
            match self.size_by_lengths(key, lengths, answered) {
                Some(Some(size)) => return One::Whole(size),
                Some(None) if scrub.forget_deleted_after.is_none() => return One::Deleted,
                _ => {}
            }
        }
        let looked = match scrub.repair {
            true => self.repair_one(scrub, key).await,
            false => self.examine(key, scrub.look()).await,
        };
        looked.unwrap_or_else(One::Failed)
    }

    async fn repair_one(self: &Arc<Self>, scrub: &Scrub, key: &Key) -> Result<One> {
        let found = self.repair(key, &BTreeSet::new(), scrub.look()).await?;
        let old = |since: u64, age: Duration| {
            u128::from(self.wall_millis().saturating_sub(since)) >= age.as_millis()
        };
        let forgotten = match (found.deleted, scrub.forget_deleted_after) {
            (Some(since), Some(age)) if old(since, age) => self.forget_deleted(key).await,
            _ => false,
        };
        let short = (found.missing + found.damaged) as usize;
        Ok(One::Looked { found, short, forgotten })
    }

    /// Looks and repairs nothing.
    async fn examine(&self, key: &Key, look: Look) -> Result<One> {
        let inside = self.cell_key(key)?;
        let survey = self.look_over(key, &inside, look).await?;
        let generation = match survey.verdict(self) {
            Verdict::Nothing => return Ok(One::Deleted),
            Verdict::Present(generation) | Verdict::Begun(generation) => generation,
            Verdict::Open => match survey.only_possible(self) {
                Some(generation) => generation,
                None => return Err(self.unreadable(&survey, key)),
            },
        };
        let mut found = Repaired::default();
        let (_, sound) = self.lost(&survey, generation, &BTreeSet::new(), &mut found);
        found.size = survey.header(generation).map_or(0, |header| header.size);
        let short = self.workers.len() - sound.len().min(self.workers.len());
        Ok(One::Looked { found, short, forgotten: false })
    }

    fn note(&self, report: &mut Scrubbed, key: &Key, one: One) {
        report.objects += 1;
        report.last = Some(key.clone());
        match one {
            One::Whole(size) => {
                report.bytes += size;
                report.short_by[0] += 1;
            }
            One::Deleted => {}
            One::Looked { found, short, forgotten } => {
                report.add(self, &found);
                report.short_by[short.min(self.workers.len())] += 1;
                report.forgotten += u64::from(forgotten);
                if !found.failed.is_empty() {
                    let error = self.not_reached(&found);
                    report.fail(key, &error);
                }
            }
            One::Failed(error) => report.fail_whole(key, &error),
        }
    }

    /// That some members could not be looked at or written to.
    pub(crate) fn not_reached(&self, found: &Repaired) -> Error {
        let names: Vec<_> =
            found.failed.iter().map(|member| self.workers[*member].member.name()).collect();
        Error::not_applied(ErrorKind::Unavailable, format!("not reached: {}", names.join(", ")))
    }
}
