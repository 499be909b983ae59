//! Whatever is done to any object of a store: verifying names it, and no read returns anything but what was written.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use storage_core::StorageProvider;
use storage_txn::{
    At, Content, ErrorKind, Finding, Item, LogScan, Merge, Options, Result, Revision, Scan,
    Severity, Store, VerifyEvent, VerifyOptions, VerifyReport, Version,
};
use storage_wrappers::ManualEnv;

use crate::objects::{Objects, collect, objects_of, provider_of};

/// What is read, and what a right store answers.
type Reads = Vec<(Query, String)>;

#[derive(Debug, Clone)]
enum Query {
    All(Version),
    Backward(Version),
    One(Version, Bytes),
    History(Bytes),
    Commits,
    Tags,
}

async fn answer(store: &Store, query: &Query) -> Result<String> {
    Ok(match query {
        Query::All(version) => {
            let snapshot = store.snapshot(At::Version(*version)).await?;
            let items = snapshot.scan(&Scan::new(..)).await?.collect().await?;
            show(items)
        }
        Query::Backward(version) => {
            let snapshot = store.snapshot(At::Version(*version)).await?;
            let items = snapshot.scan(&Scan::new(..).backward()).await?.collect().await?;
            show(items)
        }
        Query::One(version, key) => {
            let snapshot = store.snapshot(At::Version(*version)).await?;
            let version = snapshot.get_versioned(key).await?.map(|(version, _)| version);
            format!("{version:?} {:?}", snapshot.get(key).await?)
        }
        Query::History(key) => {
            let all = store.history(key).await?.collect().await?;
            let inline = |content: &Content| content.inline().cloned();
            let show = |one: &Revision| (one.version, one.written.value().map(inline));
            format!("{:?} {all:?}", all.iter().map(show).collect::<Vec<_>>())
        }
        Query::Commits => {
            let scan = LogScan::new(..).forward().with_maintenance();
            format!("{:?}", store.log(&scan).await?.collect().await?)
        }
        Query::Tags => format!("{:?} {:?}", store.tags().await?, store.cursors().await?),
    })
}

fn show(items: Vec<Item>) -> String {
    let mut shown = String::new();
    for Item { key, version, value, .. } in items {
        shown += &format!("{key:?} {version:?} {value:?}\n");
    }
    shown
}

/// A small store with some of everything, and what is to be read in it.
fn small(collected: u64) -> (Objects, Reads) {
    let provider = provider_of(&Objects::new());
    let env = ManualEnv::new(4);
    env.block_on(async {
        let mut options = Options::default();
        options.segment_bytes = 150;
        options.inline_bytes_max = 120;
        options.chunk_bytes = 150;
        let clock = Arc::new(env.clone());
        let store = Store::init(provider.clone(), clock, options).await.unwrap();
        store.transact(async |tx| tx.put("a", "1")).await.unwrap();
        let write = store.transact(async |tx| {
            tx.put("b", "wide ".repeat(20))?;
            tx.merge("n", Merge::Add(1))
        });
        write.await.unwrap();
        store.flush().await.unwrap();
        store.tag("t", Version(1)).await.unwrap();
        let write = store.transact(async |tx| {
            tx.delete_range("a".."c")?;
            tx.put("aa", "2")?;
            tx.put("v", "large ".repeat(25))?;
            tx.put("w", "larger ".repeat(30))?;
            tx.merge("n", Merge::Add(1))
        });
        write.await.unwrap();
        store.flush().await.unwrap();
        // So that a checkpoint knows of the last entry.
        let reads = reads(&store).await;
        collect(&provider, 1..=collected).await;
        (objects_of(&provider).await, reads)
    })
}

async fn reads(store: &Store) -> Reads {
    let last = store.snapshot(At::Latest).await.unwrap().version();
    let mut queries = vec![Query::Commits, Query::Tags];
    for version in (0..=last.0).map(Version) {
        queries.extend([Query::All(version), Query::Backward(version)]);
        queries.extend(
            ["a", "aa", "b", "n", "v", "w", "no"].map(|key| Query::One(version, key.into())),
        );
    }
    queries.extend(["a", "aa", "b", "n", "v", "w", "no"].map(|key| Query::History(key.into())));
    let mut reads = Reads::new();
    for query in queries {
        let found = answer(store, &query).await.unwrap();
        reads.push((query, found));
    }
    reads
}

