//! How do I write a backend of my own? Here is a complete one: objects in a table of SQLite.
//!
//! `tests/sqlite_backend.rs` runs the whole conformance suite on it; `main` adds it to the command line.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use rusqlite::types::Value;
use rusqlite::{Connection, ErrorCode, OptionalExtension, params};
use storage_core::{
    Atomicity, Capabilities, Durability, Error, ErrorKind, Get, KEY_BYTES_MAX, Key, List,
    ListConsistency, Listed, Object, Operation, Page, ProviderInfo, PutIf, Result, Sharing,
    StorageProvider, Version, Versions, async_trait,
};

/// The largest object, in bytes. SQLite could hold more, but keeps each row in memory whole.
const OBJECT_BYTES_MAX: u64 = 8 << 20;
/// How long a writer waits for those before it: SQLite has one at a time.
const WAIT_MAX: Duration = Duration::from_secs(60);
// `full` has each commit on the disk before it returns.
const CREATE: &str = "PRAGMA journal_mode = wal; PRAGMA synchronous = full;
    CREATE TABLE IF NOT EXISTS object (key TEXT PRIMARY KEY, body BLOB, version TEXT)";
// One statement for each operation: a condition and its write are one step, and what is read is of one
// put. A version is random: no two writes ever share one, not even around a delete.
const INSERT: &str = "INSERT INTO object VALUES (?1, ?2, hex(randomblob(16))) ON CONFLICT (key)
    DO UPDATE SET body = excluded.body, version = excluded.version WHERE ?3 RETURNING version";
const UPDATE: &str = "UPDATE object SET body = ?2, version = hex(randomblob(16))
    WHERE key = ?1 AND version = ?3 RETURNING version";
const SELECT: &str = "SELECT length(body), version, ifnull(substr(body, ?2 + 1, ?3), x'') FROM object WHERE key = ?1";
const LIST: &str = "SELECT key, length(body) FROM object
    WHERE key >= ?1 AND key < ?2 AND key > ?3 ORDER BY key LIMIT ?4";
const DELETE: &str = "DELETE FROM object WHERE key = ?1";

/// Objects in a table of a database file, which any number of processes of one machine may open.
#[derive(Debug, Clone)]
pub(crate) struct SqliteProvider {
    path: PathBuf,
    connection: Arc<Mutex<Connection>>,
}

impl SqliteProvider {
    /// Opens the database at `path`, and makes it if there is none.
    pub(crate) async fn open(path: PathBuf) -> Result<Self> {
        blocking(move || {
            let connection = connect(&path).map_err(|cause| {
                let message = format!("setting `path`: cannot open {}", path.display());
                Error::not_applied(ErrorKind::Misconfigured, message).with_source(cause)
            })?;
            Ok(Self { path, connection: Arc::new(Mutex::new(connection)) })
        })
        .await
    }

    /// Runs `work` where it may block. Once begun it goes on to its end, also when the caller is gone.
    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        let connection = self.connection.clone();
        blocking(move || {
            work(&connection.lock().unwrap_or_else(PoisonError::into_inner)).map_err(failed)
        })
        .await
    }
}

#[async_trait]
impl StorageProvider for SqliteProvider {
    fn info(&self) -> ProviderInfo {
        ProviderInfo {
            name: format!("sqlite:{}", self.path.display()).into(),
            capabilities: Capabilities {
                absent: Atomicity::OneHost,
                matches: Atomicity::OneHost,
                list: ListConsistency::Strong,
                durability: Durability::PowerLoss,
                versions: Versions::PerWrite,
                sharing: Sharing::OneHost,
                key_bytes_max: KEY_BYTES_MAX,
                object_bytes_max: OBJECT_BYTES_MAX,
            },
        }
    }

    async fn put(&self, key: &Key, body: Bytes, when: PutIf) -> Result<Version> {
        let named = |error: Error| error.during(Operation::Put, key);
        if body.len() as u64 > OBJECT_BYTES_MAX {
            let message = format!("{} bytes, but at most {OBJECT_BYTES_MAX}", body.len());
            return Err(named(Error::not_applied(ErrorKind::TooLarge, message)));
        }
        let (statement, third): (_, Value) = match when {
            PutIf::Always => (INSERT, true.into()),
            PutIf::Absent => (INSERT, false.into()),
            PutIf::Matches(version) => (UPDATE, version.to_string().into()),
        };
        let name = key.clone();
        let put = self.with(move |connection| {
            let mut statement = connection.prepare_cached(statement)?;
            let bound = params![name.as_str(), &body[..], third];
            statement.query_row(bound, |row| row.get::<_, String>(0)).optional()
        });
        let refused = || Error::not_applied(ErrorKind::Conflict, "the condition does not hold");
        let written = put.await.and_then(|version| version.ok_or_else(refused));
        written.map(Version::new).map_err(named)
    }

