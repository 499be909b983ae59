//! Holding the version of an export that takes long, so that nobody deletes what it still has to read.

use std::convert::Infallible;
use std::time::Duration;

use storage_txn::{Pin, Snapshot};

use crate::output::Output;

/// Much less than the grace of those who collect: what takes no longer costs no request.
const HELD_AFTER: Duration = Duration::from_secs(10 * 60);
/// For how long a version is held at a time, should this process end without a word.
const HELD_FOR: Duration = Duration::from_secs(2 * 3600);
/// How often that begins anew.
const RENEWED_EVERY: Duration = Duration::from_secs(3600);

/// Waits for a while and then holds the version, for as long as this future is polled. The pin is left behind to be
/// let go of.
pub(super) async fn hold(
    snapshot: &Snapshot,
    output: &Output,
    held: &mut Option<Pin>,
) -> Infallible {
    tokio::time::sleep(HELD_AFTER).await;
    loop {
        let done = match held {
            None => snapshot.pin(HELD_FOR).await.map(|pin| *held = Some(pin)),
            Some(pin) => pin.renew(HELD_FOR).await,
        };
        if let Err(error) = done {
            // Somebody who may only read can still export what is not collected meanwhile.
            output.note(format_args!(
                "warning: version {} may be collected before the export is done: {error}",
                snapshot.version()
            ));
        }
        tokio::time::sleep(RENEWED_EVERY).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use backend_memory::MemoryProvider;
    use storage_core::{Prefix, StorageProvider, StorageProviderExt};
    use storage_txn::{At, Options, Store};
    use storage_wrappers::TokioEnv;

    use super::*;

    async fn pins(provider: &dyn StorageProvider) -> usize {
        use futures_util::TryStreamExt;
        let prefix = Prefix::new("pin/").unwrap();
        provider.list_all(&prefix).try_collect::<Vec<_>>().await.unwrap().len()
    }

    #[tokio::test(start_paused = true)]
    async fn a_version_is_held_once_it_takes_long_and_let_go_in_the_end() {
        let provider = Arc::new(MemoryProvider::new());
        let env = Arc::new(TokioEnv::new());
        let store = Store::init(provider.clone(), env, Options::default()).await.unwrap();
        store.transact(async |tx| tx.put("a", "1")).await.unwrap();
        let snapshot = store.snapshot(At::Known).await.unwrap();
        let (output, mut held) = (Output::new(false, true), None);
        for (minutes, expected) in [(9, 0), (11, 1), (200, 1)] {
            let time = Duration::from_secs(minutes * 60);
            held = None;
            let _ = tokio::time::timeout(time, hold(&snapshot, &output, &mut held)).await;
            assert_eq!(pins(&*provider).await, expected, "after {minutes} minutes");
            if let Some(pin) = held.take() {
                pin.release().await.unwrap();
            }
            assert_eq!(pins(&*provider).await, 0);
        }
        assert!(held.is_none());
    }
}
