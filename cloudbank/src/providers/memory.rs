//! `type = "memory"`: objects that live as long as the process.

use backend_memory::{Config, MemoryProvider};
use storage_core::Versions;

use crate::config::Section;
use crate::registry::Backend;

pub(crate) fn read(section: &mut Section<'_>) -> Backend {
    let default = Config::default();
    let config = Config {
        versions: section
            .choice(
                "versions",
                &[("per-write", Versions::PerWrite), ("per-content", Versions::PerContent)],
            )
            .or("per-write", default.versions),
        object_bytes_max: section.size("object_bytes_max").or(default.object_bytes_max),
    };
    // All handles of one configuration are handles on the same objects.
    let shared = MemoryProvider::with_config(config);
    Backend::new(move || {
        let handle = shared.clone();
        async move { Ok(handle) }
    })
    .keeps_nothing()
}
