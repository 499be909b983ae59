//! Who goes for a slot when, and with what: batches, turns among writers, slots lost and in doubt.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use backend_memory::MemoryProvider;
use bytes::Bytes;
use futures_util::future::join_all;
use storage_core::{
    BoxFuture, Env, Error, ErrorKind, Get, Key, List, Object, Page, ProviderInfo, PutIf, Result,
    StorageProvider, Version, async_trait,
};
use storage_txn::{Options, Receipt, Store};
use storage_wrappers::ManualEnv;

const MS: Duration = Duration::from_millis(1);

/// A clock that jumps, and dice that show half of all every time; and yet no number comes twice.
#[derive(Debug, Clone)]
struct Half(ManualEnv, Arc<AtomicU64>);

impl Half {
    fn new() -> Self {
        Self(ManualEnv::new(1), Arc::default())
    }
}

impl Env for Half {
    fn monotonic(&self) -> Duration {
        self.0.monotonic()
    }

    fn wall(&self) -> Duration {
        self.0.wall()
    }

    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()> {
        self.0.sleep(time)
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.0.spawn(task);
    }

    fn random(&self) -> u64 {
        (1 << 63) | self.1.fetch_add(1, Ordering::Relaxed)
    }
}

/// A provider that takes its time for entries of the log, keeps them in mind, and loses some.
#[derive(Debug)]
struct Log {
    inner: Arc<MemoryProvider>,
    env: Half,
    takes: Mutex<Duration>,
    /// The names and bytes of all that went for a slot.
    puts: Mutex<Vec<(String, Bytes)>>,
    /// So many of the next are lost, and nobody knows.
    lost: AtomicI64,
    /// Commits something right before each.
    rival: Mutex<Option<Store>>,
}

impl Log {
    fn new(env: &Half) -> Arc<Self> {
        Arc::new(Self {
            inner: Arc::new(MemoryProvider::new()),
            env: env.clone(),
            takes: Mutex::new(Duration::ZERO),
            puts: Mutex::default(),
            lost: AtomicI64::new(0),
            rival: Mutex::default(),
        })
    }

    fn takes(&self, time: Duration) {
        *self.takes.lock().unwrap() = time;
    }

    /// What went for a slot since the last time.
    fn puts(&self) -> Vec<(String, Bytes)> {
        std::mem::take(&mut self.puts.lock().unwrap())
    }
}

#[async_trait]
impl StorageProvider for Log {
    fn info(&self) -> ProviderInfo {
        self.inner.info()
    }

