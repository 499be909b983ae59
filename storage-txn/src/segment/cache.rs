//! What was read of segments, in memory up to a bound, for all segments of a handle.

use std::hash::BuildHasherDefault;
use std::sync::Arc;

use quick_cache::sync::{Cache as QuickCache, DefaultLifecycle};
use quick_cache::{OptionsBuilder, Weighter};
use storage_log::planted::planted;
use twox_hash::XxHash64;

use crate::Result;
use crate::counters::Count;
use crate::format::segment::{Part, Place, SegmentId, Tail};
use crate::segment::block::Block;

/// A part of the cache is at least this large: what is larger than a part cannot be kept.
const SHARD_BYTES_MIN: usize = 16 << 20;
const SHARDS_MAX: usize = 16;
/// For the bookkeeping, which need not be exact.
const ITEM_BYTES: usize = 32 << 10;

/// Parts of segments by where they are. Objects never change, so neither do these; each was checked when it
/// was read. Which are kept depends on what was asked for and on nothing else, not even a random seed.
pub(crate) struct Cache {
    cache: QuickCache<(SegmentId, u64), Cached, Weight, BuildHasherDefault<XxHash64>>,
    hits: Count,
    misses: Count,
}

/// What was read of a segment and where it began.
#[derive(Clone)]
pub(super) enum Cached {
    Tail(Arc<Tail>, usize),
    Part(Arc<Part>, usize),
    Block(Arc<Block>),
}

#[derive(Clone)]
struct Weight;

impl Weighter<(SegmentId, u64), Cached> for Weight {
    fn weight(&self, _: &(SegmentId, u64), value: &Cached) -> u64 {
        let bytes = match value {
            Cached::Tail(_, bytes) => *bytes,
            Cached::Part(part, bytes) => bytes + part.blocks.len() * size_of::<Place>(),
            Cached::Block(block) => block.bytes(),
        };
        bytes as u64
    }
}

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cache")
            .field("bytes", &self.bytes())
            .field("bytes_max", &self.cache.capacity())
            .finish()
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
        let cache = QuickCache::with_options(
            options,
            Weight,
            Default::default(),
            DefaultLifecycle::default(),
        );
        Self { cache, hits: Count::default(), misses: Count::default() }
    }

    /// About how many bytes it holds.
    pub(crate) fn bytes(&self) -> u64 {
        self.cache.weight()
    }

    /// How often something was found, and how often it had to be read.
    pub(crate) fn counted(&self) -> (u64, u64) {
        (self.hits.get(), self.misses.get())
    }

    /// What begins at `offset` of segment `id`: from memory, or as `read` returns it. Several who ask for the
    /// same thing at once read it once.
    pub(super) async fn get(
        &self,
        id: SegmentId,
        offset: u64,
        read: impl Future<Output = Result<Cached>>,
    ) -> Result<Cached> {
        let mut found = true;
        let counted = async {
            found = false;
            read.await
        };
        let cached = self.cache.get_or_insert_async(&name(id, offset), counted).await;
        if found {
            self.hits.one();
        } else {
            self.misses.one();
        }
        cached
    }

    /// What begins at `offset` of segment `id`, if it is in memory.
    pub(super) fn known(&self, id: SegmentId, offset: u64) -> Option<Cached> {
        self.cache.get(&name(id, offset)).inspect(|_| self.hits.one())
    }

    /// Whether that is in memory. Does not count as a use of it.
    pub(super) fn holds(&self, id: SegmentId, offset: u64) -> bool {
        self.cache.contains_key(&name(id, offset))
    }

    /// Keeps what was read together with something else.
    pub(super) fn keep(&self, id: SegmentId, offset: u64, read: Cached) {
        self.cache.insert(name(id, offset), read);
    }
}

fn name(id: SegmentId, offset: u64) -> (SegmentId, u64) {
    let id = match planted("cache-mixes-segments") {
        true => SegmentId { session: id.session, number: 0 },
        false => id,
    };
    (id, offset)
}
