//! What can befall a request, and how it is decided which one it befalls.

use std::fmt;
use std::ops::AddAssign;

use storage_core::Operation;

use crate::Tape;

mod text;

/// Ways in which one request can go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// Refused for now, and not applied.
    Throttled,
    /// It never arrives. Its sender learns only that no answer came.
    RequestLost,
    /// It is applied, and its answer never arrives.
    ReplyLost,
    /// Its sender gives up; up to twenty seconds later it is applied all the same.
    RequestLate,
    /// It is applied and answered, and up to twenty seconds later applied again.
    RequestTwice,
    /// The list leaves out recent changes, all of them or some.
    ListStale,
    /// Nothing passes between this node and this provider for some time, in either direction.
    Outage,
    /// One bit of the body that was read is wrong.
    BitFlipped,
    /// The body that was read ends too early.
    Truncated,
    /// What the object was before its last change is read, with the version of that time.
    OldVersion,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Throttled,
        Self::RequestLost,
        Self::ReplyLost,
        Self::RequestLate,
        Self::RequestTwice,
        Self::ListStale,
        Self::Outage,
        Self::BitFlipped,
        Self::Truncated,
        Self::OldVersion,
    ];

    /// What every honest provider behind a real network does: all but corruption.
    pub const HONEST: [Self; 7] = [
        Self::Throttled,
        Self::RequestLost,
        Self::ReplyLost,
        Self::RequestLate,
        Self::RequestTwice,
        Self::ListStale,
        Self::Outage,
    ];

    /// What a provider does that returns other bytes than were put.
    pub const CORRUPTION: [Self; 3] = [Self::BitFlipped, Self::Truncated, Self::OldVersion];

    /// Whether it makes a difference to this operation. To a read, an answer that is lost is the same
    /// as a request that is.
    #[must_use]
    pub fn can_befall(self, operation: Operation) -> bool {
        match self {
            Self::Throttled | Self::RequestLost | Self::Outage => true,
            Self::ReplyLost | Self::RequestLate | Self::RequestTwice => operation.is_mutation(),
            Self::ListStale => operation == Operation::List,
            Self::BitFlipped | Self::Truncated | Self::OldVersion => operation == Operation::Get,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Throttled => "throttled",
            Self::RequestLost => "request lost",
            Self::ReplyLost => "reply lost",
            Self::RequestLate => "request late",
            Self::RequestTwice => "request twice",
            Self::ListStale => "list stale",
            Self::Outage => "outage",
            Self::BitFlipped => "bit flipped",
            Self::Truncated => "truncated",
            Self::OldVersion => "old version",
        })
    }
}

/// Of how many requests a rate is the share.
const SHARE_OF: u32 = 10_000;
/// How often a fault befalls a request in a swarm, of ten thousand: each seed draws one for each fault.
const INTENSITIES: [u16; 4] = [0, 30, 150, 600];

/// Which requests meet which fault.
///
/// # Examples
///
/// ```
/// use simulation::{Fault, Faults};
/// use storage_core::Operation;
///
/// let nothing = Faults::none();
/// let some = Faults::none().rate(Fault::ReplyLost, Operation::Put, 500);  // one put in twenty
/// let one = Faults::at([(12, Fault::RequestLate)]);                       // the thirteenth request
/// let varied = Faults::swarm(&Fault::HONEST);                             // every seed is different
/// let searched = Faults::any(&[Fault::ReplyLost], 2);                     // all ways to have up to two
/// ```
#[derive(Debug, Clone)]
pub struct Faults(Mode);

#[derive(Debug, Clone)]
enum Mode {
    Rates(Box<Rates>),
    Swarm(Vec<Fault>),
    At(Vec<(u64, Fault)>),
    Any { kinds: Vec<Fault>, budget: u32 },
}

/// Shares of ten thousand, by operation and fault.
type Rates = [[u16; Fault::ALL.len()]; Operation::ALL.len()];

impl Faults {
    /// No fault at all.
    #[must_use]
    pub fn none() -> Self {
        Self(Mode::At(Vec::new()))
    }

    /// The same, and this fault on so many in ten thousand of these operations. The shares of one
    /// operation that add up to more than ten thousand crowd out those given last.
    ///
    /// What [`none`](Self::none) or this made is kept; any other plan is replaced.
    #[must_use]
    pub fn rate(self, fault: Fault, operation: Operation, share: u16) -> Self {
        let mut rates = match self.0 {
            Mode::Rates(rates) => rates,
            Mode::Swarm(_) | Mode::At(_) | Mode::Any { .. } => Box::default(),
        };
        if fault.can_befall(operation) {
            rates[operation as usize][fault as usize] = share;
        }
        Self(Mode::Rates(rates))
    }

    /// Exactly these faults: each with the number of its request, counted from zero over the whole run.
    /// One that cannot befall its request does not.
    #[must_use]
    pub fn at(faults: impl IntoIterator<Item = (u64, Fault)>) -> Self {
        Self(Mode::At(faults.into_iter().collect()))
    }

    /// Each run draws which of these faults it has, and how many of each: never, or on 0.3 %, 1.5 % or
    /// 6 % of the requests. Runs of few kinds find what runs of all kinds at once hide.
    #[must_use]
    pub fn swarm(kinds: &[Fault]) -> Self {
        Self(Mode::Swarm(kinds.to_vec()))
    }

    /// Up to `budget` of these faults, anywhere: for a search of all runs.
    #[must_use]
    pub fn any(kinds: &[Fault], budget: u32) -> Self {
        Self(Mode::Any { kinds: kinds.to_vec(), budget })
    }

