//! Transactions that are repeated, asked about, or tied to a condition.

use storage_txn::{At, ErrorKind, Outcome, TransactionId, Version};

use super::two_handles;

#[tokio::test]
async fn a_transaction_with_the_id_of_one_committed_is_not_committed_again() {
    let (one, two) = two_handles().await;
    let id = TransactionId([9; 16]);
    let mut versions = Vec::new();
    for store in [&one, &two, &one] {
        let tx = store.begin();
        tx.set_id(id);
        tx.merge("n", storage_txn::Merge::Add(1)).unwrap();
        versions.push(tx.commit().await.unwrap().version);
    }
    assert_eq!(versions, [Version(1); 3]);
    let n = two.snapshot(At::Latest).await.unwrap().get("n").await.unwrap().unwrap();
    assert_eq!(n, 1_i64.to_le_bytes()[..]);
}

#[tokio::test]
async fn the_outcome_of_a_transaction_is_final() {
    let (one, two) = two_handles().await;
    let (early, late) = (one.begin(), one.begin());
    let ids = [early.id(), late.id()];
    early.put("x", "early").unwrap();
    late.put("x", "late").unwrap();
    early.commit().await.unwrap();
    for _ in 0..2 {
        assert_eq!(two.outcome(ids[0]).await.unwrap(), Outcome::Committed(Version(1)));
        assert_eq!(two.outcome(ids[1]).await.unwrap(), Outcome::NotCommitted);
    }
    assert_eq!(late.commit().await.unwrap_err().kind(), ErrorKind::Cancelled);
    assert_eq!(one.outcome(ids[1]).await.unwrap(), Outcome::NotCommitted);
    let now = two.snapshot(At::Latest).await.unwrap();
    assert_eq!(now.get("x").await.unwrap().unwrap(), "early");
}

#[tokio::test]
async fn a_precondition_is_judged_at_the_end_of_the_log() {
    let (one, two) = two_handles().await;
    let first = one.transact(async |tx| tx.put("x", "1")).await.unwrap().version;
    let require = async |version| {
        let tx = two.begin();
        tx.require("x", version)?;
        tx.put("x", "2")?;
        tx.commit().await
    };
    // The other handle has not read the log since.
    let error = require(None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PreconditionFailed);
    assert_eq!(error.to_string(), "key \"x\" is version 1, not missing");
    one.transact(async |tx| tx.delete("x")).await.unwrap();
    let third = one.transact(async |tx| tx.put("x", "1")).await.unwrap().version;
    assert_eq!(require(Some(first)).await.unwrap_err().kind(), ErrorKind::PreconditionFailed);
    assert!(require(Some(third)).await.unwrap().version > third);
    one.transact(async |tx| tx.delete("x")).await.unwrap();
    require(None).await.unwrap();
}

#[tokio::test]
async fn a_closure_that_gives_up_does_so_only_on_what_is_still_so() {
    let (one, two) = two_handles().await;
    two.transact(async |tx| tx.put("x", "here")).await.unwrap();
    let found = one
        .transact(async |tx| {
            tx.get("x").await?.ok_or_else(|| storage_txn::Error::abort("there is no x"))
        })
        .await
        .unwrap();
    assert_eq!(found.value, "here");
    let error = one
        .transact(async |tx| {
            tx.put("z", "")?;
            tx.get("y").await?.ok_or_else(|| storage_txn::Error::abort("there is no y"))
        })
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Aborted);
    assert_eq!(error.to_string(), "the transaction was given up: there is no y");
    assert_eq!(one.snapshot(At::Latest).await.unwrap().get("z").await.unwrap(), None);
}
