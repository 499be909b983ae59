//! Watching a store: every commit, as it comes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_channel::oneshot;
use futures_util::future::select;

use crate::changes::{Changes, CommitChanges};
use crate::shared::Shared;
use crate::snapshot::Snapshot;
use crate::{Error, ErrorKind, Result, Store, Version};

/// Every commit from a version on, in order, without gap or repeat, for as long as one asks.
///
/// What this handle commits or reads is passed on at once. What others commit is found by asking for the next entry
/// of the log: after a pause that starts at [`watch_pause_min`](crate::Options::watch_pause_min), doubles each time
/// nothing is found, and ends at [`watch_pause_max`](crate::Options::watch_pause_max). All watches of a handle
/// share these requests. A watch that nobody waits for makes none.
#[derive(Debug)]
pub struct Watch {
    shared: Arc<Shared>,
    ready: Option<Changes>,
    seen: Version,
    maintenance: bool,
    pause: Duration,
    /// When it asked last, by the monotonic clock.
    asked: Option<Duration>,
}

impl Watch {
    /// The next commit; waits for it. Commits that change no key are passed over, unless
    /// [asked for](Self::with_maintenance).
    ///
    /// May be dropped at any time, as by a time limit around it: the next call goes on where the last one that
    /// finished ended.
    ///
    /// # Errors
    ///
    /// The watch stays where it is, and calling again is right for those that pass:
    /// [`ErrorKind::NoSuchVersion`] when the store has not yet come to the version it watches from,
    /// [`ErrorKind::SnapshotExpired`] when it has fallen so far behind that commits are no longer kept,
    /// [`ErrorKind::Corrupt`], [`ErrorKind::Storage`].
    pub async fn next(&mut self) -> Result<CommitChanges> {
        loop {
            if let Some(changes) = &mut self.ready {
                let next = changes.next().await?;
                self.seen = changes.read();
                match next {
                    Some(next) => {
                        self.pause = self.shared.options.watch_pause_min;
                        return Ok(next);
                    }
                    None => self.ready = None,
                }
            }
            self.ready = Some(self.more().await?);
        }
    }

    /// Also gives commits that change no key: see [`Commit::changes_keys`](crate::Commit::changes_keys).
    #[must_use]
    pub fn with_maintenance(mut self) -> Self {
        self.maintenance = true;
        self
    }

    /// The version up to which everything has been seen: where another watch is to go on from, in this process or
    /// after it. Keep it where what was made of the commits is kept, in the same transaction if that is a store.
    #[must_use]
    pub fn seen(&self) -> Version {
        self.seen
    }

    /// Waits until there are commits after those seen.
    async fn more(&mut self) -> Result<Changes> {
        loop {
            // Before looking, so that nothing comes in between unnoticed.
            let arrival = self.shared.arrivals.next();
            let (view, version) = {
                let state = self.shared.state();
                (state.view.clone(), state.version)
            };
            if version > self.seen {
                let changes = Snapshot { view, version, shared: self.shared.clone() };
                let changes = changes.changes(self.seen).await?;
                return Ok(if self.maintenance { changes.with_maintenance() } else { changes });
            }
            let now = self.shared.env.monotonic();
            let last = self.asked.max(self.shared.arrivals.asked());
            let due = last.map_or(now, |last| last + self.pause);
            if now < due {
                select(arrival, self.shared.env.sleep(due - now)).await;
                continue;
            }
            self.asked = Some(now);
            self.pause = (self.pause * 2).min(self.shared.options.watch_pause_max);
            self.shared.refresh().await?;
            let last = self.shared.state().version;
            if last < self.seen {
                return Err(Error::new(
                    ErrorKind::NoSuchVersion,
                    format!("the last version is {last}, and not yet {}", self.seen),
                ));
            }
        }
    }
}

impl Store {
    /// Every commit after the version `since`, for as long as one asks: those that are there, and then each as it
    /// comes. Makes no request itself.
    ///
    /// Where commits after `since` were [packed away](Self::pack) the first one that is asked for is
    /// [`ErrorKind::SnapshotExpired`]: none is passed over.
    ///
    /// To go on where an earlier watch ended, hand in what it had [seen](Watch::seen); to miss nothing after
    /// reading a snapshot, its version.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use storage_txn::{Options, Store, Version};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), storage_txn::Error> {
    /// # let provider = Arc::new(backend_memory::MemoryProvider::new());
    /// # let env = Arc::new(storage_wrappers::TokioEnv::new());
    /// # let store = Store::init(provider.clone(), env.clone(), Options::default()).await?;
    /// # let other = Store::open(provider, env, Options::default()).await?;
    /// let mut watch = store.watch(Version::ZERO);
    /// let writer = tokio::spawn(async move { other.transact(async |tx| tx.put("a", "1")).await });
    /// let changes = watch.next().await?;
    /// assert_eq!(changes.commit().keys, ["a"]);
    /// assert_eq!(watch.seen(), changes.commit().version);
    /// # writer.await.expect("it does not panic")?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn watch(&self, since: Version) -> Watch {
        Watch {
            shared: self.shared.clone(),
            ready: None,
            seen: since,
            maintenance: false,
            pause: self.shared.options.watch_pause_min,
            asked: None,
        }
    }
}

/// Tells those who wait that a handle has learnt of new entries of the log.
#[derive(Debug, Default)]
pub(crate) struct Arrivals {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    waiting: Vec<oneshot::Sender<()>>,
    asked: Option<Duration>,
}

impl Arrivals {
    /// Ends when the next entry has been taken in.
    fn next(&self) -> oneshot::Receiver<()> {
        let (sender, receiver) = oneshot::channel();
        let mut inner = self.inner();
        inner.waiting.retain(|waiting| !waiting.is_canceled());
        inner.waiting.push(sender);
        receiver
    }

    /// Everything committed before this time, by the monotonic clock, is known: the log was read to its end since,
    /// or appended to.
    pub(crate) fn asked(&self) -> Option<Duration> {
        self.inner().asked
    }

    /// An entry has been taken in.
    pub(crate) fn arrived(&self) {
        let waiting = std::mem::take(&mut self.inner().waiting);
        for sender in waiting {
            // One who no longer waits does not mind.
            let _ = sender.send(());
        }
    }

    /// The log is known up to its end as it was then, or later.
    pub(crate) fn asked_at(&self, time: Duration) {
        let mut inner = self.inner();
        inner.asked = inner.asked.max(Some(time));
    }

    // Nothing that holds the lock can panic.
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
