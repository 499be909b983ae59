//! No anomaly that has a name can happen, and no transaction fails that need not.

use storage_txn::{At, ErrorKind, KeyRange, Merge, Receipt, Result, Scan, Store, Transaction};

use super::two_handles;

async fn put(store: &Store, key: &str, value: &str) {
    store.transact(async |tx| tx.put(key, value.to_owned())).await.unwrap();
}

async fn text(tx: &Transaction, key: &str) -> String {
    let value = tx.get(key).await.unwrap().unwrap_or_default();
    String::from_utf8(value.to_vec()).unwrap()
}

fn is_conflict(result: Result<Receipt>) {
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Conflict);
}

#[tokio::test]
async fn of_two_that_read_and_write_one_key_only_one_commits() {
    let (one, two) = two_handles().await;
    put(&one, "x", "0").await;
    two.snapshot(At::Latest).await.unwrap();
    let (a, b) = (one.begin(), two.begin());
    assert_eq!((text(&a, "x").await, text(&b, "x").await), ("0".into(), "0".into()));
    a.put("x", "a").unwrap();
    b.put("x", "b").unwrap();
    a.commit().await.unwrap();
    is_conflict(b.commit().await);
}

#[tokio::test]
async fn of_two_that_each_write_what_the_other_has_read_only_one_commits() {
    let (one, two) = two_handles().await;
    let (a, b) = (one.begin(), two.begin());
    assert_eq!(text(&a, "x").await + &text(&b, "y").await, "");
    a.put("y", "a").unwrap();
    b.put("x", "b").unwrap();
    a.commit().await.unwrap();
    is_conflict(b.commit().await);
}

#[tokio::test]
async fn a_key_that_appears_in_a_range_found_empty_is_a_conflict() {
    let (one, two) = two_handles().await;
    for scan in [
        Scan::new("a".."c"),
        Scan::new("a".."c").backward(),
        Scan::new("a".."c").limit(1),
        Scan::new(KeyRange::prefix("b")),
    ] {
        let a = one.begin();
        assert_eq!(a.scan(&scan).await.unwrap(), [], "{scan:?}");
        a.put("seen", "empty").unwrap();
        put(&two, "b", "here").await;
        is_conflict(a.commit().await);
        two.transact(async |tx| tx.delete("b")).await.unwrap();
        one.snapshot(At::Latest).await.unwrap();
    }
}

#[tokio::test]
async fn what_lies_beyond_the_limit_of_a_scan_is_not_read() {
    let (one, two) = two_handles().await;
    for key in ["b", "d", "f"] {
        put(&one, key, "0").await;
    }
    for (scan, beyond, within) in [
        (Scan::new("a".."z").limit(2), "e", "c"),
        (Scan::new("a".."z").limit(2).backward(), "c", "e"),
    ] {
        for (key, conflicts) in [(beyond, false), (within, true)] {
            one.snapshot(At::Latest).await.unwrap();
            let a = one.begin();
            assert_eq!(a.scan(&scan).await.unwrap().len(), 2);
            a.put("~", "1").unwrap();
            put(&two, key, "new").await;
            assert_eq!(a.commit().await.is_err(), conflicts, "{scan:?} {key}");
            two.transact(async |tx| tx.delete(key)).await.unwrap();
        }
    }
}

#[tokio::test]
async fn blind_writes_and_merges_never_conflict() {
    let (one, two) = two_handles().await;
    for round in 0..5 {
        let (a, b) = (one.begin(), two.begin());
        for (tx, value) in [(&a, "a"), (&b, "b")] {
            tx.put("x", value).unwrap();
            tx.merge("n", Merge::Add(10)).unwrap();
            tx.merge("m", Merge::Max(round)).unwrap();
            tx.merge("l", Merge::Append(value.into())).unwrap();
        }
        a.commit().await.unwrap();
        b.commit().await.unwrap();
    }
    let now = one.snapshot(At::Latest).await.unwrap();
    assert_eq!(now.get("x").await.unwrap().unwrap(), "b");
    assert_eq!(now.get("n").await.unwrap().unwrap(), 100_i64.to_le_bytes()[..]);
    assert_eq!(now.get("m").await.unwrap().unwrap(), 4_i64.to_le_bytes()[..]);
    assert_eq!(now.get("l").await.unwrap().unwrap(), "ababababab");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transfers_from_many_tasks_on_two_handles_keep_the_sum() {
    let (one, two) = two_handles().await;
    let number = |value: Option<bytes::Bytes>| -> i64 {
        value.map_or(0, |value| i64::from_le_bytes(value[..].try_into().unwrap()))
    };
    let mut tasks = Vec::new();
    for task in 0..8_u8 {
        let store = if task % 2 == 0 { one.clone() } else { two.clone() };
        tasks.push(tokio::spawn(async move {
            for round in 0..20_u8 {
                let (from, to) = ([(task + round) % 5], [(task * 3 + round + 1) % 5]);
                let transfer = store.transact(async |tx| {
                    let (a, b) = (number(tx.get(from).await?), number(tx.get(to).await?));
                    if from != to {
                        tx.put(from, (a - 1).to_le_bytes().to_vec())?;
                        tx.put(to, (b + 1).to_le_bytes().to_vec())?;
                    }
                    Ok(())
                });
                transfer.await.unwrap();
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let items = one.snapshot(At::Latest).await.unwrap();
    let items = items.scan(&Scan::new(..)).await.unwrap().collect().await.unwrap();
    let sum: i64 = items.into_iter().map(|item| number(Some(item.value))).sum();
    assert_eq!(sum, 0);
}
