//! Three judges of a history, who have no code in common: a replay against the log, our search for cycles, and the
//! crate `adya`.
//!
//! `adya` knows neither ranges nor deletions nor reads of the past, and takes histories of lists or of registers. So it
//! is asked twice, and what it does not know is translated where that is sound, and left out where it is not: a scan
//! becomes the reads that it amounts to, a deletion the put of a value of its own, and with that a register found
//! empty says nothing any more.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use adya::Valid;
use adya::history::{Interner, Mop, Op, OpType, ReadValue, Scalar};
use conformance::serializability::{
    Content, History, Logged, Operation, Scan, Status, Transaction, check, check_witness,
};

/// Holds what transactions were told against the order of commits in the log.
pub(crate) fn judge(history: &History, log: &[Logged]) -> Result<(), String> {
    // Each is told with the whole history, which can be pasted into a test of the checks.
    check_witness(history, Some(log)).map_err(|violations| format!("{violations}\n{history}"))?;
    check(history).map_err(|violations| format!("{violations}\n{history}"))?;
    check_with_adya(history, log).map_err(|anomalies| format!("adya: {anomalies}\n{history}"))
}

/// What `adya` finds, by its names.
fn check_with_adya(history: &History, log: &[Logged]) -> Result<(), String> {
    let mut found = BTreeSet::new();
    for kind in [adya::Workload::ListAppend, adya::Workload::RwRegister] {
        let (translated, order) = translate(history, log, kind);
        let options = adya::Opts {
            models: vec!["strict-serializable".into()],
            // Only how a cycle is told depends on it, not whether there is one.
            timeout: Duration::from_secs(60),
            transaction_order: Some(order),
            ..adya::Opts::default()
        };
        let report = adya::check(&translated, kind, &options);
        // It calls what has no dependency at all unknown.
        let nothing_to_say = report.anomaly_types == ["empty-transaction-graph"];
        if report.valid != Valid::True && !nothing_to_say {
            found.extend(report.anomaly_types);
        }
    }
    match found.is_empty() {
        true => Ok(()),
        false => Err(found.into_iter().collect::<Vec<_>>().join(", ")),
    }
}

/// The history in `adya`'s terms, with the version of each completion by its index. What the log says takes the place
/// of what nobody was told.
fn translate(
    history: &History,
    log: &[Logged],
    kind: adya::Workload,
) -> (adya::History, HashMap<u64, i64>) {
    let versions: BTreeMap<usize, u64> =
        log.iter().map(|logged| (logged.transaction, logged.version)).collect();
    let keys = Keys::of(history, kind);
    let mut events = BTreeMap::new();
    for (at, each) in history.transactions().iter().enumerate() {
        // Whoever asks for the past need not see what had ended by then.
        if each.past {
            continue;
        }
        let happened = each.status == Status::Ok || versions.contains_key(&at);
        // One that nobody was told of may have happened at any time after.
        let returned = if each.status == Status::Ok || !happened { each.returned } else { None };
        events.insert((each.invoked, false, at), happened);
        events.insert((returned.unwrap_or(u64::MAX), true, at), happened);
    }
    let mut interner = Interner::default();
    let (mut ops, mut order) = (Vec::new(), HashMap::new());
    for (index, ((_, returns, at), happened)) in events.into_iter().enumerate() {
        let index = index as u64;
        let each = &history.transactions()[at];
        let kind = match (returns, happened) {
            (false, _) => OpType::Invoke,
            (true, true) => OpType::Ok,
            (true, false) => OpType::Fail,
        };
        if let (true, Some(version)) = (returns, versions.get(&at)) {
            order.insert(index, *version as i64);
        }
        let value = keys.operations(each, at, &mut interner);
        ops.push(Op { index, kind, process: Some(at as i64), value, time: None });
    }
    (adya::History::from_ops(ops, interner), order)
}

/// The keys that one kind of history is about.
struct Keys<'a> {
    kind: adya::Workload,
    keys: BTreeSet<&'a str>,
    /// Registers that were deleted at some time.
    deleted: BTreeSet<&'a str>,
}

impl<'a> Keys<'a> {
    fn of(history: &'a History, kind: adya::Workload) -> Self {
        let mut keys = Self { kind, keys: BTreeSet::new(), deleted: BTreeSet::new() };
        let lists = kind == adya::Workload::ListAppend;
        for operation in history.transactions().iter().flat_map(|each| &each.operations) {
            match operation {
                Operation::Append { key, .. } | Operation::Read { key, .. } if lists => {
                    keys.keys.insert(key);
                }
                Operation::Put { key, .. } | Operation::Get { key, .. } if !lists => {
                    keys.keys.insert(key);
                }
                Operation::Delete { key } if !lists => {
                    keys.keys.insert(key);
                    keys.deleted.insert(key);
                }
                Operation::Scan(scan) => {
                    keys.keys.extend(scan.found.iter().filter_map(|(key, content)| {
                        (matches!(content, Content::List(_)) == lists).then_some(key.as_str())
                    }));
                }
                _ => {}
            }
        }
        keys
    }

