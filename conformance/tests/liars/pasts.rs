//! Stores that are wrong about the past, or about what is kept of it, on honest providers.

use std::sync::Arc;
use std::time::Duration;

use conformance::Hooks;
use conformance::store::{
    PastHandle, RealStores, Seen, SnapshotHandle, StoreHandle, StoreHook, TransactionHandle,
    WatchHandle,
};
use futures_util::TryStreamExt as _;
use storage_core::StorageProviderExt as _;
use storage_txn::{
    At, CollectOptions, Collected, Item, Options, Outcome, Receipt, Result, Revision, Scan,
    TransactionId, Version, Written,
};

use super::lie::Truth;
use super::prelude::{
    Bytes, Get, Key, List, Prefix, PutIf, StorageProvider, World, async_trait, shared,
};

liars! {
    times_are_exclusive: "store.history.time", past(TimesAreExclusive),
        "shows what was before a time, not what was at it: `WHERE committed < ?`";
    deletions_are_no_history: "store.history.key", past(ForgetsDeletions),
        "keeps the values that a key had and not that it was deleted: versions of objects without delete markers";
    undo_takes_all_with_it: "store.history.undo", past(UndoesOverOthers),
        "puts back what was before, whatever others have made of it since: restoring a backup of some keys";
    watch_shows_the_newest: "store.history.watch", past(WatchSkips),
        "shows the newest state when several commits came at once: a notification that is only a wake-up";
    watch_repeats: "store.history.watch", past(WatchRepeats),
        "shows a commit again after it was shown: at least once, sold as once (bookmarks of Kubernetes' watches)";
    tags_are_labels: "store.history.packed", past(TagsAreLabels),
        "keeps a tag and not what it names: an image tag whose layers were collected";
    packs_nothing: "store.history.packed", past(PacksNothing),
        "says that it has packed and keeps everything: a retention setting that nothing reads";
    pins_are_hints: "store.garbage.pinned", past(PinsAreHints),
        "answers a pin with a snapshot and tells nobody: snapshots that vacuum does not know of";
    stopped_collections_block: "store.garbage.interrupted", past(LeavesALock),
        "takes a lock to collect, and leaves it behind when it is stopped: `gc.pid`, unlock by hand (restic, borg)";
    values_go_with_their_first_key: "store.garbage.copies", past(CopiesDoNotCount),
        "deletes the bytes of a value when the key that was written first is deleted: owners in place of counts";
    reads_look_first: "store.cost.reads", past(ReadsLookFirst),
        "asks for the end of the log before each read: every read a round trip more than it needs";
    opens_by_reading_all: "store.cost.open", past(OpensByReadingAll),
        "reads the whole log to open: replay without checkpoints";
}

fn past(mistake: Mistake) -> World {
    shared(Truth).hooks(move |lying, _| Hooks {
        stores: lying.then(|| Arc::new(Pasts(mistake)) as Arc<dyn StoreHook>),
        ..Hooks::default()
    })
}

#[derive(Clone, Copy, PartialEq)]
enum Mistake {
    TimesAreExclusive,
    ForgetsDeletions,
    UndoesOverOthers,
    WatchSkips,
    WatchRepeats,
    TagsAreLabels,
    PacksNothing,
    PinsAreHints,
    LeavesALock,
    CopiesDoNotCount,
    ReadsLookFirst,
    OpensByReadingAll,
}

use Mistake::*;

type Honest = Arc<dyn StoreHandle>;

/// Opens stores with one mistake.
struct Pasts(Mistake);

#[derive(Clone)]
struct Past {
    honest: Honest,
    place: Arc<dyn StorageProvider>,
    mistake: Mistake,
}

#[async_trait]
impl StoreHook for Pasts {
    async fn init(&self, place: Arc<dyn StorageProvider>, options: Options) -> Result<Honest> {
        let honest = RealStores.init(place.clone(), options).await?;
        Ok(Arc::new(Past { honest, place, mistake: self.0 }))
    }

    async fn open(&self, place: Arc<dyn StorageProvider>, options: Options) -> Result<Honest> {
        let honest = RealStores.open(place.clone(), options).await?;
        let past = Past { honest, place, mistake: self.0 };
        if self.0 == OpensByReadingAll {
            for name in past.names("log/").await? {
                past.place.get(&name, Get::whole()).await?;
            }
        }
        Ok(Arc::new(past))
    }
}

impl Past {
    async fn names(&self, kind: &str) -> Result<Vec<Key>> {
        let prefix = Prefix::new(kind).expect("a word and a slash are a prefix");
        let listed = self.place.list_all(&prefix).map_ok(|listed| listed.key);
        Ok(listed.try_collect().await?)
    }

    fn lock(&self) -> Key {
        Key::new("lock/collect").expect("two words and a slash are a key")
    }

    async fn is_locked(&self) -> Result<bool> {
        let prefix = Prefix::new("lock/").expect("a word and a slash are a prefix");
        Ok(!self.place.list(List::new(&prefix).limit(1)).await?.objects.is_empty())
    }
}

#[async_trait]
impl StoreHandle for Past {
    fn begin(&self) -> Arc<dyn TransactionHandle> {
        self.honest.begin()
    }

