//! Memory for large bodies, used again: fresh pages from the system for each megabyte cost more than
//! reading it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bytes::Bytes;

/// Smaller ones are left to the allocator, which keeps them at hand by itself.
const BUFFER_BYTES_MIN: usize = 128 << 10;
/// Buffers are a multiple of this, so that bodies of nearly the same size share them.
const BUFFER_BYTES_STEP: usize = 64 << 10;
/// The most that is kept unused, in all.
const UNUSED_BYTES_MAX: usize = 16 << 20;

/// Buffers that nobody uses at the moment.
#[derive(Debug, Default)]
pub(crate) struct Pool(Arc<Mutex<Unused>>);

#[derive(Default)]
struct Unused {
    buffers: Vec<Vec<u8>>,
    bytes: usize,
}

impl std::fmt::Debug for Unused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} buffers of {} bytes", self.buffers.len(), self.bytes)
    }
}

impl Pool {
    /// An empty buffer with room for this many bytes or more, or `None` when memory is short.
    pub(crate) fn take(&self, bytes: usize) -> Option<Vec<u8>> {
        let mut buffer = Vec::new();
        if bytes < BUFFER_BYTES_MIN {
            buffer.try_reserve_exact(bytes).ok()?;
            return Some(buffer);
        }
        // One that is much too large would hold on to memory for as long as the body lives.
        let fits = bytes..=bytes.saturating_mul(2);
        let mut unused = lock(&self.0);
        if let Some(at) = unused.buffers.iter().position(|found| fits.contains(&found.capacity())) {
            let found = unused.buffers.swap_remove(at);
            unused.bytes -= found.capacity();
            return Some(found);
        }
        drop(unused);
        buffer.try_reserve_exact(bytes.checked_next_multiple_of(BUFFER_BYTES_STEP)?).ok()?;
        Some(buffer)
    }

    /// The bytes in a buffer, which comes back when the last of them are dropped.
    pub(crate) fn share(&self, buffer: Vec<u8>) -> Bytes {
        if buffer.capacity() < BUFFER_BYTES_MIN {
            return buffer.into();
        }
        Bytes::from_owner(Lent { buffer, pool: Arc::downgrade(&self.0) })
    }
}

/// A buffer in use.
struct Lent {
    buffer: Vec<u8>,
    pool: Weak<Mutex<Unused>>,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let Some(pool) = self.pool.upgrade() else { return };
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        let mut unused = lock(&pool);
        if unused.bytes + buffer.capacity() <= UNUSED_BYTES_MAX {
            unused.bytes += buffer.capacity();
            unused.buffers.push(buffer);
        }
    }
}

// Nothing under this lock can panic halfway through a change.
fn lock(unused: &Mutex<Unused>) -> MutexGuard<'_, Unused> {
    unused.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unused(pool: &Pool) -> (usize, usize) {
        let unused = lock(&pool.0);
        (unused.buffers.len(), unused.bytes)
    }

    #[test]
    fn a_large_buffer_comes_back_when_its_last_bytes_are_dropped_and_is_used_again() {
        let pool = Pool::default();
        let mut buffer = pool.take(1 << 20).unwrap();
        buffer.extend_from_slice(b"body");
        let body = pool.share(buffer);
        let slice = body.slice(1..3);
        drop(body);
        assert_eq!(unused(&pool), (0, 0));
        assert_eq!(&slice[..], b"od");
        drop(slice);
        assert_eq!(unused(&pool).0, 1);
        let again = pool.take((1 << 20) - 100).unwrap();
        assert!(again.is_empty() && again.capacity() >= 1 << 20);
        assert_eq!(unused(&pool), (0, 0));
    }

    #[test]
    fn what_is_kept_unused_is_bounded_and_goes_with_the_pool() {
        let pool = Pool::default();
        let bodies: Vec<_> = (0..40).map(|_| pool.share(pool.take(1 << 20).unwrap())).collect();
        let last = pool.share(pool.take(200 << 10).unwrap());
        drop(bodies);
        let (_, bytes) = unused(&pool);
        assert!(bytes > UNUSED_BYTES_MAX / 2 && bytes <= UNUSED_BYTES_MAX, "{bytes}");
        // A small body does not take a large buffer.
        assert!(pool.take(200 << 10).unwrap().capacity() < 1 << 20);
        drop(pool);
        drop(last);
    }

    #[test]
    fn small_buffers_are_left_to_the_allocator() {
        let pool = Pool::default();
        drop(pool.share(pool.take(1000).unwrap()));
        assert_eq!(unused(&pool), (0, 0));
    }
}
