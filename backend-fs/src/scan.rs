//! Reads one directory and keeps only the smallest names of it.

use std::os::fd::OwnedFd;

use rustix::fs::FileType;

use crate::key::{Kind, decode};

/// How many bytes of directory entries are read at a time.
const BUFFER_BYTES: usize = 64 << 10;

/// What a directory holds at one place: an object, or a subtree. Ordered as the keys are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Name {
    pub(crate) segment: Box<str>,
    pub(crate) kind: Kind,
}

impl Name {
    fn key(&self) -> (&str, Kind) {
        (&self.segment, self.kind)
    }
}

/// The smallest names of a directory.
#[derive(Debug)]
pub(crate) struct Names {
    /// In order, without duplicates.
    pub(crate) names: Vec<Name>,
    /// Whether larger ones were left out.
    pub(crate) more: bool,
    /// Whether the directory has no entry at all, of ours or others.
    pub(crate) nothing: bool,
}

/// The `wanted` smallest names after `from` that begin with `prefix`.
pub(crate) fn smallest(
    directory: &OwnedFd,
    from: Option<&Name>,
    prefix: &str,
    wanted: usize,
) -> rustix::io::Result<Names> {
    let from = from.map(Name::key);
    let room = wanted.saturating_mul(2).max(256);
    let mut kept: Vec<Name> = Vec::new();
    // Once there are too many: the largest that is still of interest.
    let mut bound: Option<Name> = None;
    let mut nothing = true;
    each_entry(directory, |name, file_type| {
        nothing &= matches!(name, b"." | b"..");
        let Some((segment, kind)) = decode(name) else { return };
        let fits = match file_type {
            FileType::RegularFile => kind == Kind::Object,
            FileType::Directory => kind == Kind::Directory,
            // Not every file system says; opening or asking for the size will tell.
            FileType::Unknown => true,
            _ => false,
        };
        let key = (segment, kind);
        if !fits
            || !segment.starts_with(prefix)
            || from.is_some_and(|from| key <= from)
            || bound.as_ref().is_some_and(|bound| key >= bound.key())
        {
            return;
        }
        kept.push(Name { segment: segment.into(), kind });
        if kept.len() >= room {
            kept.select_nth_unstable(wanted - 1);
            kept.truncate(wanted);
            bound = kept.pop();
            kept.extend(bound.clone());
        }
    })?;
    kept.sort_unstable();
    // A file system may show a name twice that is replaced while it is read.
    kept.dedup();
    let more = bound.is_some() || kept.len() > wanted;
    kept.truncate(wanted);
    Ok(Names { names: kept, more, nothing })
}

/// Calls `see` with each entry of a directory, from its beginning.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn each_entry(directory: &OwnedFd, mut see: impl FnMut(&[u8], FileType)) -> rustix::io::Result<()> {
    rustix::fs::seek(directory, rustix::fs::SeekFrom::Start(0))?;
    let mut buffer = Vec::with_capacity(BUFFER_BYTES);
    let mut entries = rustix::fs::RawDir::new(directory, buffer.spare_capacity_mut());
    while let Some(entry) = entries.next() {
        let entry = entry?;
        see(entry.file_name().to_bytes(), entry.file_type());
    }
    Ok(())
}

/// Calls `see` with each entry of a directory, from its beginning.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn each_entry(directory: &OwnedFd, mut see: impl FnMut(&[u8], FileType)) -> rustix::io::Result<()> {
    for entry in rustix::fs::Dir::read_from(directory)? {
        let entry = entry?;
        see(entry.file_name().to_bytes(), entry.file_type());
    }
    Ok(())
}