    async fn snapshot(&self, at: At) -> Result<Arc<dyn SnapshotHandle>> {
        let at = match (self.mistake, at) {
            (TimesAreExclusive, At::Time(time)) => {
                At::Time(time.saturating_sub(Duration::from_micros(1)))
            }
            (_, at) => at,
        };
        let inner = self.honest.snapshot(at).await?;
        if self.mistake != ReadsLookFirst {
            return Ok(inner);
        }
        Ok(Arc::new(LooksFirst { inner, honest: self.honest.clone() }))
    }

    async fn outcome(&self, id: TransactionId) -> Result<Outcome> {
        self.honest.outcome(id).await
    }

    async fn flush(&self) -> Result<()> {
        self.honest.flush().await
    }

    async fn collect(&self, options: &CollectOptions) -> Result<Collected> {
        match self.mistake {
            LeavesALock => {
                if self.is_locked().await? {
                    return Ok(Collected::default());
                }
                self.place.put(&self.lock(), Bytes::new(), PutIf::Always).await?;
                let collected = self.honest.collect(options).await?;
                self.place.delete(&self.lock()).await?;
                Ok(collected)
            }
            CopiesDoNotCount => {
                let now = self.honest.snapshot(At::Latest).await?;
                if now.get_range("from", 0..1).await?.is_none() {
                    for name in self.names("value/").await? {
                        self.place.delete(&name).await?;
                    }
                }
                self.honest.collect(options).await
            }
            _ => self.honest.collect(options).await,
        }
    }

    fn past(&self) -> Arc<dyn PastHandle> {
        Arc::new(self.clone())
    }
}

#[async_trait]
impl PastHandle for Past {
    async fn history(&self, key: &str) -> Result<Vec<Revision>> {
        let mut revisions = self.honest.past().history(key).await?;
        if self.mistake == ForgetsDeletions {
            revisions.retain(|revision| revision.written != Written::Deleted);
        }
        Ok(revisions)
    }

    async fn undo(&self, version: Version) -> Result<Receipt> {
        let refused = match self.honest.past().undo(version).await {
            Err(refused) if self.mistake == UndoesOverOthers => refused,
            answer => return answer,
        };
        let before = Version(version.0 - 1);
        let then = self.honest.snapshot(At::Version(before)).await?;
        let now = self.honest.snapshot(At::Latest).await?;
        let tx = self.honest.begin();
        for item in now.scan(&Scan::new(..)).await? {
            let key = String::from_utf8_lossy(&item.key);
            match then.get_versioned(&key).await? {
                Some((_, value)) => tx.put(&key, value)?,
                None => tx.delete(&key)?,
            }
        }
        tx.commit().await.map_err(|_| refused)
    }

    fn watch(&self, since: Version) -> Box<dyn WatchHandle> {
        let inner = self.honest.past().watch(since);
        Box::new(WrongWatch { inner, mistake: self.mistake, number: 0, last: None })
    }

    async fn tag(&self, name: &str, version: Version) -> Result<()> {
        if self.mistake == TagsAreLabels {
            return Ok(());
        }
        self.honest.past().tag(name, version).await
    }

    async fn pin(&self, at: At, time: Duration) -> Result<Arc<dyn SnapshotHandle>> {
        if self.mistake == PinsAreHints {
            return self.honest.snapshot(at).await;
        }
        self.honest.past().pin(at, time).await
    }

    async fn pack(&self, before: At) -> Result<Version> {
        if self.mistake == PacksNothing {
            return Ok(self.honest.snapshot(before).await?.version());
        }
        self.honest.past().pack(before).await
    }
}

/// Leaves out, or shows again, each fifth.
struct WrongWatch {
    inner: Box<dyn WatchHandle>,
    mistake: Mistake,
    number: usize,
    last: Option<Seen>,
}

#[async_trait]
impl WatchHandle for WrongWatch {
    async fn next(&mut self) -> Result<Seen> {
        self.number += 1;
        let fifth = self.number.is_multiple_of(5);
        if let Some(last) = self.last.take_if(|_| fifth && self.mistake == WatchRepeats) {
            return Ok(last);
        }
        if fifth && self.mistake == WatchSkips {
            self.inner.next().await?;
        }
        let seen = self.inner.next().await?;
        self.last = Some(seen.clone());
        Ok(seen)
    }
}

struct LooksFirst {
    inner: Arc<dyn SnapshotHandle>,
    honest: Honest,
}

#[async_trait]
impl SnapshotHandle for LooksFirst {
    fn version(&self) -> Version {
        self.inner.version()
    }

    async fn get_versioned(&self, key: &str) -> Result<Option<(Version, Bytes)>> {
        self.honest.snapshot(At::Latest).await?;
        self.inner.get_versioned(key).await
    }

    async fn get_range(&self, key: &str, range: std::ops::Range<u64>) -> Result<Option<Bytes>> {
        self.inner.get_range(key, range).await
    }

    async fn get_stream(&self, key: &str) -> Result<Option<Vec<Bytes>>> {
        self.inner.get_stream(key).await
    }

    async fn scan(&self, scan: &Scan) -> Result<Vec<Item>> {
        self.inner.scan(scan).await
    }
}
