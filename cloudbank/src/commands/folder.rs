//! A folder that files are written into, and never anything outside of it.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::walk::is_provider;
use crate::error::{Error, Result};

/// A folder on the file system.
#[derive(Debug)]
pub(crate) struct Folder {
    root: PathBuf,
    dry_run: bool,
    /// The last folder in it that was found to be one.
    known: Option<PathBuf>,
    /// Where upper and lower case are the same name: the names so far, in lower case and hashed.
    names: Option<(RandomState, HashSet<u64>)>,
}

impl Folder {
    pub(crate) fn open(root: &Path, dry_run: bool) -> Result<Self> {
        let shown = root.display();
        if root.exists() && !root.is_dir() {
            return Err(Error::Usage(format!("{shown} is not a folder")));
        }
        if is_provider(root) {
            return Err(Error::Usage(format!(
                "{shown} is the folder of a provider: files of yours are not for it\n  = name another folder"
            )));
        }
        let mut ignores_case = false;
        if !dry_run {
            let failed = || Error::file(format!("write {shown}"));
            fs::create_dir_all(root).map_err(failed())?;
            ignores_case = self::ignores_case(root).map_err(failed())?;
        }
        let names = ignores_case.then(Default::default);
        Ok(Self { root: root.into(), dry_run, known: None, names })
    }

    /// Where a file goes, in folders that are there; else why it cannot be one.
    pub(crate) fn place(&mut self, name: &[u8]) -> Result<std::result::Result<PathBuf, String>> {
        let relative = match relative(name) {
            Ok(relative) => relative,
            Err(why) => return Ok(Err(why.into())),
        };
        if self.is_taken(&relative) {
            let why =
                "another key differs from it only in upper and lower case, which is one file here";
            return Ok(Err(why.into()));
        }
        let path = self.root.join(&relative);
        let failed = || Error::file(format!("write {}", path.display()));
        if let Some(why) = self.make_folders(&relative).map_err(failed())? {
            return Ok(Err(why));
        }
        let there = look(&path).map_err(failed())?;
        let what = match there {
            Some(meta) if meta.is_symlink() => "there is a link in its place",
            Some(meta) if meta.is_dir() => "there is a folder in its place",
            Some(meta) if !meta.is_file() => "there is something in its place that is no file",
            _ => return Ok(Ok(path)),
        };
        Ok(Err(what.into()))
    }

    /// Notes a name; whether it is one that was there before, but for upper and lower case.
    fn is_taken(&mut self, relative: &Path) -> bool {
        let Some((hasher, names)) = &mut self.names else { return false };
        let name = relative.to_string_lossy().to_lowercase();
        !names.insert(hasher.hash_one(name))
    }

    /// Makes the folders that a file is in. Links are not followed: they may lead anywhere.
    fn make_folders(&mut self, relative: &Path) -> io::Result<Option<String>> {
        let Some(parent) = relative.parent() else { return Ok(None) };
        if self.known.as_deref() == Some(parent) {
            return Ok(None);
        }
        let mut folder = PathBuf::new();
        for part in parent {
            folder.push(part);
            let path = self.root.join(&folder);
            match look(&path)? {
                Some(meta) if meta.is_dir() => {}
                Some(meta) => {
                    let what = if meta.is_symlink() { "a link" } else { "a file" };
                    return Ok(Some(format!(
                        "{} is {what}, so nothing can be in it",
                        path.display()
                    )));
                }
                None if self.dry_run => return Ok(None),
                None => fs::create_dir(&path)?,
            }
        }
        self.known = Some(parent.to_path_buf());
        Ok(None)
    }
}

