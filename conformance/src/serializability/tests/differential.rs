//! Our check against the crate `adya`, on histories of every isolation.
//!
//! They must agree whether a history is strictly serializable and whether it is serializable, and on the anomalies of
//! single reads. Where they differ by right, the histories below avoid it:
//!
//! - `adya` does not look for values that nobody wrote, and takes no scans, deletes or reads of the past.
//! - It leaves transactions of unknown outcome out of the order of registers, even if they were read from; of lists
//!   it does not.
//! - It calls "internal" only what we do too, and has names of its own for two cases: "future-read" (ours: internal)
//!   and "lost-update" (ours: the cycle that it makes). It has none for a lost append (ours: also a cycle with time).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use adya::Valid;
use adya::history::{Interner, Mop, Op, OpType, ReadValue, Scalar};

use super::database::{Isolation, Operations, Workload};
use super::*;

const ISOLATIONS: [Isolation; 4] = [
    Isolation::StrictSerializable,
    Isolation::Snapshot,
    Isolation::ReadCommitted,
    Isolation::ReadUncommitted,
];

/// How many histories of each isolation and kind; `CONFORMANCE_ROUNDS` says otherwise.
fn rounds() -> u64 {
    let rounds = std::env::var(crate::ROUNDS_VARIABLE);
    rounds.map_or(500, |rounds| rounds.parse().expect("a number of histories"))
}

/// What can be compared.
#[derive(Debug, PartialEq, Eq)]
struct Verdict {
    strictly_serializable: bool,
    serializable: bool,
    reads: BTreeSet<&'static str>,
}

#[test]
fn lists_are_judged_as_adya_judges_them() {
    let [strict, snapshot, committed, uncommitted] = compare_all(Operations::Lists, |workload| {
        workload.unknown_percent = 5;
    });
    assert_eq!(strict, 0, "strictly serializable histories that were refused");
    assert!(snapshot > rounds() / 8, "write skew in {snapshot} histories");
    assert!(committed > rounds() / 2 && uncommitted > rounds() / 2, "{committed}, {uncommitted}");
}

#[test]
fn registers_are_judged_as_adya_judges_them() {
    let [strict, snapshot, committed, uncommitted] =
        compare_all(Operations::Registers, |workload| workload.unknown_percent = 0);
    assert_eq!(strict, 0, "strictly serializable histories that were refused");
    assert!(snapshot > rounds() / 8, "write skew in {snapshot} histories");
    assert!(committed > rounds() / 2 && uncommitted > rounds() / 2, "{committed}, {uncommitted}");
}

/// Compares on all isolations and shapes; answers how many of each isolation were not strictly serializable.
fn compare_all(operations: Operations, change: impl Fn(&mut Workload)) -> [u64; 4] {
    ISOLATIONS.map(|isolation| {
        let mut refused = 0;
        for seed in 0..rounds() {
            let mut workload = Workload::new(isolation, operations);
            // Few keys make long lists, many make sparse graphs; short lives leave appends that nobody saw.
            workload.keys = [1, 2, 3, 5, 8][(seed % 5) as usize];
            workload.transactions = [6, 12, 25, 50][(seed % 4) as usize];
            workload.processes = [2, 3, 5, 9][(seed / 4 % 4) as usize];
            workload.writes_per_key = [3, 8, 32][(seed % 3) as usize];
            change(&mut workload);
            let history = workload.run(seed).unwrap();
            // Without the final reads, more is left that nobody saw.
            let history = if seed % 2 == 0 { history } else { without_last_process(&history) };
            let ours = ours(&history);
            let theirs = adyas(&history, operations);
            assert_eq!(
                ours, theirs,
                "{isolation:?}, {operations:?}, seed {seed} (ours, adya's):\n{history}"
            );
            refused += u64::from(!ours.strictly_serializable);
        }
        refused
    })
}

fn without_last_process(history: &History) -> History {
    let last = history.transactions().iter().map(|each| each.process).max();
    let rest = history.transactions().iter().filter(|each| Some(each.process) != last);
    History::new(rest.cloned().collect()).unwrap()
}

