//! What the tests of collection stand on: a clock that can be moved, and a provider that stops where it is told to.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use storage_core::{
    BoxFuture, Env, Error, ErrorKind, Get, Key, List, Object, Page, ProviderInfo, PutIf, Result,
    StorageProvider, Version, async_trait,
};
use storage_wrappers::TokioEnv;
use tokio::sync::Semaphore;

use crate::flush::Provider;

/// A clock that is moved by hand, on top of the real one.
#[derive(Debug)]
pub(crate) struct Clock {
    real: TokioEnv,
    moved: AtomicU64,
}

impl Clock {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { real: TokioEnv::new(), moved: AtomicU64::new(0) })
    }

    pub(crate) fn forward(&self, time: Duration) {
        self.moved.fetch_add(time.as_secs(), Ordering::Relaxed);
    }

    fn moved(&self) -> Duration {
        Duration::from_secs(self.moved.load(Ordering::Relaxed))
    }
}

impl Env for Clock {
    fn monotonic(&self) -> Duration {
        self.real.monotonic() + self.moved()
    }

    fn wall(&self) -> Duration {
        self.real.wall() + self.moved()
    }

    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()> {
        self.real.sleep(time)
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.real.spawn(task);
    }

    fn random(&self) -> u64 {
        self.real.random()
    }
}

/// What becomes of a request that is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// It is not made, and so it says.
    Fails,
    /// It is made, and its answer is lost; so are the answers to reads.
    AnswerIsLost,
    /// It is not made, and nobody knows.
    IsLost,
    /// It is made when the gate opens.
    Waits,
    /// It is made, and answered when the gate opens.
    AnswerWaits,
}

/// A provider that stops requests of names with a beginning, from the so-manieth on.
#[derive(Debug)]
pub(crate) struct Gated {
    inner: Provider,
    beginning: &'static str,
    stop: Stop,
    on: AtomicBool,
    /// How many go through before.
    left: AtomicI64,
    /// How many are stopped then.
    stopped_max: AtomicI64,
    reached: Semaphore,
    gate: Semaphore,
}

impl Gated {
    /// Lets everything through until it is [shut](Self::shut).
    pub(crate) fn new(inner: &Provider, beginning: &'static str, stop: Stop) -> Arc<Self> {
        Arc::new(Self {
            inner: inner.clone(),
            beginning,
            stop,
            on: AtomicBool::new(false),
            left: AtomicI64::new(0),
            stopped_max: AtomicI64::new(i64::MAX),
            reached: Semaphore::new(0),
            gate: Semaphore::new(0),
        })
    }

    /// Stops what comes after so many requests.
    pub(crate) fn shut(&self, after: i64) {
        self.left.store(after, Ordering::Relaxed);
        self.on.store(true, Ordering::Relaxed);
    }

    /// Stops only the next so many requests.
    pub(crate) fn shut_for(&self, stopped_max: i64) {
        self.stopped_max.store(stopped_max, Ordering::Relaxed);
        self.shut(0);
    }

    /// Lets everything go on, what waits too.
    pub(crate) fn open(&self) {
        self.on.store(false, Ordering::Relaxed);
        self.gate.add_permits(Semaphore::MAX_PERMITS / 2);
    }

    /// Ends when a request has been stopped.
    pub(crate) async fn reached(&self) {
        self.reached.acquire().await.unwrap().forget();
    }

    /// Whether it has let everything through.
    pub(crate) fn has_stopped_none(&self) -> bool {
        self.left.load(Ordering::Relaxed) >= 0
    }

    fn stops(&self, name: &str, is_put: bool) -> bool {
        let only_puts = matches!(self.stop, Stop::Waits | Stop::AnswerWaits);
        let last = -self.stopped_max.load(Ordering::Relaxed);
        self.on.load(Ordering::Relaxed)
            && name.starts_with(self.beginning)
            && (is_put || !only_puts || self.beginning.is_empty())
            && (last + 1..=0).contains(&self.left.fetch_sub(1, Ordering::Relaxed))
    }

    async fn pass<T>(
        &self,
        name: &str,
        is_put: bool,
        request: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        if !self.stops(name, is_put) {
            return request.await;
        }
        self.reached.add_permits(1);
        let lost = || Error::unknown(ErrorKind::Unavailable, "nobody hears");
        match self.stop {
            Stop::Fails => Err(Error::not_applied(ErrorKind::Unavailable, "stopped")),
            Stop::AnswerIsLost => {
                let _ = request.await;
                Err(lost())
            }
            Stop::IsLost => Err(lost()),
            Stop::Waits => {
                self.gate.acquire().await.unwrap().forget();
                request.await
            }
            Stop::AnswerWaits => {
                let answer = request.await;
                self.gate.acquire().await.unwrap().forget();
                answer
            }
        }
    }
}

#[async_trait]
impl StorageProvider for Gated {
    fn info(&self) -> ProviderInfo {
        self.inner.info()
    }

    async fn put(&self, key: &Key, body: Bytes, when: PutIf) -> Result<Version> {
        self.pass(key.as_str(), true, self.inner.put(key, body, when)).await
    }

    async fn get(&self, key: &Key, request: Get) -> Result<Object> {
        self.pass(key.as_str(), false, self.inner.get(key, request)).await
    }

    async fn list(&self, request: List<'_>) -> Result<Page> {
        let name = request.prefix.as_str().to_owned();
        self.pass(&name, false, self.inner.list(request)).await
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.pass(key.as_str(), true, self.inner.delete(key)).await
    }
}
