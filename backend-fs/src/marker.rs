//! The folder as a whole: its marker, its making and its end.

use std::fs;
use std::io::{ErrorKind as IoKind, Write};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use storage_core::{Error, ErrorKind, Prefix, Result};

use crate::Config;
use crate::ahead::Ahead;
use crate::error::{errno, misconfigured, not_applied};
use crate::folder::SWEEP_LOCK;
use crate::key::{STRIPES, stripe_name};
use crate::list;
use crate::lock::flock;
use crate::temporary::removed;

/// The file that says whose folder this is, and in which format.
const MARKER: &str = "cloudbank-fs";
const MARKER_NEW: &str = "cloudbank-fs.new";
const FORMAT: &str = "1";
const PARTS: [&str; 3] = ["objects", "tmp", "locks"];

/// Opens the folder itself.
pub(crate) fn open_root(config: &Config) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(&config.path, flags, Mode::empty()).map_err(|errno| {
        let path = config.path.display();
        match errno {
            Errno::NOENT => misconfigured(format_args!(
                "there is no folder \"{path}\": create it first, or set `create = true`"
            )),
            Errno::NOTDIR => misconfigured(format_args!("\"{path}\" is not a folder")),
            errno => not_applied(errno, format_args!("open the folder \"{path}\"")),
        }
    })
}

/// Checks that the folder is one of ours, in the format that this version reads.
pub(crate) fn check(root: &OwnedFd, config: &Config) -> Result<()> {
    let path = config.path.display();
    if removed(root).map_err(|errno| not_applied(errno, "stat the folder"))? {
        return Err(misconfigured(format_args!("the folder \"{path}\" was just removed")));
    }
    match read(&config.path)? {
        Some(text) => check_format(&text, &config.path),
        None => Err(misconfigured(format_args!(
            "the folder \"{path}\" holds no objects of ours (there is no file \"{MARKER}\" in it): \
             create it first, or set `create = true`; a folder that holds other things is refused"
        ))),
    }
}

fn read(path: &Path) -> Result<Option<String>> {
    match fs::read(path.join(MARKER)) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == IoKind::NotFound => Ok(None),
        Err(error) => Err(not_applied(errno(&error), format_args!("read \"{MARKER}\""))),
    }
}

fn check_format(text: &str, path: &Path) -> Result<()> {
    let path = path.display();
    match text.trim_end().strip_prefix("cloudbank-fs ") {
        Some(FORMAT) => Ok(()),
        Some(other) => Err(misconfigured(format_args!(
            "the folder \"{path}\" has format {other:?}, but this version reads format {FORMAT}"
        ))),
        None => Err(misconfigured(format_args!("\"{path}/{MARKER}\" is not a marker of ours"))),
    }
}

/// Makes the folder. One that is a provider already is a conflict, unless `or_open`.
pub(crate) fn create(config: &Config, or_open: bool) -> Result<()> {
    config.check()?;
    let path = config.path.as_path();
    let failed = |error: std::io::Error| {
        not_applied(errno(&error), format_args!("make the folder \"{}\"", path.display()))
    };
    if or_open && read(path).is_ok_and(|marker| marker.is_some()) {
        return Ok(());
    }
    let made_in = first_existing(path);
    fs::create_dir_all(path).map_err(failed)?;
    let root = open_root(config)?;
    // One maker at a time; the second finds the marker of the first.
    flock(&root, FlockOperation::LockShared).map_err(|e| not_applied(e, "lock the folder"))?;
    if removed(&root).map_err(|e| not_applied(e, "stat the folder"))? {
        // It was being destroyed. Make a new one.
        return create(config, or_open);
    }
    if let Some(text) = read(path)? {
        check_format(&text, path)?;
        if or_open {
            return Ok(());
        }
        return Err(conflict(format!("the folder \"{}\" exists already", path.display())));
    }
    flock(&root, FlockOperation::LockExclusive).map_err(|e| not_applied(e, "lock the folder"))?;
    if read(path)?.is_some() || removed(&root).map_err(|e| not_applied(e, "stat the folder"))? {
        drop(root);
        return create(config, or_open);
    }
    if let Some(name) = foreign_entry(path).map_err(failed)? {
        let message = format!(
            "the folder \"{}\" holds other things (\"{name}\"): take an empty one",
            path.display()
        );
        return Err(if or_open { misconfigured(message) } else { conflict(message) });
    }
    for part in PARTS {
        match fs::create_dir(path.join(part)) {
            Err(error) if error.kind() == IoKind::AlreadyExists => {}
            result => result.map_err(failed)?,
        }
    }
    let locks = path.join("locks");
    for name in (0..STRIPES).map(stripe_name).chain([SWEEP_LOCK.to_owned()]) {
        fs::File::create(locks.join(name)).map_err(failed)?;
    }
    let new = path.join(MARKER_NEW);
    let mut file = fs::File::create(&new).map_err(failed)?;
    file.write_all(format!("cloudbank-fs {FORMAT}\n").as_bytes()).map_err(failed)?;
    file.sync_all().map_err(failed)?;
    // Whoever sees the marker builds on all the rest.
    sync_upwards(path, &made_in).map_err(failed)?;
    fs::rename(&new, path.join(MARKER)).map_err(failed)?;
    sync_upwards(path, path).map_err(failed)
}

