//! Handing transactions to another handle on the same store, so that both share its entries; and taking those of others.
//!
//! It saves requests and never decides anything: whatever another handle says, a transaction is told as committed when
//! this one has read it in the log, and told as refused when the log can no longer get it.

mod hand;
mod take;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use crate::format::combine as format;
use crate::shared::Shared;
use crate::{Error, ErrorKind, Result, Store};

/// The most bytes of a message from one handle to another. What would be larger is not handed over.
pub const COMBINE_BYTES_MAX: usize = 8 << 20;
/// The fewest bytes of a secret.
const SECRET_BYTES_MIN: usize = 16;

/// Carries messages to a handle on the same store, usually one of another process: what
/// [`Store::combine_through`] hands transactions to.
#[async_trait]
pub trait Combiner: fmt::Debug + Send + Sync + 'static {
    /// Brings the other handle a message, at most [`COMBINE_BYTES_MAX`] bytes, and returns what its [`Store::combine`]
    /// returned. Makes one attempt, and may be dropped at any time. Waiting is bounded by
    /// [`combiner_time_max`](crate::Options::combiner_time_max).
    ///
    /// # Errors
    ///
    /// One that [has not been applied](storage_core::Effect::NotApplied) says that the message has not reached the other
    /// handle and never will, so that nothing is in doubt. Where that is not certain, the effect is unknown.
    async fn exchange(&self, message: Bytes) -> storage_core::Result<Bytes>;

    /// Is told when it begins to be used, and when it is not used any more. Not to block.
    fn changed(&self, now: &Combining);
}

/// Whether a handle hands what it would commit to another.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Combining {
    /// It does.
    Through,
    /// It commits by itself, for this reason, and asks the other again later.
    Alone(String),
    /// What it was to hand transactions to is itself: it is the one that takes those of others.
    Itself,
}

/// What handles have in common that take transactions from each other: made of a secret, the same for all of them.
#[derive(Clone, PartialEq, Eq)]
pub struct CombineKey(format::Secret);

impl CombineKey {
    /// The key of a secret of 16 bytes or more.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::LimitExceeded`] for a shorter one.
    pub fn new(secret: &[u8]) -> Result<Self> {
        if secret.len() < SECRET_BYTES_MIN {
            return Err(Error::new(
                ErrorKind::LimitExceeded,
                format!(
                    "the secret of a combiner has {} bytes, fewer than {SECRET_BYTES_MIN}",
                    secret.len()
                ),
            ));
        }
        Ok(Self(format::secret(secret)))
    }
}

impl fmt::Debug for CombineKey {
    /// Never says what it is.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CombineKey")
    }
}

impl Store {
    /// From now on hands what this handle would commit to another, as long as that answers and itself goes to the log: so
    /// that several handles share entries, and do not race for slots. When it does not answer in time, is no handle on
    /// this store or hands over itself, this handle commits as if there were none, and asks it again later. Nothing else
    /// changes: what a commit means, and what is told of it, is the same.
    ///
    /// The other is greeted at once, in the background, and again with commits while it does not take them.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    /// use bytes::Bytes;
    /// use storage_txn::{CombineKey, Combiner, Combining, Options, Store};
    ///
    /// /// The other handle, where it is in the same process.
    /// #[derive(Debug)]
    /// struct Direct(Store, CombineKey);
    ///
    /// #[async_trait::async_trait]
    /// impl Combiner for Direct {
    ///     async fn exchange(&self, message: Bytes) -> storage_core::Result<Bytes> {
    ///         self.0.combine(&self.1, message).await.map_err(|error| {
    ///             storage_core::Error::unknown(storage_core::ErrorKind::Unexpected, error.to_string())
    ///         })
    ///     }
    ///
    ///     fn changed(&self, now: &Combining) {
    ///         println!("{now:?}");
    ///     }
    /// }
    ///
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), storage_txn::Error> {
    /// # let provider = Arc::new(backend_memory::MemoryProvider::new());
    /// # let env = Arc::new(storage_wrappers::TokioEnv::new());
    /// let key = CombineKey::new(b"what only the two of us know")?;
    /// let one = Store::init(provider.clone(), env.clone(), Options::default()).await?;
    /// let other = Store::open(provider, env, Options::default()).await?;
    /// other.combine_through(Arc::new(Direct(one.clone(), key.clone())), key);
    /// while other.combining() != Some(Combining::Through) {
    ///     tokio::task::yield_now().await;
    /// }
    /// let entries = other.counters().entries;
    /// other.transact(async |tx| tx.put("shared", "2")).await?;
    /// assert_eq!((other.counters().entries, one.counters().taken_over), (entries, 1));
    /// # Ok(())
    /// # }
    /// ```
    pub fn combine_through(&self, combiner: Arc<dyn Combiner>, key: CombineKey) {
        {
            let mut combining = self.shared.combining();
            let standing = Standing::Alone { until: Duration::ZERO, pause: hand::PAUSE_MIN };
            combining.through = Some(Through { combiner, key, standing });
            combining.told = None;
        }
        self.shared.look_for_combiner();
    }

    /// Takes the transactions of another handle, which has [this one](Self::combine_through) for its combiner, commits
    /// them with its own and returns what to answer.
    ///
    /// Dropping the future leaves what was taken to be committed.
    ///
    /// # Errors
    ///
    /// Nothing was taken then: [`ErrorKind::UnknownFormat`] for what is no message, or one of another version;
    /// [`ErrorKind::Storage`] with `PermissionDenied` for one that was signed with another secret;
    /// [`ErrorKind::LimitExceeded`] for one of more than [`COMBINE_BYTES_MAX`]; [`ErrorKind::Corrupt`] for one that no
    /// handle sends. That it does not take transactions now is no error, but an answer.
    pub async fn combine(&self, key: &CombineKey, message: Bytes) -> Result<Bytes> {
        self.shared.take_over(key, message).await
    }

    /// Whether this handle hands what it would commit to another, as it was when it last tried; `None` when it has none,
    /// or has not tried.
    #[must_use]
    pub fn combining(&self) -> Option<Combining> {
        self.shared.combining().told.clone()
    }
}

/// What a handle knows of others that it combines commits with.
#[derive(Debug, Default)]
pub(crate) struct Combined {
    through: Option<Through>,
    /// What was last said of it.
    told: Option<Combining>,
    /// How many messages were made.
    sequence: u64,
    /// What this handle calls itself to those who hand it transactions. Drawn when first needed.
    name: u64,
    /// The last message of each that was taken, by what they call themselves: an earlier one, or the same again, is not.
    heard: BTreeMap<u64, u64>,
}

/// The other handle.
#[derive(Debug)]
struct Through {
    combiner: Arc<dyn Combiner>,
    key: CombineKey,
    standing: Standing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// It is greeted again not before this time, by the monotonic clock, and the next time so much later.
    Alone { until: Duration, pause: Duration },
    /// It takes transactions, and calls itself so.
    Ready { name: u64, pause: Duration },
    /// It is this handle.
    Itself,
}

impl Shared {
    // Nothing that holds the lock can panic.
    fn combining(&self) -> MutexGuard<'_, Combined> {
        self.combined.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this handle hands its transactions to another now.
    pub(crate) fn hands_over(&self) -> bool {
        let combining = self.combining();
        combining.through.as_ref().is_some_and(|it| matches!(it.standing, Standing::Ready { .. }))
    }

    /// What this handle calls itself to others.
    fn combine_name(&self) -> u64 {
        let mut combining = self.combining();
        while combining.name == 0 {
            combining.name = self.env.random();
        }
        combining.name
    }
}
