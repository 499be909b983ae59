//! A store whose log is on a quorum of three: what it costs, what it survives, and what is said when it cannot be.

use std::sync::Arc;

use backend_memory::MemoryProvider;
use futures_util::TryStreamExt;
use storage_core::{Get, Key, Operation, Prefix, PutIf, StorageProvider, StorageProviderExt};
use storage_txn::{
    At, ErrorKind, Options, Place, Store, VerifyEvent, VerifyOptions, Version, VoterChange,
    VoterState,
};
use storage_wrappers::{Counted, TokioEnv};

use crate::collect::at_once;

type Cloud = Arc<Counted<Arc<dyn StorageProvider>>>;

/// Three voters, and where the objects are.
struct Clouds {
    voters: Vec<Cloud>,
    objects: Cloud,
}

impl Clouds {
    fn new() -> Self {
        let cloud = || Arc::new(Counted::new(Arc::new(MemoryProvider::new()) as Arc<_>));
        Self { voters: (0..3).map(|_| cloud()).collect(), objects: cloud() }
    }

    fn place(&self) -> Place {
        let voters = self.voters.iter().map(|voter| voter.clone() as Arc<dyn StorageProvider>);
        Place::quorum(voters, self.objects.clone())
    }

    async fn init(&self) -> Store {
        Store::init(self.place(), env(), Options::default()).await.unwrap()
    }

    async fn open(&self) -> Store {
        Store::open(self.place(), env(), Options::default()).await.unwrap()
    }

    /// Puts and gets of the voters, and all requests of the objects.
    fn asked(&self) -> (u64, u64, u64) {
        let of = |operation| {
            let counts = self.voters.iter().map(|voter| voter.counts());
            counts.map(|counts| counts.of(operation).requests).sum()
        };
        (of(Operation::Put), of(Operation::Get), self.objects.counts().requests())
    }
}

fn env() -> Arc<TokioEnv> {
    Arc::new(TokioEnv::new())
}

async fn put(store: &Store, key: &str, value: &str) -> Version {
    store.transact(async |tx| tx.put(key, value.to_owned())).await.unwrap().version
}

async fn read(store: &Store, key: &str) -> Option<String> {
    let value = store.snapshot(At::Latest).await.unwrap().get(key).await.unwrap();
    value.map(|value| String::from_utf8(value.to_vec()).unwrap())
}

/// Whatever is still under way in the background comes to its end.
async fn settle() {
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
}

