//! The window on the world for code that must also run in a simulator.

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

/// A future that is owned, pinned and can move between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Time, randomness and tasks, handed in: what waits, draws lots or works in the background asks this
/// and nothing else, so that a test can stop the clock, replay the draw and choose who goes first.
pub trait Env: Debug + Send + Sync + 'static {
    /// Time since some moment, which never goes back. Not to be compared between processes.
    fn monotonic(&self) -> Duration;

    /// Time since the Unix epoch, by a clock that may be wrong and may jump either way: for people, and
    /// for choosing what to do next. Never for safety.
    fn wall(&self) -> Duration;

    /// Ends after `time`, or later. May be dropped at any point.
    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()>;

    /// Starts a task, which goes on beside its starter until it ends or the process does. It is not
    /// polled before this has returned, so a lock may be held; what it has to tell, it tells by means
    /// of its own.
    fn spawn(&self, task: BoxFuture<'static, ()>);

    /// Sixty-four random bits. Not for secrets.
    fn random(&self) -> u64;
}
