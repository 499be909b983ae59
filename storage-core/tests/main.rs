//! The sealed extension, driven through a provider that answers by script.

#![allow(clippy::unwrap_used, reason = "a test may stop at what cannot be")]

use std::collections::VecDeque;
use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use backend_memory::MemoryProvider;
use bytes::Bytes;
use futures_executor::block_on;
use futures_util::{StreamExt, TryStreamExt};
use storage_core::{
    Created, Effect, Error, ErrorKind, Get, Key, List, Listed, Object, Page, Prefix, ProviderInfo,
    PutIf, Result, StorageProvider, StorageProviderExt, Version, async_trait,
};

/// What becomes of one put or get.
#[derive(Debug, Clone, Copy)]
enum Fate {
    /// It goes through.
    Pass,
    /// It is applied, and the answer is lost.
    Lose,
    /// It is not applied, nobody can tell, and it stays that way.
    Vanish,
    /// It is refused before it is applied.
    Throttle,
    /// Nobody can tell, and it is applied when the next operation has been.
    Delay,
    /// Before it, somebody else puts `theirs`.
    Overtake,
}

/// A memory provider whose puts and gets meet the fates of a script; after its end all pass.
#[derive(Debug, Default)]
struct Scripted {
    inner: MemoryProvider,
    fates: Mutex<VecDeque<Fate>>,
    delayed: Mutex<Option<(Key, Bytes)>>,
    requests: AtomicUsize,
}

impl Scripted {
    fn new(fates: &[Fate]) -> Self {
        Self { fates: Mutex::new(fates.iter().copied().collect()), ..Self::default() }
    }

    async fn meet<T>(
        &self,
        key: &Key,
        body: Option<&Bytes>,
        operation: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let lost = || Err(Error::unknown(ErrorKind::Unavailable, "the answer was lost"));
        let due = self.delayed.lock().unwrap().take();
        let fate = self.fates.lock().unwrap().pop_front().unwrap_or(Fate::Pass);
        let result = match fate {
            Fate::Pass => operation.await,
            Fate::Lose => {
                let _ = operation.await;
                lost()
            }
            Fate::Vanish => lost(),
            Fate::Throttle => Err(Error::not_applied(ErrorKind::Throttled, "slow down")),
            Fate::Delay => {
                *self.delayed.lock().unwrap() = body.map(|body| (key.clone(), body.clone()));
                lost()
            }
            Fate::Overtake => {
                self.inner.put(key, "theirs".into(), PutIf::Absent).await?;
                operation.await
            }
        };
        if let Some((key, body)) = due {
            let _ = self.inner.put(&key, body, PutIf::Absent).await;
        }
        result
    }
}

#[async_trait]
impl StorageProvider for Scripted {
    fn info(&self) -> ProviderInfo {
        self.inner.info()
    }
    async fn put(&self, key: &Key, body: Bytes, when: PutIf) -> Result<Version> {
        self.meet(key, Some(&body), self.inner.put(key, body.clone(), when)).await
    }
    async fn get(&self, key: &Key, request: Get) -> Result<Object> {
        self.meet(key, None, self.inner.get(key, request)).await
    }
    async fn list(&self, request: List<'_>) -> Result<Page> {
        self.inner.list(request).await
    }
    async fn delete(&self, key: &Key) -> Result<()> {
        self.meet(key, None, self.inner.delete(key)).await
    }
}

/// What [`StorageProviderExt::create_exact`] says, in a word.
fn verdict(result: &Result<Created>) -> String {
    match result {
        Ok(Created::Ours(_)) => "ours".into(),
        Ok(Created::Taken(object)) => String::from_utf8_lossy(&object.body).into_owned(),
        Err(error) => format!("{} {:?}", error.kind(), error.effect()),
    }
}

#[test]
fn create_exact_tells_its_own_write_from_another_whatever_is_lost() {
    use Fate::{Delay, Lose, Overtake, Pass, Throttle, Vanish};
    let cases: &[(&[Fate], &str, usize)] = &[
        // fates of put, get, put, get ...; verdict; requests
        (&[Pass], "ours", 1),
        (&[Lose], "ours", 2),
        (&[Vanish], "ours", 3),
        (&[Overtake], "theirs", 2),
        (&[Vanish, Pass, Overtake], "theirs", 4),
        // A lost put lands only after the read-back saw nothing: the second put finds it, as ours.
        (&[Delay, Pass, Pass], "ours", 4),
        // Somebody else is first, and what was on its way lands on theirs: it never will be ours.
        (&[Delay, Overtake], "theirs", 2),
        (&[Throttle], "throttled NotApplied", 1),
        (&[Vanish, Pass, Throttle], "throttled Unknown", 3),
        (&[Lose, Throttle], "throttled Unknown", 2),
        (
            &[Vanish, Pass, Vanish, Pass, Vanish, Pass, Vanish, Pass, Vanish, Pass],
            "unavailable Unknown",
            10,
        ),
    ];
    for (fates, expected, requests) in cases {
        let provider = Scripted::new(fates);
        let key = Key::new("slot").unwrap();
        let result = block_on(provider.create_exact(&key, "ours".into()));
        assert_eq!(verdict(&result), *expected, "{fates:?}");
        assert_eq!(provider.requests.load(Ordering::Relaxed), *requests, "{fates:?}");
        // Whatever was said holds: asking again with the same bytes agrees.
        if let Ok(created) = &result {
            let again = block_on(provider.create_exact(&key, "ours".into()));
            assert_eq!(
                matches!(again, Ok(Created::Ours(_))),
                matches!(created, Created::Ours(_)),
                "{fates:?} asked again"
            );
        }
    }
}

