//! What the wrappers cost on top of the fastest provider there is: nanoseconds for each operation.
//!
//! `cargo bench -p storage-wrappers --bench stack`

use std::sync::Arc;
use std::time::{Duration, Instant};

use backend_memory::MemoryProvider;
use futures_executor::block_on;
use storage_core::{Env, Get, Key, PutIf, Result, StorageProvider};
use storage_wrappers::{
    ConcurrencyLimit, Counted, Guarded, Metered, Options, Retry, RetryPolicy, TimeLimit,
    TimeLimits, TokioEnv, standard,
};

const OPERATIONS: u32 = 100_000;
const ROUNDS: usize = 9;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let env: Arc<dyn Env> = Arc::new(TokioEnv::new());
    let memory = MemoryProvider::new;
    let contestants: Vec<(&str, Arc<dyn StorageProvider>)> = vec![
        ("memory", Arc::new(memory())),
        ("Guarded", Arc::new(Guarded::new(memory()))),
        ("Metered", Arc::new(Metered::new(memory(), "bench", env.clone()))),
        ("Retry", Arc::new(Retry::new(memory(), RetryPolicy::default(), env.clone()))),
        ("TimeLimit", Arc::new(TimeLimit::new(memory(), TimeLimits::default(), env.clone()))),
        ("ConcurrencyLimit", Arc::new(ConcurrencyLimit::new(memory(), 256))),
        ("Counted", Arc::new(Counted::new(memory()))),
        ("standard", standard(memory(), Options::default(), env.clone())),
    ];
    println!("{:<18}{:>10}{:>10}   ns per operation, median of {ROUNDS}", "", "put", "get");
    // Rounds go over all contestants in turn, so that a slow moment of the machine falls on all.
    let mut times = vec![(Vec::new(), Vec::new()); contestants.len()];
    let key = Key::new("segment/session/0001")?;
    for _ in 0..ROUNDS {
        for ((_, provider), (puts, gets)) in contestants.iter().zip(&mut times) {
            puts.push(time(|| {
                block_on(async {
                    for _ in 0..OPERATIONS {
                        provider.put(&key, "body".into(), PutIf::Always).await?;
                    }
                    Ok(())
                })
            })?);
            gets.push(time(|| {
                block_on(async {
                    for _ in 0..OPERATIONS {
                        std::hint::black_box(provider.get(&key, Get::whole()).await?);
                    }
                    Ok(())
                })
            })?);
        }
    }
    for ((name, _), (puts, gets)) in contestants.iter().zip(&mut times) {
        println!("{name:<18}{:>10}{:>10}", median(puts), median(gets));
    }
    Ok(())
}

fn time(work: impl FnOnce() -> Result<()>) -> Result<Duration> {
    let began = Instant::now();
    work()?;
    Ok(began.elapsed())
}

fn median(times: &mut [Duration]) -> u128 {
    times.sort();
    times[times.len() / 2].as_nanos() / u128::from(OPERATIONS)
}
