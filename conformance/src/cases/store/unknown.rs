//! Lost answers, and what became of the transactions.

use std::sync::Arc;
use std::time::Duration;

use rand::{Rng as _, RngExt as _};
use storage_core::StorageProvider;
use storage_txn::{ErrorKind, Merge, Options, Outcome, Receipt, Result, TransactionId};
use storage_wrappers::{FaultPlan, Faulty, TokioEnv};

use super::{
    Handle, bytes_of, expect, handles, latest, number, open, place, put, same, seen, stores,
};
use crate::{CaseResult, Context, Failure, ensure};

/// How many transactions lose their answers, or might.
const TRANSACTIONS: u64 = 24;
/// How often the outcome is asked for, on a handle without faults.
const ASKED: u64 = 2;

pub(super) async fn once(context: &Context) -> CaseResult {
    let honest: [Handle; 1] = handles(context).await?;
    let plan = FaultPlan {
        unavailable: 0.05,
        lost_before: 0.2,
        lost_after: 0.25,
        late: 0.15,
        ..FaultPlan::none(context.rng_of(1).next_u64())
    };
    let faulty = Arc::new(Faulty::new(context.open().await?, plan, Arc::new(TokioEnv::new()))?);
    // Gives up at the first answer that is lost for good: what is tested is not the waiting.
    let mut options = Options::default();
    options.commit_time_max = Duration::ZERO;
    let store = open_through(context, faulty.clone(), options).await?;
    let mut told: Vec<(u64, Result<Receipt>)> = Vec::new();
    for transaction in 0..TRANSACTIONS {
        let tx = store.begin();
        tx.merge(&key(transaction), Merge::Add(1))?;
        tx.merge("all", Merge::Add(1))?;
        told.push((transaction, tx.commit().await));
    }
    faulty.settle().await;
    let (mut committed, mut unknown) = (0, 0);
    for (transaction, answer) in told {
        let what = format!("transaction {transaction}");
        let expected = match answer {
            Ok(_) => Some(1),
            Err(error) => match error.kind() {
                ErrorKind::CommitUnknown(id) => {
                    unknown += 1;
                    let mut outcomes = Vec::new();
                    for _ in 0..ASKED {
                        outcomes.push(honest[0].outcome(id).await?);
                    }
                    let [first, second] = outcomes[..] else { return Err(Failure::new(what)) };
                    ensure!(first == second, "{what}: its outcome was {first:?}, then {second:?}");
                    Some(i64::from(matches!(first, Outcome::Committed(_))))
                }
                ErrorKind::Storage(_) => Some(0),
                kind => {
                    return Err(Failure::from(error).during(format!("{what}, told {kind:?}")));
                }
            },
        };
        let now = latest(&honest[0]).await?;
        let found = now.get_versioned(&key(transaction)).await?.map(|(_, value)| value);
        let found = number(found.as_ref());
        ensure!(
            Some(found) == expected,
            "{what}: expected it to have happened {} times, saw {found}",
            expected.unwrap_or_default()
        );
        committed += found;
    }
    let last = open(context, "s").await?;
    let all = latest(&last).await?.get_versioned("all").await?.map(|(_, value)| value);
    let all = number(all.as_ref());
    ensure!(all == committed, "expected {committed} transactions after reopening, saw {all}");
    context.note(format!("{unknown} of {TRANSACTIONS} outcomes were unknown"));
    ensure!(unknown > 0, "expected some outcomes to be unknown: the suite itself is wrong");
    Ok(())
}

fn key(transaction: u64) -> String {
    format!("t/{transaction:03}")
}

/// Opens the store through a provider with faults, again while those get in the way.
async fn open_through(
    context: &Context,
    faulty: Arc<dyn StorageProvider>,
    options: Options,
) -> Result<Handle, Failure> {
    let place = place(context, faulty, "s")?;
    let mut attempt = 0;
    loop {
        attempt += 1;
        match stores(context).open(place.clone(), options.clone()).await {
            Err(error) if attempt < 100 && matches!(error.kind(), ErrorKind::Storage(_)) => {}
            opened => return Ok(opened?),
        }
    }
}

fn an_id(context: &Context, stream: u64) -> TransactionId {
    let mut id = [0; 16];
    context.rng_of(stream).fill(&mut id[..]);
    TransactionId(id)
}

pub(super) async fn outcome(context: &Context) -> CaseResult {
    let [one, two]: [Handle; 2] = handles(context).await?;
    // Begun, and asked about by somebody else before it commits.
    let slow = one.begin();
    slow.put("x", "slow".into())?;
    let asked = two.outcome(slow.id()).await?;
    ensure!(asked == Outcome::NotCommitted, "not committed yet: expected that, saw {asked:?}");
    let id = slow.id();
    expect("one found not committed", ErrorKind::Cancelled, slow.commit().await)?;
    let again = one.begin();
    again.set_id(id);
    again.put("x", "again".into())?;
    expect("the same id, once more", ErrorKind::Cancelled, again.commit().await)?;
    // Committed, and asked about by everybody.
    let receipt = put(&one, "y", "there").await?;
    let three = open(context, "s").await?;
    for (name, store) in [("one", &one), ("two", &two), ("opened later", &three)] {
        let what = format!("handle {name}");
        for (id, expected) in [
            (id, Outcome::NotCommitted),
            (receipt.transaction_id, Outcome::Committed(receipt.version)),
        ] {
            let outcome = store.outcome(id).await?;
            ensure!(outcome == expected, "{what}: expected {expected:?}, saw {outcome:?}");
        }
        let now = latest(store).await?;
        same(&what, "none", &seen(&now, "x").await?)?;
        same(&what, "there", &seen(&now, "y").await?)?;
    }
    Ok(())
}

pub(super) async fn same_id(context: &Context) -> CaseResult {
    let [one, two]: [Handle; 2] = handles(context).await?;
    let id = an_id(context, 1);
    let send = async |store: &Handle| {
        let tx = store.begin();
        tx.set_id(id);
        tx.merge("n", Merge::Add(1))?;
        tx.commit().await
    };
    // At once on one handle, where both wait together; then by others, later.
    let (first, second) = tokio::join!(send(&one), send(&one));
    let receipts = [first, second];
    let version = receipts.iter().flatten().map(|receipt| receipt.version).min();
    let three = open(context, "s").await?;
    let mut all = Vec::from(receipts);
    for store in [&one, &two, &three] {
        put(store, "other", "in between").await?;
        all.push(send(store).await);
    }
    for (at, answer) in all.into_iter().enumerate() {
        match answer {
            Ok(receipt) => ensure!(
                Some(receipt.version) == version && receipt.transaction_id == id,
                "time {at} with one id: expected the first receipt, of version {version:?}, saw {}",
                receipt.version
            ),
            // Of two that wait together the second may be told to run again.
            Err(error) if at < 2 && error.kind() == ErrorKind::Conflict => {}
            Err(error) => return Err(Failure::from(error).during(format!("time {at} with one id"))),
        }
    }
    for store in [&one, &two, &three] {
        let found = latest(store).await?.get_versioned("n").await?.map(|(_, value)| value);
        ensure!(
            found == Some(bytes_of(1)),
            "one transaction sent five times: expected it to have happened once, saw {}",
            number(found.as_ref())
        );
    }
    Ok(())
}
