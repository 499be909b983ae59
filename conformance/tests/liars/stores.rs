//! Wrong stores on honest providers.

mod late;
mod snapshot;
mod transaction;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use conformance::Hooks;
use conformance::store::{
    PastHandle, RealStores, SnapshotHandle, StoreHandle, StoreHook, TransactionHandle,
};
use storage_txn::{
    At, CollectOptions, Collected, ErrorKind as Kind, Options, Outcome, Result, TransactionId,
    Version,
};
use storage_wrappers::Prefixed;

use super::lie::Truth;
use super::prelude::{Bytes, List, Prefix, StorageProvider, World, async_trait, shared};

use late::Late;
use snapshot::WrongSnapshot;
use transaction::WrongTransaction;

liars! {
    commits_in_two: "store.atomic", store(CommitsInTwo),
        "commits half of the writes, then the others: a batch limit of the service beneath (25 items in DynamoDB's first)";
    commits_key_by_key: "store.isolation.dirty-write", store(CommitsKeyByKey),
        "commits each write by itself, in the order in which they were made: a loop of puts with a transaction's name";
    shows_what_is_not_committed: "store.isolation.dirty-read", store(ShowsPending),
        "shows what others have written before they commit: READ UNCOMMITTED, one buffer of writes for a process";
    snapshots_move: "store.isolation.fuzzy-read", store(SnapshotsMove),
        "reads the newest value through a snapshot taken earlier: READ COMMITTED, a snapshot that keeps the map, not the version";
    reads_are_not_validated: "store.isolation.lost-update", store(ReadsAreNotTracked),
        "commits whatever its reads were: a transaction that is a batch of writes";
    each_read_is_of_the_latest: "store.isolation.read-skew", store(ReadsMove),
        "reads each key of a transaction as it is at that moment: READ COMMITTED, the default of most databases";
    only_writes_conflict: "store.isolation.write-skew", store(OnlyWritesConflict),
        "validates only the keys that it writes: snapshot isolation sold as serializable (Oracle, PostgreSQL before 9.1)";
    writer_before_a_reader_is_not_validated: "store.isolation.read-only", store(OnlyWritesConflict),
        "takes reads for harmless where nobody else writes the same key: the premise that readers never matter (Fekete 2004)";
    empty_scans_are_not_tracked: "store.isolation.phantom", store(EmptyScansAreNotTracked),
        "forgets a scan that found nothing: the read set is made of what was returned";
    scans_track_only_what_they_found: "store.isolation.phantom", store(ScansTrackKeys),
        "tracks the keys that a scan returned and not the gaps between them: item locks without gap locks";
    deleted_keys_leave_no_trace: "store.isolation.phantom-delete", store(DeletesLeaveNoTrace),
        "validates a scan by looking for something new in it: a check by maximum version, which a deleted row no longer has";
    latest_is_what_the_handle_knows: "store.isolation.real-time", store(LatestIsKnown),
        "answers a latest snapshot from memory: serializable, and not strictly; reads from a follower";
    histories_of_read_committed: "store.isolation.histories", store(ReadsMove),
        "reads the latest each time and validates none of it, which random histories show without being told where to look";
    blind_writes_are_reads: "store.writes.blind", store(BlindWritesRead),
        "reads each key before it writes it: first-committer-wins, applied to those who did not look";
    any_change_is_a_conflict: "store.writes.disjoint", store(AnyChangeConflicts),
        "takes any commit since for a conflict: one version for the whole table (Iceberg and Delta, without conflict rules)";
    merge_is_read_and_put: "store.writes.merges", store(MergesReadAndPut),
        "makes of a merge a get and a blind put: `n = get(k); put(k, n + 1)` in the client";
    delete_range_deletes_what_it_found: "store.writes.delete-range", store(DeleteRangeFindsKeys),
        "lists the range and deletes what was there: `for key in scan: delete(key)`";
    requirements_are_checked_early: "store.writes.required", store(RequiredEarly),
        "looks at the version when it is asked to, not when it commits: check, then act";
    streams_are_cut: "store.large.stream", store(StreamsAreCut),
        "keeps the full pieces of a stream and forgets the rest: a buffer that is not flushed at the end";
    large_values_are_under_their_keys: "store.large.stream", store(LargeValuesMove),
        "keeps the bytes of a large value under the name of its key: an old version has the bytes of the new one";
    values_come_after: "store.large.atomic", store(ValuesComeAfter),
        "commits what names a value before the value is stored: an upload that nobody waited for";
    copy_is_a_link: "store.large.copy", store(CopyIsALink),
        "copies the name and not what it stands for: a symbolic link sold as a hard one";
    acknowledges_five_at_a_time: "store.durable.reopened", store(WriteBehind),
        "acknowledges what waits in memory, and commits five at a time: fsync every second, write-behind";
    corrupt_log_begins_anew: "store.durable.intact", store(BeginsAnew),
        "opens an empty store where the log cannot be read: recovery that drops what it does not understand";
    without_checkpoint_begins_anew: "store.durable.derived-lost", store(NeedsCheckpoint),
        "takes the index for the data: without a checkpoint there is nothing (a lost manifest, a log that is only for recovery)";
    damaged_is_absent: "store.durable.damaged", store(DamagedIsAbsent),
        "finds nothing where it cannot read: a checksum that fails is logged and passed over";
    unknown_is_tried_again: "store.unknown.once", store(UnknownIsTriedAgain),
        "runs a transaction again, as a new one, when its answer was lost: every retry loop around `COMMIT`";
    unknown_is_failure: "store.unknown.once", store(UnknownIsFailure),
        "says that it failed when nobody knows: two outcomes where there are three (Redis clients, delta-rs#2279)";
    outcome_is_only_looked_up: "store.unknown.outcome", store(OutcomeOnlyLooks),
        "says not committed since it is not there yet, and shuts nobody out: a look-up in place of a fence";
    ids_are_ignored: "store.unknown.same-id", store(IdsAreIgnored),
        "draws an id of its own, whatever it was given: idempotency keys that are logged and nothing else";
    history_is_the_present: "store.history.versions", store(HistoryIsThePresent),
        "answers an old version with what there is now: values overwritten in place";
    looks_after_it_writes: "store.cost.commit", store(LooksAfterItWrites),
        "reads the log after each commit to be sure: a read-back per write";
    commits_one_at_a_time: "store.cost.group", store(CommitsOneAtATime),
        "holds a lock across the commit: no group commit";
    each_asks_for_itself: "store.cost.latest", store(EachAsks),
        "asks for the end of the log once for each who wants to know";
    looks_now_and_then: "store.cost.idle", store(Polls),
        "looks at the log ten times a second, used or not: a watcher for each handle";
}

