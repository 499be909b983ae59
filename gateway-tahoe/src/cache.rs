//! Parts of shares that were read, in memory up to a bound.

use std::hash::{BuildHasherDefault, DefaultHasher};

use bytes::Bytes;
use quick_cache::sync::{Cache as QuickCache, DefaultLifecycle};
use quick_cache::{OptionsBuilder, Weighter};

use crate::error::Result;
use crate::layout::DataId;

/// A part of the cache is at least this large: what is larger than a part cannot be kept.
const SHARD_BYTES_MIN: usize = 16 << 20;
const SHARDS_MAX: usize = 16;
/// For the bookkeeping, which need not be exact.
const ITEM_BYTES: usize = 256 << 10;
/// What an entry takes beside its bytes.
const ENTRY_BYTES: u64 = 128;

/// Which part: of which data, its number, and which generation wrote it.
pub(crate) type PartId = (DataId, u64, u64);

/// What was read, by what it is of. Nothing that is named so ever changes, so neither does this.
pub(crate) struct Cache(
    QuickCache<
        PartId,
        Bytes,
        Weight,
        BuildHasherDefault<DefaultHasher>,
        DefaultLifecycle<PartId, Bytes>,
    >,
);

#[derive(Clone)]
struct Weight;

impl Weighter<PartId, Bytes> for Weight {
    fn weight(&self, _: &PartId, value: &Bytes) -> u64 {
        value.len() as u64 + ENTRY_BYTES
    }
}

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cache").field("bytes", &self.0.weight()).finish_non_exhaustive()
    }
}

impl Cache {
    pub(crate) fn new(bytes_max: usize) -> Self {
        let options = OptionsBuilder::new()
            .shards((bytes_max / SHARD_BYTES_MIN).clamp(1, SHARDS_MAX))
            .estimated_items_capacity((bytes_max / ITEM_BYTES).max(1))
            .weight_capacity(bytes_max as u64)
            .build()
            .expect("what is needed is given");
        Self(QuickCache::with_options(
            options,
            Weight,
            BuildHasherDefault::default(),
            DefaultLifecycle::default(),
        ))
    }

    /// The part, read if need be: by one of those who ask for it at the same time, while the others wait.
    pub(crate) async fn get(
        &self,
        id: PartId,
        read: impl Future<Output = Result<Bytes>>,
    ) -> Result<Bytes> {
        self.0.get_or_insert_async(&id, read).await
    }
}
