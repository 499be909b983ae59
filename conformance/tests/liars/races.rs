//! Liars that are right as long as nothing else is going on: races, and handles on the same objects.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;

use super::prelude::*;

liars! {
    absent_looks_then_writes: "put.absent.race", shared(LooksThenWrites { absent: true }),
        "looks first and writes second: OpenDAL's fs (6,241 winners of 200 keys), seaweedfs#8800, floci#1328, restic#1623";
    matches_looks_then_writes: "put.matches.race", shared(LooksThenWrites { absent: false }),
        "compares first and writes second: compare-and-swap over HEAD and PUT, thanos objstore#178";
    absent_is_per_handle: "put.absent.race", each(PerHandle::default),
        "decides `Absent` by a lock and an index of its own: a mutex in the client, two clients (rustfs#1659, spiceai#9842)";
    busy_is_conflict: "put.absent.race", shared(BusyIsConflict::default()),
        "answers `Conflict` to everybody who meets another: S3's 409 for a precondition failed (arrow-rs-object-store#852, ravel#1365)";
    create_restores_what_was_deleted: "race.create-delete", shared(CreateRestores),
        "moves the old object aside and back around a refused create, over a delete: rename-based replacing";
    delete_hits_what_came_after: "race.put-delete", shared(LateDelete),
        "marks for deletion now and deletes later whatever is there: lifecycle rules, background purges";
    readers_see_half_an_overwrite: "race.torn-read", shared(TornWrites),
        "writes in place, in two steps: `File::create` and `write_all` (98 of 200 keys on OpenDAL's fs)";
    overwrite_removes_first: "race.torn-read", shared(MissingMeanwhile),
        "removes the old object before it writes the new one: delete and rename, where rename does not replace";
    overlapping_puts_mix: "race.torn-read", shared(MixedBodies::default()),
        "lets two puts write into one temporary file: its name made of the key alone";
    puts_are_sent_twice: "race.linearizable", shared(SentTwice),
        "sends every put twice, the second on top of what others wrote meanwhile: blind retries, proxies";
    puts_are_not_seen_by_others: "race.linearizable", each(Behind::default),
        "acknowledges a put that only its own handle can see until the next: write-behind, buffered commits";
    reads_are_cached: "race.linearizable", each(CachedReads::default),
        "answers from what its handle read before: caches without revalidation, CDNs before a bucket";
    absence_is_cached: "race.linearizable", each(CachedAbsence::default),
        "remembers that a key was missing: negative look-ups cached, as S3 did until 2020, NFS dentries";
    two_puts_change_places: "race.linearizable", shared(Reordered::default()),
        "keeps the older of two puts when they overlap: last-writer-wins by clocks that differ";
}

struct LooksThenWrites {
    absent: bool,
}

#[async_trait]
impl Lie for LooksThenWrites {
    async fn put(
        &self,
        honest: &MemoryProvider,
        key: &Key,
        body: Bytes,
        when: PutIf,
    ) -> Result<Version> {
        let found = honest.get(key, Get::meta_only()).await.ok().map(|object| object.version);
        let holds = match &when {
            PutIf::Absent if self.absent => found.is_none(),
            PutIf::Matches(version) if !self.absent => found.as_ref() == Some(version),
            _ => return honest.put(key, body, when).await,
        };
        pause().await;
        if holds {
            honest.put(key, body, PutIf::Always).await
        } else {
            Err(refusal(ErrorKind::Conflict))
        }
    }
}

/// The keys that this handle has under its lock.
#[derive(Default)]
struct PerHandle(Mutex<HashSet<Key>>);

#[async_trait]
impl Lie for PerHandle {
    async fn put(
        &self,
        honest: &MemoryProvider,
        key: &Key,
        body: Bytes,
        when: PutIf,
    ) -> Result<Version> {
        if when != PutIf::Absent {
            return honest.put(key, body, when).await;
        }
        if exists(honest, key).await || !self.0.lock().unwrap().insert(key.clone()) {
            return Err(refusal(ErrorKind::Conflict));
        }
        pause().await;
        let result = honest.put(key, body, PutIf::Always).await;
        self.0.lock().unwrap().remove(key);
        result
    }
}

