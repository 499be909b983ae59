//! `store history`: everything a key ever was.

use bytes::Bytes;
use serde_json::{Map, Value};
use storage_txn::{Content, Revision, Version, Written};

use super::at::moment;
use super::open::OpenStore;
use super::text;
use crate::cli::Read;
use crate::error::{Error, Result};
use crate::output::Grid;
use crate::run::Context;

/// So many rows are aligned with each other; a long history is not kept in memory.
const ROWS_ALIGNED: usize = 256;

pub(super) async fn run(
    context: &Context,
    read: &Read,
    key: Bytes,
    limit: Option<u64>,
) -> Result<()> {
    let opened = OpenStore::find_to_read(context, &read.which).await?;
    let snapshot = opened.snapshot(read.at.as_deref()).await?;
    let mut history = snapshot.history(&key).map_err(opened.explain())?;
    let output = &context.output;
    let mut left = limit.unwrap_or(u64::MAX);
    let mut rows = Rows::default();
    let mut found = false;
    while left > 0 {
        let Some(revision) = history.next().await.map_err(opened.explain())? else { break };
        (found, left) = (true, left - 1);
        if output.json {
            output.json(&object(&key, &revision))?;
        } else {
            rows.add(&revision);
            rows.write(context, ROWS_ALIGNED)?;
        }
    }
    let horizon = history.horizon();
    if !found {
        let (name, key, at) = (&opened.name, text::shown(&key), snapshot.version());
        return Err(Error::NotFound(match horizon.0 {
            0 => format!("store on `{name}`: `{key}` never had a value up to version {at}"),
            _ => format!(
                "store on `{name}`: `{key}` has had no value from version {horizon}, before which history was packed away, to version {at}"
            ),
        }));
    }
    rows.write(context, 1)?;
    if left > 0 {
        packed_away(context, horizon)?;
    }
    Ok(())
}

/// Says where a history ends that was read to its end, unless that is the beginning.
pub(super) fn packed_away(context: &Context, horizon: Version) -> Result<()> {
    if horizon > Version::ZERO {
        // After what it is about, where both go to the same place.
        context.output.flush()?;
        context.output.note(format_args!("what was before version {horizon} was packed away"));
    }
    Ok(())
}

/// Rows that are still to be written, and whether the headings were.
#[derive(Default)]
struct Rows {
    waiting: Vec<[String; 6]>,
    headed: bool,
}

impl Rows {
    fn add(&mut self, revision: &Revision) {
        let (time, author, message) = match &revision.commit {
            Some(commit) => (moment(commit.time), &commit.author[..], &commit.message[..]),
            None => ("-".into(), "-", ""),
        };
        let size = revision.written.value().map_or("-".into(), |value| value.size().to_string());
        self.waiting.push([
            revision.version.to_string(),
            time,
            label(&revision.written).into(),
            size,
            text::line(author),
            text::line(message),
        ]);
    }

    /// Writes what waits, once there are so many of them.
    fn write(&mut self, context: &Context, enough: usize) -> Result<()> {
        if self.waiting.len() < enough {
            return Ok(());
        }
        let headings = ["version", "time", "change", "bytes", "author", "message"];
        let mut table = Grid::new(&headings, &[0, 3]);
        self.waiting.drain(..).for_each(|row| table.row(row));
        for line in table.lines().skip(usize::from(self.headed)) {
            context.output.line(line)?;
        }
        self.headed = true;
        Ok(())
    }
}

fn object(key: &[u8], revision: &Revision) -> Value {
    let mut object = Map::new();
    text::insert(&mut object, "key", key);
    object.insert("version".into(), revision.version.0.into());
    object.insert("change".into(), label(&revision.written).into());
    object.insert("size".into(), revision.written.value().map(Content::size).into());
    let commit = revision.commit.as_ref();
    let of = |part: fn(&storage_txn::Commit) -> String| Value::from(commit.map(part));
    object.insert("transaction_id".into(), of(|commit| commit.transaction_id.to_string()));
    object.insert("time".into(), of(|commit| moment(commit.time)));
    object.insert("author".into(), of(|commit| commit.author.clone()));
    object.insert("message".into(), of(|commit| commit.message.clone()));
    Value::Object(object)
}

fn label(written: &Written) -> &'static str {
    match written {
        Written::Value(_) => "put",
        Written::Merged(_) => "merge",
        Written::NotANumber => "not-a-number",
        Written::Deleted => "delete",
    }
}
