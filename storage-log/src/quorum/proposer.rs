//! Getting something decided: taking over, recovering what others began, and committing in one round.

use std::collections::VecDeque;
use std::time::Duration;

use super::council::Council;
use super::member::{Lost, Member};
use super::reader::Reader;
use super::request::{Event, Request};
use super::{Epoch, Point, Proof, Said, Value, VoterId, Voters};
use crate::planted::planted;
use crate::{Entry, EntryId, LogId, Slot};

/// How many decided values are kept for voters that are behind.
const VALUES_MAX: usize = 16;

/// Gets something decided, as a state machine: it is told what happened and says what to do, and does nothing itself.
///
/// The rules it keeps, which `docs/formats/quorum-log.md` argues from:
///
/// 1. A value is proposed only where all before it is known to be decided.
/// 2. A voter gets a value only after it has the right ones of all indexes before.
/// 3. In one epoch there is one value for an index, and no two leaders have the same epoch.
/// 4. A put is sent again with the same bytes; a handle that begins anew takes another name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Proposer {
    council: Council,
    writer: u128,
    /// The highest round it has taken itself.
    round: u64,
    phase: Phase,
    /// The version of the voters who promised, or are to promise, the epoch it leads in.
    version: u64,
    goal: Option<Goal>,
    /// What is proposed in the epoch it leads, until it is decided.
    proposal: Option<Value>,
    /// It has taken over for this goal, so it knows all that was decided before.
    took_over: bool,
    /// The proposal is the goal's, and was sent to a voter perhaps.
    sent: bool,
    values: VecDeque<Value>,
    fetching: Option<u64>,
    fetch_failed: bool,
    fenced: u32,
    outcome: Option<Outcome>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Phase {
    Idle,
    /// Looking for the ends of the chains.
    Seeking,
    Promising(Epoch),
    Leading(Epoch),
    /// Another has taken over, and is left alone for a while.
    BackingOff,
}

/// What is to be decided.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Goal {
    /// This entry, at its slot.
    Append(Entry),
    /// Whatever others have begun.
    Settle,
    /// That these vote instead of those who vote in the version before.
    Change(Voters),
    /// That as many voters as decide have everything up to this index.
    Spread(u64),
}

/// What became of a goal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It is decided as it was wanted.
    Done(Point),
    /// Something else is decided there, for good.
    Taken(Point),
    /// More than that is decided; whether it is what was wanted is to be read.
    Passed(Point),
    /// It does not follow what is decided, so it can never be.
    Misplaced {
        /// Where the log ends.
        slot: Slot,
        /// The id of the last entry.
        entry: EntryId,
    },
    /// Too few voters answer.
    Unreachable {
        /// Whether it may be decided all the same, now or later.
        maybe: bool,
    },
}

impl Proposer {
    /// For the handle `writer`, a name that no other has, on the log of these voters.
    #[must_use]
    pub fn new(log: LogId, proof: Proof, voters: Voters, writer: u128) -> Self {
        Self {
            council: Council::new(log, proof, voters),
            writer,
            round: 0,
            phase: Phase::Idle,
            version: 0,
            goal: None,
            proposal: None,
            took_over: false,
            sent: false,
            values: VecDeque::new(),
            fetching: None,
            fetch_failed: false,
            fenced: 0,
            outcome: None,
        }
    }

    /// Begins to get something decided, as soon as nothing else is under way.
    ///
    /// # Panics
    ///
    /// While something is: see [`is_free`](Self::is_free).
    pub fn begin(&mut self, goal: Goal, now: Duration) -> Vec<Request> {
        assert!(self.is_free(), "one goal at a time");
        self.sent = match (&goal, &self.proposal) {
            (Goal::Append(entry), Some(value)) => value.point().id == entry.id(),
            _ => false,
        };
        let Council { ref members, .. } = self.council;
        let is_fenced = |epoch| members.iter().any(|member| member.promised() > epoch);
        if goal == Goal::Settle || self.leads().is_some_and(is_fenced) {
            self.proposal = None;
            self.phase = Phase::Idle;
        }
        self.goal = Some(goal);
        self.fetch_failed = false;
        self.took_over = false;
        self.fenced = 0;
        self.council.members.iter_mut().for_each(Member::begin);
        self.drive(now);
        std::mem::take(&mut self.council.out)
    }

