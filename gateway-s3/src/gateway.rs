//! A gateway: requests in, answers out.

use std::sync::Arc;

use storage_txn::Store;

use crate::door::Door;
use crate::{Access, Options, OptionsError};

/// The body of a request or an answer. Made from that of a connection (`hyper::body::Incoming`), from bytes, or from
/// any `http_body::Body`.
pub use s3s::Body;

/// The S3 protocol over a store. A handle is cheap to clone, and all of them are the same.
#[derive(Debug, Clone)]
pub struct Gateway {
    door: Door,
}

impl Gateway {
    /// Puts the protocol in front of a store.
    ///
    /// # Errors
    ///
    /// The option that is out of its bounds.
    pub fn new(
        store: Store,
        access: Arc<dyn Access>,
        options: Options,
    ) -> Result<Self, OptionsError> {
        options.check()?;
        Ok(Self { door: Door::new(store, access, options)? })
    }

    /// Answers a request. Never fails: what goes wrong is said in the answer.
    ///
    /// May be dropped at any time. A change that was under way then is done as a whole or not at all.
    pub async fn call(&self, request: http::Request<Body>) -> http::Response<Body> {
        self.door.call(request).await
    }
}
