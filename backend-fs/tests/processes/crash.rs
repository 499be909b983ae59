//! A process is killed before each step of each kind of put and delete.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use backend_fs::{Config, FsProvider, Step};
use storage_core::{Durability, Get, List, Prefix, PutIf, StorageProvider, StorageProviderExt};

use crate::support::{child, key, quick};

/// Each operation, on a key, and whether an object is there before.
const OPERATIONS: [(&str, &str, bool); 8] = [
    ("always", "a/b", true),
    ("always", "a/b", false),
    ("always", "a/new/and/deeper", false),
    ("absent", "a/b", false),
    ("absent", "new/b", false),
    ("matches", "a/b", true),
    ("delete", "a/b", true),
    ("delete", "a/b", false),
];

const OLD: &str = "the old body";
// Longer than the old one, and than a page of memory.
fn new_body() -> String {
    "the new body ".repeat(1000)
}

async fn operate(provider: &FsProvider, operation: &str) {
    let (kind, name) = operation.split_once(' ').unwrap();
    let name = key(name);
    match kind {
        "always" => drop(provider.put(&name, new_body().into(), PutIf::Always).await.unwrap()),
        "absent" => drop(provider.put(&name, new_body().into(), PutIf::Absent).await.unwrap()),
        "matches" => {
            let version = provider.get(&name, Get::meta_only()).await.unwrap().version;
            drop(provider.put(&name, new_body().into(), PutIf::Matches(version)).await.unwrap());
        }
        "delete" => provider.delete(&name).await.unwrap(),
        _ => unreachable!("{kind}"),
    }
}

/// Opens, then does the operation, and dies before the step of this number.
pub(crate) async fn child_dies(path: &str, operation: &str, durability: &str, last: usize) {
    let durability = match durability {
        "power" => Durability::PowerLoss,
        _ => Durability::ProcessCrash,
    };
    let config = Config::new(path).durability(durability);
    let steps = AtomicUsize::new(0);
    let observe = move |_| {
        if steps.fetch_add(1, Ordering::SeqCst) == last {
            kill_this_process();
        }
    };
    let provider = FsProvider::open_observed(config, Arc::new(observe)).await.unwrap();
    operate(&provider, operation).await;
    // Acknowledged, but not closed.
    kill_this_process();
}

fn kill_this_process() -> ! {
    rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL)
        .unwrap();
    unreachable!("a killed process does not go on");
}

async fn prepare(path: &Path, name: &str, exists: bool) -> Config {
    let config = Config::new(path).create(true);
    let provider = FsProvider::open(quick(&config)).await.unwrap();
    provider.put(&key("a/neighbour"), "n".into(), PutIf::Always).await.unwrap();
    if exists {
        provider.put(&key(name), OLD.into(), PutIf::Always).await.unwrap();
    }
    config
}

async fn check(durability: Durability) {
    let word = if durability == Durability::PowerLoss { "power" } else { "process" };
    let (old, new) = (exists_as(OLD), exists_as(&new_body()));
    for (kind, name, exists) in OPERATIONS {
        let operation = format!("{kind} {name}");
        // Which steps there are, from one that lives.
        let folder = tempfile::tempdir().unwrap();
        let config = prepare(&folder.path().join("data"), name, exists).await;
        let steps = Arc::new(std::sync::Mutex::new(Vec::new()));
        let seen = steps.clone();
        let observe = Arc::new(move |step| seen.lock().unwrap().push(step));
        let config = config.durability(durability);
        operate(&FsProvider::open_observed(config, observe).await.unwrap(), &operation).await;
        let steps = std::mem::take(&mut *steps.lock().unwrap());
        assert!(steps.len() >= 2, "{operation}: {steps:?}");

        for last in 0..=steps.len() {
            let what = format!("{operation}, {word}, killed before {:?}", steps.get(last));
            let path = folder.path().join(format!("killed{last}"));
            let config = prepare(&path, name, exists).await;
            let mut child = child("crash", &path, &[&operation, word, &last.to_string()]);
            let status = child.stdout(Stdio::null()).status().unwrap();
            assert_eq!(status.signal(), Some(9), "{what}: {status}");

            let provider = FsProvider::open(quick(&config)).await.unwrap();
            let applied = steps[..last]
                .iter()
                .any(|step| matches!(step, Step::Publish { .. } | Step::Unlink { .. }));
            let expected = match (applied, kind) {
                (true, "delete") => None,
                (true, _) => new.clone(),
                (false, _) if exists => old.clone(),
                (false, _) => None,
            };
            let found = provider.try_get(&key(name)).await.unwrap().map(|object| object.body);
            assert_eq!(found, expected, "{what}");
            let all = Prefix::all();
            let listed = provider.list(List::new(&all)).await.unwrap().objects.len();
            assert_eq!(listed, 1 + usize::from(found.is_some()), "{what}");
            // Nothing is left but the directory of the handle just opened.
            let left: Vec<_> = walk(&path.join("tmp"));
            assert_eq!(left.len(), 1, "{what}: {left:?}");
            // And it goes on working.
            provider.put(&key(name), "after".into(), PutIf::Always).await.unwrap();
            let after = provider.get(&key(name), Get::whole()).await.unwrap();
            assert_eq!(after.body, "after", "{what}");
        }
    }
}

fn exists_as(body: &str) -> Option<bytes::Bytes> {
    Some(body.to_owned().into())
}

fn walk(path: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(walk(&path));
        }
        found.push(path);
    }
    found
}

pub(crate) async fn synced() {
    check(Durability::PowerLoss).await;
}

pub(crate) async fn not_synced() {
    check(Durability::ProcessCrash).await;
}
