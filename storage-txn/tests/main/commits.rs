//! Commits, one by one, in order and by time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use backend_memory::MemoryProvider;
use storage_core::{BoxFuture, Env};
use storage_txn::{At, ErrorKind, KeyRange, LogScan, Options, Store, TransactionId, Version};
use storage_wrappers::{Counted, TokioEnv};

async fn two_handles() -> (Store, Store) {
    crate::two_handles(Options::default()).await
}

#[tokio::test]
async fn a_commit_is_told_by_version_and_by_id_on_every_handle() {
    let (one, two) = two_handles().await;
    let receipt = one
        .transact(async |tx| {
            tx.set_author("alice");
            tx.set_message("a start");
            tx.put("b", "1")?;
            tx.delete_range("x".."y")?;
            tx.delete_range(KeyRange::all())?;
            tx.delete_range("d".."f")?;
            tx.put("a", "2")
        })
        .await
        .unwrap();
    for store in [&two, &one] {
        let commit = store.commit_info(receipt.transaction_id).await.unwrap();
        assert_eq!(commit, store.commit_info(receipt.version).await.unwrap());
        assert_eq!((commit.version, commit.time), (receipt.version, receipt.time));
        assert_eq!(commit.transaction_id, receipt.transaction_id);
        assert_eq!((&commit.author[..], &commit.message[..]), ("alice", "a start"));
        assert_eq!(commit.keys, ["a"], "what was put before everything was emptied is gone");
        assert_eq!(commit.ranges, [KeyRange::all(), ("d".."f").into()]);
        assert!(commit.changes_keys() && !commit.cancelled);
    }
}

#[tokio::test]
async fn a_commit_that_is_not_there_says_so() {
    let (one, two) = two_handles().await;
    one.transact(async |tx| tx.put("a", "")).await.unwrap();
    let check = async |found: storage_txn::Result<_>, message: &str| {
        let error = Result::<storage_txn::Commit, _>::unwrap_err(found);
        assert_eq!((error.kind(), &error.to_string()[..]), (ErrorKind::NoSuchVersion, message));
    };
    let message = "there is no transaction of version 0: they go from 1 to 1";
    check(two.commit_info(Version::ZERO).await, message).await;
    let message = "there is no transaction of version 2: they go from 1 to 1";
    check(two.commit_info(Version(2)).await, message).await;
    let message = format!("there is no transaction {} up to version 1", "07".repeat(16));
    check(two.commit_info(TransactionId([7; 16])).await, &message).await;
    let empty = one.snapshot(At::Version(Version::ZERO)).await.unwrap();
    let message = "there is no transaction of version 1: they go from 1 to 0";
    check(empty.commit_info(Version(1)).await, message).await;
}

#[tokio::test]
async fn the_log_reads_any_range_in_both_directions() {
    let (one, two) = two_handles().await;
    for number in 1..=700_u64 {
        // More than one batch of a scan; every seventh only shuts an id out.
        if number.is_multiple_of(7) {
            one.outcome(TransactionId(u128::from(number).to_be_bytes())).await.unwrap();
        } else {
            one.transact(async |tx| tx.put("a", "")).await.unwrap();
        }
    }
    let check = async |scan: LogScan, expected: Vec<u64>| {
        let commits = two.log(&scan).await.unwrap().collect().await.unwrap();
        let found: Vec<_> = commits.iter().map(|commit| commit.version.0).collect();
        assert_eq!(found, expected, "{scan:?}");
    };
    let of_users = |number: &u64| !number.is_multiple_of(7);
    check(LogScan::new(..), (1..=700).rev().filter(of_users).collect()).await;
    check(LogScan::new(..).forward(), (1..=700).filter(of_users).collect()).await;
    check(LogScan::new(..).with_maintenance(), (1..=700).rev().collect()).await;
    check(LogScan::new(..).limit(3), vec![699, 698, 697]).await;
    check(LogScan::new(..).limit(3).with_maintenance(), vec![700, 699, 698]).await;
    check(LogScan::new(..).limit(0), vec![]).await;
    check(LogScan::new(Version(5)..Version(9)).forward(), vec![5, 6, 8]).await;
    check(LogScan::new(Version(5)..=Version(9)), vec![9, 8, 6, 5]).await;
    check(LogScan::new(Version(699)..).with_maintenance(), vec![700, 699]).await;
    check(LogScan::new(..Version(3)), vec![2, 1]).await;
    check(LogScan::new(Version(9)..Version(5)), vec![]).await;
    check(LogScan::new(Version(701)..), vec![]).await;
    let then = two.snapshot(At::Version(Version(3))).await.unwrap();
    let commits = then.log(&LogScan::new(..)).await.unwrap().collect().await.unwrap();
    assert_eq!(commits.len(), 3, "a snapshot knows nothing of what came later");
}

#[tokio::test]
async fn a_transaction_that_was_shut_out_is_in_the_log_as_cancelled() {
    let (one, _) = two_handles().await;
    let id = TransactionId([3; 16]);
    one.outcome(id).await.unwrap();
    let commit = one.commit_info(id).await.unwrap();
    assert!(commit.cancelled && !commit.changes_keys());
}

