//! `store put`: a file or standard input becomes a value.

use std::path::PathBuf;

use bytes::Bytes;
use serde_json::Value;
use storage_txn::Version;

use super::commit::Label;
use super::open::OpenStore;
use super::source::Source;
use super::text;
use crate::cli::Write;
use crate::config::human_size;
use crate::error::{Error, Result};
use crate::run::Context;

/// From so many bytes on it is worth a request to know beforehand whether a condition holds.
const LOOKED_BEFORE_BYTES: u64 = 1 << 20;
const BAR: &str = "{bytes} of {total_bytes} [{bar:30}] {binary_bytes_per_sec}, {eta} left";
const SPINNER: &str = "{spinner} {bytes}  {binary_bytes_per_sec}";

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
        let source = Source::open(&self.file).await?;
        let opened = OpenStore::find(context, &self.write.which).await?;
        let required = match (self.if_absent, self.if_version) {
            (true, _) => Some(None),
            (false, Some(version)) => Some(Some(Version(version))),
            (false, None) => None,
        };
        if let Some(wanted) = required
            && source.size().is_none_or(|size| size >= LOOKED_BEFORE_BYTES)
        {
            self.look(&opened, wanted).await?;
        }
        let template = if source.size().is_some() { BAR } else { SPINNER };
        let bar = context.output.progress(source.size(), template);
        let value = opened.upload(source, &bar).await?;
        bar.finish_and_clear();
        let ((), receipt) = opened
            .commit(&label, async |transaction| {
                if let Some(version) = required {
                    transaction.require(&self.key, version)?;
                }
                transaction.put_value(&self.key, &value)
            })
            .await?;
        opened.tidy(context, receipt.version).await;
        let mut object = OpenStore::receipt(&receipt);
        text::insert(&mut object, "key", &self.key);
        object.insert("size".into(), value.size().into());
        let (key, version) = (text::shown(&self.key), receipt.version);
        context.output.done(
            format_args!("put {key}: {}, version {version}", human_size(value.size())),
            &Value::Object(object),
        )
    }

    /// Whether the condition holds now, before much is uploaded in vain. The commit decides.
    async fn look(&self, opened: &OpenStore, wanted: Option<Version>) -> Result<()> {
        let snapshot = opened.snapshot(None).await?;
        let found = snapshot.meta(&self.key).await.map_err(opened.explain())?;
        let found = found.map(|meta| meta.version);
        if found == wanted {
            return Ok(());
        }
        let say = |version: Option<Version>| match version {
            Some(version) => format!("version {version}"),
            None => "missing".into(),
        };
        let (name, key) = (&opened.name, text::shown(&self.key));
        Err(Error::Conflict(format!(
            "store on `{name}`: key \"{key}\" is {}, not {}",
            say(found),
            say(wanted)
        )))
    }
}
