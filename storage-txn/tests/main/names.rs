//! Tags and cursors: versions with names that all handles know.

use storage_txn::{ErrorKind, NAME_BYTES_MAX, Version};

use super::{settle, two_handles};

#[tokio::test]
async fn a_tag_is_known_to_all_and_not_moved_but_taken_away() {
    let (one, two) = two_handles().await;
    for _ in 0..3 {
        one.transact(async |tx| tx.put("a", "")).await.unwrap();
    }
    one.tag("b", Version(2)).await.unwrap();
    two.tag("a", Version(3)).await.unwrap();
    one.tag("a/ä", Version(0)).await.unwrap();
    two.cursor_set("a", Version(1)).await.unwrap();
    settle(&one).await;
    let expected = [("a".into(), Version(3)), ("a/ä".into(), Version(0)), ("b".into(), Version(2))];
    assert_eq!(one.tags().await.unwrap(), expected);
    two.tag("b", Version(2)).await.unwrap();
    let error = two.tag("b", Version(1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PreconditionFailed);
    assert_eq!(error.to_string(), "the tag \"b\" is that of version 2, not 1");
    for _ in 0..2 {
        one.untag("b").await.unwrap();
    }
    two.tag("b", Version(1)).await.unwrap();
    settle(&two).await;
    assert_eq!(one.tags().await.unwrap()[2], ("b".into(), Version(1)));
}

#[tokio::test]
async fn a_cursor_is_where_it_was_last_set() {
    let (one, two) = two_handles().await;
    assert_eq!(one.cursor_get("c").await.unwrap(), None);
    for _ in 0..5 {
        one.transact(async |tx| tx.put("a", "")).await.unwrap();
    }
    for (store, version) in [(&one, 1), (&two, 4), (&one, 2)] {
        store.cursor_set("c", Version(version)).await.unwrap();
        settle(store).await;
        assert_eq!(two.cursor_get("c").await.unwrap(), Some(Version(version)));
    }
    assert_eq!(two.cursors().await.unwrap(), [("c".into(), Version(2))]);
    two.cursor_remove("c").await.unwrap();
    assert_eq!(one.cursors().await.unwrap(), []);
    assert_eq!(one.tags().await.unwrap(), []);
}

#[tokio::test]
async fn names_and_versions_that_cannot_be_are_refused() {
    let (store, _) = two_handles().await;
    for name in [String::new(), "n".repeat(NAME_BYTES_MAX + 1)] {
        for error in [
            store.tag(&name, Version(0)).await.unwrap_err(),
            store.untag(&name).await.unwrap_err(),
            store.cursor_set(&name, Version(0)).await.unwrap_err(),
            store.cursor_get(&name).await.unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::LimitExceeded);
        }
    }
    store.tag(&"n".repeat(NAME_BYTES_MAX), Version(0)).await.unwrap();
    let error = store.tag("later", Version(9)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoSuchVersion);
    let error = store.cursor_set("later", Version(9)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoSuchVersion);
}
