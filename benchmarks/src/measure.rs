//! Load from many tasks, and what to say of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::task::JoinSet;

/// What was done under load.
#[derive(Debug, Clone)]
pub struct Done {
    /// How long each took, in no order.
    pub times: Vec<Duration>,
    /// How long all of it took.
    pub elapsed: Duration,
}

impl Done {
    /// How many were done in a second.
    #[must_use]
    pub fn per_second(&self) -> f64 {
        self.times.len() as f64 / self.elapsed.as_secs_f64()
    }
}

/// Keeps `at_once` tasks doing `work` for `time`, each one after the other. `work` is told which task it is for and how
/// often that has done it.
///
/// # Errors
///
/// The first of `work`.
pub async fn keep_busy<F, W>(at_once: usize, time: Duration, work: W) -> Result<Done>
where
    F: Future<Output = Result<()>> + Send,
    W: Fn(usize, usize) -> F + Send + Sync + 'static,
{
    let work = Arc::new(work);
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for task in 0..at_once {
        let work = work.clone();
        tasks.spawn(async move {
            let mut times = Vec::new();
            while start.elapsed() < time {
                let began = Instant::now();
                work(task, times.len()).await?;
                times.push(began.elapsed());
            }
            Ok::<_, anyhow::Error>(times)
        });
    }
    let mut times = Vec::new();
    while let Some(done) = tasks.join_next().await {
        times.extend(done??);
    }
    Ok(Done { times, elapsed: start.elapsed() })
}

/// The middle one; 0 of none.
#[must_use]
pub fn median(numbers: &[f64]) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

/// The time that so many in a hundred do not exceed; zero of none.
#[must_use]
pub fn percentile(times: &[Duration], percent: usize) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    let at = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(at).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_the_middle_and_a_percentile_is_not_exceeded() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[]), 0.0);
        let times: Vec<_> = (1..=100).rev().map(Duration::from_millis).collect();
        assert_eq!(percentile(&times, 50), Duration::from_millis(51));
        assert_eq!(percentile(&times, 99), Duration::from_millis(100));
        assert_eq!(percentile(&times[..1], 99), Duration::from_millis(100));
    }
}
