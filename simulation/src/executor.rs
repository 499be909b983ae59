//! What makes the world go: one decision, one poll or event at a time.

use std::cmp::Reverse;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::steps::{SLEEPER, Touched};
use crate::world::{Event, NodeState, Runnable, State, What, Who, World};
use crate::{Node, Stopped};

/// How long a node is down after a crash: one of these, in milliseconds.
const DOWN_MILLIS: [u64; 6] = [10, 0, 100, 1000, 10_000, 60_000];
/// How long a node stands still: one of these, in seconds.
const PAUSE_SECONDS: [u64; 5] = [1, 10, 60, 600, 3600];

/// What comes next.
enum Turn {
    Poll {
        slot: usize,
        node: u32,
        work: Runnable,
    },
    Start {
        node: u32,
    },
    /// An event that was carried out at once.
    Event,
    /// What was waited for has come.
    Enough,
}

impl World {
    /// Goes on until `enough`, which is asked before each step.
    pub(crate) fn run(
        self: &Arc<Self>,
        enough: impl Fn(&mut State) -> bool,
    ) -> Result<(), Stopped> {
        loop {
            let turn = {
                let mut state = self.state();
                self.adopt_woken(&mut state);
                if enough(&mut state) { Turn::Enough } else { state.turn()? }
            };
            match turn {
                Turn::Poll { slot, node, work } => self.poll(slot, node, work),
                Turn::Start { node } => self.start(node),
                Turn::Event => {}
                Turn::Enough => return Ok(()),
            }
        }
    }

    fn poll(&self, slot: usize, node: u32, mut work: Runnable) {
        let outcome = work.future.as_mut().poll(&mut Context::from_waker(&work.waker));
        // What a task leaves behind at its end may reach for the world, so it goes before the lock.
        let left = match outcome {
            Poll::Ready(()) => {
                drop(work);
                None
            }
            Poll::Pending => Some(work),
        };
        let mut state = self.state();
        match left {
            Some(work) => state.tasks[slot].work = Some(work),
            None => state.end_task(slot, node),
        }
        let safe = state.is_safe(node);
        let owner = &mut state.nodes[node as usize];
        owner.polls += 1;
        if !safe {
            owner.exposed_polls = owner.polls;
        }
        let crashes = owner.crash_at == Some(owner.polls);
        let pauses = owner.pause_at == Some(owner.polls);
        if safe {
            return;
        }
        if crashes {
            let tasks = state.crash(node);
            drop(state);
            drop(tasks);
        } else if pauses {
            let lot = state.tape.choose(PAUSE_SECONDS.len() as u32);
            state.pause(node, Duration::from_secs(PAUSE_SECONDS[lot as usize]));
        }
    }

    /// Calls what the node was made with, which may reach for the world.
    fn start(self: &Arc<Self>, node: u32) {
        let (start, starts) = {
            let mut state = self.state();
            let owner = &mut state.nodes[node as usize];
            owner.up = true;
            owner.starts += 1;
            let starts = owner.starts;
            state.draw_start(node as usize);
            state.say(Who::Node(node), |_| match starts {
                1 => "starts".to_owned(),
                _ => format!("starts for the {starts}. time"),
            });
            (state.nodes[node as usize].start.clone(), starts)
        };
        if let Some(start) = start {
            let task = start(Node { world: self.clone(), index: node, starts });
            self.spawn(node, starts, true, task);
        }
    }

    /// Ends a node's tasks and forgets what it was made with.
    pub(crate) fn crash(&self, node: u32) {
        let tasks = self.state().crash(node);
        drop(tasks);
    }

    /// Drops every task and every way to start one: they hold the world that holds them.
    pub(crate) fn end(&self) {
        let (tasks, starts) = {
            let mut state = self.state();
            state.ready.clear();
            let tasks: Vec<_> = state.tasks.drain().collect();
            for node in &mut state.nodes {
                node.up = false;
            }
            let starts: Vec<_> = state.nodes.iter_mut().map(|node| node.start.take()).collect();
            (tasks, starts)
        };
        drop(tasks);
        drop(starts);
    }
}

