//! Whatever is derived from the log is made again from it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use storage_core::{
    Error, ErrorKind as StorageErrorKind, Get, Key, List, Object, Page, ProviderInfo, PutIf,
    Result, StorageProvider, Version as ObjectVersion, async_trait,
};
use storage_txn::{
    At, ErrorKind, Item, Merge, Options, Scan, Store, VerifyEvent, VerifyOptions, Version,
};
use storage_wrappers::ManualEnv;

use crate::objects::{Objects, collect, objects_of, provider_of};

/// Damages an object, or says that it is gone.
type Damage = fn(&str, &mut Bytes) -> bool;

/// The state at each version.
type States = Vec<(Version, Vec<Item>)>;

fn tiny() -> Options {
    let mut options = Options::default();
    options.segment_bytes = 500;
    options.flush_bytes = 1000;
    options
}

/// A store of several flushes.
fn store(collected: u64) -> (Objects, States) {
    let provider = provider_of(&Objects::new());
    let env = ManualEnv::new(7);
    env.block_on(async {
        let mut options = tiny();
        options.flush_bytes = usize::MAX;
        let clock = Arc::new(env.clone());
        let store = Store::init(provider.clone(), clock, options).await.unwrap();
        for round in 0..30_usize {
            let write = store.transact(async |tx| {
                tx.put(format!("k{}", round % 7), vec![round as u8; 40])?;
                tx.merge("n", Merge::Add(1))?;
                match round % 6 {
                    5 => tx.delete_range("k2".."k4"),
                    _ => tx.put(format!("k{}", round % 5), "short"),
                }
            });
            write.await.unwrap();
            if round % 8 == 7 {
                store.flush().await.unwrap();
            }
        }
        let states = states(&store).await;
        collect(&provider, 1..=collected).await;
        (objects_of(&provider).await, states)
    })
}

async fn all(store: &Store, version: Version) -> Vec<Item> {
    let snapshot = store.snapshot(At::Version(version)).await.unwrap();
    snapshot.scan(&Scan::new(..)).await.unwrap().collect().await.unwrap()
}

async fn states(store: &Store) -> States {
    states_from(store, Version(1)).await
}

async fn states_from(store: &Store, first: Version) -> States {
    let last = store.snapshot(At::Latest).await.unwrap().version();
    let mut states = States::new();
    for version in (first.0..=last.0).map(Version) {
        states.push((version, all(store, version).await));
    }
    states
}

async fn open(provider: &Arc<dyn StorageProvider>, env: &ManualEnv) -> Store {
    Store::open(provider.clone(), Arc::new(env.clone()), Options::default()).await.unwrap()
}

/// Reads everything in a new handle, and verifies.
async fn check(what: &str, provider: &Arc<dyn StorageProvider>, env: &ManualEnv, states: &States) {
    let store = open(provider, env).await;
    for (version, expected) in states {
        assert_eq!(all(&store, *version).await, *expected, "{what}: version {version}");
    }
    let mut options = VerifyOptions::default();
    options.pause = Duration::ZERO;
    let mut findings = Vec::new();
    let mut tell = |event| {
        if let VerifyEvent::Finding(finding) = event {
            findings.push(finding);
        }
    };
    let clock = Arc::new(env.clone());
    let report = Store::verify(provider.clone(), clock, &options, &mut tell).await.unwrap();
    assert!(report.is_sound(), "{what}: {findings:?}");
}

#[test]
fn a_store_whose_segments_are_lost_or_damaged_is_made_whole_again() {
    let (objects, states) = store(0);
    let damages: [(&str, Damage); 4] = [
        ("nothing", |_, _| true),
        ("no segments", |name, _| !name.starts_with("segment/")),
        ("no segments, no checkpoints", |name, _| {
            name.starts_with("log/") || name.starts_with("format")
        }),
        ("flipped segments", |name, body| {
            if name.starts_with("segment/") {
                let mut bad = body.to_vec();
                bad[10] ^= 1;
                *body = bad.into();
            }
            true
        }),
    ];
    for (what, damage) in damages {
        let mut objects = objects.clone();
        objects.retain(|name, body| damage(name, body));
        let (provider, env) = (provider_of(&objects), ManualEnv::new(8));
        env.block_on(async {
            let clock = Arc::new(env.clone());
            let rebuilt = Store::rebuild_index(provider.clone(), clock, tiny()).await.unwrap();
            // As much as is read at once is more than a handle should have in memory, so there are several parts.
            assert!(rebuilt.segments_made > 3, "{what}: {rebuilt:?}");
            assert_eq!(rebuilt.segments_kept, 0, "{what}");
            check(what, &provider, &env, &states).await;
        });
    }
}

