//! The search for an order of the operations on one key, just in time.

use std::collections::{BTreeMap, HashMap};

use super::{Facts, State, is_read};
use crate::history::{Answer, Timed};

/// How many operations may be under way at one moment, those of unknown outcome not counted.
pub const UNDER_WAY_MAX: usize = 64;
/// How many operations of a history may have an unknown outcome.
pub const UNKNOWN_MAX: usize = 128;
/// How many configurations a search looks at before it gives up.
pub const CONFIGURATIONS_MAX: usize = 2_000_000;
/// The same for one step of making a failing window smaller.
const BLAME_CONFIGURATIONS_MAX: usize = 20_000;

pub(super) enum Stuck<'a> {
    /// After this state, these operations have no order.
    Nowhere {
        before: State,
        window: Vec<Asked<'a>>,
    },
    TooConcurrent(String),
}

/// An operation as the search takes it.
#[derive(Clone, Copy)]
pub(super) struct Asked<'t> {
    pub(super) timed: &'t Timed,
    /// It may happen at any time after its call, or never.
    pub(super) optional: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Configuration {
    state: State,
    /// Which of the slots of operations under way have happened.
    done: u64,
    /// Which of the optional operations have happened.
    landed: u128,
}

/// Configurations, without those that differ from another only in having used up more of the optional
/// operations: since these are never obliged to happen, the other can do all that they can.
#[derive(Default)]
struct Least {
    landed: HashMap<(State, u64), Vec<u128>>,
    /// How many were ever taken in.
    admitted: usize,
}

/// The operations under way: by slot those that will come back, and the optional ones.
#[derive(Default)]
struct UnderWay<'t> {
    slots: Vec<Option<&'t Timed>>,
    optional: Vec<&'t Timed>,
}

impl Facts<'_> {
    /// Walks the events of `operations`, sorted by call.
    pub(super) fn search<'t>(
        &self,
        operations: &[Asked<'t>],
        start: State,
        configurations_max: usize,
    ) -> Result<(), Stuck<'t>> {
        let mut events: Vec<(u64, usize, bool)> = Vec::with_capacity(operations.len() * 2);
        for (index, asked) in operations.iter().enumerate() {
            events.push((asked.timed.called, index, true));
            if !asked.optional {
                events.push((asked.timed.returned, index, false));
            }
        }
        events.sort_unstable();

        let mut under_way = UnderWay::default();
        let mut place_of = vec![0; operations.len()];
        let mut now = vec![Configuration { state: start, done: 0, landed: 0 }];
        // The last moment at which only one thing can have been so, and the operations since.
        let mut certain = start;
        let mut window: Vec<usize> = Vec::new();
        for (_, index, is_call) in events {
            if is_call {
                window.push(index);
                place_of[index] = under_way.take_place(operations[index])?;
                continue;
            }
            let slot = place_of[index];
            now = self.past_return(&under_way, now, slot, configurations_max)?;
            if now.is_empty() {
                let window = window.into_iter().map(|index| operations[index]).collect();
                return Err(Stuck::Nowhere { before: certain, window });
            }
            under_way.slots[slot] = None;
            if let [only] = now.as_slice()
                && under_way.slots.iter().all(Option::is_none)
            {
                certain = only.state;
                // What is optional and has not happened may still, so it stays in the window.
                window.retain(|index| {
                    operations[*index].optional && only.landed & (1 << place_of[*index]) == 0
                });
            }
        }
        Ok(())
    }

    /// All configurations in which the operation in `slot` has happened, just before its answer.
    fn past_return<'t>(
        &self,
        under_way: &UnderWay<'t>,
        now: Vec<Configuration>,
        slot: usize,
        configurations_max: usize,
    ) -> Result<Vec<Configuration>, Stuck<'t>> {
        let mut past = Least::default();
        let mut seen = Least::default();
        // Those that have used up the fewest optional operations go first, so that the ones they make
        // needless are never looked into.
        let mut open: BTreeMap<u32, Vec<Configuration>> = BTreeMap::new();
        for configuration in now {
            seen.admit(configuration);
            open.entry(configuration.landed.count_ones()).or_default().push(configuration);
        }
        while let Some(mut nearest) = open.first_entry() {
            let Some(mut configuration) = nearest.get_mut().pop() else {
                nearest.remove();
                continue;
            };
            if !seen.holds(configuration) {
                continue;
            }
            self.take_reads(under_way, &mut configuration);
            if configuration.done & (1 << slot) != 0 {
                configuration.done &= !(1 << slot);
                past.admit(configuration);
                continue;
            }
            for (at, timed) in under_way.slots.iter().enumerate() {
                let Some(timed) = timed else { continue };
                if configuration.done & (1 << at) == 0
                    && let Some(state) = self.step(configuration.state, timed)
                {
                    let done = configuration.done | 1 << at;
                    let next = Configuration { state, done, ..configuration };
                    if seen.admit(next) {
                        open.entry(next.landed.count_ones()).or_default().push(next);
                    }
                }
            }
            for (at, timed) in under_way.optional.iter().enumerate() {
                if configuration.landed & (1 << at) == 0
                    && let Some(state) = self.step(configuration.state, timed)
                {
                    let landed = configuration.landed | 1 << at;
                    let next = Configuration { state, landed, ..configuration };
                    if seen.admit(next) {
                        open.entry(next.landed.count_ones()).or_default().push(next);
                    }
                }
            }
            if seen.admitted > configurations_max {
                let what =
                    format!("too concurrent to decide in {configurations_max} configurations");
                return Err(Stuck::TooConcurrent(what));
            }
        }
        Ok(past.into_configurations())
    }

    /// A read that fits happens at once: it changes nothing, so waiting cannot help. Only one that
    /// would settle an open version waits for its turn.
    fn take_reads(&self, under_way: &UnderWay<'_>, configuration: &mut Configuration) {
        for (at, timed) in under_way.slots.iter().enumerate() {
            if let Some(timed) = timed
                && is_read(timed)
                && self.step(configuration.state, timed) == Some(configuration.state)
            {
                configuration.done |= 1 << at;
            }
        }
    }

    /// The operations that are to blame: without any of them there would be an order.
    ///
    /// Leaving out a read only ever allows more, and so does letting a mutation happen at any later
    /// time or never: what is still impossible then is not the fault of that operation.
    pub(super) fn blame<'t>(&self, before: State, mut window: Vec<Asked<'t>>) -> Vec<&'t Timed> {
        let mut at = 0;
        while at < window.len() {
            let mut weaker = window.clone();
            if is_read(window[at].timed) {
                weaker.remove(at);
            } else {
                weaker[at].optional = true;
            }
            let next = if weaker.len() < window.len() { at } else { at + 1 };
            match self.search(&weaker, before, BLAME_CONFIGURATIONS_MAX) {
                Err(Stuck::Nowhere { .. }) => (window, at) = (weaker, next),
                _ => at += 1,
            }
        }
        let to_blame = |asked: &Asked<'_>| !asked.optional || asked.timed.answer == Answer::Unknown;
        window.into_iter().filter(to_blame).map(|asked| asked.timed).collect()
    }
}

