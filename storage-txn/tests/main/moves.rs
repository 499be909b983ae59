//! A store whose log is moved from one provider to a quorum and back while it is used: who goes on, who is refused, what it
//! costs, and what is left of it when it is stopped anywhere.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use backend_memory::MemoryProvider;
use bytes::Bytes;
use storage_core::{
    Error, ErrorKind as StorageErrorKind, Get, Key, List, Object, Operation, Page, ProviderInfo,
    PutIf, Result, StorageProvider, Version as ObjectVersion, async_trait,
};
use storage_txn::{
    At, ErrorKind, LogTarget, Options, Place, Replica, ReplicaOptions, Store, VerifyEvent,
    VerifyOptions, VoterChange,
};
use storage_wrappers::{Counted, TokioEnv};

use crate::collect::at_once;
use crate::flush::{Provider, all, names, put};
use crate::gated::{Gated, Stop};

const MISCONFIGURED: ErrorKind = ErrorKind::Storage(StorageErrorKind::Misconfigured);
const OBJECTS: LogTarget = LogTarget::Objects;

fn voters() -> LogTarget {
    LogTarget::Voters(vec![0, 1, 2])
}

fn env() -> Arc<TokioEnv> {
    Arc::new(TokioEnv::new())
}

/// Where the objects are, and five that may vote.
#[derive(Clone)]
struct Clouds {
    objects: Provider,
    spares: Vec<Provider>,
}

impl Clouds {
    fn new() -> Self {
        let cloud = || Arc::new(Counted::new(MemoryProvider::new()));
        Self { objects: cloud(), spares: (0..5).map(|_| cloud()).collect() }
    }

    fn place(&self) -> Place {
        let spares = self.spares.iter().map(|spare| spare.clone() as Arc<dyn StorageProvider>);
        Place::from(self.objects.clone()).with_spares(spares)
    }

    /// The same, with the first three as voters.
    fn quorum(&self) -> Place {
        let all = || self.spares.iter().map(|spare| spare.clone() as Arc<dyn StorageProvider>);
        Place::quorum(all().take(3), self.objects.clone()).with_spares(all().skip(3))
    }

    async fn init(&self) -> Store {
        Store::init(self.place(), env(), Options::default()).await.unwrap()
    }

    async fn open(&self) -> Store {
        Store::open(self.place(), env(), Options::default()).await.unwrap()
    }

    /// Puts and gets of each that may vote, and of the objects.
    fn asked(&self) -> [(u64, u64); 2] {
        let of = |counted: &Provider| {
            let counts = counted.counts();
            (counts.of(Operation::Put).requests, counts.of(Operation::Get).requests)
        };
        let voters =
            self.spares.iter().map(of).fold((0, 0), |sum, of| (sum.0 + of.0, sum.1 + of.1));
        [voters, of(&self.objects)]
    }

    async fn check_sound(&self) {
        let mut found = Vec::new();
        let mut tell = |event| {
            if let VerifyEvent::Finding(finding) = event {
                found.push(finding.to_string());
            }
        };
        let before = self.asked().map(|asked| asked.0);
        let options = VerifyOptions::default();
        let report = Store::verify(self.place(), env(), &options, &mut tell).await.unwrap();
        assert!(report.is_sound() && report.garbage == 0, "{found:?}");
        assert_eq!(self.asked().map(|asked| asked.0)[1], before[1], "nothing is written");
    }
}

async fn read(store: &Store, key: &str) -> Option<String> {
    let value = store.snapshot(At::Latest).await.unwrap().get(key).await.unwrap();
    value.map(|value| String::from_utf8(value.to_vec()).unwrap())
}

async fn settle() {
    tokio::time::sleep(Duration::from_secs(1)).await;
}

async fn move_to(store: &Store, target: &LogTarget) -> bool {
    store.move_log(target, &|_| ()).await.unwrap()
}

async fn voting(store: &Store) -> usize {
    store.info().await.unwrap().voters.len()
}

