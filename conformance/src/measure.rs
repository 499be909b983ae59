//! Counting and timing of the requests of a case, and a list of what it may leave behind.

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use storage_core::{
    Error, Get, Key, List, Object, Operation, Page, ProviderInfo, PutIf, Result, StorageProvider,
    Version, async_trait,
};
use storage_wrappers::Counted;

use crate::resend::Patient;

/// How many requests that were sent again are remembered, the last ones.
const RESENT_MAX: usize = 100;

/// What a case has asked for so far, through all its handles.
#[derive(Debug, Default)]
pub(crate) struct Tally(Mutex<Sums>);

#[derive(Debug, Default)]
struct Sums {
    handles: Vec<Arc<Counted<Arc<dyn StorageProvider>>>>,
    times: [Vec<Duration>; 4],
    keys: BTreeSet<Key>,
    resends: u64,
    resent: VecDeque<Resent>,
}

/// A request that was sent again, and the answer it was sent again after.
#[derive(Debug)]
struct Resent {
    key: Option<Key>,
    after: String,
}

impl Tally {
    /// A handle whose requests are tallied here, and sent again while the service is busy. One that is
    /// sent again counts once.
    pub(crate) fn patient(
        self: &Arc<Self>,
        handle: Arc<dyn StorageProvider>,
    ) -> Arc<dyn StorageProvider> {
        let tally = self.clone();
        let told = Arc::new(move |error: &Error| tally.note_resent(error));
        self.measured(Arc::new(Patient::new(handle, told)))
    }

    /// A handle whose requests are tallied here, and sent once each.
    pub(crate) fn measured(
        self: &Arc<Self>,
        handle: Arc<dyn StorageProvider>,
    ) -> Arc<dyn StorageProvider> {
        let inner = Arc::new(Counted::new(handle));
        self.sums().handles.push(inner.clone());
        Arc::new(Measured { inner, tally: self.clone() })
    }

    /// How many requests were sent, whether or not they have ended.
    pub(crate) fn requests(&self) -> u64 {
        self.sums().handles.iter().map(|handle| handle.counts().requests()).sum()
    }

    /// How often a request was sent again because the service was busy.
    pub(crate) fn resends(&self) -> u64 {
        self.sums().resends
    }

    /// What a failure with this detail has to say about requests that were sent again: those on keys that
    /// it names, or else the last.
    pub(crate) fn sent_again(&self, detail: &str) -> Option<String> {
        let sums = self.sums();
        let named = |it: &&Resent| it.key.as_ref().is_some_and(|key| detail.contains(key.as_str()));
        let of_these = sums.resent.iter().rev().find(named).or(sums.resent.back())?;
        Some(match sums.resends {
            1 => format!("(sent again after: {})", of_these.after),
            count => format!("(sent again after: {}; {count} times in this case)", of_these.after),
        })
    }

    fn note_resent(&self, error: &Error) {
        let mut sums = self.sums();
        sums.resends += 1;
        if sums.resent.len() == RESENT_MAX {
            sums.resent.pop_front();
        }
        sums.resent.push_back(Resent { key: error.key().cloned(), after: error.to_string() });
    }

    /// How long each finished request took, by operation in the order of [`Operation::ALL`].
    pub(crate) fn times(&self) -> [Vec<Duration>; 4] {
        self.sums().times.clone()
    }

    /// Every key a put was sent for.
    pub(crate) fn keys(&self) -> BTreeSet<Key> {
        self.sums().keys.clone()
    }

    fn sums(&self) -> MutexGuard<'_, Sums> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn time<T>(&self, operation: Operation, request: impl Future<Output = T>) -> T {
        let start = Instant::now();
        let answer = request.await;
        self.sums().times[operation as usize].push(start.elapsed());
        answer
    }
}

/// A handle whose requests are tallied.
struct Measured {
    inner: Arc<Counted<Arc<dyn StorageProvider>>>,
    tally: Arc<Tally>,
}

impl fmt::Debug for Measured {
    /// As the provider under test prints itself: what that says is for a case to judge.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.inner().fmt(f)
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl StorageProvider for Measured {
    fn info(&self) -> ProviderInfo {
        self.inner.info()
    }

    async fn put(&self, key: &Key, body: Bytes, when: PutIf) -> Result<Version> {
        self.tally.sums().keys.insert(key.clone());
        self.tally.time(Operation::Put, self.inner.put(key, body, when)).await
    }

    async fn get(&self, key: &Key, request: Get) -> Result<Object> {
        self.tally.time(Operation::Get, self.inner.get(key, request)).await
    }

    async fn list(&self, request: List<'_>) -> Result<Page> {
        self.tally.time(Operation::List, self.inner.list(request)).await
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.tally.time(Operation::Delete, self.inner.delete(key)).await
    }
}
