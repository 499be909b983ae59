//! An end to waiting.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use storage_core::{
    ByteRange, Env, Error, ErrorKind, Get, Key, List, Object, Operation, Page, ProviderInfo, PutIf,
    Result, StorageProvider, Version, async_trait,
};

use crate::env::within;

/// How long each operation may take.
///
/// Bodies whose length is known beforehand (of puts, of bounded ranges) get
/// [`bytes_per_second_min`](Self::bytes_per_second_min) on top; whole objects and open ranges do not, so
/// read large objects in ranges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeLimits {
    /// For a put, without the time for its body.
    pub put: Duration,
    /// For a get, without the time for the bytes of a bounded range.
    pub get: Duration,
    /// For a page of a list.
    pub list: Duration,
    /// For a delete.
    pub delete: Duration,
    /// The slowest transfer that is not given up. Zero is taken as one.
    pub bytes_per_second_min: u64,
}

impl Default for TimeLimits {
    /// Thirty seconds for puts and deletes, sixty for lists, two minutes for gets, and a mebibyte a
    /// second for bodies.
    fn default() -> Self {
        Self {
            put: Duration::from_secs(30),
            get: Duration::from_secs(120),
            list: Duration::from_secs(60),
            delete: Duration::from_secs(30),
            bytes_per_second_min: 1 << 20,
        }
    }
}

impl TimeLimits {
    /// The same limit for every operation, whatever the length of the body.
    #[must_use]
    pub fn flat(limit: Duration) -> Self {
        Self { put: limit, get: limit, list: limit, delete: limit, bytes_per_second_min: u64::MAX }
    }

    fn with_body(&self, limit: Duration, bytes: u64) -> Duration {
        let rate = self.bytes_per_second_min.max(1);
        let millis = u128::from(bytes) * 1000 / u128::from(rate);
        limit.saturating_add(Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX)))
    }
}

/// Gives up an operation that takes too long, with
/// [`Unavailable`](storage_core::ErrorKind::Unavailable).
///
/// A mutation given up may have been applied, and may still be: its effect is
/// [`Unknown`](storage_core::Effect::Unknown). The future inside is dropped. An operation that is
/// answered without waiting costs no timer.
///
/// # Examples
///
/// ```
/// use std::{sync::Arc, time::Duration};
/// use backend_memory::MemoryProvider;
/// use storage_core::{Effect, ErrorKind, Key, PutIf, StorageProvider};
/// use storage_wrappers::{FaultPlan, Faulty, ManualEnv, TimeLimit, TimeLimits};
///
/// # futures_executor::block_on(async {
/// let env = Arc::new(ManualEnv::new(1));
/// let hour = Duration::from_secs(3600);
/// let plan = FaultPlan { latency: hour..hour, ..FaultPlan::none(1) };
/// let slow = Faulty::new(MemoryProvider::new(), plan, env.clone())?;
/// let provider = TimeLimit::new(slow, TimeLimits::default(), env);
/// let error = provider.put(&Key::new("a")?, "body".into(), PutIf::Always).await.unwrap_err();
/// assert_eq!((error.kind(), error.effect()), (ErrorKind::Unavailable, Effect::Unknown));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct TimeLimit<P> {
    inner: P,
    limits: TimeLimits,
    env: Arc<dyn Env>,
}

impl<P: StorageProvider> TimeLimit<P> {
    /// Gives every operation on `inner` as long as `limits` says.
    #[must_use]
    pub fn new(inner: P, limits: TimeLimits, env: Arc<dyn Env>) -> Self {
        Self { inner, limits, env }
    }

    async fn limited<T>(
        &self,
        operation: Operation,
        limit: Duration,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        if let Some(answer) = within(&*self.env, limit, work).await {
            return answer;
        }
        let message = format!("no answer within {limit:?}");
        Err(if operation.is_mutation() {
            Error::unknown(ErrorKind::Unavailable, message)
        } else {
            Error::not_applied(ErrorKind::Unavailable, message)
        })
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<P: StorageProvider> StorageProvider for TimeLimit<P> {
    fn info(&self) -> ProviderInfo {
        self.inner.info()
    }

    async fn put(&self, key: &Key, body: Bytes, when: PutIf) -> Result<Version> {
        let limit = self.limits.with_body(self.limits.put, body.len() as u64);
        self.limited(Operation::Put, limit, self.inner.put(key, body, when))
            .await
            .map_err(|error| error.during(Operation::Put, key))
    }

    async fn get(&self, key: &Key, request: Get) -> Result<Object> {
        let bytes = match request.range {
            Some(ByteRange { start, end: Some(end) }) if !request.meta_only => {
                end.saturating_sub(start).min(self.info().capabilities.object_bytes_max)
            }
            _ => 0,
        };
        let limit = self.limits.with_body(self.limits.get, bytes);
        self.limited(Operation::Get, limit, self.inner.get(key, request))
            .await
            .map_err(|error| error.during(Operation::Get, key))
    }

    async fn list(&self, request: List<'_>) -> Result<Page> {
        self.limited(Operation::List, self.limits.list, self.inner.list(request))
            .await
            .map_err(Error::during_list)
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.limited(Operation::Delete, self.limits.delete, self.inner.delete(key))
            .await
            .map_err(|error| error.during(Operation::Delete, key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_gets_the_time_the_slowest_transfer_takes() {
        let limits = TimeLimits { bytes_per_second_min: 1000, ..TimeLimits::default() };
        let second = Duration::from_secs(1);
        for (bytes, limit) in [(0, second), (500, second * 3 / 2), (9_000, second * 10)] {
            assert_eq!(limits.with_body(second, bytes), limit, "{bytes}");
        }
        let none = TimeLimits { bytes_per_second_min: 0, ..limits };
        assert_eq!(none.with_body(second, 2), second * 3);
        assert!(none.with_body(Duration::MAX, u64::MAX) == Duration::MAX);
        assert_eq!(TimeLimits::flat(second).with_body(second, 5 << 30), second);
    }
}