#[tokio::test(start_paused = true)]
async fn a_log_goes_to_a_quorum_and_back_twice_and_handles_that_are_open_go_on() {
    let clouds = Clouds::new();
    let store = clouds.init().await;
    let (writer, reader) = (clouds.open().await, clouds.open().await);
    let mut last = 0;
    for (round, target) in [voters(), OBJECTS, voters(), OBJECTS].into_iter().enumerate() {
        last = put(&writer, "x", &format!("before {round}")).await.0;
        assert!(move_to(&store, &target).await);
        assert!(!move_to(&store, &target).await, "it is there");
        assert_eq!(voting(&store).await, if target == OBJECTS { 0 } else { 3 });
        assert_eq!(read(&reader, "x").await, Some(format!("before {round}")));
        // No version is taken by it.
        assert_eq!(put(&writer, "x", &format!("after {round}")).await.0, last + 1);
        assert_eq!(read(&reader, "x").await, Some(format!("after {round}")));
        let opened = clouds.open().await;
        assert_eq!(put(&opened, "y", &round.to_string()).await.0, last + 2);
        assert_eq!(read(&store, "y").await, Some(round.to_string()));
        clouds.check_sound().await;
        assert!(names(&clouds.objects, "moving").await.is_empty());
    }
    let late = clouds.open().await;
    assert_eq!(late.snapshot(At::Latest).await.unwrap().version().0, last + 2);
}

#[tokio::test(start_paused = true)]
async fn a_steady_commit_costs_what_it_did_wherever_the_log_is() {
    let clouds = Clouds::new();
    let store = clouds.init().await;
    let cost = async |store: &Store| {
        put(store, "x", "first").await;
        settle().await;
        let before = clouds.asked();
        for round in 0..4 {
            put(store, "x", &format!("{round}")).await;
            settle().await;
        }
        let after = clouds.asked();
        [0, 1].map(|at| (after[at].0 - before[at].0, after[at].1 - before[at].1))
    };
    for handle in [&store, &clouds.open().await] {
        assert_eq!(cost(handle).await, [(0, 0), (4, 0)]);
        move_to(&store, &voters()).await;
        assert_eq!(cost(handle).await, [(12, 0), (0, 0)]);
        move_to(&store, &OBJECTS).await;
        assert_eq!(cost(handle).await, [(0, 0), (4, 0)]);
        // Whoever opens it now begins where it is: what the store says, a list, and the log.
        let before = clouds.asked();
        drop(clouds.open().await);
        let after = clouds.asked();
        assert_eq!(after[0], before[0]);
        assert!(after[1].1 - before[1].1 <= 40, "{before:?} {after:?}");
    }
}

/// Stops whoever asks, of all providers together, after so many requests.
#[derive(Debug)]
struct StopAll {
    stop: Stop,
    left: AtomicI64,
    has_stopped: AtomicBool,
}

#[derive(Debug)]
struct Stopped {
    inner: Arc<dyn StorageProvider>,
    stop: Arc<StopAll>,
}

impl Stopped {
    async fn pass<T>(&self, request: impl Future<Output = Result<T>>) -> Result<T> {
        let left = self.stop.left.fetch_sub(1, Ordering::Relaxed);
        if left > 0 {
            return request.await;
        }
        self.stop.has_stopped.store(true, Ordering::Relaxed);
        let lost = || Error::unknown(StorageErrorKind::Unavailable, "nobody hears");
        match self.stop.stop {
            Stop::AnswerIsLost if left == 0 => {
                let _ = request.await;
                Err(lost())
            }
            Stop::IsLost | Stop::AnswerIsLost => Err(lost()),
            _ => Err(Error::not_applied(StorageErrorKind::Unavailable, "stopped")),
        }
    }
}

#[async_trait]
impl StorageProvider for Stopped {
    fn info(&self) -> ProviderInfo {
        self.inner.info()
    }
    async fn put(&self, key: &Key, body: Bytes, when: PutIf) -> Result<ObjectVersion> {
        self.pass(self.inner.put(key, body, when)).await
    }
    async fn get(&self, key: &Key, request: Get) -> Result<Object> {
        self.pass(self.inner.get(key, request)).await
    }
    async fn list(&self, request: List<'_>) -> Result<Page> {
        self.pass(self.inner.list(request)).await
    }
    async fn delete(&self, key: &Key) -> Result<()> {
        self.pass(self.inner.delete(key)).await
    }
}

