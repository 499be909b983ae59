//! What a transaction has seen, and so depends on.

use std::collections::BTreeSet;

use bytes::Bytes;

use storage_log::planted::planted;

use crate::memtable::Memtable;
use crate::view::View;
use crate::writes::Range;
use crate::{Result, Version};

/// Keys and ranges that must not have changed when the transaction is committed. Keys that were found missing
/// count, and so do the parts of ranges in which nothing was found: else phantoms get in.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reads {
    keys: BTreeSet<Bytes>,
    ranges: Vec<Range>,
}

impl Reads {
    pub(crate) fn key(&mut self, key: Bytes) {
        self.keys.insert(key);
    }

    pub(crate) fn range(&mut self, range: Range) {
        if !range.is_empty() {
            self.ranges.push(range);
        }
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &Bytes> {
        self.keys.iter()
    }

    pub(crate) fn ranges(&self) -> &[Range] {
        &self.ranges
    }

    /// Whether it has seen nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.ranges.is_empty()
    }

    /// Whether anything of it was changed in `view` after `version`; or may have been, as not all changes are kept
    /// from before the horizon.
    pub(crate) async fn changed(&self, view: &View, version: Version) -> Result<bool> {
        if self.is_empty() {
            return Ok(false);
        }
        if version < view.system.horizon()? {
            return Ok(true);
        }
        if view.memtables.iter().any(|memtable| self.changed_in(memtable, version)) {
            return Ok(true);
        }
        if planted("validation-ignores-segments") {
            return Ok(false);
        }
        for key in &self.keys {
            if view.changed_in_runs(key, version).await? {
                return Ok(true);
            }
        }
        if planted("validation-ignores-ranges-in-segments") {
            return Ok(false);
        }
        for range in &self.ranges {
            if view.changed_range_in_runs(range, version).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether anything of it was changed in `memtable` after `version`.
    pub(crate) fn changed_in(&self, memtable: &Memtable, version: Version) -> bool {
        let version = match planted("validation-misses-the-next-version") {
            true if version > Version::ZERO => Version(version.0 + 1),
            _ => version,
        };
        if planted("validation-ignores-ranges") {
            return self.keys.iter().any(|key| memtable.changed(key) > Some(version));
        }
        self.keys.iter().any(|key| memtable.changed(key) > Some(version))
            || self.ranges.iter().any(|range| memtable.changed_range(range, version))
    }
}
