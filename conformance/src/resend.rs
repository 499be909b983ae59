//! Handles that send again what a service was too busy for: an honest answer to any request.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use storage_core::{
    Effect, Error, Get, Key, List, Object, Page, ProviderInfo, PutIf, Result, StorageProvider,
    Version, async_trait,
};

/// How often a request is sent again that was refused for the moment.
const RESENDS_MAX: u32 = 20;
/// The longest pause before it is, unless the service asks for more.
const PAUSE_MAX: Duration = Duration::from_millis(250);
/// The longest pause that a service is granted.
const ASKED_PAUSE_MAX: Duration = Duration::from_secs(1);

/// Who is told of each error after which a request is sent again.
pub(crate) type Told = Arc<dyn Fn(&Error) + Send + Sync>;

/// Sends a request again while it is refused for the moment and certainly not applied, as with S3's 409
/// or 429; never when the effect is unknown.
pub(crate) struct Patient {
    inner: Arc<dyn StorageProvider>,
    told: Told,
}

impl Patient {
    pub(crate) fn new(inner: Arc<dyn StorageProvider>, told: Told) -> Self {
        Self { inner, told }
    }

    async fn resend<T, F>(&self, mut request: impl FnMut() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let mut pause = Duration::from_millis(1);
        for _ in 0..RESENDS_MAX {
            match request().await {
                Err(error) if is_busy(&error) => {
                    (self.told)(&error);
                    let asked = error.retry_after().unwrap_or_default();
                    tokio::time::sleep(pause.max(asked.min(ASKED_PAUSE_MAX))).await;
                    pause = (pause * 2).min(PAUSE_MAX);
                }
                answer => return answer,
            }
        }
        request().await
    }
}

/// Whether the same request may be sent again as if it had never been.
pub(crate) fn is_busy(error: &Error) -> bool {
    error.kind().is_transient() && error.effect() == Effect::NotApplied
}

impl fmt::Debug for Patient {
    /// As the provider under test prints itself: what that says is for a case to judge.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl StorageProvider for Patient {
    fn info(&self) -> ProviderInfo {
        self.inner.info()
    }

    async fn put(&self, key: &Key, body: Bytes, when: PutIf) -> Result<Version> {
        self.resend(|| self.inner.put(key, body.clone(), when.clone())).await
    }

    async fn get(&self, key: &Key, request: Get) -> Result<Object> {
        self.resend(|| self.inner.get(key, request.clone())).await
    }

    async fn list(&self, request: List<'_>) -> Result<Page> {
        self.resend(|| self.inner.list(request)).await
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.resend(|| self.inner.delete(key)).await
    }
}
