//! Locks between handles and processes: `flock`, which the kernel lets go of with its holder.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use storage_core::{Key, Result};

use crate::error::not_applied;
use crate::key;

/// A lock that is held until it is dropped. Each is an open file of its own, so that it also holds
/// between two operations of one process.
#[derive(Debug)]
pub(crate) struct FileLock {
    _fd: OwnedFd,
}

impl FileLock {
    /// Takes the lock of a file, making the file if it is not there; waits for it.
    pub(crate) fn take(directory: &OwnedFd, name: &str, how: FlockOperation) -> Result<Self> {
        let flags = OFlags::RDONLY | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let fd = rustix::fs::openat(directory, name, flags, Mode::from_raw_mode(0o666))
            .map_err(|errno| not_applied(errno, format_args!("open the lock \"{name}\"")))?;
        flock(&fd, how).map_err(|errno| not_applied(errno, format_args!("lock \"{name}\"")))?;
        Ok(Self { _fd: fd })
    }

    /// Takes the lock that guards a key: exclusively to compare and then change, shared for a change
    /// that the file system decides in one step.
    pub(crate) fn stripe(locks: &OwnedFd, key: &Key, exclusive: bool) -> Result<Self> {
        let how =
            if exclusive { FlockOperation::LockExclusive } else { FlockOperation::LockShared };
        Self::take(locks, &key::stripe(key), how)
    }
}

/// `flock`, gone on with when a signal interrupts it.
pub(crate) fn flock(fd: impl AsFd, how: FlockOperation) -> rustix::io::Result<()> {
    loop {
        match rustix::fs::flock(&fd, how) {
            Err(Errno::INTR) => {}
            result => return result,
        }
    }
}
