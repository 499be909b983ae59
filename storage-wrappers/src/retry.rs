//! Trying again, when that is safe, worth it, and no burden on a service that is down.

mod budget;
mod policy;

pub use budget::RetryBudget;
pub use policy::RetryPolicy;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use storage_core::{
    Effect, Env, Error, Get, Key, List, Object, Operation, Page, ProviderInfo, PutIf, Result,
    StorageProvider, Version, async_trait,
};

use budget::Bucket;

/// Sends a request again after a failure that may pass, but never so that it could take effect twice
/// or be called a conflict with itself.
///
/// | what failed | kind | effect | what is done |
/// |---|---|---|---|
/// | `get`, `list` | transient | any | sent again |
/// | `put`, `delete` | transient | not applied | sent again |
/// | `put` of `Always`, `delete` | transient | unknown | sent again only under [`RetryPolicy::repeat_unknown`] |
/// | `put` of `Absent` or `Matches` | any | unknown | never sent again |
/// | anything | not transient | any | handed to the caller |
///
/// Once an attempt has ended unknown, no later error of the same call comes out as
/// [`Effect::NotApplied`], and therefore none as a conflict.
///
/// Between attempts it waits a random time below a ceiling that doubles ("full jitter": M. Brooker,
/// "Exponential Backoff And Jitter", AWS Architecture Blog), and as long on top as the service asked for.
/// All calls through one `Retry` share a budget ("Site Reliability Engineering", chapter 21, "Handling
/// Overload", client-side retry budgets), so that an outage is met with a tenth more requests and not
/// with a multiple.
///
/// Calls may be dropped at any point, as with the provider inside.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use backend_memory::MemoryProvider;
/// use storage_core::{Key, PutIf, StorageProvider};
/// use storage_wrappers::{FaultPlan, Faulty, ManualEnv, Retry, RetryPolicy};
///
/// # futures_executor::block_on(async {
/// let env = Arc::new(ManualEnv::new(1));
/// let plan = FaultPlan { throttled: 0.5, ..FaultPlan::none(1) };
/// let faulty = Faulty::new(MemoryProvider::new(), plan, env.clone())?;
/// let policy = RetryPolicy { attempts_max: 20, ..RetryPolicy::default() };
/// let provider = Retry::new(faulty, policy, env);
/// provider.put(&Key::new("log/0000")?, "first".into(), PutIf::Absent).await?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct Retry<P> {
    inner: P,
    policy: RetryPolicy,
    bucket: Bucket,
    env: Arc<dyn Env>,
}

impl<P: StorageProvider> Retry<P> {
    /// Retries what `inner` could not do, as `policy` allows.
    #[must_use]
    pub fn new(inner: P, policy: RetryPolicy, env: Arc<dyn Env>) -> Self {
        let bucket = Bucket::new(policy.budget);
        Self { inner, policy, bucket, env }
    }

    async fn run<T, F>(
        &self,
        operation: Operation,
        repeats_unknown: bool,
        mut attempt: impl FnMut() -> F,
    ) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        self.bucket.deposit();
        let began = self.env.monotonic();
        let mut unknown = false;
        let mut attempts = 1;
        loop {
            let error = match attempt().await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            unknown |= operation.is_mutation() && error.effect() == Effect::Unknown;
            let may_repeat = error.kind().is_transient() && (repeats_unknown || !unknown);
            let error = if unknown { error.into_unknown() } else { error };
            let pause = if may_repeat { self.pause(began, attempts, &error) } else { None };
            let Some(pause) = pause else {
                return Err(error);
            };
            tracing::debug!(
                operation = operation.label(),
                attempts,
                kind = error.kind().label(),
                pause_millis = pause.as_millis() as u64,
                "trying again"
            );
            self.env.sleep(pause).await;
            attempts += 1;
        }
    }

    /// How long to wait before the next attempt, or `None` if there is to be none.
    fn pause(&self, began: Duration, attempts: u32, error: &Error) -> Option<Duration> {
        if attempts >= self.policy.attempts_max {
            return None;
        }
        let asked = error.retry_after().unwrap_or_default();
        let pause = self.policy.pause(attempts, self.env.random()).saturating_add(asked);
        let spent = self.env.monotonic().saturating_sub(began);
        if spent.saturating_add(pause) > self.policy.time_max {
            return None;
        }
        // Last, so that only a retry that is made is paid for.
        self.bucket.withdraw().then_some(pause)
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<P: StorageProvider> StorageProvider for Retry<P> {
    fn info(&self) -> ProviderInfo {
        self.inner.info()
    }

    async fn put(&self, key: &Key, body: Bytes, when: PutIf) -> Result<Version> {
        let repeats_unknown = self.policy.repeat_unknown && when == PutIf::Always;
        self.run(Operation::Put, repeats_unknown, || {
            self.inner.put(key, body.clone(), when.clone())
        })
        .await
    }

    async fn get(&self, key: &Key, request: Get) -> Result<Object> {
        self.run(Operation::Get, true, || self.inner.get(key, request.clone())).await
    }

    async fn list(&self, request: List<'_>) -> Result<Page> {
        self.run(Operation::List, true, || self.inner.list(request)).await
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        let repeats_unknown = self.policy.repeat_unknown;
        self.run(Operation::Delete, repeats_unknown, || self.inner.delete(key)).await
    }
}
