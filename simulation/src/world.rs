//! The world: nodes, their tasks, the time, and everything that is under way.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};
use std::time::Duration;

use rand::{Rng, SeedableRng};
use rand_pcg::Pcg32;
use slab::Slab;
use storage_core::{BoxFuture, Operation};

use crate::objects::Objects;
use crate::request::Request;
use crate::steps::{Steps, Touched};
use crate::{About, Crashes, Faults, Node, NodeId, Plan, Tally, Tape, TraceLine};

/// All there is in one run. One thread uses it, so its locks are never contended; they are there because
/// what nodes hold must be able to move between threads.
pub(crate) struct World {
    state: Mutex<State>,
    woken: Arc<Woken>,
}

/// The tasks that were woken since the executor last looked. Apart from the state, since a task may be
/// woken by what happens while the state is locked.
#[derive(Default)]
pub(crate) struct Woken(Mutex<Vec<TaskId>>);

/// A task: its place, and a number that no other task of the run has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct TaskId {
    pub(crate) slot: usize,
    serial: u64,
}

pub(crate) struct State {
    pub(crate) tape: Tape,
    pub(crate) plan: Arc<Plan>,
    pub(crate) faults: Faults,
    /// Microseconds of virtual time.
    pub(crate) now: u64,
    pub(crate) steps: u64,
    pub(crate) healed: bool,
    /// Whether nodes are being brought to where the run is to start.
    pub(crate) preparing: bool,
    pub(crate) nodes: Vec<NodeState>,
    /// How many nodes have not come to the end of what they were made for.
    pub(crate) unfinished: usize,
    pub(crate) tasks: Slab<Task>,
    pub(crate) ready: Vec<usize>,
    pub(crate) serials: u64,
    /// What happens at a time, the earliest first.
    pub(crate) timed: BinaryHeap<Reverse<Event>>,
    /// What may happen next in any order, where the plan says so.
    pub(crate) loose: Vec<Event>,
    /// How often a sleeper has woken before what was loose.
    pub(crate) sleepers_first: u32,
    pub(crate) timers: Slab<Timer>,
    pub(crate) requests: Slab<Request>,
    pub(crate) places: Vec<Objects>,
    /// Which node cannot reach which place until when.
    pub(crate) outages: Vec<(u32, u32, u64)>,
    /// How many requests were sent.
    pub(crate) sent: u64,
    /// Those that a fault could have befallen, with their numbers.
    pub(crate) exposed: Vec<(u64, Operation)>,
    pub(crate) tally: Tally,
    /// The pieces of work that nodes have done.
    pub(crate) pieces: BTreeSet<u32>,
    pub(crate) trace: Option<Vec<TraceLine>>,
    /// What a search keeps of the steps, where this run is one of its.
    pub(crate) search: Option<Steps>,
}

pub(crate) type Start = Arc<dyn Fn(Node) -> BoxFuture<'static, ()> + Send + Sync>;

pub(crate) struct NodeState {
    pub(crate) name: Arc<str>,
    pub(crate) start: Option<Start>,
    /// How often it was started; while it is down, as often as before.
    pub(crate) starts: u32,
    pub(crate) up: bool,
    pub(crate) finished: bool,
    /// Not to be crashed, paused or cut off.
    pub(crate) safe: bool,
    pub(crate) paused: bool,
    /// Tasks that were woken while it was paused.
    pub(crate) parked: Vec<usize>,
    pub(crate) polls: u64,
    /// How many of them could have been the last before a crash.
    pub(crate) exposed_polls: u64,
    pub(crate) crash_at: Option<u64>,
    pub(crate) pause_at: Option<u64>,
    pub(crate) pauses: u32,
    /// How often a task of it has gone to sleep, in a search.
    pub(crate) sleeps: u64,
    /// Where its monotonic clock began, in microseconds.
    pub(crate) clock_origin: u64,
    /// How far its wall clock is off, in microseconds.
    pub(crate) clock_skew: i64,
    pub(crate) dice: Pcg32,
}

pub(crate) struct Task {
    pub(crate) serial: u64,
    pub(crate) node: u32,
    pub(crate) main: bool,
    /// Whether it is in a queue already.
    pub(crate) queued: bool,
    /// `None` while it is being polled.
    pub(crate) work: Option<Runnable>,
}

pub(crate) struct Runnable {
    pub(crate) future: BoxFuture<'static, ()>,
    pub(crate) waker: Waker,
}

pub(crate) struct Timer {
    pub(crate) serial: u64,
    pub(crate) fired: bool,
    pub(crate) waker: Waker,
}

