//! The anomalies of reads and writes of keys, by name.

use storage_txn::{At, ErrorKind, Version};
use tokio::task::JoinSet;

use super::{
    Handle, Tx, bytes_of, expect, handles, latest, number, put, read, same, seen, transact,
};
use crate::{CaseResult, Context, Failure, ensure};

/// How many tries there are where two must meet.
const ROUNDS: usize = 6;

pub(super) async fn dirty_write(context: &Context) -> CaseResult {
    let [one, two]: [Handle; 2] = handles(context).await?;
    for round in 0..ROUNDS {
        // On one handle, and on two.
        let (a, b) = (one.begin(), if round % 2 == 0 { one.begin() } else { two.begin() });
        for (tx, value, keys) in [(&a, "a", ["x", "y"]), (&b, "b", ["y", "x"])] {
            for key in keys {
                tx.put(key, format!("{value}{round}").into())?;
            }
        }
        let (first, second) = tokio::join!(a.commit(), b.commit());
        let last = first?.version.max(second?.version);
        let now = latest(&two).await?;
        let (x, y) = (seen(&now, "x").await?, seen(&now, "y").await?);
        ensure!(
            x == y,
            "two transactions wrote both x and y: expected one of them to be last in both, saw \
             x = {x} and y = {y} at version {last}"
        );
    }
    Ok(())
}

pub(super) async fn dirty_read(context: &Context) -> CaseResult {
    let [one, two]: [Handle; 2] = handles(context).await?;
    put(&one, "x", "0").await?;
    let writer = one.begin();
    for value in ["1", "2"] {
        writer.put("x", value.into())?;
        same("what a transaction has written, read by itself", value, &read(&writer, "x").await?)?;
        for (name, store) in [("its own handle", &one), ("another handle", &two)] {
            let now = latest(store).await?;
            same(&format!("before the commit, {name}"), "0", &seen(&now, "x").await?)?;
            let reader = store.begin();
            same(&format!("before the commit, {name}"), "0", &read(&reader, "x").await?)?;
        }
    }
    writer.commit().await?;
    same("after the commit", "2", &seen(&latest(&two).await?, "x").await?)?;
    // One that ends in a conflict, and one that is dropped.
    let loser = one.begin();
    read(&loser, "x").await?;
    loser.put("x", "lost".into())?;
    loser.put("y", "lost".into())?;
    put(&two, "x", "3").await?;
    expect("what it read has changed", ErrorKind::Conflict, loser.commit().await)?;
    let dropped = two.begin();
    dropped.put("y", "dropped".into())?;
    drop(dropped);
    for store in [&one, &two] {
        let now = latest(store).await?;
        same("after a conflict", "3", &seen(&now, "x").await?)?;
        same("after a conflict and a transaction dropped", "none", &seen(&now, "y").await?)?;
    }
    Ok(())
}

pub(super) async fn fuzzy_read(context: &Context) -> CaseResult {
    let [one, two]: [Handle; 2] = handles(context).await?;
    put(&one, "x", "0").await?;
    let (snapshot, reader) = (latest(&one).await?, one.begin());
    for value in ["1", "2"] {
        same("a snapshot", "0", &seen(&snapshot, "x").await?)?;
        same("a transaction", "0", &read(&reader, "x").await?)?;
        put(&two, "x", value).await?;
        // Now the handle knows.
        same("a latest snapshot", value, &seen(&latest(&one).await?, "x").await?)?;
    }
    same("a snapshot, after others wrote", "0", &seen(&snapshot, "x").await?)?;
    same("a transaction, after others wrote", "0", &read(&reader, "x").await?)
}