#[test]
fn what_the_log_still_has_is_made_again_and_what_it_lacks_is_refused() {
    // Collected up to the first of four checkpoints, and to the last.
    let (objects, _) = store(0);
    let slots: Vec<u64> = objects
        .keys()
        .filter_map(|name| name.strip_prefix("checkpoint/"))
        .map(|name| !u64::from_str_radix(&name[..16], 16).unwrap())
        .collect();
    let (last, first) = (slots[0], slots[slots.len() - 1]);
    let (mut made, mut refused) = (0, 0);
    for collected in [first, last] {
        let (objects, states) = store(collected);
        for name in objects.keys().filter(|name| name.starts_with("segment/")) {
            let mut without = objects.clone();
            without.remove(name);
            let (provider, env) = (provider_of(&without), ManualEnv::new(9));
            env.block_on(async {
                let clock = Arc::new(env.clone());
                match Store::rebuild_index(provider.clone(), clock, tiny()).await {
                    Ok(rebuilt) => {
                        assert!(rebuilt.segments_made > 0 && rebuilt.segments_kept > 0);
                        check(name, &provider, &env, &states).await;
                        made += 1;
                    }
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
                        assert!(error.to_string().starts_with(name), "{error}");
                        assert!(error.to_string().ends_with("the log was collected"), "{error}");
                        let left = objects_of(&provider).await;
                        assert_eq!(left, without, "nothing was done");
                        refused += 1;
                    }
                }
            });
        }
    }
    assert!(made > 3 && refused > 3, "{made} made again, {refused} refused");
}

/// A store that was compacted and packed, and then used again; its log is collected up to a slot in between.
fn compacted(packed: bool) -> (Objects, States) {
    let provider = provider_of(&Objects::new());
    let env = ManualEnv::new(11);
    env.block_on(async {
        let mut options = tiny();
        options.flush_bytes = usize::MAX;
        let clock = Arc::new(env.clone());
        let store = Store::init(provider.clone(), clock, options).await.unwrap();
        let mut compacted_at = 0;
        for round in 0..40_usize {
            let write = store.transact(async |tx| {
                tx.put(format!("k{}", round % 7), vec![round as u8; 40])?;
                tx.merge("n", Merge::Add(1))?;
                match round % 6 {
                    5 => tx.delete_range("k2".."k4"),
                    _ => tx.put(format!("k{}", round % 5), "short"),
                }
            });
            write.await.unwrap();
            if round % 8 == 7 {
                store.flush().await.unwrap();
            }
            if round == 16 {
                store.compact().await.unwrap();
                if packed {
                    store.pack(At::Version(Version(9))).await.unwrap();
                }
                compacted_at = store.info().await.unwrap().checkpoint_slot.unwrap();
            }
        }
        let states = states_from(&store, Version(if packed { 9 } else { 1 })).await;
        collect(&provider, 1..=compacted_at).await;
        (objects_of(&provider).await, states)
    })
}

#[test]
fn what_was_flushed_after_a_compaction_is_made_again_and_what_it_made_is_refused_by_name() {
    for packed in [false, true] {
        let (objects, states) = compacted(packed);
        let (mut made, mut refused) = (0, 0);
        for name in objects.keys().filter(|name| name.starts_with("segment/")) {
            let mut without = objects.clone();
            without.remove(name);
            let (provider, env) = (provider_of(&without), ManualEnv::new(12));
            env.block_on(async {
                let clock = Arc::new(env.clone());
                match Store::rebuild_index(provider.clone(), clock, tiny()).await {
                    Ok(rebuilt) => {
                        assert!(rebuilt.segments_kept > 0);
                        check(&format!("{name}, packed: {packed}"), &provider, &env, &states).await;
                        // Those that were merged are named by nobody, and nobody misses them.
                        made += u64::from(rebuilt.segments_made > 0);
                    }
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
                        assert!(error.to_string().starts_with(name), "{error}");
                        let end = "segments were compacted, and the log was collected";
                        assert!(error.to_string().ends_with(end), "{error}");
                        assert_eq!(objects_of(&provider).await, without, "nothing was done");
                        refused += 1;
                    }
                }
            });
        }
        assert!(made > 3 && refused > 1, "packed: {packed}: {made} made again, {refused} refused");
    }
}

/// A provider that fails after so many puts: everything, as when the process stops.
#[derive(Debug)]
struct Stops {
    inner: Arc<dyn StorageProvider>,
    puts_left: AtomicU64,
}

#[async_trait]
impl StorageProvider for Stops {
    fn info(&self) -> ProviderInfo {
        self.inner.info()
    }

    async fn put(&self, key: &Key, body: Bytes, when: PutIf) -> Result<ObjectVersion> {
        let left = self
            .puts_left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        if left.is_err() {
            return Err(Error::not_applied(StorageErrorKind::PermissionDenied, "stopped"));
        }
        self.inner.put(key, body, when).await
    }

