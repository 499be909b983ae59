//! Liars about deleting.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::prelude::*;

liars! {
    delete_does_nothing: "delete.removes", shared(DeletesNothing),
        "says ok and keeps the object: object locks, missing rights, versioned buckets read by version";
    delete_of_a_missing_key_fails: "delete.missing", shared(DeleteMissingFails),
        "answers `NotFound` when there is nothing to delete: Azure, GCS, every file system";
    delete_takes_everything_beneath: "delete.neighbours", shared(DeletesUnder("/")),
        "deletes `a/b` along with `a`: `rm -r`, WebDAV collections";
    delete_takes_everything_that_begins_so: "delete.neighbours", shared(DeletesUnder("")),
        "deletes whatever begins with the key: delete-by-prefix APIs given one key";
    delete_takes_a_pattern: "delete.neighbours", shared(DeletesLike),
        "takes `_` for any character: `DELETE ... WHERE key LIKE ?`";
    delete_takes_the_empty_folder_and_what_comes: "delete.neighbours", shared(DeletesLastSibling),
        "removes the folder of the last key deleted together with its neighbours: cleaning up empty parents, one too high";
    delete_lands_twice: "delete.then-create", shared(DeleteTwice::default()),
        "sends a delete again whose answer was slow; the second lands on the object created since: HTTP clients' blind retries";
    delete_many_drops_some: "delete.many", shared(DeleteManyDrops::default()),
        "loses deletes when many are under way and says ok: per-key errors of S3's DeleteObjects left unread";
    delete_keeps_the_old_version: "delete.removes", shared(DeleteRestoresOlder::default()),
        "brings the version before back when the newest is deleted: versioned buckets, deleted by version id";
}

struct DeletesNothing;

#[async_trait]
impl Lie for DeletesNothing {
    async fn delete(&self, _: &MemoryProvider, _: &Key) -> Result<()> {
        Ok(())
    }
}

struct DeleteMissingFails;

#[async_trait]
impl Lie for DeleteMissingFails {
    async fn delete(&self, honest: &MemoryProvider, key: &Key) -> Result<()> {
        if !exists(honest, key).await {
            return Err(refusal(ErrorKind::NotFound));
        }
        honest.delete(key).await
    }
}

/// Deletes also what begins with the key and this.
struct DeletesUnder(&'static str);

#[async_trait]
impl Lie for DeletesUnder {
    async fn delete(&self, honest: &MemoryProvider, key: &Key) -> Result<()> {
        // Nothing lies beneath the longest keys.
        let Ok(prefix) = Prefix::new(format!("{key}{}", self.0)) else {
            return honest.delete(key).await;
        };
        for object in everything(honest, &prefix).await? {
            honest.delete(&object.key).await?;
        }
        honest.delete(key).await
    }
}

struct DeletesLike;

#[async_trait]
impl Lie for DeletesLike {
    async fn delete(&self, honest: &MemoryProvider, key: &Key) -> Result<()> {
        for object in everything(honest, &Prefix::all()).await? {
            if like(key.as_str(), object.key.as_str()) {
                honest.delete(&object.key).await?;
            }
        }
        Ok(())
    }
}

fn like(pattern: &str, key: &str) -> bool {
    let alike = |(pattern, byte)| pattern == b'_' || pattern == byte;
    pattern.len() == key.len() && pattern.bytes().zip(key.bytes()).all(alike)
}

struct DeletesLastSibling;

#[async_trait]
impl Lie for DeletesLastSibling {
    async fn delete(&self, honest: &MemoryProvider, key: &Key) -> Result<()> {
        honest.delete(key).await?;
        let Some((folder, _)) = key.as_str().rsplit_once('/') else { return Ok(()) };
        let prefix = Prefix::new(format!("{folder}/")).expect("a folder is a prefix");
        let left = everything(honest, &prefix).await?;
        if let [only] = &left[..] {
            honest.delete(&only.key).await?;
        }
        Ok(())
    }
}

/// The deletes that are still on their way a second time.
#[derive(Default)]
struct DeleteTwice(Mutex<HashSet<Key>>);

#[async_trait]
impl Lie for DeleteTwice {
    async fn delete(&self, honest: &MemoryProvider, key: &Key) -> Result<()> {
        self.0.lock().unwrap().insert(key.clone());
        honest.delete(key).await
    }

    async fn get(&self, honest: &MemoryProvider, key: &Key, request: Get) -> Result<Object> {
        if exists(honest, key).await && self.0.lock().unwrap().remove(key) {
            honest.delete(key).await?;
        }
        honest.get(key, request).await
    }
}

/// How many deletes are under way.
#[derive(Default)]
struct DeleteManyDrops(AtomicUsize);

#[async_trait]
impl Lie for DeleteManyDrops {
    async fn delete(&self, honest: &MemoryProvider, key: &Key) -> Result<()> {
        let others = self.0.fetch_add(1, Ordering::Relaxed);
        pause().await;
        if others < 8 {
            honest.delete(key).await?;
        }
        self.0.fetch_sub(1, Ordering::Relaxed);
        Ok(())
    }
}

/// By key: the bodies that newer ones stand before.
#[derive(Default)]
struct DeleteRestoresOlder(Mutex<HashMap<Key, Vec<Bytes>>>);

#[async_trait]
impl Lie for DeleteRestoresOlder {
    async fn put(
        &self,
        honest: &MemoryProvider,
        key: &Key,
        body: Bytes,
        when: PutIf,
    ) -> Result<Version> {
        let old = exists(honest, key).await.then_some(body_of(honest, key).await);
        let version = honest.put(key, body, when).await?;
        self.0.lock().unwrap().entry(key.clone()).or_default().extend(old);
        Ok(version)
    }

    async fn delete(&self, honest: &MemoryProvider, key: &Key) -> Result<()> {
        honest.delete(key).await?;
        let older = self.0.lock().unwrap().get_mut(key).and_then(Vec::pop);
        if let Some(older) = older {
            honest.put(key, older, PutIf::Absent).await?;
        }
        Ok(())
    }
}
