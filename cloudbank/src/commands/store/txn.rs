//! `store txn`: several operations with their requirements, in one transaction.

mod parse;

use std::fmt;
use std::path::Path;

use bytes::Bytes;
use indicatif::ProgressBar;
use serde_json::{Map, Value, json};
use storage_txn::{KeyRange, Merge, Transaction, Version};
use tokio::io::AsyncReadExt;

use super::commit::Label;
use super::open::OpenStore;
use super::source::Source;
use super::text;
use crate::cli::Write;
use crate::config::exact_size;
use crate::error::{Error, Result};
use crate::run::Context;

/// The most bytes of a file of operations: base64 and quotes make it larger than what it writes.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// The most bytes of a value that one is compared with: both are in memory.
const REQUIRED_BYTES_MAX: u64 = 64 << 20;

/// One line of the file.
#[derive(Debug, Clone)]
enum Operation {
    Require { key: Bytes, state: State },
    Put { key: Bytes, value: Content },
    Delete { key: Bytes },
    DeleteRange { range: KeyRange },
    Merge { key: Bytes, merge: Merge },
    Get { key: Bytes },
}

/// What a key is required to be.
#[derive(Debug, Clone)]
enum State {
    Version(Version),
    Absent,
    Present,
    Value(Content),
}

/// A value that is written in the line, or in a file.
#[derive(Debug, Clone)]
enum Content {
    Inline(Bytes),
    File(String),
    /// What was in the file.
    Uploaded(storage_txn::Value),
}

/// A requirement that does not hold.
#[derive(Debug)]
struct NotAsRequired {
    line: usize,
    key: Bytes,
    found: &'static str,
}

/// What a `get` found.
type Answer = (Bytes, Option<Bytes>);

pub(super) async fn run(context: &Context, write: &Write, file: &Path) -> Result<()> {
    let label = Label::new(write)?;
    let name = match file.as_os_str().as_encoded_bytes() {
        b"-" => "standard input".to_owned(),
        _ => file.display().to_string(),
    };
    let text = read(file, &name).await?;
    let mut operations = parse::parse(&name, &text)?;
    drop(text);
    let opened = OpenStore::find(context, &write.which).await?;
    for (line, operation) in &mut operations {
        operation.load(&opened).await.map_err(|error| in_line(&name, *line, error))?;
    }
    let committed =
        opened.commit(&label, async |transaction| apply(&operations, &transaction).await).await;
    let (answers, receipt) = committed.map_err(|error| refused(&name, error))?;
    opened.tidy(context, receipt.version).await;
    show(context, &operations, answers, OpenStore::receipt(&receipt))
}

async fn read(file: &Path, name: &str) -> Result<String> {
    let failed = || Error::file(format!("read {name}"));
    let mut text = String::new();
    let length = if file.as_os_str() == "-" {
        tokio::io::stdin().take(FILE_BYTES_MAX + 1).read_to_string(&mut text).await
    } else {
        let opened = tokio::fs::File::open(file).await.map_err(failed())?;
        opened.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).await
    };
    if length.map_err(failed())? as u64 > FILE_BYTES_MAX {
        return Err(Error::Usage(format!(
            "{name} is too large: operations of one transaction have up to {}\n  = put large values in with value_file",
            exact_size(FILE_BYTES_MAX)
        )));
    }
    Ok(text)
}

