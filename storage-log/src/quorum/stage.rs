//! Voters in memory, for tests of the state machines: what each has, and how it answers.

#![allow(clippy::unwrap_used, reason = "a test may stop at what cannot be")]

use std::collections::BTreeMap;
use std::time::Duration;

use super::{
    Asked, Base, Cell, Epoch, Event, Point, Proof, Proposer, Request, Value, VoterId, Voters,
};
use crate::{Entry, Head, LogId};

pub(super) const LOG: LogId = LogId([7; 16]);
/// Markers that were read once count for all of a test.
pub(super) const PROOF: Proof = Proof::Within(Duration::from_secs(10));
pub(super) const NOW: Duration = Duration::ZERO;

/// How a voter answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mood {
    Answers,
    /// Not at all, for now: what it is asked is kept for later.
    Silent,
    /// That it failed, with nothing done.
    Fails,
}

/// Voters, and all that was asked of them.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) voters: Voters,
    moods: Vec<Mood>,
    chains: Vec<BTreeMap<u64, Cell>>,
    held: Vec<Request>,
    asked: Vec<Request>,
    /// Pauses do not come to an end for now.
    pub(super) lasting: bool,
}

impl Stage {
    pub(super) fn new(count: u8) -> Self {
        let members = (0..count).map(|at| VoterId([at; 16])).collect();
        Self {
            voters: Voters::majority(0, members),
            moods: vec![Mood::Answers; count.into()],
            chains: vec![BTreeMap::new(); count.into()],
            held: Vec::new(),
            asked: Vec::new(),
            lasting: false,
        }
    }

    pub(super) fn proposer(&self, writer: u128) -> Proposer {
        Proposer::new(LOG, PROOF, self.voters.clone(), writer)
    }

    /// How each of them answers from here on.
    pub(super) fn be(&mut self, moods: &[Mood]) {
        self.moods = moods.to_vec();
    }

    /// What was kept for later is never answered.
    pub(super) fn drop_held(&mut self) {
        self.held.clear();
    }

    /// Answers what is asked until nothing is left that would be answered. What was kept comes first.
    pub(super) fn play(&mut self, begin: Vec<Request>, mut on: impl FnMut(Event) -> Vec<Request>) {
        let mut requests = std::mem::take(&mut self.held);
        requests.extend(begin);
        for steps in 0.. {
            assert!(steps < 100_000, "it does not come to an end");
            if requests.is_empty() {
                return;
            }
            let request = requests.remove(0);
            if self.lasting && matches!(request, Request::Pause { .. }) {
                self.held.push(request);
                continue;
            }
            if let Some(event) = self.answer(request) {
                requests.extend(on(event));
            }
        }
    }

    /// What was asked since the last time.
    pub(super) fn asked(&mut self) -> Vec<Request> {
        std::mem::take(&mut self.asked)
    }

    /// What a voter accepted last, and in which epoch.
    pub(super) fn accepted(&self, at: usize) -> Option<(Point, Epoch)> {
        let mut cells = self.chains[at].values().rev();
        cells.find_map(|cell| Some((cell.value()?.point(), cell.epoch())))
    }

    fn at(&self, voter: VoterId) -> usize {
        self.voters.members.iter().position(|member| *member == voter).unwrap()
    }

    fn answer(&mut self, request: Request) -> Option<Event> {
        let voter = match &request {
            Request::Read { voter, .. } | Request::Mark { voter } => *voter,
            Request::Put(cell) => cell.voter(),
            Request::Pause { voter, .. } => return Some(Event::Resumed(*voter)),
            Request::BackOff { .. } => return Some(Event::BackedOff),
            Request::Fetch { index } => {
                self.asked.push(request.clone());
                let value = self.value(*index);
                return Some(Event::Fetched { index: *index, value });
            }
        };
        let at = self.at(voter);
        if self.moods[at] == Mood::Silent {
            self.held.push(request);
            return None;
        }
        self.asked.push(request.clone());
        let fails = self.moods[at] == Mood::Fails;
        Some(match request {
            Request::Mark { voter } if fails => Event::NotMarked(voter),
            Request::Mark { voter } => {
                let voters = self.voters.clone();
                let base = Base { position: 0, point: Point::genesis(LOG), voters };
                Event::Marked { voter, base: Some(Box::new(base)), asked: NOW }
            }
            _ if fails => Event::Answer(voter, Asked::Failed),
            Request::Put(cell) if self.chains[at].contains_key(&cell.position()) => {
                Event::Answer(voter, Asked::Exists)
            }
            Request::Put(cell) => {
                self.chains[at].insert(cell.position(), *cell);
                Event::Answer(voter, Asked::Created)
            }
            Request::Read { position, .. } => {
                let cell = self.chains[at].get(&position).cloned();
                let asked = cell.map_or(Asked::Empty, |cell| Asked::Found(Box::new(cell)));
                Event::Answer(voter, asked)
            }
            Request::Fetch { .. } | Request::Pause { .. } | Request::BackOff { .. } => return None,
        })
    }

    /// What the highest epoch has accepted at an index.
    fn value(&self, index: u64) -> Option<Value> {
        let cells = self.chains.iter().flat_map(BTreeMap::values);
        let at_index =
            cells.filter(|cell| cell.value().is_some_and(|it| it.point().index == index));
        at_index.max_by_key(|cell| cell.epoch())?.value().cloned()
    }
}

/// An entry after `before`, of those who have nothing else to say than this number.
pub(super) fn entry(before: Point, nonce: u8) -> Entry {
    Entry::new(LOG, Head { slot: before.slot, id: before.entry }, [nonce; 16], b"body")
}
