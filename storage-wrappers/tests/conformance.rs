//! The conformance suite on every wrapper over the memory backend: a wrapper keeps the contract of what
//! it wraps.

use std::sync::Arc;
use std::time::Duration;

use backend_memory::{Config, MemoryProvider};
use conformance::{Target, harness};
use storage_core::{Atomicity, Capabilities, Env, Prefix, StorageProvider, Versions};
use storage_wrappers::{
    ConcurrencyLimit, Counted, FaultPlan, Faulty, Guarded, Metered, Options, Override, Prefixed,
    Retry, RetryBudget, RetryPolicy, TimeLimit, TimeLimits, TokioEnv, standard,
};

conformance::main!([
    unless_quick("concurrency-limit", |inner| Arc::new(ConcurrencyLimit::new(inner, 4))),
    unless_quick("counted", |inner| Arc::new(Counted::new(inner))),
    unless_quick("faulty-without-faults", |inner| {
        Arc::new(Faulty::new(inner, FaultPlan::none(1), env()).expect("no fault is a sound plan"))
    }),
    unless_quick("guarded", |inner| Arc::new(Guarded::new(inner))),
    unless_quick("metered", |inner| Arc::new(Metered::new(inner, "memory", env()))),
    worn("override-without-conditions", |inner| {
        let capabilities = Capabilities {
            absent: Atomicity::Unsupported,
            matches: Atomicity::Unsupported,
            ..inner.info().capabilities
        };
        Arc::new(Guarded::new(Override::new(inner, capabilities)))
    }),
    worn("prefixed", |inner| {
        let prefix = Prefix::new("some/where/").expect("it is a prefix");
        Arc::new(Prefixed::new(inner, prefix).expect("there is room for keys"))
    }),
    unless_quick("retry", |inner| Arc::new(Retry::new(inner, RetryPolicy::default(), env()))),
    worn("retry-over-throttling", |inner| {
        let plan = FaultPlan { throttled: 0.1, unavailable: 0.1, ..FaultPlan::none(1) };
        let faulty = Faulty::new(inner, plan, env()).expect("one in five is a sound plan");
        let pause = Duration::from_micros(10);
        let budget = RetryBudget { percent: 100, burst_max: 1000 };
        let policy = RetryPolicy {
            attempts_max: 20,
            first_pause_max: pause,
            pause_max: pause,
            budget,
            ..RetryPolicy::default()
        };
        Arc::new(Retry::new(faulty, policy, env()))
    }),
    worn("standard", |inner| standard(inner, Options::default(), env())),
    unless_quick("time-limit", |inner| Arc::new(TimeLimit::new(
        inner,
        TimeLimits::default(),
        env()
    ))),
]);

fn env() -> Arc<dyn Env> {
    Arc::new(TokioEnv::new())
}

/// As [`worn`], but left out by `cargo xtask test --quick`.
fn unless_quick(name: &str, wear: fn(MemoryProvider) -> Arc<dyn StorageProvider>) -> Target {
    let quick = std::env::var_os("CLOUDBANK_TEST_QUICK").is_some();
    worn(name, wear).ignored_if(quick, "left out by --quick")
}

/// A target of handles that each wear a wrapper of their own over the same objects.
fn worn(name: &str, wear: fn(MemoryProvider) -> Arc<dyn StorageProvider>) -> Target {
    let config = Config { versions: Versions::PerContent, object_bytes_max: 1 << 20 };
    let shared = MemoryProvider::with_config(config);
    Target::new(
        name,
        harness(move || {
            let handle = wear(shared.clone());
            async move { Ok(handle) }
        }),
    )
}
