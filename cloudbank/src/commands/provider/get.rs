//! `provider get`: an object becomes a file, or flows to standard output.

use std::fs::Permissions;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::json;
use storage_core::{ByteRange, Key, StorageProvider, Version};

use super::Place;
use crate::config::human_size;
use crate::error::{Error, Result};
use crate::run::Context;

pub(super) struct Get {
    pub(super) key: Key,
    pub(super) file: PathBuf,
    pub(super) range: Option<ByteRange>,
    pub(super) if_match: Option<String>,
    pub(super) if_changed: Option<String>,
}

impl Get {
    pub(super) async fn run(self, context: &Context, place: &Place) -> Result<()> {
        let to_output = self.file.as_os_str() == "-";
        if !to_output {
            check_target(&self.file)?;
        }
        let provider = place.open().await?;
        let request = storage_core::Get {
            range: self.range,
            if_match: self.if_match.map(Version::new),
            if_changed: self.if_changed.map(Version::new),
            meta_only: false,
        };
        let object = provider.get(&self.key, request).await.map_err(place.explain())?;
        if to_output {
            // The bytes are the result, also with --json.
            return context.output.bytes(&object.body);
        }
        let path = self.file;
        let shown = path.display().to_string();
        let (length, size, version) = (object.body.len() as u64, object.size, object.version);
        tokio::task::spawn_blocking(move || write_whole(&path, &object.body))
            .await
            .map_err(|error| Error::Failed(format!("write {shown}: {error}")))?
            .map_err(Error::file(format!("write {shown}")))?;
        context.output.done(
            format_args!(
                "got {}: {} into {shown}, version {version}",
                self.key,
                human_size(length)
            ),
            &json!({
                "key": self.key.as_str(),
                "file": shown,
                "bytes": length,
                "size": size,
                "version": version.as_str(),
            }),
        )
    }
}

/// Refuses a file that cannot be written before anything is fetched.
fn check_target(path: &Path) -> Result<()> {
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

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Writes a file whole or not at all: into another one beside it, which then takes its name.
fn write_whole(path: &Path, body: &[u8]) -> std::io::Result<()> {
    // Where the name is a link, the file it leads to is replaced, not the link.
    let path = &std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let existing = std::fs::metadata(path).ok();
    if existing.as_ref().is_some_and(|meta| !meta.is_file()) {
        // A pipe or a device can only be written into.
        return std::fs::OpenOptions::new().write(true).open(path)?.write_all(body);
    }
    let mut builder = tempfile::Builder::new();
    builder.prefix(".cloudbank-").suffix(".partial");
    let new_file = new_file_permissions();
    if let Some(permissions) = new_file {
        builder.permissions(permissions);
    }
    let mut file = builder.tempfile_in(folder_of(path))?;
    file.write_all(body)?;
    if let Some(meta) = existing {
        file.as_file().set_permissions(meta.permissions())?;
    }
    file.persist(path).map(drop).map_err(|error| error.error)
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

/// `A-B`, both ends included, or `A-` (RFC 9110 §14.1.1).
pub(super) fn parse_range(text: &str) -> Result<ByteRange> {
    let wrong = |why: &str| {
        Error::Usage(format!(
            "`{}` is not a range: {why}\n  = expected A-B, both included and counted from 0, or A-",
            text.escape_debug()
        ))
    };
    let (first, last) = text.split_once('-').ok_or_else(|| wrong("it has no `-`"))?;
    if first.is_empty() {
        return Err(wrong("it does not say where to begin"));
    }
    let start: u64 = first.parse().map_err(|_| wrong("it begins with no number"))?;
    if last.is_empty() {
        return Ok(ByteRange { start, end: None });
    }
    let last: u64 = last.parse().map_err(|_| wrong("it ends with no number"))?;
    if last < start {
        return Err(wrong("it ends before it begins"));
    }
    Ok(ByteRange { start, end: Some(last.saturating_add(1)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_those_of_http() {
        let check = |text: &str, expected: Option<ByteRange>| {
            assert_eq!(parse_range(text).ok(), expected, "{text}");
        };
        check("0-0", Some(ByteRange::from(0..1)));
        check("0-99", Some(ByteRange::from(0..100)));
        check("100-", Some(ByteRange::from(100..)));
        check("0-18446744073709551615", Some(ByteRange::from(0..u64::MAX)));
        check("-5", None);
        check("5", None);
        check("5-4", None);
        check("a-b", None);
        check("", None);
        check("1-2-3", None);
    }

    #[test]
    fn a_file_is_replaced_as_a_whole_and_keeps_its_permissions() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        write_whole(&path, b"a first and long one").unwrap();
        let mut permissions = std::fs::metadata(&path).unwrap().permissions();
        permissions.set_readonly(true);
        std::fs::set_permissions(&path, permissions).unwrap();
        write_whole(&path, b"second").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"second");
        assert!(std::fs::metadata(&path).unwrap().permissions().readonly());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
