//! A small database that keeps one of four isolation levels: histories of known isolation, to try checks on.

use rand::RngExt;

use super::history::{History, Malformed};

mod engine;

use engine::{Database, Running};

/// What a database promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// Transactions happen one at a time, each between its call and its return.
    StrictSerializable,
    /// They read what there was when they began, and fail if another wrote a key of theirs since.
    Snapshot,
    /// They read what is committed, whenever they read.
    ReadCommitted,
    /// They read and write in place, without locks.
    ReadUncommitted,
}

/// What is in the transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operations {
    /// Appends and reads of lists.
    Lists,
    /// Puts and gets of registers.
    Registers,
    /// Both, with deletes and with scans in both directions, bounded or not.
    Everything,
}

/// What to run.
#[derive(Debug, Clone)]
pub struct Workload {
    /// What the database promises.
    pub isolation: Isolation,
    /// What is in the transactions.
    pub operations: Operations,
    /// How many processes run at once; at least one.
    pub processes: u32,
    /// How many transactions they begin between them. The final reads are not counted.
    pub transactions: usize,
    /// How many keys are in use at once; at least one.
    pub keys: usize,
    /// How often a key is written before a fresh one takes its place.
    pub writes_per_key: u64,
    /// The most operations of a transaction; at least one.
    pub operations_max: usize,
    /// Of a hundred transactions, how many fail for no reason.
    pub failed_percent: u32,
    /// Of a hundred, of how many the outcome is unknown: half of those land at some later time.
    pub unknown_percent: u32,
}

impl Workload {
    /// Fifty transactions of five processes on five keys, with some failed and unknown.
    #[must_use]
    pub fn new(isolation: Isolation, operations: Operations) -> Self {
        Self {
            isolation,
            operations,
            processes: 5,
            transactions: 50,
            keys: 5,
            writes_per_key: 32,
            operations_max: 4,
            failed_percent: 5,
            unknown_percent: 3,
        }
    }

    /// Runs it: the same seed gives the same history. At the end, all keys are read. Commits have their versions (but
    /// for uncommitted reads), those of unknown outcome that landed included.
    ///
    /// # Errors
    ///
    /// None, unless this database is broken: the history is checked as any other.
    ///
    /// # Examples
    ///
    /// ```
    /// use conformance::serializability::database::{Isolation, Operations, Workload};
    /// use conformance::serializability::{check, check_witness};
    ///
    /// let history = Workload::new(Isolation::StrictSerializable, Operations::Lists).run(7)?;
    /// check(&history)?;
    /// check_witness(&history, None)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn run(&self, seed: u64) -> Result<History, Malformed> {
        let mut database = Database::new(self, seed);
        let mut running: Vec<Option<Running>> = (0..self.processes).map(|_| None).collect();
        let mut names: Vec<u32> = (0..self.processes).collect();
        let mut begun = 0;
        while begun < self.transactions || running.iter().any(Option::is_some) {
            database.clock += 1;
            database.land_something();
            let process = database.rng.random_range(0..running.len());
            match running[process].take() {
                None if begun < self.transactions => {
                    begun += 1;
                    running[process] = Some(database.begin(names[process]));
                }
                None => {}
                Some(each) => running[process] = database.go_on(each),
            }
            if running[process].is_none() && database.retires(names[process]) {
                names[process] += self.processes;
            }
        }
        database.read_everything(names.iter().max().map_or(0, |most| most + 1));
        for each in &mut database.done {
            if let Some(version) = database.landed.get(&(each.process, each.invoked)) {
                each.version = Some(*version);
            }
        }
        History::new(database.done)
    }
}
