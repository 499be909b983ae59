//! What is said of each way in which a log and its checkpoints can be wrong, with every checksum right.

#![allow(clippy::unwrap_used, reason = "a test may stop at what cannot be")]

use std::collections::BTreeMap;

use backend_memory::MemoryProvider;
use bytes::Bytes;
use futures_util::TryStreamExt;
use storage_core::{Get, Key, Prefix, PutIf, StorageProviderExt};
use storage_log::CommitLog;
use storage_log::{Entry, EntryId, Head, LogId, Record};
use storage_wrappers::ManualEnv;

use super::*;
use crate::change::Change;
use crate::format::checkpoint::Checkpoint;
use crate::format::entry::{Batch, Logged};
use crate::format::root;
use crate::system::{FLUSHED, System};
use crate::writes::Writes;
use crate::{Options, TransactionId, space};

const ID: LogId = LogId([7; 16]);

pub(super) type Objects = BTreeMap<String, Bytes>;
/// How bad it is, of which object, where, and how what is said of it begins.
pub(super) type Said<'a> = (Severity, &'a str, Option<u64>, &'a str);

pub(super) fn log(slot: u64) -> String {
    format!("log/{slot:016x}")
}

/// A log that is made entry by entry, of a store without segments.
struct Crafted {
    objects: Objects,
    entries: Vec<Entry>,
    head: Head,
}

impl Crafted {
    fn new() -> Self {
        let objects = [(
            "format".to_owned(),
            root::Root { id: ID, log: LogAt::Provider, is_replica: false }.encode(),
        )]
        .into();
        Self { objects, entries: Vec::new(), head: Head::genesis(ID) }
    }

    fn push(&mut self, body: &[u8]) -> &mut Self {
        let entry = Entry::new(ID, self.head, [1; 16], body);
        self.head = Head { slot: entry.slot(), id: entry.id() };
        self.objects.insert(log(entry.slot().0), entry.bytes().clone());
        self.entries.push(entry);
        self
    }

    /// The next entry: so many transactions, the first of this version, at this time.
    fn entry(&mut self, first: u64, time: u64, transactions: u8) -> &mut Self {
        let logged = |number| {
            let mut writes = Writes::default();
            let key = space::key(space::USER, &[number]);
            writes.change(key, Change::Put(Bytes::from_static(b"value"))).unwrap();
            let id = TransactionId((u128::from(first) * 9 + u128::from(number)).to_be_bytes());
            let [author, message] = [String::new(), String::new()];
            Logged { id, author, message, cancelled: false, writes }
        };
        let logged: Vec<_> = (0..transactions).map(logged).collect();
        self.push(&Batch::encode(Version(first), time, &logged))
    }

    /// Entries of one transaction each, up to a version, all at the same time.
    fn upto(last: u64) -> Self {
        let mut crafted = Self::new();
        for version in 1..=last {
            crafted.entry(version, 100, 1);
        }
        crafted
    }

    fn remove(&mut self, slot: u64) -> &mut Self {
        self.objects.remove(&log(slot)).unwrap();
        self
    }

    fn damage(&mut self, slot: u64) -> &mut Self {
        let mut bytes = self.objects[&log(slot)].to_vec();
        *bytes.last_mut().unwrap() ^= 1;
        self.objects.insert(log(slot), bytes.into());
        self
    }

    fn collect(&mut self, slot: u64) -> &mut Self {
        let record = Record::from(&self.entries[slot as usize - 1]);
        self.objects.insert(log(slot), record.tombstone());
        self
    }
}

fn verified(objects: &Objects) -> (VerifyReport, Vec<Finding>) {
    let (provider, env) = (Arc::new(MemoryProvider::new()), ManualEnv::new(5));
    let options = VerifyOptions { pause: Duration::ZERO, ..VerifyOptions::default() };
    let mut findings = Vec::new();
    let mut tell = |event| {
        if let VerifyEvent::Finding(finding) = event {
            findings.push(finding);
        }
    };
    let clock = Arc::new(env.clone());
    let report = env.block_on(async {
        for (name, body) in objects {
            provider.put(&Key::new(name).unwrap(), body.clone(), PutIf::Always).await.unwrap();
        }
        Store::verify(provider, clock, &options, &mut tell).await.unwrap()
    });
    (report, findings)
}

