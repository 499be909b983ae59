//! Holds what was ever stored against the rules: one decision an index, chains that never go back, and what was
//! acknowledged still there.

use std::collections::{BTreeMap, BTreeSet};

use simulation::Change;
use storage_log::quorum::{Cell, Epoch, Value, VoterId, Voters};
use storage_log::{EntryId, Slot};

use crate::LOG;
use crate::world::Notes;

/// A voter's chain as it grew, up to when it was wiped.
#[derive(Default)]
struct Chain {
    cells: BTreeMap<u64, Cell>,
    wiped: bool,
}

pub(crate) fn judge(
    voters: Voters,
    histories: &[Vec<Change>],
    notes: &Notes,
    read: &[EntryId],
) -> Result<(), String> {
    if let Some(wrong) = notes.wrong.lock().unwrap().take() {
        return Err(wrong);
    }
    let chains = chains(histories)?;
    let decided = decided(voters, &chains)?;
    for (voter, chain) in &chains {
        tells_what_was_decided(*voter, chain, &decided)?;
    }
    for (slot, id) in notes.acknowledged.lock().unwrap().iter() {
        let is_at = |value: &&Value| value.point().slot == *slot && value.new_voters().is_none();
        let found = decided.values().find(is_at).map(|value| value.point().id);
        if found != Some(*id) {
            return Err(format!("{id} was acknowledged at slot {slot}, and {found:?} was decided"));
        }
        if read.get(slot.0 as usize - 1) != Some(id) {
            return Err(format!("{id} was acknowledged at slot {slot}, and is not read there"));
        }
    }
    let last = decided.values().map(|value| value.point().slot).max().unwrap_or(Slot(0));
    if (read.len() as u64) < last.0 {
        return Err(format!("{last} slots are decided, and {} are read", read.len()));
    }
    Ok(())
}

fn chains(histories: &[Vec<Change>]) -> Result<BTreeMap<VoterId, Chain>, String> {
    let mut chains: BTreeMap<VoterId, Chain> = BTreeMap::new();
    for change in histories.iter().flatten() {
        let key = change.key.to_string();
        let Some((voter, position)) = key.split_once('/') else { continue };
        if voter == "voters" {
            continue;
        }
        let voter = VoterId(u128::from_str_radix(voter, 16).unwrap().to_be_bytes());
        let position = u64::from_str_radix(position, 16).unwrap();
        let chain = chains.entry(voter).or_default();
        let Some(body) = &change.body else {
            chain.wiped = true;
            continue;
        };
        if chain.wiped {
            continue;
        }
        let cell = Cell::decode(LOG, voter, position, body)
            .map_err(|error| format!("what was put is no cell: {error}"))?;
        if let Some((before, last)) = chain.cells.last_key_value() {
            if *before + 1 != position {
                return Err(format!("voter {voter}: position {position} after {before}"));
            }
            if cell.epoch() < last.epoch() || cell.reach().0 < last.reach().0 {
                return Err(format!("voter {voter}: position {position} goes back"));
            }
        }
        chain.cells.insert(position, cell);
    }
    Ok(chains)
}

/// What was decided, by who voted on it; it must have been one value.
fn decided(
    mut electorate: Voters,
    chains: &BTreeMap<VoterId, Chain>,
) -> Result<BTreeMap<u64, Value>, String> {
    type Accepted = BTreeMap<(Epoch, EntryId), (BTreeSet<VoterId>, Value)>;
    let mut accepted: BTreeMap<u64, Accepted> = BTreeMap::new();
    for (voter, chain) in chains {
        for cell in chain.cells.values() {
            let Some(value) = cell.value() else { continue };
            let at = accepted.entry(value.point().index).or_default();
            let key = (cell.epoch(), value.point().id);
            at.entry(key).or_insert_with(|| (BTreeSet::new(), value.clone())).0.insert(*voter);
        }
    }
    let mut decided = BTreeMap::new();
    for (index, accepted) in accepted {
        let mut chosen: Option<Value> = None;
        for (holders, value) in accepted.into_values() {
            let votes = electorate.members.iter().filter(|member| holders.contains(member));
            let of_this_time = value.before().version() == electorate.version;
            if !of_this_time || votes.count() < electorate.quorum {
                continue;
            }
            if chosen.as_ref().is_some_and(|other| other.point().id != value.point().id) {
                return Err(format!("two values were decided at index {index}"));
            }
            chosen = Some(value);
        }
        if let Some(value) = chosen {
            if let Some(voters) = value.new_voters() {
                electorate = voters.clone();
            }
            decided.insert(index, value);
        }
    }
    Ok(decided)
}

/// Whatever is followed by a value of a higher index on one chain is what was decided, if it is the last of its index.
fn tells_what_was_decided(
    voter: VoterId,
    chain: &Chain,
    decided: &BTreeMap<u64, Value>,
) -> Result<(), String> {
    let values: Vec<_> = chain.cells.values().filter_map(Cell::value).collect();
    for pair in values.windows(2) {
        let (value, next) = (pair[0].point(), pair[1].point());
        if next.index > value.index {
            let found = decided.get(&value.index).map(|value| value.point().id);
            if found != Some(value.id) {
                return Err(format!(
                    "voter {voter} tells that {value:?} was decided, not {found:?}"
                ));
            }
        }
    }
    Ok(())
}
