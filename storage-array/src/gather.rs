//! Asking members until it is certain what an object is, and then until there are pieces enough.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{Either, select};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use storage_core::{BoxFuture, Error, ErrorKind, Key, Result};

use crate::cell::{Generation, Header, Kind};
use crate::core::Core;
use crate::health::Work;
use crate::look::Seen;

/// What members have been asked about a key, and what they answered.
#[derive(Debug)]
pub(crate) struct Survey {
    pub(crate) seen: Vec<Option<Seen>>,
}

/// What can be said of an object after some answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is that of this generation, and nothing later was finished.
    Present(Generation),
    /// This generation is the last that was begun; it may not have come everywhere yet.
    Begun(Generation),
    /// There is none.
    Nothing,
    /// More must be asked.
    Open,
}

impl Survey {
    pub(crate) fn new(members: usize) -> Self {
        Self { seen: (0..members).map(|_| None).collect() }
    }

    /// A header of this generation.
    pub(crate) fn header(&self, generation: Generation) -> Option<&Header> {
        self.seen.iter().flatten().find_map(|seen| match seen {
            Seen::Cell(cell) if cell.header.generation == generation => Some(&cell.header),
            _ => None,
        })
    }

    /// The pieces of this generation that were read.
    pub(crate) fn pieces(&self, generation: Generation) -> Vec<(u8, Bytes)> {
        let piece = |seen: &Seen| match seen {
            Seen::Cell(cell) if cell.header.generation == generation => {
                cell.payload.clone().map(|payload| (cell.header.index, payload))
            }
            _ => None,
        };
        self.seen.iter().flatten().filter_map(piece).collect()
    }

    /// The greatest count of any generation seen.
    pub(crate) fn last_count(&self) -> u64 {
        self.seen
            .iter()
            .flatten()
            .filter_map(Seen::generation)
            .map(|it| it.count)
            .max()
            .unwrap_or(0)
    }

    /// Members that have given no usable answer.
    pub(crate) fn unknown(&self) -> usize {
        let known = |seen: &&Option<Seen>| matches!(seen, Some(Seen::Absent | Seen::Cell(_)));
        self.seen.len() - self.seen.iter().filter(known).count()
    }

    /// Why a member gave none, for the message.
    pub(crate) fn failure(&self) -> Option<&Error> {
        self.seen.iter().flatten().find_map(|seen| match seen {
            Seen::Failed(error) => Some(error),
            _ => None,
        })
    }

    fn counts(&self) -> BTreeMap<Generation, usize> {
        let mut counts = BTreeMap::new();
        for generation in self.seen.iter().flatten().filter_map(Seen::generation) {
            *counts.entry(generation).or_insert(0) += 1;
        }
        counts
    }

    pub(crate) fn verdict(&self, core: &Core) -> Verdict {
        let counts = self.counts();
        if let Some((last, held)) = counts.iter().next_back().filter(|(last, _)| last.count > 0) {
            return if *held >= core.answers_needed().max(core.quorum) {
                Verdict::Present(*last)
            } else {
                Verdict::Begun(*last)
            };
        }
        if let Some((decided, _)) =
            counts.iter().find(|(_, held)| **held >= core.agree.max(core.answers_needed()))
        {
            return Verdict::Present(*decided);
        }
        // What one put left on enough members to be read is finished, not hidden: the others may have been
        // wiped.
        let readable = counts.values().filter(|held| **held >= core.data()).count();
        let unknown = self.unknown();
        let undecidable = counts.values().any(|held| held + unknown >= core.agree);
        if unknown < core.quorum && readable != 1 && !undecidable {
            return Verdict::Nothing;
        }
        Verdict::Open
    }

    /// The one generation of count 0 that can be read, and that no other can turn out to have won against.
    pub(crate) fn only_possible(&self, core: &Core) -> Option<Generation> {
        let unknown = self.unknown();
        let mut readable = None;
        for (generation, held) in self.counts() {
            if held >= core.data() && readable.replace(generation).is_some() {
                return None;
            }
            if held < core.data() && held + unknown >= core.agree {
                return None;
            }
        }
        readable
    }

    /// How many more members should be asked, when so many have yet to answer.
    fn wanting(&self, core: &Core, waiting: usize) -> usize {
        let counts = self.counts();
        if counts.keys().next_back().is_some_and(|last| last.count > 0) {
            // Whoever may have something later.
            return self.seen.len();
        }
        let best = counts.values().max().copied().unwrap_or(0);
        let absent = self.seen.iter().filter(|seen| matches!(seen, Some(Seen::Absent))).count();
        let to_agree = core.agree.saturating_sub(best + waiting);
        if best > 0 {
            return to_agree;
        }
        to_agree.min(core.answers_needed().saturating_sub(absent + waiting))
    }
}

