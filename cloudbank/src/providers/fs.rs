//! `type = "fs"`: objects as files in a folder of this machine.

use backend_fs::{Config, FsProvider};
use storage_core::Durability;

use crate::config::Section;
use crate::registry::Backend;

pub(crate) fn read(section: &mut Section<'_>) -> Backend {
    let path = section.path("path").required();
    let default = Config::new(&path);
    let config = Config {
        create: section.switch("create").or(default.create),
        durability: section
            .choice(
                "durability",
                &[
                    ("power-loss", Durability::PowerLoss),
                    ("process-crash", Durability::ProcessCrash),
                ],
            )
            .or("power-loss", default.durability),
        object_bytes_max: section.size("object_bytes_max").or(default.object_bytes_max),
        ..default
    };
    let (opened, created, destroyed) = (config.clone(), config.clone(), config);
    Backend::new(move || FsProvider::open(opened.clone()))
        .create_with(move || {
            let config = created.clone();
            async move { FsProvider::create(&config).await }
        })
        .destroy_with(move || {
            let config = destroyed.clone();
            async move { FsProvider::destroy(&config).await }
        })
}
