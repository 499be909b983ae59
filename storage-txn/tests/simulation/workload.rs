//! What the clients do: transactions of every kind on few keys, each written down.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use conformance::serializability::{Begun, Content, Operation, Scan as Seen, Status};
use futures_channel::oneshot;
use simulation::Node;
use storage_txn::{
    At, ErrorKind, Merge, Options, Outcome, Pin, Result, Scan, Store, Transaction, TransactionId,
    Value, Version,
};

use crate::notes::Notes;
use crate::site::Site;

/// How many clients a node has.
pub(crate) const CLIENTS: u32 = 2;
pub(crate) const LISTS: [&str; 3] = ["list/a", "list/b", "list/c"];
pub(crate) const REGISTERS: [&str; 4] = ["reg/1", "reg/2", "reg/3", "reg/4"];
const MINUTE: u64 = 60;
const DAY: u64 = 86_400;

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
pub(crate) async fn open(node: &Node, place: &Site) -> Store {
    loop {
        let mut options = options();
        // Some give up soon, so that doubt is met often.
        options.commit_time_max = Duration::from_secs([20, 20, 1][node.choose(3) as usize]);
        // Others compact the newest segments often, and leave older ones alone.
        options.compaction_fanout = [4, 2][node.choose(2) as usize];
        match Store::open(place.place(node), node.env(), options).await {
            Ok(store) => return store,
            Err(error) => {
                let again = match error.kind() {
                    ErrorKind::Storage(kind) => kind.is_transient(),
                    // It slept while it made its index anew, and was taken for dead.
                    ErrorKind::SessionReaped => true,
                    _ => false,
                };
                assert!(again, "a store opens or cannot be reached: {error}");
                node.env().sleep(Duration::from_millis(500)).await;
            }
        }
    }
}

/// What a node does from its start to its end or crash.
pub(crate) async fn node(node: Node, place: Site, notes: Arc<Notes>) {
    let join = {
        let (node, notes) = (node.clone(), notes.clone());
        move |store: &Store| notes.board.iter().for_each(|board| board.join(&node, store))
    };
    let first = open(&node, &place).await;
    join(&first);
    let store = Arc::new(Mutex::new(first));
    let mut ends = Vec::new();
    for client in 0..CLIENTS {
        let (end, ended) = oneshot::channel::<()>();
        ends.push(ended);
        let (node, store, notes) = (node.clone(), store.clone(), notes.clone());
        let join = join.clone();
        let place = place.clone();
        node.env().spawn(Box::pin(async move {
            let mut process = notes.process();
            let mut held = Held::default();
            while notes.another((node.id().0, client)) {
                let handle = lock(&store).clone();
                let reaped = AtomicBool::new(false);
                let client = Client {
                    node: &node,
                    place: &place,
                    store: &handle,
                    notes: &notes,
                    process,
                    reaped: &reaped,
                    held: &held,
                };
                if client.go_on().await == Status::Unknown {
                    process = notes.process();
                }
                // The handle goes on in another session; who opens anew loses nothing by it.
                if reaped.load(Ordering::Relaxed) && node.choose(2) == 0 {
                    let anew = open(&node, &place).await;
                    join(&anew);
                    *lock(&store) = anew;
                    // What was uploaded through the other handle is of no use to this one.
                    held.upload = Mutex::default();
                }
            }
            let _ = end.send(());
        }));
    }
    for ended in ends {
        let _ = ended.await;
    }
}

/// What a client has in hand between its transactions; gone when its node crashes.
#[derive(Debug, Default)]
pub(crate) struct Held {
    /// A version, and under which number it is noted that nothing may pass it.
    pub(crate) pin: Mutex<Option<(Pin, Option<u32>)>>,
    /// A value that is uploaded and under no key yet.
    pub(crate) upload: Mutex<Option<(Value, Bytes)>>,
}

