//! What the clients do: transactions of every kind on few keys, each written down.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use conformance::serializability::{
    Begun, Content, History, Malformed, Operation, Recorder, Scan as Seen, Status,
};
use futures_channel::oneshot;
use simulation::{Node, Place};
use storage_txn::{
    At, CollectOptions, Collected, ErrorKind, KeyRange, Merge, Options, Outcome, Result, Scan,
    Store, Transaction, TransactionId, VerifyEvent, VerifyOptions, Version,
};

/// How many clients a node has.
pub(crate) const CLIENTS: u32 = 2;
/// How many transactions each of them makes.
const TRANSACTIONS: u32 = 4;
const LISTS: [&str; 3] = ["list/a", "list/b", "list/c"];
const REGISTERS: [&str; 4] = ["reg/1", "reg/2", "reg/3", "reg/4"];

/// What outlives the crashes of its node.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    recorder: Mutex<Recorder>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// How many transactions each client has begun, by node and client.
    begun: BTreeMap<(u32, u32), u32>,
    processes: u32,
    values: u64,
    ids: Vec<(TransactionId, Begun)>,
}

impl Notes {
    /// A new process of the history: one that never learnt how its last transaction ended makes no other.
    fn process(&self) -> u32 {
        let mut state = self.state();
        state.processes += 1;
        state.processes - 1
    }

    fn value(&self) -> u64 {
        let mut state = self.state();
        state.values += 1;
        state.values
    }

    /// Whether this client has another transaction to make.
    fn another(&self, client: (u32, u32)) -> bool {
        let mut state = self.state();
        let begun = state.begun.entry(client).or_default();
        *begun += 1;
        *begun <= TRANSACTIONS
    }

    fn recorder(&self) -> MutexGuard<'_, Recorder> {
        self.recorder.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was written down.
    pub(crate) fn history(&self) -> std::result::Result<History, Malformed> {
        std::mem::take(&mut *self.recorder()).finish()
    }

