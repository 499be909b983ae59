//! The store on a provider in memory: what its users are promised.

#![allow(clippy::unwrap_used, reason = "a test may stop at what cannot be")]
#![allow(clippy::duplicate_mod, reason = "what is promised does not depend on where things are")]

mod bounded;
mod collect;
mod combine;
mod commits;
mod compaction;
mod corruption;
mod costs;
mod counters;
mod edges;
mod flush;
mod gated;
mod golden;
mod large;
mod long_readers;
mod moves;
mod objects;
mod overtaken;
mod pack;
mod past;
mod pauses;
mod pins;
mod quorum;
mod rebuild;
mod replicas;
mod sessions;
mod settled;
mod turns;
mod validation;
mod values;
mod verify;
mod watch;

use std::sync::Arc;

use backend_memory::MemoryProvider;
use storage_core::StorageProvider;
use storage_txn::{Options, Store};
use storage_wrappers::TokioEnv;

/// The same tests with everything in memory, and with everything put into segments all the time.
macro_rules! with_options {
    ($name:ident, $options:expr) => {
        #[path = "."]
        mod $name {
            mod isolation;
            mod keys;
            mod outcome;
            mod reading;
            mod runtime;

            async fn two_handles() -> (storage_txn::Store, storage_txn::Store) {
                crate::two_handles($options).await
            }
        }
    };
}

with_options!(in_memory, storage_txn::Options::default());
with_options!(in_segments, crate::tiny());
with_options!(in_objects, crate::elsewhere());

/// The same tests with the second handle handing over to the first.
#[path = "."]
mod in_combination {
    mod isolation;
    mod keys;
    mod outcome;
    mod reading;

    async fn two_handles() -> (storage_txn::Store, storage_txn::Store) {
        crate::combine::two_combining(storage_txn::Options::default()).await
    }
}

/// The same tests of the past with everything in memory, and with everything put into segments before it is read: only
/// then, as a flush takes a version too.
macro_rules! with_past {
    ($name:ident, $flush:expr) => {
        #[path = "."]
        mod $name {
            mod changes;
            mod history;
            mod names;
            mod undo;

            async fn two_handles() -> (storage_txn::Store, storage_txn::Store) {
                let mut options = crate::tiny();
                options.flush_bytes = storage_txn::Options::default().flush_bytes;
                crate::two_handles(options).await
            }

            async fn settle(store: &storage_txn::Store) {
                if $flush {
                    store.flush().await.unwrap();
                }
            }
        }
    };
}

with_past!(past_in_memory, false);
with_past!(past_in_segments, true);

/// Flushes after every commit, keeps segments small and hardly any of them in memory.
fn tiny() -> Options {
    let mut options = Options::default();
    options.flush_bytes = 1;
    options.segment_bytes = 1000;
    options.cache_bytes_max = 4000;
    options
}

/// As [`tiny`], and keeps hardly a value where its key is.
fn elsewhere() -> Options {
    let mut options = tiny();
    options.inline_bytes_max = 8;
    options.chunk_bytes = 5;
    options
}

/// A store in memory, and a second handle on it as another process would have.
async fn two_handles(options: Options) -> (Store, Store) {
    let provider: Arc<dyn StorageProvider> = Arc::new(MemoryProvider::new());
    let store = Store::init(provider.clone(), Arc::new(TokioEnv::new()), options.clone()).await;
    (store.unwrap(), open(&provider, options).await)
}

async fn open(provider: &Arc<dyn StorageProvider>, options: Options) -> Store {
    Store::open(provider.clone(), Arc::new(TokioEnv::new()), options).await.unwrap()
}
