//! The provider: the common one, over Azure.

use std::fmt;

use backend_object_store::{ObjectProvider, Probe, create, destroy, probe};
use bytes::Bytes;
use storage_core::{
    Get, Key, List, Object, Page, ProviderInfo, PutIf, Result, StorageProvider, Version,
    async_trait,
};

use crate::Config;
use crate::service::Azure;

/// Objects in a container.
///
/// Needs a Tokio runtime with time and I/O.
///
/// # Examples
///
/// ```no_run
/// use backend_azure::{Config, AzureProvider};
/// use storage_core::{Key, PutIf, StorageProvider};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let provider = AzureProvider::open(Config::new("myaccount", "my-container")).await?;
/// provider.put(&Key::new("log/0000")?, "first".into(), PutIf::Absent).await?;
/// # Ok(())
/// # }
/// ```
pub struct AzureProvider(ObjectProvider<Azure>);

impl AzureProvider {
    /// Opens the container, and verifies that it keeps the conditions that are about to be promised
    /// unless [`Config::probe`] says otherwise.
    ///
    /// # Errors
    ///
    /// [`Misconfigured`](storage_core::ErrorKind::Misconfigured) naming the setting, when one is wrong,
    /// the container is missing, or conditions do not hold;
    /// [`PermissionDenied`](storage_core::ErrorKind::PermissionDenied) naming the settings of the
    /// credentials; [`Unavailable`](storage_core::ErrorKind::Unavailable) when the service cannot be
    /// reached.
    pub async fn open(config: Config) -> Result<Self> {
        let provider = ObjectProvider::new(Azure::new(&config)?);
        match config.probe {
            Probe::Full => probe(&provider).await?,
            Probe::Off => {}
        }
        Ok(Self(provider))
    }

    /// Creates the container.
    ///
    /// # Errors
    ///
    /// [`Conflict`](storage_core::ErrorKind::Conflict) when it exists; otherwise as
    /// [`open`](Self::open).
    pub async fn create(config: &Config) -> Result<()> {
        create(&Azure::new(config)?).await
    }

    /// Deletes the container, which has to be empty, also of what lies outside [`Config::prefix`].
    ///
    /// # Errors
    ///
    /// [`Conflict`](storage_core::ErrorKind::Conflict) when it is not empty; otherwise as
    /// [`open`](Self::open).
    pub async fn destroy(config: &Config) -> Result<()> {
        destroy(&Azure::new(config)?).await
    }
}

impl fmt::Debug for AzureProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AzureProvider").field(self.0.service()).finish()
    }
}

#[async_trait]
impl StorageProvider for AzureProvider {
    fn info(&self) -> ProviderInfo {
        self.0.info()
    }

    async fn put(&self, key: &Key, body: Bytes, when: PutIf) -> Result<Version> {
        self.0.put(key, body, when).await
    }

    async fn get(&self, key: &Key, request: Get) -> Result<Object> {
        self.0.get(key, request).await
    }

    async fn list(&self, request: List<'_>) -> Result<Page> {
        self.0.list(request).await
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.0.delete(key).await
    }
}
