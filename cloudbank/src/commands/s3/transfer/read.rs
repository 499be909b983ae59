//! Objects read in parts, several at a time, each going on where it broke off.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, TryStreamExt, stream};
use storage_core::ErrorKind;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::commands::s3::{CONNECTIONS, failed};
use crate::error::{Error, Result};
use crate::s3::checksum::Expected;
use crate::s3::client::Client;
use crate::s3::failure::Failure;
use crate::s3::object::{Head, Name, Reading};

/// How large parts are unless it is said.
const PART_BYTES: u64 = 8 << 20;
/// How much is in memory at a time, unless one part is more.
const MEMORY_BYTES_MAX: u64 = 256 << 20;
/// What memory is counted in.
const MEMORY_UNIT_BYTES: u64 = 64 << 10;
/// How often a part may break off without one byte between.
const STALLS_MAX: u32 = 5;
const PAUSE: Duration = Duration::from_millis(200);

/// Reads objects, within bounds on requests and memory.
#[derive(Debug, Clone)]
pub(in crate::commands::s3) struct Reader {
    pub(in crate::commands::s3) client: Client,
    pub(super) part_bytes: u64,
    pub(super) jobs: usize,
    requests: Arc<Semaphore>,
    memory: Arc<Semaphore>,
    memory_units: u64,
}

/// Bytes of an object.
pub(in crate::commands::s3) struct Wanted<'a> {
    pub(in crate::commands::s3) name: &'a Name,
    pub(in crate::commands::s3) head: &'a Head,
    pub(in crate::commands::s3) start: u64,
    pub(in crate::commands::s3) length: u64,
}

impl Reader {
    pub(in crate::commands::s3) fn new(client: Client) -> Self {
        Self::with(client, CONNECTIONS.into(), PART_BYTES)
    }

    pub(super) fn with(client: Client, jobs: usize, part_bytes: u64) -> Self {
        let units = MEMORY_BYTES_MAX.max(part_bytes).div_ceil(MEMORY_UNIT_BYTES);
        Self {
            client,
            part_bytes,
            jobs,
            requests: Arc::new(Semaphore::new(jobs)),
            memory: Arc::new(Semaphore::new(units as usize)),
            memory_units: units,
        }
    }

    /// Leave to send a request.
    pub(super) async fn request(&self) -> OwnedSemaphorePermit {
        self.requests.clone().acquire_owned().await.expect("it is never closed")
    }

    /// Leave to have so many bytes in memory; all there is for more than that.
    pub(super) async fn memory(&self, bytes: u64) -> OwnedSemaphorePermit {
        let units = bytes.div_ceil(MEMORY_UNIT_BYTES).min(self.memory_units) as u32;
        let memory = self.memory.clone().acquire_many_owned(units);
        memory.await.expect("it is never closed")
    }

    /// The parts of a range: where each begins, and how long it is.
    pub(super) fn parts(&self, start: u64, length: u64) -> impl Iterator<Item = (u64, u64)> {
        let (end, step) = (start + length, self.part_bytes);
        let mut at = start;
        std::iter::from_fn(move || {
            let length = step.min(end - at);
            let part = (length > 0).then_some((at, length));
            at += length;
            part
        })
    }

    /// Hands on the bytes in order, read ahead in parts.
    pub(in crate::commands::s3) async fn in_order(
        &self,
        wanted: &Wanted<'_>,
        mut hand_on: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let whole = wanted.start == 0 && wanted.length == wanted.head.size;
        let mut summer = wanted.head.expected.as_ref().filter(|_| whole).map(Expected::summer);
        let parts = stream::iter(self.parts(wanted.start, wanted.length))
            .map(|(start, length)| async move {
                let memory = self.memory(length).await;
                let part = self.part(wanted, start, length).await?;
                Ok::<_, Error>((part, memory))
            })
            .buffered(self.jobs);
        let mut parts = std::pin::pin!(parts);
        while let Some((part, memory)) = parts.try_next().await? {
            if let Some(summer) = &mut summer {
                summer.add(&part);
            }
            hand_on(&part)?;
            drop(memory);
        }
        match (&wanted.head.expected, summer) {
            (Some(expected), Some(summer)) => expected
                .check(summer)
                .map_err(|why| failed(format!("read {}", wanted.name))(Failure::wrong_answer(why))),
            _ => Ok(()),
        }
    }

    async fn part(&self, wanted: &Wanted<'_>, start: u64, length: u64) -> Result<Bytes> {
        let mut part = BytesMut::with_capacity(length as usize);
        self.range(wanted, None, (start, length), |_, bytes| {
            part.extend_from_slice(bytes);
            Ok(())
        })
        .await?;
        Ok(part.freeze())
    }

    /// Hands on the bytes of a range with the place of each, going on where an answer broke off. The first answer may
    /// be there already.
    pub(super) async fn range(
        &self,
        wanted: &Wanted<'_>,
        mut first: Option<Reading>,
        (start, length): (u64, u64),
        mut hand_on: impl FnMut(u64, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let (name, head) = (wanted.name, wanted.head);
        let what = || failed(format!("read {name}"));
        let etag = Some(&head.etag[..]).filter(|etag| !etag.is_empty());
        let end = start + length;
        let whole = start == 0 && length == head.size;
        let (mut at, mut stalls) = (start, 0);
        loop {
            let permit = self.request().await;
            // A service that knows no ranges can be asked for all of it.
            let range = (!whole || at > 0).then_some((at, end - at));
            let reading = match first.take() {
                Some(reading) => Ok(reading),
                None => self.client.get(name, range, etag).await,
            };
            let mut reading = reading.map_err(|failure| {
                what()(match failure.kind {
                    ErrorKind::Conflict => {
                        Failure { message: "it was changed meanwhile".into(), ..failure }
                    }
                    _ => failure,
                })
            })?;
            if reading.head.size != head.size || reading.start > at {
                let message =
                    format!("it has {} bytes, but then it had {}", head.size, reading.head.size);
                return Err(what()(Failure::wrong_answer(message)));
            }
            let before = at;
            let broke_off = loop {
                match self.client.piece(&mut reading.body).await {
                    Ok(Some(bytes)) if bytes.len() as u64 > end - at => {
                        let message = "more bytes came than were asked for";
                        return Err(what()(Failure::wrong_answer(message)));
                    }
                    Ok(Some(bytes)) => {
                        hand_on(at, &bytes)?;
                        at += bytes.len() as u64;
                    }
                    Ok(None) if at == end => return Ok(()),
                    Ok(None) => break Failure::wrong_answer("the answer is too short"),
                    Err(failure) => break failure,
                }
            };
            drop(permit);
            stalls = if at > before { 0 } else { stalls + 1 };
            if stalls > STALLS_MAX {
                return Err(what()(broke_off));
            }
            tracing::info!("read {name}: going on at byte {at}: {broke_off}");
            tokio::time::sleep(PAUSE * (stalls + 1)).await;
        }
    }
}
