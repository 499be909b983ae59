//! A gateway: requests in, answers out.

use std::sync::Arc;

use storage_txn::Store;

use crate::door::Door;
use crate::{Access, Options, OptionsError, Sweep, SweepError, Swept};

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

    /// Takes a sweep a step further: what buckets say is to become of objects as they age is done, to a bounded number
    /// of them. `None` once nothing is left to look at. How much time is between steps is for the caller to say.
    ///
    /// May be dropped at any time, as [`call`](Self::call) may. Any number of gateways may sweep one store.
    ///
    /// # Errors
    ///
    /// The store could not be read or changed. The sweep goes on from where it was.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use std::time::Duration;
    /// # use backend_memory::MemoryProvider;
    /// # use gateway_s3::{Access, AccessKey, Gateway, Options, Sweep};
    /// # use storage_txn::Store;
    /// # use storage_wrappers::TokioEnv;
    /// # struct Nobody;
    /// # impl Access for Nobody {
    /// #     fn key(&self, _: &str) -> Option<AccessKey> { None }
    /// # }
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let provider = Arc::new(MemoryProvider::new());
    /// # let store = Store::init(provider, Arc::new(TokioEnv::new()), Default::default()).await?;
    /// let gateway = Gateway::new(store, Arc::new(Nobody), Options::default())?;
    /// let mut sweep = Sweep::new(Duration::from_secs(24 * 60 * 60));
    /// while let Some(swept) = gateway.sweep(&mut sweep).await? {
    ///     println!("{} of {} have expired", swept.expired, swept.looked_at);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn sweep(&self, sweep: &mut Sweep) -> Result<Option<Swept>, SweepError> {
        self.door.core().sweep(sweep).await.map_err(SweepError::from)
    }
}
