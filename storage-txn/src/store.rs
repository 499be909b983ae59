//! A store: an ordered map with transactions and history.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_channel::oneshot;
use storage_core::{Env, Key, Prefix};
use storage_log::LogId;
use storage_log::planted::planted;

use crate::commit::{Hands, Waiting};
use crate::commits::version_at;
use crate::format::entry::Logged;
use crate::reads::Reads;
use crate::renew::check_kept;
use crate::shared::Shared;
use crate::snapshot::Snapshot;
use crate::state::version_of;
use crate::transaction::{Receipt, Transaction};
use crate::writes::Writes;
use crate::{Error, ErrorKind, Options, Place, Result, TransactionId, Version, space};

/// An ordered map from keys (any bytes, up to [`KEY_BYTES_MAX`](crate::KEY_BYTES_MAX)) to values, in which
/// every transaction leaves a version. Any number of processes may open the same store and write, with no
/// server between them.
///
/// A handle is cheap to clone. It makes no request while it is not used.
#[derive(Debug, Clone)]
pub struct Store {
    pub(crate) shared: Arc<Shared>,
}

/// Which version to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum At {
    /// Everything that was committed before the call, by anybody. Costs a request, which all who ask at the
    /// same time share.
    Latest,
    /// What this handle knows: everything it has committed or read. Costs no request.
    Known,
    /// Everything that was committed longer ago than this, by anybody. Costs no request when this handle has looked, or
    /// committed something, since then; otherwise as [`Latest`](Self::Latest). The time is that of a clock that may
    /// stand still while the machine sleeps.
    Within(Duration),
    /// This version.
    Version(Version),
    /// The last version that was committed at this time, since the Unix epoch, or before; 0 when there is none. Costs
    /// a request only for a time that is not before the last commit this handle knows. Of a time that is still to
    /// come, the answer may change.
    Time(Duration),
}

/// What became of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was committed, with this version.
    Committed(Version),
    /// It was not, and never will be.
    NotCommitted,
}

impl Store {
    /// Makes a store where there is none, and opens it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::StoreExists`], and those of [`open`](Self::open).
    pub async fn init(
        place: impl Into<Place>,
        env: Arc<dyn Env>,
        options: Options,
    ) -> Result<Self> {
        let place = place.into();
        let mut id = [0; 16];
        id[..8].copy_from_slice(&env.random().to_le_bytes());
        id[8..].copy_from_slice(&env.random().to_le_bytes());
        let token = match place.is_quorum() {
            true => u128::from(env.random()) << 64 | u128::from(env.random()),
            false => 0,
        };
        place.make(LogId(id), token).await?;
        Self::open(place, env, options).await
    }

    /// Opens the store that is there.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoStore`], [`ErrorKind::UnknownFormat`], [`ErrorKind::Corrupt`], [`ErrorKind::Storage`]
    /// (also of a provider that cannot put on condition that the key is absent; [`Misconfigured`] where the log of the
    /// store is not what the place says); [`ErrorKind::SessionReaped`] when it
    /// had to make the index anew and slept over that for so long that it was taken for dead: open it again.
    ///
    /// [`Misconfigured`]: storage_core::ErrorKind::Misconfigured
    pub async fn open(
        place: impl Into<Place>,
        env: Arc<dyn Env>,
        options: Options,
    ) -> Result<Self> {
        let shared = crate::open::open(&place.into(), env, options).await?;
        Ok(Self { shared })
    }

