//! The S3 protocol in front of a Cloudbank store.
//!
//! Every S3 client can use a store through it: buckets and objects are records in the store, a put is a transaction
//! that shares its entry of the log with others, and a multipart upload is completed without moving a byte.
//!
//! Read in this order:
//!
//! 1. [`Gateway`]: a store, access keys and options; answers requests.
//! 2. [`Access`], [`AccessKey`], [`Right`]: who may do what.
//! 3. [`Options`]: the bounds of it.
//! 4. [`Sweep`]: what is done as objects age.
//!
//! How objects are kept is told in `docs/formats/s3.md`, why so in `docs/design/`.
//!
//! # Examples
//!
//! ```
//! use std::sync::Arc;
//! use backend_memory::MemoryProvider;
//! use gateway_s3::{Access, AccessKey, Body, Gateway, Options};
//! use storage_txn::Store;
//! use storage_wrappers::TokioEnv;
//!
//! struct One;
//!
//! impl Access for One {
//!     fn key(&self, access_key: &str) -> Option<AccessKey> {
//!         (access_key == "alice").then(|| AccessKey::new("secret", "alice"))
//!     }
//! }
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let provider = Arc::new(MemoryProvider::new());
//! let store = Store::init(provider, Arc::new(TokioEnv::new()), Default::default()).await?;
//! let gateway = Gateway::new(store, Arc::new(One), Options::default())?;
//! // Nobody has signed this.
//! let answer = gateway.call(http::Request::put("/photos").body(Body::empty())?).await;
//! assert_eq!(answer.status(), 403);
//! # Ok(())
//! # }
//! ```

mod access;
mod body;
mod door;
mod error;
mod gateway;
mod layout;
mod op;
mod options;
mod origin;
mod policy;
mod record;
mod seal;

/// The target of the spans that the gateway makes for traces, `commit` for one: they say nothing that a log needs.
pub const SPANS: &str = "spans";

pub use access::{Access, AccessKey, Level, Right, User};
pub use error::SweepError;
pub use gateway::{Body, Gateway};
pub use op::lifecycle::{Sweep, Swept};
pub use options::{Options, OptionsError, SignatureV2};
pub use origin::Origin;
pub use seal::EncryptionKey;
