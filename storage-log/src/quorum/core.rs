//! The log on a quorum: what carries out the requests of the state machines, and the log they make.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_channel::oneshot;
use futures_util::future::join_all;
use futures_util::stream::{FuturesUnordered, StreamExt};
use storage_core::{
    Atomicity, Env, ErrorKind, Get, Key, List, Prefix, PutIf, StorageProvider, StorageProviderExt,
};

use super::lookup::{Cells, Step, Target, step};
use super::marker::Marker;
use super::{
    Asked, Base, Cell, Event, Found, Goal, Lost, Outcome, Point, Proof, Proposer, Request, VoterId,
    Voters,
};
use crate::{Appended, CommitLog, Entry, Error, LogId, Record, Result, Slot};

/// How many steps a search along one chain may take.
const STEPS_MAX: u32 = 256;
/// How often a reading begins again when what it found was in doubt and was settled meanwhile.
const READINGS_MAX: u32 = 8;

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
    state: Mutex<State>,
}

pub(super) struct State {
    pub(super) proposer: Proposer,
    /// Goals that wait for their turn, and who waits for the one under way.
    waiting: VecDeque<(Goal, oneshot::Sender<Outcome>)>,
    current: Option<oneshot::Sender<Outcome>>,
    /// Which provider a voter is.
    pub(super) places: BTreeMap<VoterId, usize>,
    cells: BTreeMap<VoterId, Cells>,
    /// Up to which version this handle has told everybody who votes.
    told: u64,
    /// A slot that somebody asked for lately: where to begin to look on a chain of which nothing is known.
    asked_for: Slot,
    /// What each voter said when it last failed.
    troubles: BTreeMap<VoterId, String>,
    /// Those who wait to know the end of the log, and whether somebody asks.
    probing: bool,
    probes: Vec<oneshot::Sender<Result<(), Arc<str>>>>,
}

impl QuorumLog {
    /// Makes the log `id`, which no provider may have yet, with each of the providers as a voter. Doing it again with
    /// the same providers in the same order does no harm.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`]: [`Misconfigured`](ErrorKind::Misconfigured) for too few or too many providers and for one
    /// that is a voter already, [`Unsupported`](ErrorKind::Unsupported) for one that cannot be, and what a provider
    /// fails with.
    pub async fn create(
        id: LogId,
        providers: &[Arc<dyn StorageProvider>],
        prefix: &Prefix,
    ) -> Result<()> {
        let members: Vec<_> = (0..providers.len()).map(|nth| first_voter(id, nth)).collect();
        let voters = Voters::majority(0, members.clone());
        if let Some(problem) = voters.problem() {
            return Err(misconfigured(problem));
        }
        providers.iter().try_for_each(|provider| check(&**provider))?;
        let key = marker_key(prefix)?;
        let puts = providers.iter().zip(members).map(|(provider, voter)| {
            let base = Base { position: 0, point: Point::genesis(id), voters: voters.clone() };
            let bytes = Marker { voter, base }.encode(id);
            let key = &key;
            async move {
                match provider.put(key, bytes.clone(), PutIf::Absent).await {
                    Err(error) if error.kind() == ErrorKind::Conflict => {
                        let found = provider.get(key, Get::whole()).await?;
                        let name = provider.info().name;
                        let taken = format!("{name} is a voter of another log, or another voter");
                        (found.body == bytes).then_some(()).ok_or_else(|| misconfigured(taken))
                    }
                    other => Ok(other.map(drop)?),
                }
            }
        });
        join_all(puts).await.into_iter().collect()
    }

