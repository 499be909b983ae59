//! One voter, as far as a client knows it: the end of its chain, and whether it is still itself.

use std::time::Duration;

use super::request::{Asked, Request};
use super::{Base, Cell, CellHash, Epoch, Point, Proof, Said, Voters};
use crate::LogId;
use crate::planted::planted;

/// How often in one operation a voter may fail to answer before the operation goes on without it.
const FAILURES_MAX: u8 = 5;

/// One voter as a client knows it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Member {
    pub(crate) base: Option<Base>,
    voter: super::VoterId,
    /// The last cell known of its chain.
    last: Option<Cell>,
    /// The last cell known that accepts a value.
    accepted: Option<Cell>,
    /// The lowest position known to have been empty.
    empty: Option<u64>,
    /// How far ahead the next cell is looked for, while none was found to be empty.
    stride: u64,
    pub(crate) doing: Doing,
    /// Its marker is being read.
    marking: bool,
    /// Something was learned of it since that read began.
    marking_in_vain: bool,
    /// Its marker was read after all that is known of it.
    proved: bool,
    /// When the newest read of its marker began.
    marker_at: Option<Duration>,
    failures: u8,
    /// Why it is no voter any more, if it is none.
    pub(crate) lost: Option<Lost>,
}

/// What is under way at a voter, beside the reading of its marker.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Doing {
    Nothing,
    Reading(u64),
    Putting(Box<Cell>),
    /// It did not answer, and is left alone for a while.
    Pausing,
}

/// Why a voter does not count any more.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lost {
    /// Its marker is gone or another's: its place was emptied, or is another voter's now.
    Wiped,
    /// Its chain breaks the rules by which chains are written: it was tampered with or rolled back.
    Damaged(String),
}

impl Member {
    pub(crate) fn new(voter: super::VoterId, base: Option<Base>) -> Self {
        Self {
            base,
            voter,
            last: None,
            accepted: None,
            empty: None,
            stride: 0,
            doing: Doing::Nothing,
            marking: false,
            marking_in_vain: false,
            proved: false,
            marker_at: None,
            failures: 0,
            lost: None,
        }
    }

    pub(crate) fn voter(&self) -> super::VoterId {
        self.voter
    }

    /// Its chain is at least this long, as far as somebody knows.
    pub(crate) fn hint(&mut self, position: u64) {
        if self.last.is_none() && self.empty.is_none() {
            self.stride = position.saturating_sub(self.next()) + 1;
        }
    }

    /// For an operation that begins: what was given up is tried again.
    pub(crate) fn begin(&mut self) {
        self.failures = 0;
    }

    /// The same as known, with nothing under way: for another who asks.
    pub(crate) fn known(&self) -> Self {
        Self {
            doing: Doing::Nothing,
            marking: false,
            marking_in_vain: false,
            proved: false,
            failures: 0,
            empty: None,
            stride: 0,
            ..self.clone()
        }
    }

    /// Takes over what another has learned of it, unless that is out of date.
    pub(crate) fn learn(&mut self, theirs: &Self) {
        if self.voter != theirs.voter {
            return;
        }
        if self.base.is_none() {
            self.base.clone_from(&theirs.base);
        }
        if self.lost.is_none() {
            self.lost.clone_from(&theirs.lost);
        }
        self.marker_at = self.marker_at.max(theirs.marker_at);
        let position = |member: &Self| member.last.as_ref().map_or(0, |cell| cell.position);
        if self.doing == Doing::Nothing && position(theirs) > position(self) {
            self.last.clone_from(&theirs.last);
            self.accepted.clone_from(&theirs.accepted);
            self.learned();
            self.forget_end();
        }
    }

    /// The last cell known of its chain.
    pub(crate) fn last(&self) -> Option<&Cell> {
        self.last.as_ref()
    }

    /// Its end is to be looked for again.
    pub(crate) fn forget_end(&mut self) {
        self.empty = None;
        self.stride = 0;
    }

    /// Whether this operation may still hope for it.
    pub(crate) fn is_hopeful(&self) -> bool {
        self.lost.is_none() && self.failures < FAILURES_MAX
    }

    /// Where the next cell would stand.
    pub(crate) fn next(&self) -> u64 {
        let base = self.base.as_ref().map_or(0, |base| base.position);
        self.last.as_ref().map_or(base, |cell| cell.position) + 1
    }

    /// The highest epoch on its chain.
    pub(crate) fn promised(&self) -> Epoch {
        self.last.as_ref().map_or(Epoch::ZERO, |cell| cell.epoch)
    }

