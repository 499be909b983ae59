//! A provider's folder, open: its parts, its locks, and what a handle keeps while it lives.

use std::collections::HashSet;
use std::fmt;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use storage_core::{Durability, Error, ErrorKind, Key, Result};

use crate::Config;
use crate::ahead::Ahead;
use crate::durable::{self, Directory, Durable};
use crate::error::{errno, misconfigured, not_applied};
use crate::key;
use crate::lock::{FileLock, flock};
use crate::marker;
use crate::pool::Pool;
use crate::step::{Observer, Step};
use crate::temporary::{self, CreateNew, HandleDirectory};

/// The lock file under which handles are made and leftovers swept, one at a time.
pub(crate) const SWEEP_LOCK: &str = "sweep";
/// How many directories that may be empty are remembered until the handle is closed.
const EMPTY_DIRECTORIES_MAX: usize = 4096;
/// The longest name in the folder: a segment and the suffix of objects.
const NAME_BYTES_MAX: u64 = (storage_core::SEGMENT_BYTES_MAX + key::OBJECT_SUFFIX.len()) as u64;

/// An open folder: what a handle and its clones share.
pub(crate) struct Folder {
    pub(crate) config: Config,
    pub(crate) observer: Observer,
    pub(crate) durable: Durable,
    pub(crate) ahead: Ahead,
    pub(crate) pool: Pool,
    pub(crate) objects: OwnedFd,
    pub(crate) locks: OwnedFd,
    tmp: OwnedFd,
    writer: Mutex<Option<Arc<Writer>>>,
    maybe_empty: Mutex<HashSet<String>>,
    /// Locked shared while the handle lives, so that nobody destroys or tidies under it.
    root: OwnedFd,
}

/// What it takes to put: made at open where the folder can be written.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) directory: HandleDirectory,
    pub(crate) create_new: CreateNew,
}

