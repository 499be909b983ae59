//! What small scenarios write down of a run, and how it is judged: a few keys, and no lot that is not wanted.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use conformance::serializability::{Begun, Content, Logged, Operation, Recorder, Scan, Status};
use simulation::{Mark, Node, Place, Sim};
use storage_txn::{
    At, ErrorKind, KeyRange, Merge, Options, Outcome, Receipt, Result, Store, Transaction,
    TransactionId,
};

use crate::oracles;

/// Two lists and two registers.
pub(crate) const LISTS: [&str; 2] = ["list/a", "list/b"];
pub(crate) const REGISTERS: [&str; 2] = ["reg/1", "reg/2"];
/// How many bytes the value of a register has that is large.
const LARGE_BYTES: usize = 20;

/// What outlives the crashes of nodes. Everything in it is told apart by its node: who comes first in another order of
/// the run is the same who.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    recorder: Mutex<Recorder>,
    nodes: Mutex<BTreeMap<u32, Page>>,
}

/// What one node has done.
#[derive(Debug, Default)]
struct Page {
    steps: usize,
    processes: u32,
    values: u64,
    ids: Vec<(TransactionId, Begun)>,
}

impl Ledger {
    /// Which step of its script a node is to take next. Each is begun once: what a crash cut short is not repeated.
    pub(crate) fn step(&self, node: &Node) -> usize {
        self.page(node, |page| {
            page.steps += 1;
            page.steps - 1
        })
    }

    /// A new process of the history: one that never learnt how its last transaction ended makes no other.
    pub(crate) fn process(&self, node: &Node) -> u32 {
        self.page(node, |page| {
            page.processes += 1;
            node.id().0 * 1000 + page.processes
        })
    }

    /// A value that nobody puts but this node, and only once.
    pub(crate) fn value(&self, node: &Node) -> u64 {
        self.page(node, |page| {
            page.values += 1;
            u64::from(node.id().0) * 1000 + page.values
        })
    }

    fn page<T>(&self, node: &Node, with: impl FnOnce(&mut Page) -> T) -> T {
        let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        with(nodes.entry(node.id().0).or_default())
    }

    fn recorder(&self) -> MutexGuard<'_, Recorder> {
        self.recorder.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn begin(&self, node: &Node, process: u32) -> Begun {
        node.marks(Mark::Begins);
        let begun = self.recorder().begin(process, false);
        node.say(|| format!("begins {}", name(begun)));
        begun
    }

    pub(crate) fn record(&self, node: &Node, begun: Begun, operation: Operation) {
        node.say(|| format!("{}: {operation}", name(begun)));
        self.recorder().record(begun, operation);
    }

    /// Another attempt at the same: what it did so far did not happen.
    pub(crate) fn attempt(&self, node: &Node, begun: Begun, tx: &Transaction) {
        self.recorder().restart(begun);
        self.page(node, |page| page.ids.push((tx.id(), begun)));
    }

    /// Writes down what a commit was told.
    pub(crate) fn committed<T>(
        &self,
        node: &Node,
        begun: Begun,
        result: &Result<Receipt<T>>,
    ) -> Status {
        match result {
            Ok(receipt) => self.end(node, begun, Status::Ok, Some(receipt.version.0)),
            Err(error) => match error.kind() {
                ErrorKind::CommitUnknown(_) => self.end(node, begun, Status::Unknown, None),
                ErrorKind::Conflict | ErrorKind::Storage(_) | ErrorKind::SessionReaped => {
                    node.say(|| format!("{} is told: {error}", name(begun)));
                    self.end(node, begun, Status::Failed, None)
                }
                kind => panic!("nothing here leads to {kind:?}: {error}"),
            },
        }
    }

    pub(crate) fn end(
        &self,
        node: &Node,
        begun: Begun,
        status: Status,
        version: Option<u64>,
    ) -> Status {
        node.marks(Mark::Ends);
        node.say(|| match version {
            Some(version) => format!("{} is ok, version {version}", name(begun)),
            None => format!("{} is {status:?}", name(begun)),
        });
        self.recorder().end(begun, status, version);
        status
    }

    /// Everything there is, as one read.
    pub(crate) async fn look(&self, node: &Node, store: &Store, process: u32) -> Result<()> {
        let begun = self.begin(node, process);
        let read = async {
            let snapshot = store.snapshot(At::Latest).await?;
            for key in LISTS {
                let found = list(snapshot.get(key).await?);
                self.record(node, begun, Operation::Read { key: key.into(), found });
            }
            let scan = storage_txn::Scan::new(KeyRange::prefix("reg/"));
            let items = snapshot.scan(&scan).await?.collect().await?;
            let found = items.into_iter().map(|item| {
                let key = String::from_utf8(item.key.to_vec()).expect("keys are text here");
                (key, Content::Value(register(&item.value)))
            });
            let (from, to) = ("reg/".to_owned(), Some("reg0".to_owned()));
            let scan = Scan { from, to, backward: false, limit: None, found: found.collect() };
            self.record(node, begun, Operation::Scan(scan));
            Ok(snapshot.version())
        };
        let result: Result<_> = read.await;
        match &result {
            Ok(version) => self.end(node, begun, Status::Ok, Some(version.0)),
            Err(_) => self.end(node, begun, Status::Failed, None),
        };
        result.map(drop)
    }