async fn open(provider: &Arc<dyn StorageProvider>, env: &ManualEnv) -> Result<Store> {
    Store::open(provider.clone(), Arc::new(env.clone()), Options::default()).await
}

fn verify(objects: &Objects) -> (Result<VerifyReport>, Vec<Finding>) {
    let (provider, env) = (provider_of(objects), ManualEnv::new(5));
    let mut options = VerifyOptions::default();
    options.pause = Duration::ZERO;
    let mut findings = Vec::new();
    let mut tell = |event| {
        if let VerifyEvent::Finding(finding) = event {
            findings.push(finding);
        }
    };
    let clock = Arc::new(env.clone());
    let report = env.block_on(Store::verify(provider, clock, &options, &mut tell));
    (report, findings)
}

/// Checks a store of which one object was changed.
fn check(what: &str, name: &str, objects: &Objects, reads: &Reads, unseen: bool) {
    let (report, findings) = verify(objects);
    let named = match &report {
        Ok(_) => findings.iter().any(|finding| {
            let kind = finding.object.ends_with('/') && name.starts_with(&finding.object);
            finding.object == name || kind
        }),
        Err(error) => {
            assert!(
                matches!(
                    error.kind(),
                    ErrorKind::NoStore | ErrorKind::UnknownFormat | ErrorKind::Corrupt
                ),
                "{what}: {error}"
            );
            name == "format"
        }
    };
    // A sign of life of a session is nothing that anybody reads to know what is in the store.
    let unseen = unseen || name.starts_with("session/");
    assert!(named || unseen, "{what}: {name} is not named by {findings:?}");
    let (provider, env) = (provider_of(objects), ManualEnv::new(6));
    env.block_on(async {
        let store = match open(&provider, &env).await {
            Ok(store) => store,
            Err(error) => {
                let refused = matches!(
                    error.kind(),
                    ErrorKind::Corrupt | ErrorKind::UnknownFormat | ErrorKind::NoStore
                );
                assert!(refused, "{what}: {error}");
                return;
            }
        };
        for (query, expected) in reads {
            match answer(&store, query).await {
                Ok(found) => assert_eq!(found, *expected, "{what}: {query:?}"),
                Err(error) => {
                    let refused =
                        matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::UnknownFormat);
                    assert!(refused, "{what}: {query:?} {error}");
                }
            }
        }
    });
}

/// The other objects of the same kind.
fn others<'a>(
    objects: &'a Objects,
    name: &'a str,
) -> impl Iterator<Item = (&'a String, &'a Bytes)> {
    let kind = |name: &str| name.split('/').next().unwrap_or_default().to_owned();
    objects.iter().filter(move |(other, _)| *other != name && kind(other) == kind(name))
}

/// Whole, and with the log collected up to the last checkpoint.
fn stores() -> [(Objects, Reads); 2] {
    [small(0), small(5)]
}

#[test]
fn a_small_store_is_sound_and_reads_as_it_was_written() {
    for (objects, reads) in stores() {
        let kinds: BTreeSet<_> =
            objects.keys().map(|name| name.split('/').next().unwrap()).collect();
        assert_eq!(
            kinds.into_iter().collect::<Vec<_>>(),
            ["checkpoint", "format", "log", "segment", "session", "value"]
        );
        assert!(objects.keys().filter(|name| name.starts_with("segment/")).count() >= 4);
        let (report, findings) = verify(&objects);
        assert_eq!(findings, []);
        let report = report.unwrap();
        assert!(report.is_sound());
        assert_eq!(report.progress.objects, objects.len() as u64);
        assert_eq!(
            report.progress.bytes,
            objects.values().map(|body| body.len() as u64).sum::<u64>()
        );
        check("nothing", "", &objects, &reads, true);
    }
}

/// Each seventh byte: all of them, with `CORRUPTION_STEP=1`, take minutes.
#[test]
fn every_changed_byte_of_every_object_is_named_and_never_read() {
    let (first, step) = (number("CORRUPTION_SEED", 0), number("CORRUPTION_STEP", 7));
    println!("every {step}. byte, from byte CORRUPTION_SEED={first} on");
    for (objects, reads) in stores() {
        for (name, body) in &objects {
            for at in (first % step..body.len()).step_by(step) {
                let mut bad = body.to_vec();
                bad[at] ^= 1 << (at % 8);
                let mut objects = objects.clone();
                objects.insert(name.clone(), bad.into());
                let what = format!("byte {at} of {name} changed");
                check(&what, name, &objects, &reads, false);
            }
        }
    }
}

