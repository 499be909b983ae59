//! What a scenario sees of the world, and what a node sees.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use rand::SeedableRng;
use rand_pcg::Pcg32;
use storage_core::{BoxFuture, Env, Key};

use crate::objects::{Change, Objects};
use crate::steps::Touched;
use crate::world::{NodeState, State, What, Who, World};
use crate::{SimEnv, SimProvider};

/// The world as a scenario sees it: it makes places and nodes, lets them run, and looks at what came
/// of it.
#[derive(Debug)]
pub struct Sim {
    pub(crate) world: Arc<World>,
}

/// A provider's objects, of which every node may have a handle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place(pub(crate) u32);

/// Which node: they are numbered from zero, in the order in which they were made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u32);

/// What a scenario may compare in time: see [`Node::marks`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// A node begins something, after whatever has ended by then.
    Begins,
    /// It ends, before whatever begins later.
    Ends,
}

/// Why a run came to no end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stopped {
    /// Nothing can happen any more, and somebody still waits.
    Deadlock(String),
    /// It goes on and on.
    Livelock(String),
    /// All that could come now was tried by the search that this run is of, before steps which it does not
    /// meet: the run would be another of those, and is broken off.
    Redundant,
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deadlock(message) => write!(f, "deadlock: {message}"),
            Self::Livelock(message) => write!(f, "livelock: {message}"),
            Self::Redundant => f.write_str("no need to go on: this was searched already"),
        }
    }
}

impl std::error::Error for Stopped {}

impl From<Stopped> for String {
    fn from(stopped: Stopped) -> Self {
        stopped.to_string()
    }
}

impl Sim {
    /// A new provider without objects.
    pub fn place(&mut self, name: &str) -> Place {
        let mut state = self.world.state();
        state.places.push(Objects::new(name.into()));
        Place(state.places.len() as u32 - 1)
    }

    /// A new node: a process that begins with what `start` makes, and that begins with it again after
    /// each crash, until that has once come to its end. Tasks it has spawned go on after that.
    pub fn node<F>(
        &mut self,
        name: &str,
        start: impl Fn(Node) -> F + Send + Sync + 'static,
    ) -> NodeId
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let start = move |node| -> BoxFuture<'static, ()> { Box::pin(start(node)) };
        self.add(name, Arc::new(start), false)
    }

    /// Lets everything run until each node has come to its end.
    ///
    /// # Errors
    ///
    /// [`Stopped`] when that does not happen.
    pub fn run(&mut self) -> Result<(), Stopped> {
        self.world.run(|state| state.unfinished == 0)
    }

    /// Lets everything run for so much virtual time.
    ///
    /// # Errors
    ///
    /// [`Stopped::Livelock`] when the plan's limit of steps is reached first.
    pub fn run_for(&mut self, time: Duration) -> Result<(), Stopped> {
        let end = {
            let mut state = self.world.state();
            let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
            state.after(micros, What::Nothing);
            state.now.saturating_add(micros)
        };
        self.world.run(|state| state.now >= end && state.ready.is_empty())
    }

    /// Lets everything run until nothing is under way and nobody sleeps: every late request has landed.
    ///
    /// # Errors
    ///
    /// [`Stopped::Livelock`] when some task never stops sleeping.
    pub fn settle(&mut self) -> Result<(), Stopped> {
        self.world.run(State::is_quiet)
    }

    /// What `work` answers on a new node, which meets no fault, crash or pause. The others go on
    /// meanwhile.
    ///
    /// # Errors
    ///
    /// [`Stopped`] when it does not come to its end.
    pub fn ask<T, F>(
        &mut self,
        name: &str,
        work: impl FnOnce(Node) -> F + Send + 'static,
    ) -> Result<T, Stopped>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let answer = Arc::new(Mutex::new(None));
        let (work, told) = (Mutex::new(Some(work)), answer.clone());
        let start = move |node| -> BoxFuture<'static, ()> {
            let work = work.lock().unwrap_or_else(PoisonError::into_inner).take();
            let future = work.map(|work| work(node));
            let told = told.clone();
            Box::pin(async move {
                if let Some(future) = future {
                    let answer = future.await;
                    *told.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
                }
            })
        };
        let node = self.add(name, Arc::new(start), true);
        self.world.run(|state| state.nodes[node.0 as usize].finished)?;
        let answer = answer.lock().unwrap_or_else(PoisonError::into_inner).take();
        answer.ok_or_else(|| Stopped::Deadlock(format!("`{name}` was crashed before its end")))
    }

    /// Until [`begin`](Self::begin), nothing goes wrong, and what is under way arrives in the order in which it was
    /// sent, as far as the plan leaves that open: to bring nodes to where a search is to start.
    pub fn prepare(&mut self) {
        self.world.state().preparing = true;
    }

    /// What was prepared is ready: from here on it is as the plan says.
    pub fn begin(&mut self) {
        let mut state = self.world.state();
        state.preparing = false;
        state.touches(Touched::everything);
        state.say(Who::World, |_| "is prepared".to_owned());
    }

    /// From here on nothing goes wrong any more: no fault, crash or pause, and no outage goes on. What
    /// is under way late stays so.
    pub fn heal(&mut self) {
        let mut state = self.world.state();
        state.healed = true;
        state.touches(Touched::everything);
        state.outages.clear();
        state.say(Who::World, |_| "is healed".to_owned());
    }

    /// Crashes a node now. It starts again later, unless it was at its end.
    pub fn crash(&mut self, node: NodeId) {
        if self.world.state().nodes[node.0 as usize].up {
            self.world.crash(node.0);
        }
    }

    /// Lets a node stand still for some time, as a suspended machine does, unless it is down.
    pub fn pause(&mut self, node: NodeId, time: Duration) {
        self.world.state().pause(node.0, time);
    }

    /// A lot drawn from the tape, for scenarios that differ: less than `arity`.
    pub fn choose(&mut self, arity: u32) -> u32 {
        self.world.state().tape.choose(arity)
    }

    /// Virtual time since the beginning.
    #[must_use]
    pub fn now(&self) -> Duration {
        Duration::from_micros(self.world.state().now)
    }

    /// How many requests were sent so far.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.world.state().sent
    }

    /// Every object of a place, in the order of keys.
    #[must_use]
    pub fn contents(&self, place: Place) -> Vec<(Key, Bytes)> {
        let state = self.world.state();
        let all = state.places[place.0 as usize].all();
        all.map(|(key, body)| (key.clone(), body.clone())).collect()
    }

    /// Every change that was ever applied to a place, in order: what really happened, to hold what
    /// nodes believe against.
    #[must_use]
    pub fn history(&self, place: Place) -> Vec<Change> {
        self.world.state().places[place.0 as usize].history()
    }

    /// Changes an object behind everybody's back, as rot, a restored backup or an operator does; `None`
    /// removes it.
    pub fn tamper(&mut self, place: Place, key: &Key, body: Option<Bytes>) {
        let mut state = self.world.state();
        state.places[place.0 as usize].change(key, body);
        state.touches(Touched::everything);
        state.say(Who::Place(place.0), |_| format!("{key} is tampered with"));
    }

    fn add(&mut self, name: &str, start: crate::world::Start, safe: bool) -> NodeId {
        let mut state = self.world.state();
        let index = state.nodes.len() as u32;
        state.nodes.push(NodeState {
            name: name.into(),
            start: Some(start),
            starts: 0,
            up: false,
            finished: false,
            safe,
            paused: false,
            parked: Vec::new(),
            polls: 0,
            exposed_polls: 0,
            crash_at: None,
            pause_at: None,
            pauses: 0,
            sleeps: 0,
            clock_origin: 0,
            clock_skew: 0,
            dice: Pcg32::seed_from_u64(0),
        });
        state.unfinished += 1;
        state.arrive(0, What::Start { node: index, starts: 0 });
        NodeId(index)
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        self.world.end();
    }
}