/// What a gathering is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Want {
    /// To know what the object is.
    Head,
    /// To have pieces enough to make it.
    Pieces,
}

type Ask<'a> = BoxFuture<'a, (usize, bool, Seen)>;

impl Core {
    /// Asks members, the likely fastest first, until what is wanted is known; a late one is overtaken by
    /// another, within the budget.
    pub(crate) async fn gather(
        &self,
        key: &Key,
        inside: &Key,
        want: Want,
        first: Option<usize>,
    ) -> (Survey, Verdict) {
        self.earn_hedge();
        let data = usize::from(self.shape().data);
        let mut order = self.order(key);
        if let Some(first) = first {
            order.retain(|member| *member != first);
            order.insert(0, first);
        }
        let mut survey = Survey::new(self.workers.len());
        // Whether each has been asked for its whole cell.
        let mut asked: Vec<Option<bool>> = vec![None; self.workers.len()];
        let mut waiting: FuturesUnordered<Ask<'_>> = FuturesUnordered::new();
        let mut began = self.env.monotonic();
        let mut more = self.agree.min(self.workers.len());
        loop {
            let whole_asked = asked.iter().filter(|asked| **asked == Some(true)).count();
            let mut whole_more = match want {
                Want::Head => 0,
                Want::Pieces => {
                    let verdict = survey.verdict(self);
                    let useless = whole_asked - self.useful(&survey, &asked, verdict);
                    (data + useless).saturating_sub(whole_asked)
                }
            };
            for member in &order {
                let whole = whole_more > 0 && asked[*member] != Some(true) && {
                    // One that was read in part and has nothing to give is not read whole.
                    match &survey.seen[*member] {
                        None => asked[*member].is_none(),
                        Some(Seen::Cell(cell)) => {
                            cell.payload.is_none() && cell.header.kind == Kind::Piece
                        }
                        Some(_) => false,
                    }
                };
                if whole {
                    more = more.saturating_sub(usize::from(asked[*member].is_none()));
                    whole_more -= 1;
                } else if more > 0 && asked[*member].is_none() {
                    more -= 1;
                } else {
                    continue;
                }
                asked[*member] = Some(whole);
                let member = *member;
                waiting.push(Box::pin(async move {
                    (member, whole, self.look(member, key, inside, whole).await)
                }));
            }
            let verdict = survey.verdict(self);
            let enough = match verdict {
                Verdict::Present(generation) => {
                    want == Want::Head
                        || survey.header(generation).is_some_and(|it| it.kind != Kind::Piece)
                        || survey.pieces(generation).len() >= data
                }
                // One that has it may be the only one that was neither missed by the put nor wiped since.
                Verdict::Nothing => (0..asked.len()).all(|member| {
                    let is_late = asked[member].is_some() && self.workers[member].is_aside();
                    survey.seen[member].is_some() || is_late
                }),
                Verdict::Begun(_) | Verdict::Open => false,
            };
            if enough || waiting.is_empty() {
                if !enough && asked.iter().any(Option::is_none) {
                    more = self.workers.len();
                    continue;
                }
                return (survey, verdict);
            }
            let patience = self.patience(&asked, &survey, began);
            match select(waiting.next(), self.env.sleep(patience)).await {
                Either::Left((Some((member, whole, seen)), _)) => {
                    // What was read whole is not made less by a look at its head.
                    let known = matches!(&survey.seen[member], Some(Seen::Cell(_)));
                    if whole || !known {
                        survey.seen[member] = Some(seen);
                    }
                    more = survey.wanting(self, waiting.len());
                }
                Either::Left((None, _)) => {}
                Either::Right(_) => {
                    began = self.env.monotonic();
                    let idle = |member: &&usize| match (asked[**member], &survey.seen[**member]) {
                        (None, _) => true,
                        (Some(false), Some(Seen::Cell(cell))) => {
                            want == Want::Pieces && cell.payload.is_none()
                        }
                        _ => false,
                    };
                    let next = order.iter().find(idle).copied();
                    if let Some(member) = next
                        && self.may_hedge()
                    {
                        // It is asked for all it has: it may have to stand in for the late one.
                        let whole = want == Want::Pieces;
                        asked[member] = Some(whole);
                        waiting.push(Box::pin(async move {
                            (member, whole, self.look(member, key, inside, whole).await)
                        }));
                    }
                }
            }
        }
    }

