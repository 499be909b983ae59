//! Pins: versions that somebody still reads, though the present has left them behind.

use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt;
use storage_core::{Key, PutIf, StorageProvider, StorageProviderExt};
use storage_log::planted::planted;

use crate::renew::check_kept;
use crate::shared::Shared;
use crate::snapshot::Snapshot;
use crate::store::{key, prefix};
use crate::{At, ErrorKind, Result, Store, Version};

/// What the names of pins begin with.
const PREFIX: &str = "pin/";

/// Holds a version so that it can be read for some time: what was taken out of the index since is not deleted, and
/// history above it is not packed away. For readers that take longer than the
/// [grace](crate::CollectOptions::grace) of those who collect.
///
/// It ends at its time, or with [`release`](Self::release); not when it is dropped, as that cannot wait for a request.
#[derive(Debug)]
pub struct Pin {
    snapshot: Snapshot,
    name: PinName,
}

/// The name of a pin, which says all there is to say of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PinName {
    pub(crate) version: Version,
    /// When it ends, in milliseconds since the Unix epoch.
    pub(crate) expiry: u64,
    /// Tells it from others of the same version.
    pub(crate) id: u64,
}

impl Pin {
    /// The store at the version that is held.
    #[must_use]
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// When it ends, since the Unix epoch, by the clocks of those who collect.
    #[must_use]
    pub fn expires(&self) -> Duration {
        Duration::from_millis(self.name.expiry)
    }

    /// Holds it for so long from now.
    ///
    /// # Errors
    ///
    /// [`SnapshotExpired`](crate::ErrorKind::SnapshotExpired) when it has ended before and the version is no longer
    /// kept, [`Corrupt`](crate::ErrorKind::Corrupt), [`Storage`](crate::ErrorKind::Storage). The pin is what it was
    /// then.
    pub async fn renew(&mut self, time: Duration) -> Result<()> {
        let renewed = self.snapshot.hold(time, Some(self.name)).await?;
        let before = std::mem::replace(self, renewed);
        // It would end by itself, so this may fail.
        let _ = before.release().await;
        Ok(())
    }

    /// Lets go.
    ///
    /// # Errors
    ///
    /// [`Storage`](crate::ErrorKind::Storage); it ends at its time then.
    pub async fn release(self) -> Result<()> {
        self.snapshot.shared.shelf.provider.delete(&self.name.key()?).await?;
        Ok(())
    }
}

impl PinName {
    pub(crate) fn key(self) -> Result<Key> {
        key(format!("{PREFIX}{:016x}={:016x}={:016x}", self.version.0, self.expiry, self.id))
    }

    /// `None` for what is not the name of a pin.
    pub(crate) fn parse(name: &Key) -> Option<Self> {
        let mut parts = name.as_str().strip_prefix(PREFIX)?.split('=');
        let mut number = || {
            let part = parts.next().filter(|part| part.len() == 16)?;
            u64::from_str_radix(part, 16).ok()
        };
        let (version, expiry, id) = (number()?, number()?, number()?);
        parts.next().is_none().then_some(Self { version: Version(version), expiry, id })
    }

    pub(crate) fn has_expired(self, wall: Duration) -> bool {
        u128::from(self.expiry) <= wall.as_millis()
    }
}

impl Snapshot {
    /// Holds the version of this snapshot for so long. Takes a put, and a request for the end of the log.
    ///
    /// # Errors
    ///
    /// [`SnapshotExpired`](crate::ErrorKind::SnapshotExpired) when the version is no longer kept,
    /// [`Corrupt`](crate::ErrorKind::Corrupt), [`Storage`](crate::ErrorKind::Storage).
    pub async fn pin(&self, time: Duration) -> Result<Pin> {
        self.hold(time, None).await
    }

    /// As [`pin`](Self::pin), where another may hold it already.
    async fn hold(&self, time: Duration, held: Option<PinName>) -> Result<Pin> {
        let shared = &self.shared;
        let expiry = shared.env.wall().saturating_add(time).as_millis();
        let expiry = u64::try_from(expiry).unwrap_or(u64::MAX);
        let name = PinName { version: self.version, expiry, id: shared.env.random() };
        shared.shelf.provider.put(&name.key()?, Bytes::new(), PutIf::Always).await?;
        // Whoever takes something out of the index after this sees the pin before it deletes that. What was taken out
        // before is not in the view of now.
        let view = match self.view_of_now().await {
            Ok(view) => view,
            // Whoever packed listed the pins before there was the first one; those who collect see it since, and leave
            // what its view reads.
            Err(error)
                if error.kind() == ErrorKind::SnapshotExpired
                    && held.is_some_and(|held| !held.has_expired(shared.env.wall())) =>
            {
                self.view.clone()
            }
            Err(error) => {
                // Nobody holds it, and it ends by itself.
                let _ = shared.shelf.provider.delete(&name.key()?).await;
                return Err(error);
            }
        };
        let snapshot = Self { view, version: self.version, shared: shared.clone() };
        Ok(Pin { snapshot, name })
    }

    async fn view_of_now(&self) -> Result<std::sync::Arc<crate::view::View>> {
        if !planted("pin-trusts-what-it-knows") {
            self.shared.refresh().await?;
        }
        let view = self.shared.state().view.clone();
        check_kept(&view, self.version)?;
        Ok(view)
    }
}

impl Store {
    /// Holds a version so that it can be read for so long, whatever is compacted, packed and collected meanwhile.
    ///
    /// # Errors
    ///
    /// Those of [`snapshot`](Self::snapshot) and [`Snapshot::pin`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use std::time::Duration;
    /// # use storage_txn::{At, Options, Store};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), storage_txn::Error> {
    /// # let provider = Arc::new(backend_memory::MemoryProvider::new());
    /// # let env = Arc::new(storage_wrappers::TokioEnv::new());
    /// # let store = Store::init(provider, env, Options::default()).await?;
    /// store.transact(async |tx| tx.put("a", "1")).await?;
    /// let mut pin = store.pin(At::Latest, Duration::from_secs(3600)).await?;
    /// store.transact(async |tx| tx.put("a", "2")).await?;
    /// pin.renew(Duration::from_secs(7200)).await?;
    /// assert_eq!(pin.snapshot().get("a").await?.as_deref(), Some(&b"1"[..]));
    /// pin.release().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn pin(&self, at: At, time: Duration) -> Result<Pin> {
        self.snapshot(at).await?.pin(time).await
    }
}

impl Shared {
    /// All pins that there are, those that have ended too. To be listed after the state was looked at that tells what
    /// is to go: a pin that is put later shows a state without it.
    pub(crate) async fn pins(&self) -> Result<Vec<PinName>> {
        let prefix = prefix(PREFIX)?;
        let names = self.shelf.provider.list_all(&prefix);
        let pins = names.try_filter_map(async |listed| Ok(PinName::parse(&listed.key)));
        Ok(pins.try_collect().await?)
    }
}
