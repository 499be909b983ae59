//! One request to each of several members, and when enough of them are done.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{Either, select};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use storage_core::{BoxFuture, Error, ErrorKind, Key, PutIf, Result};

use crate::core::Core;
use crate::health::Work;
use crate::member::{Stuck, is_not_applied};

/// A request to each of several members.
pub(crate) struct Round<'a> {
    waiting: FuturesUnordered<BoxFuture<'a, (usize, Result<()>)>>,
    began: Duration,
    /// The members that were on record as behind when it began.
    pub(crate) on_record: Vec<bool>,
    pub(crate) done: Vec<bool>,
    pub(crate) errors: Vec<(usize, Error)>,
    /// Those that are later than usual, and nobody waits for.
    stuck: BTreeMap<usize, Stuck>,
}

impl<'a> Round<'a> {
    pub(crate) fn new(core: &Core) -> Self {
        let began = core.env.monotonic();
        let members = 0..core.workers.len();
        Self {
            waiting: FuturesUnordered::new(),
            began,
            on_record: members.map(|at| core.owed.is_on_record(at, began)).collect(),
            done: vec![false; core.workers.len()],
            errors: Vec::new(),
            stuck: BTreeMap::new(),
        }
    }

    pub(crate) fn send(
        &mut self,
        member: usize,
        request: impl Future<Output = Result<()>> + Send + 'a,
    ) {
        self.waiting.push(Box::pin(async move { (member, request.await) }));
    }

    pub(crate) fn reached(&self) -> usize {
        self.done.iter().filter(|done| **done).count()
    }

    pub(crate) fn conflicts(&self) -> usize {
        self.errors.iter().filter(|(_, error)| error.kind() == ErrorKind::Conflict).count()
    }

    /// Requests that may have been applied, or may yet be.
    pub(crate) fn doubtful(&self) -> usize {
        self.errors.iter().filter(|(_, error)| !is_not_applied(error)).count() + self.waiting.len()
    }

    pub(crate) fn missing(&self) -> Vec<usize> {
        (0..self.done.len()).filter(|member| !self.done[*member]).collect()
    }

    /// Members that have it.
    pub(crate) fn have(&self) -> Vec<usize> {
        (0..self.done.len()).filter(|member| self.done[*member]).collect()
    }

    /// Waits until enough members are done, and for the others as long as they usually take; or until it is
    /// certain that not enough will be.
    pub(crate) async fn until_quorum(&mut self, core: &Core) {
        loop {
            let met = core.is_safe(&self.done) && core.survives_a_domain(&self.done);
            let hopeless = self.conflicts() > 0 && self.reached() + self.doubtful() < core.agree;
            if self.waiting.is_empty() {
                return;
            }
            let next = if met || hopeless {
                let patience = core.grace(&self.done, Work::Write);
                let passed = core.env.monotonic().saturating_sub(self.began);
                let sleep = core.env.sleep(patience.saturating_sub(passed));
                match select(self.waiting.next(), sleep).await {
                    Either::Left((next, _)) => next,
                    Either::Right(_) => {
                        for member in self.missing() {
                            if !self.errors.iter().any(|(at, _)| *at == member) {
                                self.stuck.insert(member, core.workers[member].stuck());
                            }
                        }
                        return;
                    }
                }
            } else {
                self.waiting.next().await
            };
            self.note(next);
        }
    }

    pub(crate) async fn until_the_end(&mut self) {
        while self.is_under_way() {
            self.one_more().await;
        }
    }

    pub(crate) fn is_under_way(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Waits for one of those under way.
    pub(crate) async fn one_more(&mut self) {
        let next = self.waiting.next().await;
        self.note(next);
    }

    pub(crate) fn note(&mut self, next: Option<(usize, Result<()>)>) {
        if let Some((member, _)) = &next {
            self.stuck.remove(member);
        }
        match next {
            Some((member, Ok(()))) => self.done[member] = true,
            Some((member, Err(error))) => self.errors.push((member, error)),
            None => {}
        }
    }

    /// The error of a round that did not reach enough members.
    pub(crate) fn error(mut self, core: &Core) -> Error {
        let reached = self.reached();
        let nothing = reached == 0 && self.doubtful() == 0;
        let total = core.workers.len();
        let worst = self.errors.iter().position(|(_, error)| error.kind() != ErrorKind::Conflict);
        let message = |because: String| {
            format!("{reached} of {total} members took it, {} are needed{because}", core.quorum)
        };
        let (kind, message) = match worst.map(|at| self.errors.swap_remove(at)) {
            Some((member, error)) => {
                let name = core.workers[member].member.name();
                (error.kind(), message(format!("; \"{name}\": {error}")))
            }
            None => (ErrorKind::Unavailable, message(String::new())),
        };
        let kind = if kind.is_refusal() && kind != ErrorKind::TooLarge {
            ErrorKind::Unavailable
        } else {
            kind
        };
        if nothing { Error::not_applied(kind, message) } else { Error::unknown(kind, message) }
    }
}

impl Core {
    /// Whether what these members have is acknowledged: a quorum of them.
    pub(crate) fn is_safe(&self, done: &[bool]) -> bool {
        let have = done.iter().filter(|done| **done).count();
        have >= self.quorum
    }

    /// Whether enough is left when the failure domain with the most of these members is lost; not asked for
    /// where the members cannot give it.
    fn survives_a_domain(&self, done: &[bool]) -> bool {
        let data = usize::from(self.shape().data);
        let in_domain = |domain: &str, counts: &dyn Fn(usize) -> bool| {
            (0..done.len())
                .filter(|at| counts(*at) && self.workers[*at].member.domain() == domain)
                .count()
        };
        let lost = |counts: &dyn Fn(usize) -> bool| {
            let most = self.workers.iter().map(|it| in_domain(it.member.domain(), counts)).max();
            (0..done.len()).filter(|at| counts(*at)).count() - most.unwrap_or(0)
        };
        let usable = |at: usize| done[at] || !self.workers[at].is_aside();
        // Where no member may be missed, none is waited for longer than it usually takes.
        self.quorum <= data || lost(&usable) < data || lost(&|at| done[at]) >= data
    }

    /// Puts to each member its cell, until enough have theirs or never will.
    pub(crate) async fn put_each<'a>(
        &'a self,
        inside: &'a Key,
        cells: Vec<Bytes>,
        when: &'a PutIf,
    ) -> Round<'a> {
        let mut round = Round::new(self);
        for (member, (cell, usable)) in cells.into_iter().zip(self.usable()).enumerate() {
            if !usable {
                round.errors.push((member, set_aside()));
                continue;
            }
            round.send(member, async move {
                self.workers[member].put(inside, cell, when.clone()).await.map(drop)
            });
        }
        round.until_quorum(self).await;
        round
    }

    /// The members to write to: also those set aside, so that one that is back misses nothing more; but none on which
    /// too many writes are stuck, unless that leaves too few.
    pub(crate) fn usable(&self) -> Vec<bool> {
        let usable: Vec<bool> = self.workers.iter().map(|worker| !worker.is_full()).collect();
        if usable.iter().filter(|usable| **usable).count() >= self.quorum {
            usable
        } else {
            vec![true; self.workers.len()]
        }
    }
}

pub(crate) fn set_aside() -> Error {
    Error::not_applied(ErrorKind::Unavailable, "too many writes to the member have not ended")
}
