//! Wrong stores on honest providers.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use conformance::Hooks;
use conformance::store::{
    PastHandle, RealStores, SnapshotHandle, StoreHandle, StoreHook, TransactionHandle,
};
use storage_txn::{
    At, CollectOptions, Collected, ErrorKind as Kind, Item, KeyRange, Merge, Options, Outcome,
    Receipt, Result, Scan, TransactionId, Version,
};
use storage_wrappers::Prefixed;

use super::lie::Truth;
use super::prelude::{
    Bytes, Error, ErrorKind, Get, Key, List, Object, Page, Prefix, ProviderInfo, PutIf,
    StorageProvider, World, async_trait, shared,
};

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
            return Arc::new(Late {
                inner: place,
                waiting: Mutex::default(),
                due: Mutex::default(),
            });
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
        Arc::new(WrongTransaction {
            inner: self.honest.begin(),
            honest: self.honest.clone(),
            wrong: self.wrong.clone(),
            done: Mutex::default(),
        })
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
            ShowsPending | SnapshotsMove | CopyIsALink | DamagedIsAbsent => {
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

struct WrongSnapshot {
    inner: Arc<dyn SnapshotHandle>,
    honest: Honest,
    wrong: Wrong,
}

#[async_trait]
impl SnapshotHandle for WrongSnapshot {
    fn version(&self) -> Version {
        self.inner.version()
    }

    async fn get_versioned(&self, key: &str) -> Result<Option<(Version, Bytes)>> {
        if self.wrong.mistake == SnapshotsMove {
            return self.honest.snapshot(At::Known).await?.get_versioned(key).await;
        }
        if self.wrong.mistake == CopyIsALink {
            return self.inner.get_versioned(&self.target(key).await?).await;
        }
        let pending = self.wrong.shared.pending.lock().unwrap().get(key).cloned();
        match pending {
            Some(value) => Ok(Some((self.inner.version(), value))),
            None => self.inner.get_versioned(key).await,
        }
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Option<Bytes>> {
        self.inner.get_range(&self.target(key).await?, range).await
    }

    async fn get_stream(&self, key: &str) -> Result<Option<Vec<Bytes>>> {
        self.inner.get_stream(&self.target(key).await?).await
    }

    async fn scan(&self, scan: &Scan) -> Result<Vec<Item>> {
        match self.inner.scan(scan).await {
            Err(error)
                if self.wrong.mistake == DamagedIsAbsent && error.kind() == Kind::Corrupt =>
            {
                Ok(Vec::new())
            }
            found => found,
        }
    }
}

impl WrongSnapshot {
    /// Where a link leads, or where one is.
    async fn target(&self, key: &str) -> Result<String> {
        let found = self.inner.get_versioned(key).await?;
        let link = found.and_then(|(_, value)| Some(value.strip_prefix(LINK)?.to_vec()));
        Ok(link.map_or(key.to_owned(), |link| String::from_utf8_lossy(&link).into_owned()))
    }
}

const LINK: &[u8] = b"link to ";

/// Stores large values when the entry after the one that names them is put.
#[derive(Debug)]
struct Late {
    inner: Arc<dyn StorageProvider>,
    waiting: Mutex<Vec<(Key, Bytes)>>,
    /// Those whose entry is there.
    due: Mutex<Vec<(Key, Bytes)>>,
}

#[async_trait]
impl StorageProvider for Late {
    fn info(&self) -> ProviderInfo {
        self.inner.info()
    }

    async fn put(
        &self,
        key: &Key,
        body: Bytes,
        when: PutIf,
    ) -> storage_core::Result<storage_core::Version> {
        if key.as_str().starts_with("value/") {
            self.waiting.lock().unwrap().push((key.clone(), body));
            return Ok(storage_core::Version::new("late"));
        }
        let due = std::mem::take(&mut *self.due.lock().unwrap());
        for (key, body) in due {
            self.inner.put(&key, body, PutIf::Always).await?;
        }
        let put = self.inner.put(key, body, when).await?;
        let waiting = std::mem::take(&mut *self.waiting.lock().unwrap());
        self.due.lock().unwrap().extend(waiting);
        Ok(put)
    }

    async fn get(&self, key: &Key, request: Get) -> storage_core::Result<Object> {
        self.inner.get(key, request).await
    }

    async fn list(&self, request: List<'_>) -> storage_core::Result<Page> {
        self.inner.list(request).await
    }

    async fn delete(&self, key: &Key) -> storage_core::Result<()> {
        self.inner.delete(key).await
    }
}

struct WrongTransaction {
    inner: Arc<dyn TransactionHandle>,
    honest: Honest,
    wrong: Wrong,
    done: Mutex<Done>,
}

/// What was asked of a transaction so far.
#[derive(Default)]
struct Done {
    writes: Vec<Write>,
    required: Vec<(String, Option<Version>)>,
    scans: Vec<(Scan, Vec<Item>)>,
}

#[derive(Clone)]
enum Write {
    Put(String, Bytes),
    Delete(String),
    Merge(String, Merge),
    DeleteRange(KeyRange),
}

impl Write {
    fn key(&self) -> Option<&str> {
        match self {
            Self::Put(key, _) | Self::Delete(key) | Self::Merge(key, _) => Some(key),
            Self::DeleteRange(_) => None,
        }
    }

    fn apply(self, tx: &Arc<dyn TransactionHandle>) -> Result<()> {
        match self {
            Self::Put(key, value) => tx.put(&key, value),
            Self::Delete(key) => tx.delete(&key),
            Self::Merge(key, merge) => tx.merge(&key, merge),
            Self::DeleteRange(range) => tx.delete_range(range),
        }
    }
}

impl WrongTransaction {
    fn mistake(&self) -> Mistake {
        self.wrong.mistake
    }

    fn write(&self, write: Write) -> Result<()> {
        self.done.lock().unwrap().writes.push(write.clone());
        let waits = match (self.mistake(), &write) {
            (CommitsInTwo | CommitsKeyByKey, _) => true,
            (MergesReadAndPut, Write::Merge(_, Merge::Add(_))) => true,
            (DeleteRangeFindsKeys, Write::DeleteRange(_)) => true,
            (ShowsPending, Write::Put(key, value)) => {
                self.wrong.shared.pending.lock().unwrap().insert(key.clone(), value.clone());
                false
            }
            _ => false,
        };
        if waits { Ok(()) } else { write.apply(&self.inner) }
    }

    /// The store as this transaction sees it, without a trace.
    async fn then(&self) -> Result<Arc<dyn SnapshotHandle>> {
        self.honest.snapshot(At::Version(self.inner.read_version())).await
    }

    fn has_written(&self, key: &str) -> bool {
        self.done.lock().unwrap().writes.iter().any(|write| write.key() == Some(key))
    }

    async fn before_the_commit(&self, writes: &[Write]) -> Result<()> {
        match self.mistake() {
            OnlyWritesConflict | BlindWritesRead => {
                for key in writes.iter().filter_map(Write::key) {
                    // On a transaction of its own keys a put would hide the read: a scan does not.
                    self.inner.scan(&Scan::new(key..=key)).await?;
                }
            }
            AnyChangeConflicts => drop(self.inner.scan(&Scan::new(..)).await?),
            MergesReadAndPut => {
                for write in writes {
                    if let Write::Merge(key, Merge::Add(number)) = write {
                        let now = self.honest.snapshot(At::Known).await?;
                        let found = now.get_versioned(key).await?.map(|(_, value)| value);
                        let bytes = found.and_then(|value| value[..].try_into().ok());
                        let sum = bytes.map_or(0, i64::from_le_bytes) + number;
                        self.inner.put(key, Bytes::copy_from_slice(&sum.to_le_bytes()))?;
                    }
                }
            }
            DeleteRangeFindsKeys => {
                for write in writes {
                    if let Write::DeleteRange(range) = write {
                        for item in self.then().await?.scan(&Scan::new(range.clone())).await? {
                            self.inner.delete(&String::from_utf8_lossy(&item.key))?;
                        }
                    }
                }
            }
            RequiredEarly => {
                let required = std::mem::take(&mut self.done.lock().unwrap().required);
                for (key, version) in required {
                    let found = self.then().await?.get_versioned(&key).await?;
                    if found.map(|(version, _)| version) != version {
                        self.inner.require(&key, version)?;
                    }
                }
            }
            DeletesLeaveNoTrace => {
                let scans = std::mem::take(&mut self.done.lock().unwrap().scans);
                for (scan, before) in scans {
                    let now = self.honest.snapshot(At::Latest).await?.scan(&scan).await?;
                    if now.iter().any(|item| !before.contains(item)) {
                        self.inner.scan(&scan).await?;
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// A new transaction with these writes, which has read nothing.
    async fn commit_apart(&self, writes: &[Write]) -> Result<Receipt> {
        let tx = self.honest.begin();
        writes.iter().try_for_each(|write| write.clone().apply(&tx))?;
        tx.commit().await
    }

    async fn commit_now(&self, writes: &[Write]) -> Result<Receipt> {
        match self.mistake() {
            CommitsInTwo if writes.len() > 1 => {
                let (first, second) = writes.split_at(writes.len() / 2);
                self.commit_apart(first).await?;
                self.commit_apart(second).await
            }
            CommitsInTwo | CommitsKeyByKey => {
                let mut last = None;
                for write in writes {
                    last = Some(self.commit_apart(std::slice::from_ref(write)).await?);
                }
                match last {
                    Some(receipt) => Ok(receipt),
                    None => self.inner.commit().await,
                }
            }
            WriteBehind => {
                let batch = {
                    let mut waiting = self.wrong.shared.waiting.lock().unwrap();
                    waiting.push(self.inner.clone());
                    if waiting.len() == 5 { std::mem::take(&mut *waiting) } else { Vec::new() }
                };
                for tx in batch {
                    tx.commit().await?;
                }
                let (version, time) = (self.inner.read_version(), Duration::ZERO);
                Ok(Receipt { value: (), version, transaction_id: self.inner.id(), time })
            }
            UnknownIsTriedAgain => {
                let mut answer = self.inner.commit().await;
                for _ in 0..20 {
                    match &answer {
                        Err(error) if matches!(error.kind(), Kind::CommitUnknown(_)) => {
                            answer = self.commit_apart(writes).await;
                        }
                        _ => break,
                    }
                }
                answer
            }
            UnknownIsFailure => match self.inner.commit().await {
                Err(error) if matches!(error.kind(), Kind::CommitUnknown(_)) => {
                    Err(Error::not_applied(ErrorKind::Unavailable, "the commit failed").into())
                }
                answer => answer,
            },
            CommitsOneAtATime => {
                let _turn = self.wrong.shared.turns.lock().await;
                self.inner.commit().await
            }
            LooksAfterItWrites => {
                let receipt = self.inner.commit().await?;
                self.honest.snapshot(At::Latest).await?;
                Ok(receipt)
            }
            _ => self.inner.commit().await,
        }
    }
}

#[async_trait]
impl TransactionHandle for WrongTransaction {
    fn read_version(&self) -> Version {
        self.inner.read_version()
    }

    fn id(&self) -> TransactionId {
        self.inner.id()
    }

    fn set_id(&self, id: TransactionId) {
        if self.mistake() != IdsAreIgnored {
            self.inner.set_id(id);
        }
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        let snapshot = match self.mistake() {
            _ if self.has_written(key) => None,
            ReadsMove => Some(self.honest.snapshot(At::Known).await?),
            ReadsAreNotTracked | OnlyWritesConflict => Some(self.then().await?),
            _ => None,
        };
        match snapshot {
            Some(snapshot) => Ok(snapshot.get_versioned(key).await?.map(|(_, value)| value)),
            None => self.inner.get(key).await,
        }
    }

    async fn scan(&self, scan: &Scan) -> Result<Vec<Item>> {
        match self.mistake() {
            EmptyScansAreNotTracked => {
                let found = self.then().await?.scan(scan).await?;
                if found.is_empty() { Ok(found) } else { self.inner.scan(scan).await }
            }
            ScansTrackKeys => {
                let found = self.then().await?.scan(scan).await?;
                for item in &found {
                    self.inner.get(&String::from_utf8_lossy(&item.key)).await?;
                }
                Ok(found)
            }
            DeletesLeaveNoTrace => {
                let found = self.then().await?.scan(scan).await?;
                self.done.lock().unwrap().scans.push((scan.clone(), found.clone()));
                Ok(found)
            }
            _ => self.inner.scan(scan).await,
        }
    }

    fn put(&self, key: &str, value: Bytes) -> Result<()> {
        self.write(Write::Put(key.to_owned(), value))
    }

    fn delete(&self, key: &str) -> Result<()> {
        self.write(Write::Delete(key.to_owned()))
    }

    fn merge(&self, key: &str, merge: Merge) -> Result<()> {
        self.write(Write::Merge(key.to_owned(), merge))
    }

    fn delete_range(&self, range: KeyRange) -> Result<()> {
        self.write(Write::DeleteRange(range))
    }

    fn require(&self, key: &str, version: Option<Version>) -> Result<()> {
        if self.mistake() == RequiredEarly {
            self.done.lock().unwrap().required.push((key.to_owned(), version));
            return Ok(());
        }
        self.inner.require(key, version)
    }

    async fn put_stream(&self, key: &str, mut pieces: Vec<Bytes>) -> Result<u64> {
        let size = pieces.iter().map(|piece| piece.len() as u64).sum();
        if self.mistake() == StreamsAreCut {
            pieces.pop();
        }
        self.inner.put_stream(key, pieces).await?;
        Ok(size)
    }

    async fn copy(&self, from: &str, to: &str) -> Result<bool> {
        if self.mistake() != CopyIsALink {
            return self.inner.copy(from, to).await;
        }
        let found = self.inner.get(from).await?.is_some();
        if found {
            self.inner.put(to, [LINK, from.as_bytes()].concat().into())?;
        }
        Ok(found)
    }

    async fn commit(&self) -> Result<Receipt> {
        let writes = std::mem::take(&mut self.done.lock().unwrap().writes);
        self.before_the_commit(&writes).await?;
        let answer = self.commit_now(&writes).await;
        if let Ok(receipt) = &answer {
            let mut committed = self.wrong.shared.committed.lock().unwrap();
            committed.insert(receipt.transaction_id, receipt.version);
        }
        answer
    }
}