    pub(crate) async fn read(
        &self,
        node: &Node,
        tx: &Transaction,
        begun: Begun,
        key: &str,
    ) -> Result<()> {
        let found = list(tx.get(key).await?);
        self.record(node, begun, Operation::Read { key: key.into(), found });
        Ok(())
    }

    pub(crate) fn append(
        &self,
        node: &Node,
        tx: &Transaction,
        begun: Begun,
        key: &str,
    ) -> Result<()> {
        let value = self.value(node);
        self.record(node, begun, Operation::Append { key: key.into(), value });
        tx.merge(key, Merge::Append(Bytes::copy_from_slice(&value.to_le_bytes())))
    }

    pub(crate) async fn get(
        &self,
        node: &Node,
        tx: &Transaction,
        begun: Begun,
        key: &str,
    ) -> Result<()> {
        let found = tx.get(key).await?.map(|stored| register(&stored));
        self.record(node, begun, Operation::Get { key: key.into(), found });
        Ok(())
    }

    pub(crate) fn put(
        &self,
        node: &Node,
        tx: &Transaction,
        begun: Begun,
        key: &str,
        large: bool,
    ) -> Result<()> {
        let value = self.value(node);
        self.record(node, begun, Operation::Put { key: key.into(), value });
        let mut stored = value.to_le_bytes().to_vec();
        if large {
            stored.resize(LARGE_BYTES, stored[0]);
        }
        tx.put(key, stored)
    }

    pub(crate) fn delete(
        &self,
        node: &Node,
        tx: &Transaction,
        begun: Begun,
        key: &str,
    ) -> Result<()> {
        self.record(node, begun, Operation::Delete { key: key.into() });
        tx.delete(key)
    }

    /// What became of everything, as the log has it.
    async fn log(&self, store: &Store) -> std::result::Result<Vec<Logged>, String> {
        let ids: Vec<_> = {
            let nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
            nodes.values().flat_map(|page| page.ids.clone()).collect()
        };
        let mut log = Vec::new();
        for (id, begun) in ids {
            match store.outcome(id).await {
                Ok(Outcome::Committed(version)) => {
                    log.push(Logged { version: version.0, transaction: begun.0 });
                }
                Ok(Outcome::NotCommitted) => {}
                Err(error) => return Err(format!("{id} has no outcome: {error}")),
            }
        }
        log.sort_by_key(|logged: &Logged| logged.version);
        Ok(log)
    }
}

/// Makes a store, without anything going wrong.
pub(crate) fn make(
    sim: &mut Sim,
    place: Place,
    options: Options,
) -> std::result::Result<(), String> {
    sim.ask("maker", move |node| async move {
        Store::init(Arc::new(node.provider(place)), node.env(), options).await.map(drop)
    })?
    .map_err(|error| format!("the store cannot be made: {error}"))
}

/// Opens the store, again until it works.
pub(crate) async fn open(node: &Node, place: Place, options: &Options) -> Store {
    loop {
        match Store::open(Arc::new(node.provider(place)), node.env(), options.clone()).await {
            Ok(store) => return store,
            Err(error) => {
                assert!(
                    matches!(error.kind(), ErrorKind::Storage(kind) if kind.is_transient()),
                    "a store opens or cannot be reached: {error}"
                );
                node.env().sleep(Duration::from_millis(500)).await;
            }
        }
    }
}

/// When all nodes are at their end: opens the store anew, reads everything, does `more` with it, and holds what was
/// told to anybody against the log.
pub(crate) fn judge<F>(
    sim: &mut Sim,
    place: Place,
    options: Options,
    ledger: &Arc<Ledger>,
    more: impl FnOnce(Store, Node) -> F + Send + 'static,
) -> std::result::Result<(), String>
where
    F: Future<Output = std::result::Result<(), String>> + Send + 'static,
{
    sim.heal();
    sim.settle()?;
    let asked = ledger.clone();
    let log = sim.ask("judge", move |node| async move {
        let store = open(&node, place, &options).await;
        let process = asked.process(&node);
        let read = asked.look(&node, &store, process).await;
        read.map_err(|error| format!("it cannot be read any more: {error}"))?;
        let log = asked.log(&store).await?;
        more(store, node).await?;
        Ok::<_, String>(log)
    })??;
    let history = std::mem::take(&mut *ledger.recorder()).finish();
    let history = history.map_err(|malformed| malformed.to_string())?;
    oracles::judge(&history, &log)
}

fn name(begun: Begun) -> String {
    format!("T{}", begun.0 + 1)
}

fn list(found: Option<Bytes>) -> Vec<u64> {
    found.unwrap_or_default().chunks(8).map(number).collect()
}

fn number(stored: &[u8]) -> u64 {
    u64::from_le_bytes(stored.try_into().expect("eight bytes were put"))
}

fn register(stored: &[u8]) -> u64 {
    let value = number(&stored[..8]);
    let is_whole = stored.len() == 8 || stored.len() == LARGE_BYTES;
    assert!(is_whole && stored[8..].iter().all(|byte| *byte == stored[0]), "a value is not whole");
    value
}
