//! What the tests share.

use backend_fs::{Config, FsProvider};
use storage_core::Key;
use tempfile::TempDir;

/// An open provider on a folder that goes with it.
pub(crate) struct Place {
    pub(crate) provider: FsProvider,
    pub(crate) config: Config,
    pub(crate) _folder: TempDir,
}

pub(crate) async fn place() -> Place {
    let folder = tempfile::tempdir().unwrap();
    let config = Config::new(folder.path().join("data")).create(true);
    let provider = FsProvider::open(config.clone()).await.unwrap();
    Place { provider, config, _folder: folder }
}

pub(crate) fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}
