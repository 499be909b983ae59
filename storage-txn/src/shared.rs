//! What all parts of one handle on a store share.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_channel::oneshot;
use futures_util::future::join;
use storage_core::Env;
use storage_log::planted::planted;
use storage_log::{CommitLog, Head, Record, catch_up};

use crate::combine::Combined;
use crate::commit::Queue;
use crate::compact::Compactions;
use crate::counters::Counts;
use crate::flush::{Flushes, Role};
use crate::memtable::Memtable;
use crate::segment::Shelf;
use crate::session::Session;
use crate::state::{Advanced, Decoded, State};
use crate::store_log::StoreLog;
use crate::system::System;
use crate::watch::Arrivals;
use crate::{Error, ErrorKind, Options, Place, Result};

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) log: Arc<StoreLog>,
    /// Where the store is kept.
    pub(crate) place: Place,
    pub(crate) env: Arc<dyn Env>,
    pub(crate) options: Options,
    /// Drawn at random: the first session, and what makes this handle choose otherwise than others.
    pub(crate) writer: u64,
    pub(crate) shelf: Shelf,
    pub(crate) queue: Mutex<Queue>,
    pub(crate) flushes: Mutex<Flushes>,
    pub(crate) compactions: Mutex<Compactions>,
    pub(crate) arrivals: Arrivals,
    /// How many large values, or objects of them, this handle has named.
    pub(crate) values: AtomicU64,
    pub(crate) session: Mutex<Session>,
    pub(crate) counts: Counts,
    pub(crate) combined: Mutex<Combined>,
    /// Whether this is a replica, to which only the one that follows writes.
    pub(crate) is_replica: bool,
    state: Mutex<State>,
    probes: Mutex<Probes>,
}

/// Those who wait to know the end of the log. One task asks for all who came before it asked.
#[derive(Debug, Default)]
struct Probes {
    running: bool,
    waiting: Vec<oneshot::Sender<Result<()>>>,
}

/// Held by the task that asks. When that is stopped with its runtime, whoever waits is let go.
struct Probing {
    shared: Arc<Shared>,
    finished: bool,
}

impl Probing {
    async fn run(mut self) {
        self.shared.answer_probes().await;
        self.finished = true;
    }
}

impl Drop for Probing {
    fn drop(&mut self) {
        if !self.finished {
            *self.shared.probes() = Probes::default();
        }
    }
}

impl Shared {
    pub(crate) fn new(
        log: Arc<StoreLog>,
        place: Place,
        env: Arc<dyn Env>,
        options: Options,
        shelf: Shelf,
        state: State,
        is_replica: bool,
    ) -> Arc<Self> {
        let writer = env.random();
        let shared = Arc::new(Self {
            log,
            place,
            writer,
            env,
            options,
            shelf,
            queue: Mutex::default(),
            flushes: Mutex::default(),
            compactions: Mutex::default(),
            arrivals: Arrivals::default(),
            values: AtomicU64::new(0),
            state: Mutex::new(state),
            probes: Mutex::default(),
            session: Mutex::new(Session::new(writer)),
            counts: Counts::default(),
            combined: Mutex::default(),
            is_replica,
        });
        shared.state().belongs_to(Arc::downgrade(&shared));
        shared
    }

    /// Not to be held across an `.await`. Whoever panics while holding it has left whole transactions in it,
    /// or part of one above the version that readers use.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why nothing can be committed where the store says this of itself.
    pub(crate) fn read_only(&self, system: &System) -> Option<Error> {
        let why = match (self.is_replica, system.sealed()) {
            (true, _) => {
                "this is a replica, which follows another store: commit there, or promote it"
                    .to_owned()
            }
            (false, Some(why)) => format!("the store is sealed: {why}"),
            (false, None) => return None,
        };
        Some(Error::new(ErrorKind::ReadOnly, why))
    }

    /// # Errors
    ///
    /// [`ErrorKind::ReadOnly`].
    pub(crate) fn check_writable(&self) -> Result<()> {
        let system = self.state().view.system.clone();
        self.read_only(&system).map_or(Ok(()), Err)
    }

    /// The wall clock, in microseconds since the Unix epoch.
    pub(crate) fn wall_micros(&self) -> u64 {
        u64::try_from(self.env.wall().as_micros()).unwrap_or(u64::MAX)
    }

    /// Reads the log to its end, as it was at some time during this call. Where the log was collected before this
    /// handle has read it, goes on from the newest checkpoint.
    pub(crate) async fn catch_up(&self) -> Result<()> {
        self.catch_up_reading(1).await
    }

    /// As [`catch_up`](Self::catch_up), with so many slots asked for at once to begin with.
    async fn catch_up_reading(&self, first: usize) -> Result<()> {
        while self.read_on(first).await? == Advanced::Collected {
            self.reload().await?;
            self.arrivals.arrived();
        }
        let state = self.state();
        if state.is_behind_its_checkpoint() {
            return Err(Error::corrupt(format!(
                "the log ends with slot {}, version {}, but a checkpoint knows of more: the log was rolled back or lost",
                state.head.slot, state.version
            )));
        }
        Ok(())
    }