    /// Takes in what happened, and says what to do next.
    pub fn on(&mut self, event: Event, now: Duration) -> Vec<Request> {
        match &event {
            Event::Fetched { index, value } if self.fetching == Some(*index) => {
                self.fetching = None;
                match value {
                    Some(value) => self.remember(value.clone()),
                    None => self.fetch_failed = true,
                }
            }
            Event::BackedOff if self.phase == Phase::BackingOff => self.phase = Phase::Idle,
            _ => {}
        }
        self.council.take(event, now);
        self.drive(now);
        std::mem::take(&mut self.council.out)
    }

    /// Whether another goal may begin.
    #[must_use]
    pub fn is_free(&self) -> bool {
        self.goal.is_none() && self.outcome.is_none()
    }

    /// What became of the goal, once it is known; told once.
    pub fn outcome(&mut self) -> Option<Outcome> {
        self.outcome.take()
    }

    /// A machine that finds the end of the log, knowing what this one knows.
    #[must_use]
    pub fn reader(&self) -> Reader {
        Reader::new(&self.council)
    }

    /// The last that is known to be decided.
    #[must_use]
    pub fn decided(&self) -> Point {
        self.council.decided
    }

    /// Who votes, as far as is known.
    #[must_use]
    pub fn voters(&self) -> &Voters {
        &self.council.voters
    }

    /// The epoch that this handle leads in, as far as it knows.
    #[must_use]
    pub fn leads(&self) -> Option<Epoch> {
        match self.phase {
            Phase::Leading(epoch) => Some(epoch),
            Phase::Idle | Phase::Seeking | Phase::Promising(_) | Phase::BackingOff => None,
        }
    }

    /// The voters that were found to be none any more, and why.
    pub fn lost(&self) -> impl Iterator<Item = (VoterId, &Lost)> {
        self.council.lost()
    }

    /// Takes over what a reader has found out.
    pub(crate) fn learn(&mut self, found: &Council) {
        self.council.decided = self.council.decided.max(found.decided);
        self.council.adopt(&found.voters);
        for (mine, theirs) in self.council.members.iter_mut().zip(&found.members) {
            mine.learn(theirs);
        }
    }

    /// Takes in that these vote from their version on, which somebody knows to be decided.
    pub(crate) fn adopt(&mut self, voters: &Voters) {
        self.council.adopt(voters);
    }

    pub(crate) fn council(&self) -> &Council {
        &self.council
    }

    fn drive(&mut self, now: Duration) {
        while self.turn(now) {}
        for at in 0..self.council.members.len() {
            if at < self.council.members.len() {
                self.work(at, now);
            }
        }
        if self.goal.is_none() || self.phase == Phase::BackingOff {
            return;
        }
        let waits = self.council.is_busy() || self.fetching.is_some();
        if !self.council.is_hopeful() || !waits {
            self.finish(Outcome::Unreachable { maybe: self.sent });
        }
    }

    /// One step of the whole; whether there was one.
    fn turn(&mut self, now: Duration) -> bool {
        self.council.conclude(now);
        self.keep_decided();
        if let Some(outcome) = self.is_settled() {
            self.finish(outcome);
            return true;
        }
        let is_behind = !self.council.is_current();
        // Who votes from here on has promised nothing yet.
        let is_changed = self.version != self.council.voters.version;
        match self.phase {
            Phase::Idle if self.goal.is_some() => {
                self.council.members.iter_mut().for_each(Member::forget_end);
                self.phase = Phase::Seeking;
            }
            Phase::Promising(_) | Phase::Leading(_) if is_behind || is_changed => {
                self.proposal = None;
                self.phase = Phase::Idle;
            }
            Phase::Seeking if !is_behind && self.council.has_quorum_known() => {
                self.round = self.round.max(self.council.promised().round) + 1;
                self.proposal = None;
                let epoch = Epoch { round: self.round, writer: self.writer };
                self.phase = Phase::Promising(epoch);
                self.version = self.council.voters.version;
            }
            Phase::Promising(epoch) | Phase::Leading(epoch)
                if self.council.promised() > epoch && !planted("quorum-ignores-fencing") =>
            {
                self.back_off();
            }
            Phase::Promising(epoch) => return self.recover(epoch, now),
            Phase::Leading(_) if self.proposal.is_none() => return self.propose(now),
            _ => return false,
        }
        true
    }

