//! Readers among overwrites.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use storage_core::{ErrorKind, Get, Object, PutIf, Version};
use tokio::task::JoinSet;

use super::handles;
use crate::{CaseResult, Context, Failure, ensure};

/// How large the bodies are, in bytes, about.
const BODY_BYTES: u64 = 1 << 20;
/// How many keys there are in a round; each is created once and overwritten.
const KEYS: usize = 3;
/// How often each key is put.
const PUTS: u8 = 10;
/// The most reads of a reader on a key.
const READS_MAX: usize = 60;

/// The body and version seen by a read of the whole, or only the part seen.
struct Seen {
    object: Object,
    whole: bool,
}

pub(super) async fn torn_read(context: &Context) -> CaseResult {
    let most = context.capabilities().object_bytes_max;
    let size = BODY_BYTES.min(most).min(context.settings().object_bytes_max_tested);
    for number in 0..context.rounds(KEYS) {
        let key = format!("{number:03}");
        on_one_key(context, &key, size).await.map_err(|it| it.during(format!("key {key}")))?;
    }
    Ok(())
}

/// One repeated byte; every body has a size of its own.
fn body_of(byte: u8, size: u64) -> Bytes {
    vec![byte; (size - size.min(u64::from(byte) * 1001) / 2) as usize].into()
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
    let mut versions: BTreeMap<u8, Version> = BTreeMap::new();
    for byte in 1..=PUTS {
        let writer = &handles[usize::from(byte) % handles.len()];
        let version =
            context.resend(|| writer.put(&key, body_of(byte, size), PutIf::Always)).await?;
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
            ensure!(
                object.version == *version,
                "expected the version {version} with the bytes of put {first}, saw {}",
                object.version
            );
        }
    }
    Ok(())
}
