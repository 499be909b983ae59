//! The provider: a folder, reached from async code in one hop to the blocking threads for each
//! operation.

use std::sync::Arc;

use bytes::Bytes;
use storage_core::{
    Atomicity, Capabilities, Error, ErrorKind, Get, KEY_BYTES_MAX, Key, List, ListConsistency,
    Object, Operation, Page, ProviderInfo, PutIf, Result, Sharing, StorageProvider, Version,
    Versions, async_trait,
};

use crate::Config;
use crate::folder::Folder;
use crate::step::{Observe, Observer};
use crate::{list, marker, object};

/// Objects in a folder. Clones share one handle; any number of handles, in any number of processes of
/// one machine, may have the folder open.
///
/// A put or delete whose future is dropped after it has begun goes on in the background to its end. Closing the last
/// clone of a handle removes its temporary directory, which blocks for a moment.
///
/// # Examples
///
/// ```
/// use backend_fs::{Config, FsProvider};
/// use storage_core::{Get, Key, PutIf, StorageProvider};
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("data");
/// let provider = FsProvider::open(Config::new(&path).create(true)).await?;
/// let key = Key::new("log/0000")?;
/// let version = provider.put(&key, "first".into(), PutIf::Absent).await?;
/// assert_eq!(provider.get(&key, Get::whole()).await?.version, version);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct FsProvider {
    folder: Arc<Folder>,
}

impl FsProvider {
    /// Opens a folder, and sweeps what handles that died have left in it.
    ///
    /// A folder that can only be read is opened all the same; changes then fail with
    /// [`ErrorKind::PermissionDenied`].
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::Misconfigured`], naming the setting: there is no such folder (and
    ///   [`Config::create`] is not set), it holds other things, has another format version, or is on a
    ///   file system that cannot keep the contract.
    /// - [`ErrorKind::PermissionDenied`]: it may not be read.
    /// - Those of any operation, for instance [`ErrorKind::Unavailable`] when too many files are open.
    pub async fn open(config: Config) -> Result<Self> {
        Self::open_with(config, Observer::default()).await
    }

    /// As [`open`](Self::open), and tells `observe` of each [`Step`](crate::Step) of a put or delete
    /// before it is done, on the thread that does it.
    ///
    /// This is for tests: an observer that kills the process, or blocks, stops a mutation exactly
    /// there.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub async fn open_observed(config: Config, observe: Observe) -> Result<Self> {
        Self::open_with(config, Observer::new(observe)).await
    }

    async fn open_with(config: Config, observer: Observer) -> Result<Self> {
        let folder = blocking(move || Folder::open(config, observer)).await?;
        Ok(Self { folder: Arc::new(folder) })
    }

    /// Makes the folder and those above it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Conflict`]: it is a provider already, or holds other things. An empty folder is
    /// taken. Otherwise as [`open`](Self::open).
    pub async fn create(config: &Config) -> Result<()> {
        let config = config.clone();
        blocking(move || marker::create(&config, false)).await
    }

    /// Removes a folder that holds no object.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Conflict`]: it holds an object or something that is not ours, or a handle has it
    /// open. [`ErrorKind::Misconfigured`]: it is not there, or not ours.
    pub async fn destroy(config: &Config) -> Result<()> {
        let config = config.clone();
        blocking(move || marker::destroy(&config)).await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Folder) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let folder = self.folder.clone();
        blocking(move || work(&folder)).await
    }
}

/// Runs on a thread that may block. What has begun ends, whether or not anybody waits for it; what has
/// not begun when nobody waits any more never does, so that a disk that hangs gathers no backlog.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let runtime = tokio::runtime::Handle::try_current().map_err(|error| {
        Error::not_applied(ErrorKind::Unexpected, "called outside of a tokio runtime")
            .with_source(error)
    })?;
    let mut task = AbortOnDrop(runtime.spawn_blocking(work));
    match (&mut task.0).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Blocking work is cancelled only before it begins.
            Err(error) => {
                Err(Error::not_applied(ErrorKind::Unavailable, "the runtime is shutting down")
                    .with_source(error))
            }
        },
    }
}

struct AbortOnDrop<T>(tokio::task::JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[async_trait]
impl StorageProvider for FsProvider {
    fn info(&self) -> ProviderInfo {
        let config = &self.folder.config;
        ProviderInfo {
            name: format!("fs:{}", config.path.display()).into(),
            capabilities: Capabilities {
                absent: Atomicity::OneHost,
                matches: Atomicity::OneHost,
                list: ListConsistency::Strong,
                durability: config.durability,
                versions: Versions::PerWrite,
                sharing: Sharing::OneHost,
                key_bytes_max: KEY_BYTES_MAX,
                object_bytes_max: config.object_bytes_max,
            },
        }
    }

    async fn put(&self, key: &Key, body: Bytes, when: PutIf) -> Result<Version> {
        let name = key.clone();
        self.run(move |folder| folder.put(&name, &body, &when))
            .await
            .map_err(|error| error.during(Operation::Put, key))
    }

    async fn get(&self, key: &Key, request: Get) -> Result<Object> {
        let name = key.clone();
        self.run(move |folder| {
            let answer = match folder.open_object(&name)? {
                Some(file) => object::read(&folder.pool, &file, &name, &request),
                None => Err(Error::not_applied(ErrorKind::NotFound, "there is no object")),
            };
            folder.settle(&name)?;
            answer
        })
        .await
        .map_err(|error| error.during(Operation::Get, key))
    }

    async fn list(&self, request: List<'_>) -> Result<Page> {
        let (prefix, start_after) = (request.prefix.clone(), request.start_after.cloned());
        let limit = request.limit;
        self.run(move |folder| {
            folder.check_there()?;
            list::page(
                &folder.objects,
                &folder.ahead,
                &prefix,
                start_after.as_ref(),
                limit,
                |directory| {
                    folder.may_be_empty(directory);
                },
            )
        })
        .await
        .map_err(Error::during_list)
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        let name = key.clone();
        self.run(move |folder| folder.delete(&name))
            .await
            .map_err(|error| error.during(Operation::Delete, key))
    }
}
