//! What transactions asked, when, what they were told, and how they ended.

use std::collections::BTreeMap;
use std::fmt;

/// How a transaction ended, as far as its process was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// It committed.
    Ok,
    /// It did not happen, and never will.
    Failed,
    /// It may have happened, may happen at any later time, or never.
    Unknown,
}

/// What a key holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Everything appended to it, in order.
    List(Vec<u64>),
    /// What was put last.
    Value(u64),
}

/// One thing a transaction did. A read whose result nobody was told is left out.
///
/// A key is either a list (append, read) or a register (put, delete, get) in all of a history, and no value is
/// written to a key twice: that is what makes it possible to tell who read from whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Adds a value to the end of a list.
    Append {
        /// The list.
        key: String,
        /// Unique among all that is appended to this key.
        value: u64,
    },
    /// Reads a whole list. One that does not exist is empty.
    Read {
        /// The list.
        key: String,
        /// What was in it.
        found: Vec<u64>,
    },
    /// Sets a register.
    Put {
        /// The register.
        key: String,
        /// Unique among all that is put to this key.
        value: u64,
    },
    /// Removes a register.
    Delete {
        /// The register.
        key: String,
    },
    /// Reads a register.
    Get {
        /// The register.
        key: String,
        /// What it held, if it existed.
        found: Option<u64>,
    },
    /// Reads a range of keys.
    Scan(Scan),
}

/// A read of all keys in a range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan {
    /// The first key of the range.
    pub from: String,
    /// The first key after the range; without it, there is no end.
    pub to: Option<String>,
    /// Whether it went from the last key to the first.
    pub backward: bool,
    /// The most keys it asked for.
    pub limit: Option<usize>,
    /// What it was told, in the order in which it was told.
    pub found: Vec<(String, Content)>,
}

impl Scan {
    /// Whether a key that it did not report is known to have been missing: it lies in the range, and
    /// before the place where the limit ended the scan.
    #[must_use]
    pub fn covers(&self, key: &str) -> bool {
        let inside = key >= self.from.as_str() && self.to.as_deref().is_none_or(|to| key < to);
        let cut = self.limit.is_some_and(|limit| self.found.len() >= limit);
        let before_the_cut = match self.found.last() {
            _ if !cut => true,
            Some((last, _)) if self.backward => key >= last.as_str(),
            Some((last, _)) => key <= last.as_str(),
            None => false,
        };
        inside && before_the_cut
    }
}

impl Operation {
    /// The key that it changes, if it changes one.
    #[must_use]
    pub fn key_written(&self) -> Option<&str> {
        match self {
            Self::Append { key, .. } | Self::Put { key, .. } | Self::Delete { key } => Some(key),
            Self::Read { .. } | Self::Get { .. } | Self::Scan(_) => None,
        }
    }
}

/// One transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// Who ran it. A process runs one at a time.
    pub process: u32,
    /// The moment at which it was begun, in ticks that all processes share.
    pub invoked: u64,
    /// The moment at which its end was known; `None` if that never came.
    pub returned: Option<u64>,
    /// How it ended.
    pub status: Status,
    /// Of one that writes, its number in the one order of commits; of one that only reads, the
    /// number of the last commit that it could see. `None` if that is not known.
    pub version: Option<u64>,
    /// Whether it asked for the past (a version, a time, a bound of staleness): then it need not see
    /// what was committed before it began.
    pub past: bool,
    /// What it did, in order.
    pub operations: Vec<Operation>,
}

impl Transaction {
    /// Whether it changes anything.
    #[must_use]
    pub fn writes(&self) -> bool {
        self.operations.iter().any(|operation| operation.key_written().is_some())
    }
}

/// Transactions that make a well-formed history. Their names in reports, `T1` onwards, are their places in it.
///
/// A history is written and read as text, one transaction a line:
///
/// ```text
/// PROCESS INVOKED..RETURNED STATUS [vVERSION] [past]: OPERATION; OPERATION ...
/// ```
///
/// where an operation is `append KEY VALUE`, `read KEY [VALUE ...]`, `put KEY VALUE`, `delete KEY`, `get KEY VALUE`
/// (or `nil`), or `scan FROM..TO [back] [limit N] {KEY=[VALUE ...] KEY=VALUE}`. Keys are of letters, digits and `_-/`.
/// Lines that are empty or start with `#` are left out, and so is a name such as `T7` before the process.
///
/// # Examples
///
/// ```
/// use conformance::serializability::History;
///
/// let history: History = "
///     p0 1..4 ok v1: append x 1; put y 7
///     p1 2..  unknown: append x 2
///     p0 5..9 ok v2: read x [1 2]; scan x..z {x=[1 2] y=7}
/// ".parse()?;
/// assert_eq!(history.transactions().len(), 3);
/// assert_eq!(history.to_string().parse::<History>()?, history);
/// # Ok::<(), conformance::serializability::Malformed>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct History {
    transactions: Vec<Transaction>,
}

