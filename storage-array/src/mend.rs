//! Bringing members what they lack, the objects first that are closest to being lost.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesOrdered, StreamExt as _};
use storage_core::{Error, ErrorKind, Key, Prefix, Result};

use crate::cell::{Kind, kind_by_length};
use crate::core::Core;
use crate::listing::Stretch;
use crate::marks::Watched;
use crate::pace::Pace;
use crate::repair::Look;
use crate::scrub::Scrubbed;

/// A piece that is not there needs no more to be found out.
const HEADS: Look = Look { whole: false, patient: true };

/// How often it is looked whether records are still relied on, and for how long in all.
const LOOK_EVERY: Duration = Duration::from_millis(500);
const SEEN_OFF_MAX: Duration = Duration::from_secs(60);

/// What to repair, and how fast.
#[derive(Debug, Clone)]
pub struct Mend {
    /// Only objects whose keys begin so.
    pub prefix: Prefix,
    /// How long a member may take to show that it is there.
    pub wait: Duration,
    /// How many objects are repaired together.
    pub at_once: usize,
    /// How many bytes a second may be moved, to and from all members together.
    pub bytes_per_second_max: Option<u64>,
}

impl Default for Mend {
    fn default() -> Self {
        let wait = Duration::from_secs(30);
        Self { prefix: Prefix::all(), wait, at_once: 4, bytes_per_second_max: None }
    }
}

/// What a repair has done so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mended {
    /// Objects in the lists.
    pub listed: u64,
    /// Objects that were found to lack something, and are to be repaired: known once all are listed.
    pub to_do: Option<u64>,
    /// Of these, by how many pieces they are short, how many.
    pub short_by: BTreeMap<usize, u64>,
    /// What was repaired, and what could not be.
    pub done: Scrubbed,
    /// Members that do not answer, and why: nothing is brought to them.
    pub away: Vec<(String, String)>,
    /// Members that running processes still go on without, or bring what they owe, by their records: they have what
    /// the lists showed, but not what is put at this moment.
    pub behind: Vec<String>,
}

impl Mended {
    /// Whether every object has all its pieces now, on all members, as far as lists tell.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.away.is_empty() && self.behind.is_empty() && self.done.is_whole()
    }
}

/// How urgent an object is: by how many pieces it is short, or that its lengths do not tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Need {
    Nothing,
    Look,
    Short(usize),
}

impl Core {
    pub(crate) async fn mend(
        self: &Arc<Self>,
        how: &Mend,
        progress: &mut (dyn FnMut(&Mended) -> bool + Send),
    ) -> Result<Mended> {
        let mut answers = self.probe(how.wait).await;
        let mut report = Mended::default();
        report.done.short_by = vec![0; self.workers.len() + 1];
        if self.mend_once(how, &mut answers, &mut report, progress).await?
            && how.prefix == Prefix::all()
        {
            self.see_marks_off(how, &mut answers, &mut report, progress).await?;
        }
        Ok(report)
    }

    /// Waits, when everything is whole, until no process relies on a record that a member is behind, and removes those
    /// that nobody relies on; or notes, after a while, who is behind.
    pub(crate) async fn see_marks_off(
        self: &Arc<Self>,
        how: &Mend,
        answers: &mut [Result<Duration>],
        report: &mut Mended,
        progress: &mut (dyn FnMut(&Mended) -> bool + Send),
    ) -> Result<()> {
        let all: Vec<usize> = (0..self.workers.len()).collect();
        let mut watched = Watched::default();
        let began = self.env.monotonic();
        while report.is_whole() {
            let there = self.marks_on(&all).await?;
            let now = self.env.monotonic();
            watched.see(there, now);
            if watched.all().next().is_none() {
                return Ok(());
            }
            let left = watched.left(now);
            if !left.is_empty() {
                // What was put before they were left is in the lists by now.
                if !self.mend_once(how, answers, report, progress).await? {
                    return Ok(());
                }
                if report.is_whole() {
                    self.clear_marks(&left).await?;
                }
            } else if now.saturating_sub(began) < SEEN_OFF_MAX && progress(report) {
                self.env.sleep(LOOK_EVERY).await;
            } else {
                let behind = watched.all().filter_map(|mark| self.member_of_mark(mark));
                let behind: BTreeSet<usize> = behind.collect();
                let name = |at: usize| self.workers[at].member.name().to_owned();
                report.behind = behind.into_iter().map(name).collect();
                return Ok(());
            }
        }
        Ok(())
    }

    /// One repair of everything that the lists show; false when it was stopped.
    async fn mend_once(
        self: &Arc<Self>,
        how: &Mend,
        answers: &mut [Result<Duration>],
        report: &mut Mended,
        progress: &mut (dyn FnMut(&Mended) -> bool + Send),
    ) -> Result<bool> {
        let Some(mut needs) = self.needs(how, answers, report, progress).await? else {
            return Ok(false);
        };
        needs.remove(&Need::Nothing);
        report.to_do = Some(report.to_do.unwrap_or(0) + needs.values().sum::<u64>());
        for (need, objects) in &needs {
            if let Need::Short(pieces) = need {
                *report.short_by.entry(*pieces).or_insert(0) += objects;
            }
        }
        let pace = Pace::new(self, how.bytes_per_second_max);
        let mut go_on = true;
        // One walk over the lists for each degree of need, the greatest first: whatever is missing, no
        // memory is needed for it.
        for need in needs.into_keys().rev() {
            go_on = go_on && self.mend_all(how, need, answers, &pace, report, progress).await?;
        }
        self.name_those_away(answers, report);
        Ok(go_on)
    }

