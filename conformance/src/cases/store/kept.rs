//! What collections must leave, and what they must not: pins, copies, and what one that was stopped has begun.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use storage_core::{
    Error, ErrorKind as StorageErrorKind, Get, Key, List, Object, Page, Prefix, ProviderInfo,
    PutIf, StorageProvider, StorageProviderExt as _, Version as ObjectVersion, async_trait,
};
use storage_txn::{At, CollectOptions, Options, Version};

use super::{Handle, Tx, handles, latest, open, place, put, same, seen, stores, transact, voters};
use crate::{CaseResult, Context, Failure, ensure};

/// How many versions there are, each flushed.
const ROUNDS: usize = 5;
/// Larger than what is kept inline.
const LARGE_BYTES: usize = 100_000;
/// For how long a pin holds: longer than the case takes.
const HELD: Duration = Duration::from_secs(3600);
/// After how many puts and deletes a collection must have come to its end.
const CHANGES_MAX: u64 = 60;

/// Leaves nothing for later.
fn at_once() -> CollectOptions {
    let mut options = CollectOptions::default();
    (options.grace, options.session_grace) = (Duration::ZERO, Duration::ZERO);
    options
}

/// A key of many versions, each in a segment, and then packed.
async fn fill(store: &Handle) -> Result<Vec<Version>, Failure> {
    let mut versions = Vec::new();
    for round in 0..ROUNDS {
        versions.push(put(store, "x", &round.to_string()).await?.version);
        store.flush().await?;
    }
    Ok(versions)
}

/// The names of objects that hold data.
async fn objects(context: &Context, name: &str) -> Result<Vec<String>, Failure> {
    let place = place(context, context.handle().clone(), name)?;
    let mut names = Vec::new();
    for kind in ["checkpoint/", "segment/", "session/", "value/"] {
        let prefix = Prefix::new(kind).map_err(|problem| Failure::new(problem.to_string()))?;
        let listed = place.list_all(&prefix).map_ok(|listed| listed.key.as_str().to_owned());
        names.extend(listed.try_collect::<Vec<_>>().await?);
    }
    Ok(names)
}

pub(super) async fn pinned(context: &Context) -> CaseResult {
    if context.lists_lag() {
        return Err(context.skip("lists that lag do not tell which pins there are"));
    }
    let [reader, other]: [Handle; 2] = handles(context).await?;
    let versions = fill(&other).await?;
    latest(&reader).await?;
    let held = reader.past().pin(At::Version(versions[1]), HELD).await?;
    for round in 0..2 {
        latest(&other).await?;
        let horizon = other.past().pack(At::Latest).await?;
        ensure!(
            horizon == versions[1],
            "packing all, with version {} pinned: expected it to end there, saw the horizon at {horizon}",
            versions[1]
        );
        other.collect(&at_once()).await?;
        same("what was pinned", "1", &seen(&held, "x").await?)?;
        for handle in [&other, &open(context, "s").await?] {
            let then = handle.snapshot(At::Version(versions[1])).await?;
            same("what was pinned, through another handle", "1", &seen(&then, "x").await?)?;
        }
        put(&other, "x", &format!("later {round}")).await?;
    }
    Ok(())
}

pub(super) async fn interrupted(context: &Context) -> CaseResult {
    if context.lists_lag() {
        return Err(context.skip("lists that lag do not tell what is left"));
    }
    let mut after = 0;
    loop {
        let name = format!("s{after}");
        let at = place(context, context.handle().clone(), &name)?;
        let store = stores(context).init(at, Options::default()).await?;
        let versions = fill(&store).await?;
        store.past().pack(At::Version(versions[ROUNDS - 2])).await?;
        let fuse = Arc::new(Fuse {
            inner: place(context, context.open().await?, &name)?,
            left: AtomicU64::new(u64::MAX),
        });
        let stopped = stores(context).open(fuse.clone(), Options::default()).await?;
        fuse.left.store(after, Ordering::Relaxed);
        let ended = stopped.collect(&at_once()).await.is_ok();
        drop(stopped);
        let what = format!("stopped after {after} puts and deletes");
        let handles = [store.clone(), open(context, &name).await?];
        for handle in &handles {
            latest(handle).await.map_err(|error| Failure::from(error).during(&what))?;
            for (number, version) in versions.iter().enumerate().skip(ROUNDS - 2) {
                let then = handle.snapshot(At::Version(*version)).await?;
                same(&what, &number.to_string(), &seen(&then, "x").await?)?;
            }
        }
        for _ in 0..2 {
            handles[1].collect(&at_once()).await?;
        }
        let left = objects(context, &name).await?;
        let count = |kind: &str| left.iter().filter(|name| name.starts_with(kind)).count();
        // The present, and the one version before it that is kept.
        ensure!(
            count("checkpoint/") == 2 && count("segment/") <= 2 && count("value/") == 0,
            "{what}: expected the next collection to leave two checkpoints and at most two segments, saw {left:?}"
        );
        if ended {
            return Ok(());
        }
        after += 1;
        ensure!(
            after < CHANGES_MAX * voters(context),
            "a collection of a small store has made {after} puts and deletes"
        );
    }
}

