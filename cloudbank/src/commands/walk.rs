//! The files of a folder, in order, each with the key it becomes.

use std::cmp::Ordering;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use tokio::sync::mpsc::Sender;
use walkdir::{DirEntry, WalkDir};

use super::target;

/// The file that says that a folder is a provider's.
const MARKER: &str = "cloudbank-fs";

/// Something in a folder.
#[derive(Debug)]
pub(crate) enum Found {
    /// A file: its place, its path in the folder with `/` between the parts, its size.
    File { path: PathBuf, name: Vec<u8>, size: u64, modified: Option<SystemTime> },
    /// What is not imported, and why.
    LeftOut { path: PathBuf, why: &'static str },
    /// What could not be looked at.
    Failed { path: PathBuf, error: std::io::Error },
}

/// What to do with links.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Links {
    LeaveOut,
    Follow,
}

/// Sends everything that is in a folder, in the order of its keys, until nobody listens. Blocks.
pub(crate) fn walk(folder: &Path, links: Links, sender: &Sender<Found>) {
    let follow = links == Links::Follow;
    let walk = WalkDir::new(folder).min_depth(1).follow_links(follow).sort_by(by_key);
    let mut entries = walk.into_iter();
    while let Some(entry) = entries.next() {
        let found = match entry {
            Ok(entry) => {
                if entry.file_type().is_dir() {
                    if !is_provider(entry.path()) {
                        continue;
                    }
                    entries.skip_current_dir();
                    let why = "it is the folder of a provider";
                    Found::LeftOut { path: entry.into_path(), why }
                } else {
                    found(folder, entry)
                }
            }
            Err(error) => {
                let path = error.path().unwrap_or(folder).to_path_buf();
                let error = error
                    .into_io_error()
                    .unwrap_or_else(|| std::io::Error::other("a loop of links"));
                Found::Failed { path, error }
            }
        };
        if sender.blocking_send(found).is_err() {
            return;
        }
    }
}

/// As keys are ordered: what is in the folder `a` begins with `a/`, which is after `a.txt`.
fn by_key(a: &DirEntry, b: &DirEntry) -> Ordering {
    let name = |entry: &DirEntry| {
        let mut name = entry.file_name().as_encoded_bytes().to_vec();
        if entry.file_type().is_dir() {
            name.push(b'/');
        }
        name
    };
    name(a).cmp(&name(b))
}

/// Whether a folder holds the objects of a provider: to put a store into itself would never end.
pub(crate) fn is_provider(folder: &Path) -> bool {
    let mut start = [0; MARKER.len()];
    let read = File::open(folder.join(MARKER)).and_then(|mut file| file.read_exact(&mut start));
    read.is_ok() && start == MARKER.as_bytes()
}

fn found(folder: &Path, entry: DirEntry) -> Found {
    let kind = entry.file_type();
    if kind.is_symlink() {
        return Found::LeftOut { path: entry.into_path(), why: "it is a link" };
    }
    if !kind.is_file() {
        return Found::LeftOut { path: entry.into_path(), why: "it is no regular file" };
    }
    if target::is_partial(entry.file_name()) {
        let why = "it is what an interrupted export left";
        return Found::LeftOut { path: entry.into_path(), why };
    }
    match entry.metadata() {
        Ok(meta) => {
            let name = name(folder, entry.path());
            let modified = meta.modified().ok();
            Found::File { path: entry.into_path(), name, size: meta.len(), modified }
        }
        Err(error) => {
            let error =
                error.into_io_error().unwrap_or_else(|| std::io::Error::other("no metadata"));
            Found::Failed { path: entry.into_path(), error }
        }
    }
}

/// The path of a file in its folder, with `/` between the parts.
fn name(folder: &Path, path: &Path) -> Vec<u8> {
    let inside = path.strip_prefix(folder).unwrap_or(path);
    let parts: Vec<_> =
        inside.components().map(|part| part.as_os_str().as_encoded_bytes()).collect();
    parts.join(&b'/')
}
