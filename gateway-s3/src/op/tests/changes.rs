//! Feeds of changes: everything once, in order, whoever did it and however often the reader comes back.

use storage_txn::Version;

use super::*;
use crate::op::changes::{EventKind, Events, Feed, Place};
use crate::record::Pair;

/// An event in a line, without what is drawn at random.
fn lines(events: &Events) -> Vec<String> {
    let line = |event: &crate::op::changes::Event| {
        let object = &event.object;
        let kind = match (event.kind, object.delete_marker) {
            (EventKind::Put, _) => format!("put {}", object.size),
            (EventKind::Update, _) => format!("update {}", object.size),
            (EventKind::Delete, true) => "delete marker".to_owned(),
            (EventKind::Delete, false) => format!("delete {}", object.size),
        };
        let version = if object.is_null() { "" } else { " version" };
        format!("{} {kind}{version}", event.key)
    };
    events.events.iter().map(line).collect()
}

impl Bench {
    async fn feed(&self, from: u64, prefix: &str) -> Result<Feed> {
        let from = Some(Place { seen: from, events: 0 });
        self.core.changes(&self.alice, "bbb", from, prefix).await
    }

    async fn last(&self) -> u64 {
        self.core.snapshot(Moment::Now).await.unwrap().version().0
    }
}

/// All that is there, commit by commit.
async fn all(mut feed: Feed) -> Vec<String> {
    let mut told = Vec::new();
    while let Some(events) = feed.past().await.unwrap() {
        told.push(lines(&events).join(", "));
    }
    told
}