impl<'t> UnderWay<'t> {
    fn take_place(&mut self, asked: Asked<'t>) -> Result<usize, Stuck<'t>> {
        if asked.optional {
            self.optional.push(asked.timed);
            if self.optional.len() > UNKNOWN_MAX {
                let what = format!("more than {UNKNOWN_MAX} operations of unknown outcome");
                return Err(Stuck::TooConcurrent(what));
            }
            return Ok(self.optional.len() - 1);
        }
        let free = self.slots.iter().position(Option::is_none);
        let slot = free.unwrap_or(self.slots.len());
        if slot == UNDER_WAY_MAX {
            let what = format!("more than {UNDER_WAY_MAX} operations at once");
            return Err(Stuck::TooConcurrent(what));
        }
        self.slots.resize(self.slots.len().max(slot + 1), None);
        self.slots[slot] = Some(asked.timed);
        Ok(slot)
    }
}

impl Least {
    /// Takes a configuration in, unless one that is as good is there.
    fn admit(&mut self, configuration: Configuration) -> bool {
        let Configuration { state, done, landed } = configuration;
        let least = self.landed.entry((state, done)).or_default();
        if least.iter().any(|kept| kept & !landed == 0) {
            return false;
        }
        least.retain(|kept| landed & !kept != 0);
        least.push(landed);
        self.admitted += 1;
        true
    }

    fn holds(&self, configuration: Configuration) -> bool {
        let Configuration { state, done, landed } = configuration;
        self.landed.get(&(state, done)).is_some_and(|least| least.contains(&landed))
    }

    fn into_configurations(self) -> Vec<Configuration> {
        let configurations = self.landed.into_iter().flat_map(|((state, done), least)| {
            least.into_iter().map(move |landed| Configuration { state, done, landed })
        });
        configurations.collect()
    }
}
