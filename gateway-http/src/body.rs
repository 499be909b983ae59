//! Bodies of requests, whose senders are held to a pace, and of answers, which wait for memory.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep};

use crate::admission::Admission;
use crate::connection::Outgoing;
use crate::door::Record;
use crate::limits::Limits;

/// An answer is handed to the connection in pieces of at most so many bytes: a client has to take one, and not whatever
/// the handler has at hand, within the time that it is given.
const PIECE_BYTES_MAX: usize = 256 << 10;
/// Where others wait for the memory of an answer, who holds some has to take so many bytes a second.
const CROWDED_BYTES_PER_SECOND_MIN: u64 = 64 << 10;

/// The error of a body, whatever it is.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The body of a request. It fails when the client is slower than the limits allow, or sends more.
#[derive(Debug)]
pub struct RequestBody {
    inner: Incoming,
    pace: Pace,
    bytes: u64,
    bytes_max: u64,
    ended: bool,
    record: Option<Arc<Record>>,
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if let Some(record) = self.record.take().filter(|_| !self.ended && !self.is_end_stream()) {
            record.left_unread();
        }
    }
}

impl RequestBody {
    pub(crate) fn new(inner: Incoming, limits: &Limits) -> Self {
        let pace = Pace::new(limits.stall_time_max, limits.body_bytes_per_second_min);
        Self { inner, pace, bytes: 0, bytes_max: limits.body_bytes_max, ended: false, record: None }
    }

