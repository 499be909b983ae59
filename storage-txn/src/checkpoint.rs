//! Writing checkpoints, and finding the newest that can be read.

use std::sync::atomic::Ordering;

use storage_core::{List, ListConsistency, Listed, PutIf, StorageProvider, StorageProviderExt};
use storage_log::planted::planted;
use storage_log::{CommitLog, LogId};

use crate::format::checkpoint::{Checkpoint, PREFIX};
use crate::shared::Shared;
use crate::store::prefix;
use crate::system::HORIZON;
use crate::{Error, ErrorKind, Result};

/// How many names are asked for at a time once the newest checkpoint is no good.
const OLDER_LISTED: usize = 100;

/// The name of the newest checkpoint, if there is one. One request.
pub(crate) async fn newest_name(provider: &dyn StorageProvider) -> Result<Option<Listed>> {
    let prefix = prefix(PREFIX)?;
    let page = provider.list(List::new(&prefix).limit(1)).await?;
    Ok(page.objects.into_iter().next())
}

/// The newest checkpoint that can be read, at or before the `newest` name; and what was wrong with the newest
/// that could not.
pub(crate) async fn newest_readable(
    provider: &dyn StorageProvider,
    log: LogId,
    newest: Option<Listed>,
) -> Result<(Option<Checkpoint>, Option<Error>)> {
    let prefix = prefix(PREFIX)?;
    let mut wrong = None;
    let mut names: Vec<Listed> = newest.into_iter().collect();
    while let Some(last) = names.last().map(|listed| listed.key.clone()) {
        for listed in names {
            let result = match provider.try_get(&listed.key).await.map_err(Error::from) {
                Ok(Some(object)) => Checkpoint::decode(log, &listed.key, &object.body),
                Ok(None) => Err(Error::corrupt(format!("{} is missing", listed.key))),
                // The provider has found out by itself that it is damaged.
                Err(error) if error.kind() == ErrorKind::Corrupt => Err(error),
                Err(error) => return Err(error),
            };
            match result {
                Ok(checkpoint) => return Ok((Some(checkpoint), wrong)),
                Err(error) => wrong = wrong.or(Some(error)),
            }
        }
        let page = provider.list(List::new(&prefix).start_after(&last).limit(OLDER_LISTED)).await?;
        names = page.objects;
    }
    Ok((None, wrong))
}

impl Shared {
    /// Writes down where the next to open the store can begin.
    pub(crate) async fn write_checkpoint(&self) -> Result<()> {
        let checkpoint = {
            let state = self.state();
            let mut system = (*state.view.system).clone();
            if planted("checkpoint-forgets-the-horizon") {
                system.forget(HORIZON);
            }
            let Some(mut flushed) = system.flushed()? else { return Ok(()) };
            if planted("checkpoint-of-more-than-is-flushed") {
                flushed.version = state.version.0;
                flushed.slot = state.head.slot.0;
                flushed.entry = state.head.id.0.to_vec().into();
                flushed.time = state.time;
            }
            Checkpoint { flushed, system, version: state.version }
        };
        let body = checkpoint.encode(self.log.id());
        // Whoever else writes one of this name writes the same bytes.
        self.shelf.provider.put(&checkpoint.key()?, body, PutIf::Always).await?;
        self.flushes().owes_checkpoint = false;
        self.counts.checkpoints.one();
        self.counts.last_checkpoint.store(self.wall_micros(), Ordering::Relaxed);
        Ok(())
    }

    /// Goes on from the newest checkpoint, as what comes after the head of this handle was collected.
    pub(crate) async fn reload(&self) -> Result<()> {
        let provider = &*self.shelf.provider;
        let newest = newest_name(provider).await?;
        let (checkpoint, wrong) = newest_readable(provider, self.log.id(), newest).await?;
        let (restored, next) = {
            let mut state = self.state();
            let newer = checkpoint.filter(|found| found.flushed.slot > state.head.slot.0);
            if let Some(checkpoint) = &newer {
                state.restore(checkpoint)?;
            }
            (newer.is_some(), state.head.slot.next())
        };
        if restored {
            self.renew_session();
            return Ok(());
        }
        // Another task of this handle may have gone on from there already, and further.
        let found = self.log.read(next).await?;
        if found.is_none_or(|record| record.body().is_some()) {
            return Ok(());
        }
        Err(collected(provider, next.0, wrong))
    }
}

/// What is said when the log is no longer whole and no checkpoint takes its place. Where lists may be out of date, the
/// next may show it.
pub(crate) fn collected(provider: &dyn StorageProvider, slot: u64, wrong: Option<Error>) -> Error {
    let kind = match provider.info().capabilities.list {
        ListConsistency::Eventual => ErrorKind::Storage(storage_core::ErrorKind::Unavailable),
        _ => ErrorKind::Corrupt,
    };
    let error = Error::new(
        kind,
        format!(
            "log slot {slot} was collected, and no checkpoint after it can be read{}",
            wrong.as_ref().map(|wrong| format!(": {wrong}")).unwrap_or_default()
        ),
    );
    match wrong {
        Some(wrong) => error.with_source(wrong),
        None => error,
    }
}
