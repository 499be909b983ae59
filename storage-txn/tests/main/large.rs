//! Large values when memory is short, requests fail, processes die and bytes change.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use backend_memory::MemoryProvider;
use bytes::Bytes;
use futures_util::{TryStreamExt, stream};
use storage_core::{
    Error, ErrorKind as StorageErrorKind, Get, Key, List, Object, Page, Prefix, ProviderInfo,
    PutIf, Result, StorageProvider, StorageProviderExt, Version, async_trait,
};
use storage_txn::{At, ErrorKind, Options, Store, Transaction};
use storage_wrappers::TokioEnv;

use crate::collect::at_once;
use crate::open;
use crate::values::noise;

const CHUNK: usize = 70_000;
const STORED: u64 = CHUNK as u64 + 8;

/// A provider that takes its time, watches how much of values is under way, and fails where it is told to.
#[derive(Debug, Default)]
struct Watched {
    inner: MemoryProvider,
    putting: AtomicU64,
    putting_max: AtomicU64,
    getting: AtomicU64,
    getting_max: AtomicU64,
    handed_out: AtomicU64,
    puts: AtomicUsize,
    /// Which of the puts to come fails, 1 for the next; and whether it is known to have failed.
    fails: AtomicUsize,
    silent: bool,
    /// It fails as a server does that has too much to do.
    busy: AtomicBool,
    /// Nobody can look what became of it.
    deaf: AtomicBool,
}

impl Watched {
    fn rises(now: &AtomicU64, max: &AtomicU64, by: u64) {
        let now = now.fetch_add(by, Ordering::Relaxed) + by;
        max.fetch_max(now, Ordering::Relaxed);
    }

    async fn names(&self, prefix: &str) -> Vec<Key> {
        let prefix = Prefix::new(prefix).unwrap();
        self.inner.list_all(&prefix).map_ok(|listed| listed.key).try_collect().await.unwrap()
    }
}

async fn pause() {
    for _ in 0..3 {
        tokio::task::yield_now().await;
    }
}

#[async_trait]
impl StorageProvider for Watched {
    fn info(&self) -> ProviderInfo {
        self.inner.info()
    }

    async fn put(&self, key: &Key, body: Bytes, when: PutIf) -> Result<Version> {
        self.puts.fetch_add(1, Ordering::Relaxed);
        let left = self.fails.load(Ordering::Relaxed);
        if left > 0 {
            self.fails.store(left - 1, Ordering::Relaxed);
        }
        let bytes = if key.as_str().starts_with("value/") { body.len() as u64 } else { 0 };
        Self::rises(&self.putting, &self.putting_max, bytes);
        pause().await;
        let busy = self.busy.load(Ordering::Relaxed);
        let result = match (left, self.silent) {
            (1, false) if busy => Err(Error::not_applied(StorageErrorKind::Unavailable, "not now")),
            (1, false) => {
                Err(Error::not_applied(StorageErrorKind::PermissionDenied, "not this one"))
            }
            (1, true) => {
                let _ = self.inner.put(key, body, when).await;
                self.deaf.store(true, Ordering::Relaxed);
                Err(Error::unknown(StorageErrorKind::PermissionDenied, "nobody hears"))
            }
            _ => self.inner.put(key, body, when).await,
        };
        self.putting.fetch_sub(bytes, Ordering::Relaxed);
        result
    }

    async fn get(&self, key: &Key, request: Get) -> Result<Object> {
        let counts = key.as_str().starts_with("value/");
        Self::rises(&self.getting, &self.getting_max, u64::from(counts));
        pause().await;
        if self.deaf.load(Ordering::Relaxed) {
            return Err(Error::not_applied(StorageErrorKind::Unavailable, "nobody sees"));
        }
        let result = self.inner.get(key, request).await;
        if let (true, Ok(object)) = (counts, &result) {
            self.handed_out.fetch_add(object.body.len() as u64, Ordering::Relaxed);
        }
        self.getting.fetch_sub(u64::from(counts), Ordering::Relaxed);
        result
    }

    async fn list(&self, request: List<'_>) -> Result<Page> {
        self.inner.list(request).await
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.inner.delete(key).await
    }
}

