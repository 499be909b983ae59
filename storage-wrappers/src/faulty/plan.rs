//! Which faults, how often, and the draw for one operation.

use std::ops::Range;
use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use storage_core::{Effect, Error, ErrorKind, Result};

/// Which faults a [`Faulty`](super::Faulty) injects, and how often. Probabilities are between 0 and 1.
///
/// An operation meets at most one of `throttled`, `unavailable`, `lost_before`, `lost_after` and `late`,
/// whose probabilities therefore sum to at most 1. Latency, pauses, stale lists and truncated bodies come
/// on top, each drawn for itself. An outage goes before them all.
///
/// # Examples
///
/// ```
/// use storage_wrappers::FaultPlan;
///
/// let plan = FaultPlan { lost_after: 0.1, late: 0.1, ..FaultPlan::none(42) };
/// assert_eq!(plan.seed, 42);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct FaultPlan {
    /// What all draws come from. Print it, so that a failure can be replayed.
    pub seed: u64,
    /// Every operation takes this long before it is sent, drawn evenly.
    pub latency: Range<Duration>,
    /// The probability that an operation stops for `pause`: before it is sent or after it was applied,
    /// either with half of it. As of a process that is stopped and goes on.
    pub paused: f64,
    /// How long such a pause is.
    pub pause: Duration,
    /// Refused with [`Throttled`](storage_core::ErrorKind::Throttled), not applied.
    pub throttled: f64,
    /// What a throttled answer asks the caller to wait.
    pub retry_after: Option<Duration>,
    /// Refused with [`Unavailable`](storage_core::ErrorKind::Unavailable), not applied.
    pub unavailable: f64,
    /// The answer is lost, and so was the request.
    pub lost_before: f64,
    /// The answer is lost, the request was applied.
    pub lost_after: f64,
    /// The answer of a mutation is lost, and it is applied some operations later, its condition evaluated
    /// then. Reads that draw this pass.
    pub late: f64,
    /// Before which operation after its own a late mutation lands at the latest: drawn between one and
    /// this.
    pub late_operations_max: u64,
    /// When nothing gets through.
    pub outages: Vec<Outage>,
    /// The probability that a list shows an earlier state: without some of the last mutations that went
    /// through this handle. To know that state, mutations are then preceded by a get inside.
    pub stale_list: f64,
    /// How many mutations such a list is behind at most.
    pub stale_operations_max: usize,
    /// The probability that a get hands out fewer bytes than there are, which breaks the contract:
    /// [`Guarded`](crate::Guarded) finds it out.
    pub truncated: f64,
}

/// A time when nothing gets through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outage {
    /// When it is.
    pub window: Window,
    /// What its errors say of mutations. They are not applied in either case:
    /// [`Effect::NotApplied`] is a refused connection, [`Effect::Unknown`] one that breaks.
    pub effect: Effect,
}

/// A stretch of operations or of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Window {
    /// Operations by their number, counted from zero.
    Operations(Range<u64>),
    /// Time since the [`Faulty`](super::Faulty) was made.
    Time(Range<Duration>),
}

impl FaultPlan {
    /// No faults: to be filled with some.
    #[must_use]
    pub fn none(seed: u64) -> Self {
        Self {
            seed,
            latency: Duration::ZERO..Duration::ZERO,
            paused: 0.0,
            pause: Duration::from_secs(600),
            throttled: 0.0,
            retry_after: None,
            unavailable: 0.0,
            lost_before: 0.0,
            lost_after: 0.0,
            late: 0.0,
            late_operations_max: 10,
            outages: Vec::new(),
            stale_list: 0.0,
            stale_operations_max: 10,
            truncated: 0.0,
        }
    }

    /// A bad day within the contract: some of every fault but stale lists and truncated bodies.
    #[must_use]
    pub fn rough(seed: u64) -> Self {
        Self {
            latency: Duration::from_millis(1)..Duration::from_millis(200),
            paused: 0.01,
            throttled: 0.05,
            unavailable: 0.05,
            lost_before: 0.05,
            lost_after: 0.05,
            late: 0.05,
            ..Self::none(seed)
        }
    }

