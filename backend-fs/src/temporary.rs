//! Temporary files: made in a directory of the handle's own, swept by others when it has died.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use storage_core::{Error, ErrorKind, Result};

use crate::error::{errno, misconfigured, not_applied};
use crate::lock::flock;
use crate::step::{Observer, Step};

const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC).union(OFlags::NOFOLLOW);

/// The directory of one handle, locked for as long as the handle lives.
#[derive(Debug)]
pub(crate) struct HandleDirectory {
    pub(crate) fd: OwnedFd,
    name: String,
    files: AtomicU64,
}

impl HandleDirectory {
    /// Makes one in the open directory `tmp`. No sweep may be under way.
    pub(crate) fn make(tmp: &OwnedFd) -> Result<Self> {
        let mut id = [0; 16];
        getrandom::fill(&mut id).map_err(|error| {
            Error::not_applied(ErrorKind::Unavailable, format!("cannot draw a name: {error}"))
        })?;
        let name = format!("{:032x}", u128::from_be_bytes(id));
        let failed = |errno| not_applied(errno, format_args!("make the directory \"tmp/{name}\""));
        rustix::fs::mkdirat(tmp, &name, Mode::from_raw_mode(0o777)).map_err(failed)?;
        let fd = rustix::fs::openat(tmp, &name, DIRECTORY, Mode::empty()).map_err(failed)?;
        flock(&fd, FlockOperation::NonBlockingLockExclusive).map_err(failed)?;
        Ok(Self { fd, name, files: AtomicU64::new(0) })
    }

    /// Makes an empty temporary file, which goes when it is dropped.
    pub(crate) fn file<'a>(&'a self, observer: &'a Observer) -> Result<Temporary<'a>> {
        let name = format!("{:x}", self.files.fetch_add(1, Ordering::Relaxed));
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let path = self.path_of(&name);
        observer.before(|| Step::CreateTemp { path: path.clone() });
        let fd = rustix::fs::openat(&self.fd, &name, flags, Mode::from_raw_mode(0o666))
            .map_err(|errno| not_applied(errno, "make a temporary file"))?;
        Ok(Temporary { directory: self, observer, name, file: File::from(fd), there: true })
    }

    fn path_of(&self, file: &str) -> String {
        format!("tmp/{}/{file}", self.name)
    }

    /// Removes the directory. What is still in it is left to the next sweep.
    pub(crate) fn remove(&self, tmp: &OwnedFd) {
        // A directory that stays behind is swept by whoever opens next.
        let _ = rustix::fs::unlinkat(tmp, &self.name, AtFlags::REMOVEDIR);
    }

    /// Finds out how the file system creates a name only if it is free, and whether it can sync a
    /// directory, if that is asked for.
    pub(crate) fn probe(&self, syncs: bool) -> Result<CreateNew> {
        if syncs {
            rustix::fs::fsync(&self.fd).map_err(|errno| match errno {
                Errno::INVAL | Errno::OPNOTSUPP => misconfigured(
                    "the file system cannot sync directories: take another, or set `durability` to \
                     process crash",
                ),
                errno => not_applied(errno, "sync a directory"),
            })?;
        }
        let observer = Observer::default();
        for how in [CreateNew::Rename, CreateNew::Link] {
            let mut first = self.file(&observer)?;
            let mut second = self.file(&observer)?;
            let free = format!("{}-probe", first.name);
            let created = first.publish_new(&self.fd, &free, how);
            let refused = second.publish_new(&self.fd, &free, how);
            let _ = rustix::fs::unlinkat(&self.fd, &free, AtFlags::empty());
            match (created, refused) {
                (Ok(()), Err(Errno::EXIST)) => return Ok(how),
                (Err(errno @ (Errno::NOSPC | Errno::DQUOT)), _)
                | (_, Err(errno @ (Errno::NOSPC | Errno::DQUOT))) => {
                    return Err(not_applied(errno, "try how names are created"));
                }
                _ => {}
            }
        }
        Err(misconfigured(
            "the file system can neither rename without replacing nor make hard links",
        ))
    }
}

/// How a name is created only if it is free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CreateNew {
    /// `renameat2` with `RENAME_NOREPLACE`.
    Rename,
    /// A hard link, then removal of the temporary name.
    Link,
}

/// A temporary file. Dropping it removes it, unless it was renamed away.
#[derive(Debug)]
pub(crate) struct Temporary<'a> {
    directory: &'a HandleDirectory,
    observer: &'a Observer,
    name: String,
    pub(crate) file: File,
    there: bool,
}

