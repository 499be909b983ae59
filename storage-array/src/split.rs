//! `split`: the log of a store on one provider, its objects on another.

use std::sync::Arc;

use bytes::Bytes;
use storage_core::{
    Atomicity, Error, ErrorKind, Get, Key, List, Object, Operation, Page, ProviderInfo, PutIf,
    Result, Sharing, StorageProvider, Version, async_trait,
};

use crate::merge::merged;

/// The folders of a store that are objects: written once under names of their own, read, deleted. Nothing
/// about them has to be decided between writers.
const OBJECTS: [&str; 4] = ["checkpoint", "pack", "segment", "value"];

/// One provider for the log of a store, where races are decided, and one for its objects, which may be an
/// array.
///
/// What is an object is told by the key: one in a folder `checkpoint`, `pack`, `segment` or `value`, at whatever
/// depth. Everything else is the log's. What it declares is what the log's provider declares; conditions on the
/// key of an object are those of the objects' provider.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use backend_memory::MemoryProvider;
/// use storage_array::Split;
/// use storage_core::{Get, Key, PutIf, StorageProvider};
///
/// # futures_executor::block_on(async {
/// let (log, objects) = (MemoryProvider::new(), MemoryProvider::new());
/// let split = Split::new(Arc::new(log.clone()), Arc::new(objects.clone()));
/// split.put(&Key::new("log/00")?, "entry".into(), PutIf::Absent).await?;
/// split.put(&Key::new("value/1/2")?, "large".into(), PutIf::Always).await?;
/// assert!(log.get(&Key::new("log/00")?, Get::whole()).await.is_ok());
/// assert!(objects.get(&Key::new("value/1/2")?, Get::whole()).await.is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct Split {
    /// The log's and the objects'.
    providers: [Arc<dyn StorageProvider>; 2],
}

impl Split {
    /// A provider made of these two.
    #[must_use]
    pub fn new(log: Arc<dyn StorageProvider>, objects: Arc<dyn StorageProvider>) -> Self {
        Self { providers: [log, objects] }
    }

    fn of(&self, key: &Key) -> &Arc<dyn StorageProvider> {
        &self.providers[place_of(key.as_str())]
    }
}

/// Whose a key is: 0 is the log's, 1 the objects'.
fn place_of(key: &str) -> usize {
    let folders = key.rsplit_once('/').map_or("", |(folders, _)| folders);
    usize::from(folders.split('/').any(|folder| OBJECTS.contains(&folder)))
}

#[async_trait]
impl StorageProvider for Split {
    fn info(&self) -> ProviderInfo {
        let [log, objects] = [0, 1].map(|at: usize| self.providers[at].info());
        let mut capabilities = log.capabilities;
        let other = objects.capabilities;
        capabilities.list = capabilities.list.min(other.list);
        capabilities.durability = capabilities.durability.min(other.durability);
        capabilities.versions = capabilities.versions.min(other.versions);
        capabilities.sharing = capabilities.sharing.min(other.sharing);
        capabilities.key_bytes_max = capabilities.key_bytes_max.min(other.key_bytes_max);
        capabilities.object_bytes_max = capabilities.object_bytes_max.min(other.object_bytes_max);
        // Conditions reach no further than those who can open both.
        let reach = match capabilities.sharing {
            Sharing::OneProcess => Atomicity::OneProcess,
            Sharing::OneHost => Atomicity::OneHost,
            Sharing::AllClients => Atomicity::AllClients,
        };
        capabilities.absent = capabilities.absent.min(reach);
        capabilities.matches = capabilities.matches.min(reach);
        let name = format!("split(log {}, objects {})", log.name, objects.name).into();
        ProviderInfo { name, capabilities }
    }

    async fn put(&self, key: &Key, body: Bytes, when: PutIf) -> Result<Version> {
        let capabilities = self.info().capabilities;
        let (size, max) = (body.len() as u64, capabilities.object_bytes_max);
        let refused = if size > max {
            let what = format!("{size} bytes, but an object has at most {max}");
            Some(Error::not_applied(ErrorKind::TooLarge, what))
        } else if key.as_str().len() > capabilities.key_bytes_max {
            Some(Error::not_applied(ErrorKind::InvalidKey, "the key is too long"))
        } else {
            None
        };
        match refused {
            Some(error) => Err(error.during(Operation::Put, key)),
            None => self.of(key).put(key, body, when).await,
        }
    }

    async fn get(&self, key: &Key, request: Get) -> Result<Object> {
        self.of(key).get(key, request).await
    }

    async fn list(&self, request: List<'_>) -> Result<Page> {
        let prefix = request.prefix.as_str();
        if place_of(prefix) == 1 {
            return self.providers[1].list(request).await;
        }
        merged(&self.providers, request, |at, key| place_of(key.as_str()) == at).await
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.of(key).delete(key).await
    }
}

#[cfg(test)]
mod tests {
    use super::place_of;

    #[test]
    fn what_is_in_a_folder_of_objects_is_an_object() {
        let objects = ["value/1/2", "segment/0/1", "some/where/pack/x", "checkpoint/a", "value/"];
        let others = ["format", "log/00", "session/value", "value", "values/1", "pin/a=value"];
        assert!(objects.iter().all(|key| place_of(key) == 1));
        assert!(others.iter().all(|key| place_of(key) == 0));
    }
}
