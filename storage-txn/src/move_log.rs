//! Moving the log of a store to another place, while the store is used: from one provider to a quorum, and back.

use std::sync::Arc;
use std::time::Duration;

use storage_core::{
    ErrorKind as StorageErrorKind, Key, PutIf, StorageProvider, StorageProviderExt,
};
use storage_log::quorum::CopyProgress;
use storage_log::{Appended, CommitLog, Entry, Head, Record, Slot, copy_log, last_record};

use crate::format::moved::Moved;
use crate::format::root::LogAt;
use crate::shared::Shared;
use crate::store::key;
use crate::store_log::Leg;
use crate::{Error, ErrorKind, Result, Store};

/// So many entries are left to be copied afterwards, while nothing can be committed.
const LEFT_MAX: u64 = 4;
/// How long to wait after a failure.
const PAUSE: Duration = Duration::from_millis(50);

/// Where a log is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogTarget {
    /// On the provider of the objects, which has to be able to put on condition that the key is absent.
    Objects,
    /// On a quorum of these voters, an odd number of at least three. Numbers are of the voters as the [`Place`](crate::Place)
    /// names them, and after them of its [spares](crate::Place::with_spares).
    Voters(Vec<usize>),
}

impl Store {
    /// Moves the log to another place while the store is used, by whatever processes; says whether there was anything to do.
    /// `tell` is told how far the log was copied there, by slots.
    ///
    /// Handles that are open go on by themselves where their [`Place`](crate::Place) has the providers: name those that
    /// are to vote as [spares](crate::Place::with_spares) wherever the store is used, before the log is moved to them. Others are refused with
    /// [`Misconfigured`](storage_core::ErrorKind::Misconfigured) from then on.
    ///
    /// Everything is copied first, which takes one put after the other; then comes the entry that moves the log, what was
    /// appended meanwhile is copied, and from then on it is appended there. Stopped anywhere, the log is where it was or where it
    /// is to be, and the next who commits finishes what is missing; the same call again does the rest. What the log has left
    /// stays as it is, and is needed until every handle was opened anew that was open before.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Storage`]: [`Misconfigured`](storage_core::ErrorKind::Misconfigured) for what cannot be the voters of this
    /// log, [`Unsupported`](storage_core::ErrorKind::Unsupported) where the provider of the objects cannot keep it,
    /// [`Throttled`](storage_core::ErrorKind::Throttled) when others were faster at every slot, and what providers fail with;
    /// [`ErrorKind::Conflict`] when somebody else has moved it elsewhere meanwhile; [`ErrorKind::ReadOnly`]. After an error
    /// the log may be moved all the same.
    ///
    /// # Panics
    ///
    /// If the place names no provider of a number.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    /// use backend_memory::MemoryProvider;
    /// use storage_core::StorageProvider;
    /// use storage_txn::{LogTarget, Options, Place, Store};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), storage_txn::Error> {
    /// # let env = Arc::new(storage_wrappers::TokioEnv::new());
    ///
    /// let cloud = || Arc::new(MemoryProvider::new()) as Arc<dyn StorageProvider>;
    /// let place = Place::from(cloud()).with_spares([cloud(), cloud(), cloud()]);
    /// let store = Store::init(place, env, Options::default()).await?;
    /// store.transact(async |tx| tx.put("a", "1")).await?;
    /// assert!(store.move_log(&LogTarget::Voters(vec![0, 1, 2]), &|_| ()).await?);
    /// store.transact(async |tx| tx.put("a", "2")).await?;
    /// assert_eq!(store.info().await?.voters.len(), 3);
    /// assert!(store.move_log(&LogTarget::Objects, &|_| ()).await?);
    /// assert!(!store.move_log(&LogTarget::Objects, &|_| ()).await?, "it is there");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn move_log(
        &self,
        target: &LogTarget,
        tell: &(dyn Fn(CopyProgress) + Send + Sync),
    ) -> Result<bool> {
        let shared = &self.shared;
        // Where it is, and all that somebody else has begun.
        shared.refresh().await?;
        shared.log.finish(&|_| ()).await?;
        shared.refresh().await?;
        shared.check_writable()?;
        let from = shared.log.leg();
        if is_at(&from, target).await? {
            shared.settle_move(target).await?;
            return Ok(false);
        }
        let to = shared.prepare_move(&from, target).await?;
        shared.copy_ahead(&from, &to, tell).await?;
        shared.commit_move(&from, to.at).await?;
        let last = shared.state().head.slot.0;
        shared.log.finish(&|slot| tell(CopyProgress { copied: slot.0, decided: last })).await?;
        shared.settle_move(target).await?;
        Ok(true)
    }
}

/// Whether the log is there already.
async fn is_at(leg: &Leg, target: &LogTarget) -> Result<bool> {
    match (target, &leg.quorum) {
        (LogTarget::Objects, quorum) => Ok(quorum.is_none()),
        (LogTarget::Voters(_), None) => Ok(false),
        (LogTarget::Voters(voters), Some(quorum)) => Ok(quorum.votes_on(voters).await?),
    }
}

