//! Providers whose one mistake touches the entries of a log, and so the store that stands on it.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::prelude::*;

liars! {
    slots_are_overwritten: "store.isolation.lost-update", shared(Entries(Spoil::Overwritten)),
        "replaces an entry of the log with another for the same slot: a condition that the service ignores";
    slots_are_taken_by_handle: "store.writes.disjoint", each(Slots::default),
        "decides who has a slot among the writers of one handle: a cache of names, a lock in the client";
    entries_of_others_come_late: "store.isolation.real-time", each(LateEntries::default),
        "does not show an entry of another handle when it is asked for the first time: a stale replica";
    entries_lose_a_bit: "store.durable.reopened", shared(Entries(Spoil::Flipped)),
        "keeps an entry with one bit changed: bad memory, a disk without checksums";
    entries_are_cut_short: "store.durable.reopened", shared(Entries(Spoil::Shortened)),
        "keeps an entry without its last bytes: a torn write at the end of a file";
    entries_expire: "store.durable.reopened", shared(Entries(Spoil::Expired)),
        "forgets the first entry of a log in time: a lifecycle rule on the bucket";
    every_tenth_entry_is_lost: "store.durable.reopened", shared(Lossy::default()),
        "acknowledges an entry and loses it: acknowledged in memory, the write behind it failed";
}

fn is_entry(key: &Key) -> bool {
    key.as_str().contains("/log/")
}

enum Spoil {
    Overwritten,
    Flipped,
    Shortened,
    Expired,
}

struct Entries(Spoil);

#[async_trait]
impl Lie for Entries {
    async fn put(
        &self,
        honest: &MemoryProvider,
        key: &Key,
        body: Bytes,
        when: PutIf,
    ) -> Result<Version> {
        if !is_entry(key) {
            return honest.put(key, body, when).await;
        }
        match self.0 {
            Spoil::Overwritten => honest.put(key, body, PutIf::Always).await,
            Spoil::Flipped => {
                let mut bytes = body.to_vec();
                if let Some(last) = bytes.last_mut() {
                    *last ^= 0x10;
                }
                honest.put(key, bytes.into(), when).await
            }
            Spoil::Shortened => {
                let end = body.len().saturating_sub(3);
                honest.put(key, body.slice(..end), when).await
            }
            Spoil::Expired => {
                let answer = honest.put(key, body, when).await;
                if let Some(log) = key.as_str().strip_suffix("0000000000000004") {
                    let first = format!("{log}0000000000000001");
                    honest.delete(&Key::new(first).expect("a slot has a key")).await?;
                }
                answer
            }
        }
    }
}

#[derive(Default)]
struct Slots(Mutex<BTreeSet<Key>>);

#[async_trait]
impl Lie for Slots {
    async fn put(
        &self,
        honest: &MemoryProvider,
        key: &Key,
        body: Bytes,
        when: PutIf,
    ) -> Result<Version> {
        if is_entry(key) && when == PutIf::Absent && self.0.lock().unwrap().insert(key.clone()) {
            return honest.put(key, body, PutIf::Always).await;
        }
        honest.put(key, body, when).await
    }
}

#[derive(Default)]
struct LateEntries {
    own: Mutex<BTreeSet<Key>>,
}

#[async_trait]
impl Lie for LateEntries {
    async fn put(
        &self,
        honest: &MemoryProvider,
        key: &Key,
        body: Bytes,
        when: PutIf,
    ) -> Result<Version> {
        self.own.lock().unwrap().insert(key.clone());
        honest.put(key, body, when).await
    }

    async fn get(&self, honest: &MemoryProvider, key: &Key, request: Get) -> Result<Object> {
        let found = honest.get(key, request).await;
        if is_entry(key) && found.is_ok() && self.own.lock().unwrap().insert(key.clone()) {
            return Err(refusal(ErrorKind::NotFound));
        }
        found
    }
}

#[derive(Default)]
struct Lossy(AtomicU64);

#[async_trait]
impl Lie for Lossy {
    async fn put(
        &self,
        honest: &MemoryProvider,
        key: &Key,
        body: Bytes,
        when: PutIf,
    ) -> Result<Version> {
        let version = honest.put(key, body, when).await?;
        if is_entry(key) && self.0.fetch_add(1, Ordering::Relaxed) % 10 == 9 {
            honest.delete(key).await?;
        }
        Ok(version)
    }
}
