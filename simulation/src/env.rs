//! A node's window on the world.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rand::Rng;
use storage_core::{BoxFuture, Env};

use crate::world::{Timer, What, World};

/// What the calendar says at the beginning of every run, where clocks are right: the first of January
/// 2026, in UTC.
pub(crate) const EPOCH: Duration = Duration::from_secs(1_767_225_600);

/// Time, randomness and tasks of one node, from one start of it to its next crash: made by
/// [`Node::env`](crate::Node::env).
///
/// Its monotonic clock begins anywhere and its wall clock is off, as the plan of the run says. A sleep
/// takes a microsecond at least, so that a loop around one does not stop the world.
#[derive(Clone)]
pub struct SimEnv {
    pub(crate) world: Arc<World>,
    pub(crate) node: u32,
    pub(crate) starts: u32,
}

impl fmt::Debug for SimEnv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimEnv").field("node", &self.node).finish_non_exhaustive()
    }
}

impl Env for SimEnv {
    fn monotonic(&self) -> Duration {
        let mut state = self.world.state();
        state.touches(|step| step.time(false));
        Duration::from_micros(state.nodes[self.node as usize].clock_origin + state.now)
    }

    fn wall(&self) -> Duration {
        let mut state = self.world.state();
        state.touches(|step| step.time(false));
        let skew = state.nodes[self.node as usize].clock_skew;
        let micros = (EPOCH.as_micros() as u64).saturating_add(state.now);
        Duration::from_micros(micros.saturating_add_signed(skew))
    }

    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()> {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX).max(1);
        let mut state = self.world.state();
        state.touches(|step| step.time(false));
        let wakes = state.now.saturating_add(micros);
        drop(state);
        Box::pin(Sleep { world: self.world.clone(), node: self.node, wakes, timer: None })
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.world.spawn(self.node, self.starts, false, task);
    }

    fn random(&self) -> u64 {
        self.world.state().nodes[self.node as usize].dice.next_u64()
    }
}

struct Sleep {
    world: Arc<World>,
    node: u32,
    wakes: u64,
    timer: Option<usize>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let world = self.world.clone();
        let mut state = world.state();
        match self.timer {
            None => {
                let serial = state.serial();
                let waker = context.waker().clone();
                let timer = state.timers.insert(Timer { serial, fired: false, waker });
                let micros = self.wakes.saturating_sub(state.now);
                state.wake_after(self.node, micros, What::Wake { timer, serial });
                self.timer = Some(timer);
                Poll::Pending
            }
            Some(timer) if state.timers[timer].fired => Poll::Ready(()),
            Some(timer) => {
                state.timers[timer].waker.clone_from(context.waker());
                Poll::Pending
            }
        }
    }
}

impl Drop for Sleep {
    /// Nobody waits any more: the time does not move on for this.
    fn drop(&mut self) {
        if let Some(timer) = self.timer {
            let mut state = self.world.state();
            state.touches(|step| step.time(false));
            let timer = state.timers.remove(timer);
            drop(state);
            drop(timer);
        }
    }
}