/// How many creations of a key are under way.
#[derive(Default)]
struct BusyIsConflict(Mutex<HashMap<Key, usize>>);

#[async_trait]
impl Lie for BusyIsConflict {
    async fn put(
        &self,
        honest: &MemoryProvider,
        key: &Key,
        body: Bytes,
        when: PutIf,
    ) -> Result<Version> {
        if when != PutIf::Absent {
            return honest.put(key, body, when).await;
        }
        *self.0.lock().unwrap().entry(key.clone()).or_default() += 1;
        pause().await;
        let busy = self.0.lock().unwrap()[key] > 1;
        pause().await;
        self.0.lock().unwrap().entry(key.clone()).and_modify(|under_way| *under_way -= 1);
        if busy { Err(refusal(ErrorKind::Conflict)) } else { honest.put(key, body, when).await }
    }
}

struct CreateRestores;

#[async_trait]
impl Lie for CreateRestores {
    async fn put(
        &self,
        honest: &MemoryProvider,
        key: &Key,
        body: Bytes,
        when: PutIf,
    ) -> Result<Version> {
        let result = honest.put(key, body, when.clone()).await;
        if when == PutIf::Absent && result.is_err() {
            let aside = body_of(honest, key).await;
            pause().await;
            let _ = honest.put(key, aside, PutIf::Absent).await;
        }
        result
    }
}

struct LateDelete;

#[async_trait]
impl Lie for LateDelete {
    async fn delete(&self, honest: &MemoryProvider, key: &Key) -> Result<()> {
        let (later, marked) = (honest.clone(), key.clone());
        tokio::spawn(async move {
            for _ in 0..5 {
                pause().await;
            }
            later.delete(&marked).await
        });
        honest.delete(key).await
    }
}

struct MissingMeanwhile;

#[async_trait]
impl Lie for MissingMeanwhile {
    async fn put(
        &self,
        honest: &MemoryProvider,
        key: &Key,
        body: Bytes,
        when: PutIf,
    ) -> Result<Version> {
        if when == PutIf::Always {
            honest.delete(key).await?;
            pause().await;
        }
        honest.put(key, body, when).await
    }
}

struct TornWrites;

#[async_trait]
impl Lie for TornWrites {
    async fn put(
        &self,
        honest: &MemoryProvider,
        key: &Key,
        body: Bytes,
        when: PutIf,
    ) -> Result<Version> {
        if when == PutIf::Always {
            honest.put(key, body.slice(..body.len() / 2), PutIf::Always).await?;
            pause().await;
        }
        honest.put(key, body, when).await
    }
}

/// By key: the temporary file that puts under way share.
#[derive(Default)]
struct MixedBodies(Mutex<HashMap<Key, Vec<u8>>>);

#[async_trait]
impl Lie for MixedBodies {
    async fn put(
        &self,
        honest: &MemoryProvider,
        key: &Key,
        body: Bytes,
        when: PutIf,
    ) -> Result<Version> {
        let (first, second) = body.split_at(body.len() / 2);
        self.0.lock().unwrap().insert(key.clone(), first.to_vec());
        pause().await;
        let mut written = self.0.lock().unwrap().get(key).cloned().unwrap_or_default();
        written.extend_from_slice(second);
        honest.put(key, written.into(), when).await
    }
}

struct SentTwice;

#[async_trait]
impl Lie for SentTwice {
    async fn put(
        &self,
        honest: &MemoryProvider,
        key: &Key,
        body: Bytes,
        when: PutIf,
    ) -> Result<Version> {
        let version = honest.put(key, body.clone(), when.clone()).await?;
        if when != PutIf::Always {
            return Ok(version);
        }
        for _ in 0..3 {
            pause().await;
        }
        honest.put(key, body, when).await
    }
}

/// What this handle has acknowledged and not sent yet.
#[derive(Default)]
struct Behind(Mutex<Option<(Key, Bytes)>>);

