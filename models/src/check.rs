//! Going through every state of a model, or up to the first that is wrong.

use std::fmt::{self, Debug};
use std::hash::Hash;
use std::time::{Duration, Instant};

use stateright::{Checker, Expectation, HasDiscoveries, Model, Path};

/// A model of one of our protocols, as it should be or with one mistake in it.
pub trait Protocol:
    Model<State: Clone + Debug + PartialEq + Hash + Send + Sync, Action: Clone + Debug + PartialEq>
    + Clone
    + Send
    + Sync
    + 'static
{
    /// What can be wrong with it.
    type Mistake: Copy + Debug + 'static;

    /// What it is a model of.
    const NAME: &'static str;

    /// Every mistake, and what it leads to.
    const MISTAKES: &'static [Mistaken<Self::Mistake>];

    /// The models as they should be, in this size.
    fn right(size: Size) -> Vec<Self>;

    /// The model with a mistake, as small as it may be.
    fn wrong(mistake: Self::Mistake) -> Self;

    /// How much of everything there is in it.
    fn describe(&self) -> String;
}

/// How much of everything a model has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// Checked in seconds, without optimisation.
    Quick,
    /// Checked in minutes, with it.
    Large,
}

/// A mistake, and what it leads to.
#[derive(Debug, Clone, Copy)]
pub struct Mistaken<M> {
    /// Which one.
    pub mistake: M,
    /// What is done wrong, in a sentence.
    pub what: &'static str,
    /// The property that does not hold any more.
    pub breaks: &'static str,
}

/// A model of which every state was looked at, and found right.
#[derive(Debug, Clone, Copy)]
pub struct Checked {
    /// How many different states there are.
    pub states: usize,
    /// How many steps lead from one to another.
    pub steps: usize,
    /// How many steps the farthest state is away.
    pub depth: usize,
    /// How long it took.
    pub time: Duration,
}

/// What is wrong with a model.
#[derive(Debug)]
pub enum Wrong {
    /// Something happens that must not.
    Violated(Flaw),
    /// Something does not happen that should be possible: the model says less than it seems to.
    Unreachable(&'static str),
}

/// A way to a state in which something does not hold; there is no shorter one.
#[derive(Debug)]
pub struct Flaw {
    /// What does not hold.
    pub property: &'static str,
    /// The steps to it, one a line.
    pub trace: Vec<String>,
    /// The state they lead to.
    pub state: String,
}

/// Looks at every state of a model, or at those up to the first that is wrong.
///
/// # Errors
///
/// What is wrong, with the shortest way to it.
pub fn check<P: Protocol>(model: &P) -> Result<Checked, Wrong> {
    let start = Instant::now();
    let checker = model.clone().checker().finish_when(HasDiscoveries::AnyFailures);
    let checker = checker.spawn_bfs().join();
    let mut discoveries = checker.discoveries();
    let properties = model.properties();
    for property in properties.iter().filter(|property| property.expectation == Expectation::Always)
    {
        if let Some(path) = discoveries.remove(property.name) {
            return Err(Wrong::Violated(shorten(model, Flaw::new(model, property.name, path))));
        }
    }
    for property in &properties {
        if property.expectation == Expectation::Sometimes
            && !discoveries.contains_key(property.name)
        {
            return Err(Wrong::Unreachable(property.name));
        }
    }
    Ok(Checked {
        states: checker.unique_state_count(),
        steps: checker.state_count(),
        depth: checker.max_depth(),
        time: start.elapsed(),
    })
}

/// The checker goes on a little after the first discovery, and keeps the last. So it is asked again for a shorter
/// one, until there is none.
fn shorten<P: Protocol>(model: &P, mut flaw: Flaw) -> Flaw {
    let properties = model.properties().into_iter();
    let always: Vec<_> = properties
        .filter(|property| property.expectation == Expectation::Always)
        .map(|property| property.name)
        .collect();
    while !flaw.trace.is_empty() {
        // States are counted, and the bound is one that is not reached: these are all the shorter ways.
        let checker = model.clone().checker().finish_when(HasDiscoveries::AnyFailures);
        let checker = checker.target_max_depth(flaw.trace.len() + 1).spawn_bfs().join();
        let mut found: Vec<_> = checker.discoveries().into_iter().collect();
        found.retain(|(name, _)| always.contains(name));
        let shortest = found.into_iter().map(|(name, path)| Flaw::new(model, name, path));
        let rank = |flaw: &Flaw| always.iter().position(|name| *name == flaw.property);
        match shortest.min_by_key(|flaw| (flaw.trace.len(), rank(flaw))) {
            Some(shorter) if shorter.trace.len() < flaw.trace.len() => flaw = shorter,
            _ => break,
        }
    }
    flaw
}

impl Flaw {
    fn new<P: Protocol>(
        model: &P,
        property: &'static str,
        path: Path<P::State, P::Action>,
    ) -> Self {
        let state = format!("{:?}", path.last_state());
        let actions = path.into_actions();
        let trace = actions.iter().map(|action| model.format_action(action)).collect();
        Self { property, trace, state }
    }
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { states, steps, depth, time } = self;
        write!(f, "{states} states, {steps} steps, depth {depth}, {:.1} s", time.as_secs_f64())
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "not always true: {}", self.property)?;
        for (at, step) in self.trace.iter().enumerate() {
            writeln!(f, "  {:>2}. {step}", at + 1)?;
        }
        write!(f, "  then: {}", self.state)
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Violated(flaw) => write!(f, "{flaw}"),
            Self::Unreachable(property) => write!(f, "never true: {property}"),
        }
    }
}

impl std::error::Error for Wrong {}
