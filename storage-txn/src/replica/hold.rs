//! What keeps the store from deleting what is still to be copied: a pin, put anew while it is needed.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use storage_core::{Env, PutIf, StorageProvider};

use crate::pin::PinName;
use crate::{Result, Version};

/// It is put anew when so much of its time is up.
const RENEWED_AFTER: u32 = 3;

#[derive(Debug)]
pub(super) struct Hold {
    provider: Arc<dyn StorageProvider>,
    env: Arc<dyn Env>,
    time: Duration,
    /// The pin, and when it was put, by the monotonic clock.
    pin: Option<(PinName, Duration)>,
}

impl Hold {
    pub(super) fn new(
        provider: Arc<dyn StorageProvider>,
        env: Arc<dyn Env>,
        time: Duration,
    ) -> Self {
        Self { provider, env, time, pin: None }
    }

    /// Holds what is needed from this version on, unless that, or an earlier one, was held not long ago.
    pub(super) async fn keep(&mut self, version: Version) -> Result<()> {
        let now = self.env.monotonic();
        let fresh =
            |(_, put): &(PinName, Duration)| now.saturating_sub(*put) < self.time / RENEWED_AFTER;
        if self.pin.as_ref().is_some_and(fresh) {
            return Ok(());
        }
        self.put(version, now).await
    }

    /// Goes on holding what is held.
    pub(super) async fn renew(&mut self) -> Result<()> {
        match self.pin {
            Some((name, _)) => self.keep(name.version).await,
            None => Ok(()),
        }
    }

    async fn put(&mut self, version: Version, now: Duration) -> Result<()> {
        let expiry = self.env.wall().saturating_add(self.time).as_millis();
        let expiry = u64::try_from(expiry).unwrap_or(u64::MAX);
        let name = PinName { version, expiry, id: self.env.random() };
        self.provider.put(&name.key()?, Bytes::new(), PutIf::Always).await?;
        if let Some((before, _)) = self.pin.replace((name, now)) {
            // It would end by itself, so this may fail.
            let _ = self.provider.delete(&before.key()?).await;
        }
        Ok(())
    }

    /// Lets go. What fails here ends by itself.
    pub(super) async fn release(&mut self) {
        if let Some((name, _)) = self.pin.take()
            && let Ok(name) = name.key()
        {
            let _ = self.provider.delete(&name).await;
        }
    }
}
