//! Writes that depend on nothing read, or on exactly what they say.

use bytes::Bytes;
use storage_txn::{ErrorKind, KeyRange, Merge};
use tokio::task::JoinSet;

use super::{Handle, expect, handles, latest, number, put, read, same, seen};
use crate::{CaseResult, Context, Failure, ensure};

pub(super) async fn blind(context: &Context) -> CaseResult {
    let [one, two]: [Handle; 2] = handles(context).await?;
    for round in 0..4 {
        let (a, b) = (one.begin(), two.begin());
        for (tx, value) in [(&a, "a"), (&b, "b")] {
            tx.put("x", format!("{value}{round}").into())?;
            tx.delete("y")?;
            tx.merge("n", Merge::Add(1))?;
            tx.delete_range(KeyRange::prefix("z"))?;
        }
        for (tx, name) in [(a, "the first"), (b, "the second")] {
            let answer = tx.commit().await;
            ensure!(
                answer.is_ok(),
                "{name} of two that read nothing: expected a commit, saw {:?}",
                answer.err().map(|error| error.to_string())
            );
        }
        let x = seen(&latest(&one).await?, "x").await?;
        same("the later of two blind writes", &format!("b{round}"), &x)?;
    }
    Ok(())
}

pub(super) async fn disjoint(context: &Context) -> CaseResult {
    let handles: [Handle; 3] = handles(context).await?;
    let mut tasks = JoinSet::new();
    let rounds = 5;
    for (writer, store) in handles.iter().enumerate() {
        let store = store.clone();
        tasks.spawn(async move {
            let key = format!("own/{writer}");
            for round in 0..rounds {
                let tx = store.begin();
                let value = tx.get(&key).await?;
                tx.put(&key, super::bytes_of(number(value.as_ref()) + 1))?;
                tx.commit().await.map_err(|error| {
                    Failure::from(error)
                        .during(format!("{key}, round {round}, which nobody else uses"))
                })?;
            }
            Ok::<_, Failure>(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.map_err(|error| Failure::new(error.to_string()))??;
    }
    let now = latest(&handles[0]).await?;
    for writer in 0..handles.len() {
        let found = now.get_versioned(&format!("own/{writer}")).await?.map(|(_, value)| value);
        let found = number(found.as_ref());
        ensure!(found == rounds, "writer {writer} raised its key {rounds} times: saw {found}");
    }
    Ok(())
}

pub(super) async fn merges(context: &Context) -> CaseResult {
    let handles: [Handle; 3] = handles(context).await?;
    let mut tasks = JoinSet::new();
    let (merges, mut expected) = (6_u8, Vec::new());
    for (writer, store) in handles.iter().enumerate() {
        expected.extend((0..merges).map(|merge| [b'a' + writer as u8, merge]));
        let store = store.clone();
        tasks.spawn(async move {
            for merge in 0..merges {
                let tx = store.begin();
                tx.merge("sum", Merge::Add(3))?;
                tx.merge("max", Merge::Max(i64::from(merge) * 10 + writer as i64))?;
                let two = [b'a' + writer as u8, merge];
                tx.merge("list", Merge::Append(Bytes::copy_from_slice(&two)))?;
                tx.commit().await?;
            }
            Ok::<_, Failure>(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.map_err(|error| Failure::new(error.to_string()))??;
    }
    let tx = handles[1].begin();
    tx.merge("sum", Merge::Add(1))?;
    tx.commit().await?;
    let now = latest(&handles[2]).await?;
    let value = async |key| Ok::<_, Failure>(now.get_versioned(key).await?.map(|(_, value)| value));
    let (sum, max) = (number(value("sum").await?.as_ref()), number(value("max").await?.as_ref()));
    let count = i64::from(merges) * 3;
    ensure!(sum == count * 3 + 1, "{count} times 3 and once 1: saw {sum}");
    ensure!(max == i64::from(merges - 1) * 10 + 2, "the maximum: saw {max}");
    let list = value("list").await?.unwrap_or_default();
    let mut found: Vec<_> = list.chunks(2).map(<[u8]>::to_vec).collect();
    found.sort();
    ensure!(found == expected, "{count} bytes appended: saw {} of them", found.len());
    Ok(())
}

pub(super) async fn delete_range(context: &Context) -> CaseResult {
    let [one, two]: [Handle; 2] = handles(context).await?;
    for key in ["a", "b1", "b2", "c"] {
        put(&one, key, "0").await?;
    }
    latest(&two).await?;
    let tx = one.begin();
    tx.delete_range(KeyRange::prefix("b"))?;
    tx.put("b9", "own".into())?;
    same("a key of a range deleted, for itself", "none", &read(&tx, "b1").await?)?;
    same("a key put after the range was deleted, for itself", "own", &read(&tx, "b9").await?)?;
    // Comes into the range after it was said, and before the commit; nothing was read, so nothing conflicts.
    put(&two, "b3", "between").await?;
    let after = two.begin();
    // Reading is no part of deleting.
    let reads_nothing = one.begin();
    reads_nothing.put("~", "0".into())?;
    reads_nothing.commit().await?;
    // It has read two keys of its own range, of which neither was changed.
    tx.commit().await?;
    after.put("b4", "later".into())?;
    after.commit().await?;
    let now = latest(&two).await?;
    for (key, expected) in [
        ("a", "0"),
        ("b1", "none"),
        ("b2", "none"),
        ("b3", "none"),
        ("b4", "later"),
        ("b9", "own"),
        ("c", "0"),
    ] {
        same(&format!("{key}, after b* was deleted"), expected, &seen(&now, key).await?)?;
    }
    Ok(())
}

pub(super) async fn required(context: &Context) -> CaseResult {
    let [one, two]: [Handle; 2] = handles(context).await?;
    let first = put(&one, "x", "1").await?.version;
    latest(&two).await?;
    let refused = ErrorKind::PreconditionFailed;
    let on = |store: &Handle, key: &str, version, value: &'static str| {
        let tx = store.begin();
        let asked = tx.require(key, version).and_then(|()| tx.put("x", value.into()));
        (tx, asked)
    };
    // Both hold while they are said; the first to commit makes the other one fail.
    let (early, asked) = on(&one, "x", Some(first), "early");
    asked?;
    let (late, asked) = on(&two, "x", Some(first), "late");
    asked?;
    let second = early.commit().await?.version;
    expect("version 1 was required, which is gone", refused, late.commit().await)?;
    let (there, asked) = on(&two, "x", None, "created");
    asked?;
    expect("x was required to be missing", refused, there.commit().await)?;
    let (missing, asked) = on(&one, "y", Some(second), "never");
    asked?;
    expect("y was required to be there", refused, missing.commit().await)?;
    same("after three refusals", "early", &seen(&latest(&two).await?, "x").await?)?;
    let (created, asked) = on(&two, "y", None, "created");
    asked?;
    created.commit().await?;
    same("y was missing as required", "created", &seen(&latest(&one).await?, "x").await?)
}