fn ours(history: &History) -> Verdict {
    let found = check(history).err().map(|violations| violations.anomalies()).unwrap_or_default();
    let reads = found.iter().filter_map(|anomaly| match anomaly {
        Anomaly::Duplicate => Some("duplicate-elements"),
        Anomaly::AbortedRead => Some("G1a"),
        Anomaly::IntermediateRead => Some("G1b"),
        Anomaly::Internal => Some("internal"),
        Anomaly::IncompatibleOrder => Some("incompatible-order"),
        _ => None,
    });
    Verdict {
        strictly_serializable: found.is_empty(),
        serializable: found.iter().all(|anomaly| anomaly.only_breaks_strictness()),
        reads: reads.collect(),
    }
}

fn adyas(history: &History, operations: Operations) -> Verdict {
    let (translated, order) = translate(history);
    let workload = match operations {
        Operations::Registers => adya::Workload::RwRegister,
        _ => adya::Workload::ListAppend,
    };
    // We use versions only where all writers of a key have one; in these histories all or none of them have.
    let known = history
        .transactions()
        .iter()
        .all(|each| each.status != Status::Ok || !each.writes() || each.version.is_some());
    let run = |model: &str| {
        let options = adya::Opts {
            models: vec![model.into()],
            // Whether a cycle exists is decided before it is searched for, so this bounds nothing we compare.
            timeout: Duration::from_secs(60),
            wfr_keys: !known,
            transaction_order: known.then(|| order.clone()),
            ..adya::Opts::default()
        };
        adya::check(&translated, workload, &options)
    };
    let (strict, plain) = (run("strict-serializable"), run("serializable"));
    let accepts = |report: &adya::Report| {
        // A history without a single dependency is "unknown" to it.
        let nothing_known = report.anomaly_types == ["empty-transaction-graph"];
        assert!(report.valid != Valid::Unknown || nothing_known, "{:?}", report.anomaly_types);
        report.valid != Valid::False
    };
    let reads = strict.anomaly_types.iter().filter_map(|name| match name.as_str() {
        "duplicate-elements" => Some("duplicate-elements"),
        "G1a" => Some("G1a"),
        "G1b" => Some("G1b"),
        "internal" | "future-read" => Some("internal"),
        "incompatible-order" => Some("incompatible-order"),
        _ => None,
    });
    Verdict {
        strictly_serializable: accepts(&strict),
        serializable: accepts(&plain),
        reads: reads.collect(),
    }
}

/// The history in `adya`'s terms, and the version of each completion by its index.
fn translate(history: &History) -> (adya::History, HashMap<u64, i64>) {
    let mut interner = Interner::default();
    let mut events: BTreeMap<(u64, bool, usize), ()> = BTreeMap::new();
    for (at, each) in history.transactions().iter().enumerate() {
        events.insert((each.invoked, false, at), ());
        events.insert((each.returned.unwrap_or(u64::MAX), true, at), ());
    }
    let (mut ops, mut order) = (Vec::new(), HashMap::new());
    for (index, (_, returns, at)) in events.into_keys().enumerate() {
        let each = &history.transactions()[at];
        let kind = match (returns, each.status) {
            (false, _) => OpType::Invoke,
            (true, Status::Ok) => OpType::Ok,
            (true, Status::Failed) => OpType::Fail,
            (true, Status::Unknown) => OpType::Info,
        };
        let index = index as u64;
        if let (true, Some(version)) = (returns, each.version) {
            order.insert(index, version as i64);
        }
        let value = each.operations.iter().map(|operation| mop(operation, &mut interner)).collect();
        ops.push(Op { index, kind, process: Some(i64::from(each.process)), value, time: None });
    }
    (adya::History::from_ops(ops, interner), order)
}

fn mop(operation: &Operation, interner: &mut Interner) -> Mop {
    let mut id = |key: &String| interner.intern(Scalar::Str(key.clone()));
    match operation {
        Operation::Append { key, value } => {
            Mop::Append { key: id(key), value: interner.intern(Scalar::Int(*value as i64)) }
        }
        Operation::Put { key, value } => {
            Mop::Write { key: id(key), value: interner.intern(Scalar::Int(*value as i64)) }
        }
        Operation::Read { key, found } => {
            let key = id(key);
            let found = found.iter().map(|value| interner.intern(Scalar::Int(*value as i64)));
            Mop::Read { key, value: ReadValue::List(found.collect()) }
        }
        Operation::Get { key, found } => {
            let key = id(key);
            let value = found.map_or(ReadValue::Nil, |value| {
                ReadValue::Scalar(interner.intern(Scalar::Int(value as i64)))
            });
            Mop::Read { key, value }
        }
        Operation::Delete { .. } | Operation::Scan(_) => panic!("adya has no {operation}"),
    }
}
