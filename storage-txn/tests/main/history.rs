//! The history of a key.

use storage_txn::{At, Content, ErrorKind, KEY_BYTES_MAX, Merge, Store, Version, Written};

use super::{settle, two_handles};

async fn history(store: &Store, key: &str) -> Vec<(u64, Written)> {
    settle(store).await;
    let revisions = store.history(key).await.unwrap().collect().await.unwrap();
    let tell = |revision: storage_txn::Revision| {
        let commit = revision.commit.expect("nothing was packed away");
        assert_eq!(commit.version, revision.version);
        (revision.version.0, revision.written)
    };
    revisions.into_iter().map(tell).collect()
}

#[tokio::test]
async fn a_history_tells_every_change_newest_first_with_its_commit() {
    let (one, two) = two_handles().await;
    one.transact(async |tx| tx.put("k", "1")).await.unwrap();
    one.transact(async |tx| tx.put("other", "")).await.unwrap();
    one.transact(async |tx| tx.merge("k", Merge::Append("2".into()))).await.unwrap();
    one.transact(async |tx| tx.delete_range("j".."l")).await.unwrap();
    one.transact(async |tx| tx.merge("k", Merge::Append("3".into()))).await.unwrap();
    one.transact(async |tx| tx.delete("k")).await.unwrap();
    one.transact(async |tx| {
        tx.delete_range(..)?;
        tx.put("k", "4")
    })
    .await
    .unwrap();
    let expected = [
        (7, Written::Value("4".into())),
        (6, Written::Deleted),
        (5, Written::Merged("3".into())),
        (4, Written::Deleted),
        (3, Written::Merged("12".into())),
        (1, Written::Value("1".into())),
    ];
    assert_eq!(history(&two, "k").await, expected);
    assert_eq!(history(&one, "never").await, []);
    let then = one.snapshot(At::Version(Version(4))).await.unwrap();
    let then = then.history("k").unwrap().collect().await.unwrap();
    assert_eq!(then.len(), 3, "a snapshot knows nothing of what came later");
    let long = one.history([0; KEY_BYTES_MAX + 1]).await.unwrap_err();
    assert_eq!(long.kind(), ErrorKind::LimitExceeded);
}

#[tokio::test]
async fn a_deletion_of_what_had_no_value_is_not_in_the_history() {
    let (store, _) = two_handles().await;
    for _ in 0..200 {
        store.transact(async |tx| tx.delete_range(..)).await.unwrap();
    }
    assert_eq!(history(&store, "k").await, []);
    let put = store.transact(async |tx| tx.put("k", "")).await.unwrap();
    for _ in 0..200 {
        store.transact(async |tx| tx.delete("k")).await.unwrap();
    }
    let found = history(&store, "k").await;
    assert_eq!(found[0].1, Written::Deleted);
    assert_eq!(found[1..], [(put.version.0, Written::Value("".into()))]);
}

#[tokio::test]
async fn a_number_added_to_what_is_none_is_seen_in_the_history() {
    let (store, _) = two_handles().await;
    store.transact(async |tx| tx.put("k", "text")).await.unwrap();
    store.transact(async |tx| tx.merge("k", Merge::Add(1))).await.unwrap();
    store.transact(async |tx| tx.merge("k", Merge::Append("x".into()))).await.unwrap();
    store.transact(async |tx| tx.put("k", "good again")).await.unwrap();
    let expected = [
        (4, Written::Value("good again".into())),
        (3, Written::NotANumber),
        (2, Written::NotANumber),
        (1, Written::Value("text".into())),
    ];
    assert_eq!(history(&store, "k").await, expected);
}

/// More changes than are looked at together, of every kind: as many as there are ways for the border between two
/// pages to lie.
#[tokio::test]
async fn a_long_history_is_what_each_version_reads() {
    let (store, _) = two_handles().await;
    let mut dice = 7_u64;
    for number in 0..400_u64 {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let write = async |tx: storage_txn::Transaction| match (dice >> 33) % 8 {
            0 => tx.delete("k"),
            1 => tx.delete_range("a".."z"),
            2 | 3 => tx.put("k", number.to_le_bytes().to_vec()),
            _ => tx.merge("k", Merge::Add(1)),
        };
        store.transact(write).await.unwrap();
        let mut expected = Vec::new();
        if number % 50 != 49 {
            continue;
        }
        let mut before = None;
        let last = store.snapshot(At::Latest).await.unwrap().version().0;
        for version in 1..=last {
            let then = store.snapshot(At::Version(Version(version))).await.unwrap();
            let value = then.get("k").await.unwrap();
            let commit = store.commit_info(Version(version)).await.unwrap();
            if commit.changes_keys() && (before.is_some() || value.is_some()) {
                expected.push((version, value.clone()));
            }
            before = value;
        }
        expected.reverse();
        let found: Vec<_> = history(&store, "k").await;
        let value = |what: &Written| what.value().and_then(Content::inline).cloned();
        let found: Vec<_> = found.iter().map(|(at, what)| (*at, value(what))).collect();
        assert_eq!(found, expected, "after {number}");
    }
}

#[tokio::test]
async fn a_thousand_merges_add_up_in_the_history() {
    let (store, _) = two_handles().await;
    for _ in 0..1000 {
        store.transact(async |tx| tx.merge("n", Merge::Add(1))).await.unwrap();
    }
    let expected: Vec<_> = (1..=1000_u64)
        .rev()
        .map(|number| (number, Written::Merged(number.to_le_bytes().to_vec().into())))
        .collect();
    assert_eq!(history(&store, "n").await, expected);
}
