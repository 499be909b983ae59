//! Stores on a local disk, for perspective: SQLite and redb, each synced at every commit.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Result, bail};
use async_trait::async_trait;
use bytes::Bytes;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use rusqlite::{Connection, OptionalExtension};
use tokio::task::spawn_blocking;

use super::Contender;
use crate::{Place, Site};

const TABLE: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("kv");
const PUT: &str = "insert or replace into kv values (?1, ?2)";

#[derive(Debug)]
pub(super) struct Sqlite {
    /// One to write and one to read, as SQLite has one writer at a time.
    writer: Arc<Mutex<Connection>>,
    reader: Arc<Mutex<Connection>>,
}

impl Sqlite {
    pub(super) fn open(site: &Site) -> Result<Self> {
        let path = folder(site)?.join("sqlite");
        let connect = || -> Result<_> {
            let connection = Connection::open(&path)?;
            connection.execute_batch("pragma journal_mode = wal; pragma synchronous = full;")?;
            Ok(Arc::new(Mutex::new(connection)))
        };
        let (writer, reader) = (connect()?, connect()?);
        let sql = "create table if not exists kv (k blob primary key, v blob) without rowid";
        writer.lock().unwrap_or_else(PoisonError::into_inner).execute_batch(sql)?;
        Ok(Self { writer, reader })
    }

    async fn with<T: Send + 'static>(
        connection: &Arc<Mutex<Connection>>,
        work: impl FnOnce(&mut Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let connection = connection.clone();
        spawn_blocking(move || work(&mut connection.lock().unwrap_or_else(PoisonError::into_inner)))
            .await?
    }
}

#[async_trait]
impl Contender for Sqlite {
    async fn commit(&self, key: Vec<u8>, value: Bytes) -> Result<()> {
        self.load(vec![(key, value)]).await
    }

    async fn load(&self, items: Vec<(Vec<u8>, Bytes)>) -> Result<()> {
        Self::with(&self.writer, move |connection| {
            let transaction = connection.transaction()?;
            for (key, value) in &items {
                transaction.prepare_cached(PUT)?.execute((key, &value[..]))?;
            }
            Ok(transaction.commit()?)
        })
        .await
    }

    async fn close(&self) -> Result<()> {
        Ok(())
    }

    async fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        // Mostly in memory, so a thread of its own would be most of the cost.
        let connection = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        let mut get = connection.prepare_cached("select v from kv where k = ?1")?;
        let value: Option<Vec<u8>> = get.query_row((key,), |row| row.get(0)).optional()?;
        Ok(value.map(Bytes::from))
    }

    async fn scan(&self) -> Result<usize> {
        Self::with(&self.reader, |connection| {
            let mut all = connection.prepare("select k, v from kv order by k")?;
            let mut rows = all.query(())?;
            let mut many = 0;
            while let Some(row) = rows.next()? {
                let (_key, _value): (Vec<u8>, Vec<u8>) = (row.get(0)?, row.get(1)?);
                many += 1;
            }
            Ok(many)
        })
        .await
    }

    fn requests(&self) -> Option<(u64, u64)> {
        None
    }
}

#[derive(Debug)]
pub(super) struct Redb {
    database: Arc<Database>,
}

impl Redb {
    pub(super) fn open(site: &Site) -> Result<Self> {
        let database = Database::create(folder(site)?.join("redb"))?;
        let transaction = database.begin_write()?;
        transaction.open_table(TABLE)?;
        transaction.commit()?;
        Ok(Self { database: Arc::new(database) })
    }
}

#[async_trait]
impl Contender for Redb {
    async fn commit(&self, key: Vec<u8>, value: Bytes) -> Result<()> {
        self.load(vec![(key, value)]).await
    }

    async fn load(&self, items: Vec<(Vec<u8>, Bytes)>) -> Result<()> {
        let database = self.database.clone();
        spawn_blocking(move || {
            let transaction = database.begin_write()?;
            let mut table = transaction.open_table(TABLE)?;
            for (key, value) in &items {
                table.insert(&key[..], &value[..])?;
            }
            drop(table);
            Ok(transaction.commit()?)
        })
        .await?
    }

    async fn close(&self) -> Result<()> {
        Ok(())
    }

    async fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        let table = self.database.begin_read()?.open_table(TABLE)?;
        Ok(table.get(key)?.map(|value| Bytes::copy_from_slice(value.value())))
    }

    async fn scan(&self) -> Result<usize> {
        let table = self.database.begin_read()?.open_table(TABLE)?;
        let mut many = 0;
        for item in table.iter()? {
            let (key, value) = item?;
            let _copied = (key.value().to_vec(), value.value().to_vec());
            many += 1;
        }
        Ok(many)
    }

    fn requests(&self) -> Option<(u64, u64)> {
        None
    }
}

fn folder(site: &Site) -> Result<PathBuf> {
    if site.place != Place::Fs {
        bail!("it is kept in a folder, not in {}", site.place.name());
    }
    Ok(Path::new(&site.address).to_path_buf())
}
