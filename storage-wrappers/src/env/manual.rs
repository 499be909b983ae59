//! A clock that jumps to whatever is waited for, and dice with a seed.

use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use storage_core::{BoxFuture, Env};

/// How often a sleeper that is not the first to wake lets the others go first. One that is held in a
/// future nobody polls any more must not stop the clock for all.
const PATIENCE_POLLS: u32 = 100;

/// What the calendar says when the clock is at zero: the first of January 2026, in UTC.
const EPOCH: Duration = Duration::from_secs(1_767_225_600);

/// Virtual time and seeded randomness for tests: no test that uses it ever really waits.
///
/// Time stands still while anything runs, and jumps when a sleep is awaited: always to the sleeper that
/// is to wake first, so that a limit of a second beats an answer that takes two. Works on any executor;
/// clones share the clock. On an executor of one thread, all that happens is the same for the same seed.
/// The wall clock shows the first of January 2026 when the other is at zero, and goes along with it.
///
/// A spawned task is polled whenever a sleep of this clock is, and in each round of
/// [`block_on`](Self::block_on), which is what a test needs that waits for a task and not for the time.
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
    /// Who was spawned and is not at an end, and not being polled either.
    tasks: Vec<BoxFuture<'static, ()>>,
    tasks_ever: u64,
    /// Whether they are being polled now.
    polling: bool,
}

/// Lets the thread that waits in [`ManualEnv::block_on`] go on.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
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
            tasks: Vec::new(),
            tasks_ever: 0,
            polling: false,
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

    /// What `work` answers. While it has to wait, every spawned task gets its turn. Tasks that are not
    /// at an end when it is stay where they are, until the next sleep or call.
    ///
    /// # Examples
    ///
    /// ```
    /// use storage_core::Env;
    /// use storage_wrappers::ManualEnv;
    ///
    /// let env = ManualEnv::new(7);
    /// let (tell, told) = tokio::sync::oneshot::channel();
    /// env.spawn(Box::pin(async { tell.send("done").unwrap() }));
    /// assert_eq!(env.block_on(told).unwrap(), "done");
    /// ```
    pub fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let mut context = Context::from_waker(&waker);
        let mut work = pin!(work);
        loop {
            if let Poll::Ready(answer) = work.as_mut().poll(&mut context) {
                return answer;
            }
            let spawned = self.world().tasks_ever;
            self.poll_tasks(&mut context);
            // A task that is new has not been polled, so nothing would wake it.
            if self.world().tasks_ever == spawned {
                thread::park();
            }
        }
    }

    /// Polls each task once that is there now.
    fn poll_tasks(&self, context: &mut Context<'_>) {
        let tasks = {
            let mut world = self.world();
            // A task that sleeps must poll neither itself nor, each of them again, the others.
            if std::mem::replace(&mut world.polling, true) {
                return;
            }
            std::mem::take(&mut world.tasks)
        };
        for mut task in tasks {
            if task.as_mut().poll(context).is_pending() {
                self.world().tasks.push(task);
            }
        }
        self.world().polling = false;
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

    fn wall(&self) -> Duration {
        EPOCH.saturating_add(self.monotonic())
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        let mut world = self.world();
        world.tasks.push(task);
        world.tasks_ever += 1;
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
        env.poll_tasks(context);
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
    fn spawned_tasks_run_while_their_starter_sleeps_and_wake_in_order() {
        let env = ManualEnv::new(0);
        let woken = Arc::new(Mutex::new(Vec::new()));
        for seconds in [3, 1, 2, 9] {
            let (mine, woken) = (env.clone(), woken.clone());
            env.spawn(Box::pin(async move {
                mine.sleep(SECOND * seconds).await;
                woken.lock().unwrap().push((seconds, mine.wall() - EPOCH));
            }));
        }
        block_on(env.sleep(SECOND * 5));
        let expected = [1, 2, 3].map(|seconds| (seconds, SECOND * seconds));
        assert_eq!(*woken.lock().unwrap(), expected, "the one of nine seconds still sleeps");
    }

    #[test]
    fn a_task_that_a_task_spawned_can_be_waited_for() {
        let env = ManualEnv::new(0);
        let (tell, told) = tokio::sync::oneshot::channel();
        let inner = env.clone();
        env.spawn(Box::pin(async move {
            let innermost = inner.clone();
            inner.spawn(Box::pin(async move {
                innermost.sleep(SECOND).await;
                tell.send(innermost.monotonic()).unwrap();
            }));
        }));
        assert_eq!(env.block_on(told), Ok(SECOND));
    }

    #[test]
    fn a_sleeper_nobody_polls_does_not_stop_the_clock() {
        let env = ManualEnv::new(0);
        let mut forgotten = env.sleep(SECOND);
        assert!(forgotten.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        block_on(env.sleep(SECOND * 2));
        assert_eq!(env.monotonic(), SECOND * 2);
    }
}
