//! How many requests, of what kind, and how many bytes.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use storage_core::{
    ErrorKind, Get, Key, List, Object, Operation, Page, ProviderInfo, PutIf, Result,
    StorageProvider, Version, async_trait,
};

/// Counts requests and bytes, to be asserted: what a transaction, an open or a scan costs.
///
/// Keep it in an `Arc`, hand out clones of that, and ask it for [`counts`](Self::counts).
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use backend_memory::MemoryProvider;
/// use storage_core::{Get, Key, PutIf, StorageProvider};
/// use storage_wrappers::Counted;
///
/// # futures_executor::block_on(async {
/// let counted = Arc::new(Counted::new(MemoryProvider::new()));
/// let provider: Arc<dyn StorageProvider> = counted.clone();
/// let key = Key::new("a")?;
/// provider.put(&key, "body".into(), PutIf::Always).await?;
///
/// let before = counted.counts();
/// provider.get(&key, Get::whole()).await?;
/// let cost = counted.counts().since(&before);
/// assert_eq!((cost.requests(), cost.get.bytes_out, cost.put.requests), (1, 4, 0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct Counted<P> {
    inner: P,
    put: Counters,
    get: Counters,
    list: Counters,
    delete: Counters,
}

#[derive(Debug, Default)]
struct Counters {
    requests: AtomicU64,
    answered: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    keys_listed: AtomicU64,
    errors: Mutex<BTreeMap<ErrorKind, u64>>,
}

/// What has been counted up to a moment, or between two.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Of [`put`](StorageProvider::put).
    pub put: OperationCounts,
    /// Of [`get`](StorageProvider::get).
    pub get: OperationCounts,
    /// Of [`list`](StorageProvider::list).
    pub list: OperationCounts,
    /// Of [`delete`](StorageProvider::delete).
    pub delete: OperationCounts,
}

/// What has been counted of one operation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OperationCounts {
    /// Calls begun, counted before they reach the provider inside.
    pub requests: u64,
    /// Calls that were answered, well or badly. Fewer than the requests while some are under way, and for
    /// good where some were dropped.
    pub answered: u64,
    /// Bytes of bodies handed in, whether or not they were stored.
    pub bytes_in: u64,
    /// Bytes of bodies handed out.
    pub bytes_out: u64,
    /// Keys that lists handed out.
    pub keys_listed: u64,
    /// Errors by kind; a kind that did not occur is missing.
    pub errors: BTreeMap<ErrorKind, u64>,
}

impl<P: StorageProvider> Counted<P> {
    /// Counts what goes to `inner`, from zero.
    #[must_use]
    pub fn new(inner: P) -> Self {
        Self {
            inner,
            put: Counters::default(),
            get: Counters::default(),
            list: Counters::default(),
            delete: Counters::default(),
        }
    }

    /// What has been counted so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts {
            put: self.put.read(),
            get: self.get.read(),
            list: self.list.read(),
            delete: self.delete.read(),
        }
    }

    /// The provider inside.
    #[must_use]
    pub fn inner(&self) -> &P {
        &self.inner
    }
}

impl Counters {
    fn begin(&self, bytes_in: usize) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.bytes_in.fetch_add(bytes_in as u64, Ordering::Relaxed);
    }

    fn end<T>(&self, answer: &Result<T>) {
        if let Err(error) = answer {
            let mut errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
            *errors.entry(error.kind()).or_default() += 1;
        }
        self.answered.fetch_add(1, Ordering::Relaxed);
    }

    fn read(&self) -> OperationCounts {
        OperationCounts {
            requests: self.requests.load(Ordering::Relaxed),
            answered: self.answered.load(Ordering::Relaxed),
            bytes_in: self.bytes_in.load(Ordering::Relaxed),
            bytes_out: self.bytes_out.load(Ordering::Relaxed),
            keys_listed: self.keys_listed.load(Ordering::Relaxed),
            errors: self.errors.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}

impl Counts {
    /// Both together: of several providers.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        Self {
            put: self.put.plus(&other.put),
            get: self.get.plus(&other.get),
            list: self.list.plus(&other.list),
            delete: self.delete.plus(&other.delete),
        }
    }

    /// Requests of all operations.
    #[must_use]
    pub fn requests(&self) -> u64 {
        Operation::ALL.iter().map(|operation| self.of(*operation).requests).sum()
    }

    /// Errors of all operations and kinds.
    #[must_use]
    pub fn errors(&self) -> u64 {
        Operation::ALL.iter().flat_map(|operation| self.of(*operation).errors.values()).sum()
    }

    /// The counts of one operation.
    #[must_use]
    pub fn of(&self, operation: Operation) -> &OperationCounts {
        match operation {
            Operation::Put => &self.put,
            Operation::Get => &self.get,
            Operation::List => &self.list,
            Operation::Delete => &self.delete,
        }
    }

    /// What came after `earlier`, which was read from the same provider.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            put: self.put.since(&earlier.put),
            get: self.get.since(&earlier.get),
            list: self.list.since(&earlier.list),
            delete: self.delete.since(&earlier.delete),
        }
    }
}

impl OperationCounts {
    fn plus(&self, other: &Self) -> Self {
        let mut errors = self.errors.clone();
        for (kind, count) in &other.errors {
            *errors.entry(*kind).or_default() += count;
        }
        Self {
            requests: self.requests + other.requests,
            answered: self.answered + other.answered,
            bytes_in: self.bytes_in + other.bytes_in,
            bytes_out: self.bytes_out + other.bytes_out,
            keys_listed: self.keys_listed + other.keys_listed,
            errors,
        }
    }

    fn since(&self, earlier: &Self) -> Self {
        let errors = self
            .errors
            .iter()
            .map(|(kind, count)| {
                let before = earlier.errors.get(kind).copied().unwrap_or_default();
                (*kind, count.saturating_sub(before))
            })
            .filter(|(_, count)| *count > 0)
            .collect();
        Self {
            requests: self.requests.saturating_sub(earlier.requests),
            answered: self.answered.saturating_sub(earlier.answered),
            bytes_in: self.bytes_in.saturating_sub(earlier.bytes_in),
            bytes_out: self.bytes_out.saturating_sub(earlier.bytes_out),
            keys_listed: self.keys_listed.saturating_sub(earlier.keys_listed),
            errors,
        }
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<P: StorageProvider> StorageProvider for Counted<P> {
    fn info(&self) -> ProviderInfo {
        self.inner.info()
    }

    async fn put(&self, key: &Key, body: Bytes, when: PutIf) -> Result<Version> {
        self.put.begin(body.len());
        let answer = self.inner.put(key, body, when).await;
        self.put.end(&answer);
        answer
    }

    async fn get(&self, key: &Key, request: Get) -> Result<Object> {
        self.get.begin(0);
        let answer = self.inner.get(key, request).await;
        if let Ok(object) = &answer {
            self.get.bytes_out.fetch_add(object.body.len() as u64, Ordering::Relaxed);
        }
        self.get.end(&answer);
        answer
    }

    async fn list(&self, request: List<'_>) -> Result<Page> {
        self.list.begin(0);
        let answer = self.inner.list(request).await;
        if let Ok(page) = &answer {
            self.list.keys_listed.fetch_add(page.objects.len() as u64, Ordering::Relaxed);
        }
        self.list.end(&answer);
        answer
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.delete.begin(0);
        let answer = self.inner.delete(key).await;
        self.delete.end(&answer);
        answer
    }
}