    async fn get(&self, key: &Key, request: Get) -> Result<Object> {
        let (start, end) = request.range.map_or((0, None), |range| (range.start, range.end));
        let start = start.min(OBJECT_BYTES_MAX);
        let end = if request.meta_only { start } else { end.unwrap_or(u64::MAX) };
        let bytes = end.saturating_sub(start).min(OBJECT_BYTES_MAX);
        let name = key.clone();
        let read = self.with(move |connection| {
            let mut statement = connection.prepare_cached(SELECT)?;
            let row = statement.query_row(params![name.as_str(), start, bytes], |row| {
                Ok((row.get::<_, u64>(0)?, row.get::<_, String>(1)?, row.get::<_, Vec<u8>>(2)?))
            });
            row.optional()
        });
        let found = read.await.and_then(|row| {
            let nothing = || Error::not_applied(ErrorKind::NotFound, "there is no object");
            let (size, version, body) = row.ok_or_else(nothing)?;
            let version = Version::new(version);
            request.check(&version)?;
            if let (Some(range), false) = (request.range, request.meta_only) {
                range.within(size)?;
            }
            Ok(Object { body: body.into(), size, version })
        });
        found.map_err(|error| error.during(Operation::Get, key))
    }

    async fn list(&self, request: List<'_>) -> Result<Page> {
        let start = request.prefix.to_string();
        // No key has a byte above `~`, so this is the end of all that begin with the prefix.
        let end = format!("{start}\x7f");
        let after = request.start_after.map(ToString::to_string).unwrap_or_default();
        let limit = request.limit.clamp(1, 10_000);
        let listed = self.with(move |connection| {
            let mut statement = connection.prepare_cached(LIST)?;
            // One more than asked for tells whether there is more.
            let rows = statement.query_map(params![start, end, after, limit + 1], |row| {
                Ok((row.get::<_, String>(0)?, row.get::<_, u64>(1)?))
            })?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        });
        let mut rows = listed.await.map_err(Error::during_list)?;
        let more = rows.len() > limit;
        rows.truncate(limit);
        let objects = rows.into_iter().map(|(key, size)| {
            let foreign =
                |problem| Error::not_applied(ErrorKind::Corrupt, format!("{key:?}: {problem}"));
            Ok(Listed { key: Key::new(&key).map_err(foreign)?, size })
        });
        Ok(Page { objects: objects.collect::<Result<_>>().map_err(Error::during_list)?, more })
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        let name = key.clone();
        let deleted = self.with(move |database| database.execute(DELETE, [name.as_str()]));
        deleted.await.map(drop).map_err(|error| error.during(Operation::Delete, key))
    }
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(WAIT_MAX)?;
    connection.execute_batch(CREATE)?;
    Ok(connection)
}

/// What an error of SQLite means to a caller: what to do, and whether it may have happened.
fn failed(cause: rusqlite::Error) -> Error {
    let kind = match cause.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => ErrorKind::Unavailable,
        Some(ErrorCode::DiskFull) => ErrorKind::StorageFull,
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => ErrorKind::PermissionDenied,
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => ErrorKind::Corrupt,
        // Such as an error of the disk during a commit: only the next look at it can tell.
        _ => return Error::unknown(ErrorKind::Unexpected, cause.to_string()).with_source(cause),
    };
    Error::not_applied(kind, cause.to_string()).with_source(cause)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let ended = tokio::task::spawn_blocking(work).await;
    ended.unwrap_or_else(|died| Err(Error::unknown(ErrorKind::Unexpected, died.to_string())))
}

fn main() -> std::process::ExitCode {
    cloudbank::main_with(cloudbank::Registry::standard().register("sqlite", |section| {
        let path = section.path("path").required();
        cloudbank::Backend::new(move || SqliteProvider::open(path.clone()))
    }))
}
