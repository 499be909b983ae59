//! The records that members are behind, which outlive the processes that write them.
//!
//! A process relies on its record for a short time only, and then makes another under a name that was never there
//! before; it does so for as long as it owes the member something. Whoever has brought everything removes just the
//! names that were there, unchanged, for much longer than that before its walk began. So no record is taken from a
//! process that relies on it, though nobody can delete on a condition; and only times that one process measures
//! itself matter, of which the two must agree in how fast they go, to a third.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use futures_util::future::{Either, join_all, select, try_join_all};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use storage_core::{Error, ErrorKind, Key, Prefix, PutIf, Result, StorageProviderExt as _};

use crate::core::{Core, MARKS};
use crate::owed::Leaving;

/// How long after it was begun a record is relied on.
pub(crate) const HELD: Duration = Duration::from_secs(5);
/// After what time it is replaced by another while something is owed.
const RENEWED_AFTER: Duration = Duration::from_secs(3);
/// A record that stays for so long is of nobody who relies on it.
pub(crate) const LEFT_AFTER: Duration = Duration::from_secs(15);
/// How long the others are waited for once one member keeps a record.
const GRACE: Duration = Duration::from_secs(1);

/// A record of this process.
#[derive(Debug, Clone)]
pub(crate) struct Mark {
    key: Key,
    /// When it was begun to be put.
    began: Duration,
    /// The members that may have it.
    on: Vec<usize>,
}

impl Mark {
    pub(crate) fn is_held(&self, now: Duration) -> bool {
        now.saturating_sub(self.began) < HELD
    }

    pub(crate) fn is_one_of(&self, keys: &BTreeSet<Key>) -> bool {
        keys.contains(&self.key)
    }

    fn is_to_be_renewed(&self, now: Duration) -> bool {
        now.saturating_sub(self.began) >= RENEWED_AFTER
    }
}

impl Core {
    /// Makes the record durable that these members are behind, on members that are not, where it is not yet; says
    /// which members it was made about.
    ///
    /// # Errors
    ///
    /// Nobody could keep the record.
    pub(crate) async fn mark_behind(
        self: &Arc<Self>,
        behind: &[usize],
        reached: &[usize],
    ) -> Result<Vec<usize>> {
        let now = self.env.monotonic();
        let new: Vec<usize> =
            behind.iter().copied().filter(|at| !self.owed.is_on_record(*at, now)).collect();
        try_join_all(new.iter().map(|member| self.make_mark(*member, reached))).await?;
        Ok(new)
    }

    /// Replaces the records that will soon not be relied on, of members that are owed something.
    pub(crate) async fn renew_marks(self: &Arc<Self>) {
        let now = self.env.monotonic();
        for member in 0..self.workers.len() {
            let due = self.owed.mark_of(member).is_some_and(|mark| mark.is_to_be_renewed(now));
            if due && self.owed.is_behind(member) {
                let others = |at: &usize| *at != member && !self.workers[*at].is_aside();
                let reached: Vec<usize> = (0..self.workers.len()).filter(others).collect();
                // Without one, the next put makes it, or fails.
                let _ = self.make_mark(member, &reached).await;
            }
        }
    }

    async fn make_mark(self: &Arc<Self>, member: usize, reached: &[usize]) -> Result<()> {
        let name = self.workers[member].member.name();
        let began = self.env.monotonic();
        let key = Key::new(format!("{MARKS}{}{:032x}", begin_of(name), self.nonce()))
            .expect("hexadecimal digits make a key");
        let body = Bytes::from(format!("{name}\n{}\n", self.wall_millis()));
        let mut puts: FuturesUnordered<_> = reached
            .iter()
            .map(|at| self.workers[*at].put(&key, body.clone(), PutIf::Always))
            .collect();
        let mut kept = 0;
        loop {
            let next = match kept {
                0 => puts.next().await,
                _ => match select(puts.next(), self.env.sleep(GRACE)).await {
                    Either::Left((next, _)) => next,
                    Either::Right(_) => break,
                },
            };
            match next {
                Some(answer) => kept += usize::from(answer.is_ok()),
                None => break,
            }
        }
        drop(puts);
        let mark = Mark { key, began, on: reached.to_vec() };
        if kept == 0 {
            self.remove_later(Some(mark));
            return Err(Error::unknown(
                ErrorKind::Unavailable,
                format!("no member keeps the record that \"{name}\" is behind"),
            ));
        }
        // Two may be made at a time: the one that was begun later is kept.
        let older = self.owed.keep_mark(member, mark, |mark| mark.began);
        self.remove_later(older);
        Ok(())
    }

