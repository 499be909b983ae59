//! The conformance suite on the SQLite backend, with a second process on the same database.

use std::path::PathBuf;
use std::sync::Arc;

use conformance::{Harness, Hooks, Missing, Target, child, opener};
use storage_core::{Error, ErrorKind, Result, StorageProvider, async_trait};

#[path = "../sqlite_backend.rs"]
#[allow(dead_code, reason = "its main is the program's")]
mod sqlite_backend;

use sqlite_backend::SqliteProvider;

conformance::main!([if std::env::var_os("CLOUDBANK_TEST_QUICK").is_none() {
    Target::new("sqlite", Sqlite::new())
} else {
    Target::unavailable("sqlite", "left out by --quick")
}]);

/// A database in a folder that goes with the test.
struct Sqlite {
    folder: PathBuf,
}

impl Sqlite {
    fn new() -> Self {
        let new = || tempfile::tempdir().expect("a temporary folder").keep();
        Self { folder: child::place().map_or_else(new, PathBuf::from) }
    }
}

#[async_trait]
impl Harness for Sqlite {
    async fn open(&self) -> Result<Arc<dyn StorageProvider>> {
        Ok(Arc::new(SqliteProvider::open(self.folder.join("objects")).await?))
    }

    fn hooks(&self) -> Hooks {
        let folder = self.folder.display().to_string();
        let nowhere = self.folder.join("no/such/folder");
        let missing = Missing {
            open: opener(move || SqliteProvider::open(nowhere.clone())),
            setting: "path",
        };
        Hooks {
            second_process: Some(child::this_binary("sqlite", &folder)),
            missing: Some(missing),
            ..Hooks::default()
        }
    }

    async fn close(&self) -> Result<()> {
        std::fs::remove_dir_all(&self.folder)
            .map_err(|error| Error::unknown(ErrorKind::Unexpected, error.to_string()))
    }
}
