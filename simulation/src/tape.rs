//! The tape: every decision of a run, in the order in which they were made.

use std::fmt;

use rand::{Rng, SeedableRng};
use rand_pcg::Pcg32;

/// Where all decisions of a run come from, and where they are written down: who goes first, how long
/// a request takes, what goes wrong, and whatever a workload draws lots for.
///
/// Zero is always the calm choice (the oldest task, the shortest way, no fault), so that a tape of
/// zeros is an uneventful run, and a failure is simplified by deleting choices or making them zero.
///
/// # Examples
///
/// ```
/// use simulation::Tape;
///
/// let mut first = Tape::random(7);
/// let drawn: Vec<u32> = (1..20).map(|arity| first.choose(arity)).collect();
/// let mut again = Tape::replay(first.values());
/// assert_eq!(drawn, (1..20).map(|arity| again.choose(arity)).collect::<Vec<_>>());
/// assert_eq!(first.hash(), again.hash());
/// assert_eq!(again.choose(10), 0, "what is past the end is calm");
/// ```
pub struct Tape {
    source: Source,
    choices: Vec<Choice>,
    hash: u64,
}

enum Source {
    Random(Pcg32),
    Replay(std::vec::IntoIter<u32>),
}

/// One decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice {
    /// What was chosen: less than the arity.
    pub value: u32,
    /// Among how many.
    pub arity: u32,
}

impl Tape {
    /// A tape of lots, the same for the same seed.
    #[must_use]
    pub fn random(seed: u64) -> Self {
        Self::new(Source::Random(Pcg32::seed_from_u64(seed)))
    }

    /// A tape of these values, and of zeros after them. A value that is too large for its decision is
    /// taken modulo the number of possibilities.
    #[must_use]
    pub fn replay(values: Vec<u32>) -> Self {
        Self::new(Source::Replay(values.into_iter()))
    }

    fn new(source: Source) -> Self {
        Self { source, choices: Vec::with_capacity(256), hash: 0xcbf2_9ce4_8422_2325 }
    }

    /// One of `arity` possibilities, numbered from zero. Where there is nothing to choose, nothing is
    /// written down.
    pub fn choose(&mut self, arity: u32) -> u32 {
        self.choose_else(arity, 0)
    }

    /// The same, and past the end of what is replayed this one.
    pub(crate) fn choose_else(&mut self, arity: u32, otherwise: u32) -> u32 {
        if arity <= 1 {
            return 0;
        }
        let value = match &mut self.source {
            Source::Random(dice) => {
                ((u64::from(dice.next_u32()) * u64::from(arity)) >> u32::BITS) as u32
            }
            Source::Replay(values) => values.next().map_or(otherwise, |value| value % arity),
        };
        self.choices.push(Choice { value, arity });
        self.note(u64::from(value) << u32::BITS | u64::from(arity));
        value
    }

    /// Takes something that happened into the hash.
    pub fn note(&mut self, what: u64) {
        self.hash = (self.hash ^ what).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23);
    }

    /// A number that two runs have in common when all that was chosen and noted was the same.
    #[must_use]
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// All decisions so far.
    #[must_use]
    pub fn choices(&self) -> &[Choice] {
        &self.choices
    }

    /// What was chosen so far: the tape to replay.
    #[must_use]
    pub fn values(&self) -> Vec<u32> {
        self.choices.iter().map(|choice| choice.value).collect()
    }

    /// The tape that comes after this one in a search of all tapes, depth first, or `None` after the
    /// last. Decisions among more than `arity_max` possibilities stay as they are.
    #[must_use]
    pub fn successor(&self, arity_max: u32) -> Option<Vec<u32>> {
        let can_grow =
            |choice: &Choice| choice.value + 1 < choice.arity && choice.arity <= arity_max;
        let last = self.choices.iter().rposition(can_grow)?;
        let mut values: Vec<u32> =
            self.choices[..=last].iter().map(|choice| choice.value).collect();
        values[last] += 1;
        Some(values)
    }
}

impl fmt::Debug for Tape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tape")
            .field("choices", &self.choices.len())
            .field("hash", &self.hash)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_search_visits_every_tape_once() {
        // The second decision depends on the first: two, then three or one possibilities.
        let mut seen = Vec::new();
        let mut next = Some(Vec::new());
        while let Some(values) = next {
            let mut tape = Tape::replay(values);
            let first = tape.choose(2);
            let second = tape.choose(if first == 0 { 3 } else { 1 });
            seen.push((first, second));
            next = tape.successor(8);
        }
        assert_eq!(seen, [(0, 0), (0, 1), (0, 2), (1, 0)]);
    }

    #[test]
    fn the_search_leaves_wide_decisions_alone() {
        let mut tape = Tape::replay(vec![0, 5]);
        tape.choose(2);
        tape.choose(1000);
        assert_eq!(tape.successor(8), Some(vec![1]));
    }

    #[test]
    fn a_random_choice_is_fair_and_within_bounds() {
        let mut tape = Tape::random(1);
        let mut drawn = [0_u32; 5];
        for _ in 0..50_000 {
            drawn[tape.choose(5) as usize] += 1;
        }
        assert!(drawn.iter().all(|&times| (9_000..11_000).contains(&times)), "{drawn:?}");
    }
}
