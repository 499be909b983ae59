//! What the store says of itself now: the system keys, without anything else in memory.

use std::sync::Arc;

use storage_core::StorageProvider;
use storage_log::{CommitLog, Head, Record, catch_up};

use crate::checkpoint::{newest_name, newest_readable};
use crate::format::checkpoint::Checkpoint;
use crate::format::entry::Batch;
use crate::system::System;
use crate::{ErrorKind, Result, Version};

/// The system keys as of the newest checkpoint that can be read, and what entries of the log did to them since.
#[derive(Debug)]
pub(super) struct Present {
    provider: Arc<dyn StorageProvider>,
    log: Arc<dyn CommitLog>,
    ahead: usize,
    head: Head,
    pub(super) version: Version,
    pub(super) system: System,
    /// The slot of the newest checkpoint that can be read.
    pub(super) checkpoint_slot: u64,
    /// Nothing stopped us before the end of the log.
    pub(super) is_certain: bool,
}

impl Present {
    pub(super) async fn new(
        provider: Arc<dyn StorageProvider>,
        log: Arc<dyn CommitLog>,
        ahead: usize,
    ) -> Result<Self> {
        let mut present = Self {
            head: Head::genesis(log.id()),
            provider,
            log,
            ahead,
            version: Version::ZERO,
            system: System::default(),
            checkpoint_slot: 0,
            is_certain: false,
        };
        present.restore().await?;
        present.refresh().await?;
        Ok(present)
    }

    /// Reads on, to the end of the log or to where it is damaged.
    pub(super) async fn refresh(&mut self) -> Result<()> {
        if !self.read_on().await? && self.restore().await? {
            // The log was collected since.
            self.read_on().await?;
        }
        Ok(())
    }

    /// Whether there is a newer checkpoint, from which to go on then.
    pub(super) async fn restore(&mut self) -> Result<bool> {
        let newest = newest_name(&*self.provider).await?;
        let (found, _) = newest_readable(&*self.provider, self.log.id(), newest).await?;
        let Some(checkpoint) = found else { return Ok(false) };
        let newer = checkpoint.flushed.slot > self.checkpoint_slot;
        self.checkpoint_slot = self.checkpoint_slot.max(checkpoint.flushed.slot);
        if checkpoint.flushed.slot > self.head.slot.0 {
            self.go_on_from(checkpoint)?;
        }
        Ok(newer)
    }

    fn go_on_from(&mut self, checkpoint: Checkpoint) -> Result<()> {
        self.head = checkpoint.head()?;
        // What entries up to here do to system keys is in them already.
        self.version = checkpoint.version;
        self.system = checkpoint.system;
        Ok(())
    }

    /// Whether it came to the end of the log.
    async fn read_on(&mut self) -> Result<bool> {
        let mut stopped = false;
        let (mut head, mut version) = (self.head, self.version);
        let system = &mut self.system;
        let mut take = |record: &Record| -> Result<()> {
            let Some(batch) = record.body().map(Batch::decode).transpose()? else {
                stopped = true;
                return Ok(());
            };
            for (at, transaction) in batch.transactions.iter().enumerate() {
                let at = Version(batch.first.0 + at as u64);
                if at > version {
                    if System::is_concerned(&transaction.writes) {
                        system.apply(at, &transaction.writes)?;
                    }
                    version = at;
                }
            }
            head = head.follow(record)?;
            Ok(())
        };
        let mut failed = None;
        let result = catch_up(&*self.log, self.head, 1, self.ahead, |record| {
            if failed.is_none() {
                failed = take(&record).err();
            }
            Ok(())
        });
        let result = result.await;
        (self.head, self.version) = (head, version);
        let error = failed.or(result.err().map(Into::into));
        self.is_certain = error.is_none() && !stopped;
        match error {
            Some(error) if error.kind() != ErrorKind::Corrupt => Err(error),
            _ => Ok(self.is_certain),
        }
    }
}
