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

/// Whether bytes come as fast as they must. Only the time counts for which they were waited.
#[derive(Debug)]
struct Pace {
    stall_time_max: Duration,
    bytes_per_second_min: u64,
    waited: Duration,
    /// Since when the next bytes are being waited for, and the end of patience.
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl Pace {
    fn new(stall_time_max: Duration, bytes_per_second_min: u64) -> Self {
        Self { stall_time_max, bytes_per_second_min, waited: Duration::ZERO, waiting: None }
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
        let least = self.waited.as_secs_f64() * self.bytes_per_second_min as f64;
        if self.waited > self.stall_time_max && (bytes as f64) < least {
            let rate = self.bytes_per_second_min;
            return Err(format!("the client sends less than {rate} bytes of the body a second"));
        }
        Ok(())
    }
}

/// The body of an answer: it waits for memory before a large one begins, and tells the connection when the client does
/// not take what there is.
pub(crate) struct ResponseBody<B> {
    inner: Pin<Box<B>>,
    memory: Memory,
    outgoing: Outgoing,
    record: Arc<Record>,
}

enum Memory {
    /// Nothing was asked for yet.
    Untouched(Admission, Option<u64>),
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
        Self {
            inner: Box::pin(inner),
            memory: Memory::Untouched(admission, held),
            outgoing,
            record,
        }
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
        loop {
            match &mut this.memory {
                Memory::Untouched(admission, held) => {
                    let bytes = this.inner.size_hint().exact().or(*held);
                    let admission = admission.clone();
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
        match &frame {
            Some(Ok(frame)) => {
                this.record.sent(frame.data_ref().map_or(0, |data| data.len() as u64));
                this.outgoing.handed_over();
            }
            Some(Err(error)) => this.record.failed(error),
            None => {}
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
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
}
