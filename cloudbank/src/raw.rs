//! The service without us: what `provider bench` compares a backend with.

use bytes::Bytes;
use storage_core::async_trait;

/// An error of somebody else's library.
pub type RawError = Box<dyn std::error::Error + Send + Sync>;

/// A storage service as its usual library reaches it, with the same settings.
#[async_trait]
pub trait RawService: Send + Sync {
    /// What it is, for the table: the library and its settings that matter.
    fn name(&self) -> &str;

    /// Stores an object, durably.
    ///
    /// # Errors
    ///
    /// Whatever the library says.
    async fn put(&self, key: &str, body: Bytes) -> Result<(), RawError>;

    /// Stores an object that must not exist yet.
    ///
    /// # Errors
    ///
    /// Whatever the library says.
    async fn put_absent(&self, key: &str, body: Bytes) -> Result<(), RawError>;

    /// Reads a whole object.
    ///
    /// # Errors
    ///
    /// Whatever the library says.
    async fn get(&self, key: &str) -> Result<Bytes, RawError>;

    /// Counts the objects in a folder of keys, which is given without a `/` at its end.
    ///
    /// # Errors
    ///
    /// Whatever the library says.
    async fn list(&self, folder: &str) -> Result<usize, RawError>;

    /// Removes an object.
    ///
    /// # Errors
    ///
    /// Whatever the library says.
    async fn delete(&self, key: &str) -> Result<(), RawError>;
}