/// Stops a move after so many requests, while a handle is open; then the store is used, and the move done again. Whether it
/// was done before it was stopped.
async fn stopped(there: bool, how: Stop, after: i64) -> bool {
    let what = format!("{} {how:?} after {after}", if there { "there" } else { "back" });
    let clouds = Clouds::new();
    let (first, second) = if there { (OBJECTS, voters()) } else { (voters(), OBJECTS) };
    let open = clouds.init().await;
    move_to(&open, &first).await;
    for round in 0..3 {
        put(&open, "x", &round.to_string()).await;
    }
    open.flush().await.unwrap();
    let stop = Arc::new(StopAll {
        stop: how,
        left: AtomicI64::new(after),
        has_stopped: AtomicBool::new(false),
    });
    let place = clouds.place().wrapped(|inner| Arc::new(Stopped { inner, stop: stop.clone() }));
    let mut options = Options::default();
    options.commit_time_max = Duration::from_millis(200);
    let moved = match Store::open(place, env(), options).await {
        Ok(mover) => mover.move_log(&second, &|_| ()).await.is_ok(),
        Err(_) => false,
    };
    let done = moved && !stop.has_stopped.load(Ordering::Relaxed);
    // Whatever is left of it, the store is used, by who had it open and by who comes.
    put(&open, "y", "open").await;
    let opened = clouds.open().await;
    assert_eq!(read(&opened, "x").await.as_deref(), Some("2"), "{what}");
    assert_eq!(read(&opened, "y").await.as_deref(), Some("open"), "{what}");
    put(&opened, "y", "opened").await;
    assert_eq!(read(&open, "y").await.as_deref(), Some("opened"), "{what}");
    clouds.check_sound().await;
    let again = move_to(&opened, &second).await;
    assert!(!(moved && again), "{what}: it was said to be done");
    assert_eq!(voting(&opened).await, if there { 3 } else { 0 }, "{what}");
    put(&open, "z", "last").await;
    let late = clouds.open().await;
    let found = all(&late, At::Latest).await;
    let found: Vec<_> = found.iter().map(|item| (&item.key[..], &item.value[..])).collect();
    assert_eq!(found, [(&b"x"[..], &b"2"[..]), (b"y", b"opened"), (b"z", b"last")], "{what}");
    assert_eq!(late.snapshot(At::Latest).await.unwrap().version().0, 7, "{what}");
    assert!(names(&clouds.objects, "moving").await.is_empty(), "{what}");
    clouds.check_sound().await;
    done
}