    /// Takes back this process's records about members that it owes nothing any more.
    pub(crate) async fn take_back_marks(self: &Arc<Self>) {
        for member in 0..self.workers.len() {
            // Before it is taken: a process does not end between that and its removal.
            let _leaving = Leaving::new(self);
            if let Some(mark) = self.owed.take_settled_mark(member) {
                self.remove_mark(mark).await;
            }
        }
    }

    fn remove_later(self: &Arc<Self>, mark: Option<Mark>) {
        if let Some(mark) = mark {
            let (core, leaving) = (self.clone(), Leaving::new(self));
            self.env.spawn(Box::pin(async move {
                core.remove_mark(mark).await;
                drop(leaving);
            }));
        }
    }

    async fn remove_mark(&self, mark: Mark) {
        // One that stays behind costs a walk that finds nothing.
        join_all(mark.on.iter().map(|at| self.workers[*at].delete(&mark.key))).await;
    }

    /// The names of the members that a record says are behind, whoever wrote it.
    pub(crate) async fn marked(&self) -> Result<BTreeSet<usize>> {
        let lists = join_all((0..self.workers.len()).map(|at| self.marks_of(at))).await;
        let answered = lists.iter().filter(|list| list.is_ok()).count();
        let mut found = BTreeSet::new();
        for list in lists {
            match list {
                Ok(list) => found.extend(list.iter().filter_map(|mark| self.member_of_mark(mark))),
                Err(error) if answered < self.answers_needed() => return Err(error),
                Err(_) => {}
            }
        }
        Ok(found)
    }

    /// All records on these members.
    pub(crate) async fn marks_on(&self, members: &[usize]) -> Result<BTreeSet<Key>> {
        let lists = try_join_all(members.iter().map(|at| self.marks_of(*at))).await?;
        Ok(lists.into_iter().flatten().collect())
    }

    async fn marks_of(&self, member: usize) -> Result<Vec<Key>> {
        let prefix = Prefix::new(MARKS).expect("it is a prefix");
        let listed = self.workers[member].member.provider().list_all(&prefix);
        listed.map_ok(|object| object.key).try_collect().await
    }

    /// Which member a record says is behind, if it is one of ours.
    pub(crate) fn member_of_mark(&self, mark: &Key) -> Option<usize> {
        let about = mark.as_str().strip_prefix(MARKS)?;
        self.workers.iter().position(|it| about.starts_with(&begin_of(it.member.name())))
    }

    /// Removes records after a walk that found, or brought, everything.
    pub(crate) async fn clear_marks(&self, marks: &BTreeSet<Key>) -> Result<()> {
        for mark in marks {
            try_join_all(self.workers.iter().map(|worker| worker.delete(mark))).await?;
        }
        self.owed.forget_marks(marks);
        Ok(())
    }
}

/// The records that are on the members, and for how long they have been seen there.
#[derive(Debug, Default)]
pub(crate) struct Watched(BTreeMap<Key, Duration>);

impl Watched {
    /// These are there now.
    pub(crate) fn see(&mut self, there: BTreeSet<Key>, now: Duration) {
        self.0.retain(|mark, _| there.contains(mark));
        for mark in there {
            self.0.entry(mark).or_insert(now);
        }
    }

    /// Those of nobody who relies on them.
    pub(crate) fn left(&self, now: Duration) -> BTreeSet<Key> {
        let left = self.0.iter().filter(|(_, since)| now.saturating_sub(**since) >= LEFT_AFTER);
        left.map(|(mark, _)| mark.clone()).collect()
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Key> {
        self.0.keys()
    }
}

/// What the marks about a member begin with, after their prefix.
fn begin_of(name: &str) -> String {
    let short = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32IsoHdlc, name.as_bytes());
    format!("{short:08x}=")
}
