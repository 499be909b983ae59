//! Tags and cursors: versions with names, kept in the store itself.

use bytes::Bytes;

use crate::change::Change;
use crate::system::{self, TAGS};
use crate::writes::Writes;
use crate::{At, Error, ErrorKind, Result, Store, Version, space};

/// The most bytes the name of a tag or a cursor has.
pub const NAME_BYTES_MAX: usize = 255;

pub(crate) const CURSORS: &str = "cursor/";

impl Store {
    /// Gives a version a name that all handles know, for good: a tag is not moved, only [taken away](Self::untag).
    /// To give it the same name again changes nothing.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::PreconditionFailed`] when the name is taken by another version, [`ErrorKind::NoSuchVersion`],
    /// [`ErrorKind::LimitExceeded`] for an empty name or one longer than [`NAME_BYTES_MAX`], and those of
    /// [`Transaction::commit`](crate::Transaction::commit).
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use storage_txn::{Options, Store, Version};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), storage_txn::Error> {
    /// # let provider = Arc::new(backend_memory::MemoryProvider::new());
    /// # let env = Arc::new(storage_wrappers::TokioEnv::new());
    /// # let store = Store::init(provider, env, Options::default()).await?;
    /// let receipt = store.transact(async |tx| tx.put("a", "1")).await?;
    /// store.tag("release-1", receipt.version).await?;
    /// assert_eq!(store.tags().await?, [("release-1".to_owned(), receipt.version)]);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn tag(&self, name: &str, version: Version) -> Result<()> {
        let key = named(TAGS, name)?;
        let taken = |by: Version| {
            Error::new(
                ErrorKind::PreconditionFailed,
                format!("the tag {name:?} is that of version {by}, not {version}"),
            )
        };
        for _ in 0..self.shared.options.transact_attempts_max {
            let system = self.snapshot(At::Version(version)).await?.view.system.clone();
            // What can be read now must be so still when the tag is there.
            let mut required = system.what_keeps(version)?;
            required.push((space::system(key.as_bytes()), None));
            match self.set(&key, version, required).await {
                Err(error) if error.kind() == ErrorKind::PreconditionFailed => {}
                result => return result,
            }
            match self.find(&key).await? {
                Some(found) if found == version => return Ok(()),
                Some(found) => return Err(taken(found)),
                // Taken away meanwhile, or the store was packed.
                None => {}
            }
        }
        Err(Error::new(
            ErrorKind::Conflict,
            format!(
                "the tag {name:?} was taken and taken away again, or the store packed, at every attempt"
            ),
        ))
    }

    /// Takes a tag away. One that is not there is as good as taken away.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::LimitExceeded`] for an empty name or one longer than [`NAME_BYTES_MAX`], and those of
    /// [`Transaction::commit`](crate::Transaction::commit).
    pub async fn untag(&self, name: &str) -> Result<()> {
        self.remove(&named(TAGS, name)?).await
    }

    /// All tags, in the order of their names.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Corrupt`], [`ErrorKind::Storage`].
    pub async fn tags(&self) -> Result<Vec<(String, Version)>> {
        self.list(TAGS).await
    }

    /// Keeps how far one who follows the store has come, under a name. The last one to say so is right.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoSuchVersion`], [`ErrorKind::LimitExceeded`] for an empty name or one longer than
    /// [`NAME_BYTES_MAX`], and those of [`Transaction::commit`](crate::Transaction::commit).
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use storage_txn::{Options, Store, Version};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), storage_txn::Error> {
    /// # let provider = Arc::new(backend_memory::MemoryProvider::new());
    /// # let env = Arc::new(storage_wrappers::TokioEnv::new());
    /// # let store = Store::init(provider, env, Options::default()).await?;
    /// # store.transact(async |tx| tx.put("a", "1")).await?;
    /// let since = store.cursor_get("mirror").await?.unwrap_or_default();
    /// let mut watch = store.watch(since);
    /// let changes = watch.next().await?;
    /// // ... what is to be done with them, and then:
    /// store.cursor_set("mirror", watch.seen()).await?;
    /// # assert_eq!(store.cursor_get("mirror").await?, Some(changes.commit().version));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn cursor_set(&self, name: &str, version: Version) -> Result<()> {
        let key = named(CURSORS, name)?;
        self.snapshot(At::Version(version)).await?;
        self.set(&key, version, Vec::new()).await
    }

    /// How far the one of this name has come; `None` if there is none.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::LimitExceeded`] for an empty name or one longer than [`NAME_BYTES_MAX`],
    /// [`ErrorKind::Corrupt`], [`ErrorKind::Storage`].
    pub async fn cursor_get(&self, name: &str) -> Result<Option<Version>> {
        self.find(&named(CURSORS, name)?).await
    }

    /// Takes a cursor away. One that is not there is as good as taken away.
    ///
    /// # Errors
    ///
    /// Those of [`untag`](Self::untag).
    pub async fn cursor_remove(&self, name: &str) -> Result<()> {
        self.remove(&named(CURSORS, name)?).await
    }

    /// All cursors, in the order of their names.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Corrupt`], [`ErrorKind::Storage`].
    pub async fn cursors(&self) -> Result<Vec<(String, Version)>> {
        self.list(CURSORS).await
    }

    async fn set(
        &self,
        key: &str,
        version: Version,
        required: Vec<(Bytes, Option<Version>)>,
    ) -> Result<()> {
        let value = Bytes::copy_from_slice(&version.0.to_be_bytes());
        self.write(key, Change::Put(value), required).await
    }

    async fn remove(&self, key: &str) -> Result<()> {
        if self.find(key).await?.is_none() {
            return Ok(());
        }
        self.write(key, Change::Delete, Vec::new()).await
    }

    async fn write(
        &self,
        key: &str,
        change: Change,
        required: Vec<(Bytes, Option<Version>)>,
    ) -> Result<()> {
        let mut writes = Writes::default();
        writes.change(space::system(key.as_bytes()), change)?;
        self.shared.commit_system(writes, required, key).await
    }

    async fn find(&self, key: &str) -> Result<Option<Version>> {
        let system = self.snapshot(At::Latest).await?.view.system.clone();
        system
            .get(key.as_bytes())
            .map(|(_, value)| system::version(key.as_bytes(), value))
            .transpose()
    }

    async fn list(&self, kind: &str) -> Result<Vec<(String, Version)>> {
        let system = self.snapshot(At::Latest).await?.view.system.clone();
        let mut all = Vec::new();
        for (key, _, value) in system.entries() {
            let key = String::from_utf8_lossy(key);
            if let Some(name) = key.strip_prefix(kind) {
                all.push((name.to_owned(), system::version(key.as_bytes(), value)?));
            }
        }
        Ok(all)
    }
}

fn named(kind: &str, name: &str) -> Result<String> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        return Err(Error::new(
            ErrorKind::LimitExceeded,
            format!("a name has 1 to {NAME_BYTES_MAX} bytes, not {}", name.len()),
        ));
    }
    Ok(format!("{kind}{name}"))
}
