//! Carrying out what the state machines ask for.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use storage_core::{ErrorKind, Key, PutIf, StorageProvider, StorageProviderExt};

use super::core::{Core, key, marker_key};
use super::lookup::Target;
use super::marker::Marker;
use super::{Asked, Cell, Event, Request, VoterId};
use crate::{Error, Result};

impl Core {
    /// Tells the proposer what happened, begins what can begin, and sends what it asks for.
    pub(super) fn advance(self: &Arc<Self>, event: Option<Event>) {
        let now = self.env.monotonic();
        let requests = {
            let mut state = self.state();
            let mut requests = event.map(|event| state.proposer.on(event, now)).unwrap_or_default();
            loop {
                if let Some(outcome) = state.proposer.outcome()
                    && let Some(waiter) = state.current.take()
                {
                    // One who no longer waits does not mind.
                    let _ = waiter.send(outcome);
                }
                let is_free = state.proposer.is_free();
                match state.waiting.pop_front() {
                    Some((goal, waiter)) if is_free => {
                        state.current = Some(waiter);
                        requests.extend(state.proposer.begin(goal, now));
                    }
                    Some(waiting) => {
                        state.waiting.push_front(waiting);
                        break requests;
                    }
                    None => break requests,
                }
            }
        };
        for request in requests {
            let core = self.clone();
            self.env.spawn(Box::pin(async move {
                let event = core.perform(request).await;
                core.advance(Some(event));
            }));
        }
    }

    /// Does what a state machine asks for, and says what came of it.
    pub(super) async fn perform(&self, request: Request) -> Event {
        match request {
            Request::Read { voter, position } => {
                Event::Answer(voter, self.read_cell(voter, position).await)
            }
            Request::Put(cell) => Event::Answer(cell.voter(), self.put_cell(&cell).await),
            Request::Mark { voter } => self.read_marker(voter).await,
            Request::Fetch { index } => {
                let value = self.look_up(Target::Index(index)).await.ok();
                Event::Fetched { index, value: value.and_then(|cell| cell.value().cloned()) }
            }
            Request::Pause { voter, failures } => {
                let pause = self.options.pause * 2_u32.pow(u32::from(failures.clamp(1, 8)) - 1);
                self.env.sleep(pause).await;
                Event::Resumed(voter)
            }
            Request::BackOff { times } => {
                let most = self.options.round * 2_u32.pow(times.clamp(1, 8));
                let micros = u64::try_from(most.as_micros()).unwrap_or(u64::MAX).max(1);
                self.env.sleep(Duration::from_micros(self.env.random() % micros)).await;
                Event::BackedOff
            }
        }
    }

    async fn read_cell(&self, voter: VoterId, position: u64) -> Asked {
        match self.get_cell(voter, position).await {
            Ok(Some(cell)) => Asked::Found(Box::new(cell)),
            Ok(None) => Asked::Empty,
            Err(Error::Corrupt { why, .. }) => Asked::Damaged(why),
            Err(Error::Storage(error)) => self.failed(voter, &error),
        }
    }

    pub(super) async fn get_cell(&self, voter: VoterId, position: u64) -> Result<Option<Cell>> {
        let provider = self.provider(voter).await?;
        let object = provider.try_get(&self.cell_key(voter, position)?).await?;
        self.state().troubles.remove(&voter);
        let Some(object) = object else { return Ok(None) };
        let cell = Cell::decode(self.log, voter, position, &object.body)?;
        self.state().cells.entry(voter).or_default().keep(cell.clone());
        Ok(Some(cell))
    }

    async fn put_cell(&self, cell: &Cell) -> Asked {
        let put = async {
            let key = self.cell_key(cell.voter(), cell.position())?;
            let provider = self.provider(cell.voter()).await?;
            Ok(provider.put(&key, cell.encode(self.log), PutIf::Absent).await?)
        };
        match put.await {
            Ok(_) => {
                let mut state = self.state();
                state.troubles.remove(&cell.voter());
                state.cells.entry(cell.voter()).or_default().keep(cell.clone());
                Asked::Created
            }
            Err(Error::Storage(error)) if error.kind() == ErrorKind::Conflict => Asked::Exists,
            Err(Error::Storage(error)) => self.failed(cell.voter(), &error),
            Err(Error::Corrupt { why, .. }) => Asked::Damaged(why),
        }
    }

    async fn read_marker(&self, voter: VoterId) -> Event {
        let asked = self.env.monotonic();
        let read = async {
            let provider = self.provider(voter).await?;
            Ok::<_, Error>(provider.try_get(&marker_key(&self.prefix)?).await?)
        };
        let base = match read.await {
            Ok(Some(object)) => match Marker::decode(self.log, &object.body) {
                Ok(marker) if marker.voter == voter => Some(Box::new(marker.base)),
                Ok(_) | Err(_) => None,
            },
            Ok(None) => None,
            // All have said who they are.
            Err(Error::Storage(error)) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => {
                self.state().troubles.insert(voter, error.to_string());
                return Event::NotMarked(voter);
            }
        };
        Event::Marked { voter, base, asked }
    }

    fn failed(&self, voter: VoterId, error: &storage_core::Error) -> Asked {
        self.state().troubles.insert(voter, error.to_string());
        Asked::Failed
    }

    /// The provider that is this voter. One that did not answer so far is asked who it is.
    pub(super) async fn provider(&self, voter: VoterId) -> Result<&dyn StorageProvider> {
        let place = self.state().places.get(&voter).copied();
        if let Some(at) = place {
            return Ok(&*self.providers[at]);
        }
        // Mostly it is one that has not said who it is. But one that was another voter may be this one by now, and whoever asks
        // may know of later voters than this handle does.
        let known: BTreeSet<usize> = self.state().places.values().copied().collect();
        let (rest, unknown): (Vec<_>, Vec<_>) =
            (0..self.providers.len()).partition(|at| known.contains(at));
        let (mut place, mut silent) = self.look_for(voter, &unknown).await?;
        if place.is_none() {
            let (found, is_silent) = self.look_for(voter, &rest).await?;
            (place, silent) = (found, silent || is_silent);
        }
        match (place, silent) {
            (None, false) => drop(self.state().strangers.insert(voter)),
            (Some(_), _) => drop(self.state().strangers.remove(&voter)),
            (None, true) => {}
        }
        place.map(|at| &*self.providers[at]).ok_or_else(|| {
            let (kind, which) = match silent {
                true => (ErrorKind::Unavailable, "none of the providers that answer"),
                false => (ErrorKind::NotFound, "none of the providers"),
            };
            let message = format!("{which} is the voter {voter}");
            storage_core::Error::not_applied(kind, message).into()
        })
    }

    /// Asks some of the providers who they are. Which of them is this voter, and whether one did not answer.
    async fn look_for(&self, voter: VoterId, among: &[usize]) -> Result<(Option<usize>, bool)> {
        let key = &marker_key(&self.prefix)?;
        let asked = among.iter().map(|at| self.providers[*at].try_get(key));
        let (mut place, mut silent) = (None, false);
        for (at, found) in among.iter().zip(join_all(asked).await) {
            silent |= found.is_err();
            let Ok(Some(object)) = found else { continue };
            let Ok(marker) = Marker::decode(self.log, &object.body) else { continue };
            self.state().places.insert(marker.voter, *at);
            if marker.voter == voter {
                place = Some(*at);
            }
        }
        Ok((place, silent))
    }

    pub(super) fn cell_key(&self, voter: VoterId, position: u64) -> Result<Key> {
        key(&self.prefix, format!("{voter}/{position:016x}"))
    }
}
