//! How long a commit tries, and how long it pauses between its attempts.

use std::sync::Arc;
use std::time::Duration;

use backend_memory::MemoryProvider;
use storage_core::StorageProvider;
use storage_txn::{ErrorKind, Options, Store};
use storage_wrappers::{Counted, ManualEnv};

use crate::gated::{Gated, Stop};

/// Fails every append, and looks at the pauses: each a random part, from half to all, of twice what the one before was part
/// of, from 20 ms up to 2 s.
fn check(stop: Stop, unknown: bool, time_max: Duration) {
    let memory = Arc::new(Counted::new(MemoryProvider::new()));
    let gated = Gated::new(&memory, "log/", stop);
    let env = ManualEnv::new(7);
    let mut options = Options::default();
    options.commit_time_max = time_max;
    env.block_on(async {
        let store = Store::init(gated.clone(), Arc::new(env.clone()), options).await.unwrap();
        gated.shut(0);
        let tx = store.begin();
        let id = tx.id();
        tx.put("a", "1").unwrap();
        let kind = tx.commit().await.unwrap_err().kind();
        let expected = match unknown {
            true => ErrorKind::CommitUnknown(id),
            false => ErrorKind::Storage(storage_core::ErrorKind::Unavailable),
        };
        assert_eq!(kind, expected, "{stop:?}");
    });
    let slept = env.slept();
    let mut pause = Duration::from_millis(20);
    for (at, slept) in slept.iter().enumerate() {
        assert!(pause / 2 <= *slept && *slept <= pause, "{stop:?}: pause {at} is {slept:?}");
        pause = (pause * 2).min(Duration::from_secs(2));
    }
    let all: Duration = slept.iter().sum();
    let last = slept.last().copied().unwrap_or_default();
    assert!(all >= time_max && all - last < time_max, "{stop:?}: {all:?} of {time_max:?}");
    if let [.., before, last] = slept[..] {
        assert_ne!(
            before, last,
            "pauses are random, or all who failed together fail together again"
        );
    }
}

#[test]
fn a_commit_that_fails_pauses_longer_and_longer_until_its_time_is_over() {
    for (stop, unknown) in [(Stop::Fails, false), (Stop::IsLost, true)] {
        for seconds in [1, 5, 30] {
            check(stop, unknown, Duration::from_secs(seconds));
        }
    }
}

#[test]
fn a_commit_that_cannot_succeed_later_either_does_not_pause() {
    let memory: Arc<dyn StorageProvider> = Arc::new(MemoryProvider::new());
    let env = ManualEnv::new(7);
    env.block_on(async {
        let store = Store::init(memory, Arc::new(env.clone()), Options::default()).await.unwrap();
        let tx = store.begin();
        tx.require("a", Some(storage_txn::Version(1))).unwrap();
        tx.put("a", "1").unwrap();
        assert_eq!(tx.commit().await.unwrap_err().kind(), ErrorKind::PreconditionFailed);
    });
    assert_eq!(env.slept(), []);
}
