//! Liars about the condition of a put.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use storage_core::Atomicity;

use super::prelude::*;

liars! {
    absent_is_ignored: "put.absent.present", shared(AbsentIgnored),
        "writes whatever `Absent` says: rclone's S3 server, mountx#19, incus#3651, cloudemu#657";
    absent_lost_is_ok: "put.absent.present", shared(AbsentLostIsOk),
        "takes 412 for success, since the object is there after all: clients that make creation \"idempotent\"";
    absent_loser_overwrites: "put.absent.loser-untouched", shared(LoserOverwrites),
        "answers `Conflict` and has overwritten all the same: gateways that check the condition after storing";
    absent_never_again_after_delete: "put.absent.deleted", shared(NeverAgain::default()),
        "refuses `Absent` on a deleted key: stores that count a tombstone as an object";
    absent_dropped_for_large_bodies: "put.absent.largest",
        shared(DroppedForLarge(|when| *when == PutIf::Absent)),
        "forgets `Absent` on the path for large bodies: opendal#8028 (Azure, chunked upload)";
    absent_forgets_after_a_second: "put.absent.aged", shared(Forgets::default()),
        "knows for a second which keys there are, and then creates them anew: caches in front that decide conditions";
    matches_dropped_for_large_bodies: "put.matches.largest",
        shared(DroppedForLarge(|when| matches!(when, PutIf::Matches(_)))),
        "forgets `Matches` on the path for large bodies: multipart uploads completed without If-Match";
    matches_works_once: "put.matches.current", shared(MatchesOnce::default()),
        "refuses `Matches` on what `Matches` has written: an index that only plain puts bring up to date";
    matches_is_ignored: "put.matches.nonsense", shared(MatchesIgnored),
        "writes whatever `Matches` says: opendal#6235, S3 servers that do not know If-Match on put";
    matches_asterisk_is_any: "put.matches.nonsense", shared(AsteriskMatches),
        "takes the version `*` for any: RFC 9110's If-Match, passed on as it came";
    matches_takes_any_old_version: "put.matches.stale", shared(AnyOldVersion::default()),
        "takes every version the key ever had for current: caches that compare with their own copy";
    matches_creates: "put.matches.missing", shared(MatchesCreates),
        "creates a missing object under `Matches`: an upsert taken for an update";
    matches_missing_is_not_found: "put.matches.missing", shared(MatchesMissingNotFound),
        "says `NotFound` where the contract says `Conflict`: S3's 404 for If-Match, passed on";
    matches_stale_writes_then_conflicts: "put.matches.stale", shared(StaleWrites),
        "answers `Conflict` to a stale version, and has written: verification after the fact";
    unsupported_is_ignored: "put.unsupported.refused",
        shared(UnsupportedIgnored).honest(UnsupportedRefused { writes: false }),
        "declares `Matches` unsupported and writes without looking: object stores' wrappers, thanos objstore#178";
    unsupported_is_refused_too_late: "put.unsupported.refused",
        shared(UnsupportedRefused { writes: true }).honest(UnsupportedRefused { writes: false }),
        "refuses an unsupported condition after it has written: a default branch at the end";
}

struct AbsentIgnored;

#[async_trait]
impl Lie for AbsentIgnored {
    async fn put(
        &self,
        honest: &MemoryProvider,
        key: &Key,
        body: Bytes,
        when: PutIf,
    ) -> Result<Version> {
        let when = if when == PutIf::Absent { PutIf::Always } else { when };
        honest.put(key, body, when).await
    }
}

struct AbsentLostIsOk;

#[async_trait]
impl Lie for AbsentLostIsOk {
    async fn put(
        &self,
        honest: &MemoryProvider,
        key: &Key,
        body: Bytes,
        when: PutIf,
    ) -> Result<Version> {
        match honest.put(key, body, when.clone()).await {
            Err(error) if error.kind() == ErrorKind::Conflict && when == PutIf::Absent => {
                Ok(honest.get(key, Get::meta_only()).await?.version)
            }
            result => result,
        }
    }
}

struct LoserOverwrites;

#[async_trait]
impl Lie for LoserOverwrites {
    async fn put(
        &self,
        honest: &MemoryProvider,
        key: &Key,
        body: Bytes,
        when: PutIf,
    ) -> Result<Version> {
        let lost = when == PutIf::Absent && exists(honest, key).await;
        let version = honest.put(key, body, if lost { PutIf::Always } else { when }).await?;
        if lost { Err(refusal(ErrorKind::Conflict)) } else { Ok(version) }
    }
}

#[derive(Default)]
struct NeverAgain(Mutex<HashSet<Key>>);

#[async_trait]
impl Lie for NeverAgain {
    async fn put(
        &self,
        honest: &MemoryProvider,
        key: &Key,
        body: Bytes,
        when: PutIf,
    ) -> Result<Version> {
        if when == PutIf::Absent && self.0.lock().unwrap().contains(key) {
            return Err(refusal(ErrorKind::Conflict));
        }
        honest.put(key, body, when).await
    }

    async fn delete(&self, honest: &MemoryProvider, key: &Key) -> Result<()> {
        if exists(honest, key).await {
            self.0.lock().unwrap().insert(key.clone());
        }
        honest.delete(key).await
    }
}

/// When each key was put last.
#[derive(Default)]
struct Forgets(Mutex<HashMap<Key, Instant>>);

#[async_trait]
impl Lie for Forgets {
    async fn put(
        &self,
        honest: &MemoryProvider,
        key: &Key,
        body: Bytes,
        when: PutIf,
    ) -> Result<Version> {
        let put_before = self.0.lock().unwrap().get(key).map(Instant::elapsed);
        let forgotten = put_before.is_some_and(|time| time > Duration::from_secs(1));
        let absent = forgotten && when == PutIf::Absent;
        let version = honest.put(key, body, if absent { PutIf::Always } else { when }).await?;
        self.0.lock().unwrap().insert(key.clone(), Instant::now());
        Ok(version)
    }
}

