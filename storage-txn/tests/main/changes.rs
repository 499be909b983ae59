//! What commits changed, key by key.

use bytes::Bytes;
use storage_txn::{At, ChangedKey, ErrorKind, Merge, Store, Version};

use super::{settle, two_handles};

/// A key, and what it was before and after: version and value.
type Told = (&'static str, Option<(u64, &'static str)>, Option<(u64, &'static str)>);

fn expected(told: &[Told]) -> Vec<ChangedKey> {
    let side = |side: Option<(u64, &'static str)>| {
        side.map(|(version, value)| (Version(version), value.into()))
    };
    let key = |(key, before, after): &Told| ChangedKey {
        key: Bytes::from(*key),
        before: side(*before),
        after: side(*after),
    };
    told.iter().map(key).collect()
}

async fn check(store: &Store, since: u64, upto: u64, told: &[(u64, &[Told])]) {
    let mut changes = store.changes(Version(since), Version(upto)).await.unwrap();
    for (version, keys) in told {
        let change = changes.next().await.unwrap().unwrap();
        assert_eq!(change.commit().version, Version(*version));
        assert_eq!(change.before().version(), Version(version - 1));
        assert_eq!(change.after().version(), Version(*version));
        let found = change.keys().unwrap().collect().await.unwrap();
        assert_eq!(found, expected(keys), "version {version}");
    }
    assert!(changes.next().await.unwrap().is_none());
}

#[tokio::test]
async fn each_commit_tells_its_keys_with_what_they_were_before_and_after() {
    let (one, two) = two_handles().await;
    one.transact(async |tx| ["a", "b", "c", "d"].iter().try_for_each(|key| tx.put(key, *key)))
        .await
        .unwrap();
    one.transact(async |tx| {
        tx.put("b", "B")?;
        tx.delete("missing")?;
        tx.merge("d", Merge::Append("+".into()))
    })
    .await
    .unwrap();
    one.outcome(storage_txn::TransactionId([1; 16])).await.unwrap();
    one.transact(async |tx| {
        tx.delete_range("c".."z")?;
        tx.delete_range("b".."d")?;
        tx.delete_range("x".."zz")?;
        tx.put("c", "new")?;
        tx.put("y", "new")
    })
    .await
    .unwrap();
    let first: &[Told] = &[
        ("a", None, Some((1, "a"))),
        ("b", None, Some((1, "b"))),
        ("c", None, Some((1, "c"))),
        ("d", None, Some((1, "d"))),
    ];
    let second: &[Told] =
        &[("b", Some((1, "b")), Some((2, "B"))), ("d", Some((1, "d")), Some((2, "d+")))];
    let fourth: &[Told] = &[
        ("b", Some((2, "B")), None),
        ("c", Some((1, "c")), Some((4, "new"))),
        ("d", Some((2, "d+")), None),
        ("y", None, Some((4, "new"))),
    ];
    settle(&one).await;
    check(&two, 0, 4, &[(1, first), (2, second), (4, fourth)]).await;
    check(&two, 1, 2, &[(2, second)]).await;
    check(&two, 2, 3, &[]).await;
    check(&two, 4, 4, &[]).await;
    let all = two.changes(Version(1), Version(3)).await.unwrap().with_maintenance();
    assert_eq!(all.collect().await.unwrap().len(), 2);
}

#[tokio::test]
async fn changes_that_are_not_there_say_so() {
    let (store, _) = two_handles().await;
    store.transact(async |tx| tx.put("a", "")).await.unwrap();
    for (since, upto, message) in [
        (1, 0, "there are no changes from version 1 to 0"),
        (0, 2, "the last version is 1, and not yet 2"),
        (u64::MAX, 1, "there are no changes from version 18446744073709551615 to 1"),
    ] {
        let error = store.changes(Version(since), Version(upto)).await.unwrap_err();
        assert_eq!((error.kind(), &error.to_string()[..]), (ErrorKind::NoSuchVersion, message));
    }
}

#[tokio::test]
async fn a_key_that_cannot_be_read_is_told_and_the_next_one_comes_after_it() {
    let (store, _) = two_handles().await;
    store
        .transact(async |tx| {
            tx.put("a", "text")?;
            tx.put("b", "text")
        })
        .await
        .unwrap();
    store
        .transact(async |tx| {
            tx.merge("a", Merge::Add(1))?;
            tx.put("b", "B")
        })
        .await
        .unwrap();
    settle(&store).await;
    let change = store.changes(Version(1), Version(2)).await.unwrap().next().await.unwrap();
    let mut keys = change.unwrap().keys().unwrap();
    assert_eq!(keys.next().await.unwrap_err().kind(), ErrorKind::NotANumber);
    assert_eq!(keys.next().await.unwrap().unwrap().key, "b");
    assert_eq!(keys.next().await.unwrap(), None);
}

/// A copy that follows the feed is the same store in the end.
#[tokio::test]
async fn changes_applied_in_order_make_a_copy() {
    let (one, two) = two_handles().await;
    let (copy, _) = two_handles().await;
    for number in 0..300_u64 {
        one.transact(async |tx| match number % 11 {
            10 => tx.delete_range(format!("{}", number % 3)..format!("{}", number % 5)),
            9 => tx.merge(format!("{}", number % 7), Merge::Append("+".into())),
            8 => tx.delete(format!("{}", number % 7)),
            _ => tx.put(format!("{}", number % 7), format!("{number}")),
        })
        .await
        .unwrap();
    }
    settle(&one).await;
    let upto = two.snapshot(At::Latest).await.unwrap().version();
    let mut changes = two.changes(Version::ZERO, upto).await.unwrap();
    while let Some(change) = changes.next().await.unwrap() {
        let keys = change.keys().unwrap().collect().await.unwrap();
        copy.transact(async |tx| {
            for key in &keys {
                match &key.after {
                    Some((_, value)) => tx.put(&key.key, value.inline().unwrap().clone())?,
                    None => tx.delete(&key.key)?,
                }
            }
            Ok(())
        })
        .await
        .unwrap();
    }
    let all = async |store: &Store| {
        let now = store.snapshot(At::Latest).await.unwrap();
        let items = now.scan(&storage_txn::Scan::new(..)).await.unwrap().collect().await.unwrap();
        items.into_iter().map(|item| (item.key, item.value)).collect::<Vec<_>>()
    };
    assert_eq!(all(&copy).await, all(&one).await);
    assert!(!all(&copy).await.is_empty());
}
