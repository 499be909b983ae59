//! A process that is going to be killed: tasks that run random transactions, and write down what they are about to do
//! and what they were told.

use std::fs::File;
use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use conformance::serializability::{Content, Operation, Scan as Scanned};
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use storage_txn::{
    At, CollectOptions, ErrorKind, Item, KeyRange, Merge, Outcome, Result, Scan, Snapshot, Store,
    Transaction, TransactionId,
};
use storage_wrappers::TokioEnv;

use crate::{now, options, provider};

/// Tasks in each process.
pub(crate) const TASKS: u32 = 4;
/// What a process ends with that was taken for dead, and told so.
pub(crate) const REAPED: u8 = 7;

/// Keys are left behind after so long, so that lists stay short.
const EPOCH: Duration = Duration::from_secs(2);
const LISTS: [&str; 3] = ["a", "b", "c"];
const REGISTERS: [&str; 5] = ["r/1", "r/2", "r/3", "r/4", "r/5"];

/// Works until it is killed. `number` is that of this process, counted from 0.
pub(crate) fn run(config: &str, journal: &str, number: u32, seed: u64) -> ExitCode {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).enable_all().build().unwrap();
    let result = runtime.block_on(async {
        let env = Arc::new(TokioEnv::new());
        let store = Store::open(provider(config).await, env, options()).await?;
        let journal = Arc::new(File::options().append(true).create(true).open(journal).unwrap());
        let tasks = (0..TASKS).map(|task| {
            let process = number * TASKS + task;
            let rng = ChaCha8Rng::seed_from_u64(seed ^ u64::from(process));
            let (store, journal) = (store.clone(), journal.clone());
            let client = Client { store, journal, process, values: 0, rng };
            tokio::spawn(client.run())
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap()?;
        }
        Ok(())
    });
    match result {
        Err(error) if storage_txn::Error::kind(&error) == ErrorKind::SessionReaped => {
            ExitCode::from(REAPED)
        }
        result => panic!("nothing but being killed ends this: {result:?}"),
    }
}

struct Client {
    store: Store,
    journal: Arc<File>,
    process: u32,
    /// How many values it has made. None is made twice, by whomever.
    values: u64,
    rng: ChaCha8Rng,
}

impl Client {
    async fn run(mut self) -> Result<()> {
        loop {
            let result = match self.rng.random_range(0..40) {
                0..4 => self.look(At::Latest).await,
                4..6 => self.look(At::Known).await,
                6 => self.maintain().await,
                _ => self.write().await,
            };
            match result {
                Ok(()) => {}
                // Nothing was done, and nothing is said to have been; others go on meanwhile.
                Err(error) => match error.kind() {
                    ErrorKind::Storage(_) | ErrorKind::SnapshotExpired | ErrorKind::Conflict => {}
                    ErrorKind::CommitUnknown(_) => {}
                    _ => return Err(error),
                },
            }
        }
    }

    async fn maintain(&mut self) -> Result<()> {
        match self.rng.random_range(0..6) {
            0 => self.store.flush().await,
            2 => self.store.compact().await.map(drop),
            1 => {
                let mut options = CollectOptions::default();
                options.grace = Duration::from_secs(1);
                options.session_grace = Duration::from_secs(5);
                self.store.collect(&options).await.map(drop)
            }
            _ => Ok(()),
        }
    }

    /// Reads everything of the epoch, without a transaction.
    async fn look(&mut self, at: At) -> Result<()> {
        let invoked = now();
        let epoch = epoch();
        let snapshot = self.store.snapshot(at).await?;
        let mut operations = Vec::new();
        for list in LISTS {
            let key = format!("{epoch}/{list}");
            let found = snapshot.get(&key).await?;
            operations.push(read(key, found));
        }
        operations.push(scan_all(&snapshot, &format!("{epoch}/r/")).await?);
        let past = if at == At::Latest { "" } else { " past" };
        let version = snapshot.version();
        self.note(&format!(
            "look p{} {invoked}..{} ok v{version}{past}: {}\n",
            self.process,
            now(),
            shown(&operations)
        ));
        Ok(())
    }