impl Temporary<'_> {
    /// Its path, relative to the provider's folder.
    pub(crate) fn path(&self) -> String {
        self.directory.path_of(&self.name)
    }

    /// Gives it this name, replacing what has it.
    pub(crate) fn publish(&mut self, to: impl AsFd, name: &str) -> rustix::io::Result<()> {
        rustix::fs::renameat(&self.directory.fd, &self.name, to, name)?;
        self.there = false;
        Ok(())
    }

    /// Gives it this name if that is free, else fails with `EXIST`.
    pub(crate) fn publish_new(
        &mut self,
        to: impl AsFd,
        name: &str,
        how: CreateNew,
    ) -> rustix::io::Result<()> {
        let from = &self.directory.fd;
        match how {
            CreateNew::Rename => {
                rustix::fs::renameat_with(from, &self.name, to, name, RenameFlags::NOREPLACE)?;
                self.there = false;
            }
            // The temporary name goes when the file is dropped.
            CreateNew::Link => {
                rustix::fs::linkat(from, &self.name, to, name, AtFlags::empty())?;
            }
        }
        Ok(())
    }
}

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        if self.there {
            self.observer.before(|| Step::RemoveTemp { path: self.path() });
            // What cannot be removed is swept once the handle is closed.
            let _ = rustix::fs::unlinkat(&self.directory.fd, &self.name, AtFlags::empty());
        }
    }
}

/// Removes what dead handles left in `tmp`, after `before` was called once if there is anything.
/// Handles are made and swept one at a time, under a lock of the caller's.
pub(crate) fn sweep(tmp: &Path, mut before: impl FnMut() -> Result<()>) -> Result<()> {
    let failed = |error: std::io::Error| not_applied(errno(&error), "sweep \"tmp\"");
    let mut first = true;
    for entry in std::fs::read_dir(tmp).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let Ok(fd) = rustix::fs::open(&path, DIRECTORY, Mode::empty()) else { continue };
        if flock(&fd, FlockOperation::NonBlockingLockExclusive).is_err() {
            continue;
        }
        // A handle that closes removes its directory before it lets go of the lock. Whoever has the
        // lock of one that is still there is the only one to remove it.
        if removed(&fd).map_err(|errno| not_applied(errno, "sweep \"tmp\""))? {
            continue;
        }
        if std::mem::take(&mut first) {
            before()?;
        }
        for file in std::fs::read_dir(&path).map_err(failed)? {
            std::fs::remove_file(file.map_err(failed)?.path()).map_err(failed)?;
        }
        std::fs::remove_dir(&path).map_err(failed)?;
    }
    Ok(())
}

/// Whether an open directory has lost its name.
pub(crate) fn removed(directory: &OwnedFd) -> rustix::io::Result<bool> {
    Ok(rustix::fs::fstat(directory)?.st_nlink == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_created_once_by_renaming_and_by_linking() {
        let folder = tempfile::tempdir().unwrap();
        let tmp = OwnedFd::from(File::open(folder.path()).unwrap());
        let directory = HandleDirectory::make(&tmp).unwrap();
        let observer = Observer::default();
        for how in [CreateNew::Rename, CreateNew::Link] {
            let name = format!("{how:?}");
            let mut first = directory.file(&observer).unwrap();
            assert_eq!(first.publish_new(&tmp, &name, how), Ok(()));
            let mut second = directory.file(&observer).unwrap();
            assert_eq!(second.publish_new(&tmp, &name, how), Err(Errno::EXIST));
            drop((first, second));
            let left = std::fs::read_dir(folder.path().join(&directory.name)).unwrap().count();
            assert_eq!(left, 0, "{how:?}");
        }
        assert!(directory.probe(true).is_ok());
    }

    #[test]
    fn a_sweep_spares_the_living_and_says_when_it_finds_the_dead() {
        let folder = tempfile::tempdir().unwrap();
        let tmp = OwnedFd::from(File::open(folder.path()).unwrap());
        let living = HandleDirectory::make(&tmp).unwrap();
        let mut found = 0;
        let mut sweep_and_count = || {
            sweep(folder.path(), || {
                found += 1;
                Ok(())
            })
            .unwrap();
            (found, std::fs::read_dir(folder.path()).unwrap().count())
        };
        assert_eq!(sweep_and_count(), (0, 1));
        for name in ["dead", "dead too"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
            std::fs::write(folder.path().join(name).join("0"), "part").unwrap();
        }
        assert_eq!(sweep_and_count(), (1, 1));
        drop(living);
        assert_eq!(sweep_and_count(), (2, 0));
    }
}