    /// Another leads now. Whoever wants something comes back after a pause, so that both get on.
    fn back_off(&mut self) {
        self.proposal = None;
        self.phase = Phase::Idle;
        self.fenced += 1;
        if self.goal.is_some() && self.fenced > 1 {
            self.phase = Phase::BackingOff;
            self.council.out.push(Request::BackOff { times: self.fenced - 1 });
        }
    }

    /// With the promises of a quorum: proposes what the latest leader may have got decided, if there is anything.
    fn recover(&mut self, epoch: Epoch, now: Duration) -> bool {
        let Council { members, voters, proof, decided, .. } = &self.council;
        let unasked = planted("quorum-asks-no-promises");
        let has_promised = |member: &&Member| {
            member.is_known()
                && (unasked || member.promised() == epoch && member.is_proved(*proof, now))
        };
        let promised: Vec<_> = members.iter().filter(has_promised).collect();
        if promised.len() < voters.quorum {
            return false;
        }
        let cells = promised.iter().filter_map(|member| member.accepted_cell());
        let cells = cells.filter(|cell| cell.reach().0 > decided.index);
        let latest = if planted("quorum-recovers-the-earliest") {
            cells.min_by_key(|cell| cell.epoch())
        } else {
            cells.max_by_key(|cell| (cell.reach().0, cell.epoch()))
        };
        self.proposal = latest.and_then(|cell| cell.value().cloned());
        self.phase = Phase::Leading(epoch);
        self.took_over = true;
        true
    }

    /// Proposes the goal, which follows the last decision. Whether there is one that does.
    fn propose(&mut self, now: Duration) -> bool {
        let Council { log, decided, .. } = self.council;
        let value = match &self.goal {
            Some(Goal::Append(entry)) => match Value::of(entry, decided) {
                Some(value) => value,
                None if !self.took_over => {
                    self.phase = Phase::Idle;
                    return true;
                }
                None => {
                    let (slot, entry) = (decided.slot, decided.entry);
                    self.finish(Outcome::Misplaced { slot, entry });
                    return true;
                }
            },
            Some(Goal::Change(voters)) => {
                let members = voters.members.clone();
                let Ok(value) = Value::voters(log, decided, voters.quorum, members) else {
                    self.finish(Outcome::Taken(decided));
                    return true;
                };
                value
            }
            Some(Goal::Settle) => {
                self.finish(Outcome::Done(decided));
                return true;
            }
            // Until then each voter is given what it lacks.
            Some(Goal::Spread(_)) => {
                let is_done = self.is_spread(now);
                if is_done {
                    self.finish(Outcome::Done(decided));
                }
                return is_done;
            }
            None => return false,
        };
        self.proposal = Some(value);
        self.sent = true;
        true
    }

    /// Whether as many voters as decide have all that is decided.
    fn is_spread(&self, now: Duration) -> bool {
        let Council { members, voters, proof, decided, .. } = &self.council;
        let has_all = |member: &&Member| {
            let has = || member.accepted().0;
            member.base.is_some()
                && (has() == *decided || has().index > decided.index)
                && member.is_proved(*proof, now)
        };
        members.iter().filter(has_all).count() >= voters.quorum
    }

    /// Whether the goal is decided, one way or the other.
    fn is_settled(&self) -> Option<Outcome> {
        let decided = self.council.decided;
        match self.goal.as_ref()? {
            Goal::Append(entry) if decided.slot == entry.slot() => {
                let is_ours = decided.entry == entry.id();
                Some(if is_ours { Outcome::Done(decided) } else { Outcome::Taken(decided) })
            }
            Goal::Append(entry) if decided.slot > entry.slot() => Some(Outcome::Passed(decided)),
            Goal::Change(voters) if decided.version() >= voters.version => {
                let is_ours = self.council.voters == *voters;
                let is_known = self.council.is_current();
                let done = if is_ours { Outcome::Done } else { Outcome::Taken };
                is_known.then(|| done(decided))
            }
            // Those who vote now have decided on something since, so they have what was before.
            Goal::Spread(index) if decided.index > *index && self.council.is_current() => {
                Some(Outcome::Done(decided))
            }
            Goal::Append(_) | Goal::Change(_) | Goal::Settle | Goal::Spread(_) => None,
        }
    }

