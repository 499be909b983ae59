//! Random transactions at once, written down and judged.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use rand::RngExt as _;
use rand::seq::IndexedRandom as _;
use rand_chacha::ChaCha8Rng;
use storage_txn::{At, ErrorKind, Item, KeyRange, Merge, Result, Scan, Version};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::{Handle, Tx, handles};
use crate::serializability::{
    Begun, Content, History, Operation, Recorder, Scan as Scanned, Status, check, check_witness,
};
use crate::{CaseResult, Context, Failure};

/// How many clients each handle has.
const CLIENTS: usize = 2;
/// How many transactions each client makes in a round.
const TRANSACTIONS: usize = 6;
/// How many rounds there are.
const ROUNDS: usize = 4;
const LISTS: [&str; 3] = ["list/a", "list/b", "list/c"];
const REGISTERS: [&str; 4] = ["reg/1", "reg/2", "reg/3", "reg/4"];
/// The first key after all registers.
const REGISTERS_END: &str = "reg0";

/// What all clients share.
#[derive(Default)]
struct Notes {
    recorder: Recorder,
    /// No value is written twice.
    values: AtomicU64,
}

pub(super) async fn random(context: &Context) -> CaseResult {
    let handles: [Handle; 3] = handles(context).await?;
    let notes = Arc::new(Notes::default());
    let clients = handles.len() * CLIENTS;
    for round in context.rounds(ROUNDS) {
        let start = Arc::new(Barrier::new(clients));
        let mut tasks: JoinSet<CaseResult> = JoinSet::new();
        for number in 0..clients {
            let rng = context.rng_of((round * clients + number) as u64 + 1);
            let store = handles[number % handles.len()].clone();
            let mut client = Client { store, notes: notes.clone(), process: number as u32, rng };
            let start = start.clone();
            tasks.spawn(async move {
                start.wait().await;
                for _ in 0..TRANSACTIONS {
                    client.transaction().await?;
                }
                Ok(())
            });
        }
        while let Some(ended) = tasks.join_next().await {
            ended.map_err(|error| Failure::new(error.to_string()))??;
        }
    }
    for (number, store) in handles.iter().enumerate() {
        let process = (clients + number) as u32;
        let rng = context.rng_of(0);
        let client = Client { store: store.clone(), notes: notes.clone(), process, rng };
        client.look(At::Latest).await?;
    }
    let notes = Arc::into_inner(notes).ok_or_else(|| {
        Failure::new("a client still holds the recorder: the suite itself is wrong")
    })?;
    judge(notes.recorder.finish().map_err(|problem| Failure::new(problem.to_string()))?)
}

fn judge(history: History) -> CaseResult {
    // By the order that the store itself says it had; then by what can be seen from outside.
    check_witness(&history, None)
        .and_then(|()| check(&history))
        .map_err(|violations| Failure::new(violations.to_string()))
}

struct Client {
    store: Handle,
    notes: Arc<Notes>,
    process: u32,
    rng: ChaCha8Rng,
}

impl Client {
    async fn transaction(&mut self) -> CaseResult {
        // A provider that answers at once would let nobody in between.
        for _ in 0..self.rng.random_range(0..3) {
            tokio::task::yield_now().await;
        }
        match self.rng.random_range(0..8) {
            0 => self.look(At::Latest).await,
            1 => {
                let known = self.store.snapshot(At::Known).await?.version();
                let version = self.rng.random_range(0..=known.0);
                self.look(At::Version(Version(version))).await
            }
            _ => self.write().await,
        }
    }

    fn record(&self, begun: Begun, operation: Operation) {
        self.notes.recorder.record(begun, operation);
    }

    /// Reads everything, without a transaction.
    async fn look(&self, at: At) -> CaseResult {
        let begun = self.notes.recorder.begin(self.process, at != At::Latest);
        let snapshot = self.store.snapshot(at).await?;
        for key in LISTS {
            let found = snapshot.get_versioned(key).await?.map(|(_, value)| value);
            self.record(begun, list(key, found));
        }
        let items = snapshot.scan(&Scan::new(KeyRange::prefix("reg/"))).await?;
        self.record(begun, scanned("reg/", false, None, items));
        self.notes.recorder.end(begun, Status::Ok, Some(snapshot.version().0));
        Ok(())
    }

    /// Reads and writes, once.
    async fn write(&mut self) -> CaseResult {
        let begun = self.notes.recorder.begin(self.process, false);
        let tx = self.store.begin();
        for _ in 0..self.rng.random_range(2..5) {
            self.operation(&tx, begun).await?;
            tokio::task::yield_now().await;
        }
        let (status, version) = match tx.commit().await {
            Ok(receipt) => (Status::Ok, Some(receipt.version.0)),
            Err(error) if error.kind() == ErrorKind::Conflict => (Status::Failed, None),
            Err(error) => return Err(error.into()),
        };
        self.notes.recorder.end(begun, status, version);
        Ok(())
    }

    async fn operation(&mut self, tx: &Tx, begun: Begun) -> Result<()> {
        let key = LISTS.choose(&mut self.rng).copied().unwrap_or(LISTS[0]);
        let register = REGISTERS.choose(&mut self.rng).copied().unwrap_or(REGISTERS[0]);
        let kind = self.rng.random_range(0..9);
        match kind {
            0 | 1 => self.record(begun, list(key, tx.get(key).await?)),
            2 | 3 => {
                let value = self.value();
                self.record(begun, Operation::Append { key: key.into(), value });
                tx.merge(key, Merge::Append(Bytes::copy_from_slice(&value.to_le_bytes())))?;
            }
            4 => {
                let value = self.value();
                self.record(begun, Operation::Put { key: register.into(), value });
                tx.put(register, Bytes::copy_from_slice(&value.to_le_bytes()))?;
            }
            5 => {
                self.record(begun, Operation::Delete { key: register.into() });
                tx.delete(register)?;
            }
            6 => {
                let found = tx.get(register).await?.map(|value| whole(&value));
                self.record(begun, Operation::Get { key: register.into(), found });
            }
            _ => {
                let backward = self.rng.random();
                let limit = Some(self.rng.random_range(0..3)).filter(|limit| *limit > 0);
                let mut scan = Scan::new(register..REGISTERS_END);
                if backward {
                    scan = scan.backward();
                }
                if let Some(limit) = limit {
                    scan = scan.limit(limit);
                }
                let items = tx.scan(&scan).await?;
                self.record(begun, scanned(register, backward, limit, items));
            }
        }
        Ok(())
    }

    fn value(&self) -> u64 {
        self.notes.values.fetch_add(1, Ordering::Relaxed)
    }
}

fn list(key: &str, found: Option<Bytes>) -> Operation {
    let found = found.unwrap_or_default().chunks(8).map(whole).collect();
    Operation::Read { key: key.into(), found }
}

/// The number; one that nobody wrote where it is none.
fn whole(value: &[u8]) -> u64 {
    value.try_into().map_or(u64::MAX, u64::from_le_bytes)
}

fn scanned(from: &str, backward: bool, limit: Option<usize>, items: Vec<Item>) -> Operation {
    let found = items.into_iter().map(|item| {
        let key = String::from_utf8_lossy(&item.key).into_owned();
        (key, Content::Value(whole(&item.value)))
    });
    let (from, to) = (from.into(), Some(REGISTERS_END.into()));
    Operation::Scan(Scanned { from, to, backward, limit, found: found.collect() })
}
