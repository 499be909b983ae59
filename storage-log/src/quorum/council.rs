//! All voters as a client knows them, and what follows from that: what is decided, and who votes.

use std::time::Duration;

use super::member::{Doing, Lost, Member};
use super::request::{Event, Request};
use super::{Asked, Epoch, Point, Proof, Value, VoterId, Voters};
use crate::LogId;
use crate::planted::planted;

/// The voters as a client knows them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Council {
    pub(crate) log: LogId,
    pub(crate) proof: Proof,
    pub(crate) voters: Voters,
    pub(crate) members: Vec<Member>,
    /// The last that is known to be decided.
    pub(crate) decided: Point,
    pub(crate) out: Vec<Request>,
}

impl Council {
    pub(crate) fn new(log: LogId, proof: Proof, voters: Voters) -> Self {
        let members = voters.members.iter().map(|voter| Member::new(*voter, None)).collect();
        Self { log, proof, voters, members, decided: Point::genesis(log), out: Vec::new() }
    }

    /// The same as known, for another who asks.
    pub(crate) fn known(&self) -> Self {
        let members = self.members.iter().map(Member::known).collect();
        Self { members, voters: self.voters.clone(), out: Vec::new(), ..*self }
    }

    /// Takes in what a voter said, and what follows from it.
    pub(crate) fn take(&mut self, event: Event, now: Duration) {
        match event {
            Event::Answer(voter, asked) => self.answer(voter, asked),
            Event::Marked { voter, base, asked } => {
                if let Some(member) = self.members.iter_mut().find(|each| each.voter() == voter) {
                    member.marked(base.map(|base| *base), asked);
                }
            }
            Event::NotMarked(voter) => {
                if let Some(member) = self.members.iter_mut().find(|each| each.voter() == voter) {
                    member.marking_failed(&mut self.out);
                }
            }
            Event::Resumed(voter) => {
                if let Some(member) = self.members.iter_mut().find(|each| each.voter() == voter) {
                    member.resumed();
                }
            }
            Event::Fetched { .. } | Event::BackedOff => {}
        }
        self.conclude(now);
    }

    fn answer(&mut self, voter: VoterId, asked: Asked) {
        let Some(member) = self.members.iter_mut().find(|each| each.voter() == voter) else {
            return;
        };
        let mut voters = None;
        let mut asked = asked;
        if let (Asked::Found(cell), Doing::Reading(position)) = (&asked, &member.doing)
            && Some(*position) == member.voters_at()
        {
            voters = cell.value().and_then(Value::new_voters).cloned();
            if voters.is_none() {
                asked = Asked::Damaged(format!("position {position} does not say who votes"));
            }
        }
        member.answered(asked, &mut self.out);
        if let Some(voters) = voters {
            self.adopt(&voters);
        }
    }

    /// From here on these vote.
    pub(crate) fn adopt(&mut self, voters: &Voters) {
        if voters.version <= self.voters.version {
            return;
        }
        self.voters = voters.clone();
        let mut known = std::mem::take(&mut self.members);
        for voter in &voters.members {
            let at = known.iter().position(|member| member.voter() == *voter);
            let member = at.map(|at| known.swap_remove(at));
            self.members.push(member.unwrap_or_else(|| Member::new(*voter, None)));
        }
    }

    /// What is known to be decided. A value is put only where all before it is decided, so what one voter has
    /// accepted tells that of all before; and what a quorum has accepted in one epoch is decided itself.
    pub(crate) fn conclude(&mut self, now: Duration) {
        let quorum = if planted("quorum-decides-by-one") { 1 } else { self.voters.quorum };
        let mut new_voters = None;
        for member in self.members.iter().filter(|member| member.base.is_some()) {
            let Some(cell) = member.accepted_cell() else {
                self.decided = self.decided.max(member.accepted().0);
                continue;
            };
            let Some(value) = cell.value() else { continue };
            self.decided = self.decided.max(value.before());
            if value.new_voters() == Some(&self.voters) {
                // That they vote is known to be decided.
                self.decided = self.decided.max(value.point());
            }
            if value.point().index <= self.decided.index
                || value.before().version() != self.voters.version
            {
                continue;
            }
            let same = |other: &&Member| {
                other.base.is_some()
                    && other.accepted() == (value.point(), cell.epoch())
                    && other.is_proved(self.proof, now)
            };
            if self.members.iter().filter(same).count() >= quorum {
                self.decided = value.point();
                new_voters = value.new_voters().cloned();
            }
        }
        if let Some(voters) = new_voters {
            self.adopt(&voters);
        }
    }

    /// Whether those are known who vote on what comes after the last decision known.
    pub(crate) fn is_current(&self) -> bool {
        self.decided.version() == self.voters.version
    }

    /// Asks a voter for what has to be known of it before anything else. Whether there was nothing left to ask.
    pub(crate) fn look(&mut self, at: usize) -> bool {
        let member = &mut self.members[at];
        if member.doing != Doing::Nothing || !member.is_hopeful() {
            return false;
        }
        if member.base.is_none() {
            member.mark(&mut self.out);
            return false;
        }
        if let Some(position) = member.read_next() {
            member.read(position, &mut self.out);
            return false;
        }
        if member.version() > self.voters.version {
            if let Some(position) = member.voters_at() {
                member.read(position, &mut self.out);
            } else if let Some(voters) = member.first_voters().cloned() {
                self.adopt(&voters);
            }
            return false;
        }
        true
    }

    /// The highest epoch that any voter is known to have promised.
    pub(crate) fn promised(&self) -> Epoch {
        self.members.iter().map(Member::promised).max().unwrap_or(Epoch::ZERO)
    }

    /// Whether so many voters may still answer that a quorum can.
    pub(crate) fn is_hopeful(&self) -> bool {
        let hopeful = self.members.iter().filter(|member| member.is_hopeful()).count();
        hopeful >= self.voters.quorum
    }

    /// Whether an answer of a voter is awaited.
    pub(crate) fn is_busy(&self) -> bool {
        self.members.iter().any(|member| member.doing != Doing::Nothing || member.is_marking())
    }

    /// Whether an answer is awaited of a voter that has not failed so far.
    pub(crate) fn is_expecting(&self) -> bool {
        self.members.iter().any(Member::is_expected)
    }

    /// Whether the ends of the chains of a quorum are known.
    pub(crate) fn has_quorum_known(&self) -> bool {
        self.members.iter().filter(|member| member.is_known()).count() >= self.voters.quorum
    }

    /// Those that were found to be no voters any more.
    pub(crate) fn lost(&self) -> impl Iterator<Item = (VoterId, &Lost)> {
        self.members.iter().filter_map(|member| Some((member.voter(), member.lost.as_ref()?)))
    }
}