    /// Whether there are none, whatever is drawn.
    pub(crate) fn is_none(&self) -> bool {
        matches!(&self.0, Mode::At(faults) if faults.is_empty())
    }

    /// The same with less: none at all, one kind alone, all kinds but one, all faults but one.
    pub(crate) fn fewer(&self) -> Vec<Self> {
        let without = |kinds: &[Fault], at: usize| {
            let rest = kinds.iter().enumerate().filter(|(other, _)| *other != at);
            rest.map(|(_, fault)| *fault).collect::<Vec<_>>()
        };
        let mut fewer = if self.is_none() { Vec::new() } else { vec![Self::none()] };
        match &self.0 {
            Mode::Rates(_) => {}
            Mode::Swarm(kinds) if kinds.len() < 2 => {}
            Mode::Swarm(kinds) => {
                fewer.extend(kinds.iter().map(|kind| Self::swarm(&[*kind])));
                fewer.extend((0..kinds.len()).map(|at| Self(Mode::Swarm(without(kinds, at)))));
            }
            Mode::At(faults) => fewer.extend((0..faults.len()).map(|at| {
                let mut rest = faults.clone();
                rest.remove(at);
                Self(Mode::At(rest))
            })),
            Mode::Any { kinds, budget } => {
                if *budget > 1 {
                    fewer.push(Self::any(kinds, budget - 1));
                }
            }
        }
        fewer
    }

    /// What a run starts with: a swarm draws its rates here.
    pub(crate) fn drawn(&self, tape: &mut Tape) -> Self {
        let Mode::Swarm(kinds) = &self.0 else { return self.clone() };
        let mut rates = Box::<Rates>::default();
        for &fault in kinds {
            let share = INTENSITIES[tape.choose(INTENSITIES.len() as u32) as usize];
            for operation in Operation::ALL {
                if fault.can_befall(operation) {
                    rates[operation as usize][fault as usize] = share;
                }
            }
        }
        Self(Mode::Rates(rates))
    }

    /// What befalls request `number`.
    pub(crate) fn draw(
        &mut self,
        tape: &mut Tape,
        number: u64,
        operation: Operation,
    ) -> Option<Fault> {
        match &mut self.0 {
            Mode::Rates(rates) => {
                let row = &rates[operation as usize];
                let total = row.iter().map(|&share| u32::from(share)).sum::<u32>().min(SHARE_OF);
                if total == 0 {
                    return None;
                }
                // Faults are at the far end, so that zero is none.
                let mut left = tape.choose(SHARE_OF).checked_sub(SHARE_OF - total)?;
                for fault in Fault::ALL {
                    left = match left.checked_sub(u32::from(row[fault as usize])) {
                        Some(left) => left,
                        None => return Some(fault),
                    };
                }
                None
            }
            Mode::At(faults) => {
                let here = faults.iter().find(|(at, _)| *at == number);
                here.map(|&(_, fault)| fault).filter(|fault| fault.can_befall(operation))
            }
            Mode::Any { kinds, budget } => {
                if *budget == 0 {
                    return None;
                }
                let fits = || kinds.iter().filter(|fault| fault.can_befall(operation));
                let chosen = tape.choose(1 + fits().count() as u32).checked_sub(1)?;
                *budget -= 1;
                fits().nth(chosen as usize).copied()
            }
            // Drawn when the run began.
            Mode::Swarm(_) => None,
        }
    }
}

/// How many of each fault were injected into each operation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FaultCounts([[u64; Fault::ALL.len()]; Operation::ALL.len()]);

impl FaultCounts {
    /// How many of this fault befell this operation.
    #[must_use]
    pub fn get(&self, operation: Operation, fault: Fault) -> u64 {
        self.0[operation as usize][fault as usize]
    }

    /// How many there were in all.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().flatten().sum()
    }

    pub(crate) fn count(&mut self, operation: Operation, fault: Fault) {
        self.0[operation as usize][fault as usize] += 1;
    }
}

impl AddAssign for FaultCounts {
    fn add_assign(&mut self, other: Self) {
        for (mine, theirs) in self.0.iter_mut().flatten().zip(other.0.iter().flatten()) {
            *mine += theirs;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_kept_and_zero_on_the_tape_is_no_fault() {
        let mut faults = Faults::none().rate(Fault::Throttled, Operation::Put, 1000).rate(
            Fault::ReplyLost,
            Operation::Put,
            500,
        );
        let mut tape = Tape::random(3);
        let mut counts = FaultCounts::default();
        for number in 0..10_000 {
            if let Some(fault) = faults.draw(&mut tape, number, Operation::Put) {
                counts.count(Operation::Put, fault);
            }
            assert_eq!(faults.draw(&mut tape, number, Operation::Get), None);
        }
        let (throttled, lost) = (
            counts.get(Operation::Put, Fault::Throttled),
            counts.get(Operation::Put, Fault::ReplyLost),
        );
        assert!((900..1100).contains(&throttled) && (400..600).contains(&lost), "{counts:?}");
        assert_eq!(counts.total(), throttled + lost);
        assert_eq!(faults.draw(&mut Tape::replay(vec![]), 0, Operation::Put), None);
    }

    #[test]
    fn a_budget_is_spent_once() {
        let mut faults = Faults::any(&[Fault::ListStale, Fault::ReplyLost, Fault::Throttled], 1);
        let mut tape = Tape::replay(vec![0, 2, 1]);
        assert_eq!(faults.draw(&mut tape, 0, Operation::Put), None);
        assert_eq!(faults.draw(&mut tape, 1, Operation::Put), Some(Fault::Throttled));
        assert_eq!(faults.draw(&mut tape, 2, Operation::Put), None, "there was one only");
    }
}
