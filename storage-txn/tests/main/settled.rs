//! Transactions whose outcome is found out when the answer to their commit was lost.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use backend_memory::MemoryProvider;
use storage_txn::{At, ErrorKind, Options, Store};
use storage_wrappers::{Counted, ManualEnv};

use crate::gated::{Gated, Stop};

/// What is said of a transaction when so many requests in a row are lost from its commit on, and whether that is so.
fn said(stop: Stop, lost: i64) -> &'static str {
    let memory = Arc::new(Counted::new(MemoryProvider::new()));
    let gated = Gated::new(&memory, "log/", stop);
    let env = ManualEnv::new(7);
    let mut options = Options::default();
    options.commit_time_max = Duration::ZERO;
    env.block_on(async {
        let store = Store::init(gated.clone(), Arc::new(env.clone()), options).await.unwrap();
        if lost > 0 {
            gated.shut_for(lost);
        }
        let mut runs = 0;
        let settled = store.transact_settled(|tx| {
            runs += 1;
            async move {
                tx.put("a", "1")?;
                Ok(runs)
            }
        });
        let settled = settled.await;
        gated.open();
        let now = store.snapshot(At::Latest).await.unwrap();
        let there = now.get("a").await.unwrap().is_some();
        let context = format!("{stop:?}, {lost} lost: {settled:?}");
        match settled {
            Ok((run, version)) => {
                assert!(there, "{context}");
                assert_eq!(run, runs, "{context}");
                assert_eq!(now.meta("a").await.unwrap().unwrap().version, version, "{context}");
                "done"
            }
            Err(error) => match error.kind() {
                ErrorKind::Cancelled => {
                    assert!(!there, "{context}");
                    "not done"
                }
                ErrorKind::CommitUnknown(_) | ErrorKind::Storage(_) => "unknown",
                _ => panic!("{context}"),
            },
        }
    })
}

#[test]
fn what_was_lost_is_asked_for_and_only_who_cannot_ask_does_not_know() {
    for (stop, expected) in
        [(Stop::AnswerIsLost, ["done", "unknown"]), (Stop::IsLost, ["not done", "unknown"])]
    {
        assert_eq!(said(stop, 0), "done");
        let all: BTreeSet<_> = (1..12).map(|lost| said(stop, lost)).collect();
        for expected in expected {
            assert!(all.contains(expected), "{stop:?}: {all:?}");
        }
    }
    // What is applied without an answer is never told as not done.
    assert!((1..12).all(|lost| said(Stop::AnswerIsLost, lost) != "not done"));
}
