//! The commit loop itself: sort out, append, apply, answer.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join;
use storage_log::planted::planted;
use storage_log::{Appended, CommitLog, Entry, Record};

use crate::commit::batch::{Sorted, cancelled, refuse_all, sort_out};
use crate::commit::{Hands, Waiting};
use crate::flush::Role;
use crate::format::entry::{Batch, Logged};
use crate::shared::Shared;
use crate::state::decode;
use crate::transaction::Receipt;
use crate::turns::yield_now;
use crate::{Error, ErrorKind, Result, Version};

/// How long the loop waits after a failure, at first and at most.
const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Who has had more times its fair share of the slots than this waits no longer for it.
const SHARE_MAX: f64 = 4.0;

/// How often others get their turn, without anybody handing a transaction in, before a batch is closed; and how often
/// at most.
const GATHER_QUIET_YIELDS: usize = 3;
const GATHER_YIELDS_MAX: usize = 64;

/// How far a batch has come.
#[derive(Default)]
struct Progress {
    /// The entry that goes for its slot. Its bytes are kept, and sent again, until that slot is known.
    sent: Option<Sent>,
    /// An answer was lost, and what was sent may stand in the log, or may yet.
    in_doubt: bool,
    /// The end of the log was seen after the batch was handed in.
    fresh: bool,
}

/// An entry, and what its transactions are answered once it is there.
struct Sent {
    entry: Entry,
    /// The version of the first of them.
    first: Version,
    /// In microseconds since the Unix epoch.
    time: u64,
    /// By the monotonic clock, before it was first sent. Its slot was free then, so whoever finds it there knows all
    /// that was committed before.
    since: Duration,
}

impl Shared {
    /// Commits what waits until nothing does.
    pub(super) async fn work_off(self: &Arc<Self>) {
        let mut spent = Vec::new();
        loop {
            if !self.hands_over() {
                self.take_turns().await;
            }
            let Some(mut batch) = self.gather().await else { return };
            // Whoever combines flushes, and so do others should it not.
            let role = if self.hand_over(&mut batch).await { Role::Reader } else { Role::Writer };
            self.commit(batch, &mut spent).await;
            self.flush_if_full(role);
        }
    }

    /// The next batch, once those have come in who are ready to: mostly the ones just answered, who commit again at
    /// once. Without waiting for them the next entry has whoever was fastest, all others stand behind it, and each
    /// commit takes two appends.
    async fn gather(&self) -> Option<Vec<Waiting>> {
        let (mut came, mut quiet) = (self.waiting(), 0);
        for _ in 0..GATHER_YIELDS_MAX {
            yield_now().await;
            let now = self.waiting();
            quiet = if now > came { 0 } else { quiet + 1 };
            if quiet == GATHER_QUIET_YIELDS {
                break;
            }
            came = now;
        }
        self.next_batch()
    }

    /// Where others write too, waits a random while before going for a slot, whoever won the last one: a winner
    /// who does not yield keeps winning, and the others starve. Who has had more than its share of the last slots waits
    /// longer, and who has had none does not wait.
    async fn take_turns(&self) {
        if self.waiting() == 0 {
            return;
        }
        let writer = self.session_id();
        let (others, share) = {
            let state = self.state();
            (state.writers().saturating_sub(1), state.share(writer))
        };
        if others == 0 {
            return;
        }
        let append_time = self.append_time();
        let most = append_time.mul_f64(others as f64 * 2.0 * share.min(SHARE_MAX)).min(PAUSE_MAX);
        let pause = random_part(most, self.env.random());
        self.env.sleep(pause).await;
        if pause > append_time {
            // By now there are most likely entries of others; to ask costs less than to put in vain. When it cannot
            // be told, the append will see.
            let _ = self.catch_up().await;
        }
    }

