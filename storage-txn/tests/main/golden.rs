//! Stores that earlier versions of this program have written, and that every later one must read as they did.
//!
//! `tests/golden/<name>/objects` are the objects of a store, a file each; `collected` are entries of its log that were
//! collected since; `reads.txt` is all that there is to be read in it. A new set is written by
//! `cargo test -p storage-txn --test main golden -- --ignored`, which never changes one that is there.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use backend_memory::MemoryProvider;
use bytes::Bytes;
use futures_util::future::join_all;
use storage_core::StorageProvider;
use storage_txn::{
    At, Content, LogScan, Merge, Options, Outcome, Scan, Store, TransactionId, Version, Written,
};
use storage_wrappers::ManualEnv;

use crate::objects::{Objects, collect, objects_of, provider_of};

/// The sets, and which slots of each were collected.
const SETS: [(&str, std::ops::RangeInclusive<u64>); 3] =
    [("format-1", 1..=8), ("format-1-values", 1..=8), ("format-1-index", 1..=8)];

#[test]
fn a_store_of_an_earlier_version_reads_as_it_did() {
    for (name, collected) in SETS {
        let objects = load(&folder(name).join("objects"));
        let expected = std::fs::read_to_string(folder(name).join("reads.txt")).unwrap();
        assert!(objects.len() > 10 && expected.len() > 1000, "{name} is whole");
        for slot in collected {
            assert_eq!(objects[&format!("log/{slot:016x}")][4], 1, "{name}: a tombstone");
        }
        assert_eq!(read(&objects), expected, "{name}");
    }
}

#[test]
fn a_store_of_an_earlier_version_is_read_from_its_log_alone() {
    for (name, _) in SETS {
        let mut objects = load(&folder(name).join("objects"));
        objects.retain(|key, _| !key.starts_with("segment/") && !key.starts_with("checkpoint/"));
        objects.extend(load(&folder(name).join("collected")));
        let expected = std::fs::read_to_string(folder(name).join("reads.txt")).unwrap();
        assert_eq!(read(&objects), expected, "{name}");
    }
}

#[test]
fn a_store_of_an_earlier_version_is_written_on() {
    for (name, _) in SETS {
        let provider = provider_of(&load(&folder(name).join("objects")));
        let env = ManualEnv::new(2);
        env.block_on(async {
            let store = open(&provider, &env).await;
            let before = store.snapshot(At::Latest).await.unwrap();
            let all = before.scan(&Scan::new(..)).await.unwrap().collect().await.unwrap();
            store.transact(async |tx| tx.put("more", "1")).await.unwrap();
            store.flush().await.unwrap();
            let after = open(&provider, &env).await.snapshot(At::Known).await.unwrap();
            let mut items = after.scan(&Scan::new(..)).await.unwrap().collect().await.unwrap();
            items.retain(|item| item.key != "more");
            assert_eq!(items, all, "{name}");
            assert_eq!(after.get("more").await.unwrap().unwrap(), "1", "{name}");
        });
    }
}

#[test]
#[ignore = "writes a set of golden files, where there is none of its name"]
fn write_the_golden_files() {
    // The last one has segments whose parts of the index stand next to the tail.
    let name = "format-1-index";
    assert!(!folder(name).exists(), "{name} is there, and is for good");
    let provider: Arc<dyn StorageProvider> = Arc::new(MemoryProvider::new());
    let env = ManualEnv::new(1);
    env.block_on(fill(&provider, &env));
    env.block_on(fill_values(&provider, &env));
    let whole = env.block_on(objects_of(&provider));
    env.block_on(collect(&provider, SETS[2].1.clone()));
    let objects = env.block_on(objects_of(&provider));
    let collected = whole.iter().filter(|(key, body)| objects[*key] != **body);
    save(&folder(name).join("collected"), collected);
    save(&folder(name).join("objects"), objects.iter());
    std::fs::write(folder(name).join("reads.txt"), read(&whole)).unwrap();
}

/// Some of everything: every kind of change, two handles, entries of several transactions, an id that was shut out, tags
/// and cursors, two flushes and more after them.
async fn fill(provider: &Arc<dyn StorageProvider>, env: &ManualEnv) {
    let clock = Arc::new(env.clone());
    let one = Store::init(provider.clone(), clock, Options::default()).await.unwrap();
    let two = open(provider, env).await;
    let all_bytes: Vec<u8> = (0..=255).collect();
    let first = one
        .transact(async |tx| {
            tx.set_author("ada");
            tx.set_message("the first of all: \u{e9}\u{4e16}");
            tx.put([], "the empty key")?;
            tx.put([0, 255, 0], all_bytes.clone())?;
            tx.put("empty", "")?;
            tx.put("text", "packed ".repeat(60))
        })
        .await
        .unwrap();
    env.advance(Duration::from_secs(60));
    two.transact(async |tx| {
        tx.merge("sum", Merge::Add(40))?;
        tx.merge("max", Merge::Max(-7))?;
        tx.merge("list", Merge::Append("one,".into()))
    })
    .await
    .unwrap();
    one.tag("release", first.version).await.unwrap();
    let group = (0..3).map(|at| {
        let tx = two.begin();
        tx.put(format!("group/{at}"), format!("{at}")).unwrap();
        tx.merge("sum", Merge::Add(1)).unwrap();
        tx.commit()
    });
    join_all(group).await.into_iter().for_each(|result| assert!(result.is_ok()));
    one.flush().await.unwrap();
    env.advance(Duration::from_secs(3600));
    two.transact(async |tx| {
        tx.delete_range("group/1".."group/3")?;
        tx.put("group/2", "again")?;
        tx.delete("empty")
    })
    .await
    .unwrap();
    assert_eq!(one.outcome(TransactionId([9; 16])).await.unwrap(), Outcome::NotCommitted);
    two.cursor_set("mirror", Version(3)).await.unwrap();
    one.transact(async |tx| {
        tx.merge("max", Merge::Max(11))?;
        tx.merge("list", Merge::Append("two".into()))?;
        tx.put("text", "short")
    })
    .await
    .unwrap();
    two.flush().await.unwrap();
    env.advance(Duration::from_secs(1));
    two.undo(first.version).await.unwrap_err();
    one.tag("passing", Version(2)).await.unwrap();
    one.untag("passing").await.unwrap();
    one.transact(async |tx| {
        tx.set_author("bob");
        tx.merge("sum", Merge::Add(-1))?;
        tx.delete_range(..)?;
        tx.put("last", "words")
    })
    .await
    .unwrap();
}

