//! Readers among overwrites.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::{self, FusedFuture as _};
use storage_core::{Effect, ErrorKind, Get, Key, Object, PutIf, Result, StorageProvider, Version};
use tokio::task::JoinSet;

use super::handles;
use crate::{CaseResult, Context, Failure, ensure};

/// How large the bodies are, in bytes, about.
const BODY_BYTES: u64 = 1 << 20;
/// How large they are where two puts overlap.
const OVERLAPPING_BYTES: u64 = 100_000;
/// How many keys there are in a round; each is created once and overwritten.
const KEYS: usize = 3;
/// How often each key is put.
const PUTS: u8 = 10;
/// The most reads of a reader on a key.
const READS_MAX: usize = 60;
/// How often two puts overlap under the eyes of a reader.
const OVERLAPS: u8 = 16;
/// How often a put whose answer was lost is sent again: a server may answer 500 to one of two puts that
/// overlap, and that is no torn read.
const RESENDS_MAX: usize = 3;
/// The most reads while two puts overlap.
const READS_BETWEEN_MAX: usize = 20;

/// The body and version seen by a read of the whole, or only the part seen.
struct Seen {
    object: Object,
    whole: bool,
}

pub(super) async fn torn_read(context: &Context) -> CaseResult {
    let most = context.capabilities().object_bytes_max;
    let size = BODY_BYTES.min(most).min(context.settings().object_bytes_max_tested);
    between_steps(context, size.min(OVERLAPPING_BYTES)).await?;
    for number in context.rounds(KEYS) {
        let key = format!("{number:03}");
        on_one_key(context, &key, size).await.map_err(|it| it.during(format!("key {key}")))?;
    }
    Ok(())
}

/// One repeated byte; every body has a size of its own.
fn body_of(byte: u8, size: u64) -> Bytes {
    vec![byte; (size - size.min(u64::from(byte) * 1001) / 2) as usize].into()
}

/// Has two overlapping puts go on step by step, now one, now the other, and reads after each step. That
/// does not depend on luck: to a reader in another task a fast provider is hardly ever in the middle of a
/// put.
async fn between_steps(context: &Context, size: u64) -> CaseResult {
    let key = context.key("overlapping");
    let (one, two) = (context.handle(), context.other());
    put_of(one, &key, 0, size).await?;
    for round in 0..OVERLAPS {
        let put = |handle, byte| Box::pin(put_of(handle, &key, byte, size).fuse());
        let mut puts = [put(one, 2 * round + 1), put(two, 2 * round + 2)];
        let mut done = Vec::new();
        for read in 0..READS_BETWEEN_MAX {
            // The bits of the round say whose turn it is: all orders of four steps come up.
            let first = usize::from(round) >> (read % 4) & 1;
            let mut reading = pin!(two.get(&key, Get::whole()));
            let seen = future::poll_fn(|waker| {
                for at in [first, 1 - first] {
                    if let Poll::Ready(put) = puts[at].poll_unpin(waker) {
                        done.push(put);
                    }
                    if let Poll::Ready(seen) = reading.as_mut().poll(waker) {
                        return Poll::Ready(seen);
                    }
                    // A reader that must wait may be waiting for the other put.
                }
                Poll::Pending
            });
            is_of_one_put(seen.await?, size)?;
            if done.len() == puts.len() {
                break;
            }
        }
        for put in puts.into_iter().filter(|put| !put.is_terminated()) {
            done.push(put.await);
        }
        done.into_iter().collect::<Result<Vec<_>>>()?;
        is_of_one_put(one.get(&key, Get::whole()).await?, size)?;
    }
    Ok(())
}

/// Puts, and once more for each lost answer: either way the whole body is there or is not. Without a version
/// when an attempt is left whose version nobody knows.
async fn put_of(
    handle: &Arc<dyn StorageProvider>,
    key: &Key,
    byte: u8,
    size: u64,
) -> Result<Option<Version>> {
    let mut lost = false;
    for _ in 0..RESENDS_MAX {
        match handle.put(key, body_of(byte, size), PutIf::Always).await {
            Ok(version) => return Ok((!lost).then_some(version)),
            Err(error) if error.kind().is_transient() && error.effect() == Effect::Unknown => {
                lost = true;
            }
            Err(error) => return Err(error),
        }
    }
    handle.put(key, body_of(byte, size), PutIf::Always).await.map(|_| None)
}

fn is_of_one_put(object: Object, size: u64) -> CaseResult {
    let first = object.body.first().copied().unwrap_or_default();
    ensure!(
        object.body == body_of(first, size) && object.size == object.body.len() as u64,
        "expected the bytes of one of two overlapping puts, saw {} of a size of {}, which begin as put {first}",
        object.body.len(),
        object.size
    );
    Ok(())
}

async fn on_one_key(context: &Context, name: &str, size: u64) -> CaseResult {
    let key = context.key(name);
    let handles = handles(context).await?;
    let done = Arc::new(AtomicBool::new(false));
    let mut readers = JoinSet::new();
    for (reader, handle) in handles.iter().enumerate() {
        let (handle, key, done) = (handle.clone(), key.clone(), done.clone());
        readers.spawn(async move {
            let mut seen = Vec::new();
            for read in 0..READS_MAX {
                let whole = (reader + read) % 3 > 0;
                let request = if whole { Get::whole() } else { Get::range(size / 4..size / 2) };
                match handle.get(&key, request).await {
                    Ok(object) => seen.push(Seen { object, whole }),
                    Err(error) if error.kind() == ErrorKind::NotFound => {}
                    // A body smaller than the range starts.
                    Err(error) if error.kind() == ErrorKind::InvalidRange && !whole => {}
                    Err(error) => return Err(error),
                }
                if done.load(Ordering::SeqCst) {
                    break;
                }
                tokio::task::yield_now().await;
            }
            Ok(seen)
        });
    }
    let mut versions: BTreeMap<u8, Option<Version>> = BTreeMap::new();
    for byte in 1..=PUTS {
        let writer = &handles[usize::from(byte) % handles.len()];
        let version = put_of(writer, &key, byte, size).await?;
        versions.insert(byte, version);
    }
    done.store(true, Ordering::SeqCst);
    while let Some(seen) = readers.join_next().await {
        for Seen { object, whole } in seen.map_err(|error| Failure::new(error.to_string()))?? {
            let first = object.body.first().copied().unwrap_or_default();
            let other = object.body.iter().find(|byte| **byte != first);
            ensure!(
                other.is_none(),
                "expected the bytes of one put, saw those of put {first} and of put {}",
                other.unwrap_or(&0)
            );
            let Some(version) = versions.get(&first) else {
                return Err(Failure::new(format!(
                    "expected bytes that were put, saw {} bytes of {first}",
                    object.body.len()
                )));
            };
            let size_put = body_of(first, size).len() as u64;
            ensure!(
                object.size == size_put && (!whole || object.body.len() as u64 == size_put),
                "expected the {size_put} bytes of put {first}, saw {} and the size {}",
                object.body.len(),
                object.size
            );
            let Some(version) = version else { continue };
            ensure!(
                object.version == *version,
                "expected the version {version} with the bytes of put {first}, saw {}",
                object.version
            );
        }
    }
    Ok(())
}
