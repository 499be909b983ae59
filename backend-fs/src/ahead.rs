//! Names read ahead: a large directory is not read again for each page of one walk.
//!
//! A page keeps some names beyond its own. The next page uses them only if the directory has not
//! changed since, told by its times. A clock ticks, so a change right after a reading may carry the time of
//! one right before it; names are therefore kept only of directories that had been at rest for longer
//! than any tick when they were read. A put that has returned is thus always seen.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::scan::{Name, Names, smallest};

/// How many times the names a page has room for are read, if there are as many.
const AHEAD_PAGES: usize = 16;
/// The most names that are kept of one directory.
const AHEAD_NAMES_MAX: usize = 1 << 16;
/// The most directories of which names are kept, for walks under way at once.
const AHEAD_DIRECTORIES_MAX: usize = 4;
/// No kernel's clock ticks more slowly than this.
const TICK: Duration = Duration::from_millis(100);
/// Nor any file system's that keeps whole seconds, or pairs of them.
const COARSE_TICK: Duration = Duration::from_secs(3);

/// The names read ahead by one handle.
#[derive(Debug, Default)]
pub(crate) struct Ahead(Mutex<VecDeque<Stretch>>);

/// All names of a directory with a prefix, from one to another.
#[derive(Debug)]
struct Stretch {
    directory: Stamp,
    prefix: String,
    /// The stretch begins after this one.
    from: Option<Name>,
    names: Vec<Name>,
    /// Whether there are names after the stretch.
    more: bool,
}

/// Which directory this is, and in which state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    modified: (i64, u64),
    changed: (i64, u64),
}

impl Stamp {
    #[allow(clippy::useless_conversion, clippy::unnecessary_cast)] // The types differ by system.
    fn of(directory: &OwnedFd) -> rustix::io::Result<Self> {
        let stat = rustix::fs::fstat(directory)?;
        Ok(Self {
            device: stat.st_dev as u64,
            inode: stat.st_ino as u64,
            modified: (i64::from(stat.st_mtime), stat.st_mtime_nsec as u64),
            changed: (i64::from(stat.st_ctime), stat.st_ctime_nsec as u64),
        })
    }

    /// Whether any later change must show in the times.
    fn is_at_rest(&self, now: SystemTime) -> bool {
        let newest = self.modified.max(self.changed);
        let Ok(seconds) = u64::try_from(newest.0) else { return false };
        let since_epoch =
            Duration::from_secs(seconds).saturating_add(Duration::from_nanos(newest.1));
        let Some(newest) = UNIX_EPOCH.checked_add(since_epoch) else { return false };
        let coarse = since_epoch.subsec_nanos().is_multiple_of(1_000_000);
        let tick = if coarse { COARSE_TICK } else { TICK };
        now.duration_since(newest).is_ok_and(|rest| rest > tick)
    }
}

impl Ahead {
    /// As [`smallest`], from what was read ahead if it still holds. The answer may have fewer names
    /// than are wanted although there are more.
    pub(crate) fn smallest(
        &self,
        directory: &OwnedFd,
        from: Option<&Name>,
        prefix: &str,
        wanted: usize,
    ) -> rustix::io::Result<Names> {
        self.smallest_at(SystemTime::now(), directory, from, prefix, wanted)
    }

    fn smallest_at(
        &self,
        began: SystemTime,
        directory: &OwnedFd,
        from: Option<&Name>,
        prefix: &str,
        wanted: usize,
    ) -> rustix::io::Result<Names> {
        let stamp = Stamp::of(directory)?;
        if let Some(names) = self.take(stamp, from, prefix, wanted) {
            return Ok(names);
        }
        let room = wanted.saturating_mul(AHEAD_PAGES).min(AHEAD_NAMES_MAX).max(wanted);
        let mut read = smallest(directory, from, prefix, room)?;
        if read.names.len() > wanted {
            let rest = read.names.split_off(wanted);
            if stamp.is_at_rest(began) && Stamp::of(directory)? == stamp {
                self.keep(Stretch {
                    directory: stamp,
                    prefix: prefix.to_owned(),
                    // The last name that is looked at is often not used: it only says that there is
                    // more. So the stretch begins with it.
                    from: read.names.iter().rev().nth(1).or(from).cloned(),
                    names: read.names.last().cloned().into_iter().chain(rest).collect(),
                    more: read.more,
                });
            }
            read.more = true;
        }
        Ok(read)
    }

    fn take(
        &self,
        stamp: Stamp,
        from: Option<&Name>,
        prefix: &str,
        wanted: usize,
    ) -> Option<Names> {
        let mut stretches = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = stretches.iter().position(|stretch| {
            stretch.directory == stamp
                && stretch.prefix == prefix
                && stretch.from.as_ref() <= from
                && stretch.names.last() > from
        })?;
        let mut stretch = stretches.remove(at)?;
        let used = stretch.names.partition_point(|name| Some(name) <= from);
        stretch.names.drain(..used);
        stretch.from = from.cloned();
        let names: Vec<_> = stretch.names.iter().take(wanted).cloned().collect();
        let more = stretch.more || stretch.names.len() > wanted;
        if stretch.names.len() > wanted {
            stretches.push_back(stretch);
        }
        Some(Names { names, more, nothing: false })
    }