    async fn put(&self, key: &Key, body: Bytes, when: PutIf) -> Result<Version> {
        if key.as_str().starts_with("log/") {
            self.puts.lock().unwrap().push((key.to_string(), body.clone()));
            let rival = self.rival.lock().unwrap().clone();
            if let Some(rival) = rival {
                rival.transact(async |tx| tx.put("rival", "")).await.unwrap();
            }
            self.env.0.advance(*self.takes.lock().unwrap());
            if self.lost.fetch_sub(1, Ordering::Relaxed) > 0 {
                return Err(Error::unknown(ErrorKind::Unavailable, "lost"));
            }
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
        self.inner.delete(key).await
    }
}

async fn init(log: &Arc<Log>, options: Options) -> Store {
    Store::init(log.clone(), Arc::new(log.env.clone()), options).await.unwrap()
}

async fn open(log: &Arc<Log>) -> Store {
    Store::open(log.clone(), Arc::new(log.env.clone()), Options::default()).await.unwrap()
}

/// Commits something when all that was committed before is done with: what comes right after goes along without a pause.
async fn write(store: &Store) -> Receipt {
    yields(10).await;
    store.transact(async |tx| tx.put("a", "")).await.unwrap()
}

async fn yields(times: usize) {
    for _ in 0..times {
        let mut yielded = false;
        std::future::poll_fn(|context| {
            if std::mem::replace(&mut yielded, true) {
                return std::task::Poll::Ready(());
            }
            context.waker().wake_by_ref();
            std::task::Poll::Pending
        })
        .await;
    }
}

/// Commits transactions with values of so many bytes, each after others had so many turns. How many of them each entry has.
fn entries(options: Options, transactions: &[(usize, usize)]) -> Vec<usize> {
    let env = Half::new();
    let log = Log::new(&env);
    env.0.block_on(async {
        let store = init(&log, options).await;
        log.takes(MS);
        let commit = |(turns, bytes): &(usize, usize)| {
            let (store, turns, bytes) = (store.clone(), *turns, *bytes);
            async move {
                let tx = store.begin();
                tx.put("a", vec![0; bytes]).unwrap();
                yields(turns).await;
                tx.commit().await
            }
        };
        let done = join_all(transactions.iter().map(commit)).await;
        assert!(done.iter().all(std::result::Result::is_ok), "{done:?}");
        // The clock goes on with each entry.
        let mut counts = BTreeMap::<Duration, usize>::new();
        for receipt in done {
            *counts.entry(receipt.unwrap().time).or_default() += 1;
        }
        assert_eq!(counts.len(), log.puts().len());
        counts.into_values().collect()
    })
}

#[test]
fn whoever_commits_while_others_still_come_is_in_the_same_entry() {
    let at = |turns: &[usize]| -> Vec<_> { turns.iter().map(|turns| (*turns, 1)).collect() };
    let check = |turns: &[usize], expected: &[usize]| {
        assert_eq!(entries(Options::default(), &at(turns)), expected, "{turns:?}");
    };
    check(&[0], &[1]);
    check(&[0, 0, 0], &[3]);
    check(&[0, 1, 2, 3, 4, 5, 6, 7, 8], &[9]);
    check(&[0, 2, 4, 6, 8, 10, 12], &[7]);
    check(&[0, 3, 6, 9], &[4]);
    // Nobody waits longer for one who may never come.
    check(&[0, 10], &[1, 1]);
    check(&[0, 1, 11, 12], &[2, 2]);
    // However many come, an entry is closed at some time.
    let counts = entries(Options::default(), &at(&(0..30).map(|at| 3 * at).collect::<Vec<_>>()));
    assert!(counts.len() == 2 && (10..30).contains(&counts[0]), "{counts:?}");
}

#[test]
fn an_entry_takes_as_many_as_fit_and_always_one() {
    // A key with its space is two bytes.
    let of = |bytes: &[usize]| -> Vec<_> { bytes.iter().map(|bytes| (0, *bytes)).collect() };
    for (bytes_max, bytes, expected) in [
        (30, &[8, 8, 8][..], &[3][..]),
        (29, &[8, 8, 8], &[2, 1]),
        (20, &[8, 8, 8], &[2, 1]),
        (19, &[8, 8, 8], &[1, 1, 1]),
        (0, &[8, 8, 8], &[1, 1, 1]),
        (20, &[50, 8, 8], &[1, 2]),
        (20, &[8, 50, 8, 8], &[1, 1, 2]),
        (21, &[8, 9, 1], &[2, 1]),
    ] {
        let mut options = Options::default();
        options.entry_bytes_max = bytes_max;
        assert_eq!(entries(options, &of(bytes)), expected, "{bytes_max} for {bytes:?}");
    }
}

#[test]
fn no_more_wait_than_may() {
    let env = Half::new();
    let log = Log::new(&env);
    env.0.block_on(async {
        let mut options = Options::default();
        options.waiting_transactions_max = 2;
        let store = init(&log, options).await;
        for _ in 0..3 {
            let transactions: Vec<_> = (0..3).map(|_| store.begin()).collect();
            transactions.iter().for_each(|tx| tx.put("a", "").unwrap());
            let done =
                join_all(transactions.into_iter().map(storage_txn::Transaction::commit)).await;
            let kinds: Vec<_> = done
                .iter()
                .map(|done| done.as_ref().map(|_| ()).map_err(storage_txn::Error::kind))
                .collect();
            assert_eq!(kinds, [Ok(()), Ok(()), Err(storage_txn::ErrorKind::LimitExceeded)]);
            let text = done[2].as_ref().unwrap_err().to_string();
            assert!(text.starts_with("2 transactions wait for their commit already"), "{text}");
        }
    });
}

/// What pauses there were since the last time.
fn pauses(env: &Half, known: &mut usize) -> Vec<Duration> {
    let slept = env.0.slept();
    let new = slept[*known..].to_vec();
    *known = slept.len();
    new
}

#[test]
fn a_writer_pauses_by_its_share_of_the_last_entries() {
    let env = Half::new();
    let log = Log::new(&env);
    log.takes(60 * MS);
    env.0.block_on(async {
        let one = init(&log, Options::default()).await;
        let two = open(&log).await;
        let (mut known, none) = (0, &[] as &[u64]);
        // Who commits, the half of what it pauses at most, in milliseconds, and how many it goes for: one that asks after
        // its pause goes for no slot that is taken.
        for (step, (store, pause, puts)) in [
            (&one, none, 1),
            // It knows of nobody, and finds the slot taken.
            (&two, none, 2),
            (&one, none, 2),
            // Two of three entries are its own: it has four thirds of its share.
            (&one, &[80], 1),
            // One of two: as long as an append takes, which is not long enough to ask first.
            (&two, &[60], 2),
            // Of five entries it knows four, and three of them are its own.
            (&one, &[90], 1),
            // Now it knows six, of which four are its own; again and again more.
            (&one, &[80], 1),
        ]
        .into_iter()
        .enumerate()
        {
            write(store).await;
            let pause: Vec<_> = pause.iter().map(|pause| MS * *pause as u32).collect();
            assert_eq!(pauses(&env, &mut known), pause, "step {step}");
            assert_eq!(log.puts().len(), puts, "step {step}");
        }
        // One who has had none does not wait.
        let three = open(&log).await;
        write(&three).await;
        assert_eq!(pauses(&env, &mut known), [Duration::ZERO]);
        assert_eq!(log.puts().len(), 1);
    });
}

#[test]
fn a_pause_goes_with_the_time_that_appends_take_lately_and_has_a_bound() {
    let env = Half::new();
    let log = Log::new(&env);
    log.takes(80 * MS);
    env.0.block_on(async {
        let (one, mut known) = (init(&log, Options::default()).await, 0);
        write(&one).await;
        let two = open(&log).await;
        write(&two).await;
        write(&one).await;
        write(&two).await;
        pauses(&env, &mut known);
        // It knows of two entries each, so it pauses half of twice what an append takes: at first 80 ms.
        log.takes(160 * MS);
        write(&two).await;
        assert_eq!(pauses(&env, &mut known), [80 * MS]);
        // Three of five are its own. Of what appends take longer lately it learns slowly: an eighth each time.
        log.takes(30 * MS);
        write(&two).await;
        assert_eq!(pauses(&env, &mut known), [(90 * MS).mul_f64(1.2)]);
        // Four of six are. Of what they take less it learns at once: half.
        write(&two).await;
        assert_eq!(pauses(&env, &mut known), [80 * MS]);
        // However long it takes, nobody pauses longer than two seconds.
        log.takes(3600 * 1000 * MS);
        write(&two).await;
        pauses(&env, &mut known);
        write(&two).await;
        assert_eq!(pauses(&env, &mut known), [1000 * MS]);
    });
}

#[test]
fn who_has_had_many_times_its_share_waits_for_no_more_than_four() {
    let env = Half::new();
    let log = Log::new(&env);
    log.takes(MS);
    env.0.block_on(async {
        let one = init(&log, Options::default()).await;
        for _ in 0..9 {
            write(&open(&log).await).await;
        }
        let mut known = 0;
        for own in 1..=20_u64 {
            pauses(&env, &mut known);
            write(&one).await;
            if own == 1 {
                continue;
            }
            // It knows of one entry each of nine others, and of its own but this one.
            let share = (own - 1) as f64 * 10.0 / (own + 8) as f64;
            let expected = MS.mul_f64(9.0 * 2.0 * share.min(4.0)).mul_f64(0.5);
            assert_eq!(pauses(&env, &mut known), [expected], "after {own} of its own");
        }
    });
}

#[test]
fn a_commit_that_loses_every_slot_says_so_when_its_time_is_over() {
    let env = Half::new();
    let log = Log::new(&env);
    env.0.block_on(async {
        let mut options = Options::default();
        options.commit_time_max = Duration::from_secs(30);
        let store = init(&log, options).await;
        let rival: Arc<dyn StorageProvider> = log.inner.clone();
        let rival = Store::open(rival, Arc::new(env.clone()), Options::default()).await.unwrap();
        *log.rival.lock().unwrap() = Some(rival);
        log.takes(Duration::from_secs(10));
        let tx = store.begin();
        tx.put("a", "1").unwrap();
        let error = tx.commit().await.unwrap_err();
        let kind = storage_txn::ErrorKind::Storage(ErrorKind::Throttled);
        assert_eq!(error.kind(), kind, "nothing is in doubt");
        let expected = "others were faster at every slot of the log for 30s (commit_time_max)";
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!(log.puts().len(), 3, "one each ten seconds, and none when the time is over");
        *log.rival.lock().unwrap() = None;
        assert_eq!(write(&store).await.version.0, 4);
        assert_eq!(
            store
                .snapshot(storage_txn::At::Latest)
                .await
                .unwrap()
                .get("a")
                .await
                .unwrap()
                .as_deref(),
            Some(&b""[..])
        );
    });
}

#[test]
fn the_same_bytes_go_to_a_slot_in_doubt_until_it_is_known() {
    for lost in [1, 2, 5] {
        let env = Half::new();
        let log = Log::new(&env);
        env.0.block_on(async {
            let store = init(&log, Options::default()).await;
            write(&store).await;
            log.puts();
            log.lost.store(lost, Ordering::Relaxed);
            let receipt = write(&store).await;
            assert_eq!(receipt.version.0, 2);
            let puts = log.puts();
            assert_eq!(puts.len() as i64, lost + 1);
            assert!(puts.iter().all(|put| *put == puts[0]), "the first may still get there");
        });
    }
}