    pub(super) fn check(&self) -> Result<()> {
        let wrong = |what| Err(Error::not_applied(ErrorKind::Misconfigured, what));
        let fates = [
            ("throttled", self.throttled),
            ("unavailable", self.unavailable),
            ("lost_before", self.lost_before),
            ("lost_after", self.lost_after),
            ("late", self.late),
        ];
        let others = [
            ("paused", self.paused),
            ("stale_list", self.stale_list),
            ("truncated", self.truncated),
        ];
        for (name, value) in fates.into_iter().chain(others) {
            if !(0.0..=1.0).contains(&value) {
                return wrong(format!("{name} is {value}, but a probability is between 0 and 1"));
            }
        }
        let sum: f64 = fates.iter().map(|(_, value)| value).sum();
        if sum > 1.0 + 1e-9 {
            let names = fates.map(|(name, _)| name).join(", ");
            return wrong(format!("{names} sum to {sum}, but an operation has only one of them"));
        }
        if self.late > 0.0 && self.late_operations_max == 0 {
            return wrong("late_operations_max is 0, but late mutations land at 1 or later".into());
        }
        if self.stale_list > 0.0 && self.stale_operations_max == 0 {
            return wrong(
                "stale_operations_max is 0, but stale lists are behind by 1 or more".into(),
            );
        }
        Ok(())
    }

    /// What an outage says of mutations at this moment, if there is one.
    pub(super) fn outage(&self, number: u64, now: Duration) -> Option<Effect> {
        let within = |outage: &&Outage| match &outage.window {
            Window::Operations(range) => range.contains(&number),
            Window::Time(range) => range.contains(&now),
        };
        self.outages.iter().find(within).map(|outage| outage.effect)
    }

    /// What happens to the operation of this number. All draws are made, in one order, whatever the plan
    /// says; so turning one probability up leaves the others' draws as they were.
    pub(super) fn draw(&self, number: u64) -> Draw {
        let mut dice = ChaCha8Rng::seed_from_u64(self.seed);
        dice.set_stream(number);
        let mut part = || dice.random::<f64>();

        let span = self.latency.end.saturating_sub(self.latency.start);
        let latency = self.latency.start.saturating_add(span.mul_f64(part()));
        let (pauses, pause_side) = (part() < self.paused, part() < 0.5);
        let mut rest = part();
        let mut falls = |probability: f64| {
            let hit = rest >= 0.0 && rest < probability;
            rest -= probability;
            hit
        };
        let (throttled, unavailable) = (falls(self.throttled), falls(self.unavailable));
        let (lost_before, lost_after) = (falls(self.lost_before), falls(self.lost_after));
        let late = falls(self.late);
        let distance = part() * self.late_operations_max as f64;
        let fate = if throttled {
            Fate::Throttled
        } else if unavailable {
            Fate::Unavailable
        } else if lost_before {
            Fate::LostBefore
        } else if lost_after {
            Fate::LostAfter
        } else if late {
            Fate::Late { operations: 1 + distance as u64 }
        } else {
            Fate::Pass
        };
        Draw {
            number,
            latency,
            pauses_before: pauses && pause_side,
            pauses_after: pauses && !pause_side,
            fate,
            lists_stale: part() < self.stale_list,
            truncates: part() < self.truncated,
            part: part(),
        }
    }
}

/// What was drawn for one operation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Draw {
    pub(super) number: u64,
    pub(super) latency: Duration,
    pub(super) pauses_before: bool,
    pub(super) pauses_after: bool,
    pub(super) fate: Fate,
    pub(super) lists_stale: bool,
    pub(super) truncates: bool,
    /// How much of something, at least 0 and less than 1.
    pub(super) part: f64,
}

/// The one thing that happens to an operation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Fate {
    Pass,
    Throttled,
    Unavailable,
    Outage(Effect),
    LostBefore,
    LostAfter,
    Late { operations: u64 },
}

#[cfg(test)]
mod tests;
