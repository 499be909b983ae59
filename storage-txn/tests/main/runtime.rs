//! A handle outlives the runtime that its tasks ran on.

use storage_txn::{At, ErrorKind};

use super::two_handles;

#[test]
fn whoever_waits_for_a_task_that_was_stopped_is_told_and_the_next_starts_another() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let first = runtime();
    let (store, _) = first.block_on(two_handles());
    let tx = store.begin();
    tx.put("x", "1").unwrap();
    let id = tx.id();
    let (mut commit, mut latest) = (Box::pin(tx.commit()), Box::pin(store.snapshot(At::Latest)));
    first.block_on(async {
        // Polled once, so that the tasks are started, and then never polled themselves.
        tokio::select! {
            biased;
            _ = &mut commit => unreachable!("its task has not run"),
            _ = &mut latest => unreachable!("its task has not run"),
            () = std::future::ready(()) => {}
        }
    });
    drop(first);

    runtime().block_on(async {
        let error = commit.await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::CommitUnknown(id));
        latest.await.unwrap();
        let receipt = store.transact(async |tx| tx.put("x", "2")).await.unwrap();
        assert_eq!(receipt.version.0, 1);
    });
}
