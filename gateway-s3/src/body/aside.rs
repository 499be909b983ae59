//! Summing a body beside everything else that is done with it: MD5 takes about as long as storing the bytes does.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::body::{Digester, Digests};
use crate::error::{Code, Error, Result};

/// So many bytes are summed at a time, on another thread. Fewer are not worth one.
const BATCH_BYTES: usize = 128 << 10;
/// How many bytes wait to be summed at most, besides those that are being.
const BEHIND_BYTES_MAX: usize = 512 << 10;

/// Sums of a body that are made a batch at a time, so that no thread waits for a client.
pub(crate) struct Aside {
    summing: Summing,
    waiting: Vec<Bytes>,
    waiting_bytes: usize,
}

enum Summing {
    Idle(Box<Digester>),
    Running(JoinHandle<Box<Digester>>),
    /// The thread was lost.
    Failed,
}

impl Aside {
    pub(crate) fn new(digester: Digester) -> Self {
        let summing = Summing::Idle(Box::new(digester));
        Self { summing, waiting: Vec::new(), waiting_bytes: 0 }
    }

    /// Takes the next bytes.
    pub(crate) fn add(&mut self, bytes: Bytes) {
        self.waiting_bytes += bytes.len();
        self.waiting.push(bytes);
        if self.waiting_bytes >= BATCH_BYTES {
            self.begin();
        }
    }

    /// Goes on with what waits. Pending while too much does: no more is to be taken then.
    pub(crate) fn poll_room(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.poll_idle(context).is_pending() {
            return match self.waiting_bytes < BEHIND_BYTES_MAX {
                true => Poll::Ready(()),
                false => Poll::Pending,
            };
        }
        if self.waiting_bytes >= BATCH_BYTES {
            self.begin();
        }
        Poll::Ready(())
    }

    /// The sums of all of it.
    ///
    /// # Errors
    ///
    /// [`Code::InternalError`] when a thread was lost.
    pub(crate) async fn finish(mut self) -> Result<Digests> {
        loop {
            std::future::poll_fn(|context| self.poll_idle(context)).await;
            if self.waiting_bytes < BATCH_BYTES {
                break;
            }
            self.begin();
        }
        let Summing::Idle(mut digester) = self.summing else {
            return Err(Error::from(Code::InternalError));
        };
        self.waiting.iter().for_each(|bytes| digester.update(bytes));
        Ok(digester.finish())
    }

    /// Ready when nothing is being summed.
    fn poll_idle(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Summing::Running(running) = &mut self.summing else { return Poll::Ready(()) };
        match Pin::new(running).poll(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(summed) => {
                self.summing = summed.map_or(Summing::Failed, Summing::Idle);
                Poll::Ready(())
            }
        }
    }

    /// Begins to sum what waits, unless something is being summed.
    fn begin(&mut self) {
        match std::mem::replace(&mut self.summing, Summing::Failed) {
            Summing::Idle(mut digester) => {
                let batch = std::mem::take(&mut self.waiting);
                self.waiting_bytes = 0;
                self.summing = Summing::Running(spawn_blocking(move || {
                    batch.iter().for_each(|bytes| digester.update(bytes));
                    digester
                }));
            }
            running @ Summing::Running(_) => self.summing = running,
            Summing::Failed => {
                // Nothing of it counts any more.
                self.waiting.clear();
                self.waiting_bytes = 0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Algorithm;

    #[tokio::test]
    async fn sums_are_those_of_the_bytes_however_they_come() {
        let body: Vec<u8> = (0..3_000_000_u32).map(|at| (at % 251) as u8).collect();
        for bytes in [0, 1, BATCH_BYTES - 1, BATCH_BYTES, BATCH_BYTES + 1, body.len()] {
            for piece in [1000, 70_000, BEHIND_BYTES_MAX + 1] {
                let body = &body[..bytes];
                let mut whole = Digester::new(Some(Algorithm::Sha256));
                whole.update(body);
                let mut aside = Aside::new(Digester::new(Some(Algorithm::Sha256)));
                for piece in body.chunks(piece) {
                    std::future::poll_fn(|context| aside.poll_room(context)).await;
                    assert!(aside.waiting_bytes < BEHIND_BYTES_MAX);
                    aside.add(Bytes::copy_from_slice(piece));
                }
                assert_eq!(aside.finish().await.unwrap(), whole.finish(), "{bytes}, {piece}");
            }
        }
    }
}