    /// A handle on the log `id` of these providers, in any order. A majority of the voters has to answer before
    /// anything can be read or appended, but only one for this.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`]: [`NotFound`](ErrorKind::NotFound) when no provider that answers is a voter,
    /// [`Misconfigured`](ErrorKind::Misconfigured) when two are the same one, and what all of them fail with.
    /// [`Error::Corrupt`] when one is a voter of another log.
    pub async fn open(
        id: LogId,
        providers: Vec<Arc<dyn StorageProvider>>,
        prefix: Prefix,
        env: Arc<dyn Env>,
        options: QuorumOptions,
    ) -> Result<Self> {
        providers.iter().try_for_each(|provider| check(&**provider))?;
        let writer = u128::from(env.random()) << 64 | u128::from(env.random());
        let key = marker_key(&prefix)?;
        let found = join_all(providers.iter().map(|provider| provider.try_get(&key))).await;
        let (mut places, mut voters, mut failed) = (BTreeMap::new(), None::<Voters>, None);
        for (at, found) in found.into_iter().enumerate() {
            match found {
                Ok(Some(object)) => {
                    let Marker { voter, base } = Marker::decode(id, &object.body)?;
                    if let Some(other) = places.insert(voter, at) {
                        let names = [other, at].map(|at| providers[at].info().name);
                        let [one, other] = names;
                        return Err(misconfigured(format!("{one} and {other} are the same voter")));
                    }
                    if voters.as_ref().is_none_or(|known| known.version < base.voters.version) {
                        voters = Some(base.voters);
                    }
                }
                Ok(None) => {}
                Err(error) => failed = Some(error),
            }
        }
        let Some(voters) = voters else {
            let none = || {
                let message = "none of the providers is a voter of this log";
                storage_core::Error::not_applied(ErrorKind::NotFound, message)
            };
            return Err(failed.unwrap_or_else(none).into());
        };
        let state = State {
            told: voters.version,
            proposer: Proposer::new(id, options.proof, voters, writer),
            waiting: VecDeque::new(),
            current: None,
            places,
            cells: BTreeMap::new(),
            asked_for: Slot(0),
            troubles: BTreeMap::new(),
            probing: false,
            probes: Vec::new(),
        };
        let state = Mutex::new(state);
        let core = Core { log: id, providers, prefix, env, options, state };
        core.find_voters().await?;
        Ok(Self { core: Arc::new(core) })
    }

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

