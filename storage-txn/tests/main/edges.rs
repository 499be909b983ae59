//! What is just not too much, and what just does not conflict.

use storage_txn::{ErrorKind, Merge, Options, Scan, Version};

use crate::two_handles;

#[tokio::test]
async fn a_transaction_may_write_just_as_many_bytes_as_the_bound_says() {
    // Key, value, author and message, of different lengths.
    for (key, value, author, message) in [(1, 20, 3, 5), (2, 1, 17, 4), (3, 2, 4, 20)] {
        // A key is a byte longer inside.
        let bytes = 1 + key + value + author + message;
        for (bound, fits) in [(bytes, true), (bytes + 1, true), (bytes - 1, false)] {
            let mut options = Options::default();
            options.transaction_bytes_max = bound;
            let (store, _) = two_handles(options).await;
            let tx = store.begin();
            tx.set_author("a".repeat(author));
            tx.set_message("m".repeat(message));
            tx.put("k".repeat(key), "v".repeat(value)).unwrap();
            match tx.commit().await {
                Ok(_) => assert!(fits, "{bytes} bytes of {bound}"),
                Err(error) => {
                    assert!(!fits, "{bytes} bytes of {bound}: {error}");
                    assert_eq!(error.kind(), ErrorKind::LimitExceeded);
                    let said = format!("writes {bytes} bytes, more than the {bound} of");
                    assert!(error.to_string().contains(&said), "{error}");
                }
            }
        }
    }
}

#[tokio::test]
async fn what_was_not_read_does_not_conflict() {
    for writes in [false, true] {
        let (one, two) = two_handles(Options::default()).await;
        one.transact(async |tx| {
            tx.put("a", "1")?;
            tx.delete_range("m".."p")
        })
        .await
        .unwrap();
        let tx = one.begin();
        assert_eq!(tx.read_version(), Version(1));
        // Changed in the very version that is read, which is no change after it.
        assert_eq!(tx.get("a").await.unwrap().unwrap(), "1");
        assert_eq!(tx.scan(&Scan::new("m".."o")).await.unwrap(), []);
        // Nothing of this is looked at.
        assert_eq!(tx.scan(&Scan::new("x"..).limit(0)).await.unwrap(), []);
        if writes {
            tx.put("b", "2").unwrap();
        }
        two.transact(async |tx| tx.put("x", "3")).await.unwrap();
        let receipt = tx.commit().await.unwrap();
        assert_eq!(receipt.version.0, if writes { 3 } else { 2 });
    }
}

#[tokio::test]
async fn a_clone_of_a_transaction_reads_its_writes_also_when_it_is_committed() {
    let (store, _) = two_handles(Options::default()).await;
    let tx = store.begin();
    let clone = tx.clone();
    tx.put("a", "1").unwrap();
    tx.commit().await.unwrap();
    assert_eq!(clone.get("a").await.unwrap().unwrap(), "1");
}

#[tokio::test]
async fn to_ask_for_the_size_of_a_value_counts_as_reading_it() {
    let (one, two) = two_handles(Options::default()).await;
    one.transact(async |tx| tx.put("a", "12345")).await.unwrap();
    let tx = one.begin();
    assert_eq!(tx.size("a").await.unwrap(), Some(5));
    assert_eq!(tx.size("b").await.unwrap(), None);
    tx.put("c", "1").unwrap();
    two.transact(async |tx| tx.put("b", "")).await.unwrap();
    assert_eq!(tx.commit().await.unwrap_err().kind(), ErrorKind::Conflict);
}

#[test]
fn a_merge_that_is_printed_does_not_tell_values() {
    let all = [Merge::Add(-3), Merge::Max(7), Merge::Append("secret".into())];
    assert_eq!(format!("{all:?}"), "[Add(-3), Max(7), Append(6 bytes)]");
}
