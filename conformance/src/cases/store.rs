//! Transactions: what a store promises, tried on the provider that it stands on.

mod atomic;
mod cost;
mod damage;
mod durable;
mod garbage;
mod histories;
mod isolation;
mod kept;
mod large;
mod order;
mod past;
mod phantoms;
mod unknown;
mod versions;
mod writes;

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use storage_core::StorageProvider;
use storage_txn::{At, ErrorKind, Options, Receipt, Result};
use storage_wrappers::Prefixed;

use crate::quorum::QuorumStores;
use crate::store::{RealStores, SnapshotHandle, StoreHandle, StoreHook, TransactionHandle};
use crate::{Case, CaseResult, Context, Failure, Hooks, Level, Need, ensure};

/// How often a transaction is run again that others keep in conflict.
const ATTEMPTS_MAX: usize = 64;

/// A row of the table: all store cases are of one level and need one thing.
macro_rules! cases {
    ($($id:literal, $most:literal, $run:path, $requires:literal;)+) => {
        pub(crate) const CASES: &[Case] = &[$(
            Case {
                id: $id,
                level: Level::Txn,
                requires: $requires,
                needs: &[Need::Absent],
                requests_max: $most,
                run: |context| Box::pin($run(context)),
            },
        )+];
    };
}

cases! {
    "store.atomic", 600, atomic::whole_or_not_at_all,
        "a transaction of many keys with small and large values is seen whole or not at all, in every snapshot of \
         every handle, while others write the same keys";
    "store.isolation.dirty-write", 200, isolation::dirty_write,
        "of two transactions that write the same two keys at the same time, one has written both last (G0)";
    "store.isolation.dirty-read", 60, isolation::dirty_read,
        "what a transaction has written is seen by itself, by nobody else before it commits, and never if it does not \
         (G1a, G1b)";
    "store.isolation.fuzzy-read", 60, isolation::fuzzy_read,
        "a snapshot, and a transaction, reads the same again whatever others commit meanwhile (P2)";
    "store.isolation.lost-update", 400, isolation::lost_update,
        "of two transactions that read a key and write it, only one commits; counters raised through several handles \
         end at the number of raises (P4)";
    "store.isolation.read-skew", 60, isolation::read_skew,
        "a transaction that reads two keys sees both before or both after another that writes both (A5A)";
    "store.isolation.write-skew", 60, isolation::write_skew,
        "of two transactions that each write what the other has read, only one commits (A5B, G2-item)";
    "store.isolation.phantom", 400, phantoms::inserted,
        "a key that appears in what a scan has covered (empty ranges, limits, backward) is a conflict, one beyond the \
         limit is not (P3, G2)";
    "store.isolation.phantom-delete", 300, phantoms::deleted,
        "a key that is deleted, alone or with a range, from what a scan has covered is a conflict";
    "store.isolation.read-only", 100, isolation::read_only,
        "a transaction that only reads sees a state that some order of the others explains (the read-only anomaly)";
    "store.isolation.real-time", 300, order::real_time,
        "what one handle has acknowledged, a latest snapshot and a reading transaction begun later on any other see, \
         and never an older state than before";
    "store.isolation.histories", 3000, histories::random,
        "random transactions of several handles at once could have happened one at a time, in the order of their \
         versions and of time";
    "store.writes.blind", 100, writes::blind,
        "writes, deletes and merges of keys that were not read commit at once, whatever others have written";
    "store.writes.disjoint", 200, writes::disjoint,
        "transactions of several handles at once that read and write keys of their own all commit at the first try";
    "store.writes.merges", 300, writes::merges,
        "merges through several handles at once all count: sums, maxima and appended bytes, on what is there then";
    "store.writes.delete-range", 60, writes::delete_range,
        "a range that is deleted takes all keys with it that are in it when that commits, no other, and none that \
         are written later";
    "store.writes.required", 60, writes::required,
        "a transaction that requires a version of a key, or its absence, commits if that is so when it commits, and \
         otherwise does nothing and says `PreconditionFailed`";
    "store.large.stream", 600, large::stream,
        "values too large for the log go in and out as streams, and any range of them is read, on every handle and at \
         every version";
    "store.large.atomic", 600, large::atomic,
        "a transaction of large and small values is seen whole or not at all, by others too, from the moment it is \
         acknowledged";
    "store.large.copy", 400, large::copy,
        "a copy of a large value moves none of its bytes, outlives what it was made from, and conflicts with a change \
         of that";
    "store.durable.reopened", 600, durable::reopened,
        "what was acknowledged is there, whole and in order, for whoever opens the store later";
    "store.durable.intact", 200, durable::intact,
        "a log with a changed, shortened or foreign entry is not opened, and `Corrupt` says so; one that is so on fewer \
         voters than decide is read as it was";
    "store.durable.derived-lost", 2000, damage::derived_lost,
        "a store that has lost its segments, its checkpoints or both reads the same, at every version, once its index was \
         made again from the log; with all of it lost, at once";
    "store.durable.damaged", 2000, damage::damaged,
        "whatever object of a store is changed, cut short, emptied or exchanged for one of its kind, a read answers what \
         was written or says `Corrupt`";
    "store.unknown.once", 1500, unknown::once,
        "with lost and late answers, a transaction told committed is there once, one told failed is not, and of one \
         told `CommitUnknown` the outcome can be found out, for good";
    "store.unknown.outcome", 100, unknown::outcome,
        "an outcome is final: one found not committed can never commit, one committed keeps its version, on every \
         handle";
    "store.unknown.same-id", 100, unknown::same_id,
        "a transaction that is committed again with the same id, by whomever, is not committed again and gets the \
         first receipt";
    "store.history.versions", 200, versions::as_they_were,
        "every transaction makes the next version, and every version reads as it was, on every handle and after \
         reopening; one to come is `NoSuchVersion`";
    "store.history.time", 200, past::by_time,
        "a time shows the last version that was committed then or before, on every handle and after reopening, and times \
         never decrease";
    "store.history.key", 200, past::of_a_key,
        "the history of a key is every value it ever had and every deletion, by name, with a range or by a merge, from the \
         newest to the first";
    "store.history.undo", 200, past::undone,
        "an undo puts back what a transaction changed, ranges included, and can itself be undone; if one of the keys was \
         changed since it does nothing and says `PreconditionFailed`";
    "store.history.watch", 1500, past::watched,
        "a watch shows every commit of every handle once, in order, with what each key was before and after, from \
         whichever version it begins";
    "store.history.packed", 600, past::packed,
        "packing drops what was before a version and what no tag holds: that says `SnapshotExpired`, and all the rest \
         reads as it was, on every handle, after a collection and after reopening";
    "store.slots.used", 1500, garbage::used_slots,
        "a writer that slept while the log was collected has no slot that was used: it commits at the end, seen by all, or \
         is told of the conflict";
    "store.garbage.collected", 1500, garbage::collected,
        "a collection deletes the log and the checkpoints that nothing needs and nothing else: every version reads as it \
         was, on every handle and after reopening";
    "store.garbage.uploads", 600, garbage::uploads,
        "what a handle has stored and not yet named is left alone while it may be at work; once its session is reaped that \
         is deleted, who would name it is told `SessionReaped`, and the handle goes on in another session";
    "store.garbage.pinned", 600, kept::pinned,
        "what a reader has pinned is read to the end, whatever is packed and collected meanwhile by others";
    "store.garbage.interrupted", 8000, kept::interrupted,
        "a collection that is stopped after any of its changes has done no harm, and the next one leaves what one that \
         was not stopped would have left";
    "store.garbage.copies", 600, kept::copies,
        "the bytes of a large value stay for as long as a copy of it or its history is kept, and go with the last";
    "store.cost.commit", 60, cost::commit,
        "a small transaction costs one put, where its log has voters one on each, and nothing else";
    "store.cost.group", 60, cost::group,
        "64 transactions at once through one handle cost a few puts, for those that wait go together";
    "store.cost.latest", 60, cost::latest,
        "a latest snapshot of an unchanged store costs one get, or one of each voter, which all who ask at once share; one \
         of what is known costs nothing";
    "store.cost.reads", 1500, cost::reads,
        "reading a key takes at most five gets with nothing cached, one with the index cached, none when read before, and \
         about none of a key that is not there";
    "store.cost.open", 300, cost::opening,
        "opening a store that was flushed takes a few gets, however much is in it";
    "store.cost.idle", 60, cost::idle,
        "a store that nobody uses sends no request";
}

