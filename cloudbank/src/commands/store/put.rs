//! `store put`: a file or standard input becomes a value.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde_json::Value;
use storage_txn::{Options, Version};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::commit::Label;
use super::open::OpenStore;
use super::text;
use crate::cli::Write;
use crate::config::{exact_size, human_size};
use crate::error::{Error, Result};
use crate::run::Context;

pub(super) struct Put {
    pub(super) write: Write,
    pub(super) key: Bytes,
    pub(super) file: PathBuf,
    pub(super) if_absent: bool,
    pub(super) if_version: Option<u64>,
}

impl Put {
    pub(super) async fn run(self, context: &Context) -> Result<()> {
        let label = Label::new(&self.write)?;
        let opened = OpenStore::find(context, &self.write.which).await?;
        let value = match self.file.as_os_str().as_encoded_bytes() {
            b"-" => read_all(tokio::io::stdin(), "standard input", 0).await?,
            _ => read_file(&self.file).await?,
        };
        let size = value.len() as u64;
        let required = match (self.if_absent, self.if_version) {
            (true, _) => Some(None),
            (false, Some(version)) => Some(Some(Version(version))),
            (false, None) => None,
        };
        let ((), receipt) = opened
            .commit(&label, async |transaction| {
                if let Some(version) = required {
                    transaction.require(&self.key, version)?;
                }
                transaction.put(&self.key, value.clone())
            })
            .await?;
        opened.tidy(context, receipt.version).await;
        let mut object = OpenStore::receipt(&receipt);
        text::insert(&mut object, "key", &self.key);
        object.insert("size".into(), size.into());
        let (key, version) = (text::shown(&self.key), receipt.version);
        context.output.done(
            format_args!("put {key}: {}, version {version}", human_size(size)),
            &Value::Object(object),
        )
    }
}

/// The most bytes of a value: one that fits into a transaction, with room for its key and what is said of it.
pub(super) fn value_bytes_max() -> u64 {
    const REST_BYTES: u64 = 64 << 10;
    Options::default().transaction_bytes_max as u64 - REST_BYTES
}

pub(super) async fn read_file(path: &Path) -> Result<Bytes> {
    let shown = path.display().to_string();
    let failed = |error| Error::File { what: format!("read {shown}"), error };
    let file = tokio::fs::File::open(path).await.map_err(failed)?;
    let meta = file.metadata().await.map_err(failed)?;
    if meta.is_dir() {
        return Err(Error::Usage(format!(
            "{shown} is a folder: a value is made of a file\n  = `cloudbank store import {shown}` puts all its files"
        )));
    }
    // Refused before it is read, not after.
    if meta.len() > value_bytes_max() {
        return Err(too_large(&shown, &exact_size(meta.len())));
    }
    read_all(file, &shown, meta.len() as usize).await
}

async fn read_all(source: impl AsyncRead + Unpin, name: &str, expected: usize) -> Result<Bytes> {
    let most = value_bytes_max();
    let mut value = Vec::with_capacity(expected);
    let mut source = source.take(most + 1);
    source.read_to_end(&mut value).await.map_err(Error::file(format!("read {name}")))?;
    if value.len() as u64 > most {
        return Err(too_large(name, &format!("more than {}", exact_size(most))));
    }
    Ok(value.into())
}

fn too_large(name: &str, size: &str) -> Error {
    Error::Failed(format!(
        "{name} is too large: {size}, but a value has up to {}",
        exact_size(value_bytes_max())
    ))
}
