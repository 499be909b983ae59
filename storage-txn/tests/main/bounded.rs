//! Bounded staleness: a reader says how old its answer may be, and pays only when it has to.

use std::sync::Arc;
use std::time::Duration;

use backend_memory::MemoryProvider;
use storage_txn::{At, Options, Store, Version};
use storage_wrappers::{Counted, TokioEnv};

const SECOND: Duration = Duration::from_secs(1);

/// What a handle did last, how many seconds ago, and what a snapshot within so many costs and sees.
struct Case {
    last: Last,
    ago: u32,
    within: u32,
    requests: u64,
    /// Whether it sees what another handle has committed in the meantime.
    sees: bool,
}

#[derive(Debug, Clone, Copy)]
enum Last {
    Opened,
    ReadLatest,
    ReadKnown,
    Committed,
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_within_a_time_costs_a_request_only_when_nothing_newer_is_known() {
    use Last::{Committed, Opened, ReadKnown, ReadLatest};
    let case = |last, ago, within, requests, sees| Case { last, ago, within, requests, sees };
    // Two gets find the other's entry and the end of the log after it.
    let cases = [
        case(Opened, 1, 5, 0, false),
        case(Opened, 6, 5, 2, true),
        case(ReadLatest, 1, 5, 0, false),
        case(ReadLatest, 5, 5, 0, false),
        case(ReadLatest, 6, 5, 2, true),
        case(ReadKnown, 1, 5, 2, true),
        case(Committed, 1, 5, 0, false),
        case(Committed, 6, 5, 2, true),
        case(Committed, 1, 0, 2, true),
    ];
    for Case { last, ago, within, requests, sees } in cases {
        let provider = Arc::new(Counted::new(MemoryProvider::new()));
        let env = Arc::new(TokioEnv::new());
        let mut options = Options::default();
        options.read_ahead = 1;
        let other = Store::init(provider.clone(), env.clone(), options.clone()).await.unwrap();
        let store = Store::open(provider.clone(), env, options).await.unwrap();
        if !matches!(last, Opened) {
            tokio::time::sleep(10 * SECOND).await;
        }
        match last {
            Opened => {}
            ReadLatest => drop(store.snapshot(At::Latest).await.unwrap()),
            ReadKnown => drop(store.snapshot(At::Known).await.unwrap()),
            Committed => drop(store.transact(async |tx| tx.put("mine", "1")).await.unwrap()),
        }
        let known = store.snapshot(At::Known).await.unwrap().version();
        other.transact(async |tx| tx.put("others", "1")).await.unwrap();
        tokio::time::sleep(ago * SECOND).await;
        let before = provider.counts();
        let snapshot = store.snapshot(At::Within(within * SECOND)).await.unwrap();
        let what = format!("{last:?} {ago} s ago, within {within} s");
        assert_eq!(provider.counts().since(&before).requests(), requests, "{what}");
        assert_eq!(snapshot.version() == Version(known.0 + 1), sees, "{what}");
    }
}
