//! What is said of a segment that is right by itself and does not hold what the log says.

#![allow(clippy::unwrap_used, reason = "a test may stop at what cannot be")]

use backend_memory::MemoryProvider;
use futures_executor::block_on;
use prost::Message;
use storage_core::{Key, PutIf};
use storage_log::{Entry, Head, LogId, Record};

use super::super::tests::{Objects, Said, check, flushed, log as slot};
use super::*;
use crate::format::checkpoint::Checkpoint;
use crate::segment::{Stream, Writer};
use crate::system::System;

/// The store of three transactions with one segment, and what that is.
struct Sample {
    objects: Objects,
    id: LogId,
    segment: SegmentId,
    about: SegmentRef,
}

fn sample() -> Sample {
    let (objects, id) = flushed();
    let name = objects.keys().find(|name| name.starts_with("checkpoint/")).unwrap();
    let checkpoint = Checkpoint::decode(id, &Key::new(name).unwrap(), &objects[name]).unwrap();
    let (segment, _, about) = checkpoint.system.segments().unwrap().pop().unwrap();
    Sample { objects, id, segment, about }
}

impl Sample {
    /// Changes what the segment holds of a key, and what the store says of the segment with it.
    fn tamper(&mut self, key: &Bytes, change: impl Fn(Bytes) -> Bytes) {
        let provider = Arc::new(MemoryProvider::new());
        let cache = Arc::new(Cache::new(0));
        let shelf = Shelf { provider: provider.clone(), cache, scan_read_bytes: 1 };
        let name = self.segment.to_string();
        let mut writer = Writer::new(self.segment);
        block_on(async {
            let object = Key::new(&name).unwrap();
            provider.put(&object, self.objects[&name].clone(), PutIf::Always).await.unwrap();
            let segment = Segment::new(&shelf, self.segment, self.about.clone());
            let mut stream = Stream::new(segment, 1 << 20);
            while let Some((at, mut stored)) = stream.next().await.unwrap() {
                if let Change::Put(value) = &mut stored.change
                    && at == *key
                {
                    *value = change(value.clone());
                }
                writer.add(&at, &stored);
            }
        });
        let (about, bytes) = writer.finish();
        assert_ne!(self.objects.insert(name, bytes.clone()), Some(bytes));
        self.say(&about);
    }

    /// Has the log and the checkpoint say this of the segment.
    fn say(&mut self, about: &SegmentRef) {
        let name = Bytes::from(self.segment.to_string());
        let about = Bytes::from(about.encode_to_vec());
        let record = |objects: &Objects, number| {
            Record::decode(self.id, Slot(number), objects[&slot(number)].clone()).unwrap()
        };
        let mut head = Head { slot: Slot(3), id: record(&self.objects, 3).id() };
        for number in 4..=5 {
            let record = record(&self.objects, number);
            let mut batch = Batch::decode(record.body().unwrap()).unwrap();
            for transaction in &mut batch.transactions {
                let key = space::system(&name);
                if transaction.writes.get(&key).is_some() {
                    transaction.writes.change(key, Change::Put(about.clone())).unwrap();
                }
            }
            let body = Batch::encode(batch.first, batch.time, &batch.transactions);
            let entry = Entry::new(self.id, head, record.nonce(), &body);
            head = Head { slot: entry.slot(), id: entry.id() };
            self.objects.insert(slot(number), entry.bytes().clone());
        }
        let key = self.objects.keys().find(|name| name.starts_with("checkpoint/")).unwrap().clone();
        let mut checkpoint =
            Checkpoint::decode(self.id, &Key::new(&*key).unwrap(), &self.objects[&key]).unwrap();
        let entries = checkpoint.system.entries().map(|(key, version, value)| {
            (key.clone(), version, if *key == name { about.clone() } else { value.clone() })
        });
        checkpoint.system = System::of(entries.collect::<Vec<_>>());
        self.objects.insert(key, checkpoint.encode(self.id));
    }

    /// Takes the bytes of the first three entries away, as collection does.
    fn collect(&mut self) {
        for number in 1..=3 {
            let bytes = self.objects[&slot(number)].clone();
            let record = Record::decode(self.id, Slot(number), bytes).unwrap();
            self.objects.insert(slot(number), record.tombstone());
        }
    }

