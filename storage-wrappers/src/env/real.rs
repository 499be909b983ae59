//! The clock of this machine, on tokio's timer.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use storage_core::{BoxFuture, Env};
use tokio::time::Instant;

/// The time and randomness of this machine. Sleeping needs a tokio runtime with its timer enabled.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
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