    /// As [`catch_up`](Self::catch_up), right after the state was taken from a checkpoint: looks, at the same time,
    /// whether the log has what the checkpoint was made of.
    ///
    /// # Errors
    ///
    /// [`Corrupt`](crate::ErrorKind::Corrupt) when it has not, and those of [`catch_up`](Self::catch_up). An entry at the
    /// slot of the checkpoint that cannot be read is none, as long as the one after it goes on from it: all that was in it
    /// is in segments.
    pub(crate) async fn catch_up_from_checkpoint(&self) -> Result<()> {
        let Head { slot, id } = self.state().head;
        // After the slot of a checkpoint comes at least the entry of the flush that made it.
        let caught_up = self.catch_up_reading(2);
        let (found, caught_up) = join(self.log.read(slot), caught_up).await;
        let (found, caught_up) = match (found, caught_up) {
            // It was asked for where the log ended before it, and may go on elsewhere: that is not known before it is read
            // to its end.
            (Ok(None), Ok(())) => (self.log.read(slot).await, Ok(())),
            (Ok(None), Err(error)) if error.kind() != ErrorKind::Corrupt => return Err(error),
            found => found,
        };
        let wrong = match found {
            Ok(Some(record)) if record.id() == id => return caught_up,
            Ok(Some(_)) => "has another entry there",
            Ok(None) if self.state().head.slot > slot => "lacks the entry there",
            Ok(None) => "ends before",
            Err(storage_log::Error::Corrupt { .. })
                if caught_up.is_ok() && self.state().head.slot > slot =>
            {
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        Err(Error::corrupt(format!(
            "there is a checkpoint at slot {slot}, but the log {wrong}: it was rolled back, forked or lost"
        )))
    }

    /// Reads the log to its end, or to where it was collected, with `first` slots asked for at once to begin with.
    pub(crate) async fn read_on(&self, first: usize) -> Result<Advanced> {
        let start = self.env.monotonic();
        let head = self.state().head;
        let mut advanced = Ok(Advanced::Yes);
        let result = catch_up(&*self.log, head, first, self.options.read_ahead, |record| {
            // What does not belong to the log is its error; what the store makes of an entry is ours.
            if matches!(advanced, Ok(Advanced::Yes)) {
                advanced = self.advance(&record);
            }
            Ok(())
        });
        let caught_up = result.await;
        if advanced? == Advanced::Collected {
            return Ok(Advanced::Collected);
        }
        caught_up?;
        self.arrivals.asked_at(start);
        Ok(Advanced::Yes)
    }

    /// Takes in one record, the next of the log, and lets those go on who wait for it.
    pub(crate) fn advance(&self, record: &Record) -> Result<Advanced> {
        self.advance_with(record, None)
    }

    /// As [`advance`](Self::advance), with what was decoded of the record beforehand, if it was.
    pub(crate) fn advance_with(
        &self,
        record: &Record,
        decoded: Option<Decoded>,
    ) -> Result<Advanced> {
        let (advanced, retired, system_changed) = {
            let mut state = self.state();
            let system = state.view.system.clone();
            let advanced = state.advance(record, decoded);
            (advanced, state.take_retired(), !Arc::ptr_eq(&system, &state.view.system))
        };
        self.let_go(retired);
        let advanced = advanced?;
        if system_changed {
            self.renew_session();
        }
        self.arrivals.arrived();
        Ok(advanced)
    }

    /// Takes memtables down that this is the last to have, where nobody waits.
    pub(crate) fn let_go(&self, memtables: Vec<Arc<Memtable>>) {
        if memtables.is_empty() {
            return;
        }
        self.env.spawn(Box::pin(async move {
            for memtable in memtables {
                if let Some(memtable) = Arc::into_inner(memtable) {
                    memtable.take_down().await;
                }
            }
        }));
    }

    /// As [`advance`](Self::advance); where the log was collected, goes on from the newest checkpoint.
    pub(crate) async fn take_in(&self, record: &Record) -> Result<()> {
        if self.advance(record)? == Advanced::Collected {
            self.reload().await?;
            self.arrivals.arrived();
        }
        Ok(())
    }

    /// As [`catch_up`](Self::catch_up), but all who wait at the same time share the requests. What is known
    /// afterwards is what was there at some time after this call began.
    pub(crate) async fn refresh(self: &Arc<Self>) -> Result<()> {
        let (sender, receiver) = oneshot::channel();
        let start = {
            let mut probes = self.probes();
            probes.waiting.push(sender);
            !std::mem::replace(&mut probes.running, true)
        };
        if start {
            let probing = Probing { shared: self.clone(), finished: false };
            self.env.spawn(Box::pin(probing.run()));
        }
        match receiver.await {
            Ok(result) => result,
            // The task was stopped with its runtime; there is still us.
            Err(oneshot::Canceled) => self.catch_up().await,
        }
    }

    async fn answer_probes(self: &Arc<Self>) {
        loop {
            let waiting = {
                let mut probes = self.probes();
                if probes.waiting.is_empty() {
                    probes.running = false;
                    return;
                }
                std::mem::take(&mut probes.waiting)
            };
            let result = self.catch_up().await;
            self.flush_if_full(Role::Reader);
            let later = match planted("probe-answers-who-came-later") {
                true => std::mem::take(&mut self.probes().waiting),
                false => Vec::new(),
            };
            for sender in waiting.into_iter().chain(later) {
                // One who no longer waits does not mind.
                let _ = sender.send(result.as_ref().copied().map_err(Error::shared));
            }
        }
    }

    fn probes(&self) -> MutexGuard<'_, Probes> {
        self.probes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
