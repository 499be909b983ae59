//! Makes what was published stay: syncs of directories, shared between those who wait for one.
//!
//! A sync that starts after a rename covers it. So whoever has renamed joins the next sync of the
//! directory to start; one of those waiting runs it for all.
//!
//! A sync that failed is never tried again: the kernel may have dropped what it could not write, and a
//! second try would succeed without it. From then on the handle refuses to change anything.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;
use storage_core::{Error, ErrorKind, Key, Result};

use crate::error::{errno, not_applied, unknown};
use crate::step::{Observer, Step};

/// How many directories are remembered as durable. When there are more, all are forgotten.
const KNOWN_DIRECTORIES_MAX: usize = 1 << 16;

/// A directory open for syncing, by its path beneath the folder of objects.
#[derive(Debug)]
pub(crate) struct Directory {
    pub(crate) path: String,
    pub(crate) file: File,
}

/// What is published but perhaps not durable yet, and who is making it so.
#[derive(Debug, Default)]
pub(crate) struct Durable {
    /// Keys with a change that is visible and not yet synced, and how many such changes.
    pending: Mutex<HashMap<Key, usize>>,
    /// Syncs under way or waited for, by directory.
    groups: Mutex<HashMap<String, Arc<Group>>>,
    /// Directories whose own entry in their parent, and so on up, is durable. They stay so: a
    /// directory is removed only while no handle is open.
    known: Mutex<HashSet<String>>,
    failed: AtomicBool,
}

impl Durable {
    /// Refuses to go on after a sync has failed.
    pub(crate) fn check(&self) -> Result<()> {
        if self.failed.load(Ordering::Acquire) {
            return Err(Error::not_applied(
                ErrorKind::Unexpected,
                "an earlier sync of a directory failed: look into the file system, then open again",
            ));
        }
        Ok(())
    }

    /// As [`check`](Self::check), for a change that is visible already.
    fn check_again(&self) -> Result<()> {
        self.check().map_err(Error::into_unknown)
    }

    pub(crate) fn knows(&self, directory: &str) -> bool {
        directory.is_empty() || lock(&self.known).contains(directory)
    }

    /// Says that a change of this key is about to become visible.
    pub(crate) fn announce(&self, key: &Key) {
        *lock(&self.pending).entry(key.clone()).or_default() += 1;
    }

    /// Takes an announcement back: nothing came of it, or it is durable.
    pub(crate) fn withdraw(&self, key: &Key) {
        let mut pending = lock(&self.pending);
        if let Some(count) = pending.get_mut(key) {
            *count -= 1;
            if *count == 0 {
                pending.remove(key);
            }
        }
    }

    /// Whether what is seen under this key may not be durable yet.
    pub(crate) fn is_pending(&self, key: &Key) -> bool {
        lock(&self.pending).contains_key(key)
    }

    /// Syncs these directories, each below the next, so that every change made in the first before
    /// this call is durable and stays reachable.
    pub(crate) fn sync(
        &self,
        chain: &[Directory],
        observer: &Observer,
        step: impl Fn(String) -> Step,
    ) -> Result<()> {
        for directory in chain {
            // What a failed sync was to cover must not be called durable by a later one.
            self.check_again()?;
            let group = lock(&self.groups).entry(directory.path.clone()).or_default().clone();
            let synced = group.join(|| {
                observer.before(|| step(in_objects(&directory.path)));
                // Not plain fsync(2), which on some systems stops short of the disk.
                directory.file.sync_all().map_err(|error| errno(&error))
            });
            // Before anybody can join a new group of this directory.
            if synced.is_err() {
                self.failed.store(true, Ordering::Release);
            }
            self.leave(&directory.path, group);
            synced.map_err(|errno| {
                unknown(errno, format_args!("sync the directory \"{}\"", directory.path))
            })?;
        }
        self.check_again()?;
        // Whoever has synced a whole chain has made its directories durable.
        let mut known = lock(&self.known);
        if known.len() + chain.len() > KNOWN_DIRECTORIES_MAX {
            known.clear();
        }
        for directory in chain {
            if !known.contains(&directory.path) {
                known.insert(directory.path.clone());
            }
        }
        Ok(())
    }

