//! The clocks of this machine, on tokio's timer and tokio's tasks.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use storage_core::{BoxFuture, Env};
use tokio::time::Instant;

/// The time and randomness of this machine. Sleeping needs a tokio runtime with its timer enabled,
/// spawning any tokio runtime: a task ends at the latest with the runtime it was spawned in.
///
/// # Examples
///
/// ```
/// use std::time::{Duration, SystemTime, UNIX_EPOCH};
/// use storage_core::Env;
/// use storage_wrappers::TokioEnv;
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let env = TokioEnv::new();
/// let before = env.monotonic();
/// env.sleep(Duration::from_millis(1)).await;
/// assert!(env.monotonic() >= before + Duration::from_millis(1));
/// # });
/// ```
#[derive(Debug, Clone)]
pub struct TokioEnv {
    origin: Instant,
}

impl TokioEnv {
    /// A clock that starts at zero now.
    #[must_use]
    pub fn new() -> Self {
        Self { origin: Instant::now() }
    }
}

impl Default for TokioEnv {
    fn default() -> Self {
        Self::new()
    }
}

impl Env for TokioEnv {
    fn monotonic(&self) -> Duration {
        self.origin.elapsed()
    }

    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(time))
    }

    /// A clock set to before 1970 is taken to be at zero.
    fn wall(&self) -> Duration {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        drop(tokio::spawn(task));
    }

    fn random(&self) -> u64 {
        rand::random()
    }
}

/// What `work` answers, or `None` after `limit`, when it is dropped.
///
/// The timer is only started once the work has to wait: what answers at once pays nothing.
pub(crate) async fn within<T>(
    env: &dyn Env,
    limit: Duration,
    work: impl Future<Output = T>,
) -> Option<T> {
    let mut work = pin!(work);
    let mut timer: Option<BoxFuture<'static, ()>> = None;
    poll_fn(move |context| {
        if let Poll::Ready(answer) = work.as_mut().poll(context) {
            return Poll::Ready(Some(answer));
        }
        let timer = timer.get_or_insert_with(|| env.sleep(limit));
        timer.as_mut().poll(context).map(|()| None)
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spawned_task_runs_beside_its_starter() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (tell, told) = tokio::sync::oneshot::channel();
        let answer = runtime.block_on(async {
            TokioEnv::new().spawn(Box::pin(async { tell.send(7).unwrap() }));
            told.await
        });
        assert_eq!(answer, Ok(7));
    }

    #[test]
    fn the_wall_clock_is_past_the_year_this_was_written() {
        assert!(TokioEnv::new().wall() > Duration::from_secs(1_767_225_600));
    }
}
