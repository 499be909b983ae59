//! The backends of this build: how the table of a provider becomes the settings of each.

mod array;
#[cfg(feature = "azure")]
mod azure;
#[cfg(feature = "fs")]
mod fs;
#[cfg(any(feature = "s3", feature = "azure"))]
mod http;
mod later;
#[cfg(feature = "memory")]
mod memory;
#[cfg(any(feature = "fs", feature = "s3", feature = "azure"))]
mod raw;
#[cfg(feature = "s3")]
mod s3;

use std::sync::Arc;

use storage_core::StorageProvider;
use storage_wrappers::{Options, RetryPolicy, TimeLimits, TokioEnv, standard};

use crate::config::Limits;
use crate::registry::Registry;

pub(crate) use later::Later;

/// Adds every type that is a feature of this build, and the arrays.
pub(crate) fn register_all(registry: Registry) -> Registry {
    #[cfg(feature = "memory")]
    let registry = registry.register("memory", memory::read);
    #[cfg(feature = "fs")]
    let registry = registry.register("fs", fs::read);
    #[cfg(feature = "s3")]
    let registry = registry.register("s3", s3::read);
    #[cfg(feature = "azure")]
    let registry = registry.register("azure", azure::read);
    array::register(registry)
}

/// Puts the usual wrappers around a provider.
pub(crate) fn wrap(
    name: &str,
    provider: Arc<dyn StorageProvider>,
    limits: Limits,
) -> Arc<dyn StorageProvider> {
    let Limits { timeout, retries_max, concurrency_max } = limits;
    let options = Options {
        label: Some(name.into()),
        retry: RetryPolicy { attempts_max: retries_max as u32 + 1, ..RetryPolicy::default() },
        limits: TimeLimits {
            put: timeout,
            get: timeout,
            list: timeout,
            delete: timeout,
            ..TimeLimits::default()
        },
        requests_at_once_max: concurrency_max as usize,
        // Shorter than the time limit, so that a put which was never sent is not called unknown.
        wait_max: timeout / 4,
    };
    standard(provider, options, Arc::new(TokioEnv::new()))
}
