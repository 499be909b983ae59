//! The wrappers in the one order that is right.

use std::sync::Arc;
use std::time::Duration;

use storage_core::{Env, StorageProvider};

use crate::{ConcurrencyLimit, Guarded, Metered, Retry, RetryPolicy, TimeLimit, TimeLimits};

/// Settings of the [`standard`] stack.
///
/// # Examples
///
/// ```
/// use storage_wrappers::{Options, RetryPolicy};
///
/// let uploads = Options {
///     label: Some("aws".into()),
///     retry: RetryPolicy { repeat_unknown: true, ..RetryPolicy::default() },
///     ..Options::default()
/// };
/// assert_eq!(uploads.requests_at_once_max, 256);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The label `provider` of the metrics; without one, the provider's own name.
    pub label: Option<Arc<str>>,
    /// How failures are retried.
    pub retry: RetryPolicy,
    /// How long one attempt may take, waiting for its turn included.
    pub limits: TimeLimits,
    /// How many attempts are under way at a time.
    pub requests_at_once_max: usize,
    /// How long an attempt waits for its turn, and at most half as long as the shortest of the
    /// [`limits`](Self::limits): a mutation that was never sent is not called unknown.
    pub wait_max: Duration,
}

impl Default for Options {
    /// The defaults of the parts; 256 requests at once, and fifteen seconds to wait for a turn.
    fn default() -> Self {
        Self {
            label: None,
            retry: RetryPolicy::default(),
            limits: TimeLimits::default(),
            requests_at_once_max: 256,
            wait_max: Duration::from_secs(15),
        }
    }
}

/// The provider as production wears it. From the outside in:
///
/// 1. [`Guarded`], so that a request that must not be made costs nothing and is in no metric, and so that
///    whatever the layers below do, what comes out keeps the contract.
/// 2. [`Metered`] outside the retries: it sees what callers see, one request with the time they waited.
///    (Wear another inside, with another label, to see attempts.)
/// 3. [`Retry`] outside the limits: each attempt has a time limit of its own, and none holds a place while
///    it pauses.
/// 4. [`TimeLimit`] outside the queue, so that waiting for a turn is bounded too.
/// 5. [`ConcurrencyLimit`] next to the provider, where an attempt that is given up frees its place at once.
///    Its own bound on waiting is shorter than the time limit: a mutation still in the queue is refused
///    as not applied, rather than cut off as unknown.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use backend_memory::MemoryProvider;
/// use storage_core::{Key, PutIf, StorageProvider};
/// use storage_wrappers::{Options, TokioEnv, standard};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let env = Arc::new(TokioEnv::new());
/// let provider = standard(MemoryProvider::new(), Options::default(), env);
/// provider.put(&Key::new("a")?, "body".into(), PutIf::Always).await?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[must_use]
pub fn standard(
    provider: impl StorageProvider,
    options: Options,
    env: Arc<dyn Env>,
) -> Arc<dyn StorageProvider> {
    let Options { label, retry, limits, requests_at_once_max, wait_max } = options;
    let label = label.unwrap_or_else(|| provider.info().name.into());
    let shortest = limits.put.min(limits.get).min(limits.list).min(limits.delete);
    let wait_max = wait_max.min(shortest / 2);
    let provider =
        ConcurrencyLimit::new(provider, requests_at_once_max).wait_max(wait_max, env.clone());
    let provider = TimeLimit::new(provider, limits, env.clone());
    let provider = Retry::new(provider, retry, env.clone());
    let provider = Metered::new(provider, label, env);
    Arc::new(Guarded::new(provider))
}