fn options() -> Options {
    let mut options = Options::default();
    options.inline_bytes_max = 1000;
    options.chunk_bytes = CHUNK;
    options.commit_time_max = Duration::ZERO;
    options
}

async fn store(watched: Watched) -> (Arc<Watched>, Store) {
    let watched = Arc::new(watched);
    let env = Arc::new(TokioEnv::new());
    Store::init(Arc::new(watched.inner.clone()), env.clone(), options()).await.unwrap();
    let store = Store::open(watched.clone(), env, options()).await.unwrap();
    (watched, store)
}

async fn another(watched: &Watched) -> Store {
    let provider: Arc<dyn StorageProvider> = Arc::new(watched.inner.clone());
    open(&provider, options()).await
}

type Piece = std::result::Result<Bytes, std::io::Error>;

fn pieces(value: &Bytes) -> impl futures_util::Stream<Item = Piece> + Send + use<> {
    let all: Vec<_> = value.chunks(10_007).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    stream::iter(all)
}

async fn expect(store: &Store, key: &str, value: &Bytes) {
    let now = store.snapshot(At::Latest).await.unwrap();
    assert_eq!(now.get(key).await.unwrap().unwrap(), value);
}

#[tokio::test]
async fn a_value_of_a_hundred_chunks_goes_in_and_out_with_a_few_in_memory() {
    let (watched, store) = store(Watched::default()).await;
    let at_once = options().value_requests_max as u64;
    let value = noise(5, 100 * CHUNK + 1);
    store.transact(async |tx| tx.put_stream("k", pieces(&value)).await.map(drop)).await.unwrap();
    assert_eq!(watched.putting_max.load(Ordering::Relaxed), at_once * STORED);
    store.transact(async |tx| tx.put("l", value.clone())).await.unwrap();
    assert_eq!(watched.putting_max.load(Ordering::Relaxed), at_once * STORED);

    let now = store.snapshot(At::Known).await.unwrap();
    for key in ["k", "l"] {
        watched.handed_out.store(0, Ordering::Relaxed);
        let mut stream = now.get_stream(key).await.unwrap().unwrap();
        assert_eq!(
            watched.handed_out.load(Ordering::Relaxed),
            0,
            "nothing is read before it is asked for"
        );
        let (mut read, mut ahead_max) = (0, 0);
        while let Some(piece) = stream.next().await.unwrap() {
            assert_eq!(piece, value.slice(read..read + piece.len()));
            read += piece.len();
            // Who takes a piece is slow, and the requests under way go on meanwhile.
            pause().await;
            let ahead = watched.handed_out.load(Ordering::Relaxed).saturating_sub(read as u64);
            ahead_max = ahead_max.max(ahead);
        }
        assert_eq!(read, value.len());
        // Checksums are not handed on.
        let sums = 8 * 101;
        assert!(ahead_max <= at_once * STORED + sums, "{ahead_max}");
    }
    assert_eq!(watched.getting_max.load(Ordering::Relaxed), at_once);
}

async fn fill(tx: &Transaction, value: &Bytes) -> storage_txn::Result<()> {
    tx.put("small", "1")?;
    tx.put("many", value.clone())?;
    tx.put("one", value.slice(..2000))?;
    tx.put("another", value.slice(2000..5000))?;
    tx.put_stream("streamed", pieces(value)).await.map(drop)
}

async fn whole(store: &Store, value: &Bytes) {
    for (key, from, to) in [
        ("many", 0, value.len()),
        ("one", 0, 2000),
        ("another", 2000, 5000),
        ("streamed", 0, value.len()),
    ] {
        expect(store, key, &value.slice(from..to)).await;
    }
}

#[tokio::test]
async fn whichever_put_fails_the_transaction_is_not_there_and_its_uploads_neither() {
    let value = noise(1, 3 * CHUNK);
    let mut fails = 0;
    loop {
        fails += 1;
        let (watched, store) = store(Watched::default()).await;
        watched.fails.store(fails, Ordering::Relaxed);
        let tx = store.begin();
        let result = match fill(&tx, &value).await {
            Ok(()) => tx.commit().await.map(drop),
            Err(error) => Err(error),
        };
        if watched.fails.load(Ordering::Relaxed) > 0 {
            result.unwrap();
            break;
        }
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Storage(StorageErrorKind::PermissionDenied), "{error}");
        assert_eq!(watched.names("value/").await, [], "put {fails}");
        let anew = another(&watched).await;
        assert_eq!(anew.snapshot(At::Known).await.unwrap().version().0, 0);
        // The same handle goes on.
        store.transact(async |tx| fill(&tx, &value).await).await.unwrap();
        whole(&store, &value).await;
        whole(&anew, &value).await;
    }
    // A session, three chunks and three more, one object of two values, and the entry.
    assert_eq!(fails, 10);
}