    pub(crate) fn record(&mut self, record: Arc<Record>) {
        self.record = Some(record);
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        let frame = match Pin::new(&mut this.inner).poll_frame(context) {
            Poll::Pending => {
                return this.pace.poll_late(context).map(|late| Some(Err(late.into())));
            }
            Poll::Ready(None) => {
                this.ended = true;
                return Poll::Ready(None);
            }
            Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error.into()))),
            Poll::Ready(Some(Ok(frame))) => frame,
        };
        let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
        this.bytes += bytes;
        if let Some(record) = &this.record {
            record.received(bytes);
        }
        if this.bytes > this.bytes_max {
            let most = this.bytes_max;
            return Poll::Ready(Some(Err(format!("the body has more than {most} bytes").into())));
        }
        if let Err(late) = this.pace.came(this.bytes) {
            return Poll::Ready(Some(Err(late.into())));
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// Whether bytes come, or are taken, as fast as they must. Only the time counts for which they were waited.
#[derive(Debug)]
struct Pace {
    stall_time_max: Duration,
    bytes_per_second_min: u64,
    waited: Duration,
    /// Since when the next bytes are being waited for, and the end of patience.
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
    /// Since when a part is with the connection.
    handed_over: Option<Instant>,
}

impl Pace {
    fn new(stall_time_max: Duration, bytes_per_second_min: u64) -> Self {
        let (waited, waiting, handed_over) = (Duration::ZERO, None, None);
        Self { stall_time_max, bytes_per_second_min, waited, waiting, handed_over }
    }

    /// Ready when they have been waited for too long.
    fn poll_late(&mut self, context: &mut Context<'_>) -> Poll<String> {
        let most = self.stall_time_max;
        let (_, patience) = self
            .waiting
            .get_or_insert_with(|| (Instant::now(), Box::pin(tokio::time::sleep(most))));
        patience
            .as_mut()
            .poll(context)
            .map(|()| format!("the client sent nothing of the body for {most:?}"))
    }

    /// Notes that there are so many bytes by now.
    fn came(&mut self, bytes: u64) -> Result<(), String> {
        if let Some((since, _)) = self.waiting.take() {
            self.waited += since.elapsed();
        }
        match self.is_slow(bytes, self.bytes_per_second_min) {
            true => {
                let rate = self.bytes_per_second_min;
                Err(format!("the client sends less than {rate} bytes of the body a second"))
            }
            false => Ok(()),
        }
    }

    /// The connection has got a part, and the client is to take it.
    fn handed_over(&mut self) {
        self.handed_over = Some(Instant::now());
    }

    /// The client has taken so many bytes by now. Where others wait it has to be faster.
    fn taken(&mut self, bytes: u64, crowded: bool) -> Result<(), String> {
        if let Some(since) = self.handed_over.take() {
            self.waited += since.elapsed();
        }
        let rate = match crowded {
            true => self.bytes_per_second_min.max(CROWDED_BYTES_PER_SECOND_MIN),
            false => self.bytes_per_second_min,
        };
        match self.is_slow(bytes, rate) {
            true => Err(format!("the client takes less than {rate} bytes of the answer a second")),
            false => Ok(()),
        }
    }

    fn is_slow(&self, bytes: u64, rate: u64) -> bool {
        let least = self.waited.as_secs_f64() * rate as f64;
        self.waited > self.stall_time_max && (bytes as f64) < least
    }
}

/// The body of an answer: it waits for memory before a large one begins, and tells the connection when the client does
/// not take what there is.
pub(crate) struct ResponseBody<B> {
    inner: Pin<Box<B>>,
    memory: Memory,
    admission: Admission,
    outgoing: Outgoing,
    pace: Pace,
    sent: u64,
    /// What is left of a part that is handed over in pieces.
    rest: Bytes,
    record: Arc<Record>,
}

enum Memory {
    /// Nothing was asked for yet.
    Untouched(Option<u64>),
    Waiting(Pin<Box<dyn Future<Output = Option<OwnedSemaphorePermit>> + Send>>),
    Held(#[allow(dead_code)] Option<OwnedSemaphorePermit>), // Let go when it is dropped.
}

impl<B> ResponseBody<B> {
    pub(crate) fn new(
        inner: B,
        held: Option<u64>,
        admission: Admission,
        outgoing: Outgoing,
        record: Arc<Record>,
    ) -> Self {
        let limits = admission.limits();
        let pace = Pace::new(limits.stall_time_max, limits.body_bytes_per_second_min);
        // A client that takes nothing at all is not even asked for: the head is with the connection by then.
        outgoing.handed_over();
        Self {
            inner: Box::pin(inner),
            memory: Memory::Untouched(held),
            admission,
            outgoing,
            pace,
            sent: 0,
            rest: Bytes::new(),
            record,
        }
    }

    /// Hands over the next piece of a part.
    fn hand_over(&mut self, mut part: Bytes) -> Frame<Bytes> {
        self.rest = part.split_off(part.len().min(PIECE_BYTES_MAX));
        self.sent += part.len() as u64;
        self.record.sent(part.len() as u64);
        self.outgoing.handed_over();
        self.pace.handed_over();
        Frame::data(part)
    }

    /// Whether the client takes what it is given, if it holds memory that others wait for.
    fn check_pace(&mut self) -> Result<(), BoxError> {
        let crowded = matches!(self.memory, Memory::Held(Some(_))) && self.admission.is_crowded();
        Ok(self.pace.taken(self.sent, crowded)?)
    }
}

impl<B: Body<Data = Bytes, Error = BoxError>> Body for ResponseBody<B> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        this.outgoing.asked();
        if let Err(late) = this.check_pace() {
            this.record.failed(&late);
            return Poll::Ready(Some(Err(late)));
        }
        if !this.rest.is_empty() {
            let rest = std::mem::take(&mut this.rest);
            return Poll::Ready(Some(Ok(this.hand_over(rest))));
        }
        loop {
            match &mut this.memory {
                Memory::Untouched(held) => {
                    let bytes = this.inner.size_hint().exact().or(*held);
                    let admission = this.admission.clone();
                    let wait = async move { admission.send(bytes).await };
                    this.memory = Memory::Waiting(Box::pin(wait));
                }
                Memory::Waiting(wait) => match wait.as_mut().poll(context) {
                    Poll::Ready(permit) => this.memory = Memory::Held(permit),
                    Poll::Pending => return Poll::Pending,
                },
                Memory::Held(_) => break,
            }
        }
        let frame = std::task::ready!(this.inner.as_mut().poll_frame(context));
        Poll::Ready(match frame {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(part) => Some(Ok(this.hand_over(part))),
                Err(other) => Some(Ok(other)),
            },
            Some(Err(error)) => {
                this.record.failed(&error);
                Some(Err(error))
            }
            None => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (rest, inner) = (self.rest.len() as u64, self.inner.size_hint());
        let mut hint = SizeHint::new();
        hint.set_lower(inner.lower() + rest);
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Polls as long as nothing comes, and says what is said when patience ends.
    async fn late(pace: &mut Pace) -> String {
        std::future::poll_fn(|context| pace.poll_late(context)).await
    }

    #[tokio::test(start_paused = true)]
    async fn who_sends_nothing_is_late() {
        let mut pace = Pace::new(Duration::from_secs(30), 1024);
        let said = late(&mut pace).await;
        assert_eq!(said, "the client sent nothing of the body for 30s");
    }

    #[tokio::test(start_paused = true)]
    async fn who_sends_a_byte_now_and_then_is_late_in_sum() {
        let mut pace = Pace::new(Duration::from_secs(30), 1024);
        let mut bytes = 0;
        let refused = loop {
            let waited = tokio::time::timeout(Duration::from_secs(20), late(&mut pace)).await;
            assert!(waited.is_err(), "20 s are within the 30 s");
            bytes += 1;
            if let Err(said) = pace.came(bytes) {
                break said;
            }
        };
        assert_eq!(refused, "the client sends less than 1024 bytes of the body a second");
        assert_eq!(bytes, 2, "after 40 s");
    }

    #[tokio::test(start_paused = true)]
    async fn time_that_the_server_takes_is_not_held_against_the_client() {
        let mut pace = Pace::new(Duration::from_secs(30), 1024);
        for bytes in 1..10 {
            tokio::time::sleep(Duration::from_secs(60)).await;
            pace.came(bytes).unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_little_at_a_time_is_let_go_and_sooner_where_others_wait() {
        // Pieces of so many bytes, one every 20 s: after how many it is too slow.
        let cases = [
            (10_000, false, Some(2)),
            (30_000, false, None),
            (30_000, true, Some(2)),
            (2_000_000, true, None),
        ];
        for (bytes, crowded, expected) in cases {
            let mut pace = Pace::new(Duration::from_secs(30), 1024);
            let slow = (1..10).find(|pieces| {
                pace.handed_over = Some(Instant::now() - Duration::from_secs(20));
                pace.taken(pieces * bytes, crowded).is_err()
            });
            assert_eq!(slow, expected, "{bytes} {crowded}");
        }
    }
}
