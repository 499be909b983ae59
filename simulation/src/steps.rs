//! Which steps of a search make a difference to which: those that do not are tried in one order only.
//!
//! A step is one arrival (a request at its provider, an answer at its sender, the start of a node) and all
//! that its node does until the next. Two steps that touch nothing in common can change places in a run, and
//! nobody could tell. So of all runs that differ in no more than that, one is enough. The search remembers
//! what each step touched, and lets a step that was tried sleep until another one touches the same:
//! Godefroid's sleep sets ("Partial-Order Methods for the Verification of Concurrent Systems", 1996), with
//! what is touched observed as it happens.

use storage_core::{Key, Prefix};

use crate::objects::{Call, View};
use crate::{Mark, Stopped};

/// What one step touched.
#[derive(Debug, Clone, Default)]
pub(crate) struct Touched {
    /// Whether it may make a difference to any other step, as when a node ends or crashes.
    all: bool,
    /// Nodes whose memory it touched, a bit for each.
    nodes: u64,
    /// Nodes of which it mattered whether they are cut off, and those that it cut off.
    links_asked: u64,
    links_cut: u64,
    objects: Vec<(u32, Access)>,
    /// Whether it asked for the time or went to sleep, and whether time went on.
    time_asked: bool,
    time_moved: bool,
    /// Whether it began or ended something that the scenario compares with what others did.
    begins: bool,
    ends: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Access {
    Read(Key),
    Write(Key),
    List(Prefix),
    /// What a list misses that is behind depends on all changes.
    ListBehind,
}

impl Touched {
    pub(crate) fn everything(&mut self) {
        self.all = true;
    }

    pub(crate) fn node(&mut self, node: u32) {
        self.all |= node >= u64::BITS;
        self.nodes |= bit(node);
    }

    pub(crate) fn link(&mut self, node: u32, cut: bool) {
        self.all |= node >= u64::BITS;
        if cut { self.links_cut |= bit(node) } else { self.links_asked |= bit(node) }
    }

    pub(crate) fn call(&mut self, place: u32, call: &Call, view: View, applied: bool) {
        let access = match (call, view) {
            (Call::List { .. }, View::Stale { .. }) => Access::ListBehind,
            (Call::List { prefix, .. }, _) => Access::List(prefix.clone()),
            (Call::Get { key, .. }, _) => Access::Read(key.clone()),
            (Call::Put { key, .. } | Call::Delete { key }, _) if applied => {
                Access::Write(key.clone())
            }
            (Call::Put { key, .. } | Call::Delete { key }, _) => Access::Read(key.clone()),
        };
        self.objects.push((place, access));
    }

    pub(crate) fn time(&mut self, moved: bool) {
        if moved { self.time_moved = true } else { self.time_asked = true }
    }

    pub(crate) fn mark(&mut self, mark: Mark) {
        match mark {
            Mark::Begins => self.begins = true,
            Mark::Ends => self.ends = true,
        }
    }

    /// Takes in what the same step touched in another run.
    pub(crate) fn join(&mut self, other: &Self) {
        self.all |= other.all;
        self.nodes |= other.nodes;
        self.links_asked |= other.links_asked;
        self.links_cut |= other.links_cut;
        self.time_asked |= other.time_asked;
        self.time_moved |= other.time_moved;
        self.begins |= other.begins;
        self.ends |= other.ends;
        for object in &other.objects {
            if !self.objects.contains(object) {
                self.objects.push(object.clone());
            }
        }
    }

    /// Whether it makes a difference which of the two comes first.
    pub(crate) fn meets(&self, other: &Self) -> bool {
        let objects = || {
            let mut pairs = self
                .objects
                .iter()
                .flat_map(|mine| other.objects.iter().map(move |theirs| (mine, theirs)));
            pairs.any(|(mine, theirs)| mine.0 == theirs.0 && mine.1.meets(&theirs.1))
        };
        self.all
            || other.all
            || self.nodes & other.nodes != 0
            || self.links_cut & (other.links_asked | other.links_cut) != 0
            || self.links_asked & other.links_cut != 0
            || self.time_moved && (other.time_asked || other.time_moved)
            || self.time_asked && other.time_moved
            || (self.begins && other.ends)
            || (self.ends && other.begins)
            || objects()
    }
}

impl Access {
    fn meets(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Write(key), other) | (other, Self::Write(key)) => match other {
                Self::Read(another) | Self::Write(another) => key == another,
                Self::List(prefix) => key.starts_with(prefix),
                Self::ListBehind => true,
            },
            (
                Self::Read(_) | Self::List(_) | Self::ListBehind,
                Self::Read(_) | Self::List(_) | Self::ListBehind,
            ) => false,
        }
    }
}

fn bit(node: u32) -> u64 {
    1_u64.checked_shl(node).unwrap_or(0)
}

/// A step that was tried already where the run could have taken it, and nothing has touched since.
#[derive(Debug, Clone)]
pub(crate) struct Asleep {
    pub(crate) event: u64,
    pub(crate) touched: Touched,
}

/// A decision which step comes next.
#[derive(Debug)]
pub(crate) struct Fork {
    /// Its place on the tape.
    pub(crate) choice: usize,
    /// What could come: the serials of arrivals, and [`SLEEPER`].
    pub(crate) events: Vec<u64>,
    /// What need not come, when the run got here.
    pub(crate) asleep: Vec<Asleep>,
    /// What the step that came touched.
    pub(crate) touched: Touched,
}