/// Large values, in one object and in chunks, a copy of one, and segments of history.
async fn fill_values(provider: &Arc<dyn StorageProvider>, env: &ManualEnv) {
    let mut options = Options::default();
    (options.inline_bytes_max, options.chunk_bytes) = (64, 200);
    let clock = Arc::new(env.clone());
    let store = Store::open(provider.clone(), clock, options).await.unwrap();
    for round in 0..3_u32 {
        let write = store.transact(async |tx| {
            tx.put("large", format!("{round} in one object ").repeat(8))?;
            tx.put("larger", format!("{round} in chunks ").repeat(40))?;
            tx.put("small", round.to_string())?;
            tx.merge("count", Merge::Add(1))
        });
        write.await.unwrap();
        store.flush().await.unwrap();
    }
    store.transact(async |tx| tx.copy("larger", "copied").await.map(drop)).await.unwrap();
    store.transact(async |tx| tx.merge("large", Merge::Append("and more".into()))).await.unwrap();
    store.transact(async |tx| tx.delete("larger")).await.unwrap();
    store.compact().await.unwrap();
    store.transact(async |tx| tx.put("after", "compaction")).await.unwrap();
}

/// Everything that can be read in a store, as text.
fn read(objects: &Objects) -> String {
    let (provider, env) = (provider_of(objects), ManualEnv::new(3));
    env.block_on(async {
        let store = open(&provider, &env).await;
        let mut text = String::new();
        let line = &mut text;
        let mut commits = store.log(&LogScan::new(..).forward().with_maintenance()).await.unwrap();
        let mut keys = std::collections::BTreeSet::new();
        while let Some(commit) = commits.next().await.unwrap() {
            let (id, time) = (commit.transaction_id, commit.time.as_micros());
            writeln!(line, "version {} {id} at {time}", commit.version).unwrap();
            writeln!(line, "    by {:?}: {:?}", commit.author, commit.message).unwrap();
            writeln!(line, "    keys {:?} ranges {:?}", commit.keys, commit.ranges).unwrap();
            writeln!(line, "    cancelled {}", commit.cancelled).unwrap();
            keys.extend(commit.keys.clone());
            let snapshot = store.snapshot(At::Version(commit.version)).await.unwrap();
            let mut items = snapshot.scan(&Scan::new(..)).await.unwrap();
            while let Some(item) = items.next().await.unwrap() {
                let (key, value) = (item.key.escape_ascii(), show(&item.value));
                writeln!(line, "    {key} = {value} since {}", item.version.unwrap()).unwrap();
            }
            let at = store.snapshot(At::Time(commit.time)).await.unwrap();
            writeln!(line, "    the last of its time is {}", at.version()).unwrap();
        }
        for key in keys {
            writeln!(line, "history of {}", key.escape_ascii()).unwrap();
            let mut history = store.history(&key).await.unwrap();
            while let Some(revision) = history.next().await.unwrap() {
                let what = match &revision.written {
                    Written::Value(value) => {
                        format!("value {}", content(value))
                    }
                    Written::Merged(value) => {
                        format!("merged to {}", content(value))
                    }
                    other => format!("{other:?}"),
                };
                writeln!(line, "    {} {what}", revision.version).unwrap();
            }
        }
        writeln!(line, "tags {:?}", store.tags().await.unwrap()).unwrap();
        writeln!(line, "cursors {:?}", store.cursors().await.unwrap()).unwrap();
        text
    })
}

/// The bytes of a value in a history, or how many a large one has.
fn content(value: &Content) -> String {
    let inline = value.inline().map(|bytes| bytes.escape_ascii().to_string());
    inline.unwrap_or_else(|| format!("{value:?}"))
}

/// The value, or so much of it that it is told from any other.
fn show(value: &[u8]) -> String {
    if value.len() <= 20 {
        return value.escape_ascii().to_string();
    }
    let sum = value.iter().fold(7_u64, |sum, byte| sum.wrapping_mul(31) ^ u64::from(*byte));
    format!("{} bytes, {sum:016x}", value.len())
}

async fn open(provider: &Arc<dyn StorageProvider>, env: &ManualEnv) -> Store {
    Store::open(provider.clone(), Arc::new(env.clone()), Options::default()).await.unwrap()
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// The files below a folder, by their paths in it.
fn load(folder: &Path) -> Objects {
    let (mut objects, mut folders) = (Objects::new(), vec![folder.to_owned()]);
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let parts = path.strip_prefix(folder).unwrap().components();
            let parts: Vec<_> = parts.map(|part| part.as_os_str().to_str().unwrap()).collect();
            objects.insert(parts.join("/"), std::fs::read(&path).unwrap().into());
        }
    }
    objects
}

fn save<'a>(folder: &Path, objects: impl Iterator<Item = (&'a String, &'a Bytes)>) {
    for (key, body) in objects {
        let path = folder.join(key);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, body).unwrap();
    }
}