    async fn get(&self, key: &Key, request: Get) -> Result<Object> {
        self.inner.get(key, request).await
    }

    async fn list(&self, request: List<'_>) -> Result<Page> {
        self.inner.list(request).await
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        if self.puts_left.load(Ordering::Relaxed) == 0 {
            return Err(Error::not_applied(StorageErrorKind::PermissionDenied, "stopped"));
        }
        self.inner.delete(key).await
    }
}

/// It left a checkpoint at a slot that no log has, so that the store could not be opened any more.
#[test]
fn a_store_in_which_nothing_was_ever_committed_is_rebuilt_as_it_is() {
    let (provider, env) = (provider_of(&Objects::new()), ManualEnv::new(3));
    env.block_on(async {
        let clock = Arc::new(env.clone());
        Store::init(provider.clone(), clock.clone(), tiny()).await.unwrap();
        let rebuilt = Store::rebuild_index(provider.clone(), clock, tiny()).await.unwrap();
        assert_eq!((rebuilt.version, rebuilt.segments_made), (Version::ZERO, 0));
        check("an empty store", &provider, &env, &States::new()).await;
    });
}

#[test]
fn a_rebuild_that_stops_at_any_put_has_changed_nothing_that_is_read() {
    let mut ends = 0;
    for collected in [0, 8] {
        let (mut objects, states) = store(collected);
        let victim = objects.keys().rfind(|name| name.starts_with("segment/")).cloned();
        let victim = victim.unwrap();
        let segment = objects.remove(&victim).unwrap();
        for puts in 0.. {
            let (inner, env) = (provider_of(&objects), ManualEnv::new(10));
            let stops = Stops { inner: inner.clone(), puts_left: AtomicU64::new(puts) };
            let done = env.block_on(async {
                let clock = Arc::new(env.clone());
                let result = Store::rebuild_index(Arc::new(stops), clock.clone(), tiny()).await;
                if result.is_err() {
                    // Once more, to the end this time.
                    Store::rebuild_index(inner.clone(), clock, tiny()).await.unwrap();
                }
                check(&format!("{puts} puts"), &inner, &env, &states).await;
                result.is_ok()
            });
            if done {
                ends += puts;
                break;
            }
        }
        objects.insert(victim, segment);
    }
    assert!(ends > 8, "{ends} puts in all");
}

/// Writes down what is put and what is read, in order.
#[derive(Debug)]
struct Watched {
    inner: Arc<dyn StorageProvider>,
    requests: Mutex<Vec<String>>,
}

#[async_trait]
impl StorageProvider for Watched {
    fn info(&self) -> ProviderInfo {
        self.inner.info()
    }

    async fn put(&self, key: &Key, body: Bytes, when: PutIf) -> Result<ObjectVersion> {
        self.requests.lock().unwrap().push(format!("put {key}"));
        self.inner.put(key, body, when).await
    }

    async fn get(&self, key: &Key, request: Get) -> Result<Object> {
        self.requests.lock().unwrap().push(format!("get {key}"));
        self.inner.get(key, request).await
    }

    async fn list(&self, request: List<'_>) -> Result<Page> {
        self.inner.list(request).await
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.inner.delete(key).await
    }
}

#[test]
fn a_log_that_is_too_much_for_memory_is_put_into_segments_while_it_is_read() {
    let (mut objects, _) = store(0);
    objects.retain(|name, _| !name.starts_with("segment/") && !name.starts_with("checkpoint/"));
    let (inner, env) = (provider_of(&objects), ManualEnv::new(11));
    let watched = Arc::new(Watched { inner, requests: Mutex::default() });
    let rebuilt = env.block_on(async {
        let clock = Arc::new(env.clone());
        Store::rebuild_index(watched.clone(), clock, tiny()).await.unwrap()
    });
    let requests = watched.requests.lock().unwrap();
    let reads_end = requests.iter().rposition(|request| request.starts_with("get log/")).unwrap();
    let puts = |requests: &[String]| {
        requests.iter().filter(|request| request.starts_with("put segment/")).count() as u64
    };
    let (before, all) = (puts(&requests[..reads_end]), puts(&requests));
    assert!(
        before > 1,
        "{before} of {all} segments were stored before the log was read to its end"
    );
    assert_eq!(all, rebuilt.segments_made, "what was stored once is not stored again");
}

#[test]
fn a_handle_that_does_not_trust_its_segments_does_not_compact_them() {
    let (mut objects, states) = store(0);
    objects.retain(|name, _| !name.starts_with("segment/") && !name.starts_with("checkpoint/"));
    let (provider, env) = (provider_of(&objects), ManualEnv::new(12));
    env.block_on(async {
        let store = open(&provider, &env).await;
        store.compact().await.unwrap();
        for (version, expected) in &states {
            assert_eq!(all(&store, *version).await, *expected, "version {version}");
        }
    });
}