/// The event of a sleeper that wakes although something is under way. Serials begin at one. It is tried after all else
/// and so never sleeps itself; what sleeps while it wakes has been tried with more of such wakings left.
pub(crate) const SLEEPER: u64 = 0;

/// What a run of a search knows of the runs before it, and finds out for those after.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    /// After how many forks the run is a new one.
    given: usize,
    /// What sleeps at the last fork that was given.
    waiting: Vec<Asleep>,
    asleep: Vec<Asleep>,
    touched: Touched,
    /// The fork at which the present step was chosen, if there was anything to choose.
    fork: Option<usize>,
    pub(crate) forks: Vec<Fork>,
    /// Whether the run was broken off, since all that could have come was tried already.
    pub(crate) redundant: bool,
}

impl Steps {
    /// A run whose first `given` forks are known, of which the last has tried what is `waiting`.
    pub(crate) fn new(given: usize, waiting: Vec<Asleep>) -> Self {
        Self { given, waiting, ..Self::default() }
    }

    pub(crate) fn touched(&mut self) -> &mut Touched {
        &mut self.touched
    }

    /// The present step is at an end: what it touched wakes up.
    pub(crate) fn end_step(&mut self) {
        let touched = std::mem::take(&mut self.touched);
        self.asleep.retain(|asleep| !asleep.touched.meets(&touched));
        if let Some(fork) = self.fork.take() {
            self.forks[fork].touched = touched;
        }
    }

    /// Which of these to take where the tape says nothing.
    pub(crate) fn awake(&mut self, events: &[u64]) -> Result<usize, Stopped> {
        let is_asleep = |event: &u64| self.asleep.iter().any(|asleep| asleep.event == *event);
        events.iter().position(|event| !is_asleep(event)).ok_or_else(|| {
            self.redundant = true;
            Stopped::Redundant
        })
    }

    /// Takes down that there was a choice among several.
    pub(crate) fn fork(&mut self, choice: usize, events: Vec<u64>) {
        self.fork = Some(self.forks.len());
        if self.forks.len() + 1 == self.given {
            self.asleep = std::mem::take(&mut self.waiting);
        }
        let asleep = self.asleep.clone();
        self.forks.push(Fork { choice, events, asleep, touched: Touched::default() });
    }
}

#[cfg(test)]
mod tests {
    use std::slice::from_ref;

    use super::*;

    fn of(access: &[Access]) -> Touched {
        let objects = access.iter().map(|access| (0, access.clone())).collect();
        Touched { objects, ..Touched::default() }
    }

    fn key(text: &str) -> Key {
        Key::new(text).expect("a key")
    }

    #[test]
    fn what_writes_meets_what_reads_or_lists_the_same_and_nothing_else() {
        let prefix = |text| Access::List(Prefix::new(text).expect("a prefix"));
        let (read, write) = (Access::Read(key("log/1")), Access::Write(key("log/1")));
        let table = [
            (&read, &read, false),
            (&read, &write, true),
            (&write, &write, true),
            (&write, &Access::Write(key("log/2")), false),
            (&write, &Access::Read(key("log/2")), false),
            (&write, &prefix("log/"), true),
            (&write, &prefix("pin/"), false),
            (&read, &prefix("log/"), false),
            (&write, &Access::ListBehind, true),
            (&read, &Access::ListBehind, false),
        ];
        for (one, another, meet) in table {
            let (one, another) = (of(from_ref(one)), of(from_ref(another)));
            assert_eq!(one.meets(&another), meet, "{one:?}, {another:?}");
            assert_eq!(another.meets(&one), meet, "{another:?}, {one:?}");
        }
        let elsewhere = Touched { objects: vec![(1, write.clone())], ..Touched::default() };
        assert!(!elsewhere.meets(&of(&[write])), "another place");
    }

    #[test]
    fn steps_of_one_node_meet_and_so_do_ends_with_beginnings() {
        let node = |node| {
            let mut touched = Touched::default();
            touched.node(node);
            touched
        };
        assert!(node(1).meets(&node(1)) && !node(1).meets(&node(2)));
        assert!(node(64).meets(&node(2)), "too many nodes to tell them apart");
        let marked = |mark| {
            let mut touched = Touched::default();
            touched.mark(mark);
            touched
        };
        let (begins, ends) = (marked(Mark::Begins), marked(Mark::Ends));
        assert!(begins.meets(&ends) && ends.meets(&begins));
        assert!(!begins.meets(&begins) && !ends.meets(&ends));
        let time = |moved| {
            let mut touched = Touched::default();
            touched.time(moved);
            touched
        };
        assert!(time(true).meets(&time(false)) && time(false).meets(&time(true)));
        assert!(time(true).meets(&time(true)) && !time(false).meets(&time(false)));
        let link = |cut| {
            let mut touched = Touched::default();
            touched.link(1, cut);
            touched
        };
        assert!(link(true).meets(&link(false)) && link(false).meets(&link(true)));
        assert!(link(true).meets(&link(true)) && !link(false).meets(&link(false)));
    }
}
