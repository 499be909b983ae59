//! Undoing a transaction.

use storage_txn::{At, CommitRef, Error, ErrorKind, Merge, Scan, Store, TransactionId, Version};

use super::{settle, two_handles};

async fn all(store: &Store) -> Vec<(String, String)> {
    settle(store).await;
    let now = store.snapshot(At::Latest).await.unwrap();
    let items = now.scan(&Scan::new(..)).await.unwrap().collect().await.unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    items.iter().map(|item| (text(&item.key), text(&item.value))).collect()
}

async fn fill(store: &Store) {
    store
        .transact(async |tx| ["a", "b", "c", "d"].iter().try_for_each(|key| tx.put(key, *key)))
        .await
        .unwrap();
    store.transact(async |tx| tx.merge("d", Merge::Append("+".into()))).await.unwrap();
}

fn is_refused(error: Error, message: &str) {
    assert_eq!((error.kind(), &error.to_string()[..]), (ErrorKind::PreconditionFailed, message));
}

#[tokio::test]
async fn whatever_was_done_is_undone_and_undone_again_comes_back() {
    let (one, two) = two_handles().await;
    fill(&one).await;
    type Deed = fn(&storage_txn::Transaction) -> storage_txn::Result<()>;
    let deeds: [(&str, Deed); 7] = [
        ("puts over a value and beside it", |tx| tx.put("a", "A").and(tx.put("new", "n"))),
        ("deletes a key and one that is missing", |tx| tx.delete("b").and(tx.delete("none"))),
        ("merges into a value", |tx| tx.merge("a", Merge::Append("+".into()))),
        ("merges into nothing", |tx| tx.merge("n", Merge::Append("+".into()))),
        ("merges into what was merged", |tx| tx.merge("d", Merge::Append("+".into()))),
        ("empties a range", |tx| tx.delete_range("b".."d")),
        ("empties everything and starts anew", |tx| {
            tx.delete_range("c"..)?;
            tx.delete_range(..)?;
            tx.put("c", "C").and(tx.put("z", "Z"))
        }),
    ];
    for (name, deed) in deeds {
        let before = all(&one).await;
        let done = one.transact(async |tx| deed(&tx)).await.unwrap();
        let after = all(&one).await;
        assert_ne!(before, after, "{name}");
        let undone = two.undo(done.version).await.unwrap();
        assert_eq!(all(&one).await, before, "{name}");
        let redone = one.undo(undone.transaction_id).await.unwrap();
        assert_eq!(all(&two).await, after, "{name}");
        let undone = two.undo(redone.version).await.unwrap();
        assert_eq!(all(&one).await, before, "{name}");
        assert!(undone.version.0 >= done.version.0 + 3, "each is a commit of its own");
    }
}

/// A range that was emptied, or a key that was deleted, counted as a change of keys that were not there any more.
#[tokio::test]
async fn a_deletion_of_what_is_not_there_is_not_in_the_way_of_an_undo() {
    let (one, two) = two_handles().await;
    fill(&one).await;
    let done = one.transact(async |tx| tx.delete("a").and(tx.delete("b"))).await.unwrap();
    two.transact(async |tx| tx.delete_range("a".."c")).await.unwrap();
    for _ in 0..200 {
        two.transact(async |tx| tx.delete("b")).await.unwrap();
    }
    let undone = one.undo(done.version).await.unwrap();
    let restored = all(&one).await;
    assert_eq!(restored[..2], [("a".into(), "a".into()), ("b".into(), "b".into())]);
    // But what was there in between was changed.
    two.transact(async |tx| tx.delete_range("a".."c")).await.unwrap();
    let error = one.undo(undone.version).await.unwrap_err();
    let expected =
        format!("version {} cannot be undone: changed since: \"a\", \"b\"", undone.version);
    is_refused(error, &expected);
    let emptied = one.transact(async |tx| tx.delete_range("c"..)).await.unwrap();
    two.transact(async |tx| tx.put("c", "in between")).await.unwrap();
    two.transact(async |tx| tx.delete_range(..)).await.unwrap();
    let error = one.undo(emptied.version).await.unwrap_err();
    let expected = format!("version {} cannot be undone: changed since: \"c\"", emptied.version);
    is_refused(error, &expected);
}

#[tokio::test]
async fn what_was_changed_since_is_not_undone_but_named() {
    let (one, two) = two_handles().await;
    fill(&one).await;
    let done = one.transact(async |tx| tx.delete_range("a".."d")).await.unwrap();
    two.transact(async |tx| tx.put("b", "theirs")).await.unwrap();
    two.transact(async |tx| tx.put("bb", "beside")).await.unwrap();
    let before = all(&two).await;
    // The handle that undoes has not heard of it.
    let error = one.undo(done.version).await.unwrap_err();
    is_refused(error, "version 3 cannot be undone: changed since: \"b\"");
    two.transact(async |tx| tx.delete_range("a".."bb")).await.unwrap();
    // Of `a` there was nothing left to take away.
    let error = two.undo(done.transaction_id).await.unwrap_err();
    is_refused(error, "version 3 cannot be undone: changed since: \"b\"");
    assert_ne!(before, all(&two).await);
}

