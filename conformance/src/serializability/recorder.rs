//! Writes a history down while transactions run.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::history::{History, Malformed, Operation, Status, Transaction};

/// Writes down what transactions do, from any number of threads.
///
/// Time is a counter that ticks at each call and each return: if one transaction returned before another was begun, its
/// ticks say so. A write is written down before it is asked for, a read when it is answered: then a transaction that is
/// dropped at any moment stands there as unknown, as it should.
///
/// # Examples
///
/// ```
/// use conformance::serializability::{Operation, Recorder, Status, check};
///
/// let recorder = Recorder::new();
/// let transaction = recorder.begin(0, false);
/// recorder.record(transaction, Operation::Append { key: "x".into(), value: 1 });
/// recorder.end(transaction, Status::Ok, Some(1));
/// let history = recorder.finish()?;
/// assert_eq!(history.to_string(), "T1 p0 1..2 ok v1: append x 1\n");
/// check(&history)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct Recorder(Mutex<Record>);

/// A transaction of a [`Recorder`]: its place in the history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Begun(pub usize);

#[derive(Debug, Default)]
struct Record {
    clock: u64,
    transactions: Vec<Transaction>,
}

impl Recorder {
    /// A recorder that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A process begins a transaction; `past` says whether it asks for the past. Until it is ended, its outcome is
    /// unknown.
    pub fn begin(&self, process: u32, past: bool) -> Begun {
        let mut record = self.lock();
        record.clock += 1;
        let invoked = record.clock;
        record.transactions.push(Transaction {
            process,
            invoked,
            returned: None,
            status: Status::Unknown,
            version: None,
            past,
            operations: Vec::new(),
        });
        Begun(record.transactions.len() - 1)
    }

    /// It does this.
    pub fn record(&self, begun: Begun, operation: Operation) {
        if let Some(transaction) = self.lock().transactions.get_mut(begun.0) {
            transaction.operations.push(operation);
        }
    }

    /// It is run again from the start: what it did so far did not happen.
    pub fn restart(&self, begun: Begun) {
        if let Some(transaction) = self.lock().transactions.get_mut(begun.0) {
            transaction.operations.clear();
        }
    }

    /// It returns; `version` as in [`Transaction::version`].
    pub fn end(&self, begun: Begun, status: Status, version: Option<u64>) {
        let mut record = self.lock();
        record.clock += 1;
        let returned = record.clock;
        if let Some(transaction) = record.transactions.get_mut(begun.0) {
            transaction.returned = Some(returned);
            transaction.status = status;
            transaction.version = version;
        }
    }

    /// The history, in order of the calls.
    ///
    /// # Errors
    ///
    /// Those of [`History::new`].
    pub fn finish(self) -> Result<History, Malformed> {
        History::new(self.0.into_inner().unwrap_or_else(PoisonError::into_inner).transactions)
    }

    // Nothing that holds the lock panics, so a poisoned one guards a sound record.
    fn lock(&self) -> MutexGuard<'_, Record> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