#[tokio::test]
async fn values_stay_when_nobody_knows_whether_they_were_named() {
    let value = noise(1, 3 * CHUNK);
    let (watched, store) = store(Watched { silent: true, ..Watched::default() }).await;
    watched.fails.store(9, Ordering::Relaxed);
    let tx = store.begin();
    fill(&tx, &value).await.unwrap();
    let error = tx.commit().await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::CommitUnknown(_)), "{error}");
    // They were named after all.
    watched.deaf.store(false, Ordering::Relaxed);
    whole(&another(&watched).await, &value).await;
    whole(&store, &value).await;
}

#[tokio::test]
async fn a_process_that_dies_anywhere_in_a_commit_leaves_all_of_it_or_nothing() {
    let value = noise(1, 3 * CHUNK);
    let (mut done, mut undone) = (0, 0);
    for polls in 0.. {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let written = value.clone();
        // What runs in it is stopped with it.
        let task = tokio::task::spawn_blocking(move || {
            runtime.block_on(async {
                let (watched, store) = store(Watched::default()).await;
                let mut commit = Box::pin(async {
                    let tx = store.begin();
                    fill(&tx, &written).await.unwrap();
                    tx.commit().await.unwrap();
                });
                for poll in 0..=polls {
                    let polled =
                        poll_fn(|context| Poll::Ready(commit.as_mut().poll(context))).await;
                    if polled.is_ready() {
                        return (watched, poll < polls);
                    }
                    tokio::task::yield_now().await;
                }
                (watched.clone(), false)
            })
        });
        let (watched, finished) = task.await.unwrap();
        let anew = another(&watched).await;
        let now = anew.snapshot(At::Known).await.unwrap();
        match now.get("small").await.unwrap() {
            Some(_) => {
                whole(&anew, &value).await;
                done += 1;
            }
            None => {
                assert_eq!(now.version().0, 0);
                undone += 1;
            }
        }
        // What is left over goes, and nothing else.
        anew.collect(&at_once()).await.unwrap();
        let left = watched.names("value/").await.len();
        if now.version().0 == 0 {
            assert_eq!(left, 0, "{polls} polls");
        } else {
            assert_eq!(left, 7, "{polls} polls");
            whole(&another(&watched).await, &value).await;
        }
        if finished {
            break;
        }
    }
    assert!(done > 0 && undone > 5, "{done} {undone}");
}

