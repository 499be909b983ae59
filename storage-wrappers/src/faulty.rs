//! A provider on a bad day, replayed from a seed.

mod journal;
mod log;
mod plan;

pub use log::{Fault, Injected};
pub use plan::{FaultPlan, Outage, Window};

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use storage_core::{
    Effect, Env, Error, ErrorKind, Get, Key, List, ListConsistency, Object, Operation, Page,
    ProviderInfo, PutIf, Result, StorageProvider, Version, async_trait,
};

use journal::Journal;
use log::Log;
use plan::{Draw, Fate};

/// Injects faults into the operations on a provider, as a [`FaultPlan`] says.
///
/// Operations are numbered in the order in which they begin. What happens to an operation depends only on
/// the seed and its number, so the same calls meet the same faults. With the environment of a test
/// ([`ManualEnv`](crate::ManualEnv)) a run is replayed exactly.
///
/// It stays within the contract of [`StorageProvider`] (the errors it makes are true), with the exception
/// of [`FaultPlan::truncated`]; with [`FaultPlan::stale_list`] it declares its lists
/// [eventual](ListConsistency::Eventual).
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use backend_memory::MemoryProvider;
/// use storage_core::{Effect, Get, Key, PutIf, StorageProvider};
/// use storage_wrappers::{Fault, FaultPlan, Faulty, ManualEnv};
///
/// # futures_executor::block_on(async {
/// let plan = FaultPlan { lost_after: 1.0, ..FaultPlan::none(1) };
/// let memory = MemoryProvider::new();
/// let faulty = Faulty::new(memory.clone(), plan, Arc::new(ManualEnv::new(1)))?;
/// let key = Key::new("a")?;
/// let error = faulty.put(&key, "body".into(), PutIf::Absent).await.unwrap_err();
/// assert_eq!(error.effect(), Effect::Unknown);
/// assert!(memory.get(&key, Get::whole()).await.is_ok());
/// assert_eq!(faulty.log()[0].fault, Fault::LostAfter);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct Faulty<P> {
    inner: P,
    plan: FaultPlan,
    env: Arc<dyn Env>,
    began: Duration,
    operations: AtomicU64,
    pending: Mutex<Vec<Pending>>,
    journal: Journal,
    log: Log,
}

/// A mutation on its way, which lands when its operation comes.
#[derive(Debug)]
struct Pending {
    lands_at: u64,
    mutation: Mutation,
}

#[derive(Debug, Clone)]
enum Mutation {
    Put(Key, Body, PutIf),
    Delete(Key),
}

/// Bytes that `Debug` does not show.
#[derive(Clone)]
struct Body(Bytes);

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl Mutation {
    fn operation(&self) -> Operation {
        match self {
            Self::Put(..) => Operation::Put,
            Self::Delete(_) => Operation::Delete,
        }
    }

    fn key(&self) -> &Key {
        match self {
            Self::Put(key, ..) | Self::Delete(key) => key,
        }
    }
}

impl<P: StorageProvider> Faulty<P> {
    /// Makes `inner` fail as `plan` says. Time windows of the plan count from now.
    ///
    /// # Errors
    ///
    /// [`Misconfigured`](storage_core::ErrorKind::Misconfigured), naming the field of the plan that makes
    /// no sense.
    pub fn new(inner: P, plan: FaultPlan, env: Arc<dyn Env>) -> Result<Self> {
        plan.check()?;
        let journal =
            Journal::new(if plan.stale_list > 0.0 { plan.stale_operations_max } else { 0 });
        Ok(Self {
            inner,
            began: env.monotonic(),
            env,
            operations: AtomicU64::new(0),
            pending: Mutex::default(),
            journal,
            log: Log::default(),
            plan,
        })
    }

    /// What has been injected so far, oldest first: the last 100,000 faults.
    #[must_use]
    pub fn log(&self) -> Vec<Injected> {
        self.log.read()
    }

