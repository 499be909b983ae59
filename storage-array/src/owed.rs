//! What members have yet to be brought, and the record of it that outlives a crash.
//!
//! Before a put or delete is acknowledged that has not reached every member, a mark is put on the members
//! that it did reach: it names the member left behind. The mark says that a walk over all objects is due, and
//! the pieces and tombstones themselves say what is owed; so one mark serves for a whole outage. What this
//! process owes is also kept in memory, object by object, and brought as soon as the member is back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use storage_core::{Error, ErrorKind, Key, Prefix, PutIf, Result, StorageProviderExt as _};

use crate::core::{Core, MARKS, lock};
use crate::repair::Look;

/// How many objects a member may be owed before they are no longer counted one by one.
const OWED_MAX: usize = 100_000;
/// How long to wait before the first attempt to bring what is owed, and at the longest.
const PAUSE_FIRST: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// What is owed to each member, as far as this process knows.
#[derive(Debug)]
pub(crate) struct Owed {
    state: Mutex<State>,
    ever: AtomicU64,
}

#[derive(Debug)]
struct State {
    members: Vec<OwedTo>,
    paying: bool,
}

#[derive(Debug, Default, Clone)]
struct OwedTo {
    keys: BTreeMap<Key, bool>,
    /// There were more than are kept: only a walk over everything can tell.
    too_many: bool,
    /// The mark of this process that says so durably: always the same.
    mark: Option<Key>,
    /// The members that have it.
    marked: Vec<usize>,
}

impl Owed {
    pub(crate) fn new(members: usize) -> Self {
        let members = vec![OwedTo::default(); members];
        Self { state: Mutex::new(State { members, paying: false }), ever: AtomicU64::new(0) }
    }

    /// How many pieces were ever owed.
    pub(crate) fn ever(&self) -> u64 {
        self.ever.load(Ordering::Relaxed)
    }

    /// How many objects a member is owed now.
    pub(crate) fn to(&self, member: usize) -> usize {
        lock(&self.state).members[member].keys.len()
    }

    /// How many objects are owed now, to whomever.
    ///
    /// A record that is still to be taken back counts as one: until then others take the member to be behind.
    pub(crate) fn now(&self) -> usize {
        let state = lock(&self.state);
        let settled = |owed: &&OwedTo| owed.keys.is_empty() && !owed.too_many;
        let records = state.members.iter().filter(settled).filter(|it| !it.marked.is_empty());
        let records = records.count();
        drop(state);
        self.all().len() + records
    }

    /// Whether a member may lack something that this process knows of.
    pub(crate) fn is_behind(&self, member: usize) -> bool {
        let state = lock(&self.state);
        let owed = &state.members[member];
        owed.too_many || !owed.keys.is_empty()
    }

    pub(crate) fn add(&self, member: usize, key: &Key, damaged: bool) {
        self.ever.fetch_add(1, Ordering::Relaxed);
        let mut state = lock(&self.state);
        let owed = &mut state.members[member];
        if owed.keys.len() >= OWED_MAX && !owed.keys.contains_key(key) {
            owed.too_many = true;
        } else {
            *owed.keys.entry(key.clone()).or_default() |= damaged;
        }
    }

    /// Everything owed, object by object: whom, and which of them have something damaged.
    fn all(&self) -> BTreeMap<Key, (BTreeSet<usize>, BTreeSet<usize>)> {
        let mut all: BTreeMap<Key, (BTreeSet<usize>, BTreeSet<usize>)> = BTreeMap::new();
        for (member, owed) in lock(&self.state).members.iter().enumerate() {
            for (key, damaged) in &owed.keys {
                let (members, suspects) = all.entry(key.clone()).or_default();
                members.insert(member);
                if *damaged {
                    suspects.insert(member);
                }
            }
        }
        all
    }

    pub(crate) fn remove(&self, key: &Key, members: &BTreeSet<usize>) {
        let mut state = lock(&self.state);
        for member in members {
            state.members[*member].keys.remove(key);
        }
    }
}

impl Core {
    /// Notes that a member has yet to be brought an object, and sees to it.
    pub(crate) fn owe(self: &Arc<Self>, member: usize, key: &Key, damaged: bool) {
        self.owed.add(member, key, damaged);
        let begin = !std::mem::replace(&mut lock(&self.owed.state).paying, true);
        if begin {
            let (core, env) = (Arc::downgrade(self), self.env.clone());
            self.env.spawn(Box::pin(async move { pay(core, env).await }));
        }
    }

    /// Makes the record durable that these members are behind, on members that are not.
    ///
    /// # Errors
    ///
    /// Nobody could keep the record.
    pub(crate) async fn mark_behind(&self, behind: &[usize], reached: &[usize]) -> Result<()> {
        for member in behind {
            let name = self.workers[*member].member.name();
            let mark = {
                let mut state = lock(&self.owed.state);
                let owed = &mut state.members[*member];
                if !owed.marked.is_empty() {
                    continue;
                }
                let new = || {
                    Key::new(format!("{MARKS}{}{:032x}", mark_of(name), self.nonce()))
                        .expect("hexadecimal digits make a key")
                };
                owed.mark.get_or_insert_with(new).clone()
            };
            let body = Bytes::from(format!("{name}\n{}\n", self.wall_millis()));
            let puts = reached.iter().map(|at| {
                let (mark, body) = (&mark, body.clone());
                async move { (*at, self.workers[*at].put(mark, body, PutIf::Always).await) }
            });
            let answers = join_all(puts).await;
            let kept: Vec<usize> =
                answers.iter().filter(|(_, answer)| answer.is_ok()).map(|(at, _)| *at).collect();
            if kept.is_empty() {
                return Err(Error::unknown(
                    ErrorKind::Unavailable,
                    format!("no member keeps the record that \"{name}\" is behind"),
                ));
            }
            let stays = {
                let mut state = lock(&self.owed.state);
                let owed = &mut state.members[*member];
                // It may have been taken back meanwhile, when another put was through with the same record.
                let stays = *owed.mark.get_or_insert_with(|| mark.clone()) == mark;
                if stays {
                    owed.marked = kept.clone();
                }
                stays
            };
            if !stays {
                // There is a newer one by now.
                for at in kept {
                    let _ = self.workers[at].delete(&mark).await;
                }
            }
        }
        Ok(())
    }

