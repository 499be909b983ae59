//! The numbers of a store.

use metrics::Unit;
use storage_txn::{Combining, Counters, StoreInfo};

const VERSION: &str = "cloudbank_store_version";
const SEGMENTS: &str = "cloudbank_store_segments";
const SEGMENT_BYTES: &str = "cloudbank_store_segment_bytes";
const RUNS: &str = "cloudbank_store_runs";
const GARBAGE: &str = "cloudbank_store_garbage_objects";
const GARBAGE_BYTES: &str = "cloudbank_store_garbage_bytes";
const TAIL: &str = "cloudbank_store_tail_entries";
const MEMORY: &str = "cloudbank_store_memory_bytes";
const CACHE: &str = "cloudbank_store_cache_bytes";
const MAINTENANCE: &str = "cloudbank_store_maintenance_ok";
const COMMITS: &str = "cloudbank_store_commits_total";
const CONFLICTS: &str = "cloudbank_store_conflicts_total";
const UNKNOWN: &str = "cloudbank_store_unknown_commits_total";
const ENTRIES: &str = "cloudbank_store_entries_total";
const ENTRY_BYTES: &str = "cloudbank_store_entry_bytes_total";
const LOST: &str = "cloudbank_store_slots_lost_total";
const HANDED: &str = "cloudbank_store_handed_over_total";
const HANDED_BACK: &str = "cloudbank_store_handovers_failed_total";
const TAKEN: &str = "cloudbank_store_taken_over_total";
const COMBINING: &str = "cloudbank_store_combining";
const HITS: &str = "cloudbank_store_cache_hits_total";
const MISSES: &str = "cloudbank_store_cache_misses_total";
const FLUSHES: &str = "cloudbank_store_flushes_total";
const COMPACTIONS: &str = "cloudbank_store_compactions_total";
const COMPACTED: &str = "cloudbank_store_compaction_read_bytes_total";
const CHECKPOINTS: &str = "cloudbank_store_checkpoints_total";
const CHECKPOINT: &str = "cloudbank_store_last_checkpoint_timestamp_seconds";

/// How large it is.
pub(crate) fn set_store(info: &StoreInfo) {
    metrics::gauge!(VERSION).set(info.version.0 as f64);
    metrics::gauge!(SEGMENTS).set(info.segments as f64);
    metrics::gauge!(SEGMENT_BYTES).set(info.segment_bytes as f64);
    metrics::gauge!(RUNS).set(info.runs as f64);
    metrics::gauge!(GARBAGE).set(info.garbage_objects as f64);
    metrics::gauge!(GARBAGE_BYTES).set(info.garbage_bytes as f64);
    metrics::gauge!(TAIL).set(info.tail_entries() as f64);
    metrics::gauge!(MEMORY).set(info.memory_bytes as f64);
    metrics::gauge!(CACHE).set(info.cache_bytes as f64);
}

/// What was done.
pub(crate) fn set_counters(counters: &Counters) {
    macro_rules! set {
        ($($name:ident $counter:ident,)*) => {
            $(metrics::counter!($name).absolute(counters.$counter);)*
        };
    }
    set! {
        COMMITS commits,
        CONFLICTS conflicts,
        UNKNOWN unknown,
        ENTRIES entries,
        ENTRY_BYTES entry_bytes,
        LOST slots_lost,
        HANDED handed_over,
        HANDED_BACK handovers_failed,
        TAKEN taken_over,
        HITS cache_hits,
        MISSES cache_misses,
        FLUSHES flushes,
        COMPACTIONS compactions,
        COMPACTED compaction_read_bytes,
        CHECKPOINTS checkpoints,
    }
    if counters.checkpoints > 0 {
        metrics::gauge!(CHECKPOINT).set(counters.last_checkpoint.as_secs_f64());
    }
}

/// Whether the store's own maintenance works.
pub(crate) fn set_maintenance(works: bool) {
    metrics::gauge!(MAINTENANCE).set(if works { 1.0 } else { 0.0 });
}

/// Whether a combiner commits for this server; nothing where there is to be none.
pub(crate) fn set_combining(combining: Option<&Combining>) {
    if let Some(combining) = combining {
        metrics::gauge!(COMBINING).set(if *combining == Combining::Through { 1.0 } else { 0.0 });
    }
}

pub(super) fn describe_metrics() {
    use metrics::{describe_counter as counter, describe_gauge as gauge};
    gauge!(VERSION, "the last version that this server knows of");
    gauge!(SEGMENTS, "segments of the store");
    gauge!(SEGMENT_BYTES, Unit::Bytes, "bytes of segments as they are stored");
    gauge!(RUNS, "runs of segments: a read with nothing cached may ask one of each");
    gauge!(GARBAGE, "objects that were replaced and are not collected yet");
    gauge!(
        GARBAGE_BYTES,
        Unit::Bytes,
        "bytes of objects that were replaced and are not collected yet"
    );
    gauge!(TAIL, "entries of the log that opening the store has to read");
    gauge!(MEMORY, Unit::Bytes, "bytes in memory that are not in segments yet");
    gauge!(CACHE, Unit::Bytes, "bytes of segments in memory to be read again");
    gauge!(MAINTENANCE, "1 while flushes and compactions of this server work");
    counter!(COMMITS, "transactions that this server has committed");
    counter!(CONFLICTS, "transactions that were run again, as others had changed what they read");
    counter!(UNKNOWN, "transactions whose outcome was not known at first");
    counter!(
        ENTRIES,
        "entries of the log by this server: commits by entries are how large batches are"
    );
    counter!(ENTRY_BYTES, Unit::Bytes, "bytes of the entries of the log by this server");
    counter!(LOST, "slots of the log that another server won");
    counter!(HANDED, "transactions that the combiner has dealt with for this server");
    counter!(HANDED_BACK, "times that the combiner was of no help, and this server went on alone");
    counter!(TAKEN, "transactions that this server has taken from others as their combiner");
    gauge!(COMBINING, "1 while a combiner commits for this server");
    counter!(HITS, "parts of segments that were in memory");
    counter!(MISSES, "parts of segments that had to be read");
    counter!(FLUSHES, "how often this server has put what was in memory into segments");
    counter!(COMPACTIONS, "how often this server has put segments in the place of others");
    counter!(COMPACTED, Unit::Bytes, "bytes that compactions have read: they write about as many");
    counter!(CHECKPOINTS, "checkpoints that this server has written");
    gauge!(CHECKPOINT, Unit::Seconds, "when this server last wrote a checkpoint, since 1970");
}
