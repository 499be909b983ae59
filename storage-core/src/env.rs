//! The window on the world for code that must also run in a simulator.

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

/// A future that is owned, pinned and can move between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Time and randomness, handed in: what waits or draws lots asks this and nothing else, so that a
/// test can stop the clock and replay the draw.
pub trait Env: Debug + Send + Sync + 'static {
    /// Time since some moment, which never goes back. Not to be compared between processes.
    fn monotonic(&self) -> Duration;

    /// Ends after `time`, or later. May be dropped at any point.
    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()>;

    /// Sixty-four random bits. Not for secrets.
    fn random(&self) -> u64;
}
