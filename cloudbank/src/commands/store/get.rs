//! `store get`: a value becomes a file, or an object of JSON.

use std::path::PathBuf;

use bytes::{Bytes, BytesMut};
use serde_json::{Map, Value, json};
use storage_txn::{ErrorKind, Meta, Snapshot, ValueStream};

use super::open::OpenStore;
use super::text;
use crate::cli::Read;
use crate::commands::target::{Target, check_target};
use crate::config::human_size;
use crate::error::{Error, Result};
use crate::run::Context;

/// The largest value that is written as JSON, which is held in memory.
const JSON_BYTES_MAX: u64 = 64 << 20;
const BAR: &str = "{bytes} of {total_bytes} [{bar:30}] {binary_bytes_per_sec}, {eta} left";

pub(super) struct Get {
    pub(super) read: Read,
    pub(super) key: Bytes,
    pub(super) file: PathBuf,
}

impl Get {
    pub(super) async fn run(self, context: &Context) -> Result<()> {
        let to_output = self.file.as_os_str() == "-";
        if !to_output {
            check_target(&self.file)?;
        }
        let opened = OpenStore::find_to_read(context, &self.read.which).await?;
        let snapshot = opened.snapshot(self.read.at.as_deref()).await?;
        let (meta, mut value) = find(&opened, &snapshot, &self.key).await?;
        let mut object = Map::new();
        text::insert(&mut object, "key", &self.key);
        object.insert("version".into(), meta.version.0.into());
        object.insert("size".into(), meta.size.into());
        if to_output && context.output.json {
            if meta.size > JSON_BYTES_MAX {
                return Err(Error::Usage(format!(
                    "the value has {}, which is too large for an object of JSON\n  = name a file, or use `cloudbank store cat`",
                    human_size(meta.size)
                )));
            }
            let mut bytes = BytesMut::new();
            while let Some(piece) = value.next().await.map_err(opened.explain())? {
                bytes.extend_from_slice(&piece);
            }
            text::insert(&mut object, "value", &bytes);
            return context.output.json(&Value::Object(object));
        }
        let shown = self.file.display();
        let failed = || Error::file(format!("write {shown}"));
        let mut target = match to_output {
            true => None,
            false => Some(Target::open(&self.file).map_err(failed())?),
        };
        let bar = context.output.progress(Some(meta.size), BAR);
        while let Some(piece) = value.next().await.map_err(opened.explain())? {
            match &mut target {
                None => context.output.bytes(&piece)?,
                Some(target) => target.write(&piece).map_err(failed())?,
            }
            bar.inc(piece.len() as u64);
        }
        bar.finish_and_clear();
        let Some(target) = target else { return Ok(()) };
        target.finish().map_err(failed())?;
        object.insert("file".into(), json!(shown.to_string()));
        let (key, size) = (text::shown(&self.key), human_size(meta.size));
        context.output.done(
            format_args!("got {key}: {size} into {shown}, version {}", meta.version),
            &Value::Object(object),
        )
    }
}

/// What is known of a key that has a value, and the value to be read.
///
/// # Errors
///
/// [`Error::NotFound`], and those of the store, with the key where it is the key's.
pub(super) async fn find(
    opened: &OpenStore,
    snapshot: &Snapshot,
    key: &[u8],
) -> Result<(Meta, ValueStream)> {
    let (name, shown, at) = (&opened.name, text::shown(key), snapshot.version());
    let found = async {
        let meta = snapshot.meta(key).await?;
        Ok(meta.zip(snapshot.get_stream(key).await?))
    };
    match found.await {
        Ok(Some(found)) => Ok(found),
        Ok(None) => Err(Error::NotFound(format!(
            "store on `{name}`: `{shown}` has no value at version {at}"
        ))),
        Err(error) if ErrorKind::NotANumber == storage_txn::Error::kind(&error) => {
            Err(Error::Failed(format!(
                "store on `{name}`: {error}\n  = `cloudbank store history {shown}` shows what it was before"
            )))
        }
        Err(error) => Err(opened.explain()(error)),
    }
}
