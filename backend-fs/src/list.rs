//! Lists: an ordered walk that opens only the directories a page needs.
//!
//! A directory is read as a stream, and only a bounded number of its smallest names is kept, so memory
//! does not grow with the directory.

use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;
use storage_core::{Key, Listed, Page, Prefix, Result};

use crate::ahead::Ahead;
use crate::error::{corrupt, not_applied};
use crate::key::{Kind, OBJECT_SUFFIX, split};
use crate::object::HEADER_BYTES;
use crate::scan::{Name, Names};

/// The most keys in a page, whatever is asked for.
pub(crate) const PAGE_KEYS_MAX: usize = 10_000;

/// The first keys with this prefix after `start_after`. `empty` is told of directories that hold
/// nothing at all.
pub(crate) fn page(
    objects: &OwnedFd,
    ahead: &Ahead,
    prefix: &Prefix,
    start_after: Option<&Key>,
    limit: usize,
    empty: impl FnMut(&str),
) -> Result<Page> {
    let limit = limit.clamp(1, PAGE_KEYS_MAX);
    // One more than asked for is looked up, to know whether there is more.
    let mut walk = Walk { objects, ahead, found: Vec::new(), wanted: limit + 1, empty };
    walk.run(prefix.as_str(), start_after.map(Key::as_str))?;
    let mut objects = walk.found;
    let more = objects.len() > limit;
    objects.truncate(limit);
    Ok(Page { objects, more })
}

struct Walk<'a, E> {
    objects: &'a OwnedFd,
    ahead: &'a Ahead,
    found: Vec<Listed>,
    wanted: usize,
    empty: E,
}

impl<E: FnMut(&str)> Walk<'_, E> {
    fn run(&mut self, prefix: &str, after: Option<&str>) -> Result<()> {
        let (base, name_prefix) = split(prefix);
        let Some(after) = after.filter(|after| *after >= prefix) else {
            return self.directory(base, None, name_prefix);
        };
        if !after.starts_with(prefix) {
            // Every key with the prefix sorts before this one.
            return Ok(());
        }
        // From the innermost directory of `after` outwards: what follows it there, then what follows
        // that directory in the one above, and so on up to the directory that the prefix is in.
        let (mut path, mut kind) = (after, Kind::Object);
        loop {
            let (directory, name) = split(path);
            let last = directory == base;
            let from = Name { segment: name.into(), kind };
            self.directory(directory, Some(from), if last { name_prefix } else { "" })?;
            if last || self.is_full() {
                return Ok(());
            }
            (path, kind) = (directory, Kind::Directory);
        }
    }

    fn is_full(&self) -> bool {
        self.found.len() >= self.wanted
    }

    /// Finds what is in and beneath a directory, after `from`, among names with this prefix.
    fn directory(&mut self, path: &str, mut from: Option<Name>, name_prefix: &str) -> Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let at = if path.is_empty() { "." } else { path };
        let fd = match rustix::fs::openat(self.objects, at, flags, Mode::empty()) {
            Ok(fd) => fd,
            // A prefix that nothing lies under, or a directory removed or replaced meanwhile.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(()),
            Err(errno) => {
                return Err(not_applied(errno, format_args!("open the directory \"{path}\"")));
            }
        };
        while !self.is_full() {
            let wanted = self.wanted - self.found.len();
            let Names { names, more, nothing } = self
                .ahead
                .smallest(&fd, from.as_ref(), name_prefix, wanted)
                .map_err(|errno| not_applied(errno, format_args!("read \"{path}\"")))?;
            if nothing {
                (self.empty)(path);
            }
            for name in &names {
                match name.kind {
                    Kind::Object => self.object(&fd, path, &name.segment)?,
                    Kind::Directory => self.directory(&join(path, &name.segment), None, "")?,
                }
                if self.is_full() {
                    return Ok(());
                }
            }
            // Objects removed meanwhile and empty directories leave room for more.
            match names.into_iter().next_back() {
                Some(last) if more => from = Some(last),
                _ => return Ok(()),
            }
        }
        Ok(())
    }

    fn object(&mut self, directory: &OwnedFd, path: &str, segment: &str) -> Result<()> {
        let file = format!("{segment}{OBJECT_SUFFIX}");
        let stat = match rustix::fs::statat(directory, &file, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Ok(()),
            Err(errno) => return Err(not_applied(errno, format_args!("stat \"{path}/{file}\""))),
        };
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Ok(());
        }
        // A path too long for a key is nothing we made.
        let Ok(key) = Key::new(join(path, segment)) else { return Ok(()) };
        if self.found.last().is_some_and(|last| last.key >= key) {
            return Err(corrupt(format!("\"{key}\" was found out of order")));
        }
        let file_bytes = u64::try_from(stat.st_size).unwrap_or_default();
        // A file too short for an object is shown as empty; a get says what is wrong with it.
        self.found.push(Listed { key, size: file_bytes.saturating_sub(HEADER_BYTES as u64) });
        Ok(())
    }
}

fn join(path: &str, segment: &str) -> String {
    if path.is_empty() { segment.to_owned() } else { format!("{path}/{segment}") }
}
