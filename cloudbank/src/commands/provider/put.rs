//! `provider put`: a file or standard input becomes an object.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde_json::json;
use storage_core::{Key, PutIf, StorageProvider, Version};
use tokio::io::AsyncReadExt;

use super::Place;
use crate::config::{exact_size, human_size};
use crate::error::{Error, Result};
use crate::run::Context;

pub(super) struct Put {
    pub(super) key: Key,
    pub(super) file: PathBuf,
    pub(super) if_absent: bool,
    pub(super) if_match: Option<String>,
}

impl Put {
    pub(super) async fn run(self, context: &Context, place: &Place) -> Result<()> {
        let provider = place.open().await?;
        let most = provider.info().capabilities.object_bytes_max;
        let body = if self.file.as_os_str() == "-" {
            read_input(most, place).await?
        } else {
            read_file(&self.file, most, place).await?
        };
        let when = match self.if_match {
            Some(version) => PutIf::Matches(Version::new(version)),
            None if self.if_absent => PutIf::Absent,
            None => PutIf::Always,
        };
        let size = body.len() as u64;
        let version = provider.put(&self.key, body, when).await.map_err(place.explain())?;
        if place.provider().backend().is_volatile() {
            context.output.note(format_args!(
                "warning: provider `{}` keeps its objects in memory, and this command ends now",
                place.name()
            ));
        }
        context.output.done(
            format_args!("put {}: {}, version {version}", self.key, human_size(size)),
            &json!({ "key": self.key.as_str(), "size": size, "version": version.as_str() }),
        )
    }
}

async fn read_file(path: &Path, most: u64, place: &Place) -> Result<Bytes> {
    let shown = path.display();
    let failed = |error| Error::File { what: format!("read {shown}"), error };
    let file = tokio::fs::File::open(path).await.map_err(failed)?;
    let meta = file.metadata().await.map_err(failed)?;
    if meta.is_dir() {
        return Err(Error::Usage(format!("{shown} is a folder: an object is made of a file")));
    }
    // Refused before it is read, not after.
    if meta.len() > most {
        return Err(too_large(&shown.to_string(), &exact_size(meta.len()), most, place));
    }
    read_all(file, &shown.to_string(), meta.len() as usize, most, place).await
}

async fn read_input(most: u64, place: &Place) -> Result<Bytes> {
    read_all(tokio::io::stdin(), "standard input", 0, most, place).await
}

async fn read_all(
    source: impl tokio::io::AsyncRead + Unpin,
    name: &str,
    expected: usize,
    most: u64,
    place: &Place,
) -> Result<Bytes> {
    let mut body = Vec::with_capacity(expected);
    let mut source = source.take(most.saturating_add(1));
    source.read_to_end(&mut body).await.map_err(Error::file(format!("read {name}")))?;
    if body.len() as u64 > most {
        return Err(too_large(name, &format!("more than {}", exact_size(most)), most, place));
    }
    Ok(body.into())
}

fn too_large(name: &str, size: &str, most: u64, place: &Place) -> Error {
    let (provider, most) = (place.name(), exact_size(most));
    Error::Failed(format!(
        "{name} is too large: {size}, but provider `{provider}` takes objects of up to {most}"
    ))
}
