//! The storage protocol of Tahoe-LAFS in front of a Cloudbank store.
//!
//! An unmodified Tahoe-LAFS client keeps its shares through it on any provider. Every change is one transaction: a share
//! is there as a whole or not at all, and all shares of a mutable file, the secret that lets write to them and their leases
//! change together.
//!
//! Read in this order:
//!
//! 1. [`Shares`]: what a server keeps, and every operation on it; without HTTP.
//! 2. [`Uploads`]: shares that are not complete yet, in a folder.
//! 3. [`Gateway`]: the protocol. [`Control`]: the same for tests, that move its clock.
//! 4. [`Identity`]: who the server is to its clients.
//! 5. [`stock`]: the storage folder of the stock server, whose shares move in and back.
//! 6. [`Options`], [`Clock`]: the bounds of it, and its time.
//!
//! How shares are kept is told in `docs/formats/tahoe.md`, why so in `docs/design/`.
//!
//! # Examples
//!
//! ```
//! use std::sync::Arc;
//! use backend_memory::MemoryProvider;
//! use bytes::Bytes;
//! use gateway_tahoe::{Gateway, Options, Shares, Uploads, WallClock};
//! use http_body_util::Full;
//! use storage_txn::Store;
//! use storage_wrappers::TokioEnv;
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let env = Arc::new(TokioEnv::new());
//! let store = Store::init(Arc::new(MemoryProvider::new()), env.clone(), Default::default()).await?;
//! let clock = Arc::new(WallClock::new(env.clone()));
//! let shares = Shares::open(store, env, clock, Options::default()).await?;
//! let folder = tempfile::tempdir()?;
//! let gateway = Gateway::new(Uploads::open(shares, folder.path())?, "swissnum");
//! // Nobody has shown the swissnum.
//! let request = http::Request::get("/storage/v1/version").body(Full::<Bytes>::default())?;
//! assert_eq!(gateway.call(request).await.status(), 401);
//! # Ok(())
//! # }
//! ```

mod cache;
mod cbor;
mod clock;
mod control;
mod error;
mod files;
mod gateway;
mod identity;
mod index;
mod layout;
mod metrics;
mod options;
mod ranges;
mod record;
mod shares;
pub mod stock;
mod uploads;

pub use clock::{Clock, StillClock, WallClock};
pub use control::Control;
pub use error::{Error, Refusal, Result};
pub use gateway::{AnswerBody, Gateway};
pub use identity::Identity;
pub use index::StorageIndex;
pub use metrics::describe_metrics;
pub use options::Options;
pub use record::{LEASE_SECONDS, Lease, LeaseSecrets, lease_hash};
pub use shares::{
    AdoptedShare, Advisory, Answer, Collected, Data, Expired, Kind, ReadTestWrite, ReadVector,
    Reader, SHARES_MAX, ShareChange, ShareInfo, Shares, SlotInfo, Test, Write,
};
pub use uploads::{Allocated, Progress, Uploads};
