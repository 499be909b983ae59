//! What differs between the services: addresses, signatures, names of settings and of mistakes.

use std::fmt::Debug;

use bytes::Bytes;
use object_store::ObjectStore;
use object_store::client::HttpRequest;
use storage_core::{Error, Prefix, PutIf, Versions, async_trait};

use crate::name::Names;
use crate::wire::{Answer, Wire};

/// A bucket or container of one service, ready to be asked.
#[async_trait]
pub trait Service: Debug + Send + Sync + 'static {
    /// What and where it is, and what it promises.
    fn place(&self) -> &Place;

    /// The library's handle: puts and gets go through it. Its connection is [`wire`](Self::wire), and
    /// it does not retry.
    fn store(&self) -> &dyn ObjectStore;

    /// The connection.
    fn wire(&self) -> &Wire;

    /// Signs a request that is not made by the library.
    async fn sign(&self, request: &mut HttpRequest) -> object_store::Result<()>;

    /// What a failure with this answer is, where the service's codes say more than the status.
    fn explain(&self, call: Call<'_>, answer: &Answer) -> Option<Error>;

    /// The query of a request for a page of a listing.
    fn list_query(&self, page: &PageRequest<'_>) -> Vec<(&'static str, String)>;

    /// Reads the page.
    ///
    /// # Errors
    ///
    /// In words, when this is no listing of this service.
    fn read_page(&self, body: &[u8]) -> Result<RawPage, String>;

    /// The query and body of the request that creates the bucket.
    fn create_request(&self) -> (&'static str, Bytes);

    /// The query of the request that deletes the bucket.
    fn destroy_query(&self) -> &'static str;

    /// Headers that a request needs which is not made by the library.
    fn headers(&self, call: Call<'_>) -> &'static [(&'static str, &'static str)];
}

/// What and where a bucket is, and what it promises.
#[derive(Debug, Clone)]
pub struct Place {
    /// For people: `s3://bucket/prefix`.
    pub name: String,
    /// The bucket's address, without a slash at the end.
    pub url: String,
    /// Comes before every key.
    pub prefix: Prefix,
    /// How keys are spelled after it.
    pub names: Names,
    /// The largest object, in bytes.
    pub object_bytes_max: u64,
    /// The most keys the service puts on a page.
    pub page_keys_max: usize,
    /// What its versions tell apart.
    pub versions: Versions,
    /// Whether puts may have conditions.
    pub conditional_put: bool,
    /// The settings that make up the address, in words.
    pub address: &'static str,
    /// The settings that the credentials come from, in words.
    pub credentials: String,
}

/// What is asked of the service.
#[derive(Debug, Clone, Copy)]
pub enum Call<'a> {
    /// An object is put.
    Put(&'a PutIf),
    /// An object is read, or its size and version.
    Get,
    /// A page is listed.
    List,
    /// An object is deleted.
    Delete,
    /// The bucket is created.
    Create,
    /// The bucket is deleted.
    Destroy,
}

impl Call<'_> {
    /// Whether it changes anything.
    #[must_use]
    pub fn is_mutation(self) -> bool {
        !matches!(self, Self::Get | Self::List)
    }

    /// Whether it is a put with a condition.
    #[must_use]
    pub fn is_conditional(self) -> bool {
        matches!(self, Self::Put(PutIf::Absent | PutIf::Matches(_)))
    }
}

/// Which page of a listing, in the service's own terms.
#[derive(Debug, Clone, Copy)]
pub struct PageRequest<'a> {
    /// What names start with, the place's own prefix included.
    pub prefix: &'a str,
    /// The name to start after, the place's own prefix included.
    pub start_after: Option<&'a str>,
    /// Where the page before ended.
    pub token: Option<&'a str>,
    /// How many names at most.
    pub limit: usize,
}

/// A page of a listing as the service gives it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RawPage {
    /// Names and sizes.
    pub objects: Vec<(String, u64)>,
    /// Where the next page begins, if there is one.
    pub token: Option<String>,
}
