//! A store next to a plain model of its whole past, driven by one seed.

use std::collections::BTreeMap;

use storage_txn::{At, ErrorKind, Merge, Scan, Store, Version, Written};

pub(crate) type Map = BTreeMap<String, Vec<u8>>;

const KEYS: u64 = 9;

/// Numbers that follow from a seed.
#[derive(Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn below(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides
    }
}

/// What kind of change it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Put,
    Merged,
    Deleted,
}

/// Everything that a store was.
#[derive(Debug, Default)]
pub(crate) struct Past {
    now: Map,
    /// After each version that changed something.
    pub(crate) states: Vec<(Version, Map)>,
    steps: BTreeMap<String, Vec<(Version, Kind)>>,
}

fn name(number: u64) -> String {
    format!("k{number}")
}

impl Past {
    /// Does something at random, and takes note of it.
    pub(crate) async fn act(&mut self, store: &Store, dice: &mut Dice) {
        let tx = store.begin();
        let mut steps = BTreeMap::new();
        let mut next = self.now.clone();
        if dice.below(8) == 0 {
            let from = dice.below(KEYS);
            let range = name(from)..name(from + dice.below(5));
            tx.delete_range(range.clone()).unwrap();
            let gone = self.now.keys().filter(|key| range.contains(*key));
            steps.extend(gone.map(|key| (key.clone(), Kind::Deleted)));
            next.retain(|key, _| !range.contains(key));
        }
        let mut keys: Vec<_> = (0..dice.below(4)).map(|_| name(dice.below(KEYS))).collect();
        keys.sort_unstable();
        keys.dedup();
        keys.retain(|key| !steps.contains_key(key));
        for key in keys {
            match dice.below(8) {
                0 | 1 => {
                    tx.delete(&key).unwrap();
                    if next.remove(&key).is_some() && self.now.contains_key(&key) {
                        steps.insert(key, Kind::Deleted);
                    } else {
                        steps.remove(&key);
                    }
                }
                2..=4 if !steps.contains_key(&key) && self.now.contains_key(&key) => {
                    let more = vec![b'a' + dice.below(26) as u8; 1 + dice.below(30) as usize];
                    tx.merge(&key, Merge::Append(more.clone().into())).unwrap();
                    next.entry(key.clone()).or_default().extend(more);
                    steps.insert(key, Kind::Merged);
                }
                _ => {
                    let value = vec![dice.below(256) as u8; dice.below(120) as usize];
                    tx.put(&key, value.clone()).unwrap();
                    next.insert(key.clone(), value);
                    steps.insert(key, Kind::Put);
                }
            }
        }
        tx.put("last", self.states.len().to_string()).unwrap();
        next.insert("last".into(), self.states.len().to_string().into());
        let version = tx.commit().await.unwrap().version;
        for (key, kind) in steps {
            self.steps.entry(key).or_default().push((version, kind));
        }
        self.now = next.clone();
        self.states.push((version, next));
    }

    /// Compares all versions that `kept` names, and sees that the others are refused.
    pub(crate) async fn check(&self, store: &Store, kept: impl Fn(Version) -> bool, what: &str) {
        store.snapshot(At::Latest).await.unwrap();
        for (version, expected) in &self.states {
            let snapshot = store.snapshot(At::Version(*version)).await;
            if !kept(*version) {
                let error = snapshot.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::SnapshotExpired, "{what}: version {version}");
                continue;
            }
            let snapshot = snapshot.unwrap();
            for scan in [Scan::new(..), Scan::new(..).backward()] {
                let items = snapshot.scan(&scan).await.unwrap().collect().await.unwrap();
                let text = |key: &[u8]| String::from_utf8(key.to_vec()).unwrap();
                let found: Map =
                    items.iter().map(|item| (text(&item.key), item.value.to_vec())).collect();
                let differs = |key: &&String| found.get(*key) != expected.get(*key);
                let keys: Vec<_> = found.keys().chain(expected.keys()).filter(differs).collect();
                assert!(keys.is_empty(), "{what}: version {version}: {scan:?}: {keys:?}");
            }
            for key in (0..=KEYS).map(name) {
                let found = snapshot.get(&key).await.unwrap().map(|value| value.to_vec());
                assert_eq!(found.as_ref(), expected.get(&key), "{what}: {key} at {version}");
            }
        }
    }

    /// Compares the history of each key, as far as it is above a version.
    pub(crate) async fn check_histories(&self, store: &Store, above: Version, what: &str) {
        for (key, steps) in &self.steps {
            let revisions = store.history(key).await.unwrap().collect().await.unwrap();
            let found: Vec<_> = revisions
                .iter()
                .filter(|revision| revision.version > above)
                .map(|revision| {
                    let kind = match revision.written {
                        Written::Value(_) => Kind::Put,
                        Written::Merged(_) => Kind::Merged,
                        Written::Deleted => Kind::Deleted,
                        _ => panic!("{what}: {key}: {revision:?}"),
                    };
                    (revision.version, kind)
                })
                .collect();
            let expected: Vec<_> =
                steps.iter().rev().filter(|(version, _)| *version > above).copied().collect();
            assert_eq!(found, expected, "{what}: history of {key}");
        }
    }
}