impl Operation {
    /// Reads the files that it names, before anything is done.
    async fn load(&mut self, opened: &OpenStore) -> Result<()> {
        match self {
            Self::Put { value, .. } => {
                if let Content::File(path) = value {
                    let source = Source::file(Path::new(path)).await?;
                    let uploaded = opened.upload(source, &ProgressBar::hidden()).await?;
                    *value = Content::Uploaded(uploaded);
                }
            }
            Self::Require { state: State::Value(value), .. } => {
                if let Content::File(path) = value {
                    let source = Source::file(Path::new(path)).await?;
                    *value = Content::Inline(source.read(REQUIRED_BYTES_MAX).await?);
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// An error with the line of the file that it is about.
fn in_line(name: &str, line: usize, error: Error) -> Error {
    let at = format!("{name}, line {line}");
    match error {
        Error::File { what, error } => Error::File { what: format!("{at}: {what}"), error },
        Error::Usage(text) => Error::Usage(format!("{at}: {text}")),
        Error::Failed(text) => Error::Failed(format!("{at}: {text}")),
        other => other,
    }
}

impl Content {
    /// Whether a value that was found is this one, as far as it is at hand.
    fn is(&self, found: &Bytes) -> bool {
        matches!(self, Self::Inline(bytes) if bytes == found)
    }
}

async fn apply(
    operations: &[(usize, Operation)],
    transaction: &Transaction,
) -> storage_txn::Result<Vec<Answer>> {
    let mut answers = Vec::new();
    for (line, operation) in operations {
        match operation {
            Operation::Require { key, state: State::Version(version) } => {
                transaction.require(key, Some(*version))?;
            }
            Operation::Require { key, state: State::Absent } => transaction.require(key, None)?,
            Operation::Require { key, state } => {
                let found = transaction.get(key).await?;
                let found = match (state, found) {
                    (State::Value(wanted), Some(found)) if wanted.is(&found) => continue,
                    (State::Value(_), Some(_)) => "has another value than required",
                    (_, Some(_)) => continue,
                    (_, None) => "has no value, and one is required",
                };
                let (line, key) = (*line, key.clone());
                return Err(storage_txn::Error::abort(NotAsRequired { line, key, found }));
            }
            Operation::Put { key, value: Content::Inline(bytes) } => {
                transaction.put(key, bytes.clone())?;
            }
            Operation::Put { key, value: Content::Uploaded(value) } => {
                transaction.put_value(key, value)?;
            }
            Operation::Put { value: Content::File(path), .. } => {
                return Err(storage_txn::Error::abort(format!("{path} was not read")));
            }
            Operation::Delete { key } => transaction.delete(key)?,
            Operation::DeleteRange { range } => transaction.delete_range(range.clone())?,
            Operation::Merge { key, merge } => transaction.merge(key, merge.clone())?,
            Operation::Get { key } => {
                answers.push((key.clone(), transaction.get(key).await?));
            }
        }
    }
    Ok(answers)
}

/// A requirement of ours that does not hold, in our own words.
fn refused(name: &str, error: Error) -> Error {
    match &error {
        Error::Store { provider, error: store } => {
            match std::error::Error::source(store).and_then(|source| source.downcast_ref()) {
                Some(NotAsRequired { line, key, found }) => {
                    let key = text::shown(key);
                    Error::Conflict(format!(
                        "store on `{provider}`: {name}, line {line}: key `{key}` {found}, and nothing was done"
                    ))
                }
                None => error,
            }
        }
        _ => error,
    }
}

fn show(
    context: &Context,
    operations: &[(usize, Operation)],
    answers: Vec<Answer>,
    mut receipt: Map<String, Value>,
) -> Result<()> {
    let output = &context.output;
    let version = receipt["version"].clone();
    if output.json {
        let answers: Vec<_> = answers
            .iter()
            .map(|(key, value)| {
                let mut object = Map::new();
                text::insert(&mut object, "key", key);
                match value {
                    Some(value) => text::insert(&mut object, "value", value),
                    None => drop(object.insert("value".into(), Value::Null)),
                }
                Value::Object(object)
            })
            .collect();
        receipt.insert("operations".into(), json!(operations.len()));
        receipt.insert("got".into(), answers.into());
        return output.json(&Value::Object(receipt));
    }
    for (key, value) in &answers {
        let key = text::shown(key);
        match value {
            Some(value) => output.line(format_args!("{key} = {}", text::shown(value)))?,
            None => output.line(format_args!("{key} has no value"))?,
        }
    }
    let number = crate::output::count(operations.len() as u64, "operation");
    output.done(format_args!("{number} done, version {version}"), &Value::Null)
}

impl fmt::Display for NotAsRequired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, key, found) = (self.line, text::shown(&self.key), self.found);
        write!(f, "line {line}: key `{key}` {found}")
    }
}

impl std::error::Error for NotAsRequired {}