impl State {
    fn turn(&mut self) -> Result<Turn, Stopped> {
        self.steps += 1;
        if self.steps > self.plan.steps_max {
            return Err(self.livelock(format!("{} steps", self.plan.steps_max)));
        }
        if !self.ready.is_empty() {
            let slot = self.pick();
            let task = &mut self.tasks[slot];
            task.queued = false;
            let work = task.work.take().expect("a task that is not being polled has work");
            let node = task.node;
            self.touches(|step| step.node(node));
            return Ok(Turn::Poll { slot, node, work });
        }
        let Some(event) = self.next_event()? else {
            return Err(Stopped::Deadlock(format!(
                "nothing can happen any more: {}",
                self.waiting()
            )));
        };
        self.now = self.now.max(event.at);
        if u128::from(self.now) > self.plan.time_max.as_micros() {
            return Err(self.livelock(format!("{:?} of virtual time", self.plan.time_max)));
        }
        Ok(self.carry_out(event.what))
    }

    /// Takes one of the tasks that are ready.
    fn pick(&mut self) -> usize {
        // In a search, those who only prepare or look have one order.
        let among_safe = |slot: &usize| self.nodes[self.tasks[*slot].node as usize].safe;
        let searched = self.plan.order.is_any();
        if self.preparing || searched && self.ready.iter().all(among_safe) {
            return self.ready.remove(0);
        }
        if !self.plan.order.is_any() {
            let chosen = self.tape.choose(self.ready.len() as u32);
            return self.ready.remove(chosen as usize);
        }
        // Tasks of different nodes meet only in what arrives, and where that may come in any order, it
        // is enough to try all orders of one node's tasks.
        let first = self.tasks[self.ready[0]].node;
        let among = |slot: &usize| self.tasks[*slot].node == first;
        let any = matches!(self.plan.order, crate::Order::Any { tasks_in_turn: false, .. });
        let count = if any { self.ready.iter().filter(|slot| among(slot)).count() } else { 1 };
        let chosen = self.tape.choose(count as u32) as usize;
        let mut places = (0..self.ready.len()).filter(|&place| among(&self.ready[place]));
        let place = places.nth(chosen).expect("there are as many as were counted");
        self.ready.remove(place)
    }

    fn next_event(&mut self) -> Result<Option<Event>, Stopped> {
        self.forget_stale_timers();
        if let Some(steps) = &mut self.search {
            steps.end_step();
        }
        if self.loose.is_empty() {
            return Ok(self.timed.pop().map(|Reverse(event)| event));
        }
        let crate::Order::Any { sleepers_first_max, .. } = self.plan.order else {
            unreachable!("nothing is loose where arrivals have times")
        };
        // What makes a scenario ready, and what looks at it in the end, is not what is searched.
        let among_safe = |event: &Event| {
            self.node_of(event.what).is_some_and(|node| self.nodes[node as usize].safe)
        };
        if self.preparing || self.loose.iter().all(among_safe) {
            let event = self.loose.remove(0);
            return Ok(Some(Event { at: self.now, ..event }));
        }
        let sleeper = !self.timed.is_empty() && self.sleepers_first < sleepers_first_max;
        let chosen = self.choose_event(sleeper)?;
        if chosen == self.loose.len() {
            self.sleepers_first += 1;
            return Ok(self.timed.pop().map(|Reverse(event)| event));
        }
        // Time stands still, so that it does not tell in which order things arrived.
        let event = self.loose.remove(chosen);
        Ok(Some(Event { at: self.now, ..event }))
    }

    /// Which of the loose events is next; their number for a sleeper. A search is told, and may know better
    /// than to try what it has tried.
    fn choose_event(&mut self, sleeper: bool) -> Result<usize, Stopped> {
        let arity = self.loose.len() as u32 + u32::from(sleeper);
        let Some(steps) = &mut self.search else { return Ok(self.tape.choose(arity) as usize) };
        let mut events: Vec<u64> = self.loose.iter().map(|event| event.serial).collect();
        events.extend(sleeper.then_some(SLEEPER));
        let awake = steps.awake(&events)?;
        if arity > 1 {
            steps.fork(self.tape.choices().len(), events);
        }
        Ok(self.tape.choose_else(arity, awake as u32) as usize)
    }

    /// Forgets those at the front that nobody waits for any more.
    fn forget_stale_timers(&mut self) {
        while let Some(Reverse(Event { what: What::Wake { timer, serial }, .. })) =
            self.timed.peek()
            && self.timers.get(*timer).is_none_or(|timer| timer.serial != *serial)
        {
            self.timed.pop();
        }
    }

    /// Whose event it is.
    fn node_of(&self, what: What) -> Option<u32> {
        match what {
            What::Start { node, .. } | What::Resume { node, .. } => Some(node),
            What::Deliver { request, .. } | What::Reply { request } => {
                Some(self.requests[request].node)
            }
            What::Wake { .. } | What::Nothing => None,
        }
    }

