//! The operations on a store in memory, without HTTP.

mod batches;
mod changes;
mod costs;
mod encryption;
mod lifecycle;
mod lists;
mod locks;
mod puts;
mod read_only;
mod uploads;
mod versions;

use std::sync::Arc;

use backend_memory::MemoryProvider;
use bytes::Bytes;
use futures_util::TryStreamExt;
use storage_core::StorageProvider;
use storage_txn::{At, KeyRange, Scan, Store};
use storage_wrappers::TokioEnv;

use crate::access::AccessKey;
use crate::body::Incoming;
use crate::error::{Code, Result};
use crate::op::acl::AclWish;
use crate::op::action;
use crate::op::caller::Caller;
use crate::op::conditions::Conditions;
use crate::op::get::{Get, Span};
use crate::op::object::Which;
use crate::op::put::Description;
use crate::op::{Core, Moment};
use crate::record::{Object, Versioning};
use crate::{Options, layout};

/// A gateway with the bucket `bbb` of alice.
pub(super) struct Bench {
    pub(super) core: Core,
    pub(super) alice: Caller,
    provider: Arc<dyn StorageProvider>,
}

impl Bench {
    pub(super) async fn new() -> Self {
        Self::with(Options::default()).await
    }

    pub(super) async fn with(options: Options) -> Self {
        Self::on(Arc::new(MemoryProvider::new()), options).await
    }

    pub(super) async fn on(provider: Arc<dyn StorageProvider>, options: Options) -> Self {
        let store = Store::init(provider.clone(), env(), store_options()).await.unwrap();
        let alice = Caller::of(AccessKey::new("secret", "alice"));
        let core = Core::new(store, Arc::new(options));
        core.create_bucket(&alice, "bbb", &AclWish::Default, ("", false)).await.unwrap();
        Self { core, alice, provider }
    }

    /// Another gateway on the same provider.
    pub(super) async fn beside(&self) -> Self {
        let store = Store::open(self.provider.clone(), env(), store_options()).await.unwrap();
        let core = Core::new(store, self.core.options.clone());
        Self { core, alice: self.alice.clone(), provider: self.provider.clone() }
    }

    pub(super) async fn version(&self, versioning: Versioning) {
        let set = |bucket: &mut crate::record::Bucket| {
            bucket.versioning = versioning as i32;
            Ok(())
        };
        self.core.set(&self.alice, action::PUT_VERSIONING, "bbb", &set).await.unwrap();
    }

    pub(super) async fn put(&self, key: &str, body: impl Into<Bytes>) -> Object {
        self.put_if(key, body, &Conditions::default()).await.unwrap()
    }

    pub(super) async fn put_if(
        &self,
        key: &str,
        body: impl Into<Bytes>,
        conditions: &Conditions,
    ) -> Result<Object> {
        let body = Incoming::of(body.into());
        let put = self.core.put_object(
            &self.alice,
            ("bbb", key),
            Description::default(),
            conditions,
            body,
        );
        Ok(put.await?.object)
    }

    pub(super) async fn get(&self, key: &str) -> Result<Bytes> {
        self.get_of(key, Which::Newest, Span::All).await
    }

    pub(super) async fn get_of(&self, key: &str, which: Which, span: Span) -> Result<Bytes> {
        let get = Get { which, span, ..Get::default() };
        let got = self.core.get_object(&self.alice, ("bbb", key, Moment::Now), &get).await?;
        let pieces: Vec<Bytes> = got.stream().try_collect().await?;
        Ok(pieces.concat().into())
    }

    pub(super) async fn delete(&self, key: &str, which: Which) {
        let delete = crate::op::delete::Delete { key: key.to_owned(), which, ..Default::default() };
        self.core.delete_object(&self.alice, "bbb", &delete).await.unwrap();
    }

    /// How many pieces of data there are, whoever has them.
    pub(super) async fn data(&self) -> usize {
        let start = layout::data(&[0; 16]);
        let range = KeyRange::prefix(&start[..start.len() - 16]);
        let now = self.core.store.snapshot(At::Latest).await.unwrap();
        now.scan_meta(&Scan::new(range)).await.unwrap().collect().await.unwrap().len()
    }
}

fn env() -> Arc<TokioEnv> {
    Arc::new(TokioEnv::new())
}

fn store_options() -> storage_txn::Options {
    let mut options = storage_txn::Options::default();
    // Small enough that tests have large values, of several chunks.
    (options.inline_bytes_max, options.chunk_bytes) = (4096, 100_000);
    options
}

pub(super) fn code<T>(result: Result<T>) -> Option<Code> {
    result.err().and_then(|error| error.code())
}

/// Bytes that differ everywhere.
pub(super) fn bytes(length: usize) -> Bytes {
    (0..length).map(|at| (at * 31 + at / 251) as u8).collect::<Vec<_>>().into()
}