/// The world as a node sees it, from one start of it to its next crash.
#[derive(Clone)]
pub struct Node {
    pub(crate) world: Arc<World>,
    pub(crate) index: u32,
    pub(crate) starts: u32,
}

impl Node {
    /// Which node this is.
    #[must_use]
    pub fn id(&self) -> NodeId {
        NodeId(self.index)
    }

    /// How often it was started before.
    #[must_use]
    pub fn restarts(&self) -> u32 {
        self.starts - 1
    }

    /// Its time, randomness and tasks.
    #[must_use]
    pub fn env(&self) -> Arc<dyn Env> {
        Arc::new(SimEnv { world: self.world.clone(), node: self.index, starts: self.starts })
    }

    /// Its handle on a place.
    #[must_use]
    pub fn provider(&self, place: Place) -> SimProvider {
        SimProvider { world: self.world.clone(), node: self.index, place }
    }

    /// A lot drawn from the tape, for workloads: less than `arity`.
    #[must_use]
    pub fn choose(&self, arity: u32) -> u32 {
        self.world.state().tape.choose(arity)
    }

    /// Whether this node is to do a piece of its work, which has this number: no two pieces of a run have the same.
    /// All are done, until a failure is made simpler. Ask before anything of it is drawn or done.
    #[must_use]
    pub fn does(&self, piece: u32) -> bool {
        let mut state = self.world.state();
        let does = !state.plan.left_out.contains(&piece);
        if does {
            state.pieces.insert(piece);
        }
        does
    }

    /// Says that something begins or ends now whose order among the nodes the scenario judges. To a search,
    /// two steps that touch nothing in common are the same in either order, unless they say so.
    pub fn marks(&self, mark: Mark) {
        self.world.state().touches(|step| step.mark(mark));
    }

    /// Writes a line into the trace, where there is one. The text is only made then.
    pub fn say(&self, what: impl FnOnce() -> String) {
        self.world.state().say(Who::Node(self.index), |_| what());
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("index", &self.index).finish_non_exhaustive()
    }
}
