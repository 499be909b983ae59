//! How many retries all calls together may make: a bucket of tokens.

use std::sync::atomic::{AtomicU64, Ordering};

/// How many retries the calls through one [`Retry`](super::Retry) may make together.
///
/// Every call earns `percent` hundredths of a retry, which are saved up to `burst_max` whole ones; the
/// purse starts full. When it is empty, errors go to the caller at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryBudget {
    /// Retries in the long run, as a percentage of calls.
    pub percent: u32,
    /// Retries that may be made at once after a quiet time.
    pub burst_max: u32,
}

impl Default for RetryBudget {
    /// A tenth of the calls, as in "Site Reliability Engineering", chapter 21; a hundred at once.
    fn default() -> Self {
        Self { percent: 10, burst_max: 100 }
    }
}

impl RetryBudget {
    /// As many retries as the other settings allow.
    #[must_use]
    pub fn unlimited() -> Self {
        Self { percent: u32::MAX, burst_max: u32::MAX }
    }
}

/// The purse: hundredths of a retry.
#[derive(Debug)]
pub(super) struct Bucket {
    saved: AtomicU64,
    full: u64,
    earned: u64,
}

/// What one retry costs.
const RETRY: u64 = 100;

impl Bucket {
    pub(super) fn new(budget: RetryBudget) -> Self {
        let full = u64::from(budget.burst_max) * RETRY;
        Self { saved: AtomicU64::new(full), full, earned: u64::from(budget.percent) }
    }

    /// Earns what one call earns.
    pub(super) fn deposit(&self) {
        // The usual case, kept to one read: calls on many cores do not contend for a full purse.
        if self.saved.load(Ordering::Relaxed) < self.full {
            let add = |saved: u64| Some((saved + self.earned).min(self.full));
            let _ = self.saved.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
        }
    }

    /// Pays for one retry, if there is enough for a whole one.
    pub(super) fn withdraw(&self) -> bool {
        let pay = |saved: u64| saved.checked_sub(RETRY);
        self.saved.fetch_update(Ordering::Relaxed, Ordering::Relaxed, pay).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_are_a_burst_and_then_a_share_of_the_calls() {
        // percent, burst, calls, retries affordable when each call asks for as many as it can get
        for (percent, burst_max, calls, expected) in [
            (10, 5, 0, 5),
            (10, 5, 1, 5),
            (10, 5, 100, 5 + 10),
            (10, 0, 100, 0),
            (100, 1, 10, 1 + 10),
            (0, 3, 1000, 3),
            (250, 3, 5, 3 + 12),
            (250, 1, 5, 1 + 5),
        ] {
            let bucket = Bucket::new(RetryBudget { percent, burst_max });
            let mut made = 0;
            for call in 0..=calls {
                if call > 0 {
                    bucket.deposit();
                }
                while bucket.withdraw() {
                    made += 1;
                }
            }
            assert_eq!(made, expected, "{percent} % and {burst_max}, {calls} calls");
        }
    }

    #[test]
    fn a_full_purse_does_not_grow() {
        let bucket = Bucket::new(RetryBudget { percent: 100, burst_max: 2 });
        (0..50).for_each(|_| bucket.deposit());
        let affordable = std::iter::repeat_with(|| bucket.withdraw()).take_while(|paid| *paid);
        assert_eq!(affordable.count(), 2);
    }
}
