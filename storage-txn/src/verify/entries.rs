//! The entries of the log as they are stored: on a provider as they are there, on a quorum as its voters have them.

use std::sync::Arc;

use bytes::Bytes;
use storage_core::{List, StorageProvider, StorageProviderExt};
use storage_log::{CommitLog, ENTRY_OVERHEAD_BYTES, LogId, Record, Slot};

use crate::Result;
use crate::format::root::LogAt;
use crate::store::{key, prefix};

/// Where entries are read.
#[derive(Debug, Clone)]
pub(super) enum Entries {
    /// Each is an object.
    OnProvider(Arc<dyn StorageProvider>, LogId, LogAt),
    /// The log finds them.
    InLog(Arc<dyn CommitLog>),
}

/// What stands at a slot.
pub(super) enum Found {
    Record(Record, u64),
    Missing,
    Damaged(String, u64),
}

impl Entries {
    pub(super) async fn read(&self, slot: u64) -> Result<Found> {
        let (record, bytes) = match self {
            Self::OnProvider(provider, id, at) => {
                let Some(object) = provider.try_get(&key(name(*at, slot))?).await? else {
                    return Ok(Found::Missing);
                };
                let bytes = object.body.len() as u64;
                (Record::decode(*id, Slot(slot), object.body).map(Some), bytes)
            }
            Self::InLog(log) => (log.read(Slot(slot)).await, 0),
        };
        Ok(match record {
            Ok(Some(record)) => {
                let body = record.body().map_or(0, Bytes::len);
                Found::Record(record, bytes.max((ENTRY_OVERHEAD_BYTES + body) as u64))
            }
            Ok(None) => Found::Missing,
            Err(storage_log::Error::Corrupt { why, .. }) => Found::Damaged(why, bytes),
            Err(error) => return Err(error.into()),
        })
    }

    /// The first slot from this one on that is there; `None` if there is none.
    pub(super) async fn next_from(&self, slot: u64) -> Result<Option<u64>> {
        let (provider, at) = match self {
            Self::OnProvider(provider, _, at) => (provider, *at),
            // It has no gaps.
            Self::InLog(_) => return Ok(None),
        };
        let after = key(name(at, slot))?;
        if provider.try_get(&after).await?.is_some() {
            return Ok(Some(slot));
        }
        let log = prefix(&at.folder())?;
        let page = provider.list(List::new(&log).start_after(&after).limit(1)).await?;
        let next = page.objects.first().and_then(|listed| {
            u64::from_str_radix(listed.key.as_str().strip_prefix(&at.folder())?, 16).ok()
        });
        Ok(next.filter(|next| *next > slot))
    }
}

/// The name of the object of a slot; on a quorum only what it is called.
pub(super) fn name(at: LogAt, slot: u64) -> String {
    let at = if matches!(at, LogAt::Quorum(_)) { LogAt::Provider } else { at };
    format!("{}{slot:016x}", at.folder())
}