    /// The ids of all transactions that may have been sent.
    pub(crate) fn ids(&self) -> Vec<(TransactionId, Begun)> {
        self.state().ids.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How the nodes use the store.
pub(crate) fn options() -> Options {
    let mut options = Options::default();
    options.commit_time_max = Duration::from_secs(20);
    options.transact_attempts_max = 6;
    // Small, so that everything that happens to a large store happens here.
    options.flush_bytes = 300;
    options.segment_bytes = 500;
    options.cache_bytes_max = 1000;
    options.inline_bytes_max = 8;
    options.chunk_bytes = 9;
    options
}

/// Opens the store, again until it works.
pub(crate) async fn open(node: &Node, place: Place) -> Store {
    loop {
        let mut options = options();
        // Some give up soon, so that doubt is met often.
        options.commit_time_max = Duration::from_secs([20, 20, 1][node.choose(3) as usize]);
        match Store::open(Arc::new(node.provider(place)), node.env(), options).await {
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

/// What a node does from its start to its end or crash.
pub(crate) async fn node(node: Node, place: Place, notes: Arc<Notes>) {
    let store = Arc::new(Mutex::new(open(&node, place).await));
    let mut ends = Vec::new();
    for client in 0..CLIENTS {
        let (end, ended) = oneshot::channel::<()>();
        ends.push(ended);
        let (node, store, notes) = (node.clone(), store.clone(), notes.clone());
        node.env().spawn(Box::pin(async move {
            let mut process = notes.process();
            while notes.another((node.id().0, client)) {
                let handle = lock(&store).clone();
                let reaped = AtomicBool::new(false);
                let client =
                    Client { node: &node, store: &handle, notes: &notes, process, reaped: &reaped };
                if client.transaction().await == Status::Unknown {
                    process = notes.process();
                }
                // The handle goes on in another session; who opens anew loses nothing by it.
                if reaped.load(Ordering::Relaxed) && node.choose(2) == 0 {
                    let anew = open(&node, place).await;
                    *lock(&store) = anew;
                }
            }
            let _ = end.send(());
        }));
    }
    for ended in ends {
        let _ = ended.await;
    }
}

struct Client<'a> {
    node: &'a Node,
    store: &'a Store,
    notes: &'a Notes,
    process: u32,
    /// Whether the session of the handle has ended.
    reaped: &'a AtomicBool,
}

impl Client<'_> {
    async fn transaction(&self) -> Status {
        if self.node.choose(6) == 5 {
            self.collect().await;
        }
        match self.node.choose(8) {
            0 => self.look(At::Latest).await,
            1 => {
                let known = self.store.snapshot(At::Known).await.expect("asks nobody").version();
                let version = u64::from(self.node.choose(known.0 as u32 + 1));
                self.look(At::Version(Version(version))).await
            }
            2 | 3 => self.closure().await,
            _ => self.by_hand().await,
        }
    }

    /// Reads without a transaction.
    async fn look(&self, at: At) -> Status {
        let past = at != At::Latest;
        let begun = self.notes.recorder().begin(self.process, past);
        let read = async {
            let snapshot = self.store.snapshot(at).await?;
            if let At::Version(asked) = at {
                assert_eq!(snapshot.version(), asked, "a snapshot is of the version asked for");
            }
            for key in LISTS {
                let found = snapshot.get(key).await?;
                self.notes.recorder().record(begun, read_of(key, found));
            }
            let scan = Scan::new(KeyRange::prefix("reg/"));
            let items = snapshot.scan(&scan).await?.collect().await?;
            let items = items.into_iter().map(|item| (item.key, item.value));
            self.notes.recorder().record(begun, seen("reg/", "reg0", false, None, items));
            Ok(snapshot.version())
        };
        let result: Result<Version> = read.await;
        let status = match result.as_ref().map_err(|error| (error.kind(), error)) {
            Ok(_) => Status::Ok,
            Err((ErrorKind::Storage(_), _)) => Status::Failed,
            Err((kind, error)) => panic!("nothing here leads to {kind:?}: {error}"),
        };
        self.notes.recorder().end(begun, status, result.ok().map(|version| version.0));
        status
    }

    /// Deletes what nothing needs, now and then as if no time had to pass before that.
    async fn collect(&self) {
        let mut options = CollectOptions::default();
        options.grace = Duration::from_secs([0, 0, 1, 60][self.node.choose(4) as usize]);
        options.session_grace = Duration::from_secs([0, 0, 1, 7200][self.node.choose(4) as usize]);
        options.sweep = self.node.choose(4) == 3;
        match self.store.collect(&options).await.map_err(|error| (error.kind(), error)) {
            Ok(_)
            | Err((ErrorKind::Storage(_) | ErrorKind::CommitUnknown(_) | ErrorKind::Conflict, _)) =>
                {}
            Err((ErrorKind::SessionReaped, _)) => self.reaped.store(true, Ordering::Relaxed),
            Err((kind, error)) => panic!("no collection leads to {kind:?}: {error}"),
        }
    }

    /// Through `transact`, which runs it again.
    async fn closure(&self) -> Status {
        let begun = self.notes.recorder().begin(self.process, false);
        let ids = Mutex::new(Vec::new());
        let result = self
            .store
            .transact(async |tx| {
                self.notes.recorder().restart(begun);
                self.note_id(&tx, begun);
                ids.lock().unwrap_or_else(PoisonError::into_inner).push(tx.id());
                self.operations(&tx, begun).await
            })
            .await;
        self.end(begun, result.map(|receipt| receipt.version)).await
    }

    async fn by_hand(&self) -> Status {
        let begun = self.notes.recorder().begin(self.process, false);
        let tx = self.store.begin();
        self.note_id(&tx, begun);
        let result = async {
            self.operations(&tx, begun).await?;
            tx.commit().await
        };
        let result = result.await;
        self.end(begun, result.map(|receipt| receipt.version)).await
    }

    fn note_id(&self, tx: &Transaction, begun: Begun) {
        let mut state = self.notes.state();
        state.ids.push((tx.id(), begun));
    }

    async fn end(&self, begun: Begun, result: Result<Version>) -> Status {
        let (status, version) = match result {
            Ok(version) => (Status::Ok, Some(version)),
            Err(error) => match error.kind() {
                ErrorKind::CommitUnknown(id) => self.ask(id).await,
                ErrorKind::Conflict | ErrorKind::PreconditionFailed | ErrorKind::Storage(_) => {
                    (Status::Failed, None)
                }
                ErrorKind::SessionReaped => {
                    self.reaped.store(true, Ordering::Relaxed);
                    (Status::Failed, None)
                }
                kind => panic!("nothing here leads to {kind:?}: {error}"),
            },
        };
        self.notes.recorder().end(begun, status, version.map(|version| version.0));
        status
    }

    /// One in two wants to know what became of it.
    async fn ask(&self, id: TransactionId) -> (Status, Option<Version>) {
        if self.node.choose(2) == 0 {
            return (Status::Unknown, None);
        }
        match self.store.outcome(id).await {
            Ok(Outcome::Committed(version)) => (Status::Ok, Some(version)),
            Ok(Outcome::NotCommitted) => (Status::Failed, None),
            Err(_) => (Status::Unknown, None),
        }
    }

    /// Requires that a register still has the version that it had in some snapshot: that is as good as a read. And
    /// writes something, as only that gives it a place in the log that the checks understand.
    async fn require(&self, tx: &Transaction, begun: Begun) -> Result<()> {
        let register = REGISTERS[self.node.choose(REGISTERS.len() as u32) as usize];
        let snapshot = self.store.snapshot(At::Known).await?;
        let found = snapshot.get_versioned(register).await?;
        tx.require(register, found.as_ref().map(|(version, _)| *version))?;
        let found = found.map(|(_, value)| of_register(&value));
        let read = Operation::Get { key: register.into(), found };
        self.notes.recorder().record(begun, read);
        let value = self.notes.value();
        self.notes.recorder().record(begun, Operation::Append { key: LISTS[0].into(), value });
        tx.merge(LISTS[0], Merge::Append(Bytes::copy_from_slice(&value.to_le_bytes())))
    }

    async fn operations(&self, tx: &Transaction, begun: Begun) -> Result<()> {
        let record = |operation| self.notes.recorder().record(begun, operation);
        if self.node.choose(6) == 5 {
            self.require(tx, begun).await?;
        }
        for _ in 0..=self.node.choose(3) {
            let list = LISTS[self.node.choose(LISTS.len() as u32) as usize];
            let register = REGISTERS[self.node.choose(REGISTERS.len() as u32) as usize];
            match self.node.choose(8) {
                0 | 1 => record(read_of(list, tx.get(list).await?)),
                2 | 3 => {
                    let value = self.notes.value();
                    record(Operation::Append { key: list.into(), value });
                    tx.merge(list, Merge::Append(Bytes::copy_from_slice(&value.to_le_bytes())))?;
                }
                4 => {
                    let value = self.notes.value();
                    record(Operation::Put { key: register.into(), value });
                    tx.put(register, in_register(value))?;
                }
                5 => {
                    record(Operation::Delete { key: register.into() });
                    tx.delete(register)?;
                }
                6 => {
                    let found = tx.get(register).await?.map(|value| of_register(&value));
                    record(Operation::Get { key: register.into(), found });
                }
                _ => {
                    let (backward, limit) =
                        (self.node.choose(2) == 1, self.node.choose(3) as usize);
                    let mut scan = Scan::new(register.."reg0");
                    if backward {
                        scan = scan.backward();
                    }
                    let limit = (limit > 0).then_some(limit);
                    if let Some(limit) = limit {
                        scan = scan.limit(limit);
                    }
                    let items = tx.scan(&scan).await?;
                    let items = items.into_iter().map(|item| (item.key, item.value));
                    record(seen(register, "reg0", backward, limit, items));
                }
            }
        }
        Ok(())
    }
}

/// Collects all that can be, and tells what is wrong after that: something that is damaged, or left over.
pub(crate) async fn collect_all(
    store: &Store,
    node: &Node,
    place: Place,
) -> std::result::Result<(), String> {
    let mut options = CollectOptions::default();
    (options.grace, options.session_grace) = (Duration::ZERO, Duration::ZERO);
    options.sweep = true;
    // Else that might be done in the background between the two.
    store.flush().await.map_err(|error| format!("the last flush: {error}"))?;
    store.collect(&options).await.map_err(|error| format!("the last collection: {error}"))?;
    let again = store.collect(&options).await.map_err(|error| format!("one more: {error}"))?;
    if again != Collected::default() {
        return Err(format!("something was left to collect: {again:?}"));
    }
    let mut found = Vec::new();
    let mut tell = |event| {
        if let VerifyEvent::Finding(finding) = event {
            found.push(finding);
        }
    };
    let provider = Arc::new(node.provider(place));
    let options = VerifyOptions::default();
    let report = Store::verify(provider, node.env(), &options, &mut tell).await;
    let report = report.map_err(|error| format!("it cannot be verified: {error}"))?;
    if !found.is_empty() || !report.unnamed.is_empty() {
        return Err(format!("it is not as it should be: {found:?} {report:?}"));
    }
    Ok(())
}

/// Reads everything, as the last transaction of the history.
pub(crate) async fn read_all(store: &Store, notes: &Notes) {
    let begun = notes.recorder().begin(notes.process(), false);
    let snapshot = store.snapshot(At::Latest).await.expect("nothing is broken any more");
    for key in LISTS {
        let found = snapshot.get(key).await.expect("nothing is broken any more");
        notes.recorder().record(begun, read_of(key, found));
    }
    let scan = Scan::new(KeyRange::prefix("reg/"));
    let items = snapshot.scan(&scan).await.expect("nothing is broken any more");
    let items = items.collect().await.expect("nothing is broken any more");
    let items = items.into_iter().map(|item| (item.key, item.value));
    notes.recorder().record(begun, seen("reg/", "reg0", false, None, items));
    notes.recorder().end(begun, Status::Ok, Some(snapshot.version().0));
}

fn lock(store: &Mutex<Store>) -> MutexGuard<'_, Store> {
    store.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read_of(key: &str, found: Option<Bytes>) -> Operation {
    let found = found.unwrap_or_default().chunks(8).map(number).collect();
    Operation::Read { key: key.into(), found }
}

fn number(value: &[u8]) -> u64 {
    u64::from_le_bytes(value.try_into().expect("eight bytes were put"))
}

/// Some are too large to be inline.
fn in_register(value: u64) -> Vec<u8> {
    value.to_le_bytes().repeat(if value.is_multiple_of(3) { 2 } else { 1 })
}

fn of_register(stored: &[u8]) -> u64 {
    let value = number(&stored[..8]);
    assert_eq!(stored, in_register(value), "a value is not whole");
    value
}

fn seen(
    from: &str,
    to: &str,
    backward: bool,
    limit: Option<usize>,
    items: impl Iterator<Item = (Bytes, Bytes)>,
) -> Operation {
    let text = |key: Bytes| String::from_utf8(key.to_vec()).expect("keys are text here");
    let found =
        items.map(|(key, value)| (text(key), Content::Value(of_register(&value)))).collect();
    Operation::Scan(Seen { from: from.into(), to: Some(to.into()), backward, limit, found })
}