/// Verifies, and compares what is found; the entries that are whole, those that are collected, and the last version.
pub(super) fn check(what: &str, objects: &Objects, expected: &[Said<'_>], counts: (u64, u64, u64)) {
    let (report, findings) = verified(objects);
    let found: Vec<_> = findings
        .iter()
        .map(|finding| (finding.severity, &*finding.object, finding.offset))
        .collect();
    let wanted: Vec<_> = expected.iter().map(|(how, object, at, _)| (*how, *object, *at)).collect();
    assert_eq!(found, wanted, "{what}: {findings:?}");
    for (finding, (_, _, _, begins)) in findings.iter().zip(expected) {
        assert!(finding.what.starts_with(begins), "{what}: {finding}, not {begins}");
    }
    let of = |severity| expected.iter().filter(|said| said.0 == severity).count() as u64;
    let found = [report.lost, report.weakened, report.rebuildable, report.garbage];
    let kinds = [Severity::Lost, Severity::Weakened, Severity::Rebuildable, Severity::Garbage];
    assert_eq!(found, kinds.map(of), "{what}");
    assert_eq!(report.is_sound(), found[..3] == [0; 3], "{what}");
    let found = (report.entries, report.entries_collected, report.version.0);
    assert_eq!(found, counts, "{what}: entries, collected ones, version");
}

#[test]
fn a_log_that_goes_on_is_counted_and_nothing_is_said_of_it() {
    check("nothing", &Crafted::new().objects, &[], (0, 0, 0));
    check("four", &Crafted::upto(4).objects, &[], (4, 0, 4));
    let mut crafted = Crafted::new();
    crafted.entry(1, 100, 2).entry(3, 100, 3).entry(6, 101, 1);
    check("six in three", &crafted.objects, &[], (3, 0, 6));
}

#[test]
fn entries_that_are_missing_before_others_are_named_as_one_gap() {
    let mut crafted = Crafted::upto(5);
    let said = (Severity::Lost, &*log(2), None, "it is missing, and so are all up to slot 2");
    check("one", &crafted.remove(2).objects, &[said], (4, 0, 5));
    let said = (Severity::Lost, &*log(2), None, "it is missing, and so are all up to slot 3");
    check("two", &crafted.remove(3).objects, &[said], (3, 0, 5));
    let first = (Severity::Lost, &*log(1), None, "it is missing, and so are all up to slot 3");
    check("three", &crafted.remove(1).objects, &[first], (2, 0, 5));
    let mut crafted = Crafted::upto(5);
    let gap = |slot| format!("it is missing, and so are all up to slot {slot}");
    let (names, gaps) = ([log(2), log(4)], [gap(2), gap(4)]);
    let said = [0, 1].map(|at| (Severity::Lost, &*names[at], None, &*gaps[at]));
    check("two gaps", &crafted.remove(2).remove(4).objects, &said, (3, 0, 5));
    // Of entries at the end nobody can tell that they were there.
    check("the last", &Crafted::upto(5).remove(5).objects, &[], (4, 0, 4));
}

#[test]
fn a_damaged_entry_is_named_and_the_walk_goes_on_after_it() {
    for slot in 1..=3 {
        let mut crafted = Crafted::upto(3);
        let name = log(slot);
        let said = (Severity::Lost, &*name, None, "");
        let last = if slot == 3 { 2 } else { 3 };
        check(&name, &crafted.damage(slot).objects, &[said], (2, 0, last));
    }
    let mut crafted = Crafted::new();
    crafted.entry(1, 100, 1).push(b"\xff").entry(3, 100, 1);
    let said = (Severity::Lost, &*log(2), Some(112), "");
    check("not a batch", &crafted.objects, &[said], (3, 0, 3));
}

#[test]
fn an_entry_of_another_history_is_named_once() {
    let mut crafted = Crafted::upto(2);
    let right = crafted.head.id;
    crafted.head.id = EntryId([9; 32]);
    crafted.entry(3, 100, 1).entry(4, 100, 1);
    let begins = format!("it continues {} and not {right}", EntryId([9; 32]));
    let said = (Severity::Lost, &*log(3), Some(32), &*begins);
    check("a fork", &crafted.objects, &[said], (4, 0, 4));
}

#[test]
fn an_entry_that_does_not_go_on_in_version_or_time_is_named() {
    let name = log(2);
    // The first version and the time of the second entry and of the third, and what is said of the second.
    for ((first, time), (next, last), begins) in [
        ((2, 100), (3, 3), None),
        ((2, 101), (3, 3), None),
        ((2, 99), (3, 3), Some("its time 99 is before that of the entry before, 100")),
        ((5, 100), (6, 6), Some("it begins with version 5, where 2 is to come")),
        ((3, 100), (4, 4), Some("it begins with version 3, where 2 is to come")),
        ((1, 100), (2, 2), Some("it begins with version 1, where 2 is to come")),
    ] {
        let mut crafted = Crafted::new();
        crafted.entry(1, 100, 1).entry(first, time, 1).entry(next, 101, 1);
        let said = begins.map(|begins| (Severity::Lost, &*name, Some(112), begins));
        check(&format!("{first} at {time}"), &crafted.objects, said.as_slice(), (3, 0, last));
    }
}

#[test]
fn after_what_is_not_known_any_higher_version_may_come_and_no_lower_one() {
    let (second, third) = (log(2), log(3));
    for (next, wrong) in [(2, false), (3, false), (9, false), (1, true)] {
        let mut crafted = Crafted::new();
        crafted.entry(1, 100, 1).entry(2, 100, 1).entry(next, 100, 1).damage(2);
        let lower = "it begins with version 1, where 2 is to come";
        let mut said = vec![(Severity::Lost, &*second, None, "")];
        said.extend(wrong.then_some((Severity::Lost, &*third, Some(112), lower)));
        check(&format!("{next}"), &crafted.objects, &said, (2, 0, next));
    }
}

#[test]
fn collected_entries_without_a_checkpoint_are_named_together() {
    let name = |first, last| format!("the log is collected from slot {first} to {last}, and no");
    for collected in [&[1][..], &[1, 2], &[1, 2, 3]] {
        let mut crafted = Crafted::upto(4);
        for slot in collected {
            crafted.collect(*slot);
        }
        let (many, begins) = (collected.len() as u64, name(1, collected.len()));
        let said = (Severity::Lost, "checkpoint/", None, &*begins);
        check(&begins, &crafted.objects, &[said], (4 - many, many, 4));
    }
}

/// A real store: three transactions, a flush with its checkpoint, and a transaction.
pub(super) fn flushed() -> (Objects, LogId) {
    let (provider, env) = (Arc::new(MemoryProvider::new()), ManualEnv::new(4));
    env.block_on(async {
        let clock = Arc::new(env.clone());
        let store = Store::init(provider.clone(), clock, Options::default()).await.unwrap();
        for key in ["a", "b", "c"] {
            store.transact(async |tx| tx.put(key, "1")).await.unwrap();
        }
        store.flush().await.unwrap();
        store.transact(async |tx| tx.put("d", "1")).await.unwrap();
        let everything = Prefix::all();
        let listed: Vec<_> = provider.list_all(&everything).try_collect().await.unwrap();
        let mut objects = Objects::new();
        for object in listed {
            let body = provider.get(&object.key, Get::whole()).await.unwrap().body;
            objects.insert(object.key.to_string(), body);
        }
        (objects, store.shared.log.id())
    })
}

#[test]
fn how_bad_it_is_depends_on_whether_segments_have_taken_the_entry_in() {
    let (objects, _) = flushed();
    check("sound", &objects, &[], (5, 0, 5));
    for slot in 1..=5 {
        let name = log(slot);
        let severity = if slot <= 3 { Severity::Weakened } else { Severity::Lost };
        let mut damaged = objects.clone();
        let mut bytes = damaged[&name].to_vec();
        *bytes.last_mut().unwrap() ^= 1;
        damaged.insert(name.clone(), bytes.into());
        let last = if slot == 5 { 4 } else { 5 };
        check(&format!("{name} damaged"), &damaged, &[(severity, &name, None, "")], (4, 0, last));
        if slot < 5 {
            let mut missing = objects.clone();
            missing.remove(&name);
            let begins = format!("it is missing, and so are all up to slot {slot}");
            check(
                &format!("{name} missing"),
                &missing,
                &[(severity, &name, None, &begins)],
                (4, 0, 5),
            );
        }
    }
}

#[test]
fn a_checkpoint_that_is_not_as_the_log_is_named() {
    let (objects, id) = flushed();
    let name = objects.keys().find(|name| name.starts_with("checkpoint/")).unwrap().clone();
    let key = Key::new(&*name).unwrap();
    let right = Checkpoint::decode(id, &key, &objects[&name]).unwrap();
    let with = |change: &dyn Fn(&mut Checkpoint)| {
        let mut checkpoint = right.clone();
        change(&mut checkpoint);
        let mut objects = objects.clone();
        objects.insert(checkpoint.key().unwrap().to_string(), checkpoint.encode(id));
        objects
    };
    let entries = |system: &System| -> Vec<_> {
        system.entries().map(|(key, at, value)| (key.clone(), at, value.clone())).collect()
    };
    let is_not = |what: &'static str| (Severity::Rebuildable, &*name, None, what);
    let stands = is_not("its system key \"flushed\" is not where it stands");
    check("as it was", &with(&|_| {}), &[], (5, 0, 5));
    check(
        "another time",
        &with(&|checkpoint| checkpoint.flushed.time += 1),
        &[is_not("slot 3 ends with version 3 of time "), stands],
        (5, 0, 5),
    );
    check(
        "another version",
        &with(&|checkpoint| checkpoint.flushed.version -= 1),
        &[is_not("slot 3 ends with version 3 of time "), stands],
        (5, 0, 5),
    );
    let more = |key: &'static [u8]| {
        move |checkpoint: &mut Checkpoint| {
            let more = (Bytes::from_static(key), Version(2), Bytes::from_static(b"x"));
            checkpoint.system = System::of(entries(&checkpoint.system).into_iter().chain([more]));
        }
    };
    check(
        "a key more",
        &with(&more(b"zzz")),
        &[is_not("the system key \"zzz\" is not as the log says")],
        (5, 0, 5),
    );
    check(
        "a key less",
        &with(&|checkpoint| checkpoint.system.forget(FLUSHED)),
        &[stands, is_not("the system key \"flushed\" is not as the log says")],
        (5, 0, 5),
    );
    let mut ended = objects.clone();
    ended.remove(&log(4)).unwrap();
    ended.remove(&log(5)).unwrap();
    let (fourth, begins) =
        (log(4), format!("the log ends before it with version 3, but {name} knows version 4"));
    check("too short", &ended, &[(Severity::Lost, &fourth, None, &begins)], (3, 0, 3));
}

#[test]
fn how_bad_a_finding_is_has_a_word_that_scripts_can_look_for() {
    let all = [Severity::Lost, Severity::Weakened, Severity::Rebuildable, Severity::Garbage];
    let words = all.map(|severity| severity.to_string());
    assert_eq!(words, ["lost", "weakened", "rebuildable", "garbage"]);
    assert!(all.is_sorted(), "the worst comes first");
}
