//! How rough a run is: faults, crashes, pauses, clocks, and in which order things may happen.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::{Fault, Faults, NodeId};

/// How rough a run is, and how long it may be.
///
/// # Examples
///
/// ```
/// use simulation::{Crashes, Fault, Faults, Plan};
///
/// let rough = Plan::rough();
/// let calm_but = Plan { faults: Faults::at([(3, Fault::ReplyLost)]), ..Plan::calm() };
/// let searched = Plan { crashes: Crashes::Lots { run_max: 1, gap_polls_max: 7 }, ..Plan::search() };
/// ```
#[derive(Debug, Clone)]
pub struct Plan {
    /// What goes wrong between nodes and providers.
    pub faults: Faults,
    /// Which nodes lose everything in memory, and when.
    pub crashes: Crashes,
    /// How often a node may stand still for a second to an hour, as a machine does that is suspended.
    /// Drawn on each start and after each pause, so that zero is never.
    pub pauses_per_node_max: u32,
    /// How far the wall clock of a node may be wrong, either way. Drawn on each start of a node and at
    /// the end of each pause, so it jumps.
    pub clock_skew_max: Duration,
    /// Pieces of work that are left out, by the numbers that nodes give them: see [`Node::does`](crate::Node::does). A
    /// failure is made simpler by leaving out what it does not take.
    pub left_out: BTreeSet<u32>,
    /// In which order what is under way may arrive.
    pub order: Order,
    /// How many polls and events a run may have before it is called a livelock.
    pub steps_max: u64,
    /// How much virtual time may pass before it is called a livelock.
    pub time_max: Duration,
}

impl Plan {
    /// Nothing goes wrong: only latencies and the order of tasks are drawn.
    #[must_use]
    pub fn calm() -> Self {
        Self {
            faults: Faults::none(),
            crashes: Crashes::none(),
            pauses_per_node_max: 0,
            clock_skew_max: Duration::ZERO,
            left_out: BTreeSet::new(),
            order: Order::Timed,
            steps_max: 1_000_000,
            time_max: Duration::from_secs(30 * 86_400),
        }
    }

    /// All that may happen with honest providers: a swarm of faults, up to five crashes, pauses of up
    /// to an hour, and wall clocks up to an hour off.
    #[must_use]
    pub fn rough() -> Self {
        Self {
            faults: Faults::swarm(&Fault::HONEST),
            crashes: Crashes::Lots { run_max: 5, gap_polls_max: 400 },
            pauses_per_node_max: 2,
            clock_skew_max: Duration::from_secs(3600),
            ..Self::calm()
        }
    }

    /// Nothing goes wrong, and what is under way may arrive in any order: for a search of all runs of
    /// a small scenario, where few decisions each among a few possibilities are wanted.
    #[must_use]
    pub fn search() -> Self {
        Self {
            order: Order::Any {
                sleepers_first_max: 1,
                answers_at_once: false,
                tasks_in_turn: false,
            },
            steps_max: 20_000,
            ..Self::calm()
        }
    }
}

/// Which nodes crash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Crashes {
    /// Exactly at these points.
    At(Vec<CrashPoint>),
    /// Each start of a node draws after how many polls it crashes, up to `gap_polls_max`, where zero is
    /// never; until `run_max` crashes have happened.
    Lots {
        /// How many crashes a run has at most, over all nodes.
        run_max: u32,
        /// After how many polls of a node's tasks at most.
        gap_polls_max: u32,
    },
}

impl Crashes {
    /// No crash.
    #[must_use]
    pub fn none() -> Self {
        Self::At(Vec::new())
    }
}

/// A moment at which a node crashes: right after one of its tasks was polled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CrashPoint {
    /// Which node.
    pub node: NodeId,
    /// After which poll of its tasks, counted from one over all its starts.
    pub poll: u64,
}

/// In which order requests and answers that are under way at the same time arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Each takes a time that is drawn, 0.5 to 97 ms one way.
    Timed,
    /// Any of them may be the next: a decision among as many as are under way. Time stands still, but
    /// for sleepers when nothing is under way, and so many times in a run also before what is.
    Any {
        /// How often the first sleeper may wake although something is under way.
        sleepers_first_max: u32,
        /// Whether the answer of a request that is carried out arrives right then. There are far fewer
        /// runs that way, and every order in which requests are carried out is still among them; but not
        /// those in which one node learns late what happened before another's call began.
        answers_at_once: bool,
        /// Whether tasks of one node that are ready at the same time are polled in the order in which they were
        /// woken, and not in all orders.
        tasks_in_turn: bool,
    },
}

impl Order {
    pub(crate) fn is_any(self) -> bool {
        matches!(self, Self::Any { .. })
    }
}
