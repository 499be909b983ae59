//! `store get`: a value becomes a file, or an object of JSON.

use std::path::PathBuf;

use bytes::Bytes;
use serde_json::{Map, Value, json};
use storage_txn::{ErrorKind, Snapshot, Version};

use super::open::OpenStore;
use super::text;
use crate::cli::Read;
use crate::commands::target::{Target, check_target};
use crate::config::human_size;
use crate::error::{Error, Result};
use crate::run::Context;

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
        let (version, value) = find(&opened, &snapshot, &self.key).await?;
        let mut object = Map::new();
        text::insert(&mut object, "key", &self.key);
        object.insert("version".into(), version.0.into());
        object.insert("size".into(), value.len().into());
        if to_output {
            if context.output.json {
                text::insert(&mut object, "value", &value);
                return context.output.json(&Value::Object(object));
            }
            return context.output.bytes(&value);
        }
        let shown = self.file.display();
        let failed = || Error::file(format!("write {shown}"));
        let mut target = Target::open(&self.file).map_err(failed())?;
        target.write(&value).map_err(failed())?;
        target.finish().map_err(failed())?;
        object.insert("file".into(), json!(shown.to_string()));
        let (key, size) = (text::shown(&self.key), human_size(value.len() as u64));
        context.output.done(
            format_args!("got {key}: {size} into {shown}, version {version}"),
            &Value::Object(object),
        )
    }
}

/// The value of a key, with the version of its last change.
///
/// # Errors
///
/// [`Error::NotFound`], and those of the store, with the key where it is the key's.
pub(super) async fn find(
    opened: &OpenStore,
    snapshot: &Snapshot,
    key: &[u8],
) -> Result<(Version, Bytes)> {
    let (name, shown, at) = (&opened.name, text::shown(key), snapshot.version());
    match snapshot.get_versioned(key).await {
        Ok(Some(found)) => Ok(found),
        Ok(None) => Err(Error::NotFound(format!(
            "store on `{name}`: `{shown}` has no value at version {at}"
        ))),
        Err(error) if error.kind() == ErrorKind::NotANumber => Err(Error::Failed(format!(
            "store on `{name}`: `{shown}`: {error}\n  = `cloudbank store history {shown}` shows what it was before"
        ))),
        Err(error) => Err(opened.explain()(error)),
    }
}