    async fn collect(&self, record: &Record) -> Result<()> {
        if record.body().is_none() {
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

    /// Tells all providers who votes, if that was changed since this handle last did: for those who know only voters of
    /// long ago, of whom too few may be left to ask.
    fn tell_voters(self: &Arc<Self>) {
        let voters = {
            let mut state = self.state();
            let voters = state.proposer.voters().clone();
            if std::mem::replace(&mut state.told, voters.version) >= voters.version {
                return;
            }
            voters
        };
        let core = self.clone();
        self.env.spawn(Box::pin(async move {
            // Whoever sees them next tells them again.
            let _ = core.copy_voters(voters).await;
        }));
    }

    /// Puts a copy of who votes on all providers; as many of the voters as decide have to take it.
    pub(super) async fn copy_voters(&self, voters: Voters) -> Result<()> {
        let key = voters_key(&self.prefix, voters.version)?;
        let base = Base { position: 0, point: Point::genesis(self.log), voters: voters.clone() };
        let bytes = Marker { voter: VoterId([0; 16]), base }.encode(self.log);
        let puts = self.providers.iter();
        let puts = puts.map(|each| each.put(&key, bytes.clone(), PutIf::Absent));
        let mut taken = Vec::new();
        for (at, put) in join_all(puts).await.into_iter().enumerate() {
            if put.map_or_else(|error| error.kind() == ErrorKind::Conflict, |_| true) {
                taken.push(at);
            }
        }
        let places = self.state().places.clone();
        let has_it = |voter: &&VoterId| places.get(*voter).is_some_and(|at| taken.contains(at));
        if voters.members.iter().filter(has_it).count() < voters.quorum {
            return Err(self.unreachable().into());
        }
        Ok(())
    }

    /// Looks for changes of the voters that providers were told of. Whether there were any.
    async fn find_voters(&self) -> Result<bool> {
        let known = self.state().proposer.voters().version;
        let (after, prefix) = (voters_key(&self.prefix, known)?, self.voters_prefix()?);
        // A provider that was wiped has only those of later changes, so the last one counts wherever it is.
        let asked = self.providers.iter().map(|provider| async {
            let page = provider.list(List::new(&prefix).start_after(&after)).await.ok()?;
            let object = provider.try_get(&page.objects.last()?.key).await.ok()??;
            Marker::decode(self.log, &object.body).ok()
        });
        let told = join_all(asked).await.into_iter().flatten();
        let Some(marker) = told.max_by_key(|marker| marker.base.voters.version) else {
            return Ok(false);
        };
        self.state().proposer.adopt(&marker.base.voters);
        Ok(marker.base.voters.version > known)
    }

    fn voters_prefix(&self) -> Result<Prefix> {
        Prefix::new(format!("{}voters/", self.prefix)).map_err(|problem| {
            let message = format!("the prefix {:?} leaves no room: {problem}", self.prefix);
            storage_core::Error::not_applied(ErrorKind::InvalidKey, message).into()
        })
    }

    /// Tells the proposer what happened, begins what can begin, and sends what it asks for.
    fn advance(self: &Arc<Self>, event: Option<Event>) {
        let now = self.env.monotonic();
        let requests = {
            let mut state = self.state();
            let mut requests = event.map(|event| state.proposer.on(event, now)).unwrap_or_default();
            loop {
                if let Some(outcome) = state.proposer.outcome()
                    && let Some(waiter) = state.current.take()
                {
                    // One who no longer waits does not mind.
                    let _ = waiter.send(outcome);
                }
                let is_free = state.proposer.is_free();
                match state.waiting.pop_front() {
                    Some((goal, waiter)) if is_free => {
                        state.current = Some(waiter);
                        requests.extend(state.proposer.begin(goal, now));
                    }
                    Some(waiting) => {
                        state.waiting.push_front(waiting);
                        break requests;
                    }
                    None => break requests,
                }
            }
        };
        for request in requests {
            let core = self.clone();
            self.env.spawn(Box::pin(async move {
                let event = core.perform(request).await;
                core.advance(Some(event));
            }));
        }
    }

    /// Does what a state machine asks for, and says what came of it.
    pub(super) async fn perform(&self, request: Request) -> Event {
        match request {
            Request::Read { voter, position } => {
                Event::Answer(voter, self.read_cell(voter, position).await)
            }
            Request::Put(cell) => Event::Answer(cell.voter(), self.put_cell(&cell).await),
            Request::Mark { voter } => self.read_marker(voter).await,
            Request::Fetch { index } => {
                let value = self.look_up(Target::Index(index)).await.ok();
                Event::Fetched { index, value: value.and_then(|cell| cell.value().cloned()) }
            }
            Request::Pause { voter, failures } => {
                let pause = self.options.pause * 2_u32.pow(u32::from(failures.clamp(1, 8)) - 1);
                self.env.sleep(pause).await;
                Event::Resumed(voter)
            }
            Request::BackOff { times } => {
                let most = self.options.round * 2_u32.pow(times.clamp(1, 8));
                let micros = u64::try_from(most.as_micros()).unwrap_or(u64::MAX).max(1);
                self.env.sleep(Duration::from_micros(self.env.random() % micros)).await;
                Event::BackedOff
            }
        }
    }

    async fn read_cell(&self, voter: VoterId, position: u64) -> Asked {
        match self.get_cell(voter, position).await {
            Ok(Some(cell)) => Asked::Found(Box::new(cell)),
            Ok(None) => Asked::Empty,
            Err(Error::Corrupt { why, .. }) => Asked::Damaged(why),
            Err(Error::Storage(error)) => self.failed(voter, &error),
        }
    }

    async fn get_cell(&self, voter: VoterId, position: u64) -> Result<Option<Cell>> {
        let provider = self.provider(voter).await?;
        let Some(object) = provider.try_get(&self.cell_key(voter, position)?).await? else {
            return Ok(None);
        };
        let cell = Cell::decode(self.log, voter, position, &object.body)?;
        self.state().cells.entry(voter).or_default().keep(cell.clone());
        Ok(Some(cell))
    }

    async fn put_cell(&self, cell: &Cell) -> Asked {
        let put = async {
            let key = self.cell_key(cell.voter(), cell.position())?;
            let provider = self.provider(cell.voter()).await?;
            Ok(provider.put(&key, cell.encode(self.log), PutIf::Absent).await?)
        };
        match put.await {
            Ok(_) => {
                self.state().cells.entry(cell.voter()).or_default().keep(cell.clone());
                Asked::Created
            }
            Err(Error::Storage(error)) if error.kind() == ErrorKind::Conflict => Asked::Exists,
            Err(Error::Storage(error)) => self.failed(cell.voter(), &error),
            Err(Error::Corrupt { why, .. }) => Asked::Damaged(why),
        }
    }

    async fn read_marker(&self, voter: VoterId) -> Event {
        let asked = self.env.monotonic();
        let read = async {
            let provider = self.provider(voter).await?;
            Ok::<_, Error>(provider.try_get(&marker_key(&self.prefix)?).await?)
        };
        let base = match read.await {
            Ok(Some(object)) => match Marker::decode(self.log, &object.body) {
                Ok(marker) if marker.voter == voter => Some(Box::new(marker.base)),
                Ok(_) | Err(_) => None,
            },
            Ok(None) => None,
            Err(error) => {
                self.state().troubles.insert(voter, error.to_string());
                return Event::NotMarked(voter);
            }
        };
        Event::Marked { voter, base, asked }
    }

    fn failed(&self, voter: VoterId, error: &storage_core::Error) -> Asked {
        self.state().troubles.insert(voter, error.to_string());
        Asked::Failed
    }

    /// The provider that is this voter. One that did not answer so far is asked who it is.
    async fn provider(&self, voter: VoterId) -> Result<&dyn StorageProvider> {
        let place = self.state().places.get(&voter).copied();
        if let Some(at) = place {
            return Ok(&*self.providers[at]);
        }
        let key = marker_key(&self.prefix)?;
        let asked = self.providers.iter().map(|provider| provider.try_get(&key));
        let mut place = None;
        for (at, found) in join_all(asked).await.into_iter().enumerate() {
            let Ok(Some(object)) = found else { continue };
            let Ok(marker) = Marker::decode(self.log, &object.body) else { continue };
            self.state().places.insert(marker.voter, at);
            if marker.voter == voter {
                place = Some(at);
            }
        }
        place.map(|at| &*self.providers[at]).ok_or_else(|| {
            let message = format!("none of the providers that answer is the voter {voter}");
            storage_core::Error::not_applied(ErrorKind::Unavailable, message).into()
        })
    }

    /// Learns what was decided before this call, together with all who want to know at the same time.
    pub(super) async fn refresh(self: &Arc<Self>) -> Result<()> {
        let (sender, receiver) = oneshot::channel();
        let begin = {
            let mut state = self.state();
            state.probes.push(sender);
            !std::mem::replace(&mut state.probing, true)
        };
        if begin {
            let core = self.clone();
            self.env.spawn(Box::pin(async move { core.answer_probes().await }));
        }
        let unavailable = |message: String| {
            Err(storage_core::Error::not_applied(ErrorKind::Unavailable, message).into())
        };
        match receiver.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(message)) => unavailable(message.to_string()),
            Err(oneshot::Canceled) => {
                self.state().probing = false;
                unavailable("the runtime that read the log was stopped".into())
            }
        }
    }