    /// Of the members asked for their whole cell, how many have given a piece of use, or may yet.
    fn useful(&self, survey: &Survey, asked: &[Option<bool>], verdict: Verdict) -> usize {
        let of_use = |(member, asked): &(usize, &Option<bool>)| {
            **asked == Some(true)
                && match &survey.seen[*member] {
                    None => true,
                    Some(Seen::Cell(cell)) => match verdict {
                        Verdict::Present(generation) | Verdict::Begun(generation) => {
                            cell.header.generation == generation
                                && (cell.payload.is_some() || cell.header.kind != Kind::Piece)
                        }
                        Verdict::Nothing | Verdict::Open => true,
                    },
                    // Where there is nothing at all, nothing more is to be read.
                    Some(Seen::Absent) => verdict == Verdict::Open,
                    Some(Seen::Damaged(_) | Seen::Failed(_)) => false,
                }
        };
        asked.iter().enumerate().filter(of_use).count()
    }

    /// How long to wait for those asked before one more is.
    fn patience(&self, asked: &[Option<bool>], survey: &Survey, began: Duration) -> Duration {
        let late = (0..asked.len())
            .filter(|member| asked[*member].is_some() && survey.seen[*member].is_none())
            .map(|member| self.workers[member].health().late_after(Work::Read))
            .min()
            .unwrap_or(Duration::from_secs(1));
        let passed = self.env.monotonic().saturating_sub(began);
        late.saturating_sub(passed).max(Duration::from_millis(1))
    }

    /// An error for an object of which too little can be read.
    pub(crate) fn unreadable(&self, survey: &Survey, key: &Key) -> Error {
        let answered = survey.seen.len() - survey.unknown();
        let because = match survey.failure() {
            Some(error) => format!(", one with: {error}"),
            None => String::new(),
        };
        let damaged = survey.seen.iter().flatten().any(|seen| matches!(seen, Seen::Damaged(_)));
        let kind = match survey.failure() {
            Some(error) if error.kind() == ErrorKind::Misconfigured => ErrorKind::Misconfigured,
            None if damaged => ErrorKind::Corrupt,
            _ => ErrorKind::Unavailable,
        };
        Error::not_applied(
            kind,
            format!(
                "\"{key}\": {answered} of {} members have a usable answer, too few{because}",
                survey.seen.len()
            ),
        )
    }

    /// Asks every member for the head of its cell, and waits until enough have answered that nothing
    /// finished can be missed; for the others as long as they usually take.
    pub(crate) async fn survey(&self, key: &Key, inside: &Key) -> Result<Survey> {
        self.survey_of(key, inside, false).await
    }

    pub(crate) async fn survey_of(&self, key: &Key, inside: &Key, whole: bool) -> Result<Survey> {
        let mut survey = Survey::new(self.workers.len());
        let mut waiting: FuturesUnordered<_> = (0..self.workers.len())
            .map(|member| async move { (member, self.look(member, key, inside, whole).await) })
            .collect();
        let began = self.env.monotonic();
        let mut patience = Duration::ZERO;
        while !waiting.is_empty() {
            let known = survey.seen.len() - survey.unknown();
            let next = if known < self.answers_needed() {
                waiting.next().await
            } else {
                patience = patience.max(self.grace(
                    &survey.seen.iter().map(Option::is_some).collect::<Vec<_>>(),
                    Work::Read,
                ));
                let left = patience.saturating_sub(self.env.monotonic().saturating_sub(began));
                match select(waiting.next(), self.env.sleep(left)).await {
                    Either::Left((next, _)) => next,
                    Either::Right(_) => break,
                }
            };
            if let Some((member, seen)) = next {
                survey.seen[member] = Some(seen);
            }
        }
        if survey.seen.len() - survey.unknown() < self.answers_needed().min(survey.seen.len()) {
            // Damaged cells are answers here: they are there to be replaced.
            let damaged =
                survey.seen.iter().flatten().filter(|it| matches!(it, Seen::Damaged(_))).count();
            if survey.seen.len() - survey.unknown() + damaged < self.answers_needed() {
                return Err(self.unreadable(&survey, key));
            }
        }
        Ok(survey)
    }

    /// Asks every member for the head of its cell until that is enough, or all have answered.
    pub(crate) async fn survey_until(
        &self,
        key: &Key,
        inside: &Key,
        enough: &(dyn Fn(&Survey) -> bool + Sync),
    ) -> Survey {
        let mut survey = Survey::new(self.workers.len());
        let mut waiting: FuturesUnordered<_> = (0..self.workers.len())
            .map(|member| async move { (member, self.look(member, key, inside, false).await) })
            .collect();
        while !enough(&survey)
            && let Some((member, seen)) = waiting.next().await
        {
            survey.seen[member] = Some(seen);
        }
        survey
    }

    /// How long, from the beginning, to wait for those who are not done: as long as they usually take, and
    /// not at all for those set aside.
    pub(crate) fn grace(&self, done: &[bool], work: Work) -> Duration {
        (0..done.len())
            .filter(|member| !done[*member] && !self.workers[*member].is_aside())
            .map(|member| self.workers[member].health().late_after(work))
            .max()
            .unwrap_or(Duration::ZERO)
    }
}
