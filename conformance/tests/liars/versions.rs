//! Liars about versions, and about the conditions of a get that rest on them.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use storage_core::Versions;

use super::prelude::*;

liars! {
    versions_of_content_declared_per_write: "honesty.versions",
        shared(PerWriteClaimed).config(|config| config.versions = Versions::PerContent),
        "declares a version per write where it is a hash of the content: S3's ETag, trusted for compare-and-swap";
    versions_are_lengths: "honesty.versions",
        shared(Disguised::new(Versions::PerContent, |body, _| body.len() as u64)),
        "takes the length for a version: sync tools that compare sizes";
    versions_are_coarse_times: "honesty.versions",
        shared(Disguised::new(Versions::PerWrite, |_, put| put / 500)),
        "takes a modification time in whole seconds for a version: WebDAV, FAT, HTTP dates";
    versions_start_anew: "model.state-machine", shared(StartAnew::default()),
        "counts versions anew when a key is deleted, so that an old one fits a new object: a revision column in the row";
    version_of_put_is_not_that_of_get: "basic.version.same", shared(PutVersionDiffers),
        "puts quotes around the ETag in one answer and not in the other: S3 clients and servers for years";
    version_is_weak_in_ranges: "basic.version.same", shared(RangeVersionDiffers),
        "marks the version as weak when it answers a part: proxies that re-encode (`W/`)";
    version_moves_without_a_write: "get.if-changed", shared(RestlessVersion::default()),
        "makes a new version whenever it is asked: ETags of nodes that disagree, of inode and host";
    get_if_match_is_ignored: "get.if-match", shared(GetIgnores { if_match: true, ..GetIgnores::default() }),
        "answers whatever `if_match` says: opendal#7889 (services differ), servers that skip it";
    get_if_changed_is_ignored: "get.if-changed",
        shared(GetIgnores { if_changed: true, ..GetIgnores::default() }),
        "sends the body again although `if_changed` holds: caches in front of a bucket";
    version_asterisk_is_any: "get.nonsense-version", shared(NoCondition("*")),
        "takes the version `*` for any: RFC 9110's If-Match, given a version that was never one";
    version_empty_is_no_condition: "get.nonsense-version", shared(NoCondition("")),
        "drops the condition when the version is empty: a header that is only sent when there is a value";
    range_if_match_is_ignored: "range.stale-if-match",
        shared(GetIgnores { if_match: true, ranges_only: true, ..GetIgnores::default() }),
        "forgets `if_match` when a range is asked for: a resumed download glued from two versions";
}

struct PerWriteClaimed;

impl Lie for PerWriteClaimed {
    fn info(&self, honest: &MemoryProvider) -> ProviderInfo {
        let mut info = honest.info();
        info.capabilities.versions = Versions::PerWrite;
        info
    }
}

/// Shows another mark in place of each version, consistently.
struct Disguised {
    declared: Versions,
    mark: fn(&Bytes, u64) -> u64,
    puts: AtomicU64,
    /// By key: the mark shown, and the version it stands for.
    shown: Mutex<HashMap<Key, (Version, Version)>>,
}

impl Disguised {
    fn new(declared: Versions, mark: fn(&Bytes, u64) -> u64) -> Self {
        Self { declared, mark, puts: AtomicU64::new(0), shown: Mutex::default() }
    }

    fn real(&self, key: &Key, version: Version) -> Version {
        match self.shown.lock().unwrap().get(key) {
            Some((shown, real)) if *shown == version => real.clone(),
            _ => version,
        }
    }
}

#[async_trait]
impl Lie for Disguised {
    fn info(&self, honest: &MemoryProvider) -> ProviderInfo {
        let mut info = honest.info();
        info.capabilities.versions = self.declared;
        info
    }

    async fn put(
        &self,
        honest: &MemoryProvider,
        key: &Key,
        body: Bytes,
        when: PutIf,
    ) -> Result<Version> {
        let mark = (self.mark)(&body, self.puts.fetch_add(1, Ordering::Relaxed));
        let shown = Version::new(format!("mark-{mark}"));
        let when = match when {
            PutIf::Matches(version) => PutIf::Matches(self.real(key, version)),
            when => when,
        };
        let real = honest.put(key, body, when).await?;
        self.shown.lock().unwrap().insert(key.clone(), (shown.clone(), real));
        Ok(shown)
    }

