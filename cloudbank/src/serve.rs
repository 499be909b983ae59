//! The storage server: a store behind the protocols of gateways, and what its operator sees.
//!
//! In reading order: `door` is where requests come in, `keys` whose they may be, `health` and `admin` what an operator
//! asks, `metrics`, `logs` and `traces` what is told, `upkeep` what is done besides,
//! `combiner` what is done together with other servers, `greeting` what is said at the start.

pub(crate) mod admin;
#[cfg(feature = "gateway-s3")]
pub(crate) mod combiner;
#[cfg(feature = "gateway-s3")]
pub(crate) mod door;
#[cfg(feature = "gateway-s3")]
pub(crate) mod encryption;
#[cfg(feature = "gateway-s3")]
pub(crate) mod greeting;
pub(crate) mod health;
#[cfg(feature = "gateway-s3")]
pub(crate) mod keys;
pub(crate) mod logs;
pub(crate) mod metrics;
#[cfg(feature = "gateway-s3")]
mod operation;
#[cfg(feature = "gateway-tahoe")]
pub(crate) mod tahoe;
#[cfg(feature = "gateway-s3")]
pub(crate) mod traces;
pub(crate) mod upkeep;
