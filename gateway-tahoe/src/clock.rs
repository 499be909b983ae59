//! The time that leases and uploads go by.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use storage_core::Env;

/// Tells the time: in whole seconds since the Unix epoch, as leases count.
pub trait Clock: std::fmt::Debug + Send + Sync + 'static {
    /// The time now, in seconds since the Unix epoch.
    fn now(&self) -> u64;
}

/// The time of the wall clock of an [`Env`].
#[derive(Debug, Clone)]
pub struct WallClock(Arc<dyn Env>);

impl WallClock {
    /// The wall clock of `env`.
    #[must_use]
    pub fn new(env: Arc<dyn Env>) -> Self {
        Self(env)
    }
}

impl Clock for WallClock {
    fn now(&self) -> u64 {
        self.0.wall().as_secs()
    }
}

/// A clock that stands still until somebody moves it, for tests. Clones are the same clock.
///
/// # Examples
///
/// ```
/// use gateway_tahoe::{Clock, StillClock};
///
/// let clock = StillClock::new(1000);
/// assert_eq!(clock.advance(31), 1031);
/// assert_eq!(clock.now(), 1031);
/// ```
#[derive(Debug, Clone)]
pub struct StillClock(Arc<AtomicU64>);

impl StillClock {
    /// A clock that shows this many seconds since the Unix epoch.
    #[must_use]
    pub fn new(seconds: u64) -> Self {
        Self(Arc::new(AtomicU64::new(seconds)))
    }

    /// Moves it forward, to the end of time at most, and returns what it shows then.
    pub fn advance(&self, seconds: u64) -> u64 {
        let mut now = self.0.load(Ordering::SeqCst);
        loop {
            let then = now.saturating_add(seconds);
            match self.0.compare_exchange(now, then, Ordering::SeqCst, Ordering::SeqCst) {
                Ok(_) => return then,
                Err(other) => now = other,
            }
        }
    }
}

impl Clock for StillClock {
    fn now(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}