fn store(mistake: Mistake) -> World {
    shared(Truth).hooks(move |lying, _| Hooks {
        stores: lying.then(|| Arc::new(Wrong::new(mistake)) as Arc<dyn StoreHook>),
        ..Hooks::default()
    })
}

/// What a store does wrong; everything else is done by a right one.
#[derive(Clone, Copy, PartialEq)]
enum Mistake {
    CommitsInTwo,
    CommitsKeyByKey,
    ShowsPending,
    SnapshotsMove,
    ReadsAreNotTracked,
    ReadsMove,
    OnlyWritesConflict,
    EmptyScansAreNotTracked,
    ScansTrackKeys,
    DeletesLeaveNoTrace,
    LatestIsKnown,
    BlindWritesRead,
    AnyChangeConflicts,
    MergesReadAndPut,
    DeleteRangeFindsKeys,
    RequiredEarly,
    StreamsAreCut,
    LargeValuesMove,
    ValuesComeAfter,
    CopyIsALink,
    WriteBehind,
    BeginsAnew,
    NeedsCheckpoint,
    DamagedIsAbsent,
    UnknownIsTriedAgain,
    UnknownIsFailure,
    OutcomeOnlyLooks,
    IdsAreIgnored,
    HistoryIsThePresent,
    LooksAfterItWrites,
    CommitsOneAtATime,
    EachAsks,
    Polls,
}

use Mistake::*;

type Honest = Arc<dyn StoreHandle>;

/// Opens stores with one mistake.
#[derive(Clone)]
struct Wrong {
    mistake: Mistake,
    shared: Arc<Shared>,
}

/// What all handles of all stores share.
#[derive(Default)]
struct Shared {
    pending: Mutex<BTreeMap<String, Bytes>>,
    committed: Mutex<BTreeMap<TransactionId, Version>>,
    turns: tokio::sync::Mutex<()>,
    waiting: Mutex<Vec<Arc<dyn TransactionHandle>>>,
}