async fn wipe(provider: &dyn StorageProvider) {
    let names: Vec<_> = provider.list_all(&Prefix::all()).try_collect().await.unwrap();
    for listed in names {
        provider.delete(&listed.key).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_steady_commit_is_one_round_of_a_put_on_each_voter_and_nothing_else() {
    let clouds = Clouds::new();
    let store = clouds.init().await;
    put(&store, "x", "first").await;
    settle().await;
    let before = clouds.asked();
    for round in 0..4 {
        put(&store, "x", &format!("round {round}")).await;
        settle().await;
    }
    let after = clouds.asked();
    assert_eq!((after.0 - before.0, after.1 - before.1, after.2 - before.2), (12, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn taking_over_is_two_rounds_of_puts_and_reading_the_ends_of_the_chains() {
    let clouds = Clouds::new();
    let (one, other) = (clouds.init().await, clouds.open().await);
    put(&one, "x", "first").await;
    assert_eq!(read(&other, "x").await.as_deref(), Some("first"));
    settle().await;
    let before = clouds.asked();
    put(&other, "x", "second").await;
    settle().await;
    let after = clouds.asked();
    let (puts, gets) = (after.0 - before.0, after.1 - before.1);
    // Whoever did not answer in the first round need not promise any more.
    assert!((5..=6).contains(&puts), "a promise and a value each: {puts}");
    assert!((3..=6).contains(&gets), "one look behind the end each, or two: {gets}");
    assert_eq!(after.2, before.2);
}

#[tokio::test(start_paused = true)]
async fn a_fresh_snapshot_is_a_get_of_each_voter_and_one_of_what_is_known_is_none() {
    let clouds = Clouds::new();
    let store = clouds.init().await;
    put(&store, "x", "first").await;
    settle().await;
    let before = clouds.asked();
    assert_eq!(read(&store, "x").await.as_deref(), Some("first"));
    settle().await;
    let after = clouds.asked();
    let gets = after.1 - before.1;
    // Two of them can tell, if they are faster than the third is asked.
    assert!((2..=3).contains(&gets), "{gets}");
    assert_eq!((after.0, after.2), (before.0, before.2));
    store.snapshot(At::Known).await.unwrap().get("x").await.unwrap();
    assert_eq!(clouds.asked(), after);
}

#[tokio::test(start_paused = true)]
async fn all_that_a_store_does_it_does_on_a_quorum_and_is_verified() {
    let clouds = Clouds::new();
    let store = clouds.init().await;
    for round in 0..12 {
        put(&store, &format!("k{}", round % 3), &format!("round {round}")).await;
        if round % 3 == 2 {
            store.flush().await.unwrap();
        }
    }
    store.tag("release", Version(5)).await.unwrap();
    let pin = store.pin(At::Version(Version(3)), std::time::Duration::from_secs(60)).await.unwrap();
    pin.release().await.unwrap();
    let collected = store.collect(&at_once()).await.unwrap();
    assert!(collected.entries > 0, "{collected:?}");
    put(&store, "last", "one").await;
    let names: Vec<_> = clouds.objects.list_all(&Prefix::all()).try_collect().await.unwrap();
    assert!(names.iter().all(|listed| !listed.key.as_str().starts_with("log/")));
    let report = verify(&clouds).await;
    assert!(report.is_sound() && report.garbage == 0, "{report:?}");
    assert!(report.entries > 0 && report.entries_collected > 0, "{report:?}");
    let segments = Prefix::new("segment/").unwrap();
    let rebuilt = Store::rebuild_index(clouds.place(), env(), Options::default()).await.unwrap();
    assert!(rebuilt.segments_made + rebuilt.segments_kept > 0, "{rebuilt:?}");
    assert!(!clouds.objects.list_all(&segments).try_collect::<Vec<_>>().await.unwrap().is_empty());
    let opened = clouds.open().await;
    assert_eq!(read(&opened, "k0").await.as_deref(), Some("round 9"));
    assert_eq!(opened.tags().await.unwrap(), [("release".to_owned(), Version(5))]);
}

async fn verify(clouds: &Clouds) -> storage_txn::VerifyReport {
    let mut tell = |event| {
        if let VerifyEvent::Finding(finding) = event {
            println!("{finding}");
        }
    };
    Store::verify(clouds.place(), env(), &VerifyOptions::default(), &mut tell).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn any_one_voter_may_be_wiped_and_nobody_notices_but_who_asks_how_it_is() {
    for wiped in 0..3 {
        let clouds = Clouds::new();
        let store = clouds.init().await;
        put(&store, "x", "before").await;
        store.flush().await.unwrap();
        put(&store, "x", "then").await;
        settle().await;
        wipe(&*clouds.voters[wiped]).await;
        assert_eq!(read(&store, "x").await.as_deref(), Some("then"));
        put(&store, "x", "after").await;
        let opened = clouds.open().await;
        assert_eq!(read(&opened, "x").await.as_deref(), Some("after"));
        put(&opened, "x", "later").await;
        assert_eq!(read(&store, "x").await.as_deref(), Some("later"));
        settle().await;
        let voters = store.info().await.unwrap().voters;
        let states: Vec<_> = voters.iter().map(|voter| &voter.state).collect();
        for (at, state) in states.into_iter().enumerate() {
            let is_current = *state == VoterState::Current;
            assert_eq!(is_current, at != wiped, "voter {at} of which {wiped} was wiped: {state}");
        }
        assert_eq!(store.mend_voters().await.unwrap().len(), 1);
        put(&opened, "x", "mended").await;
        settle().await;
        let voters = store.info().await.unwrap().voters;
        assert!(voters.iter().all(|voter| voter.state == VoterState::Current), "{voters:?}");
        // So that another may be lost.
        wipe(&*clouds.voters[(wiped + 1) % 3]).await;
        assert_eq!(read(&clouds.open().await, "x").await.as_deref(), Some("mended"));
    }
}

#[tokio::test(start_paused = true)]
async fn all_voters_are_replaced_while_handles_are_open_and_commits_cost_what_they_did() {
    let (clouds, others) = (Clouds::new(), Clouds::new());
    let cloud = |cloud: &Cloud| cloud.clone() as Arc<dyn StorageProvider>;
    let spares = || others.voters.iter().map(cloud);
    let open = async || {
        let place = clouds.place().with_spares(spares());
        Store::open(place, env(), Options::default()).await.unwrap()
    };
    drop(clouds.init().await);
    let (store, other) = (open().await, open().await);
    for nth in 0..3 {
        put(&store, &format!("before {nth}"), "value").await;
        let change = VoterChange::Replace { old: nth, new: 3 + nth };
        assert!(other.change_voters(change, &|_| ()).await.unwrap());
        put(&other, &format!("after {nth}"), "value").await;
        wipe(&*clouds.voters[nth]).await;
    }
    put(&store, "x", "last").await;
    settle().await;
    let before = others.asked();
    put(&store, "x", "still").await;
    settle().await;
    let after = others.asked();
    assert_eq!((after.0 - before.0, after.1 - before.1), (3, 0));
    // The voters that there are now are all that is needed, and say which store they vote for.
    let place = Place::quorum(spares(), clouds.objects.clone());
    let alone = Store::open(place.clone(), env(), Options::default()).await.unwrap();
    assert_eq!(read(&alone, "before 0").await.as_deref(), Some("value"));
    assert_eq!(read(&alone, "x").await.as_deref(), Some("still"));
    assert_eq!(alone.info().await.unwrap().voters.len(), 3);
    let fresh = Place::quorum(spares(), Arc::new(MemoryProvider::new()));
    let refused = Store::init(fresh, env(), Options::default()).await.unwrap_err();
    assert!(refused.to_string().contains("is a voter of another store"), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn who_votes_for_another_store_is_not_admitted_nor_anybody_where_nobody_votes() {
    let (clouds, others) = (Clouds::new(), Clouds::new());
    drop((clouds.init().await, others.init().await));
    let spare = others.voters[0].clone() as Arc<dyn StorageProvider>;
    let place = clouds.place().with_spares([spare.clone()]);
    let store = Store::open(place, env(), Options::default()).await.unwrap();
    let misconfigured = ErrorKind::Storage(storage_core::ErrorKind::Misconfigured);
    let refused = store.change_voters(VoterChange::Add(3), &|_| ()).await.unwrap_err();
    assert_eq!(refused.kind(), misconfigured, "{refused}");
    assert!(refused.to_string().contains("is a voter of another store"), "{refused}");
    let alone = Place::from(Arc::new(MemoryProvider::new())).with_spares([spare]);
    let store = Store::init(alone, env(), Options::default()).await.unwrap();
    let refused = store.change_voters(VoterChange::Add(0), &|_| ()).await.unwrap_err();
    assert_eq!(refused.kind(), misconfigured, "{refused}");
    assert!(refused.to_string().contains("and nobody votes"), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_the_place_of_a_store_is_refused_with_what_is_wrong() {
    let clouds = Clouds::new();
    drop(clouds.init().await);
    let other = Clouds::new();
    drop(other.init().await);
    let voter = |clouds: &Clouds, at: usize| clouds.voters[at].clone() as Arc<dyn StorageProvider>;
    let of = |voters: &[(&Clouds, usize)], objects: &Clouds| {
        let voters: Vec<_> = voters.iter().map(|(clouds, at)| voter(clouds, *at)).collect();
        Place::quorum(voters, objects.objects.clone())
    };
    let one = &clouds;
    let many = [(one, 0); 17];
    let rows: [(&str, Place, &str); 7] = [
        (
            "more than there may be",
            of(&many, one),
            "an odd number of voters from 3 to 15, and not 17",
        ),
        ("an even number", of(&[(one, 0), (one, 1)], one), "an odd number of voters from 3 to 15"),
        ("one voter", of(&[(one, 0)], one), "an odd number of voters from 3 to 15"),
        ("the same twice", of(&[(one, 0), (one, 1), (one, 1)], one), "are the same voter"),
        ("another's voters", of(&[(&other, 0), (&other, 1), (&other, 2)], one), "another store"),
        ("the objects alone", one.objects.clone().into(), "is on a quorum of voters: name them"),
        ("no store", of(&[(one, 0), (one, 1), (one, 2)], &Clouds::new()), "there is no store on"),
    ];
    for (what, place, expected) in rows {
        let error = Store::open(place, env(), Options::default()).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{what}: {error}");
    }
    let fresh = Clouds::new();
    let begun = Clouds::new();
    let root = Key::new("quorum/root").unwrap();
    let theirs = clouds.voters[0].get(&root, Get::whole()).await.unwrap().body;
    begun.voters[1].put(&root, theirs, PutIf::Always).await.unwrap();
    for (what, place, kind) in [
        (
            "a voter that another store was begun with",
            begun.place(),
            ErrorKind::Storage(storage_core::ErrorKind::Misconfigured),
        ),
        ("there is one", one.place(), ErrorKind::StoreExists),
        (
            "voters of another",
            of(&[(one, 0), (one, 1), (one, 2)], &fresh),
            ErrorKind::Storage(storage_core::ErrorKind::Misconfigured),
        ),
        (
            "one voter of another",
            of(&[(&fresh, 0), (&fresh, 1), (one, 2)], &fresh),
            ErrorKind::Storage(storage_core::ErrorKind::Misconfigured),
        ),
    ] {
        let error = Store::init(place, env(), Options::default()).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{what}: {error}");
    }
    let elsewhere = MemoryProvider::new();
    drop(Store::init(Arc::new(elsewhere.clone()), env(), Options::default()).await.unwrap());
    let voters = (0..3).map(|at| voter(&Clouds::new(), at));
    let place = Place::quorum(voters, Arc::new(elsewhere));
    let error = Store::open(place, env(), Options::default()).await.unwrap_err();
    assert!(error.to_string().contains("and not on a quorum"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn when_too_few_voters_answer_the_error_says_which_and_why() {
    let clouds = Clouds::new();
    drop(clouds.init().await);
    wipe(&*clouds.voters[0]).await;
    wipe(&*clouds.voters[2]).await;
    let mut options = Options::default();
    options.commit_time_max = std::time::Duration::from_secs(5);
    let opened = Store::open(clouds.place(), env(), options).await;
    let error = opened.expect_err("it cannot be opened").to_string();
    assert!(error.contains("2 of 3 voters of the log have to answer"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn making_a_store_goes_on_where_it_was_interrupted() {
    for (what, wiped) in [("before its last step", 0), ("after its first", 2)] {
        let clouds = Clouds::new();
        drop(clouds.init().await);
        let chain = chain_of(&clouds.voters[0]).await;
        wipe(&*clouds.objects).await;
        for voter in &clouds.voters {
            voter.delete(&Key::new("quorum/made").unwrap()).await.unwrap();
        }
        for voter in &clouds.voters[3 - wiped..] {
            wipe(&**voter).await;
        }
        let again = Store::init(clouds.place(), env(), Options::default()).await.unwrap();
        put(&again, "x", "there").await;
        assert_eq!(chain_of(&clouds.voters[0]).await, chain, "interrupted {what}");
        assert_eq!(read(&clouds.open().await, "x").await.as_deref(), Some("there"));
    }
    let taken = Clouds::new();
    let root = Key::new("quorum/root").unwrap();
    taken.voters[0].put(&root, "something else".into(), PutIf::Always).await.unwrap();
    let error = Store::init(taken.place(), env(), Options::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
}

/// The name of the marker of a voter, which begins with the folder of its log.
async fn chain_of(voter: &Cloud) -> Vec<String> {
    let all = Prefix::all();
    let listed: Vec<_> = voter.list_all(&all).try_collect().await.unwrap();
    let names = listed.into_iter().map(|listed| listed.key.as_str().to_owned());
    names.filter(|name| name.ends_with("/voter")).collect()
}
