//! Puts, gets and lists beside `object_store`'s `LocalFileSystem` with fsync, on the same disk in
//! one run: interleaved rounds, medians, ratios.
//! `cargo bench -p backend-fs [-- ROUNDS [FOLDER [PART OF A NAME]]]`.
#![allow(clippy::unwrap_used)] // A benchmark that meets an error has nothing to say.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use backend_fs::{Config, FsProvider};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use storage_core::{Durability, Get, Key, Prefix, PutIf, StorageProvider, StorageProviderExt};

const LISTED: usize = 100_000;

/// One of the two, behind the same four questions.
#[derive(Clone)]
enum Side {
    Ours(FsProvider),
    Theirs(Arc<LocalFileSystem>),
}

impl Side {
    async fn put(&self, name: &str, body: Bytes, new: bool) {
        match self {
            Self::Ours(provider) => {
                let when = if new { PutIf::Absent } else { PutIf::Always };
                provider.put(&Key::new(name).unwrap(), body, when).await.unwrap();
            }
            Self::Theirs(store) => {
                let mode = if new { PutMode::Create } else { PutMode::Overwrite };
                let options = PutOptions { mode, ..PutOptions::default() };
                store.put_opts(&Path::from(name), body.into(), options).await.unwrap();
            }
        }
    }

    async fn get(&self, name: &str) -> usize {
        match self {
            Self::Ours(provider) => {
                provider.get(&Key::new(name).unwrap(), Get::whole()).await.unwrap().body.len()
            }
            Self::Theirs(store) => {
                store.get(&Path::from(name)).await.unwrap().bytes().await.unwrap().len()
            }
        }
    }

    /// Everything, in order.
    async fn list(&self, prefix: &str) -> usize {
        match self {
            Self::Ours(provider) => {
                let prefix = Prefix::new(format!("{prefix}/")).unwrap();
                provider.list_all(&prefix).try_fold(0, async |n, _| Ok(n + 1)).await.unwrap()
            }
            Self::Theirs(store) => {
                let prefix = Path::from(prefix);
                let mut all: Vec<_> = store.list(Some(&prefix)).try_collect().await.unwrap();
                all.sort_unstable_by(|a, b| a.location.cmp(&b.location));
                all.len()
            }
        }
    }
}

#[derive(Clone, Copy)]
enum Work {
    Put { new: bool },
    Get,
    List,
}

struct Case {
    name: &'static str,
    work: Work,
    bytes: usize,
    at_once: usize,
    count: usize,
}

const fn case(name: &'static str, work: Work, bytes: usize, at_once: usize, count: usize) -> Case {
    Case { name, work, bytes, at_once, count }
}

const MIB: usize = 1 << 20;
const CASES: &[Case] = &[
    case("put, 100 B, 1 at once", Work::Put { new: false }, 100, 1, 1),
    case("put, 100 B, 16 at once", Work::Put { new: false }, 100, 16, 320),
    case("put if absent, 100 B, 1 at once", Work::Put { new: true }, 100, 1, 1),
    case("put if absent, 100 B, 16 at once", Work::Put { new: true }, 100, 16, 320),
    case("put, 1 MiB, 1 at once", Work::Put { new: false }, MIB, 1, 1),
    case("put, 1 MiB, 16 at once", Work::Put { new: false }, MIB, 16, 64),
    case("get, 100 B, 1 at once", Work::Get, 100, 1, 2000),
    case("get, 100 B, 16 at once", Work::Get, 100, 16, 8000),
    case("get, 1 MiB, 1 at once", Work::Get, MIB, 1, 200),
    case("get, 1 MiB, 16 at once", Work::Get, MIB, 16, 400),
    case("list 100,000 keys in order", Work::List, 100, 1, 1),
];

