//! The conformance suite on the memory backend, in both kinds of versions.

use backend_memory::{Config, MemoryProvider};
use conformance::{Target, harness};
use storage_core::Versions;

conformance::main!([
    target("memory", Versions::PerWrite),
    target("memory-per-content", Versions::PerContent),
]);

fn target(name: &str, versions: Versions) -> Target {
    let shared = MemoryProvider::with_config(Config { versions, object_bytes_max: 2 << 20 });
    Target::new(
        name,
        harness(move || {
            let handle = shared.clone();
            async move { Ok(handle) }
        }),
    )
}
