//! Kills processes under load at random times, and checks after each that nothing acknowledged is lost and
//! nothing partial can be seen:
//!
//! ```text
//! cargo run -p backend-fs --release --example kill_soak -- --puts 1000000
//!     [--durability process-crash|power-loss] [--processes 2] [--folder DIR] [--seed N]
//! ```
//!
//! Each process changes keys of its own from many tasks at once and acknowledges each change through a
//! pipe. Of each task the order of changes is known, so after a kill every key must be exactly as
//! acknowledged, but the one whose change was under way: that may be as before or as after.
#![allow(clippy::unwrap_used)] // A soak that meets an error has failed, and says where.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use backend_fs::{Config, FsProvider};
use bytes::Bytes;
use futures_util::TryStreamExt;
use storage_core::{
    Durability, ErrorKind, Get, Key, Prefix, PutIf, StorageProvider, StorageProviderExt,
};

/// Tasks in each process, and keys of each task.
const TASKS: u64 = 48;
const KEYS: u64 = 40;
/// How long a process lives after its first acknowledgement, at most.
const LIFE_MILLIS_MAX: u64 = 1500;

/// What change number `n` of a task leaves under its key; `None` is a delete.
fn body(process: u64, task: u64, n: u64) -> Option<Bytes> {
    if n % 17 == 16 {
        return None;
    }
    let mut body = format!("{process}/{task}/{n}:").into_bytes();
    let filler = (n.wrapping_mul(7919).wrapping_add(task * 131) % 6000) as usize;
    body.resize(body.len() + filler, n as u8);
    Some(body.into())
}

fn key(process: u64, task: u64, n: u64) -> Key {
    Key::new(format!("soak/{process}/{task}/{:02}", n % KEYS)).unwrap()
}

/// What is under the key of change `n` before it.
fn before(process: u64, task: u64, n: u64) -> Option<Bytes> {
    n.checked_sub(KEYS).and_then(|n| body(process, task, n))
}

