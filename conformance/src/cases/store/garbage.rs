//! What is deleted once nothing needs it, and what is not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use storage_core::{
    Error, ErrorKind as StorageErrorKind, Get, Key, List, Listed, Object, Page, Prefix,
    ProviderInfo, PutIf, StorageProvider, StorageProviderExt as _, Version as ObjectVersion,
    async_trait,
};
use storage_txn::{At, CollectOptions, ErrorKind, Item, Options, Scan, Version};

use super::{Handle, handles, is_log, latest, open, place, put, seen, stores};
use crate::{CaseResult, Context, Failure, ensure};

/// How often something is put and flushed.
const ROUNDS: usize = 5;
/// How large a value is, so that entries of the log can be told from what stands in their place.
const VALUE_BYTES: usize = 1500;
/// Too much to be inline.
const UPLOAD_BYTES: usize = 100_000;
/// More than a tombstone has.
const TOMBSTONE_BYTES_MAX: u64 = 200;

/// Leaves nothing for later.
fn at_once() -> CollectOptions {
    let mut options = CollectOptions::default();
    (options.grace, options.session_grace) = (Duration::ZERO, Duration::ZERO);
    options
}

async fn fill(store: &Handle, key: &str) -> Result<(), Failure> {
    for round in 0..ROUNDS {
        put(store, key, &format!("{round} {}", "x".repeat(VALUE_BYTES))).await?;
        store.flush().await?;
    }
    Ok(())
}

async fn objects(context: &Context, kind: &str) -> Result<Vec<Listed>, Failure> {
    let place = place(context, context.handle().clone(), "s")?;
    let prefix = Prefix::new(kind).map_err(|problem| Failure::new(problem.to_string()))?;
    Ok(place.list_all(&prefix).try_collect().await?)
}

pub(super) async fn used_slots(context: &Context) -> CaseResult {
    let [store, sleeper, other]: [Handle; 3] = handles(context).await?;
    for conflict in [false, true] {
        let what = if conflict { "with a conflict" } else { "without a conflict" };
        latest(&sleeper).await?;
        let tx = sleeper.begin();
        tx.get(if conflict { "x" } else { "y" }).await?;
        tx.put("slept", Bytes::from_static(what.as_bytes()))?;
        fill(&store, "x").await?;
        store.collect(&at_once()).await?;
        let last = latest(&other).await?.version();
        let result = tx.commit().await;
        let opened = open(context, "s").await?;
        if conflict {
            let error = match result {
                Ok(receipt) => {
                    let version = receipt.version;
                    return Err(Failure::new(format!(
                        "{what}: expected `Conflict`, saw it committed as version {version}"
                    )));
                }
                Err(error) => error,
            };
            ensure!(
                error.kind() == ErrorKind::Conflict,
                "{what}: expected `Conflict`, saw {error}"
            );
            continue;
        }
        let version = result.map_err(|error| Failure::from(error).during(what))?.version;
        ensure!(
            version > last,
            "{what}: expected a version after {last}, the last there was, saw {version}"
        );
        for (who, handle) in [("another handle", &other), ("one opened later", &opened)] {
            let found = seen(&latest(handle).await?, "slept").await?;
            ensure!(found == what, "{what}: expected {who} to see it, saw {found:?}");
        }
    }
    Ok(())
}

pub(super) async fn collected(context: &Context) -> CaseResult {
    if context.lists_lag() {
        return Err(context.skip("lists that lag do not tell what is left"));
    }
    let [store, other]: [Handle; 2] = handles(context).await?;
    let mut states: Vec<(Version, Vec<Item>)> = Vec::new();
    for round in 0..ROUNDS {
        let tx = store.begin();
        tx.put(&format!("k/{}", round % 3), Bytes::from(vec![round as u8; VALUE_BYTES]))?;
        tx.put("k/round", Bytes::from(round.to_string()))?;
        if round % 4 == 3 {
            tx.delete(&format!("k/{}", (round + 1) % 3))?;
        }
        let version = tx.commit().await?.version;
        store.flush().await?;
        states.push((version, items(&store, version).await?));
    }
    let opened_before = open(context, "s").await?;
    let said = store.collect(&at_once()).await?;
    ensure!(
        said.entries > 0 && said.checkpoints > 0,
        "expected entries and checkpoints to be collected, was told of {said:?}"
    );
    let opened = open(context, "s").await.map_err(|failure| failure.during("opening it after"))?;
    let all = [
        ("the one that collected", &store),
        ("another", &other),
        ("one opened before", &opened_before),
        ("one opened later", &opened),
    ];
    for (who, handle) in all {
        latest(handle).await.map_err(|error| Failure::from(error).during(who))?;
        for (version, expected) in &states {
            let found = items(handle, *version).await.map_err(|failure| {
                failure.during(format!("version {version} through the handle {who}"))
            })?;
            ensure!(
                found == *expected,
                "version {version} through the handle {who}: expected {} keys as they were, saw {}",
                expected.len(),
                found.len()
            );
        }
    }
    let checkpoints = objects(context, "checkpoint/").await?.len();
    ensure!(checkpoints == 2, "expected 2 checkpoints to be left, saw {checkpoints}");
    for voter in 0..context.hooks().voters {
        let cells = objects(context, &format!("voter{voter}/quorum/")).await?;
        let entries = cells.iter().filter(|listed| listed.size > VALUE_BYTES as u64).count();
        ensure!(
            entries <= 2,
            "expected all but the last entries of voter {voter} to be tombstones, saw {entries} with values in {} cells",
            cells.len()
        );
    }
    if context.hooks().voters > 0 {
        return Ok(());
    }
    let log = objects(context, "log/").await?;
    let entries = log.iter().filter(|listed| listed.size > VALUE_BYTES as u64).count();
    let small = log.iter().filter(|listed| listed.size < TOMBSTONE_BYTES_MAX).count();
    ensure!(
        entries <= 2 && small >= ROUNDS,
        "expected all but the last entries of the log to be tombstones, saw {small} small ones and {entries} with \
         values in {} slots",
        log.len()
    );
    let slots = log.last().map(|listed| listed.key.as_str().to_owned()).unwrap_or_default();
    ensure!(
        slots == format!("log/{:016x}", log.len()),
        "expected every slot to be there still, saw {} up to {slots}",
        log.len()
    );
    Ok(())
}