    /// What it accepted last, and in which epoch.
    pub(crate) fn accepted(&self) -> (Point, Epoch) {
        match (&self.accepted, &self.base) {
            (Some(cell), _) => match &cell.said {
                Said::Accept(value) => (value.point(), cell.epoch),
                Said::Promise { .. } => unreachable!("only cells that accept are kept as accepted"),
            },
            (None, Some(base)) => (base.point, Epoch::ZERO),
            (None, None) => unreachable!("nothing is asked of a voter before its marker was read"),
        }
    }

    /// The cell of what it accepted last, if that is on its chain.
    pub(crate) fn accepted_cell(&self) -> Option<&Cell> {
        self.accepted.as_ref()
    }

    /// How often voters were changed before those who decide on what it accepted last.
    pub(crate) fn version(&self) -> u64 {
        match self.accepted.as_ref().and_then(Cell::value) {
            Some(value) => value.before().version(),
            None => self.base.as_ref().map_or(0, |base| base.point.version()),
        }
    }

    /// Whether the end of its chain is known, and what it accepted last.
    pub(crate) fn is_known(&self) -> bool {
        self.base.is_some() && self.empty == Some(self.next()) && self.wanted().is_none()
    }

    /// Whether what is known of it counts: its marker was read after that, or not long before.
    pub(crate) fn is_proved(&self, proof: Proof, now: Duration) -> bool {
        if planted("quorum-marker-never") {
            return true;
        }
        self.lost.is_none()
            && match proof {
                Proof::Always => self.proved,
                Proof::Within(time) => {
                    self.marker_at.is_some_and(|at| now.saturating_sub(at) <= time)
                }
            }
    }

    /// What to read to know the end of its chain, and of older cells what belongs to it.
    pub(crate) fn read_next(&self) -> Option<u64> {
        let next = self.next();
        match self.empty {
            Some(empty) if empty == next => self.wanted(),
            Some(empty) => Some(next + (empty - next) / 2),
            None => Some(next.saturating_add(self.stride.max(1) - 1)),
        }
    }

    /// Asks for a cell, unless something else is under way.
    pub(crate) fn read(&mut self, position: u64, out: &mut Vec<Request>) {
        self.doing = Doing::Reading(position);
        out.push(Request::Read { voter: self.voter, position });
    }

    /// Asks for its marker, unless that is under way.
    pub(crate) fn mark(&mut self, out: &mut Vec<Request>) {
        if !self.marking {
            self.marking = true;
            self.marking_in_vain = false;
            out.push(Request::Mark { voter: self.voter });
        }
    }

    /// Asks for its marker where what is known of it does not count without.
    pub(crate) fn prove(&mut self, proof: Proof, now: Duration, out: &mut Vec<Request>) {
        if !self.is_proved(proof, now) {
            self.mark(out);
        }
    }

    /// Asks for its marker beside a put, so that the answer will count when it comes.
    pub(crate) fn prove_ahead(&mut self, proof: Proof, now: Duration, out: &mut Vec<Request>) {
        if let Proof::Within(time) = proof
            && self.marker_at.is_none_or(|at| now.saturating_sub(at) > time / 2)
        {
            self.mark(out);
        }
    }

    /// Puts what is said at the end of its chain.
    pub(crate) fn put(&mut self, log: LogId, epoch: Epoch, said: Said, out: &mut Vec<Request>) {
        let cell = self.frame(log, epoch, said);
        let cell = Box::new(cell);
        self.doing = Doing::Putting(cell.clone());
        out.push(Request::Put(cell));
    }

    fn frame(&self, log: LogId, epoch: Epoch, said: Said) -> Cell {
        let previous = self.last.as_ref().map_or(CellHash::NONE, |cell| cell.hash);
        let accepted_at = self.accepted.as_ref().map_or(0, |cell| cell.position);
        let mut voters_at = self.last.as_ref().map_or(0, |cell| cell.voters_at);
        if let (Said::Accept(value), Some(accepted)) = (&said, &self.accepted)
            && let Some(before) = accepted.value()
            && before.new_voters().is_some()
            && before.point().index < value.point().index
        {
            voters_at = accepted.position;
        }
        let place = (self.voter, self.next(), previous);
        Cell::new(log, place, epoch, said, (accepted_at, voters_at))
    }

