//! Who is measured, behind one interface.

mod local;
mod ours;
mod slate;

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use async_trait::async_trait;
use bytes::Bytes;

use crate::{Place, Site};

/// A store that is measured. What it acknowledges is as durable as its place.
#[async_trait]
pub trait Contender: Debug + Send + Sync + 'static {
    /// Commits a transaction that puts one key.
    async fn commit(&self, key: Vec<u8>, value: Bytes) -> Result<()>;

    /// Puts many keys, in one transaction.
    async fn load(&self, items: Vec<(Vec<u8>, Bytes)>) -> Result<()>;

    /// Brings everything into the form it is read from by the next to open it, and ends.
    async fn close(&self) -> Result<()>;

    /// The value of a key.
    async fn get(&self, key: &[u8]) -> Result<Option<Bytes>>;

    /// Reads everything in order, and says how many keys there were.
    async fn scan(&self) -> Result<usize>;

    /// How many puts and gets it has asked for; `None` for one that is not kept in a provider.
    fn requests(&self) -> Option<(u64, u64)>;
}

/// Which one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Our store.
    Ours,
    /// slatedb, whose log is written after so long; it waits that long before it makes a commit durable.
    Slate(Duration),
    /// SQLite with a write-ahead log, synced at every commit.
    Sqlite,
    /// redb, synced at every commit.
    Redb,
}

impl Kind {
    /// slatedb as it is set up by default.
    pub const SLATE_DEFAULT: Self = Self::Slate(Duration::from_millis(100));
    /// slatedb writing its log as soon as it can.
    pub const SLATE_EAGER: Self = Self::Slate(Duration::from_millis(1));

    /// Those that can be kept there, ours first.
    #[must_use]
    pub fn all(place: Place) -> Vec<Self> {
        let mut all = vec![Self::Ours, Self::SLATE_EAGER, Self::SLATE_DEFAULT];
        if place == Place::Fs {
            all.extend([Self::Sqlite, Self::Redb]);
        }
        all
    }

    /// As it is called in tables.
    #[must_use]
    pub fn name(self) -> String {
        match self {
            Self::Ours => "ours".into(),
            Self::Slate(interval) => format!("slatedb {} ms", interval.as_millis()),
            Self::Sqlite => "sqlite".into(),
            Self::Redb => "redb".into(),
        }
    }
}

/// Opens it at a site, where it may have been before.
///
/// # Errors
///
/// Its own; SQLite and redb are kept in folders only.
pub async fn open(kind: Kind, site: &Site) -> Result<Arc<dyn Contender>> {
    Ok(match kind {
        Kind::Ours => Arc::new(ours::Ours::open(site).await?),
        Kind::Slate(interval) => Arc::new(slate::Slate::open(site, interval).await?),
        Kind::Sqlite => Arc::new(local::Sqlite::open(site)?),
        Kind::Redb => Arc::new(local::Redb::open(site)?),
    })
}
