//! Combining commits with other servers of the same store, over HTTP: `hand` is the way to the combiner, `take` is what a
//! combiner answers. What the messages say is the store's business.

mod hand;
mod take;

use std::sync::Arc;

use gateway_http::{Certificates, Limits, Listener};
use storage_txn::{COMBINE_BYTES_MAX, Store};

use crate::config::CombinerSettings;
use crate::error::{Error, Result};

use hand::Line;
pub(crate) use take::Taker;

/// Where messages are sent.
const PATH: &str = "/-/combine";
/// How they are said to be written.
const MESSAGE_TYPE: &str = "application/octet-stream";
/// How many messages are worked on at a time. Each server sends one at a time.
const MESSAGES_MAX: usize = 64;
/// The most bytes of messages held at a time.
const MEMORY_BYTES_MAX: usize = 64 << 20;

/// The way to the server that is to commit for this one, if there is to be one.
///
/// # Errors
///
/// [`Error::Usage`] for a certificate that cannot be read.
pub(crate) fn line(settings: &CombinerSettings) -> Result<Option<Arc<Line>>> {
    let Some(address) = &settings.address else { return Ok(None) };
    Line::new(address, settings.certificate_authority.as_deref()).map(Arc::new).map(Some)
}

/// What takes the commits of other servers, with the listener where it does.
pub(crate) fn taker(settings: &CombinerSettings, store: &Store) -> Taker {
    Taker::new(store.clone(), settings.key.clone())
}

/// Where the commits of other servers are taken, if they are.
///
/// # Errors
///
/// [`Error::Usage`] for a certificate that cannot be used; those of `bind`.
pub(crate) fn listener(
    settings: &CombinerSettings,
    bind: impl FnOnce(&crate::config::Address) -> Result<Listener>,
) -> Result<Option<Listener>> {
    let Some(address) = &settings.listen else { return Ok(None) };
    let listener = bind(address)?;
    let Some((chain, key)) = &settings.tls else { return Ok(Some(listener)) };
    let certificates = Certificates::load(chain, key)
        .map_err(|error| Error::Usage(format!("the certificate of [combiner]: {error}")))?;
    Ok(Some(listener.with_tls(certificates)))
}

/// The bounds of that listener.
pub(crate) fn limits(mut limits: Limits) -> Limits {
    limits.requests_max = MESSAGES_MAX;
    limits.waiting_max = MESSAGES_MAX;
    limits.memory_bytes_max = MEMORY_BYTES_MAX;
    limits.body_bytes_max = COMBINE_BYTES_MAX as u64;
    limits.request_stream_bytes = COMBINE_BYTES_MAX;
    limits.drain_time_max = std::time::Duration::from_secs(1);
    limits
}