    /// How many objects need what; `None` when it was stopped.
    async fn needs(
        &self,
        how: &Mend,
        answers: &mut [Result<Duration>],
        report: &mut Mended,
        progress: &mut (dyn FnMut(&Mended) -> bool + Send),
    ) -> Result<Option<BTreeMap<Need, u64>>> {
        let mut needs = BTreeMap::new();
        let mut after = None;
        report.listed = 0;
        loop {
            let stretch = self.next_stretch(how, after.as_ref(), answers).await?;
            report.listed += stretch.cells.len() as u64;
            for (key, lengths) in &stretch.cells {
                *needs.entry(self.need(key, lengths, &stretch)).or_insert(0) += 1;
            }
            if !progress(report) {
                return Ok(None);
            }
            match stretch.more_after {
                Some(last) => after = Some(last),
                None => return Ok(Some(needs)),
            }
        }
    }

    /// Repairs every object that needs just this; false when it was stopped.
    async fn mend_all(
        self: &Arc<Self>,
        how: &Mend,
        need: Need,
        answers: &mut [Result<Duration>],
        pace: &Pace,
        report: &mut Mended,
        progress: &mut (dyn FnMut(&Mended) -> bool + Send),
    ) -> Result<bool> {
        let mut after = None;
        let mut go_on = true;
        loop {
            let stretch = self.next_stretch(how, after.as_ref(), answers).await?;
            let mut keys = stretch
                .cells
                .iter()
                .filter(|(key, lengths)| self.need(key, lengths, &stretch) == need)
                .map(|(key, _)| key);
            let away: BTreeSet<usize> =
                (0..self.workers.len()).filter(|at| !stretch.answered[*at]).collect();
            let mut mending = FuturesOrdered::new();
            loop {
                while go_on
                    && mending.len() < how.at_once.max(1)
                    && let Some(key) = keys.next()
                {
                    mending.push_back(async move {
                        pace.wait(self).await;
                        (key, self.repair(key, &BTreeSet::new(), HEADS).await)
                    });
                }
                let Some((key, repaired)) = mending.next().await else { break };
                report.done.objects += 1;
                report.done.last = Some(key.clone());
                match repaired {
                    Ok(mut found) => {
                        // Those that are away are told of once, not with every object.
                        found.failed.retain(|member| !away.contains(member));
                        report.done.add(self, &found);
                        if !found.failed.is_empty() {
                            let error = self.not_reached(&found);
                            report.done.fail(key, &error);
                        }
                    }
                    Err(error) => report.done.fail_whole(key, &error),
                }
                go_on &= progress(report);
            }
            match stretch.more_after {
                Some(last) if go_on => after = Some(last),
                _ => return Ok(go_on),
            }
        }
    }

    async fn next_stretch(
        &self,
        how: &Mend,
        after: Option<&Key>,
        answers: &mut [Result<Duration>],
    ) -> Result<Stretch> {
        let stretch = self.patient_stretch(&how.prefix, after, answers).await?;
        let there = stretch.answered.iter().filter(|answered| **answered).count();
        if there < self.answers_needed() {
            let total = self.workers.len();
            let because = answers.iter().find_map(|answer| answer.as_ref().err());
            let because = because.map(|error| format!(", one with: {error}")).unwrap_or_default();
            let what = format!("{there} of {total} members answer, too few{because}");
            return Err(Error::not_applied(ErrorKind::Unavailable, what));
        }
        Ok(stretch)
    }

    /// What an object needs, by its cells on the members that answer.
    fn need(&self, key: &Key, lengths: &[Option<u64>], stretch: &Stretch) -> Need {
        let there = stretch.answered.iter().filter(|answered| **answered).count();
        let present = lengths.iter().flatten().count();
        let is_tombstone = |length: &u64| kind_by_length(key, *length) == Some(Kind::Tombstone);
        match self.size_by_lengths(key, lengths, &stretch.answered) {
            // Too few pieces to be an object.
            Some(None) if !lengths.iter().flatten().all(is_tombstone) => Need::Nothing,
            _ if present < there => Need::Short(there - present),
            Some(_) => Need::Nothing,
            None => Need::Look,
        }
    }

    fn name_those_away(&self, answers: &[Result<Duration>], report: &mut Mended) {
        let away = answers.iter().zip(&self.workers).filter_map(|(answer, worker)| {
            let error = answer.as_ref().err()?;
            Some((worker.member.name().to_owned(), error.to_string()))
        });
        report.away = away.collect();
    }
}