#[tokio::test]
async fn what_came_into_a_range_that_had_been_emptied_stays() {
    let (one, two) = two_handles().await;
    fill(&one).await;
    let done = one.transact(async |tx| tx.delete_range(..)).await.unwrap();
    two.transact(async |tx| tx.put("bb", "beside")).await.unwrap();
    one.undo(done.version).await.unwrap();
    let keys: Vec<_> = all(&two).await.into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, ["a", "b", "bb", "c", "d"]);
}

#[tokio::test]
async fn a_merge_is_not_undone_when_another_came_after_it() {
    let (one, _) = two_handles().await;
    let first = one.transact(async |tx| tx.merge("n", Merge::Add(1))).await.unwrap();
    let second = one.transact(async |tx| tx.merge("n", Merge::Add(1))).await.unwrap();
    let error = one.undo(first.version).await.unwrap_err();
    is_refused(error, "version 1 cannot be undone: changed since: \"n\"");
    one.undo(second.version).await.unwrap();
    let n = one.snapshot(At::Known).await.unwrap().get("n").await.unwrap().unwrap();
    assert_eq!(n, 1_i64.to_le_bytes()[..]);
}

#[tokio::test]
async fn many_keys_that_were_changed_since_are_counted() {
    let (one, _) = two_handles().await;
    let put = async |tx: storage_txn::Transaction| (10..30).try_for_each(|n| tx.put([n], ""));
    let done = one.transact(put).await.unwrap();
    one.transact(put).await.unwrap();
    let error = one.undo(done.version).await.unwrap_err().to_string();
    assert!(error.starts_with("version 1 cannot be undone: changed since: \"\\n\", \"\\x0b\", "));
    assert!(error.ends_with(", \"\\x11\" and 12 more"), "{error}");
}

#[tokio::test]
async fn there_must_be_something_to_undo() {
    let (one, two) = two_handles().await;
    one.outcome(TransactionId([1; 16])).await.unwrap();
    let error = two.undo(Version(1)).await.unwrap_err();
    is_refused(error, "version 1 has changed no key, so there is nothing to undo");
    let missing: [CommitRef; 3] =
        [Version(0).into(), Version(2).into(), TransactionId([2; 16]).into()];
    for what in missing {
        assert_eq!(two.undo(what).await.unwrap_err().kind(), ErrorKind::NoSuchVersion);
    }
}

#[tokio::test]
async fn an_undo_is_part_of_a_transaction_if_one_likes() {
    let (one, two) = two_handles().await;
    let done = one
        .transact(async |tx| {
            tx.set_message("a mistake");
            tx.put("a", "1")
        })
        .await
        .unwrap();
    let tx = one.begin();
    assert_eq!(tx.undo(done.version).await.unwrap().message, "a mistake");
    assert_eq!(tx.get("a").await.unwrap(), None);
    // Somebody changes the key before it is committed.
    two.transact(async |tx| tx.put("a", "2")).await.unwrap();
    assert_eq!(tx.commit().await.unwrap_err().kind(), ErrorKind::Conflict);
    let tx = one.begin();
    tx.put("b", "kept").unwrap();
    let error = tx.undo(done.version).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PreconditionFailed);
    tx.commit().await.unwrap();
    assert_eq!(all(&two).await, [("a".into(), "2".into()), ("b".into(), "kept".into())]);
}

#[tokio::test]
async fn an_undo_says_in_the_history_what_it_undoes() {
    let (one, _) = two_handles().await;
    for (message, expected) in [("a mistake", "undo version 1: a mistake"), ("", "undo version 3")]
    {
        let done = one
            .transact(async |tx| {
                tx.set_message(message);
                tx.put("a", "1")
            })
            .await
            .unwrap();
        let undone = one.undo(done.transaction_id).await.unwrap();
        let commit = one.commit_info(undone.version).await.unwrap();
        assert_eq!((&commit.message[..], &commit.keys[..]), (expected, &["a".into()][..]));
    }
}

/// A key that was deleted since, which nothing tells any more, was put back: there was a tag on both sides of what was
/// undone, and so both could be read.
#[tokio::test]
async fn what_is_before_the_horizon_is_not_undone_though_tags_keep_it() {
    let (one, _) = two_handles().await;
    let before = one.transact(async |tx| tx.put("a", "1")).await.unwrap().version;
    let put = one.transact(async |tx| tx.put("b", "1")).await.unwrap().version;
    assert_eq!(put, Version(before.0 + 1));
    let deleted = one.transact(async |tx| tx.delete("b")).await.unwrap().version;
    one.tag("before", before).await.unwrap();
    one.tag("put", put).await.unwrap();
    one.pack(At::Version(deleted)).await.unwrap();
    let error = one.undo(put).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SnapshotExpired, "{error}");
    assert_eq!(all(&one).await, [("a".into(), "1".into())]);
}