pub(super) async fn lost_update(context: &Context) -> CaseResult {
    let [one, two]: [Handle; 2] = handles(context).await?;
    put(&one, "x", "0").await?;
    latest(&two).await?;
    let (a, b) = (one.begin(), two.begin());
    for tx in [&a, &b] {
        let value = read(tx, "x").await?;
        tx.put("x", format!("{value} and more").into())?;
    }
    a.commit().await?;
    expect("the second of two that read x and write it", ErrorKind::Conflict, b.commit().await)?;
    let mut tasks = JoinSet::new();
    let (raisers, raises) = (4, 5);
    for raiser in 0..raisers {
        let store = if raiser % 2 == 0 { one.clone() } else { two.clone() };
        tasks.spawn(async move {
            for _ in 0..raises {
                transact(&store, async |tx: Tx| {
                    let value = tx.get("n").await?;
                    // Lets the others in between.
                    tokio::task::yield_now().await;
                    tx.put("n", bytes_of(number(value.as_ref()) + 1))
                })
                .await?;
            }
            Ok::<_, Failure>(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.map_err(|error| Failure::new(error.to_string()))??;
    }
    let found = latest(&two).await?.get_versioned("n").await?.map(|(_, value)| value);
    let (found, expected) = (number(found.as_ref()), raisers * raises);
    ensure!(found == expected, "a counter raised {expected} times: saw {found}");
    Ok(())
}

pub(super) async fn read_skew(context: &Context) -> CaseResult {
    let [one, two]: [Handle; 2] = handles(context).await?;
    let both = async |store: &Handle, value: &str| {
        let tx = store.begin();
        tx.put("x", value.to_owned().into())?;
        tx.put("y", value.to_owned().into())?;
        tx.commit().await
    };
    both(&one, "old").await?;
    let reader = one.begin();
    let x = read(&reader, "x").await?;
    both(&two, "new").await?;
    // Now its handle knows of both.
    latest(&one).await?;
    let y = read(&reader, "y").await?;
    ensure!(
        x == y,
        "x and y are always written together: saw x = {x} and y = {y} in one transaction"
    );
    reader.put("sum", format!("{x} {y}").into())?;
    expect("one that writes what it made of old values", ErrorKind::Conflict, reader.commit().await)
}

pub(super) async fn write_skew(context: &Context) -> CaseResult {
    let [one, two]: [Handle; 2] = handles(context).await?;
    for doctor in ["alice", "bob"] {
        put(&one, doctor, "on call").await?;
    }
    latest(&two).await?;
    let (a, b) = (one.begin(), two.begin());
    for (tx, leaves) in [(&a, "alice"), (&b, "bob")] {
        for doctor in ["alice", "bob"] {
            same(doctor, "on call", &read(tx, doctor).await?)?;
        }
        tx.put(leaves, "at home".into())?;
    }
    a.commit().await?;
    expect("the second of two doctors who leave", ErrorKind::Conflict, b.commit().await)?;
    // The same where the keys are missing.
    let (a, b) = (one.begin(), two.begin());
    for (tx, reads, writes) in [(&a, "u", "v"), (&b, "v", "u")] {
        same(reads, "none", &read(tx, reads).await?)?;
        tx.put(writes, "there".into())?;
    }
    b.commit().await?;
    expect("one that wrote since it found v missing", ErrorKind::Conflict, a.commit().await)
}

/// Fekete, O'Neil and O'Neil, "A read-only transaction anomaly under snapshot isolation", 2004: the bank account whose
/// owner saw a deposit before a withdrawal that was charged as if there had been none.
pub(super) async fn read_only(context: &Context) -> CaseResult {
    let [one, two, three]: [Handle; 3] = handles(context).await?;
    for account in ["checking", "savings"] {
        transact(&one, async |tx: Tx| tx.put(account, bytes_of(0))).await?;
    }
    latest(&two).await?;
    let withdrawal = two.begin();
    let mut sum = 0;
    for account in ["checking", "savings"] {
        sum += number(withdrawal.get(account).await?.as_ref());
    }
    let deposit = transact(&one, async |tx: Tx| {
        let before = tx.get("savings").await?;
        tx.put("savings", bytes_of(number(before.as_ref()) + 20))
    });
    let deposited = deposit.await?.version;
    latest(&three).await?;
    let owner = three.begin();
    let (checking, savings) = (owner.get("checking").await?, owner.get("savings").await?);
    let (checking, savings) = (number(checking.as_ref()), number(savings.as_ref()));
    ensure!(
        (checking, savings) == (0, 20),
        "the owner, after the deposit: expected 0 and 20, saw {checking} and {savings}"
    );
    let seen_at = owner.commit().await?.version;
    ensure!(seen_at >= deposited, "the owner saw version {deposited}, and was told {seen_at}");
    // Ten are withdrawn, and one is charged, for the sum is less.
    withdrawal.put("checking", bytes_of(if sum < 10 { -11 } else { -10 }))?;
    expect(
        "a withdrawal that was charged on what it read before the deposit",
        ErrorKind::Conflict,
        withdrawal.commit().await,
    )?;
    let then = one.snapshot(At::Version(Version(seen_at.0))).await?;
    let savings = then.get_versioned("savings").await?.map(|(_, value)| value);
    ensure!(number(savings.as_ref()) == 20, "version {seen_at} is not what the owner saw");
    Ok(())
}
