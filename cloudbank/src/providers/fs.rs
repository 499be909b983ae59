//! `type = "fs"`: objects as files in a folder of this machine.

use std::path::PathBuf;
use std::sync::Arc;

use backend_fs::{Config, FsProvider, Step};
use conformance::{CrashHook, Hooks, Missing, Reach, opener};
use storage_core::{Durability, Result, StorageProvider, async_trait};

use super::raw;
use crate::config::Section;
use crate::registry::Backend;

pub(crate) fn read(section: &mut Section<'_>) -> Backend {
    let path = section.path("path").required();
    let default = Config::new(path);
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
    let (opened, created, destroyed, hooked) =
        (config.clone(), config.clone(), config.clone(), config.clone());
    Backend::new(move || FsProvider::open(opened.clone()))
        .create_with(move || {
            let config = created.clone();
            async move { FsProvider::create(&config).await }
        })
        .destroy_with(move || {
            let config = destroyed.clone();
            async move { FsProvider::destroy(&config).await }
        })
        .hooks_with(move || hooks(&hooked))
        .raw_with(move || raw::fs(&config))
}

fn hooks(config: &Config) -> Hooks {
    let missing = Config {
        path: config.path.join("no").join("such").join("folder"),
        create: false,
        ..config.clone()
    };
    Hooks {
        crash: Some(Arc::new(Crash(config.clone()))),
        missing: Some(Missing {
            open: opener(move || FsProvider::open(missing.clone())),
            setting: "path",
        }),
        ..Hooks::default()
    }
}

/// Stops a put or delete at any of its steps.
struct Crash(Config);

#[async_trait]
impl CrashHook for Crash {
    async fn open_observed(&self, reach: Reach) -> Result<Arc<dyn StorageProvider>> {
        let observe = Arc::new(move |step: Step| {
            // `Publish { from: .. }`: the name alone is the step, the paths differ each time.
            let step = format!("{step:?}");
            reach(step.split([' ', '{']).next().unwrap_or_default());
        });
        Ok(Arc::new(FsProvider::open_observed(self.0.clone(), observe).await?))
    }

    /// Files in the folders of `tmp`, which belong to puts that are under way.
    async fn leftovers(&self) -> Result<Vec<String>> {
        let folder = self.0.path.join("tmp");
        let found = tokio::task::spawn_blocking(move || files_in_folders(folder)).await;
        let found = found.map_err(std::io::Error::other).and_then(|found| found);
        found.map_err(|error| {
            let kind = storage_core::ErrorKind::Unexpected;
            storage_core::Error::not_applied(kind, "the folder of temporary files cannot be read")
                .with_source(error)
        })
    }
}

fn files_in_folders(folder: PathBuf) -> std::io::Result<Vec<String>> {
    let mut names = Vec::new();
    for inner in std::fs::read_dir(folder)? {
        let inner = inner?;
        if inner.file_type()?.is_dir() {
            for file in std::fs::read_dir(inner.path())? {
                names.push(file?.path().display().to_string());
            }
        }
    }
    Ok(names)
}
