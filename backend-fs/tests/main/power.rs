//! Loss of power, on a model of a file system that keeps nothing but what was synced.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use backend_fs::{Config, FsProvider, Step};
use storage_core::{Durability, PutIf, StorageProvider};

use crate::support::{Random, key};

type Inode = usize;

/// Files and names as they are, and as they would be after the power had gone.
#[derive(Default)]
struct Disk {
    /// What each file holds, and whether that is synced.
    files: Vec<(String, bool)>,
    /// Each name there is: a file, or a directory.
    names: BTreeMap<String, Option<Inode>>,
    /// Each name that is synced in its directory.
    kept: BTreeMap<String, Option<Inode>>,
    /// A name was given to a file that was not synced: part of an object might show.
    torn: Vec<String>,
}

impl Disk {
    fn new() -> Self {
        let mut disk = Self::default();
        disk.names.insert("objects".into(), None);
        disk.kept.insert("objects".into(), None);
        disk
    }

    fn apply(&mut self, step: Step, body: &str) {
        match step {
            Step::CreateTemp { path } => {
                self.names.insert(path, Some(self.files.len()));
                self.files.push((String::new(), false));
            }
            Step::WriteTemp { path } => self.file(&path).0 = body.to_owned(),
            Step::SyncTemp { path } => self.file(&path).1 = true,
            Step::MakeDirectory { path } => drop(self.names.entry(path).or_insert(None)),
            Step::Publish { from, to } => {
                if !self.file(&from).1 {
                    self.torn.push(to.clone());
                }
                let inode = self.names.remove(&from).unwrap();
                self.names.insert(to, inode);
            }
            Step::RemoveTemp { path } | Step::Unlink { path } => drop(self.names.remove(&path)),
            Step::SyncDirectory { path } | Step::SyncAfterUnlink { path } => {
                let inside = |name: &String| {
                    name.rsplit_once('/').is_some_and(|(directory, _)| directory == path)
                };
                self.kept.retain(|name, _| !inside(name));
                let now = self.names.iter().filter(|(name, _)| inside(name));
                self.kept.extend(now.map(|(name, inode)| (name.clone(), *inode)));
            }
            Step::Lock { .. } | Step::Compare { .. } => {}
            step => panic!("the model does not know {step:?}"),
        }
    }

    fn file(&mut self, path: &str) -> &mut (String, bool) {
        let inode = self.names[path].expect("a file");
        &mut self.files[inode]
    }

    /// What is left under a key once the power has gone.
    fn survives(&self, name: &str) -> Option<String> {
        let path = format!("objects/{name}.o");
        let reachable = path.match_indices('/').all(|(at, _)| self.kept.contains_key(&path[..at]));
        let inode = reachable.then(|| self.kept.get(&path).copied().flatten()).flatten()?;
        let (body, synced) = &self.files[inode];
        synced.then(|| body.clone())
    }
}

/// Runs random changes and returns what would have been lost or torn, by a handle that says it keeps
/// everything to `durability`.
async fn losses(durability: Durability) -> Vec<String> {
    let seed = u64::from(std::process::id());
    println!("seed {seed}");
    let mut random = Random(seed);
    let folder = tempfile::tempdir().unwrap();
    let config = Config::new(folder.path().join("data")).create(true).durability(durability);
    let body = Arc::new(Mutex::new(String::new()));
    let disk = Arc::new(Mutex::new(Disk::new()));
    let observe = {
        let (body, disk) = (body.clone(), disk.clone());
        Arc::new(move |step| disk.lock().unwrap().apply(step, &body.lock().unwrap()))
    };
    let provider = FsProvider::open_observed(config, observe).await.unwrap();
    let mut acknowledged: HashMap<String, Option<String>> = HashMap::new();
    let mut losses = Vec::new();
    for number in 0..120 {
        let depth = random.below(4);
        let mut name = "dir/".repeat(depth);
        name.push_str(["a", "b", "c"][random.below(3)]);
        let text = number.to_string();
        text.clone_into(&mut body.lock().unwrap());
        let present = acknowledged.get(&name).is_some_and(Option::is_some);
        match random.below(3) {
            0 => {
                provider.delete(&key(&name)).await.unwrap();
                acknowledged.insert(name.clone(), None);
            }
            1 if !present => {
                provider.put(&key(&name), text.clone().into(), PutIf::Absent).await.unwrap();
                acknowledged.insert(name.clone(), Some(text));
            }
            _ => {
                provider.put(&key(&name), text.clone().into(), PutIf::Always).await.unwrap();
                acknowledged.insert(name.clone(), Some(text));
            }
        }
        let disk = disk.lock().unwrap();
        for (name, wanted) in &acknowledged {
            let left = disk.survives(name);
            if left != *wanted {
                losses.push(format!("{name}: {left:?} instead of {wanted:?}"));
            }
        }
        losses.extend(disk.torn.iter().map(|name| format!("{name} may be torn")));
    }
    losses
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_loss_of_power_after_any_operation() {
    assert_eq!(losses(Durability::PowerLoss).await, Vec::<String>::new());
}

#[tokio::test]
async fn the_model_notices_when_nothing_is_synced() {
    let losses = losses(Durability::ProcessCrash).await;
    assert!(losses.iter().any(|loss| loss.contains("instead of")), "{losses:?}");
    assert!(losses.iter().any(|loss| loss.contains("torn")), "{losses:?}");
}
