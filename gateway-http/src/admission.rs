//! Who is let in: a bounded number of requests, and of bytes of their bodies in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::limits::Limits;

/// Bodies of up to so many bytes are small: they never wait for large ones.
const SMALL_BYTES_MAX: u64 = 256 << 10;
/// Memory is counted in units of so many bytes.
const UNIT_BYTES: usize = 4 << 10;

/// The gate of the server. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Admission(Arc<Gate>);

#[derive(Debug)]
struct Gate {
    requests: Arc<Semaphore>,
    small: Arc<Semaphore>,
    incoming: Pool,
    outgoing: Pool,
    waiting: AtomicUsize,
    limits: Limits,
}

/// Memory for large bodies in one direction.
#[derive(Debug)]
struct Pool {
    units: Arc<Semaphore>,
    /// What one body takes at most.
    most: u32,
    /// How many wait for it.
    waiting: AtomicUsize,
}

/// What a request that was let in holds. It is let go when this is dropped.
#[derive(Debug)]
pub(crate) struct Admitted {
    _request: OwnedSemaphorePermit,
    /// Until its body has been dealt with.
    _memory: Option<OwnedSemaphorePermit>,
}

impl Admission {
    pub(crate) fn new(limits: &Limits) -> Self {
        let eighths = |number: u64| units(limits.memory_bytes_max as u64 / 8 * number).max(1);
        let pool = |size: u32, stream_bytes: usize| Pool {
            units: Arc::new(Semaphore::new(size as usize)),
            most: units(stream_bytes as u64).clamp(1, size),
            waiting: AtomicUsize::new(0),
        };
        Self(Arc::new(Gate {
            requests: Arc::new(Semaphore::new(limits.requests_max)),
            small: Arc::new(Semaphore::new(eighths(1) as usize)),
            incoming: pool(eighths(4), limits.request_stream_bytes),
            outgoing: pool(eighths(3), limits.answer_stream_bytes),
            waiting: AtomicUsize::new(0),
            limits: limits.clone(),
        }))
    }

    /// Lets a request in whose body has so many bytes, `None` if nobody has said how many, or refuses it.
    pub(crate) async fn enter(&self, body_bytes: Option<u64>) -> Option<Admitted> {
        let gate = &*self.0;
        let _place = Place::take(&gate.waiting, gate.limits.waiting_max)?;
        let enter = async {
            let memory = match body_bytes {
                Some(0) => None,
                bytes => Some(self.take(&gate.incoming, bytes).await?),
            };
            let request = gate.requests.clone().acquire_owned().await.ok()?;
            Some(Admitted { _request: request, _memory: memory })
        };
        tokio::time::timeout(gate.limits.waiting_time_max, enter).await.ok().flatten()
    }

    /// Waits for the memory to send a body of so many bytes. Nothing if it is small: that is in memory already.
    pub(crate) async fn send(&self, body_bytes: Option<u64>) -> Option<OwnedSemaphorePermit> {
        if body_bytes.is_some_and(|bytes| bytes <= SMALL_BYTES_MAX) {
            return None;
        }
        self.take(&self.0.outgoing, body_bytes).await
    }

    /// Whether answers wait for memory.
    pub(crate) fn is_crowded(&self) -> bool {
        self.0.outgoing.waiting.load(Ordering::Relaxed) > 0
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.0.limits
    }

    async fn take(&self, pool: &Pool, bytes: Option<u64>) -> Option<OwnedSemaphorePermit> {
        let needed = bytes.map_or(pool.most, |bytes| units(bytes).clamp(1, pool.most));
        let semaphore = match bytes {
            Some(bytes) if bytes <= SMALL_BYTES_MAX => &self.0.small,
            _ => &pool.units,
        };
        if let Ok(permit) = semaphore.clone().try_acquire_many_owned(needed) {
            return Some(permit);
        }
        let _waiting = Place::take(&pool.waiting, usize::MAX);
        // Nobody closes it, so this is an answer.
        semaphore.clone().acquire_many_owned(needed).await.ok()
    }
}

/// One of a bounded number of places to wait in.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(waiting: &'a AtomicUsize, most: usize) -> Option<Self> {
        let place = Self(waiting);
        // Taken first, so that of two who come at once only one gets the last place.
        let before = waiting.fetch_add(1, Ordering::Relaxed);
        (before < most).then_some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn units(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT_BYTES as u64)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn limits() -> Limits {
        Limits {
            requests_max: 2,
            waiting_max: 3,
            waiting_time_max: Duration::from_secs(30),
            memory_bytes_max: 2 << 20,
            request_stream_bytes: 1 << 20,
            answer_stream_bytes: 1 << 20,
            ..Limits::default()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn large_bodies_wait_for_memory_and_small_ones_pass_them() {
        let gate = Admission::new(&limits());
        let large = gate.enter(None).await.unwrap();
        assert!(gate.enter(Some(1 << 30)).await.is_none(), "there is room for one");
        assert!(gate.enter(Some(100)).await.is_some());
        assert!(gate.enter(Some(0)).await.is_some());
        drop(large);
        assert!(gate.enter(Some(1 << 30)).await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_requests_are_let_in_than_agreed() {
        let gate = Admission::new(&limits());
        let first = gate.enter(Some(0)).await.unwrap();
        let second = gate.enter(Some(0)).await.unwrap();
        assert!(gate.enter(Some(0)).await.is_none());
        drop(first);
        assert!(gate.enter(Some(0)).await.is_some());
        drop(second);
    }

    #[tokio::test(start_paused = true)]
    async fn who_finds_no_place_to_wait_is_refused_at_once() {
        let gate = Admission::new(&limits());
        let (_one, _two) = (gate.enter(Some(0)).await.unwrap(), gate.enter(Some(0)).await.unwrap());
        let began = tokio::time::Instant::now();
        let wait = || gate.enter(Some(0));
        let four = async {
            tokio::join!(wait(), wait(), wait(), async {
                let refused = wait().await.is_none();
                (refused, began.elapsed())
            })
        };
        let (_, _, _, (refused, after)) = four.await;
        assert!(refused);
        assert_eq!(after, Duration::ZERO, "the paused clock has not moved");
    }

    #[tokio::test(start_paused = true)]
    async fn answers_do_not_wait_for_the_memory_of_uploads() {
        let gate = Admission::new(&limits());
        let _upload = gate.enter(None).await.unwrap();
        let answer = gate.send(Some(1 << 30)).await;
        assert!(answer.is_some());
        assert!(gate.send(Some(1000)).await.is_none(), "a small one takes nothing");
        let second = tokio::time::timeout(Duration::from_secs(60), gate.send(None)).await;
        assert!(second.is_err(), "there is room for one");
    }
}