    /// What was asked of it is answered.
    pub(crate) fn answered(&mut self, answer: Asked, out: &mut Vec<Request>) {
        match (answer, std::mem::replace(&mut self.doing, Doing::Nothing)) {
            (Asked::Created, Doing::Putting(cell)) => {
                let accepts = cell.value().is_some();
                self.empty = Some(cell.position + 1);
                self.found(*cell);
                let unsafely = planted("quorum-marker-read-on-reads-only")
                    || planted("quorum-marker-read-after-promises-only") && accepts;
                if !unsafely {
                    self.learned();
                }
            }
            // Somebody was first; who, is read next.
            (Asked::Exists, Doing::Putting(_)) => self.forget_end(),
            (Asked::Found(cell), Doing::Reading(_)) => {
                self.found(*cell);
                self.learned();
            }
            (Asked::Empty, Doing::Reading(position)) => {
                if position < self.next() {
                    self.lost = Some(Lost::Damaged(format!("position {position} is gone")));
                }
                self.empty = Some(self.empty.map_or(position, |empty| empty.min(position)));
                self.learned();
            }
            (Asked::Damaged(why), Doing::Reading(_)) => self.lost = Some(Lost::Damaged(why)),
            (Asked::Failed, Doing::Reading(_) | Doing::Putting(_)) => self.fail(out),
            (_, doing) => self.doing = doing,
        }
    }

    /// Its marker was read; the read began at `asked`.
    pub(crate) fn marked(&mut self, base: Option<Base>, asked: Duration) {
        self.marking = false;
        match base {
            Some(base) => {
                self.base.get_or_insert(base);
                self.proved = !self.marking_in_vain;
                self.marker_at = Some(asked);
            }
            None => self.lost = Some(Lost::Wiped),
        }
    }

    /// Its marker could not be read.
    pub(crate) fn marking_failed(&mut self, out: &mut Vec<Request>) {
        self.marking = false;
        match self.doing {
            Doing::Nothing => self.fail(out),
            _ => self.failures = self.failures.saturating_add(1),
        }
    }

    /// It was left alone for long enough.
    pub(crate) fn resumed(&mut self) {
        if self.doing == Doing::Pausing {
            self.doing = Doing::Nothing;
        }
    }

    /// Whether an answer of it is awaited, and it has not failed to answer in this operation.
    pub(crate) fn is_expected(&self) -> bool {
        self.failures == 0 && (self.doing != Doing::Nothing || self.marking)
    }

    /// Whether its marker is being read.
    pub(crate) fn is_marking(&self) -> bool {
        self.marking
    }

    /// The decision by which those vote who decide on what it accepted last, where that is on its chain.
    pub(crate) fn voters_at(&self) -> Option<u64> {
        self.last.as_ref().map(|cell| cell.voters_at).filter(|position| *position > 0)
    }

    /// Who voted when its chain began.
    pub(crate) fn first_voters(&self) -> Option<&Voters> {
        self.base.as_ref().map(|base| &base.voters)
    }

    fn fail(&mut self, out: &mut Vec<Request>) {
        self.failures = self.failures.saturating_add(1);
        if self.is_hopeful() {
            self.doing = Doing::Pausing;
            out.push(Request::Pause { voter: self.voter, failures: self.failures });
        }
    }

    fn learned(&mut self) {
        self.proved = false;
        self.marking_in_vain = true;
    }

    /// The position of the value accepted last, where that is not known.
    fn wanted(&self) -> Option<u64> {
        let position = self.last.as_ref()?.accepted_at;
        let known = self.accepted.as_ref().map_or(0, |cell| cell.position);
        (position != known).then_some(position)
    }

    fn found(&mut self, cell: Cell) {
        if let Err(why) = self.check(&cell) {
            self.lost = Some(Lost::Damaged(why));
            return;
        }
        if self.last.as_ref().is_none_or(|last| last.position < cell.position) {
            if self.empty.is_some_and(|empty| empty <= cell.position) {
                self.empty = None;
            } else if self.empty.is_none() {
                self.stride = self.stride.saturating_mul(2).max(1);
            }
            if cell.value().is_some() {
                self.accepted = Some(cell.clone());
            }
            self.last = Some(cell);
        } else if self.wanted() == Some(cell.position) && cell.value().is_some() {
            self.accepted = Some(cell);
        }
    }

    /// Along a chain neither epochs nor values go back.
    fn check(&self, cell: &Cell) -> Result<(), String> {
        let Some(last) = &self.last else { return Ok(()) };
        let (low, high) = if cell.position > last.position { (last, cell) } else { (cell, last) };
        if low.epoch > high.epoch || low.reach().0 > high.reach().0 {
            return Err(format!("position {} goes back behind {}", high.position, low.position));
        }
        let follows = high.previous == low.hash || high.position != low.position + 1;
        if !follows || (low.position == high.position && low.hash != high.hash) {
            return Err(format!("position {} does not follow the one before", high.position));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