async fn items(store: &Handle, version: Version) -> Result<Vec<Item>, Failure> {
    let snapshot = store.snapshot(At::Version(version)).await?;
    Ok(snapshot.scan(&Scan::new("k/".."k0")).await?)
}

pub(super) async fn uploads(context: &Context) -> CaseResult {
    if context.lists_lag() {
        return Err(context.skip("lists that lag do not tell what is left"));
    }
    let [store]: [Handle; 1] = handles(context).await?;
    for reaped in [false, true] {
        let lost = Arc::new(LosesCommits {
            inner: place(context, context.open().await?, "s")?,
            on: AtomicBool::new(false),
        });
        let mut options = Options::default();
        options.commit_time_max = Duration::ZERO;
        let suspect = stores(context).open(lost.clone(), options).await?;
        put(&suspect, "committed", "before").await?;
        let before = objects(context, "segment/").await?.len();
        lost.on.store(true, Ordering::Relaxed);
        let unknown = suspect.flush().await;
        ensure!(
            matches!(
                unknown.as_ref().map_err(storage_txn::Error::kind),
                Err(ErrorKind::CommitUnknown(_))
            ),
            "a flush whose commit is lost: expected `CommitUnknown`, saw {unknown:?}"
        );
        let left = objects(context, "segment/").await?.len();
        ensure!(left == before + 1, "expected one segment more than {before}, saw {left}");
        // What others have not seen of it is shut out when its slot is taken. Not before can it be let through: a log on a
        // quorum goes on with what it could not get done, and then names the segment after all.
        put(&store, "between", "there").await?;
        lost.on.store(false, Ordering::Relaxed);
        let upload = suspect.begin();
        upload.put_stream("uploaded", vec![vec![7; UPLOAD_BYTES].into()]).await?;
        let options = if reaped { at_once() } else { CollectOptions::default() };
        let said = store.collect(&options).await?;
        let left = objects(context, "segment/").await?.len();
        let uploads = objects(context, "value/").await?.len();
        latest(&suspect).await?;
        let committed = upload.commit().await;
        if reaped {
            // The one of the round before has left something too.
            ensure!(
                said.sessions_reaped == 2 && said.segments == 2 && left + 1 == before,
                "two sessions that were still: expected them to be reaped and their two segments deleted, was told of \
                 {said:?} and saw {left} segments after {before}"
            );
            ensure!(
                uploads == 1,
                "expected the value that nobody names to be deleted, saw {uploads}"
            );
            let Err(error) = committed else {
                return Err(Failure::new(
                    "what a session uploaded before it was reaped was committed",
                ));
            };
            ensure!(
                error.kind() == ErrorKind::SessionReaped,
                "a commit of what was uploaded before the reaping: expected `SessionReaped`, saw {error}"
            );
        } else {
            ensure!(
                said.sessions_reaped == 0 && left == before + 1,
                "a session at work: expected it to be left alone, was told of {said:?} and saw {left} segments after \
                 {before} and one unnamed"
            );
            committed.map_err(|error| Failure::from(error).during("a session at work"))?;
        }
        let going_on = async {
            put(&suspect, "committed", "after").await?;
            suspect.flush().await
        };
        going_on.await.map_err(|error| Failure::from(error).during("the same handle after it"))?;
        let expected = "after";
        for handle in [&store, &suspect, &open(context, "s").await?] {
            let found = seen(&latest(handle).await?, "committed").await?;
            ensure!(found == expected, "expected {expected:?}, saw {found:?}");
        }
    }
    Ok(())
}

/// While it is on, puts of the log are lost, and nobody can tell.
#[derive(Debug)]
struct LosesCommits {
    inner: Arc<dyn StorageProvider>,
    on: AtomicBool,
}

impl LosesCommits {
    fn loses(&self, key: &Key) -> bool {
        self.on.load(Ordering::Relaxed) && is_log(key.as_str())
    }
}

#[async_trait]
impl StorageProvider for LosesCommits {
    fn info(&self) -> ProviderInfo {
        self.inner.info()
    }

    async fn put(
        &self,
        key: &Key,
        body: Bytes,
        when: PutIf,
    ) -> storage_core::Result<ObjectVersion> {
        if self.loses(key) {
            return Err(Error::unknown(StorageErrorKind::Unavailable, "the answer is lost"));
        }
        self.inner.put(key, body, when).await
    }

    async fn get(&self, key: &Key, request: Get) -> storage_core::Result<Object> {
        if self.loses(key) {
            return Err(Error::not_applied(StorageErrorKind::Unavailable, "the answer is lost"));
        }
        self.inner.get(key, request).await
    }

    async fn list(&self, request: List<'_>) -> storage_core::Result<Page> {
        self.inner.list(request).await
    }

    async fn delete(&self, key: &Key) -> storage_core::Result<()> {
        self.inner.delete(key).await
    }
}
