//! The log on a quorum: the handle, what its parts share, and the log that they make.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_channel::oneshot;
use futures_util::future::join_all;
use storage_core::{Env, ErrorKind, Key, Prefix, StorageProvider};

use super::elect::{CopyProgress, VoterChange};
use super::lookup::Cells;
use super::{Goal, Lost, Outcome, Point, Proof, Proposer, VoterId, VoterStatus, Voters};
use crate::{Appended, CommitLog, Entry, Error, Head, LogId, Record, Result, Slot};

/// How a log on a quorum behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuorumOptions {
    /// When an answer of a voter counts; [`Proof::Within`] ten seconds unless told otherwise.
    pub proof: Proof,
    /// How long a voter that did not answer is left alone at first, doubled with each time.
    pub pause: Duration,
    /// About how long a commit takes: whoever is overtaken by another waits a random part of this first, and of twice
    /// as much each time it happens again.
    pub round: Duration,
}

impl Default for QuorumOptions {
    fn default() -> Self {
        Self {
            proof: Proof::Within(Duration::from_secs(10)),
            pause: Duration::from_millis(50),
            round: Duration::from_millis(50),
        }
    }
}

/// A log that a quorum of providers keeps: it goes on, and loses nothing, while more than half of them are there.
///
/// # Examples
///
/// ```
/// # use std::sync::Arc;
/// # use std::time::Duration;
/// # use storage_core::{BoxFuture, Env};
/// # #[derive(Debug)]
/// # struct Threads;
/// # impl Env for Threads {
/// #     fn monotonic(&self) -> Duration { Duration::ZERO }
/// #     fn wall(&self) -> Duration { Duration::ZERO }
/// #     fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> { Box::pin(async {}) }
/// #     fn spawn(&self, task: BoxFuture<'static, ()>) {
/// #         std::thread::spawn(|| futures_executor::block_on(task));
/// #     }
/// #     fn random(&self) -> u64 { 7 }
/// # }
/// use backend_memory::MemoryProvider;
/// use storage_core::{Prefix, StorageProvider};
/// use storage_log::quorum::{QuorumLog, QuorumOptions};
/// use storage_log::{Appended, CommitLog, Entry, Head, LogId, Slot};
///
/// # futures_executor::block_on(async {
/// # let env = Arc::new(Threads);
/// let id = LogId([7; 16]);
/// let clouds: Vec<Arc<dyn StorageProvider>> =
///     (0..3).map(|_| Arc::new(MemoryProvider::new()) as Arc<dyn StorageProvider>).collect();
/// QuorumLog::create(id, &clouds, &Prefix::all()).await?;
/// let log = QuorumLog::open(id, clouds, Prefix::all(), env, QuorumOptions::default()).await?;
/// let entry = Entry::new(id, Head::genesis(id), [1; 16], b"hello");
/// assert!(matches!(log.append(&entry).await?, Appended::Ours));
/// assert!(log.read(Slot(1)).await?.is_some());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
pub struct QuorumLog {
    pub(super) core: Arc<Core>,
}

pub(super) struct Core {
    pub(super) log: LogId,
    pub(super) providers: Vec<Arc<dyn StorageProvider>>,
    pub(super) prefix: Prefix,
    pub(super) env: Arc<dyn Env>,
    pub(super) options: QuorumOptions,
    pub(super) state: Mutex<State>,
}

pub(super) struct State {
    pub(super) proposer: Proposer,
    /// Goals that wait for their turn, and who waits for the one under way.
    pub(super) waiting: VecDeque<(Goal, oneshot::Sender<Outcome>)>,
    pub(super) current: Option<oneshot::Sender<Outcome>>,
    /// Which provider a voter is.
    pub(super) places: BTreeMap<VoterId, usize>,
    pub(super) cells: BTreeMap<VoterId, Cells>,
    /// Up to which version this handle has told everybody who votes.
    pub(super) told: u64,
    /// A slot that somebody asked for lately: where to begin to look on a chain of which nothing is known.
    pub(super) asked_for: Slot,
    /// Those that none of the providers is, all of which answered when it was last looked for.
    pub(super) strangers: BTreeSet<VoterId>,
    /// Whether all providers answered when they were last asked who votes.
    pub(super) is_told: bool,
    /// What each voter said, if the last that was asked of it failed.
    pub(super) troubles: BTreeMap<VoterId, String>,
    /// Those who wait to know the end of the log, and whether somebody asks.
    pub(super) probing: bool,
    pub(super) probes: Vec<oneshot::Sender<Probed>>,
}

/// What is told to those who wait to know the end: of an error as much as can be told more than once.
pub(super) type Probed = Result<(), (ErrorKind, Arc<str>)>;

impl QuorumLog {
    /// Who votes, as far as this handle knows.
    #[must_use]
    pub fn voters(&self) -> Voters {
        self.core.state().proposer.voters().clone()
    }

    /// The voters that this handle has found to be none any more, and why.
    #[must_use]
    pub fn lost(&self) -> Vec<(VoterId, Lost)> {
        let state = self.core.state();
        state.proposer.lost().map(|(voter, why)| (voter, why.clone())).collect()
    }
}