/// What there is, links not followed.
pub(crate) fn look(path: &Path) -> io::Result<Option<Metadata>> {
    match fs::symlink_metadata(path) {
        Ok(meta) => Ok(Some(meta)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether a name in upper case finds a file in lower case.
fn ignores_case(folder: &Path) -> io::Result<bool> {
    let probe = tempfile::Builder::new()
        .prefix(".cloudbank-case-")
        .suffix(".partial")
        .tempfile_in(folder)?;
    let upper = probe.path().file_name().map(|name| name.to_string_lossy().to_uppercase());
    Ok(upper.is_some_and(|upper| folder.join(upper).exists()))
}

/// The path of a file inside a folder; why there is none.
fn relative(name: &[u8]) -> std::result::Result<PathBuf, &'static str> {
    if name.contains(&0) {
        return Err("no file has a NUL byte in its name");
    }
    let mut path = PathBuf::new();
    for part in name.split(|byte| *byte == b'/') {
        match part {
            b"" if name.is_empty() => return Err("the name of a file is not empty"),
            b"" => return Err("the name of a file has no / at its ends and no two in a row"),
            b"." | b".." => return Err("no file is called . or .., which would lead elsewhere"),
            part => path.push(os_name(part).ok_or("no file can have this name here")?),
        }
    }
    Ok(path)
}

#[cfg(unix)]
fn os_name(part: &[u8]) -> Option<&OsStr> {
    use std::os::unix::ffi::OsStrExt;
    Some(OsStr::from_bytes(part))
}

#[cfg(not(unix))]
fn os_name(part: &[u8]) -> Option<&OsStr> {
    let text = std::str::from_utf8(part).ok()?;
    let reserved = text.contains(['\\', ':', '*', '?', '"', '<', '>', '|']);
    (!reserved && !text.ends_with(['.', ' '])).then(|| OsStr::new(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(folder: &mut Folder, name: &[u8]) -> String {
        match folder.place(name).unwrap() {
            Err(why) => why,
            Ok(path) => panic!("{}: {}", name.escape_ascii(), path.display()),
        }
    }

    fn written(folder: &mut Folder, name: &[u8]) {
        fs::write(folder.place(name).unwrap().unwrap(), "x").unwrap();
    }

    #[test]
    fn names_that_would_lead_elsewhere_are_refused() {
        let place = tempfile::tempdir().unwrap();
        let mut folder = Folder::open(&place.path().join("to"), false).unwrap();
        for name in
            [&b""[..], b"/etc/x", b"a//b", b"a/", b"..", b"../x", b"a/../../x", b"a/./b", b"a\0b"]
        {
            refused(&mut folder, name);
        }
        let names: Vec<_> =
            fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["to"]);
        assert_eq!(fs::read_dir(place.path().join("to")).unwrap().count(), 0);
    }

    #[test]
    fn dots_in_names_are_no_harm() {
        let place = tempfile::tempdir().unwrap();
        let mut folder = Folder::open(place.path(), false).unwrap();
        for name in ["...", "a..b", ".hidden", "..a/b"] {
            written(&mut folder, name.as_bytes());
        }
    }

    #[cfg(unix)]
    #[test]
    fn links_are_not_followed() {
        let place = tempfile::tempdir().unwrap();
        let (inside, outside) = (place.path().join("in"), place.path().join("out"));
        fs::create_dir_all(&inside).unwrap();
        fs::create_dir_all(&outside).unwrap();
        std::os::unix::fs::symlink(&outside, inside.join("d")).unwrap();
        std::os::unix::fs::symlink(outside.join("f"), inside.join("f")).unwrap();
        let mut folder = Folder::open(&inside, false).unwrap();
        assert!(refused(&mut folder, b"d/x").contains("is a link"));
        assert!(refused(&mut folder, b"f").contains("a link in its place"));
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    }

    #[test]
    fn a_key_and_a_key_below_it_cannot_both_be_files() {
        let place = tempfile::tempdir().unwrap();
        let mut folder = Folder::open(place.path(), false).unwrap();
        written(&mut folder, b"a");
        assert!(refused(&mut folder, b"a/b").contains("is a file, so nothing can be in it"));
        written(&mut folder, b"b/c");
        assert!(refused(&mut folder, b"b").contains("a folder in its place"));
    }

    #[test]
    fn where_case_is_ignored_the_second_name_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let mut folder = Folder::open(place.path(), false).unwrap();
        folder.names = Some(Default::default());
        written(&mut folder, "Stra\u{df}e/\u{c4}".as_bytes());
        assert!(
            refused(&mut folder, "stra\u{df}e/\u{e4}".as_bytes()).contains("upper and lower case")
        );
        written(&mut folder, b"other");
    }

    #[test]
    fn a_dry_run_makes_no_folder() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("to");
        let mut folder = Folder::open(&root, true).unwrap();
        assert_eq!(folder.place(b"a/b").unwrap(), Ok(root.join("a/b")));
        assert!(!root.exists());
    }
}
