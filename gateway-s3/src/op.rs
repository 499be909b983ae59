//! The operations of S3, by subject, on records in a store: without HTTP or XML.

pub(crate) mod acl;
pub(crate) mod action;
pub(crate) mod batch;
pub(crate) mod bucket;
pub(crate) mod caller;
pub(crate) mod changes;
pub(crate) mod conditions;
pub(crate) mod copy;
pub(crate) mod delete;
pub(crate) mod encryption;
pub(crate) mod get;
pub(crate) mod lifecycle;
pub(crate) mod list;
pub(crate) mod list_versions;
pub(crate) mod lock;
pub(crate) mod multipart;
pub(crate) mod object;
pub(crate) mod put;
pub(crate) mod said;
pub(crate) mod settings;
pub(crate) mod tags;

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use prost::Message;
use storage_txn::{At, ErrorKind, Item, Scan, Snapshot, Store, Transaction, Version};
use tokio::sync::Mutex;
use tracing::Instrument;

use crate::Options;
use crate::error::{Code, Error, Result};
use crate::layout::{self, DataId};
use crate::record::{Bucket, Object, decode};

/// How old may be what is only a hint.
const GLIMPSE_AGE_MAX: Duration = Duration::from_secs(60 * 60);

/// What operations work on.
#[derive(Debug, Clone)]
pub(crate) struct Core {
    pub(crate) store: Store,
    pub(crate) options: Arc<Options>,
    turn: Arc<Mutex<()>>,
}

/// When a bucket is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Moment {
    #[default]
    Now,
    /// As of a time, since the Unix epoch.
    Time(Duration),
    /// As of a version of the store.
    Version(u64),
}

/// A bucket as of some moment.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) snapshot: Snapshot,
    pub(crate) bucket: Bucket,
}

/// What can be read from: a transaction, or the past.
#[derive(Debug, Clone, Copy)]
pub(crate) enum View<'a> {
    Inside(&'a Transaction),
    At(&'a Snapshot),
}

impl Core {
    pub(crate) fn new(store: Store, options: Arc<Options>) -> Self {
        Self { store, options, turn: Arc::default() }
    }

    /// The store as of a moment.
    pub(crate) async fn snapshot(&self, moment: Moment) -> Result<Snapshot> {
        let at = match moment {
            Moment::Now if self.options.staleness_max.is_zero() => At::Latest,
            Moment::Now => At::Within(self.options.staleness_max),
            Moment::Time(time) => At::Time(time),
            Moment::Version(version) => At::Version(Version(version)),
        };
        Ok(self.store.snapshot(at).await?)
    }

    /// A bucket as of a moment.
    ///
    /// # Errors
    ///
    /// [`Code::NoSuchBucket`].
    pub(crate) async fn open(&self, name: &str, moment: Moment) -> Result<Opened> {
        let snapshot = self.snapshot(moment).await?;
        let bucket = View::At(&snapshot).bucket(name).await?;
        Ok(Opened { snapshot, bucket })
    }

    /// A bucket as this gateway last saw it, which asks nobody: what others did since is not in it.
    ///
    /// # Errors
    ///
    /// [`Code::NoSuchBucket`].
    pub(crate) async fn glimpse(&self, name: &str) -> Result<Opened> {
        let snapshot = self.store.snapshot(At::Within(GLIMPSE_AGE_MAX)).await?;
        let bucket = View::At(&snapshot).bucket(name).await?;
        Ok(Opened { snapshot, bucket })
    }

    /// Runs `closure` in a transaction and commits it. When nobody knows whether it was committed, it is found out.
    pub(crate) async fn transact<T, F>(&self, closure: impl FnMut(Transaction) -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        Ok(self.transact_at(closure).await?.0)
    }

    /// The same, with the version of the store that came of it. Where many change the same thing at the same time, each commit lets one of them through:
    /// who was not as often as the store tries goes on one after the other. A client is told of a conflict only when it loses
    /// against others than those too.
    pub(crate) async fn transact_at<T, F>(
        &self,
        mut closure: impl FnMut(Transaction) -> F,
    ) -> Result<(T, Version)>
    where
        F: Future<Output = Result<T>>,
    {
        let mut run = |transaction: Transaction| {
            let done = closure(transaction);
            async move {
                done.await.map_err(|error| match error {
                    Error::Store(error) => error,
                    Error::Refused(refusal) => storage_txn::Error::abort(refusal),
                })
            }
        };
        let span = tracing::info_span!(target: crate::SPANS, "commit");
        let settled = async {
            let mut turn = None;
            loop {
                match self.store.transact_settled(&mut run).await {
                    Err(error) if error.kind() == ErrorKind::Conflict && turn.is_none() => {
                        turn = Some(self.turn.lock().await);
                    }
                    done => return done,
                }
            }
        };
        Ok(settled.instrument(span).await?)
    }
}

impl View<'_> {
    pub(crate) async fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        Ok(match self {
            Self::Inside(transaction) => transaction.get(key).await?,
            Self::At(snapshot) => snapshot.get(key).await?,
        })
    }

    /// At most so many keys of a range, in order.
    pub(crate) async fn scan(&self, range: Range<Vec<u8>>, limit: usize) -> Result<Vec<Item>> {
        let scan = Scan::new(range).limit(limit);
        Ok(match self {
            Self::Inside(transaction) => transaction.scan(&scan).await?,
            Self::At(snapshot) => snapshot.scan(&scan).await?.collect().await?,
        })
    }

    /// # Errors
    ///
    /// [`Code::NoSuchBucket`].
    pub(crate) async fn bucket(&self, name: &str) -> Result<Bucket> {
        let record = self.get(&layout::bucket(name)).await?;
        let refusal = || Error::new(Code::NoSuchBucket, format!("there is no bucket {name:?}"));
        decode(record.ok_or_else(refusal)?)
    }

    /// The newest version of an object, if that is not a delete marker.
    pub(crate) async fn object(&self, bucket: &str, key: &str) -> Result<Option<Object>> {
        self.get(&layout::object(bucket, key)).await?.map(decode).transpose()
    }
}

/// The time, in microseconds since the Unix epoch.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// Sixty-four random bits that are not all zero.
///
/// # Errors
///
/// [`Code::InternalError`], where the system has none.
pub(crate) fn random() -> Result<u64> {
    let number = getrandom::u64().map_err(|error| {
        tracing::error!(%error, "the system has no random numbers");
        Error::from(Code::InternalError)
    })?;
    Ok(number.max(1))
}

/// A name for data that nothing else has.
pub(crate) fn new_id() -> Result<DataId> {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&now().to_be_bytes());
    id[8..].copy_from_slice(&random()?.to_be_bytes());
    Ok(id)
}

/// Writes a record.
pub(crate) fn put(transaction: &Transaction, key: &[u8], record: &impl Message) -> Result<()> {
    Ok(transaction.put(key, record.encode_to_vec())?)
}

#[cfg(test)]
mod tests;
