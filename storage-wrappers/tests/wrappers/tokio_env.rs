//! The real environment, on tokio's paused clock.

use std::collections::HashSet;
use std::time::Duration;

use storage_core::Env;
use storage_wrappers::TokioEnv;

use crate::script::SECOND;

#[tokio::test(start_paused = true)]
async fn sleeping_takes_as_long_as_asked_and_the_clock_shows_it() {
    let env = TokioEnv::new();
    assert_eq!(env.monotonic(), Duration::ZERO);
    env.sleep(90 * SECOND).await;
    assert!(env.monotonic() >= 90 * SECOND && env.monotonic() < 91 * SECOND);
}

#[test]
fn random_numbers_differ() {
    let env = TokioEnv::new();
    let drawn: HashSet<u64> = (0..1000).map(|_| env.random()).collect();
    assert_eq!(drawn.len(), 1000);
}
