//! Liars about whether it happened.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use storage_core::Effect;

use super::prelude::*;

liars! {
    lost_answer_is_not_applied: "lost.trait.linearizable", shared(LostAnswers { says: Effect::NotApplied, count: AtomicU64::new(0) }),
        "calls a put failed whose answer was lost, although it was done: every client with two outcomes only (iceberg#2328, redpanda connect#4666)";
    busy_but_created: "put.absent.present", shared(BusyButApplied::new(|when| *when == PutIf::Absent)),
        "answers a creation with `busy, not applied` after it has created: a 409 sent while the write goes on";
    busy_but_replaced: "put.matches.current",
        shared(BusyButApplied::new(|when| matches!(when, PutIf::Matches(_)))),
        "answers a compare-and-swap with `busy, not applied` after it has swapped: a 429 from a proxy behind the write";
    busy_but_overwritten: "lost.trait.linearizable", shared(BusyButApplied::new(|when| *when == PutIf::Always)),
        "answers an overwrite with `busy, not applied` after it has overwritten: a 503 taken for a refusal";
    own_write_is_conflict: "lost.trait.retry", shared(OwnWriteConflicts::default()),
        "loses an answer, sends the put again and reports its own write as a conflict: object_store's retries, aws-sdk-java-v2#6580, delta-rs#2279";
    refused_write_is_read_back: "lost.trait.create-exact", each(WrittenThrough::default),
        "answers reads with what it has sent, also when that was refused: a write-through cache filled too early";
    lost_answer_is_repeated: "put.matches.counter", shared(Repeats),
        "repeats a compare-and-swap by reading the new version first: \"retry with the fresh ETag\" inside the client";
}

/// Loses the answer of every eleventh put, and says this about its effect.
struct LostAnswers {
    says: Effect,
    count: AtomicU64,
}

#[async_trait]
impl Lie for LostAnswers {
    async fn put(
        &self,
        honest: &MemoryProvider,
        key: &Key,
        body: Bytes,
        when: PutIf,
    ) -> Result<Version> {
        let version = honest.put(key, body, when).await?;
        if self.count.fetch_add(1, Ordering::Relaxed) % 11 != 10 {
            return Ok(version);
        }
        let message = "the connection was closed";
        Err(match self.says {
            Effect::NotApplied => Error::not_applied(ErrorKind::Unavailable, message),
            Effect::Unknown => Error::unknown(ErrorKind::Unavailable, message),
        })
    }
}

/// Does every third put of a kind and calls it refused for the moment.
struct BusyButApplied {
    kind: fn(&PutIf) -> bool,
    count: AtomicU64,
}

impl BusyButApplied {
    fn new(kind: fn(&PutIf) -> bool) -> Self {
        Self { kind, count: AtomicU64::new(0) }
    }
}

#[async_trait]
impl Lie for BusyButApplied {
    async fn put(
        &self,
        honest: &MemoryProvider,
        key: &Key,
        body: Bytes,
        when: PutIf,
    ) -> Result<Version> {
        let version = honest.put(key, body, when.clone()).await?;
        if (self.kind)(&when) && self.count.fetch_add(1, Ordering::Relaxed).is_multiple_of(3) {
            return Err(refusal(ErrorKind::Throttled));
        }
        Ok(version)
    }
}

struct Repeats;

#[async_trait]
impl Lie for Repeats {
    async fn put(
        &self,
        honest: &MemoryProvider,
        key: &Key,
        body: Bytes,
        when: PutIf,
    ) -> Result<Version> {
        let found = honest.get(key, Get::meta_only()).await.ok().map(|object| object.version);
        pause().await;
        let result = honest.put(key, body.clone(), when.clone()).await;
        match found {
            // It held when the request was sent.
            Some(version) if result.is_err() && when == PutIf::Matches(version.clone()) => {
                let fresh = honest.get(key, Get::meta_only()).await?.version;
                honest.put(key, body, PutIf::Matches(fresh)).await
            }
            _ => result,
        }
    }
}

/// How many creations were tried.
#[derive(Default)]
struct OwnWriteConflicts(AtomicU64);

#[async_trait]
impl Lie for OwnWriteConflicts {
    async fn put(
        &self,
        honest: &MemoryProvider,
        key: &Key,
        body: Bytes,
        when: PutIf,
    ) -> Result<Version> {
        let lost = when == PutIf::Absent && self.0.fetch_add(1, Ordering::Relaxed) % 7 == 6;
        if lost {
            honest.put(key, body.clone(), when.clone()).await?;
        }
        honest.put(key, body, when).await
    }
}

/// What this handle has sent.
#[derive(Default)]
struct WrittenThrough(Mutex<HashMap<Key, Bytes>>);

#[async_trait]
impl Lie for WrittenThrough {
    async fn put(
        &self,
        honest: &MemoryProvider,
        key: &Key,
        body: Bytes,
        when: PutIf,
    ) -> Result<Version> {
        self.0.lock().unwrap().insert(key.clone(), body.clone());
        honest.put(key, body, when).await
    }

    async fn get(&self, honest: &MemoryProvider, key: &Key, request: Get) -> Result<Object> {
        let mut object = honest.get(key, request.clone()).await?;
        if let Some(sent) = self.0.lock().unwrap().get(key).filter(|_| request == Get::whole()) {
            (object.size, object.body) = (sent.len() as u64, sent.clone());
        }
        Ok(object)
    }

    async fn delete(&self, honest: &MemoryProvider, key: &Key) -> Result<()> {
        self.0.lock().unwrap().remove(key);
        honest.delete(key).await
    }
}