#[tokio::test]
async fn a_changed_byte_of_a_value_is_found_wherever_it_is_and_named() {
    let (watched, store) = store(Watched::default()).await;
    let value = noise(1, 2 * CHUNK + 10);
    store
        .transact(async |tx| {
            tx.put("a", value.slice(..1500))?;
            tx.put("b", value.slice(..66_000))?;
            tx.put("chunks", value.clone())
        })
        .await
        .unwrap();
    let objects = watched.names("value/").await;
    assert_eq!(objects.len(), 4);
    let now = store.snapshot(At::Known).await.unwrap();
    let framed = (64 << 10) + 4;
    for name in &objects {
        let body = watched.inner.get(name, Get::whole()).await.unwrap().body;
        let edges = [0, 1499, 1500, 1503, 1504, framed - 1, framed, framed + 1503, framed + 1504];
        let every = (0..body.len()).step_by(1009).chain(edges).chain([body.len() - 1]);
        for at in every.filter(|at| *at < body.len()) {
            let mut bad = body.to_vec();
            bad[at] ^= 1 << (at % 8);
            watched.inner.put(name, bad.into(), PutIf::Always).await.unwrap();
            let mut found = Vec::new();
            for key in ["a", "b", "chunks"] {
                match now.get(key).await {
                    Err(error) => found.push(error),
                    Ok(read) => {
                        let size = read.as_ref().unwrap().len();
                        assert_eq!(read.unwrap(), value.slice(..size));
                    }
                }
            }
            assert_eq!(found.len(), 1, "{name} at {at}");
            assert_eq!(found[0].kind(), ErrorKind::Corrupt);
            let message = found[0].to_string();
            let (said, why) = message
                .strip_prefix(&format!("{name}: at byte "))
                .unwrap()
                .split_once(": ")
                .unwrap();
            let said: usize = said.parse().unwrap();
            assert!(said <= at && at < said + framed, "{at}: {message}");
            assert_eq!(why, "a block does not have the checksum it should");
        }
        let refused = async |how: &str, body: Option<Bytes>| {
            match body {
                Some(body) => drop(watched.inner.put(name, body, PutIf::Always).await.unwrap()),
                None => watched.inner.delete(name).await.unwrap(),
            }
            let mut errors = Vec::new();
            for key in ["a", "b", "chunks"] {
                errors.extend(now.get(key).await.err());
            }
            assert!(!errors.is_empty(), "{name} {how}");
            for error in errors {
                assert_eq!(error.kind(), ErrorKind::Corrupt);
                assert!(error.to_string().starts_with(&format!("{name}: at byte ")), "{error}");
            }
        };
        refused("shorter", Some(body.slice(..body.len() - 1))).await;
        refused("empty", Some(Bytes::new())).await;
        for other in objects.iter().filter(|other| *other != name) {
            let body = watched.inner.get(other, Get::whole()).await.unwrap().body;
            refused("another", Some(body)).await;
        }
        refused("missing", None).await;
        watched.inner.put(name, body, PutIf::Always).await.unwrap();
    }
    for key in ["a", "b", "chunks"] {
        now.get(key).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn what_a_dead_handle_has_uploaded_and_not_committed_is_collected_and_nothing_else() {
    let (watched, dead) = store(Watched::default()).await;
    let value = noise(1, 3 * CHUNK);
    dead.transact(async |tx| fill(&tx, &value).await).await.unwrap();
    dead.transact(async |tx| tx.copy("many", "copy").await.map(drop)).await.unwrap();
    let kept = watched.names("value/").await;
    let forgotten = dead.upload(pieces(&value)).await.unwrap();
    let begun = dead.begin();
    begun.put_stream("begun", pieces(&value)).await.unwrap();
    assert_eq!(watched.names("value/").await.len(), kept.len() + 6);
    let collector = another(&watched).await;
    collector.transact(async |tx| tx.delete("many")).await.unwrap();
    let collected = collector.collect(&at_once()).await.unwrap();
    assert_eq!((collected.sessions_reaped, collected.values), (1, 6));
    assert_eq!(watched.names("value/").await, kept);
    // Reading it back was told that it is too old.
    assert_eq!(begun.get("begun").await.unwrap_err().kind(), ErrorKind::SessionReaped);
    // It gives up at once when others are faster.
    dead.snapshot(At::Latest).await.unwrap();
    let error = dead.begin().put_value("late", &forgotten).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SessionReaped);
    assert_eq!(begun.commit().await.unwrap_err().kind(), ErrorKind::SessionReaped);
    whole_but_many(&collector, &value).await;
}

async fn whole_but_many(store: &Store, value: &Bytes) {
    expect(store, "one", &value.slice(..2000)).await;
    expect(store, "copy", value).await;
    expect(store, "streamed", value).await;
}

#[tokio::test]
async fn what_is_copied_in_the_transaction_that_puts_it_is_uploaded_once_and_is_what_was_put() {
    let (watched, store) = store(Watched::default()).await;
    let (one, other) = (noise(1, 2 * CHUNK), noise(2, 2 * CHUNK));
    let copies = [("b", "copy-of-b"), ("a", "copy-of-a"), ("b", "another")];
    let fill = store.transact(async |tx| {
        tx.put("a", one.clone())?;
        tx.put("b", other.clone())?;
        for (from, to) in copies {
            assert!(tx.copy(from, to).await?);
        }
        Ok(())
    });
    fill.await.unwrap();
    assert_eq!(watched.names("value/").await.len(), 4);
    for key in ["a", "copy-of-a"] {
        expect(&store, key, &one).await;
    }
    for key in ["b", "copy-of-b", "another"] {
        expect(&store, key, &other).await;
    }
}

#[tokio::test]
async fn a_large_value_that_cannot_be_asked_for_is_not_said_to_be_missing() {
    let (watched, store) = store(Watched::default()).await;
    let value = noise(1, 2 * CHUNK);
    store.transact(async |tx| tx.put("a", value.clone())).await.unwrap();
    let now = store.snapshot(At::Known).await.unwrap();
    watched.deaf.store(true, Ordering::Relaxed);
    let error = now.get("a").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Storage(StorageErrorKind::Unavailable), "{error}");
    watched.deaf.store(false, Ordering::Relaxed);
    expect(&store, "a", &value).await;
}