/// Removes a folder that holds no object.
pub(crate) fn destroy(config: &Config) -> Result<()> {
    config.check()?;
    let path = config.path.as_path();
    let shown = path.display();
    let failed = |error: std::io::Error| {
        not_applied(errno(&error), format_args!("remove the folder \"{shown}\""))
    };
    let root = open_root(config)?;
    match flock(&root, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => {
            return Err(conflict(format!("the folder \"{shown}\" is in use by an open handle")));
        }
        Err(errno) => return Err(not_applied(errno, "lock the folder")),
    }
    check(&root, config)?;
    if let Some(key) = any_object(path)? {
        return Err(conflict(format!("the folder \"{shown}\" holds objects, such as \"{key}\"")));
    }
    if let Some(name) = foreign_entry(path).map_err(failed)? {
        return Err(conflict(format!("the folder \"{shown}\" holds other things (\"{name}\")")));
    }
    let objects = path.join("objects");
    if objects.exists() && !remove_empty_directories(&objects).map_err(failed)? {
        let message = format!("\"{}\" holds files that are not objects", objects.display());
        return Err(conflict(message));
    }
    // Without its marker it is no provider any more; what follows may be interrupted.
    fs::remove_file(path.join(MARKER)).map_err(failed)?;
    sync_upwards(path, path).map_err(failed)?;
    for part in PARTS {
        let part = path.join(part);
        if part.exists() {
            fs::remove_dir_all(part).map_err(failed)?;
        }
    }
    let _ = fs::remove_file(path.join(MARKER_NEW));
    fs::remove_dir(path).map_err(failed)?;
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => {
            sync_upwards(parent, parent).map_err(failed)
        }
        _ => Ok(()),
    }
}

/// Something in the folder that we did not put there.
fn foreign_entry(path: &Path) -> std::io::Result<Option<String>> {
    for entry in fs::read_dir(path)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if !PARTS.contains(&name.as_str()) && name != MARKER && name != MARKER_NEW {
            return Ok(Some(name));
        }
    }
    // What a making or an end that was interrupted leaves has our names, but no object.
    match any_object(path) {
        Ok(Some(key)) if !path.join(MARKER).exists() => Ok(Some(format!("objects/{key}.o"))),
        _ => Ok(None),
    }
}

fn any_object(path: &Path) -> Result<Option<storage_core::Key>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    match rustix::fs::open(path.join("objects"), flags, Mode::empty()) {
        Ok(objects) => {
            let found = list::page(&objects, &Ahead::default(), &Prefix::all(), None, 1, |_| {})?;
            Ok(found.objects.into_iter().next().map(|object| object.key))
        }
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(not_applied(errno, "open the folder \"objects\"")),
    }
}

/// Removes the directories beneath `path`, and says whether nothing is left.
fn remove_empty_directories(path: &Path) -> std::io::Result<bool> {
    let mut empty = true;
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() && remove_empty_directories(&entry.path())? {
            fs::remove_dir(entry.path())?;
        } else {
            empty = false;
        }
    }
    Ok(empty)
}

/// The folder itself or the nearest one above it that exists.
fn first_existing(path: &Path) -> std::path::PathBuf {
    let existing = path.ancestors().find(|path| !path.as_os_str().is_empty() && path.exists());
    existing.unwrap_or(Path::new(".")).to_owned()
}

/// Syncs a folder and those above it, up to and with `top`.
fn sync_upwards(path: &Path, top: &Path) -> std::io::Result<()> {
    for folder in path.ancestors() {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        fs::File::open(folder)?.sync_all()?;
        if folder == top {
            break;
        }
    }
    Ok(())
}

fn conflict(message: String) -> Error {
    Error::not_applied(ErrorKind::Conflict, message)
}