    fn check(&self, what: &str, expected: &[Said<'_>], collected: bool) {
        let counts = if collected { (2, 3, 5) } else { (5, 0, 5) };
        check(what, &self.objects, expected, counts);
    }
}

#[test]
fn a_value_that_is_not_the_one_of_the_log_is_named_where_it_is_and_where_it_should_be() {
    for (version, name) in [(1, "a"), (2, "b"), (3, "c")] {
        let mut sample = sample();
        sample.tamper(&space::key(space::USER, name.as_bytes()), |_| Bytes::from_static(b"2"));
        let segment = sample.segment.to_string();
        let log = slot(version);
        let [has, lacks] = [
            format!("it has a change of the key \"k{name}\" in version {version} that the log"),
            format!("what it does to the key \"k{name}\" is in no segment"),
        ];
        let said = [
            (Severity::Rebuildable, &*segment, None, &*has),
            (Severity::Rebuildable, &*log, None, &*lacks),
        ];
        sample.check(name, &said, false);
        // Where the log is collected there is nothing to compare with.
        sample.collect();
        sample.check(name, &[], true);
    }
}

#[test]
fn what_is_kept_of_a_transaction_is_checked_by_itself() {
    let id = |sample: &Sample| {
        let bytes = sample.objects[&slot(2)].clone();
        let record = Record::decode(sample.id, Slot(2), bytes).unwrap();
        space::id(Batch::decode(record.body().unwrap()).unwrap().transactions[0].id)
    };
    for collected in [false, true] {
        // What was there is nowhere else once the log is collected.
        let severity = if collected { Severity::Lost } else { Severity::Rebuildable };
        let mut wrong_id = sample();
        let key = id(&wrong_id);
        wrong_id.tamper(&key, |_| Bytes::copy_from_slice(&3_u64.to_be_bytes()));
        let mut wrong_record = sample();
        let garbage = |_| Bytes::from_static(b"\xff");
        wrong_record.tamper(&space::commit(Version(2)), garbage);
        for (mut sample, what) in [
            (wrong_id, "the id of version 2 is wrong"),
            (wrong_record, "the commit record of version 2 cannot be read"),
        ] {
            if collected {
                sample.collect();
            }
            let segment = sample.segment.to_string();
            sample.check(what, &[(severity, &segment, Some(0), what)], collected);
        }
    }
}

#[test]
fn a_commit_record_or_an_id_that_stands_elsewhere_is_wrong() {
    let number = Bytes::copy_from_slice(&2_u64.to_be_bytes());
    let id = space::id(crate::TransactionId([5; 16]));
    let long = Bytes::from([&id[..], &id[..]].concat());
    let put = |value: &Bytes| Change::Put(value.clone());
    let said = |key: &Bytes, version, change: &Change| {
        let result = derived_is_right(key, Version(version), change);
        result.map_err(|error| error.to_string()).err()
    };
    let wrong = |what: &str, version| Some(format!("{what} of version {version} is wrong"));
    let table = [
        (&id, 2, put(&number), None),
        (&id, 3, put(&number), wrong("the id", 3)),
        (&id, 2, Change::Delete, wrong("the id", 2)),
        (&long, 2, put(&number), wrong("the id", 2)),
        (&space::commit(Version(2)), 3, put(&number), wrong("the commit record", 3)),
        (&space::commit(Version(2)), 2, Change::Delete, wrong("the commit record", 2)),
        (&space::key(space::USER, b"k"), 2, Change::Delete, None),
    ];
    for (key, version, change, expected) in table {
        assert_eq!(said(key, version, &change), expected, "{key:?} {version} {change:?}");
    }
}

#[test]
fn times_that_only_commit_records_tell_have_to_be_in_order() {
    let mut sample = sample();
    sample.tamper(&space::commit(Version(2)), |value| {
        let mut record = CommitRecord::decode(value).unwrap();
        record.time -= 1;
        record.encode_to_vec().into()
    });
    let segment = sample.segment.to_string();
    let said = [
        (Severity::Rebuildable, &*segment, None, "it has a change of the key \"c"),
        (Severity::Rebuildable, &slot(2), None, "what it does to the key \"c"),
    ];
    sample.check("the log tells of it", &said, false);
    sample.collect();
    let what = "version 2 has a time before that of the version before";
    sample.check("it does not", &[(Severity::Lost, "segment/", None, what)], true);
}