impl Folder {
    /// Opens the folder, making it first if the configuration says so.
    pub(crate) fn open(mut config: Config, observer: Observer) -> Result<Self> {
        config.check()?;
        // A later change of the working directory must not move the folder.
        config.path = std::path::absolute(&config.path)
            .map_err(|error| not_applied(errno(&error), "find out where the folder is"))?;
        if config.create {
            marker::create(&config, true)?;
        }
        let root = marker::open_root(&config)?;
        // Waits for whoever is tidying or destroying; those are done soon.
        flock(&root, FlockOperation::LockShared)
            .map_err(|errno| not_applied(errno, "lock the folder"))?;
        marker::check(&root, &config)?;
        if config.durability == Durability::PowerLoss {
            // Its maker may have died between giving it its marker and syncing that.
            rustix::fs::fsync(&root).map_err(|errno| not_applied(errno, "sync the folder"))?;
        }
        let part = |name: &str| {
            open_directory(&root, name).map_err(|errno| match errno {
                Errno::NOENT | Errno::NOTDIR => {
                    let path = config.path.display();
                    misconfigured(format_args!("\"{path}\" has lost its folder \"{name}\""))
                }
                errno => not_applied(errno, format_args!("open the folder \"{name}\"")),
            })
        };
        let (objects, tmp, locks) = (part("objects")?, part("tmp")?, part("locks")?);
        let names = rustix::fs::fstatvfs(&objects)
            .map_err(|errno| not_applied(errno, "ask for the limits of the file system"))?;
        if names.f_namemax < NAME_BYTES_MAX {
            return Err(misconfigured(format_args!(
                "the file system takes names of {} bytes, but {NAME_BYTES_MAX} are needed",
                names.f_namemax
            )));
        }
        let folder = Self {
            config,
            observer,
            durable: Durable::default(),
            ahead: Ahead::default(),
            pool: Pool::default(),
            objects,
            locks,
            tmp,
            writer: Mutex::default(),
            maybe_empty: Mutex::default(),
            root,
        };
        match folder.writer() {
            // Reading, and deleting on a full disk, must be possible all the same. The first put tries
            // again and says what is wrong.
            Err(error)
                if matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::StorageFull) => {
            }
            Err(error) => return Err(error),
            Ok(_) => {}
        }
        Ok(folder)
    }

    /// What it takes to put.
    pub(crate) fn writer(&self) -> Result<Arc<Writer>> {
        let mut writer = lock(&self.writer);
        if let Some(writer) = &*writer {
            return Ok(writer.clone());
        }
        let _sweeping = FileLock::take(&self.locks, SWEEP_LOCK, FlockOperation::LockExclusive)?;
        temporary::sweep(&self.config.path.join("tmp"), || {
            // Somebody died here, perhaps between a rename and its sync: what others have read of it
            // since must not be lost any more.
            if self.syncs() { durable::sync_all(&self.root) } else { Ok(()) }
        })?;
        let directory = HandleDirectory::make(&self.tmp)?;
        let create_new = directory.probe(self.syncs())?;
        let made = Arc::new(Writer { directory, create_new });
        *writer = Some(made.clone());
        Ok(made)
    }

    /// Whether acknowledged changes survive a loss of power.
    pub(crate) fn syncs(&self) -> bool {
        self.config.durability == Durability::PowerLoss
    }

    /// Opens a directory of objects by its path beneath them.
    pub(crate) fn open_directory(&self, path: &str) -> rustix::io::Result<OwnedFd> {
        open_directory(&self.objects, if path.is_empty() { "." } else { path })
    }

    /// Opens a key's object, or says that there is none.
    pub(crate) fn open_object(&self, key: &Key) -> Result<Option<OwnedFd>> {
        // Opening a pipe that somebody has put there must not wait for a writer.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        match rustix::fs::openat(&self.objects, key::object_path(key), flags, Mode::empty()) {
            Ok(fd) => Ok(Some(fd)),
            Err(Errno::NOENT) => {
                self.check_there()?;
                Ok(None)
            }
            Err(errno) => Err(not_applied(errno, "open its file")),
        }
    }

    /// Fails if the folder was removed since it was opened.
    pub(crate) fn check_there(&self) -> Result<()> {
        match rustix::fs::fstat(&self.objects) {
            Ok(stat) if stat.st_nlink > 0 => Ok(()),
            Ok(_) => {
                let path = self.config.path.display();
                Err(misconfigured(format_args!("the folder \"{path}\" was removed")))
            }
            Err(errno) => Err(not_applied(errno, "stat the folder of objects")),
        }
    }

    /// Waits until what is seen under this key is durable, if a change through this handle is not yet.
    pub(crate) fn settle(&self, key: &Key) -> Result<()> {
        if !self.syncs() || !self.durable.is_pending(key) {
            return Ok(());
        }
        self.durable.check()?;
        let path = key::object_path(key);
        let chain = match self.chain(key::split(&path).0) {
            // Nothing was ever there.
            Err(Errno::NOENT) => return Ok(()),
            chain => chain.map_err(|errno| not_applied(errno, "open its directory"))?,
        };
        self.durable
            .sync(&chain, &self.observer, |path| Step::SyncDirectory { path })
            // Nothing was asked to change here.
            .map_err(|error| Error::not_applied(error.kind(), error.message()))
    }

    /// A directory and, if their entries are not known to be durable, those above it, opened to be
    /// changed and synced.
    pub(crate) fn chain(&self, directory: &str) -> rustix::io::Result<Vec<Directory>> {
        let open = |path: &str| -> rustix::io::Result<Directory> {
            let file = self.open_directory(path)?.into();
            Ok(Directory { path: path.to_owned(), file })
        };
        let mut chain = vec![open(directory)?];
        let mut path = directory;
        while self.syncs() && !self.durable.knows(path) {
            path = key::split(path).0;
            chain.push(open(path)?);
        }
        Ok(chain)
    }

    /// Remembers a directory that may be empty, to be removed when nobody uses the folder.
    pub(crate) fn may_be_empty(&self, directory: &str) {
        let mut directories = lock(&self.maybe_empty);
        if directories.len() < EMPTY_DIRECTORIES_MAX
            && !directory.is_empty()
            && !directories.contains(directory)
        {
            directories.insert(directory.to_owned());
        }
    }

    /// Removes directories that are empty, if this is the last handle of all.
    fn tidy(&self) {
        let directories = std::mem::take(&mut *lock(&self.maybe_empty));
        if directories.is_empty()
            || flock(&self.root, FlockOperation::NonBlockingLockExclusive).is_err()
        {
            return;
        }
        for directory in &directories {
            let mut path = directory.as_str();
            // One that is not empty refuses, and so does everything above it.
            while !path.is_empty()
                && rustix::fs::unlinkat(&self.objects, path, AtFlags::REMOVEDIR).is_ok()
            {
                path = key::split(path).0;
            }
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Some(writer) = lock(&self.writer).take() {
            writer.directory.remove(&self.tmp);
        }
        self.tidy();
    }
}

impl fmt::Debug for Folder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Folder")
            .field("config", &self.config)
            .field("observer", &self.observer)
            .finish_non_exhaustive()
    }
}

fn open_directory(at: &OwnedFd, path: &str) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    rustix::fs::openat(at, path, flags, Mode::empty())
}

// Nothing under these locks can panic halfway through a change.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
