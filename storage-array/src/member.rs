//! One of the providers an array is made of, asked in a way that learns how it is doing.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use storage_core::{
    Atomicity, Effect, Env, Error, ErrorKind, Get, Key, List, Object, Page, PutIf, Result,
    StorageProvider, Version,
};

use crate::health::{Health, Work};
use crate::price::{Meter, Prices};

/// One of the providers an array is made of.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use backend_memory::MemoryProvider;
/// use storage_array::Member;
///
/// let member = Member::new("aws", Arc::new(MemoryProvider::new())).in_domain("amazon");
/// assert_eq!((member.name(), member.domain()), ("aws", "amazon"));
/// ```
#[derive(Clone)]
pub struct Member {
    name: Arc<str>,
    domain: Arc<str>,
    provider: Arc<dyn StorageProvider>,
    prices: Prices,
}

impl Member {
    /// A member under a name, which is its identity: it stays the same for as long as the array lives.
    pub fn new(name: impl Into<Arc<str>>, provider: Arc<dyn StorageProvider>) -> Self {
        let name = name.into();
        Self { domain: name.clone(), name, provider, prices: Prices::default() }
    }

    /// Says with whom it fails together: the same region, account or owner. By default with nobody.
    #[must_use]
    pub fn in_domain(mut self, domain: impl Into<Arc<str>>) -> Self {
        self.domain = domain.into();
        self
    }

    /// Says what it charges. Of members that answer equally well, those that charge less are read from.
    #[must_use]
    pub fn at_prices(mut self, prices: Prices) -> Self {
        self.prices = prices;
        self
    }

    /// What it charges.
    #[must_use]
    pub fn prices(&self) -> &Prices {
        &self.prices
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// With whom it fails together.
    #[must_use]
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The provider itself.
    #[must_use]
    pub fn provider(&self) -> &Arc<dyn StorageProvider> {
        &self.provider
    }
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member")
            .field("name", &self.name)
            .field("domain", &self.domain)
            .field("provider", &self.provider)
            .finish()
    }
}

/// A member at work.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) member: Member,
    /// Whether it decides conditions in one step, among all who may open it.
    pub(crate) conditional: bool,
    pub(crate) meter: Meter,
    health: Mutex<Health>,
    /// Writes that nobody waits for any more and that have not ended.
    stuck: Arc<AtomicUsize>,
    env: Arc<dyn Env>,
}

/// How many writes may be stuck on a member before it gets no more: each holds its piece in memory.
const STUCK_MAX: usize = 8;

/// A write that is stuck, until it ends.
#[derive(Debug)]
pub(crate) struct Stuck(Arc<AtomicUsize>);

impl Drop for Stuck {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Worker {
    pub(crate) fn new(member: Member, env: Arc<dyn Env>) -> Self {
        let capabilities = member.provider.info().capabilities;
        let conditional = capabilities.absent != Atomicity::Unsupported
            && capabilities.matches != Atomicity::Unsupported;
        Self {
            member,
            conditional,
            meter: Meter::default(),
            health: Mutex::new(Health::new()),
            stuck: Arc::default(),
            env,
        }
    }

    pub(crate) fn health(&self) -> MutexGuard<'_, Health> {
        // No code that holds the lock can panic halfway through a change.
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a write has not ended in good time.
    pub(crate) fn stuck(&self) -> Stuck {
        self.stuck.fetch_add(1, Ordering::Relaxed);
        Stuck(self.stuck.clone())
    }

    pub(crate) fn is_aside(&self) -> bool {
        self.is_full() || self.health().is_aside(self.env.monotonic())
    }

    /// Whether it gets no more writes until one of those that are stuck has ended.
    pub(crate) fn is_full(&self) -> bool {
        self.stuck.load(Ordering::Relaxed) >= STUCK_MAX
    }

    pub(crate) async fn get(&self, key: &Key, request: Get) -> Result<Object> {
        self.meter.get();
        let answer = self.timed(Work::Read, self.member.provider.get(key, request)).await;
        if let Ok(object) = &answer {
            self.meter.came(object.body.len());
        }
        answer
    }

    pub(crate) async fn put(&self, key: &Key, body: Bytes, when: PutIf) -> Result<Version> {
        self.meter.put(body.len());
        self.timed(Work::Write, self.member.provider.put(key, body, when)).await
    }

    pub(crate) async fn list(&self, request: List<'_>) -> Result<Page> {
        self.meter.put(0);
        self.timed(Work::Read, self.member.provider.list(request)).await
    }

    pub(crate) async fn delete(&self, key: &Key) -> Result<()> {
        self.timed(Work::Write, self.member.provider.delete(key)).await
    }

    async fn timed<T>(&self, work: Work, request: impl Future<Output = Result<T>>) -> Result<T> {
        let mut asked = Asked { worker: self, work, since: self.env.monotonic(), done: false };
        let answer = request.await;
        asked.done = true;
        let now = self.env.monotonic();
        let failed = answer.as_ref().err().is_some_and(is_failure);
        let mut health = self.health();
        if failed {
            health.failed(now);
        } else {
            health.answered(work, now.saturating_sub(asked.since));
        }
        drop(health);
        answer
    }
}

/// A request under way. One that nobody waits for any longer was late, and is remembered so: else a member
/// that is always overtaken would always look as fast as it once was.
struct Asked<'a> {
    worker: &'a Worker,
    work: Work,
    since: Duration,
    done: bool,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        if !self.done {
            let waited = self.worker.env.monotonic().saturating_sub(self.since);
            self.worker.health().late(self.work, waited);
        }
    }
}

/// Whether an error says something about the member, not about the request.
pub(crate) fn is_failure(error: &Error) -> bool {
    !error.kind().is_refusal() && error.kind() != ErrorKind::Corrupt
}

/// Whether a mutation that failed so is certain not to have happened.
pub(crate) fn is_not_applied(error: &Error) -> bool {
    error.effect() == Effect::NotApplied
}