/// Something that will happen.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Event {
    pub(crate) at: u64,
    pub(crate) serial: u64,
    pub(crate) what: What,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum What {
    Start { node: u32, starts: u32 },
    Resume { node: u32, starts: u32 },
    Wake { timer: usize, serial: u64 },
    Deliver { request: usize, answered: bool },
    Reply { request: usize },
    Nothing,
}

struct TaskWaker {
    woken: Arc<Woken>,
    task: TaskId,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.lock().push(self.task);
    }
}

impl Woken {
    // Nothing that holds the lock can panic, so a poisoned lock guards a sound list.
    fn lock(&self) -> MutexGuard<'_, Vec<TaskId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl World {
    pub(crate) fn new(
        plan: Arc<Plan>,
        mut tape: Tape,
        traced: bool,
        search: Option<Steps>,
    ) -> Self {
        let faults = plan.faults.drawn(&mut tape);
        let state = State {
            tape,
            plan,
            faults,
            now: 0,
            steps: 0,
            healed: false,
            preparing: false,
            nodes: Vec::new(),
            unfinished: 0,
            tasks: Slab::new(),
            ready: Vec::new(),
            serials: 0,
            timed: BinaryHeap::new(),
            loose: Vec::new(),
            sleepers_first: 0,
            timers: Slab::new(),
            requests: Slab::new(),
            places: Vec::new(),
            outages: Vec::new(),
            sent: 0,
            exposed: Vec::new(),
            tally: Tally::default(),
            pieces: BTreeSet::new(),
            trace: traced.then(Vec::new),
            search,
        };
        Self { state: Mutex::new(state), woken: Arc::default() }
    }

    // A panic in a node's task is the end of the run, whose remains are only read.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a node a task, if this start of it is still the one that runs.
    pub(crate) fn spawn(&self, node: u32, starts: u32, main: bool, future: BoxFuture<'static, ()>) {
        let mut state = self.state();
        let owner = &state.nodes[node as usize];
        if !owner.up || owner.starts != starts {
            drop(state);
            return;
        }
        let serial = state.serial();
        let slot = state.tasks.vacant_key();
        let task = TaskId { slot, serial };
        let waker = Waker::from(Arc::new(TaskWaker { woken: self.woken.clone(), task }));
        let work = Some(Runnable { future, waker });
        state.tasks.insert(Task { serial, node, main, queued: false, work });
        state.enqueue(slot);
    }

    /// Moves the tasks that were woken to where they wait for their turn.
    pub(crate) fn adopt_woken(&self, state: &mut State) {
        let mut woken = self.woken.lock();
        for task in woken.drain(..) {
            if state.tasks.get(task.slot).is_some_and(|found| found.serial == task.serial) {
                state.enqueue(task.slot);
            }
        }
    }
}

impl State {
    pub(crate) fn serial(&mut self) -> u64 {
        self.serials += 1;
        self.serials
    }

    fn enqueue(&mut self, slot: usize) {
        let task = &mut self.tasks[slot];
        if std::mem::replace(&mut task.queued, true) {
            return;
        }
        let node = &mut self.nodes[task.node as usize];
        if node.paused { node.parked.push(slot) } else { self.ready.push(slot) }
    }

    /// Whether nothing may go wrong for a node.
    pub(crate) fn is_safe(&self, node: u32) -> bool {
        self.healed || self.preparing || self.nodes[node as usize].safe
    }

    /// Tells a search what the present step touches.
    pub(crate) fn touches(&mut self, tell: impl FnOnce(&mut Touched)) {
        if let Some(steps) = &mut self.search {
            tell(steps.touched());
        }
    }

    /// Has a sleeper of a node wake after so many microseconds.
    pub(crate) fn wake_after(&mut self, node: u32, micros: u64, what: What) {
        if !self.plan.order.is_any() {
            return self.after(micros, what);
        }
        // Who sleeps first in a search says nothing: of those that wake at one time, the order is by node.
        let owner = &mut self.nodes[node as usize];
        owner.sleeps += 1;
        let serial = u64::from(node + 1) << 40 | owner.sleeps;
        let at = self.now.saturating_add(micros);
        self.timed.push(Reverse(Event { at, serial, what }));
    }

    /// Has something happen after so many microseconds.
    pub(crate) fn after(&mut self, micros: u64, what: What) {
        let event = Event { at: self.now.saturating_add(micros), serial: self.serial(), what };
        self.timed.push(Reverse(event));
    }

