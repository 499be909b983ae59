//! Whole folders taken over, compared and written back.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use backend_memory::MemoryProvider;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use storage_txn::Store;
use storage_wrappers::TokioEnv;

use super::super::{Content, Moved, StockFolder, Task, export, import};
use super::containers::{random_container, written};
use crate::{Options, Shares, StillClock, StorageIndex};

const NODE: [u8; 20] = [7; 20];

async fn shares() -> Shares {
    let env = Arc::new(TokioEnv::new());
    let provider = Arc::new(MemoryProvider::new());
    let store = Store::init(provider, env.clone(), Default::default()).await.unwrap();
    // Small parts, so that shares have several.
    let options = Options { part_bytes: 1000, ..Options::default() };
    Shares::open(store, env, Arc::new(StillClock::new(1_000_000)), options).await.unwrap()
}

/// A folder with files of both kinds, some of them large enough for several parts.
fn filled(path: &Path, random: &mut StdRng) -> StockFolder {
    let folder = StockFolder::create(path).unwrap();
    for _ in 0..30 {
        let index = StorageIndex(random.random::<u128>().to_be_bytes());
        let (first, _) = random_container(random);
        for number in 0..random.random_range(1..5) {
            let (mut container, mut share) = random_container(random);
            container.content = first.content.clone();
            if let Content::Mutable { node, .. } = &mut container.content {
                *node = NODE;
            }
            if random.random_ratio(1, 10) {
                share = (0..random.random_range(60_000..3_000_000))
                    .map(|at: u32| (at / 7) as u8)
                    .collect();
                container.size = share.len() as u64;
            }
            let place = folder.place(index, number * 3);
            std::fs::create_dir_all(place.parent().unwrap()).unwrap();
            std::fs::write(place, written(&container, &share)).unwrap();
        }
    }
    folder
}

fn contents(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let folder = StockFolder::open(path).unwrap();
    let entries = folder.entries().unwrap().map(Result::unwrap);
    let files = entries.flat_map(|entry| entry.files.into_values());
    let name = |file: &Path| file.strip_prefix(path).unwrap().display().to_string();
    files.map(|file| (name(&file), std::fs::read(&file).unwrap())).collect()
}

#[derive(Debug, Default, PartialEq)]
struct Tally {
    done: u64,
    same: u64,
    failed: Vec<String>,
}

impl Tally {
    fn add(&mut self, moved: Moved) {
        match moved {
            Moved::Done { shares, .. } => self.done += shares,
            Moved::Same { shares, .. } => self.same += shares,
            Moved::Failed(error) => self.failed.push(error.to_string()),
        }
    }
}

async fn run(shares: &Shares, folder: &StockFolder, task: Task) -> Tally {
    let mut tally = Tally::default();
    import(shares, folder, task, &mut |moved| tally.add(moved)).await.unwrap();
    tally
}

#[tokio::test]
async fn what_is_taken_over_is_written_back_byte_for_byte() {
    let seed = rand::random();
    let mut random = StdRng::seed_from_u64(seed);
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let folder = filled(from.path(), &mut random);
    let count = contents(from.path()).len() as u64;
    let shares = shares().await;
    let tally = run(&shares, &folder, Task::Import).await;
    assert_eq!(tally, Tally { done: count, ..Tally::default() }, "seed {seed}");
    assert_eq!(shares.count().await.unwrap(), count);
    // Once more nothing is to be done, and everything is as it was.
    for task in [Task::Import, Task::Verify] {
        let tally = run(&shares, &folder, task).await;
        assert_eq!(tally, Tally { same: count, ..Tally::default() }, "seed {seed}: {task:?}");
    }
    let out = StockFolder::create(to.path()).unwrap();
    for expected in
        [Tally { done: count, ..Tally::default() }, Tally { same: count, ..Tally::default() }]
    {
        let mut tally = Tally::default();
        export(&shares, &out, NODE, &mut |moved| tally.add(moved)).await.unwrap();
        assert_eq!(tally, expected, "seed {seed}");
        assert!(contents(to.path()) == contents(from.path()), "seed {seed}");
    }
}

#[tokio::test]
async fn what_was_interrupted_goes_on() {
    let mut random = StdRng::seed_from_u64(3);
    let from = tempfile::tempdir().unwrap();
    let folder = filled(from.path(), &mut random);
    let count = contents(from.path()).len() as u64;
    let shares = shares().await;
    let mut seen = 0;
    let mut tell = |_| seen += 1;
    {
        let work = import(&shares, &folder, Task::Import, &mut tell);
        let mut work = std::pin::pin!(work);
        // A few steps, and then it is dropped.
        for _ in 0..40 {
            tokio::select! {
                biased;
                done = &mut work => { done.unwrap(); break }
                () = tokio::task::yield_now() => {}
            }
        }
    }
    let tally = run(&shares, &folder, Task::Import).await;
    assert_eq!((tally.done + tally.same, &tally.failed), (count, &vec![]));
    assert_eq!(run(&shares, &folder, Task::Verify).await.same, count);
    assert_eq!(shares.count().await.unwrap(), count);
}

#[tokio::test]
async fn what_is_wrong_is_named_and_the_rest_is_taken_over() {
    let mut random = StdRng::seed_from_u64(5);
    let from = tempfile::tempdir().unwrap();
    let folder = filled(from.path(), &mut random);
    let shares = shares().await;
    let before = contents(from.path());
    let (name, bytes) = before.iter().find(|(_, bytes)| bytes.len() > 1000).unwrap();
    let path = from.path().join(name);
    std::fs::write(&path, b"this is no container").unwrap();
    let tally = run(&shares, &folder, Task::Import).await;
    assert_eq!(tally.failed.len(), 1);
    assert!(
        tally.failed[0].starts_with(&format!("{}: it is no container", path.display())),
        "{tally:?}"
    );
    std::fs::write(&path, bytes).unwrap();
    let tally = run(&shares, &folder, Task::Import).await;
    assert_eq!(tally.failed, [""; 0]);
    // A byte that is another on one side is found.
    let mut other = bytes.clone();
    other[600] ^= 1;
    std::fs::write(&path, other).unwrap();
    let tally = run(&shares, &folder, Task::Verify).await;
    assert_eq!(tally.failed.len(), 1);
    assert!(tally.failed[0].starts_with(&format!("{}: its bytes", path.display())), "{tally:?}");
}
