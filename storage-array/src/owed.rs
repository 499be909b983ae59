//! What members have yet to be brought, as far as this process knows.
//!
//! Before a put or delete is acknowledged that has not reached every member, a [mark](crate::marks) is put on the
//! members that it did reach: it names the member left behind. The mark says that a walk over all objects is due, and
//! the pieces and tombstones themselves say what is owed; so one mark serves for a whole outage. What this
//! process owes is also kept in memory, object by object, and brought as soon as the member is back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use futures_util::future::{Either, join_all, select};
use storage_core::{Env, Key, List, Prefix};

use crate::core::{Core, OBJECTS, lock};
use crate::marks::Mark;
use crate::repair::Look;

/// How many objects a member may be owed before they are no longer counted one by one.
const OWED_MAX: usize = 100_000;
/// How long to wait before the first attempt to bring what is owed, and at the longest.
const PAUSE_FIRST: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// How often records are renewed meanwhile, and members asked that are set aside: at first, at the longest.
const TICK: Duration = Duration::from_secs(1);
const PROBE_MAX: Duration = Duration::from_secs(5);
/// How long such a member may take to show that it is back.
const PROBE_WAIT: Duration = Duration::from_secs(5);

/// What is owed to each member, as far as this process knows.
#[derive(Debug)]
pub(crate) struct Owed {
    state: Mutex<State>,
    ever: AtomicU64,
    /// How many records are being removed, which are no longer kept here.
    leaving: AtomicUsize,
}

/// Held while a record is removed.
#[derive(Debug)]
pub(crate) struct Leaving(Arc<Core>);

impl Leaving {
    pub(crate) fn new(core: &Arc<Core>) -> Self {
        core.owed.leaving.fetch_add(1, Ordering::SeqCst);
        Self(core.clone())
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.owed.leaving.fetch_sub(1, Ordering::SeqCst);
    }
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
    /// The mark of this process that says so durably.
    mark: Option<Mark>,
}

impl Owed {
    pub(crate) fn new(members: usize) -> Self {
        let members = vec![OwedTo::default(); members];
        Self {
            state: Mutex::new(State { members, paying: false }),
            ever: AtomicU64::new(0),
            leaving: AtomicUsize::new(0),
        }
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
    /// A record that is still to be taken back, or is just being removed, counts as one: until it is gone others take the
    /// member to be behind.
    pub(crate) fn now(&self) -> usize {
        let state = lock(&self.state);
        let settled = |owed: &&OwedTo| owed.keys.is_empty() && !owed.too_many;
        let records = state.members.iter().filter(settled).filter(|it| it.mark.is_some());
        let records = records.count();
        drop(state);
        self.all().len() + records + self.leaving.load(Ordering::SeqCst)
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

    /// Whether there is a record that a member is behind, and it is relied on.
    pub(crate) fn is_on_record(&self, member: usize, now: Duration) -> bool {
        self.mark_of(member).is_some_and(|mark| mark.is_held(now))
    }

    pub(crate) fn mark_of(&self, member: usize) -> Option<Mark> {
        lock(&self.state).members[member].mark.clone()
    }

    /// Keeps a record, or the one there is if that is later; gives back the other.
    pub(crate) fn keep_mark(
        &self,
        member: usize,
        mark: Mark,
        began: impl Fn(&Mark) -> Duration,
    ) -> Option<Mark> {
        let mut state = lock(&self.state);
        let kept = &mut state.members[member].mark;
        match kept {
            Some(later) if began(later) > began(&mark) => Some(mark),
            _ => kept.replace(mark),
        }
    }

    /// The record about a member that is owed nothing any more: it is no longer kept.
    pub(crate) fn take_settled_mark(&self, member: usize) -> Option<Mark> {
        let mut state = lock(&self.state);
        let owed = &mut state.members[member];
        if owed.too_many || !owed.keys.is_empty() { None } else { owed.mark.take() }
    }

    /// These records are no more, for all was brought that they stood for.
    pub(crate) fn forget_marks(&self, marks: &BTreeSet<Key>) {
        for owed in &mut lock(&self.state).members {
            if owed.mark.as_ref().is_some_and(|mark| mark.is_one_of(marks)) {
                (owed.mark, owed.too_many) = (None, false);
            }
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

    /// Brings what is owed, once: says how many objects are still owed.
    pub(crate) async fn settle(self: &Arc<Self>) -> usize {
        for (key, (members, suspects)) in self.owed.all() {
            if members.iter().all(|member| self.workers[*member].is_aside()) {
                continue;
            }
            self.renew_marks().await;
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

    /// Asks members that are set aside and are owed something whether they are back; says whether one is.
    async fn meet_again(&self, probes: &mut [Probe]) -> bool {
        let now = self.env.monotonic();
        let prefix = &Prefix::new(OBJECTS).expect("it is a prefix");
        let asked = probes.iter_mut().enumerate().map(|(member, probe)| async move {
            let worker = &self.workers[member];
            if !self.owed.is_behind(member) || !worker.health().is_aside(now) {
                *probe = Probe { next: now + TICK, pause: TICK };
                return false;
            }
            if now < probe.next {
                return false;
            }
            let asking = Box::pin(worker.list(List { prefix, start_after: None, limit: 1 }));
            let back = match select(asking, self.env.sleep(PROBE_WAIT)).await {
                Either::Left((answer, _)) => answer.is_ok(),
                Either::Right(_) => false,
            };
            probe.pause = (probe.pause * 2).min(PROBE_MAX);
            probe.next = self.env.monotonic() + probe.pause;
            back
        });
        join_all(asked).await.into_iter().any(|back| back)
    }
}

/// When a member that is set aside is asked next.
#[derive(Debug, Clone, Copy, Default)]
struct Probe {
    next: Duration,
    pause: Duration,
}

/// Brings what is owed until nothing is, or nobody uses the array any more.
async fn pay(core: Weak<Core>, env: Arc<dyn Env>) {
    let mut pause = PAUSE_FIRST;
    let mut due = env.monotonic() + pause;
    let mut probes = Vec::new();
    loop {
        env.sleep(pause.min(TICK)).await;
        let Some(core) = core.upgrade() else { return };
        core.renew_marks().await;
        probes.resize(core.workers.len(), Probe::default());
        if !core.meet_again(&mut probes).await && env.monotonic() < due {
            continue;
        }
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
        due = env.monotonic() + pause;
    }
}
