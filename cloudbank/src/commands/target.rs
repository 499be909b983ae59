//! A file that is written whole or not at all.

use std::ffi::OsStr;
use std::fs::{File, Permissions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::error::{Error, Result};

/// What a file is called while it is written.
const PREFIX: &str = ".cloudbank-";
const SUFFIX: &str = ".partial";

/// A file being written: another one beside it, which takes its name in the end. Dropped before that, it
/// leaves nothing.
#[derive(Debug)]
pub(crate) enum Target {
    /// A pipe or a device can only be written into.
    Device(File),
    Beside {
        new: NamedTempFile,
        path: PathBuf,
        permissions: Option<Permissions>,
    },
}

impl Target {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        // Where the name is a link, the file it leads to is replaced, not the link.
        let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
        let existing = std::fs::metadata(&path).ok();
        if existing.as_ref().is_some_and(|meta| !meta.is_file()) {
            return Ok(Self::Device(File::options().write(true).open(path)?));
        }
        let mut builder = tempfile::Builder::new();
        builder.prefix(PREFIX).suffix(SUFFIX);
        if let Some(permissions) = new_file_permissions() {
            builder.permissions(permissions);
        }
        let new = builder.tempfile_in(folder_of(&path))?;
        Ok(Self::Beside { new, path, permissions: existing.map(|meta| meta.permissions()) })
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Device(file) => file.write_all(bytes),
            Self::Beside { new, .. } => new.write_all(bytes),
        }
    }

    /// Writes bytes where they belong. Not for a pipe or a device, which take bytes in order.
    pub(crate) fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let file = self.file();
        file.seek(SeekFrom::Start(offset))?;
        file.write_all(bytes)
    }

    /// The file that is being written.
    pub(crate) fn file(&mut self) -> &mut File {
        match self {
            Self::Device(file) => file,
            Self::Beside { new, .. } => new.as_file_mut(),
        }
    }

    /// Whether bytes can be written in any order, and read again.
    pub(crate) fn is_file(&self) -> bool {
        matches!(self, Self::Beside { .. })
    }

    /// Gives it its name, and what an earlier file of that name permitted.
    pub(crate) fn finish(self) -> io::Result<()> {
        match self {
            Self::Device(_) => Ok(()),
            Self::Beside { new, path, permissions } => {
                if let Some(permissions) = permissions {
                    new.as_file().set_permissions(permissions)?;
                }
                new.persist(path).map(drop).map_err(|error| error.error)
            }
        }
    }
}

/// Whether a file of this name is one that was never finished.
pub(crate) fn is_partial(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    name.starts_with(PREFIX.as_bytes()) && name.ends_with(SUFFIX.as_bytes())
}

/// Refuses a file that cannot be written before anything is fetched.
pub(crate) fn check_target(path: &Path) -> Result<()> {
    let shown = path.display();
    if path.is_dir() {
        return Err(Error::Usage(format!("{shown} is a folder: name the file to write")));
    }
    let folder = folder_of(path);
    if !folder.is_dir() {
        return Err(Error::Usage(format!(
            "there is no folder {}\n  = mkdir -p {}",
            folder.display(),
            folder.display()
        )));
    }
    Ok(())
}

/// The folder that a file is in.
pub(crate) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// What a new file may be, the user's mask applied by the system; temporary files would be private.
#[cfg(unix)]
fn new_file_permissions() -> Option<Permissions> {
    use std::os::unix::fs::PermissionsExt;
    Some(Permissions::from_mode(0o666))
}

#[cfg(not(unix))]
fn new_file_permissions() -> Option<Permissions> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_as_a_whole_and_keeps_its_permissions() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let write = |parts: &[&str]| {
            let mut target = Target::open(&path).unwrap();
            parts.iter().for_each(|part| target.write(part.as_bytes()).unwrap());
            target.finish().unwrap();
        };
        write(&["a first ", "and long one"]);
        assert_eq!(std::fs::read(&path).unwrap(), b"a first and long one");
        let mut permissions = std::fs::metadata(&path).unwrap().permissions();
        permissions.set_readonly(true);
        std::fs::set_permissions(&path, permissions).unwrap();
        write(&["second"]);
        assert_eq!(std::fs::read(&path).unwrap(), b"second");
        assert!(std::fs::metadata(&path).unwrap().permissions().readonly());
        let mut given_up = Target::open(&path).unwrap();
        given_up.write(b"third").unwrap();
        drop(given_up);
        assert_eq!(std::fs::read(&path).unwrap(), b"second");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
