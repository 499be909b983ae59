//! The front of mirrors and erasure-coded arrays: what can be asked of them, as providers and besides.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use storage_core::{Env, Key, Result};

use crate::cell::Shape;
use crate::core::{Core, Counts, Event};
use crate::health::Work;
use crate::inspect::{Inspect, Inspection};
use crate::member::Member;
use crate::mend::{Mend, Mended};
use crate::price::{Prices, Traffic};
use crate::repair::{Look, Repaired};
use crate::scrub::{Scrub, Scrubbed};

/// How an array and its members are doing.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    /// Its members, by name.
    pub members: Vec<MemberStatus>,
    /// Of how many pieces any object can be made.
    pub data: usize,
    /// How many members a put must reach.
    pub quorum: usize,
    /// How many more members may be lost before objects are: those down and behind are taken for lost.
    pub can_lose: usize,
    /// What happened since it was opened.
    pub counts: Counts,
}

/// How one member is doing, as far as this process knows.
#[derive(Debug, Clone, PartialEq)]
pub struct MemberStatus {
    /// Its name.
    pub name: String,
    /// With whom it fails together.
    pub domain: String,
    /// What to make of it.
    pub state: MemberState,
    /// What it usually takes to read.
    pub reads_take: Duration,
    /// What it usually takes to write.
    pub writes_take: Duration,
    /// How often it answered.
    pub answers: u64,
    /// How often it failed to.
    pub failures: u64,
    /// How many objects it is owed by this process.
    pub owed: usize,
    /// How many of its pieces this process found damaged.
    pub damaged: u64,
    /// What this process asked of it.
    pub traffic: Traffic,
    /// What it charges.
    pub prices: Prices,
}

/// What to make of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MemberState {
    /// It answers and has everything.
    Up,
    /// It takes more than three times as long as the others.
    Slow,
    /// It answers, but lacks something.
    Behind,
    /// It failed several times in a row and is left alone for a while.
    Down,
}

/// The part that mirrors and erasure-coded arrays share.
#[derive(Debug)]
pub(crate) struct Array {
    pub(crate) core: Arc<Core>,
}

impl Array {
    pub(crate) fn new(
        what: &'static str,
        shape: Shape,
        members: Vec<Member>,
        quorum: Option<usize>,
        env: Arc<dyn Env>,
    ) -> Result<Self> {
        Core::new(what, shape, members, quorum, env).map(|core| Self { core })
    }

    pub(crate) async fn status(&self) -> Result<Status> {
        let marked = self.core.marked().await.unwrap_or_default();
        Ok(self.known(&|at| marked.contains(&at)))
    }

    /// What this process knows without asking anybody.
    pub(crate) fn known(&self, on_record: &dyn Fn(usize) -> bool) -> Status {
        let core = &self.core;
        let slow_from = core.slow_from();
        let members: Vec<_> = core
            .workers
            .iter()
            .enumerate()
            .map(|(at, worker)| {
                let health = worker.health().clone();
                let state = if health.is_aside(core.env.monotonic()) {
                    MemberState::Down
                } else if on_record(at) || core.owed.is_behind(at) {
                    MemberState::Behind
                } else if health.usual(Work::Read) > slow_from {
                    MemberState::Slow
                } else {
                    MemberState::Up
                };
                MemberStatus {
                    name: worker.member.name().to_owned(),
                    domain: worker.member.domain().to_owned(),
                    state,
                    reads_take: health.usual(Work::Read),
                    writes_take: health.usual(Work::Write),
                    answers: health.answers(),
                    failures: health.failures(),
                    owed: core.owed.to(at),
                    damaged: core.damaged_on(at),
                    traffic: worker.meter.read(),
                    prices: *worker.member.prices(),
                }
            })
            .collect();
        let good = members.iter().filter(|it| it.state < MemberState::Behind).count();
        let data = usize::from(core.shape().data);
        Status {
            can_lose: good.saturating_sub(data),
            members,
            data,
            quorum: core.quorum,
            counts: core.counts(),
        }
    }

    pub(crate) async fn repair(&self, key: &Key) -> Result<Repaired> {
        self.core.repair(key, &BTreeSet::new(), Look { whole: true, patient: true }).await
    }

    pub(crate) async fn scrub(
        &self,
        scrub: &Scrub,
        progress: &mut (dyn FnMut(&Scrubbed) -> bool + Send),
    ) -> Result<Scrubbed> {
        self.core.scrub(scrub, progress).await
    }

    pub(crate) async fn inspect(
        &self,
        how: &Inspect,
        progress: &mut (dyn FnMut(&Inspection) -> bool + Send),
    ) -> Result<Inspection> {
        self.core.inspect(how, progress).await
    }

    pub(crate) async fn mend(
        &self,
        how: &Mend,
        progress: &mut (dyn FnMut(&Mended) -> bool + Send),
    ) -> Result<Mended> {
        self.core.mend(how, progress).await
    }