impl Wrong {
    fn new(mistake: Mistake) -> Self {
        Self { mistake, shared: Arc::default() }
    }

    fn place(&self, place: Arc<dyn StorageProvider>) -> Arc<dyn StorageProvider> {
        if self.mistake == ValuesComeAfter {
            return Arc::new(Late::new(place));
        }
        place
    }

    fn dress(&self, honest: Honest) -> Honest {
        if self.mistake == Polls {
            tokio::spawn(poll(Arc::downgrade(&honest)));
        }
        Arc::new(WrongStore { honest, wrong: self.clone() })
    }
}

async fn poll(store: Weak<dyn StoreHandle>) {
    while let Some(store) = store.upgrade() {
        // It looks again soon.
        let _ = store.snapshot(At::Latest).await;
        drop(store);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[async_trait]
impl StoreHook for Wrong {
    async fn init(&self, place: Arc<dyn StorageProvider>, options: Options) -> Result<Honest> {
        let place = self.place(place);
        Ok(self.dress(RealStores.init(place, options).await?))
    }

    async fn open(&self, place: Arc<dyn StorageProvider>, options: Options) -> Result<Honest> {
        let place = self.place(place);
        if self.mistake == NeedsCheckpoint {
            let prefix = Prefix::new("checkpoint/").expect("a word and a slash are a prefix");
            let was = place.list(List::new(&prefix).limit(1)).await?.objects;
            let log = Prefix::new("log/").expect("a word and a slash are a prefix");
            let entries = place.list(List::new(&log).limit(10)).await?.objects;
            if was.is_empty() && entries.len() == 10 {
                let prefix = Prefix::new("recovered/").expect("a word and a slash are a prefix");
                let elsewhere = Prefixed::new(place, prefix)?;
                return Ok(self.dress(RealStores.init(Arc::new(elsewhere), options).await?));
            }
        }
        match RealStores.open(place.clone(), options.clone()).await {
            Err(error) if self.mistake == BeginsAnew && error.kind() == Kind::Corrupt => {
                let prefix = Prefix::new("recovered/").expect("a word and a slash are a prefix");
                let elsewhere = Prefixed::new(place, prefix)?;
                Ok(self.dress(RealStores.init(Arc::new(elsewhere), options).await?))
            }
            opened => Ok(self.dress(opened?)),
        }
    }
}

struct WrongStore {
    honest: Honest,
    wrong: Wrong,
}

#[async_trait]
impl StoreHandle for WrongStore {
    fn begin(&self) -> Arc<dyn TransactionHandle> {
        Arc::new(WrongTransaction::new(self.honest.clone(), self.wrong.clone()))
    }

    async fn snapshot(&self, at: At) -> Result<Arc<dyn SnapshotHandle>> {
        let at = match (self.wrong.mistake, at) {
            (LatestIsKnown, At::Latest) => At::Known,
            (HistoryIsThePresent, At::Version(_)) => At::Latest,
            (_, at) => at,
        };
        let _turn = match (self.wrong.mistake, at) {
            (EachAsks, At::Latest) => Some(self.wrong.shared.turns.lock().await),
            _ => None,
        };
        let inner = self.honest.snapshot(at).await?;
        Ok(match self.wrong.mistake {
            ShowsPending | SnapshotsMove | LargeValuesMove | CopyIsALink | DamagedIsAbsent => {
                Arc::new(WrongSnapshot {
                    inner,
                    honest: self.honest.clone(),
                    wrong: self.wrong.clone(),
                })
            }
            _ => inner,
        })
    }

    async fn outcome(&self, id: TransactionId) -> Result<Outcome> {
        if self.wrong.mistake != OutcomeOnlyLooks {
            return self.honest.outcome(id).await;
        }
        let found = self.wrong.shared.committed.lock().unwrap().get(&id).copied();
        Ok(found.map_or(Outcome::NotCommitted, Outcome::Committed))
    }

    async fn flush(&self) -> Result<()> {
        self.honest.flush().await
    }

    async fn collect(&self, options: &CollectOptions) -> Result<Collected> {
        self.honest.collect(options).await
    }

    fn past(&self) -> Arc<dyn PastHandle> {
        self.honest.past()
    }
}