    /// Brings what is owed, once: says how many objects are still owed.
    pub(crate) async fn settle(self: &Arc<Self>) -> usize {
        for (key, (members, suspects)) in self.owed.all() {
            if members.iter().all(|member| self.workers[*member].is_aside()) {
                continue;
            }
            let repaired =
                self.repair(&key, &suspects, Look { whole: false, patient: false }).await;
            if let Ok(report) = repaired {
                let settled: BTreeSet<usize> =
                    members.into_iter().filter(|member| !report.failed.contains(member)).collect();
                self.owed.remove(&key, &settled);
            }
        }
        self.take_back_marks().await;
        self.owed.all().len()
    }

    /// Takes back this process's records about members that it owes nothing any more.
    pub(crate) async fn take_back_marks(&self) {
        for member in 0..self.workers.len() {
            let (mark, marked) = {
                let mut state = lock(&self.owed.state);
                let owed = &mut state.members[member];
                let settled = !owed.too_many && owed.keys.is_empty();
                match owed.mark.clone() {
                    // The next record is another object: this one may be deleted late.
                    Some(mark) if settled && !owed.marked.is_empty() => {
                        owed.mark = None;
                        (mark, std::mem::take(&mut owed.marked))
                    }
                    _ => continue,
                }
            };
            for at in marked {
                // One that stays behind costs a walk that finds nothing.
                let _ = self.workers[at].delete(&mark).await;
            }
        }
    }

    /// The names of the members that a record says are behind, whoever wrote it, with the records.
    pub(crate) async fn marks(&self) -> Result<BTreeMap<usize, BTreeSet<Key>>> {
        let prefix = Prefix::new(MARKS).expect("it is a prefix");
        let mut found: BTreeMap<usize, BTreeSet<Key>> = BTreeMap::new();
        let (mut answered, mut failure) = (0, None);
        for worker in &self.workers {
            use futures_util::TryStreamExt as _;
            let listed: Result<Vec<_>> =
                worker.member.provider().list_all(&prefix).try_collect().await;
            match listed {
                Ok(listed) => {
                    answered += 1;
                    for object in listed {
                        if let Some(behind) = self.member_of_mark(&object.key) {
                            found.entry(behind).or_default().insert(object.key);
                        }
                    }
                }
                Err(error) => failure = Some(error),
            }
        }
        match failure {
            Some(error) if answered < self.answers_needed() => Err(error),
            _ => Ok(found),
        }
    }

    /// All records on the members that answer.
    pub(crate) async fn marks_on(&self, answers: &[Result<Duration>]) -> BTreeSet<Key> {
        use futures_util::TryStreamExt as _;
        let prefix = &Prefix::new(MARKS).expect("it is a prefix");
        let there = self.workers.iter().zip(answers).filter(|(_, answer)| answer.is_ok());
        let lists = there.map(|(worker, _)| async move {
            let listed = worker.member.provider().list_all(prefix);
            listed.map_ok(|object| object.key).try_collect::<Vec<Key>>().await
        });
        join_all(lists).await.into_iter().flatten().flatten().collect()
    }

    /// Which member a record says is behind, if it is one of ours.
    pub(crate) fn member_of_mark(&self, mark: &Key) -> Option<usize> {
        let about = mark.as_str().strip_prefix(MARKS)?;
        self.workers.iter().position(|it| about.starts_with(&mark_of(it.member.name())))
    }

    /// Removes records after a walk that found, or brought, everything.
    pub(crate) async fn clear_marks(&self, marks: &BTreeSet<Key>) -> Result<()> {
        for mark in marks {
            for worker in &self.workers {
                if !worker.is_aside() {
                    worker.delete(mark).await?;
                }
            }
        }
        for owed in &mut lock(&self.owed.state).members {
            if owed.mark.as_ref().is_some_and(|mark| marks.contains(mark)) {
                (owed.mark, owed.too_many) = (None, false);
                owed.marked.clear();
            }
        }
        Ok(())
    }
}

/// Brings what is owed until nothing is, or nobody uses the array any more.
async fn pay(core: Weak<Core>, env: Arc<dyn storage_core::Env>) {
    let mut pause = PAUSE_FIRST;
    loop {
        env.sleep(pause).await;
        let Some(core) = core.upgrade() else { return };
        let before = core.owed.all().len();
        let left = core.settle().await;
        if left == 0 {
            let mut state = lock(&core.owed.state);
            if state.members.iter().all(|owed| owed.keys.is_empty()) {
                state.paying = false;
                return;
            }
        }
        pause = if left < before { PAUSE_FIRST } else { (pause * 2).min(PAUSE_MAX) };
    }
}

/// What the marks about a member begin with, after their prefix.
fn mark_of(name: &str) -> String {
    let short = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32IsoHdlc, name.as_bytes());
    format!("{short:08x}=")
}
