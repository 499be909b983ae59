//! Packing: history is dropped below a horizon.

use storage_log::planted::planted;

use crate::compact::Task;
use crate::names::CURSORS;
use crate::shared::Shared;
use crate::system::{self, System};
use crate::{At, ErrorKind, Result, Store, Version};

impl Store {
    /// Drops what was before a version: the store can be read as it was then and at any later version, and at those of
    /// [tags](Self::tag). Tells the lowest version that can still be read, which is the *horizon*.
    ///
    /// That is lower than what was asked for when a [cursor](Self::cursor_set) or the pin of a reader stands below it,
    /// unless the cursor is further behind than
    /// [`cursor_lag_versions_max`](crate::Options::cursor_lag_versions_max). One that is set while this is under way may
    /// come too late. It is higher when it was before: what was
    /// dropped does not come back. What became of a transaction is known for ever, whenever it was committed.
    ///
    /// Flushes and compacts on the way. Objects in which nothing is left are not read, only taken out of the index;
    /// they stay stored until they are collected.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoSuchVersion`] for a version that is still to come, and those of [`compact`](Self::compact).
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use storage_txn::{At, ErrorKind, Options, Store, Version};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), storage_txn::Error> {
    /// # let provider = Arc::new(backend_memory::MemoryProvider::new());
    /// # let env = Arc::new(storage_wrappers::TokioEnv::new());
    /// # let store = Store::init(provider, env, Options::default()).await?;
    /// for day in ["monday", "tuesday", "wednesday"] {
    ///     store.transact(async |tx| tx.put("today", day)).await?;
    /// }
    /// store.tag("start", Version(1)).await?;
    /// assert_eq!(store.pack(At::Version(Version(3))).await?, Version(3));
    /// let start = store.snapshot(At::Version(Version(1))).await?;
    /// assert_eq!(start.get("today").await?.as_deref(), Some(&b"monday"[..]));
    /// let gone = store.snapshot(At::Version(Version(2))).await.unwrap_err();
    /// assert_eq!(gone.kind(), ErrorKind::SnapshotExpired);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn pack(&self, before: At) -> Result<Version> {
        let before = match self.snapshot(before).await {
            Ok(snapshot) => snapshot.version,
            // It was packed before that.
            Err(error) if error.kind() == ErrorKind::SnapshotExpired => Version::ZERO,
            Err(error) => return Err(error),
        };
        self.shared.flush().await?;
        self.shared.ask_to_compact(Task::Pack(before)).await
    }
}

impl Shared {
    /// The highest that the horizon can be, when all before a version is to be dropped.
    pub(super) async fn horizon_for(
        &self,
        system: &System,
        last: Version,
        before: Version,
    ) -> Result<Version> {
        let mut horizon = before;
        for (name, _, value) in system.beginning(CURSORS) {
            let cursor = system::version(&name, value)?;
            let lag = last.0.saturating_sub(cursor.0);
            if lag <= self.options.cursor_lag_versions_max && !planted("pack-ignores-cursors") {
                horizon = horizon.min(cursor);
            }
        }
        let now = self.env.wall();
        for pin in self.pins().await?.into_iter().filter(|pin| !pin.has_expired(now)) {
            if !planted("pack-ignores-pins") {
                horizon = horizon.min(pin.version);
            }
        }
        Ok(horizon.max(system.horizon()?))
    }
}
