//! The store on a provider in memory: what its users are promised.

#![allow(clippy::unwrap_used, reason = "a test may stop at what cannot be")]

mod isolation;
mod keys;
mod outcome;
mod reading;
mod runtime;

use std::sync::Arc;

use backend_memory::MemoryProvider;
use storage_core::StorageProvider;
use storage_txn::{Options, Store};
use storage_wrappers::TokioEnv;

/// A store in memory, and a second handle on it as another process would have.
async fn two_handles() -> (Store, Store) {
    let provider: Arc<dyn StorageProvider> = Arc::new(MemoryProvider::new());
    let store = on(&provider, true).await;
    (store, on(&provider, false).await)
}

async fn on(provider: &Arc<dyn StorageProvider>, init: bool) -> Store {
    let env = Arc::new(TokioEnv::new());
    let options = Options::default();
    let store = if init {
        Store::init(provider.clone(), env, options).await
    } else {
        Store::open(provider.clone(), env, options).await
    };
    store.unwrap()
}
