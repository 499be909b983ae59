//! Which checkpoints are kept: the newest, as many as are wanted, and one that is old enough to let the log before it
//! go.

use std::collections::BTreeMap;

use futures_util::TryStreamExt;
use storage_core::{Listed, StorageProviderExt};
use storage_log::CommitLog;

use super::Collection;
use crate::format::checkpoint::{Checkpoint, PREFIX};
use crate::store::prefix;
use crate::system::Flushed;
use crate::{Error, Result};

/// The checkpoints that there are.
pub(super) struct Checkpoints {
    /// The newest first.
    listed: Vec<(u64, Listed)>,
    /// What was read of them, by their place in the list: `None` for one that is of no use.
    read: BTreeMap<usize, Option<Flushed>>,
}

/// A checkpoint before which nothing is needed.
pub(super) struct Base {
    pub(super) flushed: Flushed,
    /// The checkpoints before it.
    pub(super) older: Vec<Listed>,
}

impl Collection<'_> {
    pub(super) async fn checkpoints(&self) -> Result<Checkpoints> {
        let prefix = prefix(PREFIX)?;
        let all = self.shared.shelf.provider.list_all(&prefix);
        let named = all.try_filter_map(async |listed| {
            Ok(Checkpoint::slot(&listed.key).map(|slot| (slot, listed)))
        });
        Ok(Checkpoints { listed: named.try_collect().await?, read: BTreeMap::new() })
    }

    /// The newest checkpoint that is old enough and has as many after it as are wanted, all of them read back. `None`
    /// when there is none, or nothing before it that has not been collected up to the slot `collected`.
    pub(super) async fn base(
        &self,
        mut checkpoints: Checkpoints,
        collected: u64,
    ) -> Result<Option<Base>> {
        let newer = self.options.checkpoints_kept - 1;
        let count = checkpoints.listed.len();
        match checkpoints.listed.get(newer..) {
            None | Some([]) => return Ok(None),
            Some([(slot, _)]) if *slot <= collected => return Ok(None),
            Some(_) => {}
        }
        // They are in the order of their times. One that cannot be read is taken for old, and passed over later.
        let (mut low, mut high) = (newer, count);
        while low < high {
            let middle = low + (high - low) / 2;
            let flushed = self.read_checkpoint(&mut checkpoints, middle).await?;
            if flushed.is_none_or(|flushed| self.is_past_grace(flushed.time)) {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        if high == count {
            return Ok(None);
        }
        let mut readable = 0;
        for at in 0..count {
            if at < high && readable + 1 >= self.options.checkpoints_kept {
                continue;
            }
            let Some(flushed) = self.read_checkpoint(&mut checkpoints, at).await? else { continue };
            readable += 1;
            let is_old = at >= high && self.is_past_grace(flushed.time);
            if is_old && readable >= self.options.checkpoints_kept {
                let older = checkpoints.listed.split_off(at + 1);
                let older = older.into_iter().map(|(_, listed)| listed).collect();
                return Ok(Some(Base { flushed, older }));
            }
        }
        Ok(None)
    }

    /// What everything up to is in segments by a checkpoint; `None` if it is of no use.
    async fn read_checkpoint(
        &self,
        checkpoints: &mut Checkpoints,
        at: usize,
    ) -> Result<Option<Flushed>> {
        if let Some(read) = checkpoints.read.get(&at) {
            return Ok(read.clone());
        }
        let Some((_, listed)) = checkpoints.listed.get(at) else { return Ok(None) };
        let object = self.shared.shelf.provider.try_get(&listed.key).await.map_err(Error::from)?;
        let flushed = object.and_then(|object| {
            let read = Checkpoint::decode(self.shared.log.id(), &listed.key, &object.body).ok()?;
            read.head().ok()?;
            Some(read.flushed)
        });
        checkpoints.read.insert(at, flushed.clone());
        Ok(flushed)
    }
}
