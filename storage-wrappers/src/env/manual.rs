//! A clock that jumps to whatever is waited for, and dice with a seed.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use storage_core::{BoxFuture, Env};

/// How often a sleeper that is not the first to wake lets the others go first. One that is held in a
/// future nobody polls any more must not stop the clock for all.
const PATIENCE_POLLS: u32 = 100;

/// Virtual time and seeded randomness for tests: no test that uses it ever really waits.
///
/// Time stands still while anything runs, and jumps when a sleep is awaited: always to the sleeper that
/// is to wake first, so that a limit of a second beats an answer that takes two. Works on any executor;
/// clones share the clock. On an executor of one thread, all that happens is the same for the same seed.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use storage_core::Env;
/// use storage_wrappers::ManualEnv;
///
/// # futures_executor::block_on(async {
/// let env = ManualEnv::new(7);
/// env.sleep(Duration::from_secs(86_400)).await;
/// env.advance(Duration::from_secs(1));
/// assert_eq!(env.monotonic(), Duration::from_secs(86_401));
/// assert_eq!(env.slept(), [Duration::from_secs(86_400)]);
/// assert_eq!(env.random(), ManualEnv::new(7).random());
/// # });
/// ```
#[derive(Clone)]
pub struct ManualEnv {
    world: Arc<Mutex<World>>,
}

struct World {
    now: Duration,
    /// Who sleeps: when they wake, and in which order they lay down.
    sleepers: Vec<(Duration, u64)>,
    sleepers_ever: u64,
    slept: Vec<Duration>,
    dice: ChaCha8Rng,
}

impl ManualEnv {
    /// A clock at zero, and dice that fall as the seed says.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let world = World {
            now: Duration::ZERO,
            sleepers: Vec::new(),
            sleepers_ever: 0,
            slept: Vec::new(),
            dice: ChaCha8Rng::seed_from_u64(seed),
        };
        Self { world: Arc::new(Mutex::new(world)) }
    }

    /// Lets time pass without anybody sleeping.
    pub fn advance(&self, time: Duration) {
        let mut world = self.world();
        world.now = world.now.saturating_add(time);
    }

    /// The length of every sleep that ended, in the order in which they ended.
    #[must_use]
    pub fn slept(&self) -> Vec<Duration> {
        self.world().slept.clone()
    }

    // Nothing that holds the lock can panic, so a poisoned lock guards a sound world.
    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for ManualEnv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManualEnv").field("now", &self.world().now).finish_non_exhaustive()
    }
}

impl Env for ManualEnv {
    fn monotonic(&self) -> Duration {
        self.world().now
    }

    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()> {
        let mut world = self.world();
        let wakes = world.now.saturating_add(time);
        let order = world.sleepers_ever;
        world.sleepers_ever += 1;
        Box::pin(Sleep { env: self.clone(), time, wakes, order, polls: 0 })
    }

    fn random(&self) -> u64 {
        self.world().dice.next_u64()
    }
}

struct Sleep {
    env: ManualEnv,
    time: Duration,
    wakes: Duration,
    order: u64,
    polls: u32,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let me = (self.wakes, self.order);
        self.polls += 1;
        let env = self.env.clone();
        let mut world = env.world();
        if self.polls == 1 {
            // Whoever else begins to sleep in this round of polls is given the chance to.
            world.sleepers.push(me);
        } else {
            let first = world.sleepers.iter().min() == Some(&me);
            if first || world.now >= self.wakes || self.polls > PATIENCE_POLLS {
                world.now = world.now.max(self.wakes);
                world.slept.push(self.time);
                world.sleepers.retain(|sleeper| *sleeper != me);
                return Poll::Ready(());
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        let me = (self.wakes, self.order);
        self.env.world().sleepers.retain(|sleeper| *sleeper != me);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::within;
    use futures_executor::block_on;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn of_two_that_sleep_the_shorter_wakes_first_whoever_is_polled_first() {
        for (outer, inner, ended) in [(1, 2, None), (2, 1, Some(1)), (0, 1, None)] {
            let env = ManualEnv::new(0);
            let work = async {
                env.sleep(SECOND * inner).await;
                inner
            };
            assert_eq!(block_on(within(&env, SECOND * outer, work)), ended, "{outer} {inner}");
            assert_eq!(env.monotonic(), SECOND * outer.min(inner), "{outer} {inner}");
            assert!(env.world().sleepers.is_empty(), "the loser's bed is free again");
        }
    }

    #[test]
    fn a_sleeper_nobody_polls_does_not_stop_the_clock() {
        let env = ManualEnv::new(0);
        let mut forgotten = env.sleep(SECOND);
        assert!(
            forgotten
                .as_mut()
                .poll(&mut Context::from_waker(std::task::Waker::noop()))
                .is_pending()
        );
        block_on(env.sleep(SECOND * 2));
        assert_eq!(env.monotonic(), SECOND * 2);
    }
}
