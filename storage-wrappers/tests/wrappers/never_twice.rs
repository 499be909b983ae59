//! Whatever is lost on the way, a retried mutation is not applied twice and not called what it is not.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use backend_memory::MemoryProvider;
use bytes::Bytes;
use futures_executor::block_on;
use storage_core::{
    Effect, Env, Get, Key, List, Object, Page, ProviderInfo, PutIf, Result, StorageProvider,
    Version, async_trait,
};
use storage_wrappers::{
    FaultPlan, Faulty, ManualEnv, Outage, Retry, RetryBudget, RetryPolicy, TimeLimit, TimeLimits,
    Window,
};

use crate::script::{SECOND, key, verdict};

const SEEDS: u64 = 400;
const CALLS: u64 = 60;

/// What happened inside, beneath all faults: how often each body and each deletion took effect.
#[derive(Debug, Default)]
struct Ledger {
    memory: MemoryProvider,
    effects: Mutex<HashMap<String, u32>>,
}

impl Ledger {
    fn note(&self, mark: String) {
        *self.effects.lock().unwrap().entry(mark).or_default() += 1;
    }

    fn effects(&self, mark: &str) -> u32 {
        self.effects.lock().unwrap().get(mark).copied().unwrap_or_default()
    }
}

#[async_trait]
impl StorageProvider for Ledger {
    fn info(&self) -> ProviderInfo {
        self.memory.info()
    }
    async fn put(&self, key: &Key, body: Bytes, when: PutIf) -> Result<Version> {
        let version = self.memory.put(key, body.clone(), when).await?;
        self.note(String::from_utf8_lossy(&body).into_owned());
        Ok(version)
    }
    async fn get(&self, key: &Key, request: Get) -> Result<Object> {
        self.memory.get(key, request).await
    }
    async fn list(&self, request: List<'_>) -> Result<Page> {
        self.memory.list(request).await
    }
    async fn delete(&self, key: &Key) -> Result<()> {
        self.memory.delete(key).await?;
        self.note(key.to_string());
        Ok(())
    }
}

/// What is remembered of a call, to be compared with the ledger.
struct Told {
    mark: String,
    verdict: String,
    ok: bool,
    effect: Option<Effect>,
}

struct Run {
    ledger: Arc<Ledger>,
    told: Vec<Told>,
}

/// Puts of every condition and deletes, each with a mark of its own, through retry, time limit and faults.
fn run(seed: u64, policy: RetryPolicy) -> Run {
    let ledger = Arc::new(Ledger::default());
    let env = ManualEnv::new(seed);
    let shared: Arc<dyn Env> = Arc::new(env.clone());
    let plan = FaultPlan {
        pause: 100 * SECOND,
        late_operations_max: 1 + seed % 5,
        retry_after: (seed.is_multiple_of(2)).then_some(SECOND),
        outages: vec![Outage {
            window: Window::Operations(seed % 40..seed % 40 + 5),
            effect: if seed.is_multiple_of(3) { Effect::Unknown } else { Effect::NotApplied },
        }],
        latency: Duration::ZERO..2 * SECOND,
        ..FaultPlan::rough(seed)
    };
    let faulty = Arc::new(Faulty::new(ledger.clone(), plan, shared.clone()).unwrap());
    let limits = TimeLimits::flat(1900 * SECOND / 1000);
    let provider =
        Retry::new(TimeLimit::new(faulty.clone(), limits, shared.clone()), policy, shared);

    let mut told = Vec::new();
    block_on(async {
        let mut version = Version::new("none");
        for call in 0..CALLS {
            let shared_key = key(&format!("shared{}", env.random() % 3));
            let own_key = key(&format!("own{call}"));
            let mark = format!("call{call}");
            let body = Bytes::from(mark.clone());
            let (mark, answer) = match env.random() % 5 {
                0 => (mark, provider.put(&shared_key, body, PutIf::Always).await.map(Some)),
                1 => (mark, provider.put(&shared_key, body, PutIf::Absent).await.map(Some)),
                2 => (mark, provider.put(&own_key, body, PutIf::Absent).await.map(Some)),
                3 => {
                    if let Ok(object) = provider.get(&shared_key, Get::meta_only()).await {
                        version = object.version;
                    }
                    let when = PutIf::Matches(version.clone());
                    (mark, provider.put(&shared_key, body, when).await.map(Some))
                }
                _ => (own_key.to_string(), provider.delete(&own_key).await.map(|()| None)),
            };
            told.push(Told {
                mark,
                ok: answer.is_ok(),
                effect: answer.as_ref().err().map(storage_core::Error::effect),
                verdict: answer.map_or_else(|error| verdict(&error), |_| "ok".into()),
            });
        }
        faulty.settle().await;
    });
    Run { ledger, told }
}

fn policy() -> RetryPolicy {
    RetryPolicy {
        attempts_max: 6,
        time_max: 10_000 * SECOND,
        budget: RetryBudget::unlimited(),
        ..RetryPolicy::default()
    }
}

#[test]
fn nothing_is_applied_twice_or_denied_under_the_strict_policy() {
    let mut seen: HashMap<String, u32> = HashMap::new();
    for seed in 0..SEEDS {
        let Run { ledger, told } = run(seed, policy());
        for Told { mark, verdict, ok, effect } in told {
            let effects = ledger.effects(&mark);
            let right = match effect {
                None => ok && effects == 1,
                Some(Effect::NotApplied) => effects == 0,
                Some(Effect::Unknown) => effects <= 1,
            };
            assert!(right, "seed {seed}, {mark}: `{verdict}`, but it took effect {effects} times");
            *seen.entry(format!("{verdict}, {effects}")).or_default() += 1;
        }
    }
    // The run means nothing unless all of this happened, and often.
    for outcome in
        ["ok, 1", "conflict NotApplied, 0", "unavailable Unknown, 0", "unavailable Unknown, 1"]
    {
        assert!(seen.get(outcome).is_some_and(|count| *count > 100), "`{outcome}` in {seen:?}");
    }
    assert!(!seen.contains_key("conflict Unknown, 0") && !seen.contains_key("conflict Unknown, 1"));
}

#[test]
fn conditional_puts_stay_strict_when_unknown_outcomes_are_repeated() {
    let mut repeated = 0;
    for seed in 0..SEEDS {
        let Run { ledger, told } = run(seed, RetryPolicy { repeat_unknown: true, ..policy() });
        for Told { mark, verdict, ok, effect } in told {
            let effects = ledger.effects(&mark);
            let right = match effect {
                None => ok && effects >= 1,
                Some(Effect::NotApplied) => effects == 0,
                Some(Effect::Unknown) => true,
            };
            assert!(right, "seed {seed}, {mark}: `{verdict}`, but it took effect {effects} times");
            repeated += u32::from(effects > 1);
        }
    }
    assert!(repeated > 20, "unconditional ones are repeated: {repeated}");
}