/// Time for each operation of one round.
async fn round(side: &Side, case: &Case, number: usize) -> Duration {
    let body = Bytes::from(vec![7; case.bytes]);
    let began = Instant::now();
    match case.work {
        Work::List => assert_eq!(side.list("list").await, LISTED),
        Work::Put { new } => {
            stream::iter(0..case.count)
                .map(|n| {
                    let (side, body) = (side.clone(), body.clone());
                    // New keys each round, or the same ones over and over.
                    let n = if new { number * 1000 + n } else { (number + n) % 400 };
                    tokio::spawn(async move {
                        side.put(&format!("put/{n}"), body, new).await;
                    })
                })
                .buffer_unordered(case.at_once)
                .for_each(async |done| done.unwrap())
                .await;
        }
        Work::Get => {
            stream::iter(0..case.count)
                .map(|n| {
                    let (side, bytes) = (side.clone(), case.bytes);
                    tokio::spawn(async move {
                        let got = side.get(&format!("get/{bytes}/{}", n % 64)).await;
                        assert_eq!(got, bytes);
                    })
                })
                .buffer_unordered(case.at_once)
                .for_each(async |done| done.unwrap())
                .await;
        }
    }
    began.elapsed() / u32::try_from(case.count).unwrap()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

#[tokio::main(flavor = "multi_thread")]
async fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let rounds: usize = arguments.next().map_or(15, |text| text.parse().unwrap());
    let parent = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let only = arguments.next().unwrap_or_default();
    let wanted = |work: &str| {
        CASES.iter().any(|case| case.name.contains(&only) && case.name.starts_with(work))
    };
    let folder = tempfile::tempdir_in(parent).unwrap();

    let config = Config::new(folder.path().join("ours")).create(true);
    let theirs = folder.path().join("theirs");
    std::fs::create_dir(&theirs).unwrap();
    let quick = [
        Side::Ours(
            FsProvider::open(config.clone().durability(Durability::ProcessCrash)).await.unwrap(),
        ),
        Side::Theirs(Arc::new(LocalFileSystem::new_with_prefix(&theirs).unwrap())),
    ];
    for side in &quick {
        for n in (0..LISTED).filter(|_| wanted("list")) {
            let scattered = (n * 7919) % LISTED;
            side.put(&format!("list/{scattered:08}"), Bytes::from_static(b"x"), true).await;
        }
        for bytes in [100, MIB] {
            for n in (0..64).filter(|_| wanted("get")) {
                side.put(&format!("get/{bytes}/{n}"), vec![7; bytes].into(), true).await;
            }
        }
    }
    // What filling has left unwritten must not be paid by the first to sync.
    rustix::fs::syncfs(std::fs::File::open(folder.path()).unwrap()).unwrap();
    let ours = Side::Ours(FsProvider::open(config).await.unwrap());
    let store = LocalFileSystem::new_with_prefix(&theirs).unwrap().with_fsync(true);
    let theirs = Side::Theirs(Arc::new(store));

    println!("{rounds} rounds, in {}; time for one operation, median\n", folder.path().display());
    println!("| operation | backend-fs | object_store | ratio |\n|---|---|---|---|");
    for (place, case) in CASES.iter().enumerate().filter(|(_, case)| case.name.contains(&only)) {
        let (mut a, mut b) = (Vec::new(), Vec::new());
        // A disk's mood changes from one moment to the next: single puts alternate, many times.
        let single = matches!(case.work, Work::Put { .. }) && case.at_once == 1;
        let rounds = if single { rounds * 50 } else { rounds };
        for number in 0..rounds {
            let unique = place * 100_000 + number;
            if number % 2 == 0 {
                a.push(round(&ours, case, unique).await);
                b.push(round(&theirs, case, unique).await);
            } else {
                b.push(round(&theirs, case, unique).await);
                a.push(round(&ours, case, unique).await);
            }
        }
        let (a, b) = (median(a), median(b));
        let ratio = a.as_secs_f64() / b.as_secs_f64();
        println!("| {} | {a:.1?} | {b:.1?} | {ratio:.2} |", case.name);
    }
}