/// A wall clock that a test sets; the rest is real.
#[derive(Debug)]
struct SetClock(TokioEnv, AtomicU64);

impl Env for SetClock {
    fn monotonic(&self) -> Duration {
        self.0.monotonic()
    }

    fn wall(&self) -> Duration {
        Duration::from_secs(self.1.load(Ordering::SeqCst))
    }

    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()> {
        self.0.sleep(time)
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.0.spawn(task);
    }

    fn random(&self) -> u64 {
        self.0.random()
    }
}

#[tokio::test]
async fn a_time_selects_the_last_version_that_is_not_after_it() {
    let env = Arc::new(SetClock(TokioEnv::new(), AtomicU64::new(0)));
    let provider = Arc::new(MemoryProvider::new());
    let store = Store::init(provider, env.clone(), Options::default()).await.unwrap();
    let at = async |seconds| {
        let time = At::Time(Duration::from_secs(seconds));
        store.snapshot(time).await.unwrap().version().0
    };
    assert_eq!(at(50).await, 0);
    // One clock goes back: no commit is before an earlier one all the same.
    let clock = [100, 100, 110, 90, 120, 150, 150, 150, 200];
    let times = [100, 100, 110, 110, 120, 150, 150, 150, 200];
    for seconds in clock {
        env.1.store(seconds, Ordering::SeqCst);
        store.transact(async |tx| tx.put("a", "")).await.unwrap();
    }
    for seconds in 80..220 {
        let expected = times.iter().filter(|time| **time <= seconds).count() as u64;
        assert_eq!(at(seconds).await, expected, "at {seconds} s");
    }
    let between = At::Time(Duration::from_micros(100_999_999));
    assert_eq!(store.snapshot(between).await.unwrap().version(), Version(2));
}

#[tokio::test]
async fn a_time_finds_its_version_among_any_number() {
    let env = Arc::new(SetClock(TokioEnv::new(), AtomicU64::new(0)));
    let provider = Arc::new(MemoryProvider::new());
    let store = Store::init(provider, env.clone(), Options::default()).await.unwrap();
    for number in 1..=70 {
        env.1.store(number, Ordering::SeqCst);
        store.transact(async |tx| tx.put("a", "")).await.unwrap();
        for seconds in 0..=number + 1 {
            let time = At::Time(Duration::from_secs(seconds));
            let found = store.snapshot(time).await.unwrap().version();
            assert_eq!(found, Version(seconds.min(number)), "of {number}");
        }
    }
}

#[tokio::test]
async fn a_time_in_the_past_costs_no_request_and_one_that_is_not_sees_what_others_commit() {
    let clock = || Arc::new(SetClock(TokioEnv::new(), AtomicU64::new(100)));
    let provider = Arc::new(Counted::new(MemoryProvider::new()));
    let one = Store::init(provider.clone(), clock(), Options::default()).await.unwrap();
    one.transact(async |tx| tx.put("a", "1")).await.unwrap();
    let two = Store::open(provider.clone(), clock(), Options::default()).await.unwrap();
    one.transact(async |tx| tx.put("a", "2")).await.unwrap();
    let before = provider.counts();
    let past = two.snapshot(At::Time(Duration::from_secs(99))).await.unwrap();
    assert_eq!((past.version(), provider.counts().since(&before).requests()), (Version(0), 0));
    let now = two.snapshot(At::Time(Duration::from_secs(100))).await.unwrap();
    assert_eq!(now.version(), Version(2));
}

#[tokio::test]
async fn times_and_commits_are_found_in_segments_too() {
    let env = Arc::new(SetClock(TokioEnv::new(), AtomicU64::new(0)));
    let provider = Arc::new(MemoryProvider::new());
    let store = Store::init(provider.clone(), env.clone(), crate::tiny()).await.unwrap();
    for number in 1..=60_u64 {
        env.1.store(number / 3 * 5, Ordering::SeqCst);
        store.transact(async |tx| tx.put("a", "")).await.unwrap();
    }
    store.flush().await.unwrap();
    let other = Store::open(provider, env, crate::tiny()).await.unwrap();
    let scan = LogScan::new(..).forward().with_maintenance();
    let commits = other.log(&scan).await.unwrap().collect().await.unwrap();
    assert!(commits.len() > 60, "flushes are commits too");
    for seconds in 0..=101 {
        let time = Duration::from_secs(seconds);
        let expected = commits.iter().filter(|commit| commit.time <= time).count();
        let then = other.snapshot(At::Time(time)).await.unwrap();
        assert_eq!(then.version().0, expected as u64, "at {seconds} s");
    }
    for (at, commit) in commits.iter().enumerate() {
        assert_eq!(commit.version.0, at as u64 + 1);
        assert_eq!(other.commit_info(commit.transaction_id).await.unwrap(), *commit);
    }
}
