//! The provider: a sorted map behind a lock.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bytes::Bytes;
use storage_core::{
    Atomicity, Capabilities, Durability, Error, ErrorKind, Get, KEY_BYTES_MAX, Key, List,
    ListConsistency, Listed, Object, Operation, Page, ProviderInfo, PutIf, Result, Sharing,
    StorageProvider, Version, Versions, async_trait,
};

use crate::Config;

/// Objects in memory. Clones share them; the last one to go takes them along.
///
/// # Examples
///
/// ```
/// use backend_memory::MemoryProvider;
/// use storage_core::{Atomicity, StorageProvider};
///
/// let provider = MemoryProvider::new();
/// assert_eq!(provider.info().capabilities.absent, Atomicity::OneProcess);
/// ```
#[derive(Clone, Default)]
pub struct MemoryProvider {
    config: Config,
    objects: Arc<RwLock<Objects>>,
}

#[derive(Default)]
struct Objects {
    by_key: BTreeMap<Key, (Bytes, Version)>,
    puts: u64,
}

impl MemoryProvider {
    /// An empty provider with the settings of [`Config::default`].
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty provider with these settings.
    #[must_use]
    pub fn with_config(config: Config) -> Self {
        Self { config, objects: Arc::default() }
    }

    // No code that holds the lock can panic halfway through a change, so a poisoned lock guards sound
    // objects.
    fn read(&self) -> RwLockReadGuard<'_, Objects> {
        self.objects.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Objects> {
        self.objects.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn put_now(&self, key: &Key, body: Bytes, when: &PutIf) -> Result<Version> {
        let size = body.len() as u64;
        if size > self.config.object_bytes_max {
            let limit = self.config.object_bytes_max;
            return Err(Error::not_applied(
                ErrorKind::TooLarge,
                format!("{size} bytes, but an object has at most {limit}"),
            ));
        }
        let mut objects = self.write();
        let found = objects.by_key.get(key).map(|(_, version)| version);
        match (when, found) {
            (PutIf::Always, _) | (PutIf::Absent, None) => {}
            (PutIf::Matches(wanted), Some(found)) if wanted == found => {}
            (PutIf::Absent, Some(_)) => return Err(conflict("the object exists".into())),
            (PutIf::Matches(wanted), Some(found)) => {
                return Err(conflict(format!("the version is {found}, not {wanted}")));
            }
            (PutIf::Matches(_), None) => return Err(conflict("there is no object".into())),
        }
        objects.puts += 1;
        let version = match self.config.versions {
            Versions::PerWrite => Version::new(objects.puts.to_string()),
            Versions::PerContent => {
                let mut hasher = DefaultHasher::new();
                body.hash(&mut hasher);
                Version::new(format!("\"{:016x}-{size}\"", hasher.finish()))
            }
        };
        objects.by_key.insert(key.clone(), (body, version.clone()));
        Ok(version)
    }

    fn get_now(&self, key: &Key, request: &Get) -> Result<Object> {
        let objects = self.read();
        let (body, version) = objects
            .by_key
            .get(key)
            .ok_or_else(|| Error::not_applied(ErrorKind::NotFound, "there is no object"))?;
        request.check(version)?;
        let size = body.len() as u64;
        let body = match request.range {
            _ if request.meta_only => Bytes::new(),
            None => body.clone(),
            Some(range) => {
                let range = range.within(size)?;
                body.slice(range.start as usize..range.end as usize)
            }
        };
        Ok(Object { body, size, version: version.clone() })
    }

    fn list_now(&self, request: List<'_>) -> Page {
        let List { prefix, start_after, limit } = request;
        let limit = limit.max(1);
        let from = match start_after {
            Some(key) if key.as_str() >= prefix.as_str() => Bound::Excluded(key.as_str()),
            _ => Bound::Included(prefix.as_str()),
        };
        let objects = self.read();
        let mut matching = objects
            .by_key
            .range::<str, _>((from, Bound::Unbounded))
            .take_while(|(key, _)| key.starts_with(prefix))
            .map(|(key, (body, _))| Listed { key: key.clone(), size: body.len() as u64 });
        let objects = matching.by_ref().take(limit).collect();
        Page { objects, more: matching.next().is_some() }
    }
}

fn conflict(message: String) -> Error {
    Error::not_applied(ErrorKind::Conflict, message)
}

impl fmt::Debug for MemoryProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryProvider")
            .field("config", &self.config)
            .field("objects", &self.read().by_key.len())
            .finish()
    }
}

#[async_trait]
impl StorageProvider for MemoryProvider {
    fn info(&self) -> ProviderInfo {
        ProviderInfo {
            name: "memory".into(),
            capabilities: Capabilities {
                absent: Atomicity::OneProcess,
                matches: Atomicity::OneProcess,
                list: ListConsistency::Strong,
                durability: Durability::Volatile,
                versions: self.config.versions,
                sharing: Sharing::OneProcess,
                key_bytes_max: KEY_BYTES_MAX,
                object_bytes_max: self.config.object_bytes_max,
            },
        }
    }

    async fn put(&self, key: &Key, body: Bytes, when: PutIf) -> Result<Version> {
        self.put_now(key, body, &when).map_err(|error| error.during(Operation::Put, key))
    }

    async fn get(&self, key: &Key, request: Get) -> Result<Object> {
        self.get_now(key, &request).map_err(|error| error.during(Operation::Get, key))
    }

    async fn list(&self, request: List<'_>) -> Result<Page> {
        Ok(self.list_now(request))
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.write().by_key.remove(key);
        Ok(())
    }
}
