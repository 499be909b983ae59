//! How do I run the suite in my project's CI? This file, with `harness = false` in `Cargo.toml`, and then
//! `cargo test` as ever. Put your own provider in place of the memory one.

use std::sync::LazyLock;

use backend_memory::MemoryProvider;

/// The objects that all handles see.
static SHARED: LazyLock<MemoryProvider> = LazyLock::new(MemoryProvider::new);

// Called once for each handle wanted.
conformance::main!(|| async { Ok(SHARED.clone()) });