impl fmt::Debug for QuorumLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.core.providers.iter().map(|provider| provider.info().name);
        f.debug_struct("QuorumLog")
            .field("log", &self.core.log)
            .field("providers", &names.collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl CommitLog for QuorumLog {
    fn id(&self) -> LogId {
        self.core.log
    }

    async fn append(&self, entry: &Entry) -> Result<Appended> {
        let core = &self.core;
        let mut answer = core.submit(Goal::Append(entry.clone())).await;
        if matches!(answer, Some(Outcome::Unreachable { .. })) && core.find_voters().await? {
            let was_sent = answer == Some(Outcome::Unreachable { maybe: true });
            answer = core.submit(Goal::Append(entry.clone())).await;
            if let Some(Outcome::Unreachable { maybe }) = &mut answer {
                *maybe |= was_sent;
            }
        }
        match answer {
            Some(Outcome::Done(_)) => Ok(Appended::Ours),
            Some(Outcome::Taken(_)) => {
                let record = core.fetch(entry.slot()).await?;
                Ok(Appended::Taken(record))
            }
            Some(Outcome::Passed(_)) => match core.fetch(entry.slot()).await {
                Ok(record) if record.id() == entry.id() => Ok(Appended::Ours),
                Ok(record) => Ok(Appended::Taken(record)),
                Err(Error::Storage(error)) => Ok(Appended::Unknown(error.into_unknown())),
                Err(error) => Err(error),
            },
            Some(Outcome::Misplaced { slot, entry: last }) => {
                let why = format!("it does not follow {last}, the last entry, at slot {slot}");
                Err(Error::corrupt(entry.slot(), why))
            }
            Some(Outcome::Unreachable { maybe: false }) => Err(core.unreachable().into()),
            Some(Outcome::Unreachable { maybe: true }) => {
                Ok(Appended::Unknown(core.unreachable().into_unknown()))
            }
            None => {
                let message = "the runtime that appended the entry was stopped";
                let stopped = storage_core::Error::unknown(ErrorKind::Unavailable, message);
                Ok(Appended::Unknown(stopped))
            }
        }
    }

    async fn read(&self, slot: Slot) -> Result<Option<Record>> {
        if slot == Slot(0) {
            return Ok(None);
        }
        if slot > self.core.decided().slot {
            self.core.state().asked_for = slot;
            self.core.refresh().await?;
            if slot > self.core.decided().slot {
                return Ok(None);
            }
        }
        self.core.fetch(slot).await.map(Some)
    }

    async fn goes_on(&self, _: Head) -> Result<bool> {
        Ok(false)
    }

    async fn collect(&self, record: &Record) -> Result<()> {
        if record.body().is_none() || record.is_move() {
            return Ok(());
        }
        if record.slot() > self.core.decided().slot {
            self.core.refresh().await?;
        }
        let voters = self.voters();
        let all = voters.members.iter().map(|voter| self.core.collect_at(*voter, record));
        let mut collected = 0;
        let mut failed = None;
        for outcome in join_all(all).await {
            match outcome {
                Ok(()) => collected += 1,
                Err(error) => failed = Some(error),
            }
        }
        // What is left elsewhere is only more than is needed.
        match failed {
            Some(error) if collected < voters.quorum => Err(error),
            Some(_) | None => Ok(()),
        }
    }

    async fn status(&self) -> Result<Vec<VoterStatus>> {
        self.core.voters_now().await
    }

    async fn mend(&self) -> Result<Vec<VoterId>> {
        let mut admitted = Vec::new();
        for (lost, provider) in self.missing().await? {
            admitted.push(self.admit(provider, Some(lost)).await?);
        }
        Ok(admitted)
    }

    async fn change_voters(
        &self,
        change: VoterChange,
        tell: &(dyn Fn(CopyProgress) + Send + Sync),
    ) -> Result<bool> {
        self.change(change, tell).await
    }
}

impl Core {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn decided(&self) -> Point {
        self.state().proposer.decided()
    }

    /// What becomes of a goal; `None` when the runtime was stopped before that was known.
    pub(super) async fn submit(self: &Arc<Self>, goal: Goal) -> Option<Outcome> {
        let (sender, receiver) = oneshot::channel();
        self.state().waiting.push_back((goal, sender));
        self.advance(None);
        let outcome = receiver.await.ok();
        self.tell_voters();
        outcome
    }

    pub(super) fn unreachable(&self) -> storage_core::Error {
        let state = self.state();
        let Voters { quorum, members, .. } = state.proposer.voters();
        let mut message = format!("{quorum} of {} voters of the log have to answer", members.len());
        for (voter, why) in state.proposer.lost() {
            message += &format!("; {} is lost: {why}", self.name(&state, voter));
        }
        for (voter, why) in &state.troubles {
            message += &format!("; {}: {why}", self.name(&state, *voter));
        }
        let strangers = members.iter().filter(|voter| state.strangers.contains(voter)).count();
        let kind = match state.is_told && members.len() - strangers < *quorum {
            true => {
                message += "; name the providers of all who vote now";
                ErrorKind::Misconfigured
            }
            false => ErrorKind::Unavailable,
        };
        storage_core::Error::not_applied(kind, message)
    }

    pub(super) fn name(&self, state: &State, voter: VoterId) -> String {
        let place = state.places.get(&voter);
        place.map_or_else(|| voter.to_string(), |at| self.providers[*at].info().name.into_owned())
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wiped => {
                f.write_str("its marker is gone or another's, so it was wiped or replaced")
            }
            Self::Damaged(why) => write!(f, "its chain is damaged: {why}"),
        }
    }
}

pub(super) fn misconfigured(message: String) -> Error {
    storage_core::Error::not_applied(ErrorKind::Misconfigured, message).into()
}

pub(super) fn marker_key(prefix: &Prefix) -> Result<Key> {
    key(prefix, "voter".to_owned())
}

pub(super) fn key(prefix: &Prefix, name: String) -> Result<Key> {
    prefix.join(name).map_err(|problem| {
        let message = format!("the prefix {prefix:?} leaves no room for a chain: {problem}");
        storage_core::Error::not_applied(ErrorKind::InvalidKey, message).into()
    })
}