    fn keep(&self, stretch: Stretch) {
        let mut stretches = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if stretches.len() >= AHEAD_DIRECTORIES_MAX {
            stretches.pop_front();
        }
        stretches.push_back(stretch);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn segments(names: &Names) -> Vec<&str> {
        names.names.iter().map(|name| &*name.segment).collect()
    }

    #[test]
    fn names_read_ahead_are_used_until_the_directory_changes() {
        let folder = tempfile::tempdir().unwrap();
        for n in 0..500 {
            fs::write(folder.path().join(format!("{n:03}.o")), "").unwrap();
        }
        let directory = OwnedFd::from(fs::File::open(folder.path()).unwrap());
        let ahead = Ahead::default();
        // Read a while later, when the directory has come to rest.
        let later = SystemTime::now() + Duration::from_secs(10);
        let page = |from: Option<&Name>| ahead.smallest_at(later, &directory, from, "", 3).unwrap();
        let first = page(None);
        assert_eq!((segments(&first), first.more), (vec!["000", "001", "002"], true));
        assert_eq!(ahead.0.lock().unwrap().len(), 1);
        // As a list goes on: the last name of a page was only looked at.
        let second = page(first.names.get(1));
        assert_eq!((segments(&second), second.more), (vec!["002", "003", "004"], true));
        assert_eq!(ahead.0.lock().unwrap()[0].from.as_ref(), first.names.get(1));

        let before = Stamp::of(&directory).unwrap();
        fs::write(folder.path().join("003a.o"), "").unwrap();
        // What has changed within a tick of the clock is what `is_at_rest` is for.
        while Stamp::of(&directory).unwrap() == before {
            fs::write(folder.path().join("zzz.o"), "").unwrap();
            fs::remove_file(folder.path().join("zzz.o")).unwrap();
        }
        let third = page(second.names.first());
        assert_eq!(segments(&third), ["003", "003a", "004"]);
    }

    /// A stretch that was read from the middle once passed for one from the beginning, when a page had
    /// room for one name: a later walk then missed everything before it.
    #[test]
    fn a_stretch_from_the_middle_is_not_taken_for_the_beginning() {
        let folder = tempfile::tempdir().unwrap();
        for n in 0..500 {
            fs::write(folder.path().join(format!("{n:03}.o")), "").unwrap();
        }
        let directory = OwnedFd::from(fs::File::open(folder.path()).unwrap());
        let later = SystemTime::now() + Duration::from_secs(10);
        for wanted in [1, 2, 7] {
            let ahead = Ahead::default();
            let middle = smallest(&directory, None, "", 250).unwrap().names.pop();
            let page = ahead.smallest_at(later, &directory, middle.as_ref(), "", wanted).unwrap();
            assert_eq!(segments(&page)[0], "250");
            let page = ahead.smallest_at(later, &directory, None, "", 3).unwrap();
            assert_eq!(segments(&page), ["000", "001", "002"], "after a page of {wanted}");
        }
    }

    #[test]
    fn a_whole_walk_over_pages_sees_each_name_once() {
        let folder = tempfile::tempdir().unwrap();
        for n in 0..1000 {
            fs::write(folder.path().join(format!("{n:04}.o")), "").unwrap();
        }
        let directory = OwnedFd::from(fs::File::open(folder.path()).unwrap());
        let later = SystemTime::now() + Duration::from_secs(10);
        for (wanted, used) in [(7, 6), (7, 7), (1, 1), (64, 63), (999, 1)] {
            let ahead = Ahead::default();
            let (mut seen, mut from) = (Vec::new(), None);
            loop {
                let page = ahead.smallest_at(later, &directory, from.as_ref(), "", wanted).unwrap();
                let used = if page.more { used.min(page.names.len()) } else { page.names.len() };
                seen.extend(page.names.into_iter().take(used));
                if !page.more {
                    break;
                }
                from = seen.last().cloned();
            }
            assert!(seen.is_sorted() && seen.len() == 1000, "{wanted} {used}: {}", seen.len());
        }
    }

    #[test]
    fn a_directory_changed_within_a_tick_is_not_at_rest() {
        let check = |nanos: u64, age: Duration, expected: bool| {
            let times = (1_700_000_000, nanos);
            let stamp = Stamp { device: 1, inode: 1, modified: times, changed: times };
            let then =
                UNIX_EPOCH + Duration::from_secs(1_700_000_000) + Duration::from_nanos(nanos);
            assert_eq!(stamp.is_at_rest(then + age), expected, "{nanos} {age:?}");
        };
        check(123_456_789, Duration::from_millis(50), false);
        check(123_456_789, Duration::from_millis(150), true);
        check(0, Duration::from_millis(150), false);
        check(0, Duration::from_secs(4), true);
        let future = Stamp { device: 1, inode: 1, modified: (i64::MAX, 1), changed: (0, 0) };
        assert!(!future.is_at_rest(SystemTime::now()));
    }
}