impl History {
    /// Checks that transactions make sense together.
    ///
    /// # Errors
    ///
    /// [`Malformed`] names the transaction and says what is wrong with it: it returned before it was
    /// invoked, overlaps another of its process, committed without an answer, failed and has a
    /// version, writes a value a second time, or uses a key both as a list and as a register.
    pub fn new(transactions: Vec<Transaction>) -> Result<Self, Malformed> {
        for (at, transaction) in transactions.iter().enumerate() {
            check_alone(transaction).map_err(|what| Malformed::at(at, what))?;
        }
        check_processes(&transactions)?;
        check_keys(&transactions)?;
        Ok(Self { transactions })
    }

    /// The transactions, in the order in which they were given.
    #[must_use]
    pub fn transactions(&self) -> &[Transaction] {
        &self.transactions
    }
}

/// Why transactions do not make a history, or why a text does not say one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed(String);

impl Malformed {
    pub(super) fn new(what: String) -> Self {
        Self(what)
    }

    fn at(transaction: usize, what: impl fmt::Display) -> Self {
        Self(format!("T{}: {what}", transaction + 1))
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Malformed {}

fn check_alone(transaction: &Transaction) -> Result<(), String> {
    let Transaction { invoked, returned, status, version, .. } = transaction;
    match (returned, status, version) {
        (Some(returned), ..) if returned <= invoked => {
            Err(format!("returned at {returned}, but was invoked at {invoked}"))
        }
        (None, Status::Ok, _) => Err("is ok, but never returned".into()),
        (_, Status::Failed, Some(version)) => Err(format!("failed, but has the version {version}")),
        _ => Ok(()),
    }
}

fn check_processes(transactions: &[Transaction]) -> Result<(), Malformed> {
    let mut by_process: Vec<usize> = (0..transactions.len()).collect();
    by_process.sort_by_key(|at| (transactions[*at].process, transactions[*at].invoked));
    for pair in by_process.windows(2) {
        let (before, after) = (&transactions[pair[0]], &transactions[pair[1]]);
        let overlap = before.invoked == after.invoked
            || before.returned.is_some_and(|returned| returned > after.invoked);
        if before.process == after.process && overlap {
            let (process, invoked) = (after.process, after.invoked);
            let what =
                format!("process {process} began it at {invoked}, while T{} ran", pair[0] + 1);
            return Err(Malformed::at(pair[1], what));
        }
    }
    Ok(())
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    List,
    Register,
}

fn check_keys(transactions: &[Transaction]) -> Result<(), Malformed> {
    let mut kinds: BTreeMap<&str, Kind> = BTreeMap::new();
    let mut writers: BTreeMap<(&str, u64), usize> = BTreeMap::new();
    for (at, transaction) in transactions.iter().enumerate() {
        let mut used = |key, kind| match *kinds.entry(key).or_insert(kind) {
            known if known == kind => Ok(()),
            _ => Err(Malformed::at(at, format!("{key} is used as a list and as a register"))),
        };
        let mut written = |key, value| match writers.insert((key, value), at) {
            None => Ok(()),
            Some(first) => {
                let what = format!("writes {value} to {key}, which T{} wrote already", first + 1);
                Err(Malformed::at(at, what))
            }
        };
        for operation in &transaction.operations {
            match operation {
                Operation::Append { key, value } => {
                    used(key, Kind::List)?;
                    written(key, *value)?;
                }
                Operation::Put { key, value } => {
                    used(key, Kind::Register)?;
                    written(key, *value)?;
                }
                Operation::Read { key, .. } => used(key, Kind::List)?,
                Operation::Get { key, .. } | Operation::Delete { key } => {
                    used(key, Kind::Register)?;
                }
                Operation::Scan(scan) => {
                    for (key, content) in &scan.found {
                        match content {
                            Content::List(_) => used(key, Kind::List)?,
                            Content::Value(_) => used(key, Kind::Register)?,
                        }
                    }
                }
            }
        }
    }
    Ok(())
}