    async fn write(&mut self) -> Result<()> {
        let invoked = now();
        let epoch = epoch();
        let tx = self.store.begin();
        let mut operations = Vec::new();
        for _ in 0..self.rng.random_range(2..5) {
            operations.push(self.operation(&tx, &epoch).await?);
        }
        let (id, process) = (tx.id(), self.process);
        // Before it can happen, so that whatever happens is known to have been asked for.
        self.note(&format!("begin {id} p{process} {invoked} {}\n", shown(&operations)));
        match tx.commit().await {
            Ok(receipt) => self.end(id, "ok", Some(receipt.version.0)),
            Err(error) => match error.kind() {
                ErrorKind::CommitUnknown(id) => match self.store.outcome(id).await? {
                    Outcome::Committed(version) => self.end(id, "ok", Some(version.0)),
                    Outcome::NotCommitted => self.end(id, "failed", None),
                },
                _ => {
                    self.end(id, "failed", None);
                    return Err(error);
                }
            },
        }
        Ok(())
    }

    async fn operation(&mut self, tx: &Transaction, epoch: &str) -> Result<Operation> {
        let pick =
            |keys: &[&str], rng: &mut ChaCha8Rng| format!("{epoch}/{}", keys.choose(rng).unwrap());
        let key = pick(&LISTS, &mut self.rng);
        let register = pick(&REGISTERS, &mut self.rng);
        Ok(match self.rng.random_range(0..9) {
            0 | 1 => read(key.clone(), tx.get(&key).await?),
            2 | 3 => {
                let value = self.value();
                tx.merge(&key, Merge::Append(Bytes::copy_from_slice(&value.to_le_bytes())))?;
                Operation::Append { key, value }
            }
            4 | 5 => {
                let value = self.value();
                tx.put(&register, Bytes::copy_from_slice(&value.to_le_bytes()))?;
                Operation::Put { key: register, value }
            }
            6 => {
                tx.delete(&register)?;
                Operation::Delete { key: register }
            }
            7 => {
                let found = tx.get(&register).await?.map(|value| whole(&value));
                Operation::Get { key: register, found }
            }
            _ => {
                let prefix = format!("{epoch}/r/");
                let limit = self.rng.random_range(1..4);
                let items = tx.scan(&Scan::new(KeyRange::prefix(&prefix)).limit(limit)).await?;
                scanned(&prefix, Some(limit), items)
            }
        })
    }

    fn value(&mut self) -> u64 {
        self.values += 1;
        u64::from(self.process) << 32 | self.values
    }

    fn end(&self, id: TransactionId, status: &str, version: Option<u64>) {
        let version = version.map(|version| format!(" v{version}")).unwrap_or_default();
        self.note(&format!("end {id} {} {status}{version}\n", now()));
    }

    /// Handed over to the system whole when this returns; a line that is not whole was never acted upon.
    fn note(&self, line: &str) {
        (&*self.journal).write_all(line.as_bytes()).unwrap();
    }
}

fn epoch() -> String {
    format!("e{}", now() / EPOCH.as_nanos() as u64)
}

/// Reads all registers that begin with a prefix.
async fn scan_all(snapshot: &Snapshot, prefix: &str) -> Result<Operation> {
    let items = snapshot.scan(&Scan::new(KeyRange::prefix(prefix))).await?.collect().await?;
    Ok(scanned(prefix, None, items))
}

fn read(key: String, found: Option<Bytes>) -> Operation {
    Operation::Read { key, found: found.unwrap_or_default().chunks(8).map(whole).collect() }
}

fn scanned(prefix: &str, limit: Option<usize>, items: Vec<Item>) -> Operation {
    let found = items.into_iter().map(|item| {
        let key = String::from_utf8_lossy(&item.key).into_owned();
        (key, Content::Value(whole(&item.value)))
    });
    // The byte after `/` is `0`.
    let to = Some(format!("{}0", prefix.trim_end_matches('/')));
    Operation::Scan(Scanned {
        from: prefix.into(),
        to,
        backward: false,
        limit,
        found: found.collect(),
    })
}

/// The number; one that nobody wrote where it is none.
fn whole(value: &[u8]) -> u64 {
    value.try_into().map_or(u64::MAX, u64::from_le_bytes)
}

fn shown(operations: &[Operation]) -> String {
    operations.iter().map(Operation::to_string).collect::<Vec<_>>().join("; ")
}
