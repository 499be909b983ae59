//! Reading what was decided, and taking its bytes away.

use std::sync::Arc;

use storage_core::{ErrorKind, PutIf};

use super::core::Core;
use super::lookup::{Cells, Step, Target, step};
use super::{Cell, VoterId};
use crate::{Record, Result, Slot};

/// How many steps a search along one chain may take.
const STEPS_MAX: u32 = 256;

impl Core {
    /// What stands at a slot that is decided.
    pub(super) async fn fetch(self: &Arc<Self>, slot: Slot) -> Result<Record> {
        let cell = match self.look_up(Target::Slot(slot)).await {
            Ok(cell) => cell,
            // What is known of the chains may be out of date.
            Err(_) => {
                self.refresh().await?;
                self.look_up(Target::Slot(slot)).await?
            }
        };
        let bytes = cell.value().map(|value| value.bytes().clone()).unwrap_or_default();
        Record::decode(self.log, slot, bytes)
    }

    /// The cell of what was decided: as it was read already, or from the first voter that can tell. Those that failed
    /// when they were last asked come last.
    pub(super) async fn look_up(&self, target: Target) -> Result<Cell> {
        let mut voters = self.state().proposer.voters().members.clone();
        for voter in &voters {
            if let Step::Found(cell) = self.next_step(*voter, target, 0) {
                return Ok(*cell);
            }
        }
        let troubled: Vec<_> = self.state().troubles.keys().copied().collect();
        voters.sort_by_key(|voter| troubled.contains(voter));
        let mut failed = None;
        for voter in voters {
            match self.look_up_at(voter, target).await {
                Ok(Some(cell)) => return Ok(cell),
                Ok(None) => {}
                Err(error) => failed = Some(error),
            }
        }
        let nobody = || {
            let message = format!("no voter that answers can tell what was decided at {target:?}");
            storage_core::Error::not_applied(ErrorKind::Unavailable, message).into()
        };
        Err(failed.unwrap_or_else(nobody))
    }

    async fn look_up_at(&self, voter: VoterId, target: Target) -> Result<Option<Cell>> {
        for turn in 0..STEPS_MAX {
            match self.next_step(voter, target, turn) {
                Step::Found(cell) => return Ok(Some(*cell)),
                Step::NotHere => return Ok(None),
                Step::Read(position) => match self.get_cell(voter, position).await {
                    Ok(Some(_)) => {}
                    Ok(None) => return Ok(None),
                    Err(error) => {
                        self.state().troubles.insert(voter, error.to_string());
                        return Err(error);
                    }
                },
            }
        }
        Ok(None)
    }

    /// What to do next to find it on the chain of a voter.
    fn next_step(&self, voter: VoterId, target: Target, turn: u32) -> Step {
        let state = self.state();
        let council = state.proposer.council();
        let Some(member) = council.members.iter().find(|each| each.voter() == voter) else {
            return Step::NotHere;
        };
        let none = Cells::default();
        let cells = state.cells.get(&voter).unwrap_or(&none);
        step(target, member, cells, &council.decided, turn)
    }

    /// Takes the bytes of an entry away from one voter, if it has the entry.
    pub(super) async fn collect_at(&self, voter: VoterId, record: &Record) -> Result<()> {
        let Some(cell) = self.look_up_at(voter, Target::Slot(record.slot())).await? else {
            return Ok(());
        };
        if cell.value().is_none_or(|value| value.point().id != record.id()) {
            return Ok(());
        }
        let cell = cell.collected(record);
        let key = self.cell_key(voter, cell.position())?;
        let provider = self.provider(voter).await?;
        provider.put(&key, cell.encode(self.log), PutIf::Always).await?;
        self.state().cells.entry(voter).or_default().keep(cell);
        Ok(())
    }
}
