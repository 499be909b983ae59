//! A provider that a test can shut, slow down and count the requests of.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use storage_core::{
    Env, Error, ErrorKind, Get, Key, List, Object, Page, ProviderInfo, PutIf, Result,
    StorageProvider, Version,
};

/// What befalls one provider, and what was asked of it.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    pub(crate) shut: AtomicBool,
    /// How much longer a request takes.
    pub(crate) slow_millis: AtomicU64,
    pub(crate) puts: AtomicU64,
    pub(crate) gets: AtomicU64,
    /// How many more cells it takes; `None` for any number.
    pub(crate) cells_left: Mutex<Option<u64>>,
}

impl Gate {
    /// Whether this may be put there: a cell only while there is room, anything else always.
    fn takes(&self, key: &Key) -> bool {
        let is_cell = key.as_str().contains('/') && !key.as_str().starts_with("voters/");
        let mut left = self.cells_left.lock().unwrap();
        match left.as_mut().filter(|_| is_cell) {
            None => true,
            Some(left) => {
                let takes = *left > 0;
                *left = left.saturating_sub(1);
                takes
            }
        }
    }
}

#[derive(Debug)]
pub(crate) struct Gated<P> {
    pub(crate) inner: P,
    pub(crate) gate: Arc<Gate>,
    pub(crate) env: Arc<dyn Env>,
    /// When whoever asks is stopped, if ever.
    pub(crate) stop: Option<Arc<Stop>>,
}

/// Stops whoever asks after so many requests, of all providers together.
#[derive(Debug)]
pub(crate) struct Stop {
    left: AtomicU64,
    how: How,
    pub(crate) has_stopped: AtomicBool,
}

/// What becomes of the last request before one is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    Fails,
    AnswerIsLost,
    IsLost,
}

impl Stop {
    pub(crate) fn new(after: u64, how: How) -> Arc<Self> {
        let left = AtomicU64::new(after);
        Arc::new(Self { left, how, has_stopped: AtomicBool::new(false) })
    }

    fn error(&self) -> Error {
        self.has_stopped.store(true, Ordering::Relaxed);
        match self.how {
            How::Fails => Error::not_applied(ErrorKind::Unavailable, "the process is stopped"),
            _ => Error::unknown(ErrorKind::Unavailable, "the process is stopped"),
        }
    }

    async fn pass<T>(&self, request: impl Future<Output = Result<T>>) -> Result<T> {
        let less = |left: u64| left.checked_sub(1);
        match self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less) {
            Ok(1) if self.how == How::AnswerIsLost => {
                request.await?;
                Err(self.error())
            }
            Ok(_) => request.await,
            Err(_) => Err(self.error()),
        }
    }
}

impl<P> Gated<P> {
    async fn send<T>(&self, request: impl Future<Output = Result<T>>) -> Result<T> {
        match &self.stop {
            Some(stop) => stop.pass(request).await,
            None => request.await,
        }
    }

    async fn pass(&self) -> Result<()> {
        let millis = self.gate.slow_millis.load(Ordering::Relaxed);
        if millis > 0 {
            self.env.sleep(Duration::from_millis(millis)).await;
        }
        if self.gate.shut.load(Ordering::Relaxed) {
            // As a connection that is refused in the middle: who knows what arrived.
            return Err(Error::unknown(ErrorKind::Unavailable, "the provider is down"));
        }
        Ok(())
    }
}

#[async_trait]
impl<P: StorageProvider> StorageProvider for Gated<P> {
    fn info(&self) -> ProviderInfo {
        self.inner.info()
    }
    async fn put(&self, key: &Key, body: Bytes, when: PutIf) -> Result<Version> {
        self.gate.puts.fetch_add(1, Ordering::Relaxed);
        self.pass().await?;
        if !self.gate.takes(key) {
            return Err(Error::not_applied(ErrorKind::Unavailable, "the provider is full"));
        }
        self.send(self.inner.put(key, body, when)).await
    }
    async fn get(&self, key: &Key, request: Get) -> Result<Object> {
        self.gate.gets.fetch_add(1, Ordering::Relaxed);
        self.pass().await?;
        self.send(self.inner.get(key, request)).await
    }
    async fn list(&self, request: List<'_>) -> Result<Page> {
        self.pass().await?;
        self.send(self.inner.list(request)).await
    }
    async fn delete(&self, key: &Key) -> Result<()> {
        self.pass().await?;
        self.send(self.inner.delete(key)).await
    }
}