#[async_trait]
impl Lie for Behind {
    async fn put(
        &self,
        honest: &MemoryProvider,
        key: &Key,
        body: Bytes,
        when: PutIf,
    ) -> Result<Version> {
        self.send(honest).await?;
        if when != PutIf::Always || body.len() > 128 << 10 {
            return honest.put(key, body, when).await;
        }
        let version = Version::new(format!("behind-{}", body.len()));
        *self.0.lock().unwrap() = Some((key.clone(), body));
        Ok(version)
    }

    async fn get(&self, honest: &MemoryProvider, key: &Key, request: Get) -> Result<Object> {
        if self.0.lock().unwrap().as_ref().is_some_and(|(waiting, _)| waiting == key) {
            self.send(honest).await?;
        }
        honest.get(key, request).await
    }

    async fn list(&self, honest: &MemoryProvider, request: List<'_>) -> Result<Page> {
        self.send(honest).await?;
        honest.list(request).await
    }

    async fn delete(&self, honest: &MemoryProvider, key: &Key) -> Result<()> {
        self.send(honest).await?;
        honest.delete(key).await
    }
}

impl Behind {
    async fn send(&self, honest: &MemoryProvider) -> Result<()> {
        let waiting = self.0.lock().unwrap().take();
        if let Some((key, body)) = waiting {
            honest.put(&key, body, PutIf::Always).await?;
        }
        Ok(())
    }
}

/// What this handle has read.
#[derive(Default)]
struct CachedReads(Mutex<HashMap<Key, Object>>);

#[async_trait]
impl Lie for CachedReads {
    async fn put(
        &self,
        honest: &MemoryProvider,
        key: &Key,
        body: Bytes,
        when: PutIf,
    ) -> Result<Version> {
        self.0.lock().unwrap().remove(key);
        honest.put(key, body, when).await
    }

    async fn get(&self, honest: &MemoryProvider, key: &Key, request: Get) -> Result<Object> {
        if request != Get::whole() {
            return honest.get(key, request).await;
        }
        if let Some(object) = self.0.lock().unwrap().get(key) {
            return Ok(object.clone());
        }
        let object = honest.get(key, request).await?;
        self.0.lock().unwrap().insert(key.clone(), object.clone());
        Ok(object)
    }

    async fn delete(&self, honest: &MemoryProvider, key: &Key) -> Result<()> {
        self.0.lock().unwrap().remove(key);
        honest.delete(key).await
    }
}

/// What this handle did not find.
#[derive(Default)]
struct CachedAbsence(Mutex<HashSet<Key>>);

#[async_trait]
impl Lie for CachedAbsence {
    async fn put(
        &self,
        honest: &MemoryProvider,
        key: &Key,
        body: Bytes,
        when: PutIf,
    ) -> Result<Version> {
        self.0.lock().unwrap().remove(key);
        honest.put(key, body, when).await
    }

    async fn get(&self, honest: &MemoryProvider, key: &Key, request: Get) -> Result<Object> {
        if self.0.lock().unwrap().contains(key) {
            return Err(refusal(ErrorKind::NotFound));
        }
        let result = honest.get(key, request).await;
        if result.as_ref().is_err_and(|error| error.kind() == ErrorKind::NotFound) {
            self.0.lock().unwrap().insert(key.clone());
        }
        result
    }
}

/// By key: the put that came last, by arrival.
#[derive(Default)]
struct Reordered(Mutex<HashMap<Key, u64>>);

#[async_trait]
impl Lie for Reordered {
    async fn put(
        &self,
        honest: &MemoryProvider,
        key: &Key,
        body: Bytes,
        when: PutIf,
    ) -> Result<Version> {
        if when != PutIf::Always {
            return honest.put(key, body, when).await;
        }
        let old = exists(honest, key).await.then_some(body_of(honest, key).await);
        let version = honest.put(key, body, when).await?;
        let mine = {
            let mut arrivals = self.0.lock().unwrap();
            let last = arrivals.entry(key.clone()).or_default();
            *last += 1;
            *last
        };
        pause().await;
        let overtaken = self.0.lock().unwrap()[key] > mine;
        if let Some(old) = old.filter(|_| overtaken) {
            honest.put(key, old, PutIf::Always).await?;
        }
        Ok(version)
    }
}
