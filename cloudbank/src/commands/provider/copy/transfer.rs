//! One object from here to there.

use std::sync::Arc;

use indicatif::ProgressBar;
use storage_core::{
    Atomicity, Created, Error as StorageError, ErrorKind, Get, Key, PutIf, StorageProvider,
    StorageProviderExt,
};
use tokio::sync::Semaphore;

use super::plan::Item;
use crate::cli::CpArgs;
use crate::config::{Provider, exact_size};
use crate::error::{Error, Result};

/// The most bytes of objects that are in memory at a time; a larger object goes alone.
const BYTES_AT_ONCE_MAX: u64 = 256 << 20;
/// Bytes are counted in units of this, because a semaphore counts to four billion.
const UNIT_BYTES: u64 = 4 << 10;
/// How often a replacement whose answer was lost is put again. It is the same bytes each time.
const REPLACE_ATTEMPTS_MAX: u32 = 3;

/// Two open providers, and how to copy between them.
pub(super) struct Transfer<'a> {
    from: &'a Provider,
    to: &'a Provider,
    pub(super) source: Arc<dyn StorageProvider>,
    pub(super) destination: Arc<dyn StorageProvider>,
    overwrite: bool,
    verify: bool,
    memory: Semaphore,
}

/// What became of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Done {
    Copied,
    /// It was there already.
    Skipped,
    /// Another one is there and was left alone.
    Differs,
}

impl<'a> Transfer<'a> {
    pub(super) async fn open(
        from: &'a Provider,
        to: &'a Provider,
        arguments: &CpArgs,
    ) -> Result<Self> {
        let destination = to.open().await?;
        let source = match from.name() == to.name() {
            true => destination.clone(),
            false => from.open_to_read().await?,
        };
        Ok(Self {
            from,
            to,
            source,
            destination,
            overwrite: arguments.overwrite,
            verify: arguments.verify,
            memory: Semaphore::new((BYTES_AT_ONCE_MAX / UNIT_BYTES) as usize),
        })
    }

    /// Copies the object, unless it is there.
    pub(super) async fn run(&self, item: &Item, bar: &ProgressBar) -> Result<Done> {
        let done = self.copy(item).await;
        bar.inc(item.size);
        done
    }

    async fn copy(&self, item: &Item) -> Result<Done> {
        let same_size = item.there == Some(item.size);
        if same_size && !self.verify {
            return Ok(Done::Skipped);
        }
        if item.there.is_some() && !same_size && !self.overwrite {
            return Ok(Done::Differs);
        }
        let most = self.destination.info().capabilities.object_bytes_max;
        if item.size > most {
            return Err(Error::Failed(format!(
                "`{}` is too large: {}, but provider `{}` takes objects of up to {}",
                item.source,
                exact_size(item.size),
                self.to.name(),
                exact_size(most)
            )));
        }
        // Twice the size where both sides are compared.
        let bytes = item.size * if item.there.is_some() { 2 } else { 1 };
        let units = (bytes.min(BYTES_AT_ONCE_MAX) / UNIT_BYTES).max(1) as u32;
        let _room = self.memory.acquire_many(units).await.expect("it is never closed");
        let object = self.source.get(&item.source, Get::whole()).await;
        let body = object.map_err(|error| self.from.explain(error))?.body;
        if item.there.is_some() {
            if same_size && self.is_same(&item.destination, &body).await? {
                return Ok(Done::Skipped);
            }
            if !self.overwrite {
                return Ok(Done::Differs);
            }
            return self.replace(&item.destination, body).await;
        }
        if self.destination.info().capabilities.absent == Atomicity::Unsupported {
            return self.replace(&item.destination, body).await;
        }
        let created = self.destination.create_exact(&item.destination, body.clone()).await;
        match created.map_err(|error| self.to.explain(error))? {
            Created::Ours(_) => Ok(Done::Copied),
            // Somebody was faster; what counts is what is there now.
            Created::Taken(_) if self.overwrite => self.replace(&item.destination, body).await,
            Created::Taken(_) => Ok(Done::Differs),
        }
    }

    async fn is_same(&self, key: &Key, body: &[u8]) -> Result<bool> {
        let there = self.destination.try_get(key).await;
        let there = there.map_err(|error| self.to.explain(error))?;
        Ok(there.is_some_and(|there| there.body == body))
    }

    async fn replace(&self, key: &Key, body: bytes::Bytes) -> Result<Done> {
        let mut last: Option<StorageError> = None;
        for _ in 0..REPLACE_ATTEMPTS_MAX {
            match self.destination.put(key, body.clone(), PutIf::Always).await {
                Ok(_) => return Ok(Done::Copied),
                Err(error) if error.effect() == storage_core::Effect::Unknown => last = Some(error),
                Err(error) if last.is_some() => {
                    return Err(self.to.explain(error.into_unknown()));
                }
                Err(error) => return Err(self.to.explain(error)),
            }
        }
        let error = last.unwrap_or_else(|| StorageError::unknown(ErrorKind::Unavailable, ""));
        Err(self.to.explain(error))
    }
}