    /// Commits a batch. In `spent` are transactions that are done with; to take them down takes about as long as to take
    /// them in, so it is done while an append is under way.
    async fn commit(&self, mut batch: Vec<Waiting>, spent: &mut Vec<Logged>) {
        let deadline = self.env.monotonic() + self.options.commit_time_max;
        let mut pause = PAUSE_MIN;
        let mut progress = Progress::default();
        loop {
            let failed = match self.attempt(&mut batch, &mut progress, spent).await {
                Ok(true) => return,
                Ok(false) if self.env.monotonic() < deadline => continue,
                Ok(false) => too_busy(self.options.commit_time_max),
                Err(error) => error,
            };
            let transient = match failed.kind() {
                ErrorKind::Storage(kind) => kind.is_transient(),
                _ => false,
            };
            if self.env.monotonic() >= deadline || !(transient || progress.in_doubt) {
                return give_up(batch, progress.in_doubt, &failed);
            }
            self.env.sleep(pause / 2 + random_part(pause / 2, self.env.random())).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// Goes for the next slot once. Whether the batch is done.
    ///
    /// # Errors
    ///
    /// When it could not be done, or not be told whether it was. The same bytes are sent again then, and never
    /// another entry to the slot after them.
    async fn attempt(
        &self,
        batch: &mut Vec<Waiting>,
        progress: &mut Progress,
        spent: &mut Vec<Logged>,
    ) -> Result<bool> {
        let next = self.state().head.slot.next();
        let current = match progress.sent.take_if(|sent| sent.entry.slot() == next) {
            Some(sent) => sent,
            None => match self.prepare(batch, progress).await? {
                Some(sent) => sent,
                None => return Ok(batch.is_empty()),
            },
        };
        let start = self.env.monotonic();
        let record = Record::from(&current.entry);
        // What can be made of the entry is made while it is on its way: whoever waits for it does not wait for that too.
        let meanwhile = async {
            spent.clear();
            record.body().map(|body| decode(record.slot(), body)).transpose()
        };
        let (appended, decoded) = join(self.log.append(&current.entry), meanwhile).await;
        if appended.is_ok() {
            self.took_to_append(self.env.monotonic().saturating_sub(start));
        }
        match appended {
            Ok(Appended::Ours) => {
                // First known, then said: whoever is told reads it from this handle at once.
                let advanced = decoded.and_then(|decoded| self.advance_with(&record, decoded));
                self.arrivals.asked_at(current.since);
                self.counts.entries.one();
                self.counts.entry_bytes.add(current.entry.bytes().len() as u64);
                self.counts.commits.add(batch.len() as u64);
                acknowledge(std::mem::take(batch), &current, spent);
                advanced?;
                Ok(true)
            }
            Ok(Appended::Taken(record)) => {
                self.counts.slots_lost.one();
                progress.in_doubt = false;
                self.take_in(&record).await?;
                // There may be more by now; whoever stays behind loses again and again.
                self.catch_up().await?;
                progress.fresh = true;
                Ok(false)
            }
            Ok(Appended::Unknown(error)) => {
                progress.sent = (!planted("commit-other-bytes-in-doubt")).then_some(current);
                progress.in_doubt = true;
                Err(error.into())
            }
            Err(error) => {
                progress.sent = Some(current);
                Err(error.into())
            }
        }
    }

    /// Sorts the batch out at the head and frames what is left of it; `None` when nothing is, or when it must
    /// be sorted out again.
    async fn prepare(
        &self,
        batch: &mut Vec<Waiting>,
        progress: &mut Progress,
    ) -> Result<Option<Sent>> {
        progress.sent = None;
        if progress.in_doubt {
            // The slot of what was sent has been read by somebody. Had we won it, its transactions are in the
            // log and are found by their ids.
            batch.iter_mut().for_each(|waiting| waiting.repeated = true);
        }
        let (view, version) = {
            let state = self.state();
            (state.view.clone(), state.version)
        };
        let sorted = if planted("commit-does-not-validate-again") && progress.fresh {
            Sorted::Ready
        } else {
            match sort_out(batch, &view, version, progress.fresh).await {
                // Others have packed away what is known here while it was looked at.
                Err(error) if error.kind() == ErrorKind::SnapshotExpired => Sorted::LookAgain,
                sorted => sorted?,
            }
        };
        progress.in_doubt = false;
        if sorted == Sorted::LookAgain {
            self.catch_up().await?;
            progress.fresh = true;
            return Ok(None);
        }
        if let Some(why) = self.read_only(&view.system) {
            refuse_all(batch, &why, !self.is_replica);
        }
        if batch.is_empty() {
            return Ok(None);
        }
        Ok(self.frame(batch, version))
    }

    /// The entry for a batch that was sorted out at `version`, if that is still the head.
    fn frame(&self, batch: &[Waiting], version: Version) -> Option<Sent> {
        // Who begins a transaction does not wait for all of this. Should the head move on meanwhile, the slot is found
        // taken.
        let (head, at_least) = {
            let state = self.state();
            if state.version != version {
                return None;
            }
            (state.head, state.time)
        };
        let first = Version(version.0 + 1);
        let time = match planted("commit-time-goes-back") {
            true => self.wall_micros(),
            false => at_least.max(self.wall_micros()),
        };
        let body = Batch::encode(first, time, batch.iter().map(|waiting| &waiting.transaction));
        let mut nonce = [0; 16];
        nonce[..8].copy_from_slice(&self.session_id().to_le_bytes());
        nonce[8..].copy_from_slice(&self.env.random().to_le_bytes());
        let entry = Entry::new(self.log.id(), head, nonce, &body);
        Some(Sent { entry, first, time, since: self.env.monotonic() })
    }
}

fn acknowledge(mut batch: Vec<Waiting>, committed: &Sent, spent: &mut Vec<Logged>) {
    if planted("commit-answers-are-mixed-up") {
        batch.reverse();
    }
    for (at, waiting) in batch.into_iter().enumerate() {
        let id = waiting.transaction.id;
        if waiting.transaction.cancelled {
            let mut waiting = waiting;
            let why = waiting.refused.take().unwrap_or_else(|| cancelled(id));
            spent.push(waiting.answer(Err(why)));
            continue;
        }
        let receipt = Receipt {
            value: (),
            version: match planted("commit-receipt-of-the-batch") {
                true => committed.first,
                false => Version(committed.first.0 + at as u64),
            },
            transaction_id: id,
            time: Duration::from_micros(committed.time),
        };
        spent.push(waiting.answer(Ok(receipt)));
    }
}

fn give_up(batch: Vec<Waiting>, unknown: bool, failed: &Error) {
    for waiting in batch {
        let id = waiting.transaction.id;
        let unknown = unknown || waiting.hands == Hands::Elsewhere;
        let error = if unknown && !planted("commit-unknown-is-failed") {
            Error::new(
                ErrorKind::CommitUnknown(id),
                format!("nobody knows whether transaction {id} was committed: {failed}"),
            )
        } else {
            failed.shared()
        };
        drop(waiting.answer(Err(error)));
    }
}

fn too_busy(time: Duration) -> Error {
    Error::new(
        ErrorKind::Storage(storage_core::ErrorKind::Throttled),
        format!("others were faster at every slot of the log for {time:?} (commit_time_max)"),
    )
}

/// From nothing to all of it.
fn random_part(most: Duration, random: u64) -> Duration {
    most.mul_f64((random >> 11) as f64 / (1_u64 << 53) as f64)
}
