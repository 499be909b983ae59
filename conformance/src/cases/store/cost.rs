//! What it costs, in requests.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;
use storage_core::{Operation, StorageProvider};
use storage_txn::{At, Options};
use storage_wrappers::{Counted, Counts, FaultPlan, Faulty, TokioEnv};

use super::{Handle, place, put, stores, voters};
use crate::{CaseResult, Context, Failure, ensure};

/// How many ask at once.
const AT_ONCE: usize = 64;
/// The most requests they cost: whoever comes first goes alone, and all others together.
const SHARED_MAX: u64 = 4;
/// How long a request takes at least, so that all of them are asked for while the first is under way.
const LATENCY: Duration = Duration::from_millis(40);

/// How many keys there are to be read, in how many transactions.
const KEYS: usize = 2000;
const PARTS: usize = 10;
const VALUE_BYTES: usize = 100;
/// Three, the entry that the checkpoint ends with, those after it, and what reading ahead asks for in vain.
const OPENING_GETS_MAX: u64 = 7;
/// Of each voter besides: its marker twice, and the end of a chain whose length is not known.
const OPENING_VOTER_GETS_MAX: u64 = 12;

type Counter = Arc<Counted<Arc<dyn StorageProvider>>>;

/// A store on a slow provider, and what counts its requests.
async fn counted(context: &Context) -> Result<(Handle, Counter), Failure> {
    let plan = FaultPlan { latency: LATENCY..LATENCY * 2, ..FaultPlan::none(0) };
    let slow = Faulty::new(context.handle().clone(), plan, Arc::new(TokioEnv::new()))?;
    let counter = Arc::new(Counted::new(place(context, Arc::new(slow), "s")?));
    let store = stores(context).init(Arc::new(counter.clone()), Options::default()).await?;
    Ok((store, counter))
}

/// Checks the requests since `before`, by operation in the order of [`Operation::ALL`].
fn check(
    what: &str,
    counter: &Counter,
    before: &Counts,
    bounds: [(Operation, RangeInclusive<u64>); 4],
) -> CaseResult {
    let sent = counter.counts().since(before);
    for (operation, expected) in bounds {
        let count = sent.of(operation).requests;
        ensure!(
            expected.contains(&count),
            "{what}: expected {expected:?} of {operation:?}, saw {count}"
        );
    }
    Ok(())
}

fn bounds(
    puts: RangeInclusive<u64>,
    gets: RangeInclusive<u64>,
) -> [(Operation, RangeInclusive<u64>); 4] {
    [
        (Operation::Put, puts),
        (Operation::Get, gets),
        (Operation::List, 0..=0),
        (Operation::Delete, 0..=0),
    ]
}

pub(super) async fn commit(context: &Context) -> CaseResult {
    let (store, counter) = counted(context).await?;
    // On several voters the first one takes the lead.
    put(&store, "x", "the first").await?;
    tokio::time::sleep(LATENCY * 3).await;
    for round in 0..5 {
        let before = counter.counts();
        put(&store, "x", &format!("value {round}")).await?;
        // One that reads what its handle knows costs no more.
        let tx = store.begin();
        tx.get("x").await?;
        tx.put("y", "made of it".into())?;
        tx.commit().await?;
        tokio::time::sleep(LATENCY * 3).await;
        let puts = 2 * voters(context);
        check("two small transactions", &counter, &before, bounds(puts..=puts, proofs(context)))?;
    }
    Ok(())
}

pub(super) async fn group(context: &Context) -> CaseResult {
    let (store, counter) = counted(context).await?;
    let before = counter.counts();
    let all = (0..AT_ONCE).map(|number| {
        let store = store.clone();
        async move { put(&store, &format!("k/{number}"), "value").await }
    });
    let receipts = try_join_all(all).await?;
    let mut versions: Vec<_> = receipts.iter().map(|receipt| receipt.version.0).collect();
    versions.sort_unstable();
    ensure!(
        versions.iter().copied().eq(1..=AT_ONCE as u64),
        "{AT_ONCE} transactions: expected each to have a version of its own, saw {versions:?}"
    );
    let most = SHARED_MAX * voters(context);
    check("64 transactions at once", &counter, &before, bounds(1..=most, proofs(context)))
}

/// Now and then a voter has to prove that it is still itself.
fn proofs(context: &Context) -> RangeInclusive<u64> {
    0..=context.hooks().voters as u64
}