    /// Has something arrive after so many microseconds, or in any order where the plan says so.
    pub(crate) fn arrive(&mut self, micros: u64, what: What) {
        if self.plan.order.is_any() {
            let event = Event { at: self.now.saturating_add(micros), serial: self.serial(), what };
            self.loose.push(event);
        } else {
            self.after(micros, what);
        }
    }

    /// Draws what a node has of its own from the moment of a start: dice, clocks, and when it crashes.
    pub(crate) fn draw_start(&mut self, node: usize) {
        let lot = self.tape.choose(u32::MAX);
        if matches!(self.plan.crashes, Crashes::Lots { .. }) {
            // Who crashes takes from a number that all have in common.
            self.touches(Touched::everything);
        }
        let state = &mut self.nodes[node];
        let seed = u64::from(lot) ^ (node as u64) << 40 ^ u64::from(state.starts) << 52;
        state.dice = Pcg32::seed_from_u64(seed);
        // Up to twelve days, so that two nodes' clocks are never comparable.
        state.clock_origin = u64::from(state.dice.next_u32()) << 8;
        if state.safe || self.healed || self.preparing {
            return;
        }
        let polls = state.polls;
        let plan = self.plan.clone();
        self.nodes[node].crash_at = match &plan.crashes {
            Crashes::At(points) => points
                .iter()
                .filter(|point| point.node == NodeId(node as u32) && point.poll > polls)
                .map(|point| point.poll)
                .min(),
            Crashes::Lots { run_max, gap_polls_max } => {
                let left = self.tally.crashes < u64::from(*run_max);
                let gap = if left { draw_gap(&mut self.tape, *gap_polls_max) } else { 0 };
                (gap > 0).then(|| polls + u64::from(gap))
            }
        };
        self.draw_pause(node);
        self.draw_skew(node);
    }

    /// Draws after how many polls a node is next paused.
    pub(crate) fn draw_pause(&mut self, node: usize) {
        const GAP_POLLS_MAX: u32 = 400;
        let state = &mut self.nodes[node];
        if state.pauses < self.plan.pauses_per_node_max && !self.healed {
            let gap = draw_gap(&mut self.tape, GAP_POLLS_MAX);
            state.pause_at = (gap > 0).then(|| state.polls + u64::from(gap));
        }
    }

    /// Draws how far a node's wall clock is off: in steps, of which half are small.
    pub(crate) fn draw_skew(&mut self, node: usize) {
        const STEPS: i64 = 64;
        let max = i64::try_from(self.plan.clock_skew_max.as_micros()).unwrap_or(i64::MAX);
        if max > 0 && !self.healed {
            let lot = i64::from(self.tape.choose(2 * STEPS as u32));
            let (sign, size) = if lot % 2 == 0 { (1, lot / 2) } else { (-1, lot / 2 + 1) };
            self.nodes[node].clock_skew = sign * (max / (STEPS * STEPS)).max(1) * size * size;
        }
    }

    /// Writes a line, where lines are wanted. What it says is only made then.
    pub(crate) fn say(&mut self, who: Who, what: impl FnOnce(&Self) -> String) {
        self.tell(who, About::Event, what);
    }

    /// The same of something that has several lines.
    pub(crate) fn tell(&mut self, who: Who, about: About, what: impl FnOnce(&Self) -> String) {
        if self.trace.is_none() {
            return;
        }
        let safe = matches!(who, Who::Node(node) if self.nodes[node as usize].safe);
        let who = match who {
            Who::Node(node) => self.nodes[node as usize].name.clone(),
            Who::Place(place) => self.places[place as usize].name.clone(),
            Who::World => "world".into(),
        };
        let at = Duration::from_micros(self.now);
        let line = TraceLine { at, who, safe, what: what(self), about };
        self.trace.as_mut().expect("looked above").push(line);
    }
}

/// After how many polls something happens, at most `polls_max`; zero is never. Where there is much to
/// choose from, short gaps are likelier: a half of them are in the first quarter.
fn draw_gap(tape: &mut Tape, polls_max: u32) -> u32 {
    const STEPS: u32 = 64;
    if polls_max <= STEPS {
        return tape.choose(polls_max + 1);
    }
    let lot = u64::from(tape.choose(STEPS + 1));
    (lot * lot * u64::from(polls_max)).div_ceil(u64::from(STEPS * STEPS)) as u32
}

/// Who a line of the trace is about.
#[derive(Clone, Copy)]
pub(crate) enum Who {
    Node(u32),
    Place(u32),
    World,
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("World")
    }
}