pub(super) async fn copies(context: &Context) -> CaseResult {
    if context.lists_lag() {
        return Err(context.skip("lists that lag do not tell what is left"));
    }
    let [store, other]: [Handle; 2] = handles(context).await?;
    let value = Bytes::from("0123456789".repeat(LARGE_BYTES / 10));
    transact(&store, async |tx: Tx| tx.put_stream("from", vec![value.clone()]).await.map(drop))
        .await?;
    transact(&store, async |tx: Tx| tx.copy("from", "to").await.map(drop)).await?;
    let check = async |key: &str, expected: bool| {
        for handle in [&store, &other, &open(context, "s").await?] {
            let found = latest(handle).await?.get_stream(key).await?.map(|all| all.concat());
            ensure!(
                found.as_deref() == expected.then_some(&value[..]),
                "{key}: expected {} bytes, saw {:?}",
                if expected { value.len() } else { 0 },
                found.map(|bytes| bytes.len())
            );
        }
        Ok::<_, Failure>(())
    };
    for (deleted, copy_is_left) in [("from", true), ("to", false)] {
        transact(&store, async |tx: Tx| tx.delete(deleted)).await?;
        store.collect(&at_once()).await?;
        let left = objects(context, "s").await?;
        ensure!(
            left.iter().any(|name| name.starts_with("value/")),
            "{deleted} deleted and still in the history: expected its bytes to be there, saw {left:?}"
        );
        store.past().pack(At::Latest).await?;
        for _ in 0..2 {
            store.collect(&at_once()).await?;
        }
        check(deleted, false).await?;
        check("to", copy_is_left).await?;
        let left = objects(context, "s").await?;
        ensure!(
            left.iter().any(|name| name.starts_with("value/")) == copy_is_left,
            "{deleted} deleted and packed away: expected the bytes to be {}, saw {left:?}",
            if copy_is_left { "there for the copy" } else { "gone" }
        );
    }
    Ok(())
}

/// After so many puts and deletes, no request reaches the provider.
#[derive(Debug)]
struct Fuse {
    inner: Arc<dyn StorageProvider>,
    left: AtomicU64,
}

impl Fuse {
    /// Takes `changes` off what is left.
    fn burn(&self, changes: u64) -> storage_core::Result<()> {
        let take = |left: u64| left.checked_sub(changes).filter(|_| left > 0);
        match self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take) {
            Ok(_) => Ok(()),
            Err(_) => {
                let kind = StorageErrorKind::PermissionDenied;
                Err(Error::not_applied(kind, "the process has ended"))
            }
        }
    }
}

#[async_trait]
impl StorageProvider for Fuse {
    fn info(&self) -> ProviderInfo {
        self.inner.info()
    }

    async fn put(
        &self,
        key: &Key,
        body: Bytes,
        when: PutIf,
    ) -> storage_core::Result<ObjectVersion> {
        self.burn(1)?;
        self.inner.put(key, body, when).await
    }

    async fn get(&self, key: &Key, request: Get) -> storage_core::Result<Object> {
        self.burn(0)?;
        self.inner.get(key, request).await
    }

    async fn list(&self, request: List<'_>) -> storage_core::Result<Page> {
        self.burn(0)?;
        self.inner.list(request).await
    }

    async fn delete(&self, key: &Key) -> storage_core::Result<()> {
        self.burn(1)?;
        self.inner.delete(key).await
    }
}