    pub(crate) fn events(&self) -> Vec<Event> {
        self.core.events()
    }
}

/// Writes the front of a kind of array: what it does as a provider, and what else can be asked of it.
macro_rules! array_front {
    ($name:ident) => {
        impl $name {
            /// How the array and its members are doing. Asks members which of them are on record as behind.
            ///
            /// # Errors
            ///
            /// None today; members that do not answer are shown so.
            pub async fn status(&self) -> storage_core::Result<crate::Status> {
                self.0.status().await
            }

            /// As [`status`](Self::status), as far as this process knows without asking anybody.
            #[must_use]
            pub fn known_status(&self) -> crate::Status {
                self.0.known(&|_| false)
            }

            /// Asks every member whether it answers, and by the lists of those that do how far each object is
            /// from all it should have. Reads no object and changes nothing. `progress` is told every thousand
            /// objects, and stops the walk by answering false.
            ///
            /// # Errors
            ///
            /// [`Corrupt`](storage_core::ErrorKind::Corrupt) when a member lists what it was not asked for;
            /// members that do not answer are part of what is found.
            pub async fn inspect(
                &self,
                how: &crate::Inspect,
                progress: &mut (dyn FnMut(&crate::Inspection) -> bool + Send),
            ) -> storage_core::Result<crate::Inspection> {
                self.0.inspect(how, progress).await
            }

            /// Brings members what they lack by their lists, the objects first that are closest to being lost.
            /// Each takes as many reads as it has data pieces, and a write for each piece that is missing; one
            /// that fails stops nothing. Whole objects are not read: [`scrub`](Self::scrub) does that.
            /// `progress` is told after each object, and stops the work by answering false. What is done
            /// stays done: begin anew to go on.
            ///
            /// # Errors
            ///
            /// [`Unavailable`](storage_core::ErrorKind::Unavailable) when too few members answer.
            pub async fn mend(
                &self,
                how: &crate::Mend,
                progress: &mut (dyn FnMut(&crate::Mended) -> bool + Send),
            ) -> storage_core::Result<crate::Mended> {
                self.0.mend(how, progress).await
            }

            /// How many objects this process has yet to bring to members.
            #[must_use]
            pub fn owes(&self) -> usize {
                self.0.core.owed.now()
            }

            /// What was found damaged and repaired since it was opened: the last thousand events.
            #[must_use]
            pub fn events(&self) -> Vec<crate::Event> {
                self.0.events()
            }

            /// Checks every byte of one object on every member, and repairs what is not as it was put.
            ///
            /// # Errors
            ///
            /// [`Corrupt`](storage_core::ErrorKind::Corrupt) or
            /// [`Unavailable`](storage_core::ErrorKind::Unavailable) when too few pieces can be read.
            pub async fn repair(
                &self,
                key: &storage_core::Key,
            ) -> storage_core::Result<crate::Repaired> {
                self.0.repair(key).await
            }

            /// Walks over all objects, looks as deeply as asked, and repairs what it finds, object by object
            /// and without stopping at one that fails. `progress` is told after each object, and stops
            /// the walk by answering false: go on later with [`Scrubbed::last`](crate::Scrubbed::last), or keep it
            /// [on record](crate::Scrub::on_record).
            ///
            /// # Errors
            ///
            /// [`Unavailable`](storage_core::ErrorKind::Unavailable) when too few members list what they
            /// have.
            pub async fn scrub(
                &self,
                scrub: &crate::Scrub,
                progress: &mut (dyn FnMut(&crate::Scrubbed) -> bool + Send),
            ) -> storage_core::Result<crate::Scrubbed> {
                self.0.scrub(scrub, progress).await
            }

            /// Brings members what this process owes them, now rather than soon, and says how many objects
            /// are still owed.
            pub async fn settle(&self) -> usize {
                self.0.core.settle().await
            }
        }

        #[storage_core::async_trait]
        impl storage_core::StorageProvider for $name {
            fn info(&self) -> storage_core::ProviderInfo {
                self.0.core.info()
            }

            async fn put(
                &self,
                key: &storage_core::Key,
                body: bytes::Bytes,
                when: storage_core::PutIf,
            ) -> storage_core::Result<storage_core::Version> {
                self.0.core.put(key, body, when).await
            }

            async fn get(
                &self,
                key: &storage_core::Key,
                request: storage_core::Get,
            ) -> storage_core::Result<storage_core::Object> {
                self.0.core.get(key, request).await
            }

            async fn list(
                &self,
                request: storage_core::List<'_>,
            ) -> storage_core::Result<storage_core::Page> {
                self.0.core.list(request).await.map_err(storage_core::Error::during_list)
            }

            async fn delete(&self, key: &storage_core::Key) -> storage_core::Result<()> {
                self.0.core.delete(key).await
            }
        }
    };
}

pub(crate) use array_front;