pub(super) async fn latest(context: &Context) -> CaseResult {
    let (store, counter) = counted(context).await?;
    put(&store, "x", "value").await?;
    let before = counter.counts();
    store.snapshot(At::Latest).await?;
    let (voters, most) = (voters(context), voters(context) + proofs(context).end());
    check("a latest snapshot", &counter, &before, bounds(0..=0, 1..=most))?;
    let before = counter.counts();
    try_join_all((0..AT_ONCE).map(|_| store.snapshot(At::Latest))).await?;
    let most = SHARED_MAX * voters + proofs(context).end();
    check("64 latest snapshots at once", &counter, &before, bounds(0..=0, 1..=most))?;
    let before = counter.counts();
    let known = store.snapshot(At::Known).await?;
    known.get_versioned("x").await?;
    store.begin().get("x").await?;
    check("reading what is known", &counter, &before, bounds(0..=0, 0..=0))
}

/// A store with keys in segments, on which `open` counts.
async fn filled(context: &Context) -> CaseResult {
    let at = place(context, context.handle().clone(), "f")?;
    let store = stores(context).init(at, Options::default()).await?;
    for part in 0..PARTS {
        let tx = store.begin();
        for key in (0..KEYS).filter(|key| key % PARTS == part) {
            tx.put(&format!("k/{key:06}"), vec![b'v'; VALUE_BYTES].into())?;
        }
        tx.commit().await?;
    }
    store.flush().await.map_err(Failure::from)
}

async fn open_counted(context: &Context) -> Result<(Handle, Counter), Failure> {
    let counter = Arc::new(Counted::new(place(context, context.open().await?, "f")?));
    let store = stores(context).open(Arc::new(counter.clone()), Options::default()).await?;
    Ok((store, counter))
}

pub(super) async fn reads(context: &Context) -> CaseResult {
    filled(context).await?;
    let (store, counter) = open_counted(context).await?;
    let now = store.snapshot(At::Known).await?;
    let read = async |keys: Vec<String>, found: bool| {
        let before = counter.counts();
        for key in keys {
            let value = now.get_versioned(&key).await?;
            ensure!(value.is_some() == found, "{key}: expected a value: {found}");
        }
        Ok::<_, Failure>(counter.counts().since(&before))
    };
    let sample: Vec<_> = (0..KEYS).step_by(KEYS / 20).map(|key| format!("k/{key:06}")).collect();
    let absent: Vec<_> = (0..KEYS).map(|key| format!("k/{key:06}x")).collect();
    let rows = [
        ("one key, nothing cached", vec!["k/000007".to_owned()], true, 5),
        ("20 keys, the index cached", sample.clone(), true, 20),
        ("20 keys that were read before", sample, true, 0),
        ("as many absent keys as there are", absent, false, KEYS as u64 / 50),
    ];
    for (what, keys, found, most) in rows {
        let gets = read(keys, found).await?.of(Operation::Get).requests;
        ensure!(gets <= most, "{what}: expected at most {most} gets, saw {gets}");
    }
    Ok(())
}

pub(super) async fn opening(context: &Context) -> CaseResult {
    filled(context).await?;
    let (store, counter) = open_counted(context).await?;
    let sent = counter.counts();
    let (gets, lists) = (sent.of(Operation::Get).requests, sent.of(Operation::List).requests);
    let voters = context.hooks().voters as u64;
    let (gets_max, lists_max) = (OPENING_GETS_MAX + OPENING_VOTER_GETS_MAX * voters, 1 + voters);
    ensure!(
        (1..=gets_max).contains(&gets) && lists <= lists_max,
        "opening a flushed store: expected at most {gets_max} gets and {lists_max} lists, saw {gets} and {lists}"
    );
    put(&store, "x", "value").await.map(drop).map_err(Failure::from)
}

pub(super) async fn idle(context: &Context) -> CaseResult {
    let (store, counter) = counted(context).await?;
    put(&store, "x", "value").await?;
    store.snapshot(At::Latest).await?;
    let before = counter.counts();
    tokio::time::sleep(Duration::from_millis(400)).await;
    check("nothing", &counter, &before, bounds(0..=0, 0..=0))?;
    // It must not be that it was gone.
    put(&store, "x", "value").await.map(drop).map_err(Failure::from)
}
