//! `store watch`: every transaction as it is committed.

use bytes::Bytes;
use serde_json::{Map, Value};
use storage_txn::{At, ChangedKey, CommitChanges, Content, Version};

use super::open::OpenStore;
use super::{at, log, text};
use crate::cli::StoreWhich;
use crate::config::human_size;
use crate::error::{Error, Result};
use crate::run::Context;

pub(super) struct Watch {
    pub(super) which: StoreWhich,
    pub(super) prefix: Bytes,
    pub(super) from: String,
    pub(super) limit: Option<u64>,
}

impl Watch {
    pub(super) async fn run(self, context: &Context) -> Result<()> {
        let from = match &self.from[..] {
            "latest" => None,
            text => Some(at::version(text)?),
        };
        let opening = async {
            let opened = OpenStore::find_to_read(context, &self.which).await?;
            let latest = opened.store.snapshot(At::Latest).await.map_err(opened.explain())?;
            Ok((opened, from.unwrap_or(latest.version())))
        };
        let (opened, from) = context.unless_interrupted("nothing was seen", opening).await?;
        let mut watch = opened.store.watch(from);
        let mut left = self.limit.unwrap_or(u64::MAX);
        // Up to where everything was written, which is what is said when it ends.
        let mut seen = from;
        while left > 0 {
            let work = async {
                let changes = watch.next().await.map_err(opened.explain())?;
                let keys = self.keys(&opened, &changes).await?;
                Ok((changes, keys))
            };
            let next = tokio::select! {
                next = work => next,
                () = context.interrupted() => return Err(interrupted(seen)),
            };
            let (changes, keys) = next?;
            if !keys.is_empty() {
                show(context, &changes, &keys)?;
                left -= 1;
            }
            seen = changes.commit().version;
        }
        Ok(())
    }

    /// The keys with the prefix that a commit has changed, with no more of their values than the sizes.
    async fn keys(&self, opened: &OpenStore, changes: &CommitChanges) -> Result<Vec<Changed>> {
        let mut found = Vec::new();
        let mut keys = changes.keys().map_err(opened.explain())?;
        while let Some(key) = keys.next().await.map_err(opened.explain())? {
            if key.key.starts_with(&self.prefix) {
                found.push(Changed::of(&key));
            }
        }
        Ok(found)
    }
}

/// A key, and how large its value was and is.
struct Changed {
    key: Bytes,
    before: Option<(Version, u64)>,
    after: Option<(Version, u64)>,
}

impl Changed {
    fn of(changed: &ChangedKey) -> Self {
        let size = |side: &Option<(Version, Content)>| {
            side.as_ref().map(|(version, value)| (*version, value.size()))
        };
        Self {
            key: changed.key.clone(),
            before: size(&changed.before),
            after: size(&changed.after),
        }
    }

    fn object(&self) -> Value {
        let mut object = Map::new();
        text::insert(&mut object, "key", &self.key);
        let size = |side: Option<(Version, u64)>| Value::from(side.map(|(_, size)| size));
        object.insert("before_version".into(), self.before.map(|(version, _)| version.0).into());
        object.insert("before_size".into(), size(self.before));
        object.insert("size".into(), size(self.after));
        Value::Object(object)
    }

    fn line(&self) -> String {
        let key = text::shown(&self.key);
        match (self.before, self.after) {
            (_, None) => format!("    - {key}"),
            (None, Some((_, size))) => format!("    + {key}  {}", human_size(size)),
            (Some(_), Some((_, size))) => format!("    ~ {key}  {}", human_size(size)),
        }
    }
}

/// Writes a commit at once, whoever reads it.
fn show(context: &Context, changes: &CommitChanges, keys: &[Changed]) -> Result<()> {
    let (output, commit) = (&context.output, changes.commit());
    if output.json {
        let mut object = log::object(commit);
        object.insert("changes".into(), keys.iter().map(Changed::object).collect());
        output.json(&Value::Object(object))?;
        return output.flush();
    }
    output.line(log::head(commit))?;
    if !commit.message.is_empty() {
        output.line(format_args!("    {}", text::line(&commit.message)))?;
    }
    keys.iter().try_for_each(|key| output.line(key.line()))?;
    output.flush()
}

fn interrupted(seen: Version) -> Error {
    Error::Interrupted(format!(
        "everything up to version {seen} was seen\n  = --from {seen} goes on there"
    ))
}