    /// How many operations have begun.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.operations.load(Ordering::Relaxed)
    }

    /// How many mutations are still to land late.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.pending_mutations().len()
    }

    /// Lets everything land that is still on its way: what a test does before it looks at the end.
    pub async fn settle(&self) {
        self.land(u64::MAX).await;
    }

    /// The provider inside, to be looked at without faults.
    #[must_use]
    pub fn inner(&self) -> &P {
        &self.inner
    }

    /// Meets the fate of the next operation: `apply` is what the provider inside would do, `mutation` the
    /// same for later.
    async fn meet<T, F>(
        &self,
        operation: Operation,
        key: Option<&Key>,
        mutation: Option<Mutation>,
        apply: impl FnOnce(Draw) -> F,
    ) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let number = self.operations.fetch_add(1, Ordering::Relaxed);
        let draw = self.plan.draw(number);
        let log = |fault| self.log.add(Injected { number, operation, key: key.cloned(), fault });
        self.land(number).await;
        self.sleep(draw.latency).await;
        if draw.pauses_before {
            log(Fault::PausedBefore);
            self.sleep(self.plan.pause).await;
        }
        let now = self.env.monotonic().saturating_sub(self.began);
        let fate = self.plan.outage(number, now).map_or(draw.fate, Fate::Outage);
        let lost = |message| {
            Err(if operation.is_mutation() {
                Error::unknown(ErrorKind::Unavailable, message)
            } else {
                Error::not_applied(ErrorKind::Unavailable, message)
            })
        };
        let answer = match fate {
            Fate::Pass => apply(draw).await,
            Fate::Throttled => {
                log(Fault::Throttled);
                let error = Error::not_applied(ErrorKind::Throttled, "injected: too many requests");
                Err(match self.plan.retry_after {
                    Some(time) => error.with_retry_after(time),
                    None => error,
                })
            }
            Fate::Unavailable => {
                log(Fault::Unavailable);
                Err(Error::not_applied(ErrorKind::Unavailable, "injected: not reached"))
            }
            Fate::Outage(Effect::NotApplied) => {
                log(Fault::Outage(Effect::NotApplied));
                Err(Error::not_applied(ErrorKind::Unavailable, "injected: outage"))
            }
            Fate::Outage(Effect::Unknown) => {
                log(Fault::Outage(Effect::Unknown));
                lost("injected: outage, and the request may have got through")
            }
            Fate::LostBefore => {
                log(Fault::LostBefore);
                lost("injected: the answer was lost")
            }
            Fate::LostAfter => {
                log(Fault::LostAfter);
                // Whatever the answer was, nobody hears it.
                let _ = apply(draw).await;
                lost("injected: the answer was lost")
            }
            Fate::Late { operations } => match mutation {
                Some(mutation) => {
                    log(Fault::Late { operations });
                    let lands_at = number.saturating_add(operations);
                    self.pending_mutations().push(Pending { lands_at, mutation });
                    lost("injected: the answer was lost")
                }
                None => apply(draw).await,
            },
        };
        if draw.pauses_after {
            log(Fault::PausedAfter);
            self.sleep(self.plan.pause).await;
        }
        match key {
            Some(key) => answer.map_err(|error| error.during(operation, key)),
            None => answer.map_err(Error::during_list),
        }
    }

    async fn sleep(&self, time: Duration) {
        if !time.is_zero() {
            self.env.sleep(time).await;
        }
    }

    /// Applies what is to land by this operation, in the order in which it was to land.
    async fn land(&self, number: u64) {
        loop {
            let next = {
                let mut pending = self.pending_mutations();
                let due = |(_, pending): &(usize, &Pending)| pending.lands_at <= number;
                let first = pending
                    .iter()
                    .enumerate()
                    .filter(due)
                    .min_by_key(|(at, pending)| (pending.lands_at, *at));
                let Some((at, _)) = first else { return };
                pending.remove(at)
            };
            let Pending { lands_at, mutation } = next;
            let (operation, key) = (mutation.operation(), Some(mutation.key().clone()));
            self.log.add(Injected { number: lands_at, operation, key, fault: Fault::Landed });
            // Nobody waits for its answer any more.
            let _ = match mutation {
                Mutation::Put(key, Body(body), when) => {
                    self.put_inside(&key, body, when).await.map(drop)
                }
                Mutation::Delete(key) => self.delete_inside(&key).await,
            };
        }
    }

    async fn put_inside(&self, key: &Key, body: Bytes, when: PutIf) -> Result<Version> {
        let before = self.journal.look(&self.inner, key).await;
        let answer = self.inner.put(key, body, when).await;
        self.journal.note(key, before, &answer);
        answer
    }

    async fn delete_inside(&self, key: &Key) -> Result<()> {
        let before = self.journal.look(&self.inner, key).await;
        let answer = self.inner.delete(key).await;
        self.journal.note(key, before, &answer);
        answer
    }

    // Nothing that holds the lock can panic, so a poisoned lock guards sound mutations.
    fn pending_mutations(&self) -> MutexGuard<'_, Vec<Pending>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<P: StorageProvider> StorageProvider for Faulty<P> {
    fn info(&self) -> ProviderInfo {
        let mut info = self.inner.info();
        if self.plan.stale_list > 0.0 {
            info.capabilities.list = ListConsistency::Eventual;
        }
        info
    }

    async fn put(&self, key: &Key, body: Bytes, when: PutIf) -> Result<Version> {
        let mutation = Mutation::Put(key.clone(), Body(body.clone()), when.clone());
        self.meet(Operation::Put, Some(key), Some(mutation), |_| self.put_inside(key, body, when))
            .await
    }

    async fn get(&self, key: &Key, request: Get) -> Result<Object> {
        self.meet(Operation::Get, Some(key), None, |draw| async move {
            let mut object = self.inner.get(key, request).await?;
            if draw.truncates && !object.body.is_empty() {
                let kept = (draw.part * object.body.len() as f64) as usize;
                object.body.truncate(kept.min(object.body.len() - 1));
                self.log.add(Injected {
                    number: draw.number,
                    operation: Operation::Get,
                    key: Some(key.clone()),
                    fault: Fault::Truncated { bytes_kept: object.body.len() },
                });
            }
            Ok(object)
        })
        .await
    }

    async fn list(&self, request: List<'_>) -> Result<Page> {
        self.meet(Operation::List, None, None, |draw| async move {
            if !draw.lists_stale {
                return self.inner.list(request).await;
            }
            let (page, operations) =
                self.journal.list_before(&self.inner, request, draw.part).await?;
            if operations > 0 {
                self.log.add(Injected {
                    number: draw.number,
                    operation: Operation::List,
                    key: None,
                    fault: Fault::StaleList { mutations: operations },
                });
            }
            Ok(page)
        })
        .await
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        let mutation = Mutation::Delete(key.clone());
        self.meet(Operation::Delete, Some(key), Some(mutation), |_| self.delete_inside(key)).await
    }
}