    async fn get(&self, honest: &MemoryProvider, key: &Key, mut request: Get) -> Result<Object> {
        request.if_match = request.if_match.map(|version| self.real(key, version));
        request.if_changed = request.if_changed.map(|version| self.real(key, version));
        let mut object = honest.get(key, request).await?;
        if let Some((shown, real)) = self.shown.lock().unwrap().get(key)
            && *real == object.version
        {
            object.version = shown.clone();
        }
        Ok(object)
    }
}

/// By key: the version shown, which counts from one, and the one it stands for.
#[derive(Default)]
struct StartAnew(Mutex<HashMap<Key, (u64, Version)>>);

impl StartAnew {
    fn real(&self, key: &Key, version: Version) -> Version {
        match self.0.lock().unwrap().get(key) {
            Some((shown, real)) if version.as_str() == shown.to_string() => real.clone(),
            // Not one of the honest provider's, which are numbers too.
            _ => Version::new("none"),
        }
    }
}

#[async_trait]
impl Lie for StartAnew {
    async fn put(
        &self,
        honest: &MemoryProvider,
        key: &Key,
        body: Bytes,
        when: PutIf,
    ) -> Result<Version> {
        let when = match when {
            PutIf::Matches(version) => PutIf::Matches(self.real(key, version)),
            when => when,
        };
        let real = honest.put(key, body, when).await?;
        let mut shown = self.0.lock().unwrap();
        let (number, of) = shown.entry(key.clone()).or_insert((0, real.clone()));
        (*number, *of) = (*number + 1, real);
        Ok(Version::new(number.to_string()))
    }

    async fn get(&self, honest: &MemoryProvider, key: &Key, mut request: Get) -> Result<Object> {
        request.if_match = request.if_match.map(|version| self.real(key, version));
        request.if_changed = request.if_changed.map(|version| self.real(key, version));
        let mut object = honest.get(key, request).await?;
        if let Some((number, _)) = self.0.lock().unwrap().get(key) {
            object.version = Version::new(number.to_string());
        }
        Ok(object)
    }

    async fn delete(&self, honest: &MemoryProvider, key: &Key) -> Result<()> {
        honest.delete(key).await?;
        self.0.lock().unwrap().remove(key);
        Ok(())
    }
}

struct PutVersionDiffers;

#[async_trait]
impl Lie for PutVersionDiffers {
    async fn put(
        &self,
        honest: &MemoryProvider,
        key: &Key,
        body: Bytes,
        when: PutIf,
    ) -> Result<Version> {
        let version = honest.put(key, body, when).await?;
        Ok(Version::new(format!("\"{version}\"")))
    }
}

struct RangeVersionDiffers;

#[async_trait]
impl Lie for RangeVersionDiffers {
    async fn get(&self, honest: &MemoryProvider, key: &Key, request: Get) -> Result<Object> {
        let part = request.range.is_some() && !request.meta_only;
        let mut object = honest.get(key, request).await?;
        if part {
            object.version = Version::new(format!("W/{}", object.version));
        }
        Ok(object)
    }
}

#[derive(Default)]
struct RestlessVersion(AtomicU64);

#[async_trait]
impl Lie for RestlessVersion {
    async fn get(&self, honest: &MemoryProvider, key: &Key, mut request: Get) -> Result<Object> {
        request.if_changed = None;
        let mut object = honest.get(key, request).await?;
        let node = self.0.fetch_add(1, Ordering::Relaxed) % 2;
        object.version = Version::new(format!("{}@{node}", object.version));
        Ok(object)
    }
}

#[derive(Default)]
struct GetIgnores {
    if_match: bool,
    if_changed: bool,
    ranges_only: bool,
}

#[async_trait]
impl Lie for GetIgnores {
    async fn get(&self, honest: &MemoryProvider, key: &Key, mut request: Get) -> Result<Object> {
        if !self.ranges_only || request.range.is_some() {
            request.if_match.take_if(|_| self.if_match);
            request.if_changed.take_if(|_| self.if_changed);
        }
        honest.get(key, request).await
    }
}

/// A version that switches conditions off.
struct NoCondition(&'static str);

#[async_trait]
impl Lie for NoCondition {
    async fn get(&self, honest: &MemoryProvider, key: &Key, mut request: Get) -> Result<Object> {
        request.if_match.take_if(|version| version.as_str() == self.0);
        honest.get(key, request).await
    }
}