type Handle = Arc<dyn StoreHandle>;
type Tx = Arc<dyn TransactionHandle>;

fn stores(context: &Context) -> Arc<dyn StoreHook> {
    let Hooks { stores, voters, .. } = context.hooks();
    match stores {
        Some(stores) => stores,
        None if voters > 0 => Arc::new(QuorumStores(voters)),
        None => Arc::new(RealStores),
    }
}

/// How many requests one of the log is.
fn voters(context: &Context) -> u64 {
    context.hooks().voters.max(1) as u64
}

/// Whether an object of a store, or a folder of them, belongs to its log.
fn is_log(name: &str) -> bool {
    name.starts_with("log") || name.starts_with("voter")
}

/// What a handle of the provider shows of the case's store `name`.
fn place(
    context: &Context,
    handle: Arc<dyn StorageProvider>,
    name: &str,
) -> Result<Arc<dyn StorageProvider>, Failure> {
    Ok(Arc::new(Prefixed::new(handle, context.prefix_of(format!("{name}/")))?))
}

async fn init(context: &Context, name: &str) -> Result<Handle, Failure> {
    let place = place(context, context.handle().clone(), name)?;
    Ok(stores(context).init(place, Options::default()).await?)
}

/// One more handle on the store `name`, through a handle of its own on the provider.
async fn open(context: &Context, name: &str) -> Result<Handle, Failure> {
    let place = place(context, context.open().await?, name)?;
    Ok(stores(context).open(place, Options::default()).await?)
}