#[tokio::test(start_paused = true)]
async fn a_piece_that_could_not_be_put_for_a_while_is_put_again() {
    let value = noise(1, 3 * CHUNK);
    for (time_max, succeeds) in [(Duration::from_secs(60), true), (Duration::ZERO, false)] {
        let watched = Arc::new(Watched::default());
        let mut options = options();
        options.commit_time_max = time_max;
        let env = Arc::new(TokioEnv::new());
        let store = Store::init(watched.clone(), env, options).await.unwrap();
        // A session, and then the first of three chunks.
        watched.busy.store(true, Ordering::Relaxed);
        watched.fails.store(2, Ordering::Relaxed);
        let put = store.transact(async |tx| tx.put("a", value.clone())).await;
        if succeeds {
            put.unwrap();
            expect(&store, "a", &value).await;
        } else {
            let kind = put.unwrap_err().kind();
            assert_eq!(kind, ErrorKind::Storage(StorageErrorKind::Unavailable));
            assert_eq!(watched.names("value/").await, []);
        }
        assert_eq!(watched.fails.load(Ordering::Relaxed), 0);
    }
}

#[tokio::test]
async fn a_copy_keeps_the_bytes_until_the_last_of_its_keys_is_packed_away() {
    let (watched, store) = store(Watched::default()).await;
    let value = noise(1, 2 * CHUNK);
    store.transact(async |tx| tx.put("a", value.clone())).await.unwrap();
    store.transact(async |tx| tx.copy("a", "b").await.map(drop)).await.unwrap();
    for (gone, left) in [("a", 2), ("b", 0)] {
        store.transact(async |tx| tx.delete(gone)).await.unwrap();
        store.pack(At::Latest).await.unwrap();
        store.collect(&at_once()).await.unwrap();
        assert_eq!(watched.names("value/").await.len(), left, "{gone}");
        if left > 0 {
            expect(&store, "b", &value).await;
            expect(&another(&watched).await, "b", &value).await;
        }
    }
}

#[tokio::test]
async fn who_reads_or_restores_a_large_value_that_was_packed_away_is_told() {
    let (watched, store) = store(Watched::default()).await;
    let other = another(&watched).await;
    let value = noise(1, 20 * CHUNK);
    store.transact(async |tx| tx.put("a", value.clone())).await.unwrap();
    let then = store.snapshot(At::Known).await.unwrap();
    let mut stream = then.get_stream("a").await.unwrap().unwrap();
    stream.next().await.unwrap().unwrap();
    let mistake = store.transact(async |tx| tx.put("a", "small")).await.unwrap().version;
    let undo = store.begin();
    undo.undo(mistake).await.unwrap();
    // It gives up at once when others are faster.
    other.snapshot(At::Latest).await.unwrap();
    other.transact(async |tx| tx.put("unrelated", "1")).await.unwrap();
    other.pack(At::Latest).await.unwrap();
    other.collect(&at_once()).await.unwrap();
    assert_eq!(watched.names("value/").await, []);
    let expired = |error: storage_txn::Error| {
        assert_eq!(error.kind(), ErrorKind::SnapshotExpired, "{error}");
    };
    expired(then.get("a").await.unwrap_err());
    expired(then.get_range("a", 5..10).await.unwrap_err());
    expired(stream.try_collect::<Vec<_>>().await.unwrap_err());
    store.snapshot(At::Latest).await.unwrap();
    assert_eq!(undo.commit().await.unwrap_err().kind(), ErrorKind::Conflict);
    expect(&store, "a", &"small".into()).await;
}
