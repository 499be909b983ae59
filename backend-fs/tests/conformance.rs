//! The conformance suite on the file system backend, synced and not, with a second process and a way
//! to die in the middle of a put.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use backend_fs::{Config, FsProvider};
use conformance::{CrashHook, Harness, Hooks, Level, Missing, Reach, Target, child, opener};
use storage_core::{
    Durability, Error, ErrorKind, Key, PutIf, Result, StorageProvider, async_trait,
};
use tempfile::TempDir;

conformance::main!([
    if is_quick() {
        // Sixteen thousand keys, each synced.
        target("fs", Durability::PowerLoss).levels(&[
            Level::Core,
            Level::Txn,
            Level::Chaos,
            Level::Durability,
        ])
    } else {
        target("fs", Durability::PowerLoss)
    },
    target("fs-process-crash", Durability::ProcessCrash)
        .ignored_if(is_quick(), "left out by --quick"),
]);

/// Whether this is `cargo xtask test --quick`.
fn is_quick() -> bool {
    std::env::var_os("CLOUDBANK_TEST_QUICK").is_some()
}

fn target(name: &str, durability: Durability) -> Target {
    match Folder::new(name, durability) {
        Ok(folder) => Target::new(name, folder),
        Err(error) => Target::unavailable(name, format!("there is no temporary folder: {error}")),
    }
}

/// A harness on a folder: a temporary one in the first process, the same one in the second.
struct Folder {
    name: String,
    config: Config,
    temporary: Mutex<Option<TempDir>>,
}

impl Folder {
    fn new(name: &str, durability: Durability) -> io::Result<Self> {
        let (path, temporary) = match child::place() {
            Some(place) => (PathBuf::from(place), None),
            None => {
                let folder = tempfile::tempdir()?;
                (folder.path().join("data"), Some(folder))
            }
        };
        let config = Config::new(path).create(true).durability(durability);
        Ok(Self { name: name.to_owned(), config, temporary: Mutex::new(temporary) })
    }
}

#[async_trait]
impl Harness for Folder {
    async fn open(&self) -> Result<Arc<dyn StorageProvider>> {
        Ok(Arc::new(FsProvider::open(self.config.clone()).await?))
    }

    fn hooks(&self) -> Hooks {
        let place = self.config.path.to_string_lossy();
        let missing =
            Config { create: false, path: self.config.path.join("missing"), ..self.config.clone() };
        let read_only = self.config.path.with_file_name("read-only");
        Hooks {
            second_process: Some(child::this_binary(&self.name, &place)),
            crash: Some(Arc::new(Crash(self.config.clone()))),
            missing: Some(Missing {
                open: opener(move || FsProvider::open(missing.clone())),
                setting: "path",
            }),
            // Rights do not bind root. What a full disk does needs a file system of its own: see the
            // tests of this crate.
            read_only: (!rustix::process::geteuid().is_root())
                .then(|| opener(move || open_read_only(read_only.clone()))),
            ..Hooks::default()
        }
    }

    async fn close(&self) -> Result<()> {
        let folder = self.temporary.lock().unwrap_or_else(PoisonError::into_inner).take();
        match folder.map_or(Ok(()), |folder| make_writable(folder.path()).and(folder.close())) {
            Ok(()) => Ok(()),
            Err(error) => Err(failed(error)),
        }
    }
}

/// A folder with one object, of which every directory has lost the right to be written.
async fn open_read_only(path: PathBuf) -> Result<FsProvider> {
    if !path.exists() {
        let provider = FsProvider::open(Config::new(&path).create(true)).await?;
        let kept = Key::new("kept").map_err(|problem| failed(io::Error::other(problem)))?;
        provider.put(&kept, "kept".into(), PutIf::Absent).await?;
        drop(provider);
        set_rights(&path, 0o555).map_err(failed)?;
    }
    FsProvider::open(Config::new(&path)).await
}

fn make_writable(folder: &Path) -> io::Result<()> {
    let path = folder.join("read-only");
    if path.exists() { set_rights(&path, 0o755) } else { Ok(()) }
}

fn set_rights(path: &Path, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            set_rights(&entry.path(), mode)?;
        }
    }
    Ok(())
}

fn failed(error: io::Error) -> Error {
    Error::not_applied(ErrorKind::Unexpected, error.to_string()).with_source(error)
}

/// Dies in the middle of a put.
struct Crash(Config);

#[async_trait]
impl CrashHook for Crash {
    async fn open_observed(&self, reach: Reach) -> Result<Arc<dyn StorageProvider>> {
        let observe = Arc::new(move |step: backend_fs::Step| reach(step.label()));
        Ok(Arc::new(FsProvider::open_observed(self.0.clone(), observe).await?))
    }

    /// Every file in a directory of temporary files; the directories belong to open handles.
    async fn leftovers(&self) -> Result<Vec<String>> {
        let list = || -> io::Result<Vec<String>> {
            let mut found = Vec::new();
            for directory in std::fs::read_dir(self.0.path.join("tmp"))? {
                // Handles of other cases close meanwhile, and their directories go.
                let files = match std::fs::read_dir(directory?.path()) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    files => files?,
                };
                for file in files {
                    found.push(file?.path().display().to_string());
                }
            }
            Ok(found)
        };
        list().map_err(failed)
    }
}