    fn carry_out(&mut self, what: What) -> Turn {
        match what {
            What::Start { node, .. } => self.touches(|step| step.node(node)),
            What::Deliver { .. } | What::Reply { .. } => {}
            // Whose task it is that wakes is told when that is polled.
            What::Wake { .. } => self.touches(|step| step.time(true)),
            What::Resume { .. } | What::Nothing => self.touches(Touched::everything),
        }
        match what {
            What::Start { node, starts } => {
                let owner = &self.nodes[node as usize];
                if !owner.up && owner.starts == starts {
                    return Turn::Start { node };
                }
            }
            What::Resume { node, starts } => self.resume(node, starts),
            What::Wake { timer, .. } => {
                let timer = &mut self.timers[timer];
                timer.fired = true;
                timer.waker.wake_by_ref();
            }
            What::Deliver { request, answered } => self.deliver(request, answered),
            What::Reply { request } => self.reply(request),
            What::Nothing => {}
        }
        Turn::Event
    }

    /// Whether nothing is under way, and nobody sleeps or is about to do something.
    pub(crate) fn is_quiet(&mut self) -> bool {
        self.forget_stale_timers();
        self.ready.is_empty() && self.loose.is_empty() && self.timed.is_empty()
    }

    fn end_task(&mut self, slot: usize, node: u32) {
        let task = self.tasks.remove(slot);
        let owner = &mut self.nodes[node as usize];
        if task.main && !owner.finished {
            owner.finished = true;
            self.unfinished -= 1;
            // What waits for all nodes goes on.
            self.touches(Touched::everything);
            self.say(Who::Node(node), |_| "is at an end".to_owned());
        }
    }

    /// Takes everything from a node but what it has under way, and starts it again later unless it was
    /// at an end. Returns what must be dropped without the lock.
    fn crash(&mut self, node: u32) -> Vec<Option<Runnable>> {
        self.touches(Touched::everything);
        let mut tasks = Vec::new();
        self.tasks.retain(|_, task| {
            let keep = task.node != node;
            if !keep {
                tasks.push(task.work.take());
            }
            keep
        });
        let left = &self.tasks;
        self.ready.retain(|&slot| left.contains(slot));
        self.tally.crashes += 1;
        let owner = &mut self.nodes[node as usize];
        owner.parked.clear();
        owner.paused = false;
        owner.up = false;
        (owner.crash_at, owner.pause_at) = (None, None);
        let (finished, starts) = (owner.finished, owner.starts);
        self.say(Who::Node(node), |state| {
            format!("crashes after poll {}", state.nodes[node as usize].polls)
        });
        if !finished {
            let searched = self.plan.order.is_any();
            let lot = if searched { 0 } else { self.tape.choose(DOWN_MILLIS.len() as u32) };
            let down = DOWN_MILLIS[lot as usize] * 1000;
            self.arrive(down, What::Start { node, starts });
        }
        tasks
    }

    /// Lets none of a node's tasks be polled for some time.
    pub(crate) fn pause(&mut self, node: u32, time: Duration) {
        let NodeState { up, paused, starts, .. } = self.nodes[node as usize];
        if !up || paused {
            return;
        }
        self.tally.pauses += 1;
        self.touches(Touched::everything);
        let (mine, others) = self.ready.iter().partition(|&&slot| self.tasks[slot].node == node);
        self.ready = others;
        let owner = &mut self.nodes[node as usize];
        owner.paused = true;
        owner.pauses += 1;
        owner.parked = mine;
        self.say(Who::Node(node), |_| format!("stands still for {time:?}"));
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.after(micros, What::Resume { node, starts });
    }

    fn resume(&mut self, node: u32, starts: u32) {
        let owner = &mut self.nodes[node as usize];
        if owner.starts != starts || !owner.paused {
            return;
        }
        owner.paused = false;
        owner.pause_at = None;
        let parked = std::mem::take(&mut owner.parked);
        self.ready.extend(parked);
        self.draw_pause(node as usize);
        self.draw_skew(node as usize);
        self.say(Who::Node(node), |_| "goes on".to_owned());
    }

    fn livelock(&self, after: String) -> Stopped {
        Stopped::Livelock(format!("no end after {after}: {}", self.waiting()))
    }

    /// Who is not at an end.
    fn waiting(&self) -> String {
        let nodes = self.nodes.iter().filter(|node| !node.finished);
        let names: Vec<String> = nodes.map(|node| format!("`{}`", node.name)).collect();
        match names.is_empty() {
            true => "every node is at an end".to_owned(),
            false => format!("{} not at an end", names.join(", ")),
        }
    }
}