    /// Forgets a group that nobody else is in.
    fn leave(&self, path: &str, group: Arc<Group>) {
        let mut groups = lock(&self.groups);
        drop(group);
        if groups.get(path).is_some_and(|group| Arc::strong_count(group) == 1) {
            groups.remove(path);
        }
    }
}

/// The path of a directory of objects, relative to the provider's folder.
pub(crate) fn in_objects(path: &str) -> String {
    if path.is_empty() { "objects".to_owned() } else { format!("objects/{path}") }
}

/// Syncs everything of the file system that holds `fd`, for what a dead process may have published
/// without living to sync it.
pub(crate) fn sync_all(fd: &OwnedFd) -> Result<()> {
    #[cfg(target_os = "linux")]
    rustix::fs::syncfs(fd).map_err(|errno| not_applied(errno, "sync the file system"))?;
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (fd, not_applied);
        rustix::fs::sync();
    }
    Ok(())
}

/// Those who wait for one directory.
#[derive(Debug, Default)]
struct Group {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    started: u64,
    finished: u64,
    running: bool,
    failed: Option<Errno>,
}

impl Group {
    /// Returns when a sync that started after this call has ended.
    fn join(&self, sync: impl FnOnce() -> rustix::io::Result<()>) -> rustix::io::Result<()> {
        let mut state = lock(&self.state);
        let wanted = state.started + 1;
        loop {
            if let Some(errno) = state.failed {
                return Err(errno);
            }
            if state.finished >= wanted {
                return Ok(());
            }
            if !state.running {
                break;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.running = true;
        state.started += 1;
        let number = state.started;
        drop(state);
        let result = sync();
        let mut state = lock(&self.state);
        state.running = false;
        state.finished = number;
        state.failed = result.err();
        self.changed.notify_all();
        result
    }
}

// Nothing under these locks can panic halfway through a change.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::*;

    #[test]
    fn a_sync_covers_only_what_was_there_when_it_started() {
        let (group, published, synced) = (Group::default(), AtomicU64::new(0), AtomicU64::new(0));
        let runs = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..500 {
                        let mine = published.fetch_add(1, Ordering::SeqCst) + 1;
                        group
                            .join(|| {
                                // A sync keeps what was there at its start, and takes a while.
                                let covered = published.load(Ordering::SeqCst);
                                std::thread::yield_now();
                                synced.fetch_max(covered, Ordering::SeqCst);
                                runs.fetch_add(1, Ordering::SeqCst);
                                Ok(())
                            })
                            .unwrap();
                        assert!(synced.load(Ordering::SeqCst) >= mine);
                    }
                });
            }
        });
        assert!(runs.load(Ordering::SeqCst) <= 4000);
    }

    #[test]
    fn a_sync_that_failed_is_not_tried_again() {
        let group = Group::default();
        assert_eq!(group.join(|| Err(Errno::IO)), Err(Errno::IO));
        assert_eq!(group.join(|| unreachable!("it must not run")), Err(Errno::IO));
    }

    #[test]
    fn after_a_failed_sync_the_handle_changes_nothing_more() {
        let durable = Durable::default();
        // Syncing a pipe is refused by the kernel.
        let (pipe, _other) = std::io::pipe().unwrap();
        let chain = [Directory { path: String::new(), file: OwnedFd::from(pipe).into() }];
        let step = |path| Step::SyncDirectory { path };
        let error = durable.sync(&chain, &Observer::default(), step).unwrap_err();
        assert_eq!(error.effect(), storage_core::Effect::Unknown);
        let refused = durable.check().unwrap_err();
        assert_eq!(refused.effect(), storage_core::Effect::NotApplied);
    }
}