#[tokio::test]
async fn what_happens_to_objects_is_told_commit_by_commit() {
    let bench = Bench::new().await;
    let from = bench.last().await;
    bench.put("a", "1").await;
    bench.put("a", "22").await;
    bench.put("b/c", bytes(100_000)).await;
    bench.delete("a", Which::Newest).await;
    bench.delete("a", Which::Newest).await;
    bench.core.create_bucket(&bench.alice, "other", &AclWish::Default, ("", false)).await.unwrap();
    bench.version(Versioning::Enabled).await;
    let first = bench.put("a", "333").await;
    bench.put("a", "4444").await;
    bench.delete("a", Which::Newest).await;
    bench.delete("a", Which::Of(first.order, first.version)).await;
    let tags = [Pair { name: "t".to_owned(), value: "1".to_owned() }];
    let (core, alice) = (&bench.core, &bench.alice);
    core.set_object_tags(alice, ("bbb", "b/c"), &Which::Newest, &tags).await.unwrap();
    let deletes = ["a", "b/c", "none"]
        .map(|key| crate::op::delete::Delete { key: key.to_owned(), ..Default::default() });
    core.delete_objects(alice, "bbb", &deletes).await.unwrap();
    let expected = [
        "a put 1",
        "a put 2",
        "b/c put 100000",
        "a delete 2",
        "a put 3 version",
        "a put 4 version",
        "a delete marker version",
        "a delete 3 version",
        "b/c update 100000",
        "a delete marker version, b/c delete marker version, none delete marker version",
    ];
    assert_eq!(all(bench.feed(from, "").await.unwrap()).await, expected);
    let below = expected.iter().filter(|line| line.starts_with("b/")).copied();
    let below: Vec<&str> = below.chain(["b/c delete marker version"]).collect();
    assert_eq!(all(bench.feed(from, "b/").await.unwrap()).await, below);
    assert_eq!(all(bench.feed(bench.last().await, "").await.unwrap()).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_that_come_back_miss_nothing_and_see_nothing_twice() {
    const PUTS: u64 = 60;
    let bench = Bench::new().await;
    let other = bench.beside().await;
    let mut from = Place { seen: bench.last().await, events: 0 };
    // Each writer puts bodies that are one byte longer each time: so sizes say what is missing.
    let writing = |core: Core, who: &'static str| {
        let alice = bench.alice.clone();
        tokio::spawn(async move {
            for size in 1..=PUTS {
                let body = Incoming::of(bytes(size as usize));
                let none = &Conditions::default();
                let what = Description::default();
                core.put_object(&alice, ("bbb", who), what, none, body).await.unwrap();
            }
        })
    };
    let writers = [writing(bench.core.clone(), "one"), writing(other.core.clone(), "two")];
    let mut seen = std::collections::BTreeMap::from([("one".to_owned(), 0), ("two".to_owned(), 0)]);
    // Asked of the two servers in turn, and broken off after a few commits, also while waiting.
    let mut turn = 0;
    while seen.values().any(|size| *size < PUTS) {
        turn += 1;
        let core = if turn % 2 == 0 { &bench.core } else { &other.core };
        let mut feed = match core.changes(&bench.alice, "bbb", Some(from), "").await {
            Ok(feed) => feed,
            Err(error) => panic!("turn {turn}: {error}"),
        };
        for _ in 0..turn % 5 + 1 {
            let events = match feed.past().await.unwrap() {
                Some(events) => events,
                None => {
                    let patience = std::time::Duration::from_millis(turn % 7);
                    match tokio::time::timeout(patience, feed.next()).await {
                        Ok(events) => events.unwrap(),
                        Err(_) => continue,
                    }
                }
            };
            for event in events.events {
                let size = seen.get_mut(&event.key).unwrap();
                assert_eq!(event.object.size, *size + 1, "{} in turn {turn}", event.key);
                *size += 1;
            }
            assert_eq!(feed.place().seen, events.version.0);
        }
        from = feed.place();
    }
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(all(bench.feed(from.seen, "").await.unwrap()).await, [""; 0]);
}

#[tokio::test]
async fn a_place_within_a_commit_goes_on_there() {
    let bench = Bench::new().await;
    let from = bench.last().await;
    let keys = ["a", "b", "c", "d"];
    let operations = keys.map(|key| crate::op::batch::Operation {
        bucket: "bbb".to_owned(),
        key: key.to_owned(),
        if_version: None,
        conditions: Conditions::default(),
        action: crate::op::batch::Action::Put(Description::default(), "x".into()),
    });
    let batch = crate::op::batch::Batch { token: None, operations: operations.to_vec() };
    bench.core.batch(&bench.alice, &batch).await.unwrap();
    bench.put("e", "x").await;
    for passed in 0..=4 {
        let from: Place = format!("{from}.{passed}").parse().unwrap();
        assert_eq!(from.to_string().contains('.'), passed > 0);
        let mut feed = bench.core.changes(&bench.alice, "bbb", Some(from), "").await.unwrap();
        let mut found = Vec::new();
        while let Some(events) = feed.past().await.unwrap() {
            found.extend(events.events.into_iter().map(|event| event.key));
        }
        assert_eq!(found, [&keys[passed..], &["e"]].concat());
    }
}

#[tokio::test]
async fn who_may_not_read_hears_nothing_and_nobody_of_a_bucket_that_had_the_name_before() {
    let bench = Bench::new().await;
    let bob = Caller::of(AccessKey::new("secret", "bob"));
    let from = Some(Place::default());
    assert_eq!(code(bench.core.changes(&bob, "bbb", from, "").await), Some(Code::AccessDenied));
    assert_eq!(code(bench.core.changes(&bob, "ccc", from, "").await), Some(Code::NoSuchBucket));
    bench.put("secret", "of alice").await;
    bench.delete("secret", Which::Newest).await;
    bench.core.delete_bucket(&bench.alice, "bbb").await.unwrap();
    bench.core.create_bucket(&bob, "bbb", &AclWish::Default, ("", false)).await.unwrap();
    let feed = bench.core.changes(&bob, "bbb", from, "").await.unwrap();
    assert_eq!(all(feed).await, [""; 0]);
}

#[tokio::test]
async fn what_is_no_longer_kept_is_said_and_a_cursor_keeps_it() {
    let bench = Bench::new().await;
    let (core, alice) = (&bench.core, &bench.alice);
    for size in 1..=5 {
        bench.put("a", bytes(size)).await;
    }
    let last = bench.last().await;
    let future = Place { seen: last + 9, events: 0 };
    let too_early = core.changes(alice, "bbb", Some(future), "").await;
    assert_eq!(code(too_early), Some(Code::InvalidArgument));
    let place = Place { seen: last - 2, events: 0 };
    assert_eq!(core.cursor(alice, "bbb", "mirror", Some(place)).await.unwrap(), place);
    core.store.pack(At::Latest).await.unwrap();
    assert_eq!(code(bench.feed(1, "").await), Some(Code::ChangesExpired));
    // Where the cursor stands all after it is still there.
    assert_eq!(core.cursor(alice, "bbb", "mirror", None).await.unwrap(), place);
    assert_eq!(all(bench.feed(last - 2, "").await.unwrap()).await, ["a put 4", "a put 5"]);
    core.remove_cursor(alice, "bbb", "mirror").await.unwrap();
    core.store.pack(At::Latest).await.unwrap();
    assert_eq!(code(bench.feed(last - 2, "").await), Some(Code::ChangesExpired));
    // One that is not there is made where the store is now.
    let made = core.cursor(alice, "bbb", "mirror", None).await.unwrap();
    assert!(made.seen >= last && made.events == 0, "{made}");
    let bob = Caller::of(AccessKey::new("secret", "bob"));
    assert_eq!(code(core.cursor(&bob, "bbb", "m", None).await), Some(Code::AccessDenied));
    assert_eq!(code(core.remove_cursor(&bob, "bbb", "m").await), Some(Code::AccessDenied));
    for wrong in ["a/b", "ä", &"x".repeat(65)] {
        let refused = code(core.cursor(alice, "bbb", wrong, None).await);
        assert_eq!(refused, Some(Code::InvalidArgument), "{wrong}");
    }
}

#[tokio::test]
async fn who_waits_hears_of_what_another_server_does() {
    let bench = Bench::new().await;
    let other = bench.beside().await;
    let mut feed = bench.feed(bench.last().await, "").await.unwrap();
    assert_eq!(feed.past().await.unwrap(), None);
    let nothing = tokio::time::timeout(std::time::Duration::from_millis(100), feed.next()).await;
    assert!(nothing.is_err(), "{nothing:?}");
    let put = other.put("a", "1").await;
    let events = feed.next().await.unwrap();
    assert_eq!((events.events.len(), events.version), (1, Version(feed.place().seen)));
    assert_eq!((&events.events[0].object, events.events[0].kind), (&put, EventKind::Put));
}