    fn finish(&mut self, outcome: Outcome) {
        self.goal = None;
        self.sent = false;
        self.outcome = Some(outcome);
        if self.leads().is_none() {
            self.phase = Phase::Idle;
        }
    }

    /// Keeps what was decided for voters that lack it.
    fn keep_decided(&mut self) {
        let decided = self.council.decided;
        if self.proposal.as_ref().is_some_and(|value| value.point().index <= decided.index) {
            self.proposal = None;
        }
        if self.values.iter().any(|value| value.point() == decided) {
            return;
        }
        let cells = self.council.members.iter().filter_map(Member::accepted_cell);
        let value = cells.filter_map(super::Cell::value).find(|value| value.point() == decided);
        if let Some(value) = value.cloned() {
            self.remember(value);
        }
    }

    fn remember(&mut self, value: Value) {
        self.values.push_back(value);
        if self.values.len() > VALUES_MAX {
            self.values.pop_front();
        }
    }

    /// Gives a voter something to do, if there is anything for it.
    fn work(&mut self, at: usize, now: Duration) {
        if matches!(self.phase, Phase::Idle | Phase::BackingOff) || !self.council.look(at) {
            return;
        }
        let lack = match self.phase {
            Phase::Leading(epoch) => self.lacks(at, epoch),
            _ => Lack::Nothing,
        };
        let Council { log, proof, members, out, decided, .. } = &mut self.council;
        let member = &mut members[at];
        if planted("quorum-marker-read-on-reads-only") && !member.is_proved(*proof, now) {
            return member.mark(out);
        }
        match self.phase {
            Phase::Promising(epoch) if member.promised() < epoch => {
                let (index, slot) = (member.accepted().0.index, member.accepted().0.slot);
                let said = Said::Promise { index, slot, decided: decided.index };
                member.prove_ahead(*proof, now, out);
                member.put(*log, epoch, said, out);
            }
            Phase::Promising(_) => member.prove(*proof, now, out),
            Phase::Leading(epoch) => match lack {
                Lack::Nothing => member.prove(*proof, now, out),
                Lack::Value(value) => {
                    member.prove_ahead(*proof, now, out);
                    member.put(*log, epoch, Said::Accept(value), out);
                }
                Lack::Unknown(index) => {
                    if self.fetching.is_none() && !self.fetch_failed {
                        self.fetching = Some(index);
                        out.push(Request::Fetch { index });
                    }
                }
            },
            Phase::Idle | Phase::Seeking | Phase::BackingOff => {}
        }
    }

    /// What a voter is to accept next in this epoch.
    fn lacks(&self, at: usize, epoch: Epoch) -> Lack {
        let (member, decided) = (&self.council.members[at], self.council.decided);
        let (has, accepted_in) = member.accepted();
        if member.promised() > epoch && !planted("quorum-ignores-fencing") {
            return Lack::Nothing;
        }
        if let Some(value) = &self.proposal {
            let index = value.point().index;
            if has.index == index {
                let is_same = has == value.point() && accepted_in == epoch;
                return if is_same { Lack::Nothing } else { Lack::Value(Box::new(value.clone())) };
            }
            if has == value.before() || planted("quorum-skips-what-is-missing") {
                return Lack::Value(Box::new(value.clone()));
            }
        }
        if has.index > decided.index || has == decided {
            return Lack::Nothing;
        }
        let known = |index| {
            let known = self.values.iter().find(|value| value.point().index == index);
            known.cloned().map_or(Lack::Unknown(index), |value| Lack::Value(Box::new(value)))
        };
        if has.index == decided.index {
            return known(has.index);
        }
        match known(has.index + 1) {
            Lack::Value(value) if value.before() != has => known(has.index),
            next => next,
        }
    }
}

/// What a voter is to accept next.
enum Lack {
    Nothing,
    Value(Box<Value>),
    /// The decision of this index, which has to be read first.
    Unknown(u64),
}

#[cfg(test)]
mod tests;
