//! The transactions that wait for their commit.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_channel::oneshot;

use crate::format::entry::Logged;
use crate::reads::Reads;
use crate::shared::Shared;
use crate::transaction::Receipt;
use crate::writes::Writes;
use crate::{Error, ErrorKind, Result, Version};

/// How long an append is taken to take before there was one.
const APPEND_TIME: Duration = Duration::from_millis(20);

/// First come, first served.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    waiting: VecDeque<Waiting>,
    /// Whether there is a task that works it off.
    running: bool,
    /// How long an append takes, lately.
    append_time: Option<Duration>,
}

/// A transaction that waits.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) transaction: Logged,
    /// What must not have changed since `read_at`.
    pub(crate) reads: Reads,
    pub(crate) read_at: Version,
    /// Keys, and the version that each must have; `None` is a key that must be missing.
    pub(crate) required: Vec<(Bytes, Option<Version>)>,
    /// The sessions in which was stored what it is the first to name. When one of them is reaped, that is deleted.
    pub(crate) sessions: BTreeSet<u64>,
    /// Whether another attempt at the same transaction may have been made before `read_at`.
    pub(crate) repeated: bool,
    pub(crate) hands: Hands,
    /// Why it is being shut out, with an entry that takes its id: what it is answered then.
    pub(crate) refused: Option<Error>,
    pub(crate) reply: oneshot::Sender<Result<Receipt>>,
}

/// In whose hands a transaction is, besides those of this handle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hands {
    /// Nobody else's.
    Own,
    /// A combiner's too, which may commit it, now or much later. It is answered as refused only once its id is taken.
    Elsewhere,
    /// It came from another handle, which waits for the answer.
    Foreign,
}

impl Waiting {
    /// Whether it may be told that it is refused only when nobody can commit it any more. Of one whose id is taken that is so.
    pub(crate) fn must_be_shut_out(&self, why: &Error) -> bool {
        self.hands == Hands::Elsewhere && why.kind() != ErrorKind::Cancelled
    }

    /// Takes its id and nothing else, so that nobody can commit it any more: it is to be answered with this.
    pub(crate) fn shut_out(&mut self, why: Error) {
        if !self.transaction.cancelled {
            self.refused = Some(why);
        }
        self.transaction.cancelled = true;
        self.transaction.writes = Writes::default();
        self.transaction.author.clear();
        self.transaction.message.clear();
        self.reads = Reads::default();
        self.required.clear();
        self.sessions.clear();
    }

    /// Answers it, and hands back what is done with.
    pub(crate) fn answer(self, result: Result<Receipt>) -> Logged {
        // One who no longer waits does not mind.
        let _ = self.reply.send(result);
        self.transaction
    }
}

/// Held by the task that works the queue off. When that is stopped with its runtime, in the middle or before
/// it was ever polled, whoever waits is let go, and the next to come starts another.
struct Running {
    shared: Arc<Shared>,
    finished: bool,
}

impl Running {
    async fn run(mut self) {
        self.shared.work_off().await;
        self.finished = true;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.finished {
            let mut queue = self.shared.queue.lock().unwrap_or_else(PoisonError::into_inner);
            queue.waiting.clear();
            queue.running = false;
        }
    }
}

impl Shared {
    /// Hands a transaction in, and starts the task that commits it unless there is one.
    pub(crate) fn enqueue(self: &Arc<Self>, waiting: Waiting) -> Result<()> {
        let start = {
            let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
            if queue.waiting.len() >= self.options.waiting_transactions_max {
                return Err(Error::new(
                    ErrorKind::LimitExceeded,
                    format!(
                        "{} transactions wait for their commit already (waiting_transactions_max)",
                        queue.waiting.len()
                    ),
                ));
            }
            queue.waiting.push_back(waiting);
            !std::mem::replace(&mut queue.running, true)
        };
        if start {
            let running = Running { shared: self.clone(), finished: false };
            self.env.spawn(Box::pin(running.run()));
        }
        Ok(())
    }

    /// About how long an append takes, whether it wins its slot or not.
    pub(super) fn append_time(&self) -> Duration {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.append_time.unwrap_or(APPEND_TIME)
    }

    /// Takes note of how long an append took.
    pub(super) fn took_to_append(&self, time: Duration) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let before = queue.append_time.unwrap_or(time);
        // It is known for less sooner than for more: who takes a hindrance for what is usual pauses for long, appends
        // seldom, and so learns late that it was wrong.
        queue.append_time = Some(((before + time) / 2).min((before * 7 + time) / 8));
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).waiting.len()
    }

    /// As many of those that wait as fit into one entry; `None` when there is nobody, and then the task that
    /// asked is the last.
    pub(super) fn next_batch(&self) -> Option<Vec<Waiting>> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let mut batch = Vec::new();
        let mut room = self.options.entry_bytes_max;
        while let Some(next) = queue.waiting.front() {
            let bytes = next.transaction.writes.bytes();
            if bytes > room && !batch.is_empty() {
                break;
            }
            room = room.saturating_sub(bytes);
            batch.extend(queue.waiting.pop_front());
        }
        if batch.is_empty() {
            queue.running = false;
            return None;
        }
        Some(batch)
    }
}