/// Changes keys until it is killed. `starts` is where each task goes on.
async fn work(config: Config, process: u64, starts: Vec<u64>) {
    let provider = FsProvider::open(config).await.unwrap();
    let tasks: Vec<_> = (0..TASKS)
        .zip(starts)
        .map(|(task, start)| {
            let provider = provider.clone();
            tokio::spawn(async move {
                for n in start.. {
                    change(&provider, process, task, n, n == start).await;
                    let mut record = [0; 16];
                    record[..8].copy_from_slice(&task.to_le_bytes());
                    record[8..].copy_from_slice(&n.to_le_bytes());
                    // Shorter than a pipe's atomic write, so records of tasks do not mix.
                    assert_eq!(rustix::io::write(rustix::stdio::stdout(), &record), Ok(16));
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

async fn change(provider: &FsProvider, process: u64, task: u64, n: u64, first: bool) {
    let key = key(process, task, n);
    let Some(body) = body(process, task, n) else {
        return provider.delete(&key).await.unwrap();
    };
    // The first may repeat what the process before was killed over.
    let when = match before(process, task, n) {
        _ if first || n.is_multiple_of(3) => PutIf::Always,
        None => PutIf::Absent,
        Some(_) => {
            let found = provider.get(&key, Get::meta_only()).await.unwrap();
            PutIf::Matches(found.version)
        }
    };
    drop(provider.put(&key, body, when).await.unwrap());
}

struct Soak {
    config: Config,
    puts: u64,
    acknowledged: AtomicU64,
    kills: AtomicU64,
    checked: AtomicU64,
    seen: AtomicU64,
    done: AtomicBool,
}

impl Soak {
    /// Runs one process after the other over the same keys, killing each.
    async fn kill_and_check(&self, process: u64, mut random: Random) {
        let mut next = vec![0; TASKS as usize];
        while self.acknowledged.load(Ordering::Relaxed) < self.puts {
            let life = Duration::from_micros(random.below(LIFE_MILLIS_MAX * 1000));
            let (config, starts) = (self.config.clone(), next.clone());
            let records =
                tokio::task::spawn_blocking(move || run_and_kill(&config, process, &starts, life))
                    .await
                    .unwrap();
            for record in records.chunks_exact(16) {
                let task = u64::from_le_bytes(record[..8].try_into().unwrap());
                let n = u64::from_le_bytes(record[8..].try_into().unwrap());
                assert_eq!(n, next[task as usize], "acknowledged out of order");
                next[task as usize] = n + 1;
            }
            self.acknowledged.fetch_add((records.len() / 16) as u64, Ordering::Relaxed);
            self.kills.fetch_add(1, Ordering::Relaxed);
            self.check(process, &next).await;
        }
    }

    /// Opened again, everything is as acknowledged.
    async fn check(&self, process: u64, next: &[u64]) {
        let provider = FsProvider::open(self.config.clone()).await.unwrap();
        let mut expected = Vec::new();
        for (task, &next) in (0..).zip(next) {
            // The last change of each key, the one under way last.
            for n in (next.saturating_sub(KEYS - 1)..=next).rev() {
                let key = key(process, task, n);
                let found = provider.try_get(&key).await.unwrap().map(|object| object.body);
                let whole = if n == next {
                    found == body(process, task, n) || found == before(process, task, n)
                } else {
                    found == body(process, task, n)
                };
                let shown = found.as_ref().map(|body| body.slice(..body.len().min(40)));
                assert!(whole, "{key} after {next} changes of its task: {shown:?}");
                expected.extend(found.map(|body| (key, body.len() as u64)));
                self.checked.fetch_add(1, Ordering::Relaxed);
            }
        }
        expected.sort();
        let prefix = Prefix::new(format!("soak/{process}/")).unwrap();
        let listed: Vec<_> = provider
            .list_all(&prefix)
            .map_ok(|object| (object.key, object.size))
            .try_collect()
            .await
            .unwrap();
        assert!(listed == expected, "{} listed, {} stored", listed.len(), expected.len());
    }

    /// Reads whatever is there while it changes: whole objects and ordered lists only.
    async fn watch(&self, processes: u64, mut random: Random) {
        let provider = FsProvider::open(self.config.clone()).await.unwrap();
        while !self.done.load(Ordering::Relaxed) {
            let (process, task) = (random.below(processes), random.below(TASKS));
            match provider.get(&key(process, task, random.below(KEYS)), Get::whole()).await {
                Ok(object) => {
                    let text = String::from_utf8_lossy(&object.body);
                    let name = text.split(':').next().unwrap();
                    let n = name.rsplit('/').next().unwrap().parse().unwrap();
                    assert_eq!(Some(&object.body), body(process, task, n).as_ref(), "{name}");
                }
                Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound, "{error}"),
            }
            self.seen.fetch_add(1, Ordering::Relaxed);
            // Leaves the processors to those who write.
            tokio::time::sleep(Duration::from_micros(500)).await;
        }
    }
}

/// Starts a process, kills it when it has lived for a while, and returns what it acknowledged.
fn run_and_kill(config: &Config, process: u64, starts: &[u64], life: Duration) -> Vec<u8> {
    let starts: Vec<_> = starts.iter().map(u64::to_string).collect();
    let durability = if config.durability == Durability::PowerLoss { POWER } else { PROCESS };
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--work".as_ref(), config.path.as_os_str(), durability.as_ref()])
        .args([process.to_string(), starts.join(",")])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = child.stdout.take().unwrap();
    let mut records = vec![0; 16];
    // From the first acknowledgement on, so that slow starts do not eat up short lives.
    pipe.read_exact(&mut records).unwrap();
    let reader = std::thread::spawn(move || {
        pipe.read_to_end(&mut records).unwrap();
        records
    });
    std::thread::sleep(life);
    child.kill().unwrap();
    let status = child.wait().unwrap();
    assert!(status.code().is_none(), "it ended by itself: {status}");
    reader.join().unwrap()
}

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % bound
    }
}

const POWER: &str = "power-loss";
const PROCESS: &str = "process-crash";

fn durability(word: &str) -> Durability {
    match word {
        POWER => Durability::PowerLoss,
        PROCESS => Durability::ProcessCrash,
        other => panic!("--durability is {POWER} or {PROCESS}, not {other}"),
    }
}

fn files_beneath(path: &Path) -> usize {
    std::fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| if path.is_dir() { files_beneath(&path) } else { 1 })
        .sum()
}

#[tokio::main(flavor = "multi_thread")]
async fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [work_word, path, level, process, starts] = &words[..]
        && work_word == "--work"
    {
        let config = Config::new(path).durability(durability(level));
        let starts = starts.split(',').map(|start| start.parse().unwrap()).collect();
        return work(config, process.parse().unwrap(), starts).await;
    }
    let (mut puts, mut processes, mut level) = (100_000, 2, Durability::ProcessCrash);
    let (mut parent, mut seed) = (std::env::temp_dir(), u64::from(std::process::id()));
    for pair in words.chunks(2) {
        let [name, value] = pair else { panic!("{pair:?} has no value") };
        match name.as_str() {
            "--puts" => puts = value.parse().unwrap(),
            "--processes" => processes = value.parse().unwrap(),
            "--durability" => level = durability(value),
            "--folder" => parent = PathBuf::from(value),
            "--seed" => seed = value.parse().unwrap(),
            other => panic!("there is no {other}"),
        }
    }
    let folder = tempfile::tempdir_in(parent).unwrap();
    let config = Config::new(folder.path().join("data")).create(true).durability(level);
    drop(FsProvider::open(config.clone()).await.unwrap());
    println!("{puts} changes by {processes} processes at a time, {level:?}, seed {seed}");
    let began = Instant::now();
    let soak = Arc::new(Soak {
        config: config.clone(),
        puts,
        acknowledged: AtomicU64::new(0),
        kills: AtomicU64::new(0),
        checked: AtomicU64::new(0),
        seen: AtomicU64::new(0),
        done: AtomicBool::new(false),
    });
    let watcher = tokio::spawn({
        let soak = soak.clone();
        async move { soak.watch(processes, Random(seed ^ 0xabcd)).await }
    });
    let killers: Vec<_> = (0..processes)
        .map(|process| {
            let soak = soak.clone();
            let random = Random(seed.wrapping_add(process));
            tokio::spawn(async move { soak.kill_and_check(process, random).await })
        })
        .collect();
    for killer in killers {
        killer.await.unwrap();
    }
    soak.done.store(true, Ordering::Relaxed);
    watcher.await.unwrap();
    drop(FsProvider::open(config.clone()).await.unwrap());
    assert_eq!(files_beneath(&config.path.join("tmp")), 0, "leftovers");
    println!(
        "{} changes acknowledged, {} kills, {} objects checked after them, {} read meanwhile, in {:.0?}: \
         nothing acknowledged was lost, nothing partial was seen, nothing was left over",
        soak.acknowledged.load(Ordering::Relaxed),
        soak.kills.load(Ordering::Relaxed),
        soak.checked.load(Ordering::Relaxed),
        soak.seen.load(Ordering::Relaxed),
        began.elapsed(),
    );
}
