//! What of the past is still to be told.

use storage_log::planted::planted;

use crate::format::commit::CommitRecord;
use crate::segment::Stored;
use crate::system::{System, TAGS, version};
use crate::{Result, Version, space};

use crate::change::Change;

/// The versions that can be read: all from the horizon on, and those of tags.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) horizon: Version,
    /// Below the horizon, in order.
    tags: Vec<Version>,
}

impl Kept {
    /// Those that the store keeps; with a horizon that is at least as high as the one given.
    pub(super) fn of(system: &System, horizon: Version) -> Result<Self> {
        let horizon = horizon.max(system.horizon()?);
        let mut tags = Vec::new();
        for (name, _, value) in system.beginning(TAGS) {
            tags.push(version(&name, value)?);
        }
        tags.retain(|tag| *tag < horizon && !planted("pack-ignores-tags"));
        tags.sort_unstable();
        tags.dedup();
        Ok(Self { horizon, tags })
    }

    /// Whether anybody may ask for what was so from `first` on, until `end` superseded it. Above the horizon that it
    /// happened counts too, even if nobody could see it.
    pub(super) fn asks_for(&self, first: Version, end: Version) -> bool {
        end > self.horizon || self.has_tag(first, end)
    }

    /// Whether there is a tag from `first` on and before `end`.
    pub(super) fn has_tag(&self, first: Version, end: Version) -> bool {
        let at = self.tags.partition_point(|tag| *tag < first);
        self.tags.get(at).is_some_and(|tag| *tag < end)
    }

    /// Whether a key that is current is the record of a commit of which nobody is told any more. That a transaction
    /// was shut out is remembered for ever.
    pub(super) fn drops(&self, key: &[u8], stored: &Stored) -> Result<bool> {
        let of = stored.version;
        let is_record = key.first() == Some(&space::COMMIT);
        if !is_record || of >= self.horizon || self.has_tag(of, Version(of.0 + 1)) {
            return Ok(false);
        }
        let Change::Put(record) = &stored.change else { return Ok(false) };
        let cancelled = CommitRecord::decode_at(of, record.clone())?.cancelled;
        Ok(!cancelled || planted("pack-forgets-who-was-shut-out"))
    }
}

#[cfg(test)]
pub(super) mod tests;