/// A new store, and handles on it.
async fn handles<const N: usize>(context: &Context) -> Result<[Handle; N], Failure> {
    let first = init(context, "s").await?;
    let mut all = Vec::new();
    for number in 0..N {
        all.push(if number == 0 { first.clone() } else { open(context, "s").await? });
    }
    all.try_into().map_err(|_| Failure::new("the suite itself is wrong: handles were miscounted"))
}

/// As [`storage_txn::Store::transact`].
async fn transact<F>(store: &Handle, mut closure: impl FnMut(Tx) -> F) -> Result<Receipt>
where
    F: Future<Output = Result<()>>,
{
    let mut attempt = 0;
    loop {
        attempt += 1;
        let tx = store.begin();
        closure(tx.clone()).await?;
        match tx.commit().await {
            Err(error) if error.kind() == ErrorKind::Conflict && attempt < ATTEMPTS_MAX => {}
            result => return result,
        }
    }
}

async fn put(store: &Handle, key: &str, value: &str) -> Result<Receipt> {
    let tx = store.begin();
    tx.put(key, Bytes::copy_from_slice(value.as_bytes()))?;
    tx.commit().await
}

async fn latest(store: &Handle) -> Result<Arc<dyn SnapshotHandle>> {
    store.snapshot(At::Latest).await
}

/// What a snapshot has at `key`, as text; `none` without a value.
async fn seen(snapshot: &Arc<dyn SnapshotHandle>, key: &str) -> Result<String> {
    Ok(text(snapshot.get_versioned(key).await?.map(|(_, value)| value)))
}

async fn read(tx: &Tx, key: &str) -> Result<String> {
    Ok(text(tx.get(key).await?))
}

fn text(value: Option<Bytes>) -> String {
    value.map_or_else(|| "none".into(), |value| String::from_utf8_lossy(&value).into_owned())
}

/// A number as merges have it.
fn number(value: Option<&Bytes>) -> i64 {
    let bytes = value.and_then(|value| value[..].try_into().ok());
    bytes.map_or(0, i64::from_le_bytes)
}

fn bytes_of(number: i64) -> Bytes {
    Bytes::copy_from_slice(&number.to_le_bytes())
}

/// Checks that a commit failed in this way.
fn expect(what: &str, kind: ErrorKind, answer: Result<Receipt>) -> CaseResult {
    match answer {
        Err(error) if error.kind() == kind => Ok(()),
        Err(error) => {
            Err(Failure::new(format!("{what}: expected {kind:?}, saw the error {error}")))
        }
        Ok(receipt) => Err(Failure::new(format!(
            "{what}: expected {kind:?}, saw a commit as version {}",
            receipt.version
        ))),
    }
}

fn same(what: &str, expected: &str, seen: &str) -> CaseResult {
    ensure!(expected == seen, "{what}: expected {expected:?}, saw {seen:?}");
    Ok(())
}