    fn operations(&self, each: &Transaction, at: usize, interner: &mut Interner) -> Vec<Mop> {
        let mut mops = Vec::new();
        for (number, operation) in each.operations.iter().enumerate() {
            match operation {
                Operation::Scan(scan) => self.scan(scan, interner, &mut mops),
                Operation::Delete { key } => {
                    // Unlike every value that is put.
                    let value = -((at << 16 | number) as i64) - 1;
                    let value = interner.intern(Scalar::Int(value));
                    mops.extend(self.key(key, interner).map(|key| Mop::Write { key, value }));
                }
                Operation::Append { key, value } => {
                    let value = interner.intern(Scalar::Int(*value as i64));
                    mops.extend(self.key(key, interner).map(|key| Mop::Append { key, value }));
                }
                Operation::Put { key, value } => {
                    let value = interner.intern(Scalar::Int(*value as i64));
                    mops.extend(self.key(key, interner).map(|key| Mop::Write { key, value }));
                }
                Operation::Read { key, found } => mops.extend(self.list(key, found, interner)),
                Operation::Get { key, found } => mops.extend(self.register(key, *found, interner)),
            }
        }
        mops
    }

    fn key(&self, key: &str, interner: &mut Interner) -> Option<adya::history::Id> {
        self.keys.contains(key).then(|| interner.intern(Scalar::Str(key.to_owned())))
    }

    fn list(&self, key: &str, found: &[u64], interner: &mut Interner) -> Option<Mop> {
        let key = self.key(key, interner)?;
        let found = found.iter().map(|value| interner.intern(Scalar::Int(*value as i64)));
        Some(Mop::Read { key, value: ReadValue::List(found.collect()) })
    }

    fn register(&self, key: &str, found: Option<u64>, interner: &mut Interner) -> Option<Mop> {
        if found.is_none() && self.deleted.contains(key) {
            return None;
        }
        let key = self.key(key, interner)?;
        let value = found.map_or(ReadValue::Nil, |value| {
            ReadValue::Scalar(interner.intern(Scalar::Int(value as i64)))
        });
        Some(Mop::Read { key, value })
    }

    fn scan(&self, scan: &Scan, interner: &mut Interner, mops: &mut Vec<Mop>) {
        let found: BTreeMap<&str, &Content> =
            scan.found.iter().map(|(key, content)| (key.as_str(), content)).collect();
        for key in self.keys.iter().filter(|key| scan.covers(key)) {
            mops.extend(match (found.get(key), self.kind) {
                (Some(Content::List(values)), _) => self.list(key, values, interner),
                (Some(Content::Value(value)), _) => self.register(key, Some(*value), interner),
                (None, adya::Workload::ListAppend) => self.list(key, &[], interner),
                (None, adya::Workload::RwRegister) => self.register(key, None, interner),
            });
        }
    }
}

#[test]
fn adya_finds_what_is_wrong_and_nothing_else() {
    let table = [
        // Right: one after the other, a deletion, a range, a stranger to time.
        ("p0 1..2 ok v1: append x 1; put y 1\np1 3..4 ok v2: read x [1]; get y 1; delete y", ""),
        ("p0 1..2 ok v1: put y 1\np1 3..4 ok v2: delete y\np0 5..6 ok v2: get y nil", ""),
        ("p0 1..2 ok v1: put y 1\np1 3..4 ok v1: scan a..z {y=1}", ""),
        ("p0 1..2 ok v1: put y 1\np1 3..4 ok v0 past: get y nil", ""),
        // Nobody was told, and it is in the log.
        ("p0 1..  unknown: append x 1\np1 3..4 ok v1: read x [1]", ""),
        // Stale, and found missing by a scan.
        ("p0 1..2 ok v1: append x 1\np1 3..4 ok v1: read x []", "G-single-item-realtime"),
        ("p0 1..2 ok v1: put y 1\np1 3..4 ok v1: scan a..z {}", "G-single-item-realtime"),
        // Each read what the other wrote later.
        (
            "p0 1..4 ok v1: read x []; append y 1\np1 2..3 ok v2: read y []; append x 1\n\
             p2 5..6 ok v2: read x [1]; read y [1]",
            "G2-item",
        ),
        // An update is lost under another.
        (
            "p0 1..2 ok v1: put y 1\np1 3..6 ok v2: get y 1; put y 2\np2 4..5 ok v3: get y 1; put y 3",
            "lost-update",
        ),
        ("p0 1..2 failed: append x 1\np1 3..4 ok v1: read x [1]", "G1a"),
    ];
    for (text, expected) in table {
        let history: History = text.parse().unwrap();
        let mut log: Vec<Logged> = Vec::new();
        for (at, each) in history.transactions().iter().enumerate() {
            let version = each.version.or((each.status == Status::Unknown).then_some(1));
            if let Some(version) = version.filter(|_| each.writes()) {
                log.push(Logged { version, transaction: at });
            }
        }
        let found = check_with_adya(&history, &log).err().unwrap_or_default();
        let is_expected =
            if expected.is_empty() { found.is_empty() } else { found.contains(expected) };
        assert!(is_expected, "{expected:?} in\n{text}\nbut adya finds {found:?}");
    }
}