/// A number that the environment gives, so that all bytes can be tried, or others than the last time.
fn number(name: &str, otherwise: usize) -> usize {
    let given = std::env::var(name).ok();
    given.map_or(otherwise, |value| value.parse().expect("a number"))
}

/// A changed byte in an entry that all segments have taken in kept the store from being opened, if a checkpoint stood there.
#[test]
fn a_damaged_entry_that_segments_have_taken_in_keeps_nobody_from_opening() {
    let (objects, reads) = small(0);
    let taken_in: Vec<_> =
        objects.keys().filter(|name| name.starts_with("log/")).cloned().collect();
    let checkpoint = objects.keys().find(|name| name.starts_with("checkpoint/")).unwrap();
    let slot = checkpoint["checkpoint/".len()..].split('=').next().unwrap();
    let slot = !u64::from_str_radix(slot, 16).unwrap();
    for name in taken_in.iter().take(slot as usize) {
        for at in (0..objects[name].len()).step_by(5) {
            let mut bad = objects[name].to_vec();
            bad[at] ^= 1;
            let mut objects = objects.clone();
            objects.insert(name.clone(), bad.into());
            let (report, findings) = verify(&objects);
            let report = report.unwrap();
            assert_eq!((report.weakened, report.lost), (1, 0), "byte {at} of {name}: {findings:?}");
            let (provider, env) = (provider_of(&objects), ManualEnv::new(6));
            env.block_on(async {
                let store = open(&provider, &env).await.unwrap();
                for (query, expected) in &reads {
                    let found = answer(&store, query).await.unwrap();
                    assert_eq!(found, *expected, "byte {at} of {name}: {query:?}");
                }
                store.transact(async |tx| tx.put("a", "more")).await.unwrap();
            });
        }
        let mut objects = objects.clone();
        objects.remove(name);
        let (provider, env) = (provider_of(&objects), ManualEnv::new(6));
        let opened = env.block_on(open(&provider, &env));
        if name.ends_with(&format!("{slot:016x}")) {
            let message = opened.unwrap_err().to_string();
            assert!(message.contains(&format!("checkpoint at slot {slot}")), "{message}");
        }
    }
}

#[test]
fn every_shortened_object_is_named_and_never_read() {
    for (objects, reads) in stores() {
        for (name, body) in &objects {
            for length in (0..body.len()).step_by(11).chain([body.len() - 1]) {
                let mut objects = objects.clone();
                objects.insert(name.clone(), body.slice(..length));
                check(&format!("{name} cut to {length}"), name, &objects, &reads, false);
            }
        }
    }
}

#[test]
fn every_object_in_the_place_of_another_is_named_and_never_read() {
    for (objects, reads) in stores() {
        for name in objects.keys() {
            for (other, body) in others(&objects, name) {
                let mut objects = objects.clone();
                objects.insert(name.clone(), body.clone());
                check(&format!("{name} is {other}"), name, &objects, &reads, false);
            }
        }
    }
}

#[test]
fn every_missing_object_is_named_or_not_missed() {
    for (objects, reads) in stores() {
        for name in objects.keys() {
            let mut without = objects.clone();
            without.remove(name);
            // Nothing says that there was a checkpoint, and nothing needs it but a log that is collected.
            let is_whole = objects["log/0000000000000001"][4] == 0;
            let newest = objects.keys().find(|name| name.starts_with("checkpoint/"));
            let unseen = name.starts_with("checkpoint/") && (is_whole || newest != Some(name));
            check(&format!("{name} is missing"), name, &without, &reads, unseen);
        }
    }
}

#[test]
fn what_nobody_names_is_told_by_session() {
    let (mut objects, _) = small(0);
    objects.insert("segment/00000000000000aa/00000000".into(), "left over".into());
    objects.insert("segment/00000000000000aa/00000001".into(), "as well".into());
    objects.insert("notes".into(), "not ours".into());
    let (report, findings) = verify(&objects);
    let report = report.unwrap();
    assert!(report.is_sound());
    assert_eq!(report.garbage, 3);
    assert!(findings.iter().all(|finding| finding.severity == Severity::Garbage));
    let unnamed = &report.unnamed[..];
    assert_eq!(unnamed.len(), 1);
    assert_eq!((&unnamed[0].session[..], unnamed[0].objects), ("00000000000000aa", 2));
    assert_eq!(unnamed[0].bytes, 16);
}