#[test]
fn a_tombstone_fences_off_a_write_that_is_still_on_its_way() {
    let provider = Scripted::new(&[Fate::Delay]);
    let key = Key::new("slot").unwrap();
    let lost = block_on(provider.put(&key, "late".into(), PutIf::Absent)).unwrap_err();
    assert_eq!(lost.effect(), Effect::Unknown);
    let fence = block_on(provider.create_exact(&key, "tombstone".into()));
    assert_eq!(verdict(&fence), "ours");
    let found = block_on(provider.get(&key, Get::whole())).unwrap();
    assert_eq!(&found.body[..], b"tombstone", "the late write has landed on the fence");
}

#[test]
fn delete_many_goes_on_after_a_failure_and_names_it() {
    let provider = Scripted::new(&[Fate::Pass, Fate::Pass, Fate::Pass, Fate::Throttle]);
    let keys: Vec<Key> = ["a", "b", "c"].iter().map(|name| Key::new(name).unwrap()).collect();
    for key in &keys {
        block_on(provider.put(key, Bytes::new(), PutIf::Always)).unwrap();
    }
    let error = block_on(provider.delete_many(keys.clone())).unwrap_err();
    let failed: Vec<_> = error.failures.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(failed, ["a"]);
    assert_eq!(error.to_string(), "1 of the deletes failed, one with: throttled: slow down");
    let left = block_on(provider.list(List::new(&Prefix::all()))).unwrap().objects;
    assert_eq!(left.len(), 1);
    block_on(provider.delete_many(keys)).unwrap();
}

/// A provider of lists only, each page made by a function of `start_after`.
struct Pages(fn(Option<&Key>) -> Page);

impl fmt::Debug for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pages")
    }
}

#[async_trait]
impl StorageProvider for Pages {
    fn info(&self) -> ProviderInfo {
        MemoryProvider::new().info()
    }
    async fn put(&self, _: &Key, _: Bytes, _: PutIf) -> Result<Version> {
        unreachable!("lists only")
    }
    async fn get(&self, _: &Key, _: Get) -> Result<Object> {
        unreachable!("lists only")
    }
    async fn list(&self, request: List<'_>) -> Result<Page> {
        Ok((self.0)(request.start_after))
    }
    async fn delete(&self, _: &Key) -> Result<()> {
        unreachable!("lists only")
    }
}

#[test]
fn a_walk_ends_with_corrupt_when_pages_do_not_move_on() {
    let cases: &[fn(Option<&Key>) -> Page] = &[
        |_| Page { objects: Vec::new(), more: true },
        |_| Page { objects: vec![Listed { key: Key::new("a").unwrap(), size: 0 }], more: true },
    ];
    for pages in cases {
        let provider = Pages(*pages);
        let walk = block_on(provider.list_all(&Prefix::all()).take(10).collect::<Vec<_>>());
        let last = walk.last().unwrap().as_ref().unwrap_err();
        assert_eq!(last.kind(), ErrorKind::Corrupt);
    }
}

#[test]
fn a_walk_crosses_pages_and_can_be_taken_up_again() {
    let provider = MemoryProvider::new();
    let names: Vec<String> = (0..25_000).map(|n| format!("k/{n:05}")).collect();
    for name in &names {
        block_on(provider.put(&Key::new(name).unwrap(), Bytes::new(), PutIf::Always)).unwrap();
    }
    let prefix = Prefix::new("k/").unwrap();
    let listed = |after: Option<&Key>| -> Vec<String> {
        block_on(
            provider
                .list_all_after(&prefix, after)
                .map_ok(|object| object.key.to_string())
                .try_collect(),
        )
        .unwrap()
    };
    assert_eq!(listed(None), names);
    assert_eq!(listed(Some(&Key::new("k/12344").unwrap())), names[12_345..]);
}