    /// Runs `closure` on a transaction and commits it; again, on a new transaction, when what it read has
    /// changed meanwhile, when the version that it reads is no longer kept, and when what it has uploaded was lost as
    /// the session of this handle was reaped. Whatever else the closure does must bear being done more than once.
    ///
    /// A large value that the closure puts, from memory or from a stream, is uploaded anew each time. To upload it
    /// once, do it [before](Self::upload) and [put the value](Transaction::put_value) in the closure.
    ///
    /// # Errors
    ///
    /// Those of [`Transaction::commit`]; [`ErrorKind::Conflict`] only after
    /// [`transact_attempts_max`](Options::transact_attempts_max) attempts. Those of the closure, with nothing
    /// done: when what it had read was outdated it is run again instead, so that it never fails because of
    /// something that was not so.
    ///
    /// # Examples
    ///
    /// A value that is uploaded once, however often others are faster:
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use bytes::Bytes;
    /// # use futures_util::stream;
    /// # use storage_txn::{Options, Store};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), storage_txn::Error> {
    /// # let provider = Arc::new(backend_memory::MemoryProvider::new());
    /// # let env = Arc::new(storage_wrappers::TokioEnv::new());
    /// # let store = Store::init(provider, env, Options::default()).await?;
    /// let film = stream::iter([Ok::<_, std::io::Error>(Bytes::from(vec![7; 1_000_000]))]);
    /// let film = store.upload(film).await?;
    /// let added = store.transact(async |tx| {
    ///     let number = tx.scan(&storage_txn::Scan::new("film/".."film0")).await?.len();
    ///     tx.put_value(format!("film/{number}"), &film)?;
    ///     Ok(number)
    /// });
    /// assert_eq!(added.await?.value, 0);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn transact<T, F>(
        &self,
        mut closure: impl FnMut(Transaction) -> F,
    ) -> Result<Receipt<T>>
    where
        F: Future<Output = Result<T>>,
    {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let session = self.shared.session_id();
            let transaction = self.begin();
            let version = transaction.read_version();
            let result = closure(transaction.clone()).await;
            let more = attempt < self.shared.options.transact_attempts_max;
            let conflict = |error: &Error| {
                more && (error.kind() == ErrorKind::Conflict
                    || self.passes(error, version, session))
            };
            let value = match result {
                Ok(value) => value,
                // It decided to give up on what it read: only right if that still is so.
                Err(error) if error.kind() == ErrorKind::Aborted => match transaction.check().await
                {
                    Err(outdated) if conflict(&outdated) => {
                        transaction.discard().await;
                        continue;
                    }
                    checked => {
                        transaction.discard().await;
                        return Err(checked.err().unwrap_or(error));
                    }
                },
                Err(error) => {
                    transaction.discard().await;
                    if more && self.passes(&error, version, session) {
                        continue;
                    }
                    return Err(error);
                }
            };
            match transaction.commit().await {
                Ok(Receipt { version, transaction_id, time, .. }) => {
                    return Ok(Receipt { value, version, transaction_id, time });
                }
                Err(error) if conflict(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Begins a transaction on what this handle knows. Makes no request: if that was outdated in something the
    /// transaction reads, its commit says [`ErrorKind::Conflict`].
    #[must_use]
    pub fn begin(&self) -> Transaction {
        Transaction::new(self.shared.clone(), self.new_id())
    }

    /// The store at a version, to read.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoSuchVersion`], [`ErrorKind::SnapshotExpired`], [`ErrorKind::Corrupt`],
    /// [`ErrorKind::Storage`].
    pub async fn snapshot(&self, at: At) -> Result<Snapshot> {
        let known = |shared: &Arc<Shared>| {
            let state = shared.state();
            (state.view.clone(), state.version)
        };
        let (view, version) = match at {
            At::Known => known(&self.shared),
            At::Latest => {
                if !planted("latest-is-what-is-known") {
                    self.shared.refresh().await?;
                }
                known(&self.shared)
            }
            At::Within(age) => {
                let asked = self.shared.arrivals.asked();
                let now = self.shared.env.monotonic();
                if asked.is_none_or(|asked| now.saturating_sub(asked) > age) {
                    self.shared.refresh().await?;
                }
                known(&self.shared)
            }
            At::Version(version) => {
                let (mut view, mut last) = known(&self.shared);
                if version > last {
                    self.shared.refresh().await?;
                    (view, last) = known(&self.shared);
                }
                if version > last {
                    return Err(Error::new(
                        ErrorKind::NoSuchVersion,
                        format!("the last version is {last}, and not yet {version}"),
                    ));
                }
                (view, if planted("past-snapshot-is-the-present") { last } else { version })
            }
            At::Time(time) => {
                // Times never decrease, so only what is as late can still be missing.
                if Duration::from_micros(self.shared.state().time) <= time {
                    self.shared.refresh().await?;
                }
                let (view, last) = known(&self.shared);
                let version = version_at(&view, last, time).await?;
                (view, version)
            }
        };
        check_kept(&view, version)?;
        Ok(Snapshot { view, version, shared: self.shared.clone() })
    }

    /// Puts everything that is in memory into segments, and writes a checkpoint, so that the next to open the store
    /// need not read the log from further back. Done in the background too, every
    /// [`flush_bytes`](Options::flush_bytes). Costs nothing when nothing was committed since the last time. Segments that
    /// come of this are merged in the background by a handle that has flushed in the background before, after the next such
    /// flush of another, or by [`compact`](Self::compact).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Storage`], [`ErrorKind::Corrupt`], [`ErrorKind::Conflict`] when other processes were always
    /// faster, [`ErrorKind::CommitUnknown`]. Nothing is lost by any of them.
    pub async fn flush(&self) -> Result<()> {
        self.shared.flush().await
    }

    /// Why what this handle last did in the background failed; `None` if it did not. The store can still be read
    /// and written then, but takes ever more memory and ever longer to open.
    #[must_use]
    pub fn maintenance_error(&self) -> Option<Error> {
        self.shared.maintenance_error()
    }

    /// Why the store takes no writes, as it is a copy or is sealed; `None` if it takes them. As far as this handle has read the
    /// log: nobody is asked.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> storage_txn::Result<()> {
    /// # let provider = std::sync::Arc::new(backend_memory::MemoryProvider::new());
    /// # let env = std::sync::Arc::new(storage_wrappers::TokioEnv::new());
    /// # storage_txn::Store::init(provider.clone(), env.clone(), storage_txn::Options::default()).await?;
    /// let store = storage_txn::Store::open(provider, env, storage_txn::Options::default()).await?;
    /// assert!(store.read_only().is_none());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn read_only(&self) -> Option<Error> {
        self.shared.check_writable().err()
    }

    /// Finds out what became of a transaction, for good: one that was not committed by now is shut out, so that
    /// it never will be. Takes a commit of its own when it was not.
    ///
    /// # Errors
    ///
    /// Those of [`Transaction::commit`], but neither conflict nor failed precondition.
    pub async fn outcome(&self, id: TransactionId) -> Result<Outcome> {
        if planted("outcome-only-reads") {
            self.shared.refresh().await?;
            let (view, version) = {
                let state = self.shared.state();
                (state.view.clone(), state.version)
            };
            let found = view.get(&space::id(id), version).await?;
            let found = found.map(|(_, found)| version_of(&found, id)).transpose()?;
            return Ok(found.map_or(Outcome::NotCommitted, Outcome::Committed));
        }
        let (reply, answer) = oneshot::channel();
        self.shared.enqueue(Waiting {
            transaction: Logged {
                id,
                author: String::new(),
                message: String::new(),
                cancelled: true,
                writes: Writes::default(),
            },
            reads: Reads::default(),
            read_at: Version::ZERO,
            required: Vec::new(),
            sessions: BTreeSet::new(),
            repeated: true,
            hands: Hands::Own,
            refused: None,
            reply,
        })?;
        let answer = answer.await.unwrap_or_else(|oneshot::Canceled| {
            Err(Error::new(
                ErrorKind::CommitUnknown(id),
                "the task that was to find out was stopped",
            ))
        });
        match answer {
            Ok(receipt) => Ok(Outcome::Committed(receipt.version)),
            Err(error) if error.kind() == ErrorKind::Cancelled => Ok(Outcome::NotCommitted),
            Err(error) => Err(error),
        }
    }

    /// Whether what went wrong with a transaction that began at this version and in this session need not with the
    /// next one.
    fn passes(&self, error: &Error, version: Version, session: u64) -> bool {
        match error.kind() {
            ErrorKind::SnapshotExpired => {
                let system = self.shared.state().view.system.clone();
                system.keeps(version).is_ok_and(|kept| !kept)
            }
            ErrorKind::SessionReaped => self.shared.session_id() != session,
            _ => false,
        }
    }

    fn new_id(&self) -> TransactionId {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&self.shared.env.random().to_le_bytes());
        id[8..].copy_from_slice(&self.shared.env.random().to_le_bytes());
        TransactionId(id)
    }
}

pub(crate) fn format_key() -> Result<Key> {
    key("format")
}

pub(crate) fn key(name: impl AsRef<str>) -> Result<Key> {
    Key::new(name).map_err(|problem| Error::corrupt(format!("a name that is no key: {problem}")))
}

pub(crate) fn prefix(name: &str) -> Result<Prefix> {
    Prefix::new(name)
        .map_err(|problem| Error::corrupt(format!("a name that is no prefix: {problem}")))
}