/// Which conditions get lost with a large body.
struct DroppedForLarge(fn(&PutIf) -> bool);

#[async_trait]
impl Lie for DroppedForLarge {
    async fn put(
        &self,
        honest: &MemoryProvider,
        key: &Key,
        body: Bytes,
        when: PutIf,
    ) -> Result<Version> {
        let dropped = body.len() > 128 << 10 && (self.0)(&when);
        honest.put(key, body, if dropped { PutIf::Always } else { when }).await
    }
}

/// The versions that were written with `Matches`.
#[derive(Default)]
struct MatchesOnce(Mutex<HashSet<Version>>);

#[async_trait]
impl Lie for MatchesOnce {
    async fn put(
        &self,
        honest: &MemoryProvider,
        key: &Key,
        body: Bytes,
        when: PutIf,
    ) -> Result<Version> {
        let PutIf::Matches(wanted) = &when else { return honest.put(key, body, when).await };
        if self.0.lock().unwrap().contains(wanted) {
            return Err(refusal(ErrorKind::Conflict));
        }
        let version = honest.put(key, body, when).await?;
        self.0.lock().unwrap().insert(version.clone());
        Ok(version)
    }
}

struct MatchesIgnored;

#[async_trait]
impl Lie for MatchesIgnored {
    async fn put(
        &self,
        honest: &MemoryProvider,
        key: &Key,
        body: Bytes,
        when: PutIf,
    ) -> Result<Version> {
        let when = if when == PutIf::Absent { when } else { PutIf::Always };
        honest.put(key, body, when).await
    }
}

struct AsteriskMatches;

#[async_trait]
impl Lie for AsteriskMatches {
    async fn put(
        &self,
        honest: &MemoryProvider,
        key: &Key,
        body: Bytes,
        when: PutIf,
    ) -> Result<Version> {
        let any = when == PutIf::Matches(Version::new("*")) && exists(honest, key).await;
        honest.put(key, body, if any { PutIf::Always } else { when }).await
    }
}

#[derive(Default)]
struct AnyOldVersion(Mutex<HashMap<Key, HashSet<Version>>>);

#[async_trait]
impl Lie for AnyOldVersion {
    async fn put(
        &self,
        honest: &MemoryProvider,
        key: &Key,
        body: Bytes,
        when: PutIf,
    ) -> Result<Version> {
        let known =
            |version| self.0.lock().unwrap().get(key).is_some_and(|all| all.contains(version));
        let when = match &when {
            PutIf::Matches(version) if known(version) && exists(honest, key).await => PutIf::Always,
            _ => when,
        };
        let version = honest.put(key, body, when).await?;
        self.0.lock().unwrap().entry(key.clone()).or_default().insert(version.clone());
        Ok(version)
    }
}

struct MatchesCreates;

#[async_trait]
impl Lie for MatchesCreates {
    async fn put(
        &self,
        honest: &MemoryProvider,
        key: &Key,
        body: Bytes,
        when: PutIf,
    ) -> Result<Version> {
        let missing = matches!(when, PutIf::Matches(_)) && !exists(honest, key).await;
        honest.put(key, body, if missing { PutIf::Absent } else { when }).await
    }
}

struct MatchesMissingNotFound;

#[async_trait]
impl Lie for MatchesMissingNotFound {
    async fn put(
        &self,
        honest: &MemoryProvider,
        key: &Key,
        body: Bytes,
        when: PutIf,
    ) -> Result<Version> {
        if matches!(when, PutIf::Matches(_)) && !exists(honest, key).await {
            return Err(refusal(ErrorKind::NotFound));
        }
        honest.put(key, body, when).await
    }
}

struct StaleWrites;

#[async_trait]
impl Lie for StaleWrites {
    async fn put(
        &self,
        honest: &MemoryProvider,
        key: &Key,
        body: Bytes,
        when: PutIf,
    ) -> Result<Version> {
        let result = honest.put(key, body.clone(), when.clone()).await;
        if result.is_err() && matches!(when, PutIf::Matches(_)) && exists(honest, key).await {
            honest.put(key, body, PutIf::Always).await?;
        }
        result
    }
}

fn without_matches(honest: &MemoryProvider) -> ProviderInfo {
    let mut info = honest.info();
    info.capabilities.matches = Atomicity::Unsupported;
    info
}

struct UnsupportedIgnored;

#[async_trait]
impl Lie for UnsupportedIgnored {
    fn info(&self, honest: &MemoryProvider) -> ProviderInfo {
        without_matches(honest)
    }

    async fn put(
        &self,
        honest: &MemoryProvider,
        key: &Key,
        body: Bytes,
        when: PutIf,
    ) -> Result<Version> {
        MatchesIgnored.put(honest, key, body, when).await
    }
}

struct UnsupportedRefused {
    writes: bool,
}

#[async_trait]
impl Lie for UnsupportedRefused {
    fn info(&self, honest: &MemoryProvider) -> ProviderInfo {
        without_matches(honest)
    }

    async fn put(
        &self,
        honest: &MemoryProvider,
        key: &Key,
        body: Bytes,
        when: PutIf,
    ) -> Result<Version> {
        let refused = matches!(when, PutIf::Matches(_));
        if refused && !self.writes {
            return Err(refusal(ErrorKind::Unsupported));
        }
        let version = honest.put(key, body, if refused { PutIf::Always } else { when }).await?;
        if refused { Err(refusal(ErrorKind::Unsupported)) } else { Ok(version) }
    }
}