impl Shared {
    /// The place that the log is to move to: one that somebody else has begun to copy it to from here, if there is one, or
    /// a new one.
    async fn prepare_move(&self, from: &Leg, target: &LogTarget) -> Result<Leg> {
        let (id, env) = (self.log.id(), &self.env);
        let objects = &self.place.objects;
        let begun = objects.try_get(&moving_key()?).await?;
        let begun = begun.and_then(|object| Moved::parse(&object.body));
        if let Some(begun) = begun.filter(|begun| begun.from == from.at) {
            // Providers of the same names may be others: only those that were prepared will do.
            match self.place.leg(id, begun.to, env).await {
                Ok(leg) => {
                    if is_at(&leg, target).await? {
                        return Ok(leg);
                    }
                }
                Err(error) if error.kind() == MISCONFIGURED => {}
                Err(error) => return Err(error),
            }
        }
        let token = u128::from(env.random()) << 64 | u128::from(env.random());
        let at = self.place.make_leg(self.log.root(), target, token).await?;
        let leg = self.place.leg(id, at, env).await?;
        let text = Moved { from: from.at, to: at }.to_text();
        objects.put(&moving_key()?, text, PutIf::Always).await?;
        Ok(leg)
    }

    /// Copies what there is while others go on, so that little is left to do once it is moved.
    async fn copy_ahead(
        self: &Arc<Self>,
        from: &Arc<Leg>,
        to: &Leg,
        tell: &(dyn Fn(CopyProgress) + Send + Sync),
    ) -> Result<()> {
        let mut last = self.state().head.slot;
        let mut head = match last_record(&*to.log, Slot(0), last).await? {
            Some(record) => Head { slot: record.slot(), id: record.id() },
            None => Head::genesis(self.log.id()),
        };
        loop {
            let (decided, copied) = (last.0, last.0 - head.slot.0);
            let tell = |slot: Slot| tell(CopyProgress { copied: slot.0, decided });
            head = copy_log(&*from.log, &*to.log, head, last, &tell).await?;
            self.refresh().await?;
            // Whoever has moved it elsewhere meanwhile is found out when it is moved.
            if !self.log.is_still_at(from) {
                return Ok(());
            }
            last = self.state().head.slot;
            // Where as many come as are copied, the rest has to wait until none do.
            let left = last.0 - head.slot.0;
            if left <= LEFT_MAX || left > copied / 2 {
                return Ok(());
            }
        }
    }

    /// Appends the entry that moves the log.
    async fn commit_move(&self, from: &Arc<Leg>, to: LogAt) -> Result<()> {
        let deadline = self.env.monotonic() + self.options.commit_time_max;
        let mut sent: Option<Entry> = None;
        let mut in_doubt = false;
        loop {
            self.check_writable()?;
            if !self.log.is_still_at(from) {
                return Err(Error::new(
                    ErrorKind::Conflict,
                    "somebody else has moved the log meanwhile: look where it is, and decide again",
                ));
            }
            let next = self.state().head.slot.next();
            let entry = match sent.take().filter(|sent| sent.slot() == next) {
                Some(sent) => sent,
                None => self.frame_move(Moved { from: from.at, to }),
            };
            let failed = match self.log.append_move(from, to, &entry).await {
                Ok(Appended::Ours) => return self.take_in(&Record::from(&entry)).await,
                Ok(Appended::Taken(record)) => {
                    in_doubt = false;
                    self.take_in(&record).await?;
                    // There may be more by now; whoever stays behind loses again and again.
                    self.catch_up().await?;
                    if self.env.monotonic() < deadline {
                        continue;
                    }
                    let message = "others were faster at every slot of the log (commit_time_max)";
                    return Err(Error::new(THROTTLED, message));
                }
                Ok(Appended::Unknown(error)) => {
                    in_doubt = true;
                    Error::from(error)
                }
                Err(error) => Error::from(error),
            };
            let is_transient =
                matches!(failed.kind(), ErrorKind::Storage(kind) if kind.is_transient());
            if self.env.monotonic() >= deadline || !(is_transient || in_doubt) {
                return Err(match in_doubt {
                    true => Error::new(
                        failed.kind(),
                        format!("nobody knows whether the log was moved; do it again: {failed}"),
                    ),
                    false => failed,
                });
            }
            sent = Some(entry);
            self.env.sleep(PAUSE).await;
        }
    }

    /// The entry that says so, after the last that is known.
    fn frame_move(&self, moved: Moved) -> Entry {
        let (head, version, time) = {
            let state = self.state();
            (state.head, state.version, state.time)
        };
        let next = crate::Version(version.0 + 1);
        let body = moved.encode(next, time.max(self.wall_micros()));
        let mut nonce = [0; 16];
        nonce[..8].copy_from_slice(&self.session_id().to_le_bytes());
        nonce[8..].copy_from_slice(&self.env.random().to_le_bytes());
        Entry::moving(self.log.id(), head, nonce, &body)
    }

    /// Says where the log is to who opens the store, and on those who vote.
    async fn settle_move(&self, target: &LogTarget) -> Result<()> {
        if let LogTarget::Voters(voters) = target {
            self.place.name_log_on(voters, self.log.root()).await?;
        }
        self.log.tell_where().await?;
        self.place.objects.delete(&moving_key()?).await?;
        Ok(())
    }
}

const MISCONFIGURED: ErrorKind = ErrorKind::Storage(StorageErrorKind::Misconfigured);
const THROTTLED: ErrorKind = ErrorKind::Storage(StorageErrorKind::Throttled);

/// Where it is written down that a move is being prepared: only so that what was copied is not copied again.
fn moving_key() -> Result<Key> {
    key("moving")
}
