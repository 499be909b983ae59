//! Liars about calls that are dropped, that leave something behind, or that are too many.

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::prelude::*;

liars! {
    dropped_put_leaves_half: "cancel.put", shared(HalfWhenDropped::default()),
        "leaves half an object when the call is dropped between two writes: a lock for readers, none for cancellation";
    dropped_put_locks_the_key: "cancel.put", shared(LockLeaked::default()),
        "never releases the key when the call is dropped: unlock at the end in place of a guard";
    every_call_leaves_a_task: "cancel.leaks", shared(LeakyTasks),
        "starts a task for each call that never ends: a watcher, a heartbeat, a drained channel";
    dropped_create_leaves_a_placeholder: "cancel.put.absent", shared(Placeholder),
        "takes the name with an empty object and fills it afterwards: O_EXCL, then `write_all`";
    many_tasks_run_out: "cancel.many-tasks", shared(FewAtOnce::default()),
        "fails when more than 32 calls are under way at once: one descriptor or connection for each, without a queue";
    answers_go_astray: "cancel.many-tasks", shared(OneSlot::default()),
        "keeps an answer in the handle on its way to the caller: a buffer for reuse, pipelining out of step";
}

/// Marks a key as being written, until dropped.
struct Writing<'a>(&'a Mutex<HashSet<Key>>, Key);

impl<'a> Writing<'a> {
    fn begin(keys: &'a Mutex<HashSet<Key>>, key: &Key) -> Option<Self> {
        keys.lock().unwrap().insert(key.clone()).then(|| Self(keys, key.clone()))
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        self.0.lock().unwrap().remove(&self.1);
    }
}

/// The keys being written, which others wait for.
#[derive(Default)]
struct HalfWhenDropped(Mutex<HashSet<Key>>);

impl HalfWhenDropped {
    async fn lock(&self, key: &Key) -> Writing<'_> {
        loop {
            match Writing::begin(&self.0, key) {
                Some(guard) => return guard,
                None => pause().await,
            }
        }
    }
}

#[async_trait]
impl Lie for HalfWhenDropped {
    async fn put(
        &self,
        honest: &MemoryProvider,
        key: &Key,
        body: Bytes,
        when: PutIf,
    ) -> Result<Version> {
        let _guard = self.lock(key).await;
        let (first, second) = body.split_at(body.len() / 2);
        let version = honest.put(key, Bytes::copy_from_slice(first), when).await?;
        pause().await;
        honest.put(key, [first, second].concat().into(), PutIf::Matches(version)).await
    }

    async fn get(&self, honest: &MemoryProvider, key: &Key, request: Get) -> Result<Object> {
        let _guard = self.lock(key).await;
        honest.get(key, request).await
    }

    async fn delete(&self, honest: &MemoryProvider, key: &Key) -> Result<()> {
        let _guard = self.lock(key).await;
        honest.delete(key).await
    }
}

/// The keys that are locked.
#[derive(Default)]
struct LockLeaked(Mutex<HashSet<Key>>);

#[async_trait]
impl Lie for LockLeaked {
    async fn put(
        &self,
        honest: &MemoryProvider,
        key: &Key,
        body: Bytes,
        when: PutIf,
    ) -> Result<Version> {
        let mut patience = 10_000;
        while !self.0.lock().unwrap().insert(key.clone()) {
            patience -= 1;
            if patience == 0 {
                return Err(Error::unknown(ErrorKind::Unavailable, "lock wait timeout exceeded"));
            }
            pause().await;
        }
        pause().await;
        let result = honest.put(key, body, when).await;
        self.0.lock().unwrap().remove(key);
        result
    }
}

struct LeakyTasks;

#[async_trait]
impl Lie for LeakyTasks {
    async fn get(&self, honest: &MemoryProvider, key: &Key, request: Get) -> Result<Object> {
        tokio::spawn(std::future::pending::<()>());
        honest.get(key, request).await
    }
}

/// How many calls are under way.
#[derive(Default)]
struct FewAtOnce(AtomicUsize);

#[async_trait]
impl Lie for FewAtOnce {
    async fn put(
        &self,
        honest: &MemoryProvider,
        key: &Key,
        body: Bytes,
        when: PutIf,
    ) -> Result<Version> {
        let others = self.0.fetch_add(1, Ordering::Relaxed);
        pause().await;
        self.0.fetch_sub(1, Ordering::Relaxed);
        if others >= 32 {
            Err(refusal(ErrorKind::Unexpected))
        } else {
            honest.put(key, body, when).await
        }
    }
}

/// The answer on its way.
#[derive(Default)]
struct OneSlot(Mutex<Option<Object>>);

#[async_trait]
impl Lie for OneSlot {
    async fn get(&self, honest: &MemoryProvider, key: &Key, request: Get) -> Result<Object> {
        let object = honest.get(key, request).await?;
        *self.0.lock().unwrap() = Some(object.clone());
        pause().await;
        Ok(self.0.lock().unwrap().take().unwrap_or(object))
    }
}

struct Placeholder;

#[async_trait]
impl Lie for Placeholder {
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
        let version = honest.put(key, Bytes::new(), PutIf::Absent).await?;
        pause().await;
        honest.put(key, body, PutIf::Matches(version)).await
    }
}