    async fn answer_probes(self: &Arc<Self>) {
        loop {
            let waiting = {
                let mut state = self.state();
                if state.probes.is_empty() {
                    state.probing = false;
                    return;
                }
                std::mem::take(&mut state.probes)
            };
            let result = self.find_end().await.map_err(|error| Arc::from(error.to_string()));
            for waiter in waiting {
                let _ = waiter.send(result.clone());
            }
        }
    }

    async fn find_end(self: &Arc<Self>) -> Result<()> {
        for _ in 0..READINGS_MAX {
            let mut reader = {
                let state = self.state();
                let mut reader = state.proposer.reader();
                reader.hint(state.asked_for.0);
                reader
            };
            let mut under_way = FuturesUnordered::new();
            let mut requests = reader.start(self.env.monotonic());
            let found = loop {
                under_way.extend(requests.drain(..).map(|request| self.perform(request)));
                if let Some(found) = reader.found() {
                    break found;
                }
                let Some(event) = under_way.next().await else { break Found::Unreachable };
                requests = reader.on(event, self.env.monotonic());
            };
            drop(under_way);
            self.state().proposer.learn(&reader.into_council());
            self.tell_voters();
            match found {
                Found::Decided(_) => return Ok(()),
                Found::Unreachable => {
                    if !self.find_voters().await? {
                        return Err(self.unreachable().into());
                    }
                }
                Found::Doubt => match self.submit(Goal::Settle).await {
                    Some(Outcome::Done(_)) => return Ok(()),
                    Some(Outcome::Unreachable { .. }) | None => {
                        if !self.find_voters().await? {
                            return Err(self.unreachable().into());
                        }
                    }
                    Some(_) => {}
                },
            }
        }
        Err(self.unreachable().into())
    }