#[tokio::test(start_paused = true)]
async fn a_move_that_is_stopped_at_any_request_is_finished_by_others_and_nothing_is_lost() {
    for there in [true, false] {
        for how in [Stop::Fails, Stop::AnswerIsLost, Stop::IsLost] {
            let mut after = 0;
            while !stopped(there, how, after).await {
                after += 1;
                assert!(after < 500, "it comes to no end");
            }
            assert!(after > 20, "it takes that many requests at least, not {after}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_copied_before_a_move_was_stopped_is_not_copied_again() {
    let clouds = Clouds::new();
    let store = clouds.init().await;
    for round in 0..40 {
        put(&store, "x", &round.to_string()).await;
    }
    let stop = Arc::new(StopAll {
        stop: Stop::Fails,
        left: AtomicI64::new(200),
        has_stopped: AtomicBool::new(false),
    });
    let place = clouds.place().wrapped(|inner| Arc::new(Stopped { inner, stop: stop.clone() }));
    let mut options = Options::default();
    options.commit_time_max = Duration::from_millis(200);
    let mover = Store::open(place, env(), options).await.unwrap();
    mover.move_log(&voters(), &|_| ()).await.unwrap_err();
    settle().await;
    let copied = std::sync::Mutex::new(Vec::new());
    let tell = |progress: storage_txn::CopyProgress| copied.lock().unwrap().push(progress.copied);
    assert!(store.move_log(&voters(), &tell).await.unwrap());
    let copied = copied.into_inner().unwrap();
    assert!(copied[0] > 10 && copied.last() == Some(&41), "{copied:?}");
    assert!(copied.windows(2).all(|two| two[0] + 1 == two[1]), "{copied:?}");
    clouds.check_sound().await;
}

#[tokio::test(start_paused = true)]
async fn a_handle_that_knows_the_new_place_not_is_refused_and_told_what_to_do() {
    let clouds = Clouds::new();
    let store = clouds.init().await;
    let ignorant = Place::from(clouds.objects.clone());
    let old = Store::open(ignorant.clone(), env(), Options::default()).await.unwrap();
    put(&old, "x", "acknowledged").await;
    move_to(&store, &voters()).await;
    let refused = [
        old.transact(async |tx| tx.put("x", "late")).await.map(drop),
        old.snapshot(At::Latest).await.map(drop),
        Store::open(ignorant, env(), Options::default()).await.map(drop),
    ];
    for refused in refused {
        let error = refused.unwrap_err();
        assert_eq!(error.kind(), MISCONFIGURED, "{error}");
        assert!(error.to_string().contains("on a quorum of voters: name them"), "{error}");
    }
    // One of three is too few.
    let one = Place::from(clouds.objects.clone())
        .with_spares([clouds.spares[0].clone() as Arc<dyn StorageProvider>]);
    let error = Store::open(one, env(), Options::default()).await.unwrap_err();
    assert_eq!(error.kind(), MISCONFIGURED, "{error}");
    assert_eq!(read(&store, "x").await.as_deref(), Some("acknowledged"));
    // It is where all know it.
    move_to(&store, &OBJECTS).await;
    put(&store, "x", "back").await;
    // The way there leads through the quorum.
    assert!(old.snapshot(At::Latest).await.is_err());
    let opened = Store::open(Place::from(clouds.objects.clone()), env(), Options::default()).await;
    assert_eq!(read(&opened.unwrap(), "x").await.as_deref(), Some("back"));
}

#[tokio::test(start_paused = true)]
async fn whoever_finds_the_store_saying_an_earlier_place_comes_to_the_last() {
    let clouds = Clouds::new();
    let store = clouds.init().await;
    let format = Key::new("format").unwrap();
    let mut said = Vec::new();
    let asleep = clouds.open().await;
    for (round, target) in [voters(), OBJECTS, voters()].into_iter().enumerate() {
        said.push(clouds.objects.get(&format, Get::whole()).await.unwrap().body);
        put(&store, "x", &round.to_string()).await;
        move_to(&store, &target).await;
        put(&store, "x", &format!("moved {round}")).await;
    }
    for flushed in [false, true] {
        if flushed {
            // A checkpoint of what no earlier place has.
            store.flush().await.unwrap();
            put(&store, "y", "1").await;
        }
        for said in &said {
            clouds.objects.put(&format, said.clone(), PutIf::Always).await.unwrap();
            let opened = clouds.open().await;
            assert_eq!(read(&opened, "x").await.as_deref(), Some("moved 2"));
            clouds.check_sound().await;
            let rebuilt = Store::rebuild_index(clouds.place(), env(), Options::default()).await;
            rebuilt.unwrap();
            put(&opened, "z", "1").await;
            assert_eq!(read(&store, "z").await.as_deref(), Some("1"));
        }
    }
    // All of it is collected, but what was left.
    store.flush().await.unwrap();
    put(&store, "x", "last").await;
    store.flush().await.unwrap();
    assert!(store.collect(&at_once()).await.unwrap().entries > 5);
    assert_eq!(read(&asleep, "x").await.as_deref(), Some("last"));
    put(&asleep, "x", "awake").await;
    assert_eq!(read(&clouds.open().await, "x").await.as_deref(), Some("awake"));
    // The same move again says so.
    assert!(!move_to(&store, &voters()).await);
    let now = clouds.objects.get(&format, Get::whole()).await.unwrap().body;
    assert!(!said.contains(&now));
    clouds.check_sound().await;
}

/// It was told that the log was lost: the checkpoint is beyond the end of the place that was left, and whether the log goes on
/// elsewhere could not be read.
#[tokio::test(start_paused = true)]
async fn who_cannot_read_an_earlier_place_to_its_end_is_told_that_and_not_that_the_log_is_lost() {
    let clouds = Clouds::new();
    let store = clouds.init().await;
    let format = Key::new("format").unwrap();
    let said = clouds.objects.get(&format, Get::whole()).await.unwrap().body;
    move_to(&store, &voters()).await;
    for round in 0..4 {
        put(&store, "x", &round.to_string()).await;
    }
    store.flush().await.unwrap();
    clouds.objects.put(&format, said, PutIf::Always).await.unwrap();
    let unavailable = ErrorKind::Storage(StorageErrorKind::Unavailable);
    let (mut refused, mut after) = (0, 0);
    loop {
        // One request fails, and those after it go through.
        let gated = Gated::new(&clouds.objects, "log/", Stop::Fails);
        gated.shut_for(1);
        gated.shut(after);
        let voting = clouds.spares.iter().map(|spare| spare.clone() as Arc<dyn StorageProvider>);
        let place = Place::from(gated.clone() as Arc<dyn StorageProvider>).with_spares(voting);
        match Store::open(place, env(), Options::default()).await {
            Ok(opened) => assert_eq!(read(&opened, "x").await.as_deref(), Some("3")),
            Err(error) => {
                refused += 1;
                assert_eq!(error.kind(), unavailable, "after {after}: {error}");
            }
        }
        if gated.has_stopped_none() {
            break;
        }
        after += 1;
    }
    assert!(refused > 0 && after > 2, "{refused} of {after}");
}

#[tokio::test(start_paused = true)]
async fn what_was_collected_is_moved_as_what_is_left_of_it() {
    let clouds = Clouds::new();
    let store = clouds.init().await;
    for target in [voters(), OBJECTS, voters()] {
        for round in 0..3 {
            put(&store, "x", &round.to_string()).await;
            store.flush().await.unwrap();
        }
        assert!(store.collect(&at_once()).await.unwrap().entries > 0);
        move_to(&store, &target).await;
        clouds.check_sound().await;
        assert_eq!(read(&clouds.open().await, "x").await.as_deref(), Some("2"));
        // Once more at the very entry by which it was moved.
        store.flush().await.unwrap();
        store.collect(&at_once()).await.unwrap();
        assert_eq!(put(&clouds.open().await, "y", "1").await, put(&store, "y", "2").await.before());
        clouds.check_sound().await;
    }
}

trait Before {
    fn before(self) -> Self;
}

impl Before for storage_txn::Version {
    fn before(self) -> Self {
        Self(self.0 - 1)
    }
}

#[tokio::test(start_paused = true)]
async fn voters_are_changed_after_a_move_and_a_log_goes_from_quorum_to_quorum() {
    let clouds = Clouds::new();
    let store = clouds.init().await;
    let other = clouds.open().await;
    put(&store, "x", "1").await;
    move_to(&store, &voters()).await;
    assert!(other.change_voters(VoterChange::Replace { old: 0, new: 3 }, &|_| ()).await.unwrap());
    put(&store, "x", "2").await;
    assert!(!move_to(&store, &LogTarget::Voters(vec![3, 1, 2])).await, "these vote");
    assert!(move_to(&store, &LogTarget::Voters(vec![0, 1, 4])).await);
    assert_eq!(put(&other, "x", "3").await.0, 3);
    assert_eq!(other.mend_voters().await.unwrap(), []);
    // With the voters that were first as the place says, which is not who votes now.
    let opened = Store::open(clouds.quorum(), env(), Options::default()).await.unwrap();
    assert_eq!(read(&opened, "x").await.as_deref(), Some("3"));
    assert!(move_to(&opened, &OBJECTS).await);
    put(&other, "x", "4").await;
    let opened = Store::open(clouds.quorum(), env(), Options::default()).await.unwrap();
    assert_eq!(read(&opened, "x").await.as_deref(), Some("4"));
    clouds.check_sound().await;
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_the_place_of_the_log_is_refused_and_nothing_is_changed() {
    let clouds = Clouds::new();
    let store = clouds.init().await;
    put(&store, "x", "1").await;
    let other = Clouds::new();
    let theirs = other.init().await;
    move_to(&theirs, &voters()).await;
    let taken = clouds.place().with_spares([other.spares[0].clone() as Arc<dyn StorageProvider>]);
    let taken = Store::open(taken, env(), Options::default()).await.unwrap();
    for (store, voters, why) in [
        (&store, vec![0, 1], "an odd number of voters from 3"),
        (&store, vec![0], "an odd number of voters from 3"),
        (&store, vec![0, 1, 1], "a voter is named twice"),
        (&taken, vec![0, 1, 5], "is a voter of another store"),
    ] {
        let error = store.move_log(&LogTarget::Voters(voters), &|_| ()).await.unwrap_err();
        assert_eq!(error.kind(), MISCONFIGURED, "{error}");
        assert!(error.to_string().contains(why), "{error}");
    }
    assert!(names(&clouds.objects, "moving").await.is_empty());
    assert_eq!(voting(&store).await, 0);
    clouds.check_sound().await;
}

/// Moves while several commit, and looks for everything that was acknowledged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_acknowledged_while_the_log_is_moved_is_there() {
    let clouds = Clouds::new();
    let first = clouds.init().await;
    let (second, mover) = (clouds.open().await, clouds.open().await);
    let (ended, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let writers: Vec<_> = [first, second]
        .into_iter()
        .enumerate()
        .map(|(writer, store)| {
            let (ended, count) = (ended.clone(), count.clone());
            tokio::spawn(async move {
                let mut done = Vec::new();
                while !ended.load(Ordering::Relaxed) {
                    let key = format!("{writer}-{}", done.len());
                    put(&store, &key, "value").await;
                    done.push(key);
                    count.fetch_add(1, Ordering::Relaxed);
                    // Or there is more to be copied than anybody waits for.
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
                done
            })
        })
        .collect();
    for target in [voters(), OBJECTS, voters(), OBJECTS] {
        let before = count.load(Ordering::Relaxed);
        // Others may be faster at every slot for a while.
        let mut attempts = 0;
        while let Err(error) = mover.move_log(&target, &|_| ()).await {
            attempts += 1;
            assert!(attempts < 5, "{error}");
        }
        while count.load(Ordering::Relaxed) < before + 10 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    ended.store(true, Ordering::Relaxed);
    let opened = clouds.open().await;
    let mut committed = 0;
    for writer in writers {
        for key in writer.await.unwrap() {
            assert_eq!(read(&opened, &key).await.as_deref(), Some("value"), "{key}");
            committed += 1;
        }
    }
    assert_eq!(opened.snapshot(At::Latest).await.unwrap().version().0, committed);
    clouds.check_sound().await;
}

/// Two that move it elsewhere at once: one of them does, or one after the other, and nobody is told what is not so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_that_move_the_log_at_once_each_is_told_what_became_of_it() {
    for _ in 0..20 {
        let clouds = Clouds::new();
        let store = clouds.init().await;
        for round in 0..5 {
            put(&store, "x", &round.to_string()).await;
        }
        let targets = [vec![0, 1, 2], vec![2, 3, 4]].map(LogTarget::Voters);
        let movers = targets.map(|target| {
            let clouds = clouds.clone();
            tokio::spawn(async move {
                let store = clouds.open().await;
                store.move_log(&target, &|_| ()).await
            })
        });
        let mut moved = 0;
        for mover in movers {
            match mover.await.unwrap() {
                Ok(is_moved) => moved += usize::from(is_moved),
                Err(error) => assert_eq!(error.kind(), ErrorKind::Conflict, "{error}"),
            }
        }
        assert!(moved > 0);
        assert_eq!(put(&store, "x", "last").await.0, 6);
        assert_eq!(read(&clouds.open().await, "x").await.as_deref(), Some("last"));
        assert_eq!(voting(&store).await, 3);
    }
}

#[tokio::test(start_paused = true)]
async fn a_replica_follows_a_store_wherever_its_log_is_and_may_be_moved_itself() {
    let clouds = Clouds::new();
    let store = clouds.init().await;
    put(&store, "x", "1").await;
    // Its log, too, is where it was first.
    let copy = Clouds::new();
    let target: Arc<dyn StorageProvider> = copy.objects.clone();
    let begin = Replica::begin(clouds.place(), target, env(), ReplicaOptions::default());
    let mut replica = begin.await.unwrap();
    replica.follow(&mut |_| ()).await.unwrap();
    let reader = copy.open().await;
    for (round, (target, slot)) in [(voters(), 2), (OBJECTS, 5)].into_iter().enumerate() {
        move_to(&store, &target).await;
        // What ends with the entry that moved the other is no end here.
        let followed = replica.follow(&mut |_| ()).await.unwrap();
        assert_eq!(followed.slot, slot);
        assert_eq!(
            copy.open().await.snapshot(At::Latest).await.unwrap().version(),
            followed.version
        );
        put(&store, "x", &format!("moved {round}")).await;
        store.flush().await.unwrap();
        replica.follow(&mut |_| ()).await.unwrap();
        assert_eq!(read(&reader, "x").await, Some(format!("moved {round}")));
        assert_eq!(read(&copy.open().await, "x").await, Some(format!("moved {round}")));
        let refused = reader.move_log(&voters(), &|_| ()).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ReadOnly, "{refused}");
    }
    replica.promote(false, &mut |_| ()).await.unwrap();
    let refused = store.move_log(&voters(), &|_| ()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ReadOnly, "{refused}");
    let promoted = copy.open().await;
    put(&promoted, "x", "promoted").await;
    for target in [voters(), OBJECTS] {
        assert!(move_to(&promoted, &target).await);
        put(&copy.open().await, "y", "1").await;
        assert_eq!(read(&promoted, "x").await.as_deref(), Some("promoted"));
        copy.check_sound().await;
    }
}
