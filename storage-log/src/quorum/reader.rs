//! Finding the end of the log: what was decided when the question was asked.

use std::time::Duration;

use super::council::Council;
use super::member::Doing;
use super::request::{Event, Request};
use super::{Point, Said, Value};
use crate::planted::planted;

/// Finds out what is decided, as a state machine: it is told what happened and says what to do, and does nothing
/// itself.
///
/// It asks every voter for the end of its chain and is content with as many answers as rule out that anything more was
/// decided before it began. Where a value is seen on too few voters to be sure, and on too many to be sure of the
/// contrary, it puts the same onto the others; where that is not possible either, somebody has to take over.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Reader {
    council: Council,
    helping: bool,
    found: Option<Found>,
}

/// What a [`Reader`] has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Found {
    /// Everything up to here is decided, and nothing after it was when the reading began.
    Decided(Point),
    /// A value may be decided or not: somebody has to take over to settle it.
    Doubt,
    /// Too few voters answer.
    Unreachable,
}

impl Reader {
    pub(crate) fn new(council: &Council) -> Self {
        let council = council.known();
        Self { council, helping: false, found: None }
    }

    /// The log is known to have come so far, by whoever asks.
    pub(crate) fn hint(&mut self, position: u64) {
        self.council.members.iter_mut().for_each(|member| member.hint(position));
    }

    /// What to do to begin with.
    pub fn start(&mut self, now: Duration) -> Vec<Request> {
        self.drive(now);
        std::mem::take(&mut self.council.out)
    }

    /// Takes in what happened, and says what to do next.
    pub fn on(&mut self, event: Event, now: Duration) -> Vec<Request> {
        self.council.take(event, now);
        self.drive(now);
        std::mem::take(&mut self.council.out)
    }

    /// What was found, once it was.
    #[must_use]
    pub fn found(&self) -> Option<Found> {
        self.found
    }

    pub(crate) fn into_council(self) -> Council {
        self.council
    }

    fn drive(&mut self, now: Duration) {
        if self.found.is_some() {
            return;
        }
        for at in 0..self.council.members.len() {
            if self.council.members.get(at).is_some() && self.council.look(at) {
                let Council { members, proof, out, .. } = &mut self.council;
                members[at].prove(*proof, now, out);
            }
        }
        self.council.conclude(now);
        self.found = self.judge(now);
        if self.found.is_none() && !self.council.is_expecting() {
            if !self.helping && self.help() {
                self.helping = true;
            } else if self.council.is_busy() && !self.council.has_quorum_known() {
                // Those who failed may yet answer.
            } else if !self.council.is_hopeful() {
                self.found = Some(Found::Unreachable);
            } else {
                self.found = Some(Found::Doubt);
            }
        }
    }

    /// Decided, if nothing can have been decided beyond.
    fn judge(&self, now: Duration) -> Option<Found> {
        let Council { members, voters, decided, proof, .. } = &self.council;
        if !self.council.is_current() {
            return None;
        }
        let count = voters.members.len();
        let (mut silent, mut beyond) = (0, Vec::new());
        for member in members {
            if !member.is_known() || !member.is_proved(*proof, now) {
                silent += 1;
            } else if member.accepted().0.index > decided.index {
                beyond.push(member.accepted().0.id);
            }
        }
        if planted("quorum-reader-asks-one") && silent < count {
            return Some(Found::Decided(*decided));
        }
        // At least one that answered would have to be in any quorum.
        if silent >= voters.quorum {
            return None;
        }
        let may_be_decided = |id| {
            let holders = beyond.iter().filter(|other| *other == id).count();
            holders + silent >= voters.quorum
        };
        let doubtful = beyond.iter().any(may_be_decided) && !planted("quorum-reader-ignores-doubt");
        (!doubtful).then_some(Found::Decided(*decided))
    }

    /// Puts what is in doubt onto those who lack it, for its leader. Whether there was anybody.
    fn help(&mut self) -> bool {
        let Council { members, decided, voters, log, out, .. } = &mut self.council;
        let cells = members.iter().filter(|member| member.is_known());
        let cells = cells.filter_map(|member| member.accepted_cell());
        let Some(cell) = cells
            .filter(|cell| cell.reach().0 == decided.index + 1)
            .max_by_key(|cell| cell.epoch())
            .cloned()
        else {
            return false;
        };
        let Some(value) = cell.value().cloned() else { return false };
        let mut helped = false;
        for member in members.iter_mut() {
            let ready = member.is_hopeful() && member.doing == Doing::Nothing && member.is_known();
            if ready
                && member.promised() <= cell.epoch()
                && value.before().version() == voters.version
                && is_next(&value, &member.accepted().0)
                && (member.accepted().0 != value.point() || member.accepted().1 < cell.epoch())
            {
                member.put(*log, cell.epoch(), Said::Accept(Box::new(value.clone())), out);
                helped = true;
            }
        }
        helped
    }
}

/// Whether a voter that accepted this last may accept `value`: right after it, or in its place.
fn is_next(value: &Value, accepted: &Point) -> bool {
    *accepted == value.before() || accepted.index == value.point().index
}

#[cfg(test)]
mod tests;