pub(crate) struct Client<'a> {
    pub(crate) node: &'a Node,
    pub(crate) place: &'a Site,
    pub(crate) store: &'a Store,
    pub(crate) notes: &'a Notes,
    pub(super) process: u32,
    /// Whether the session of the handle has ended.
    pub(super) reaped: &'a AtomicBool,
    pub(crate) held: &'a Held,
}

impl Client<'_> {
    async fn go_on(&self) -> Status {
        if self.notes.is_about_values {
            return self.keep_values().await;
        }
        let upkeep = if self.notes.lists_are_whole { 2 } else { 4 };
        if self.node.choose(upkeep) == upkeep - 1 {
            self.upkeep().await;
        }
        let holds = lock(&self.held.pin).is_some();
        match self.node.choose(10) {
            6 if holds => self.look_at_what_is_kept().await,
            0 => self.look(At::Latest).await,
            1 => self.look(At::Version(self.version())).await,
            2 => self.look_at_what_is_kept().await,
            3 | 4 => self.closure().await,
            5..=7 => self.by_hand().await,
            _ => self.use_files().await,
        }
    }

    /// One of the versions that the handle knows of.
    pub(crate) fn version(&self) -> Version {
        let last = self.store.begin().read_version();
        Version(u64::from(self.node.choose(last.0 as u32 + 1)))
    }

    /// Stands still, now and then: until its pin has ended, what it knows is out of date, it is taken for dead.
    pub(super) async fn dawdle(&self) {
        if self.node.choose(8) == 7 {
            let seconds = [1, 10, 10 * MINUTE, DAY][self.node.choose(4) as usize];
            self.node.env().sleep(Duration::from_secs(seconds)).await;
        }
    }

    /// Through `transact`, which runs it again.
    async fn closure(&self) -> Status {
        let begun = self.notes.recorder().begin(self.process, false);
        let result = self
            .store
            .transact(async |tx| {
                self.notes.recorder().restart(begun);
                self.notes.note_id(tx.id(), begun);
                self.operations(&tx, begun).await
            })
            .await;
        self.end(begun, result.map(|receipt| receipt.version)).await
    }

    async fn by_hand(&self) -> Status {
        let begun = self.notes.recorder().begin(self.process, false);
        let tx = self.store.begin();
        self.notes.note_id(tx.id(), begun);
        let result = async {
            self.operations(&tx, begun).await?;
            self.dawdle().await;
            tx.commit().await
        };
        let result = result.await;
        self.end(begun, result.map(|receipt| receipt.version)).await
    }

    async fn end(&self, begun: Begun, result: Result<Version>) -> Status {
        let (status, version) = self.ended(result).await;
        self.notes.recorder().end(begun, status, version.map(|version| version.0));
        status
    }

    /// What a transaction was told in the end.
    pub(super) async fn ended(&self, result: Result<Version>) -> (Status, Option<Version>) {
        let error = match result {
            Ok(version) => return (Status::Ok, Some(version)),
            Err(error) => error,
        };
        match error.kind() {
            ErrorKind::CommitUnknown(id) => return self.ask(id).await,
            ErrorKind::Conflict | ErrorKind::PreconditionFailed => {}
            _ => self.may_fail(&error, None, false),
        }
        (Status::Failed, None)
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
            match self.node.choose(9) {
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
                    let end = self.node.choose(REGISTERS.len() as u32) as usize;
                    let end = REGISTERS.get(end + 1).copied().unwrap_or("reg0");
                    for key in REGISTERS.into_iter().filter(|key| register <= *key && *key < end) {
                        record(Operation::Delete { key: key.into() });
                    }
                    if register < end {
                        tx.delete_range(register..end)?;
                    }
                }
                7 => {
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

pub(crate) fn lock<T>(held: &Mutex<T>) -> MutexGuard<'_, T> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn read_of(key: &str, found: Option<Bytes>) -> Operation {
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

pub(crate) fn seen(
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
