//! Watching a store: every commit, once, in order, whatever happens meanwhile.

use std::sync::Arc;
use std::time::Duration;

use backend_memory::MemoryProvider;
use futures_util::FutureExt;
use storage_txn::{At, ErrorKind, Options, Store, TransactionId, Version, Watch};
use storage_wrappers::{Counted, FaultPlan, Faulty, TokioEnv};

async fn two_handles() -> (Store, Store) {
    crate::two_handles(Options::default()).await
}

async fn put(store: &Store, value: u64) -> Version {
    store.transact(async |tx| tx.put("a", format!("{value}"))).await.unwrap().version
}

async fn next(watch: &mut Watch) -> u64 {
    watch.next().await.unwrap().commit().version.0
}

async fn counted() -> (Arc<Counted<MemoryProvider>>, Store, Store) {
    let provider = Arc::new(Counted::new(MemoryProvider::new()));
    let env = Arc::new(TokioEnv::new());
    let one = Store::init(provider.clone(), env.clone(), Options::default()).await.unwrap();
    let two = Store::open(provider.clone(), env, Options::default()).await.unwrap();
    (provider, one, two)
}

#[tokio::test(start_paused = true)]
async fn a_watch_gives_what_was_there_and_then_what_comes_from_either_handle() {
    let (one, two) = two_handles().await;
    for value in 1..=300 {
        put(&one, value).await;
    }
    let mut watch = two.watch(Version(10));
    for version in 11..=300 {
        assert_eq!(next(&mut watch).await, version);
    }
    for version in 301..=330 {
        assert!(watch.next().now_or_never().is_none(), "there is no version {version} yet");
        put(if version % 3 == 0 { &two } else { &one }, version).await;
        let change = watch.next().await.unwrap();
        let keys = change.keys().unwrap().collect().await.unwrap();
        assert_eq!(keys[0].after, Some((Version(version), format!("{version}").into())));
        assert_eq!(
            (keys[0].before.as_ref().unwrap().0, watch.seen().0),
            (Version(version - 1), version)
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watches_that_are_dropped_and_resumed_while_others_write_miss_nothing() {
    let (one, two) = two_handles().await;
    let writers: Vec<_> = [&one, &two, &one]
        .into_iter()
        .cloned()
        .map(|store| {
            tokio::spawn(async move {
                for value in 0..100 {
                    put(&store, value).await;
                }
            })
        })
        .collect();
    let follow = async |store: &Store, restart_every: u64| {
        let (mut watch, mut seen) = (store.watch(Version::ZERO), Vec::new());
        while seen.len() < 300 {
            // A time limit that drops the call again and again, wherever it is.
            let limit = Duration::from_micros(seen.len() as u64 % 7 * 50);
            let Ok(change) = tokio::time::timeout(limit, watch.next()).await else { continue };
            seen.push(change.unwrap().commit().version.0);
            assert_eq!(seen.last(), Some(&watch.seen().0));
            if watch.seen().0 % restart_every == 0 {
                watch = store.watch(watch.seen());
            }
        }
        assert_eq!(seen, (1..=300).collect::<Vec<_>>());
    };
    tokio::join!(follow(&one, 7), follow(&two, 1000), follow(&two, 3));
    for writer in writers {
        writer.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_waits_is_woken_by_its_own_handle_without_a_request() {
    let (provider, _, store) = counted().await;
    let mut watch = store.watch(Version::ZERO);
    let waiting = tokio::spawn(async move { next(&mut watch).await });
    // Long enough that it sleeps for the longest time.
    tokio::time::sleep(Duration::from_secs(60)).await;
    let (before, start) = (provider.counts(), tokio::time::Instant::now());
    put(&store, 1).await;
    assert_eq!(waiting.await.unwrap(), 1);
    assert_eq!(start.elapsed(), Duration::ZERO, "no pause was waited for");
    let cost = provider.counts().since(&before);
    assert_eq!((cost.put.requests, cost.requests()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn pauses_grow_to_a_bound_and_begin_anew_after_a_commit() {
    let (provider, one, two) = counted().await;
    let mut watch = two.watch(Version::ZERO);
    let gets_in = async |watch: &mut Watch, time| {
        let before = provider.counts();
        assert!(tokio::time::timeout(time, watch.next()).await.is_err());
        provider.counts().since(&before).get.requests
    };
    // Opening has read the log to its end; so after 50, 150, 350 and 750 ms.
    assert_eq!(gets_in(&mut watch, Duration::from_millis(1000)).await, 4);
    assert!(gets_in(&mut watch, Duration::from_secs(3600)).await <= 3600 / 5 + 5);
    assert!(gets_in(&mut watch, Duration::from_secs(3600)).await >= 3600 / 5 - 1);
    put(&one, 1).await;
    let start = tokio::time::Instant::now();
    assert_eq!(next(&mut watch).await, 1);
    assert!(start.elapsed() <= Duration::from_secs(5));
    assert!(gets_in(&mut watch, Duration::from_millis(1000)).await >= 4);
}

#[tokio::test(start_paused = true)]
async fn a_watch_nobody_waits_for_costs_nothing_and_many_cost_as_much_as_one() {
    let (provider, one, two) = counted().await;
    let before = provider.counts();
    let mut watches: Vec<_> = (0..20).map(|_| two.watch(Version::ZERO)).collect();
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(provider.counts().since(&before).requests(), 0);
    let all = futures_util::future::join_all(watches.iter_mut().map(Watch::next));
    assert!(tokio::time::timeout(Duration::from_secs(3600), all).await.is_err());
    let cost = provider.counts().since(&before);
    assert!(cost.requests() <= 3600 / 5 + 20, "{} requests", cost.requests());
    put(&one, 1).await;
    for watch in &mut watches {
        assert_eq!(next(watch).await, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn commits_that_change_no_key_are_passed_over_unless_asked_for() {
    let (one, two) = two_handles().await;
    one.outcome(TransactionId([1; 16])).await.unwrap();
    put(&one, 2).await;
    one.outcome(TransactionId([3; 16])).await.unwrap();
    let mut users = two.watch(Version::ZERO);
    assert_eq!((next(&mut users).await, users.seen()), (2, Version(2)));
    assert!(users.next().now_or_never().is_none());
    assert_eq!(users.seen(), Version(3), "it need not be looked at again");
    let mut all = two.watch(Version::ZERO).with_maintenance();
    for version in 1..=3 {
        assert_eq!(next(&mut all).await, version);
    }
}

#[tokio::test(start_paused = true)]
async fn a_watch_from_a_version_that_is_not_there_says_so_and_goes_on_once_it_is() {
    let (one, two) = two_handles().await;
    let mut watch = two.watch(Version(2));
    let error = watch.next().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoSuchVersion);
    assert_eq!(error.to_string(), "the last version is 0, and not yet 2");
    for value in 1..=3 {
        put(&one, value).await;
    }
    assert_eq!(next(&mut watch).await, 3);
}

#[tokio::test(start_paused = true)]
async fn a_watch_on_a_provider_that_fails_now_and_then_misses_nothing() {
    for seed in 0..20 {
        let memory = MemoryProvider::new();
        let env = Arc::new(TokioEnv::new());
        let one = Store::init(Arc::new(memory.clone()), env.clone(), Options::default());
        let one = one.await.unwrap();
        let plan = FaultPlan { throttled: 0.3, ..FaultPlan::none(seed) };
        let faulty = Arc::new(Faulty::new(memory, plan, env.clone()).unwrap());
        let two = loop {
            let opened = Store::open(faulty.clone(), env.clone(), Options::default()).await;
            if let Ok(store) = opened {
                break store;
            }
        };
        let (mut watch, mut failed) = (two.watch(Version::ZERO), 0);
        for version in 1..=20 {
            put(&one, version).await;
            loop {
                match watch.next().await {
                    Ok(change) => break assert_eq!(change.commit().version.0, version),
                    Err(error) => {
                        assert!(matches!(error.kind(), ErrorKind::Storage(_)), "{error}");
                        failed += 1;
                    }
                }
            }
        }
        assert!(failed > 0, "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_watch_reads_what_is_in_segments_and_passes_flushes_over() {
    let (one, two) = crate::two_handles(crate::tiny()).await;
    let (mut early, mut commits) = (two.watch(Version::ZERO), Vec::new());
    for value in 0..100 {
        commits.push(put(&one, value).await.0);
        if value % 3 == 0 {
            assert_eq!(next(&mut early).await, commits[value as usize / 3]);
        }
    }
    one.flush().await.unwrap();
    let mut late = two.watch(Version::ZERO);
    for (at, version) in commits.iter().enumerate() {
        assert_eq!(next(&mut late).await, *version);
        if at >= 34 {
            assert_eq!(next(&mut early).await, *version);
        }
    }
    let last = two.snapshot(At::Latest).await.unwrap().version().0;
    let mut all = two.watch(Version::ZERO).with_maintenance();
    for version in 1..=last {
        assert_eq!(next(&mut all).await, version);
    }
}