    /// What stands at a slot that is decided.
    async fn fetch(self: &Arc<Self>, slot: Slot) -> Result<Record> {
        let cell = match self.look_up(Target::Slot(slot)).await {
            Ok(cell) => cell,
            // What is known of the chains may be out of date.
            Err(_) => {
                self.refresh().await?;
                self.look_up(Target::Slot(slot)).await?
            }
        };
        let bytes = cell.value().map(|value| value.bytes().clone()).unwrap_or_default();
        Record::decode(self.log, slot, bytes)
    }

    /// The cell of what was decided, from the first voter that can tell.
    pub(super) async fn look_up(&self, target: Target) -> Result<Cell> {
        let voters = self.state().proposer.voters().members.clone();
        let mut failed = None;
        for voter in voters {
            match self.look_up_at(voter, target).await {
                Ok(Some(cell)) => return Ok(cell),
                Ok(None) => {}
                Err(error) => failed = Some(error),
            }
        }
        Err(failed.unwrap_or_else(|| self.unreachable().into()))
    }

    async fn look_up_at(&self, voter: VoterId, target: Target) -> Result<Option<Cell>> {
        for turn in 0..STEPS_MAX {
            let next = {
                let state = self.state();
                let council = state.proposer.council();
                let Some(member) = council.members.iter().find(|each| each.voter() == voter) else {
                    return Ok(None);
                };
                let none = Cells::default();
                let cells = state.cells.get(&voter).unwrap_or(&none);
                step(target, member, cells, &council.decided, turn)
            };
            match next {
                Step::Found(cell) => return Ok(Some(*cell)),
                Step::NotHere => return Ok(None),
                Step::Read(position) => {
                    if self.get_cell(voter, position).await?.is_none() {
                        return Ok(None);
                    }
                }
            }
        }
        Ok(None)
    }

    /// Takes the bytes of an entry away from one voter, if it has the entry.
    async fn collect_at(&self, voter: VoterId, record: &Record) -> Result<()> {
        let Some(cell) = self.look_up_at(voter, Target::Slot(record.slot())).await? else {
            return Ok(());
        };
        if cell.value().is_none_or(|value| value.point().id != record.id()) {
            return Ok(());
        }
        let cell = cell.collected(record);
        let key = self.cell_key(voter, cell.position())?;
        let provider = self.provider(voter).await?;
        provider.put(&key, cell.encode(self.log), PutIf::Always).await?;
        self.state().cells.entry(voter).or_default().keep(cell);
        Ok(())
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
        storage_core::Error::not_applied(ErrorKind::Unavailable, message)
    }

    fn name(&self, state: &State, voter: VoterId) -> String {
        let place = state.places.get(&voter);
        place.map_or_else(|| voter.to_string(), |at| self.providers[*at].info().name.into_owned())
    }

    fn cell_key(&self, voter: VoterId, position: u64) -> Result<Key> {
        key(&self.prefix, format!("{voter}/{position:016x}"))
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

/// The voters that a log begins with are named after it, so that whoever makes it twice makes the same.
fn first_voter(log: LogId, nth: usize) -> VoterId {
    let mut hasher = blake3::Hasher::new_derive_key("cloudbank quorum first voter 1");
    hasher.update(&log.0).update(&(nth as u64).to_le_bytes());
    let mut id = [0; 16];
    id.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    VoterId(id)
}

fn check(provider: &dyn StorageProvider) -> Result<()> {
    let info = provider.info();
    if info.capabilities.absent != Atomicity::Unsupported {
        return Ok(());
    }
    let message = format!(
        "{} cannot put on condition that the key is absent, which a voter has to; let another vote",
        info.name
    );
    Err(storage_core::Error::not_applied(ErrorKind::Unsupported, message).into())
}

pub(super) fn misconfigured(message: String) -> Error {
    storage_core::Error::not_applied(ErrorKind::Misconfigured, message).into()
}

pub(super) fn marker_key(prefix: &Prefix) -> Result<Key> {
    key(prefix, "voter".to_owned())
}

fn voters_key(prefix: &Prefix, version: u64) -> Result<Key> {
    key(prefix, format!("voters/{version:016x}"))
}

fn key(prefix: &Prefix, name: String) -> Result<Key> {
    prefix.join(name).map_err(|problem| {
        let message = format!("the prefix {prefix:?} leaves no room for a chain: {problem}");
        storage_core::Error::not_applied(ErrorKind::InvalidKey, message).into()
    })
}
