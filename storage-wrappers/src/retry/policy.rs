//! How often, how long and how patiently.

use std::time::Duration;

use super::RetryBudget;

/// How often, how long and how patiently a [`Retry`](super::Retry) tries.
///
/// # Examples
///
/// ```
/// use storage_wrappers::RetryPolicy;
///
/// let uploads = RetryPolicy { repeat_unknown: true, ..RetryPolicy::default() };
/// assert!(!RetryPolicy::default().repeat_unknown);
/// assert_eq!(RetryPolicy::never().attempts_max, 1);
/// # let _ = uploads;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// The most attempts a call makes, the first included; zero is taken as one.
    pub attempts_max: u32,
    /// The ceiling of the first pause. It doubles with each attempt; the pause itself is drawn evenly
    /// between zero and the ceiling.
    pub first_pause_max: Duration,
    /// What the ceiling grows to.
    pub pause_max: Duration,
    /// No attempt starts later than this after the call began. An attempt under way is not cut off:
    /// that is [`TimeLimit`](crate::TimeLimit)'s.
    pub time_max: Duration,
    /// How many retries all calls together may make.
    pub budget: RetryBudget,
    /// Whether an unconditional put or a delete whose answer was lost is sent again.
    ///
    /// Right where no one else writes the key, such as write-once keys and uploads. Wrong elsewhere:
    /// the attempt believed lost may land after somebody else's later write and undo it.
    pub repeat_unknown: bool,
}

impl Default for RetryPolicy {
    /// Five attempts within a minute, pauses below 100 ms, 200 ms ... up to 10 s, retries at most a tenth
    /// of the requests after a burst of a hundred, and nothing repeated whose answer was lost.
    fn default() -> Self {
        Self {
            attempts_max: 5,
            first_pause_max: Duration::from_millis(100),
            pause_max: Duration::from_secs(10),
            time_max: Duration::from_secs(60),
            budget: RetryBudget::default(),
            repeat_unknown: false,
        }
    }
}

impl RetryPolicy {
    /// One attempt, whatever happens.
    #[must_use]
    pub fn never() -> Self {
        Self { attempts_max: 1, ..Self::default() }
    }

    /// The pause after so many attempts, given sixty-four random bits.
    pub(super) fn pause(&self, attempts: u32, random: u64) -> Duration {
        let doubled = 1u32.checked_shl(attempts - 1).unwrap_or(u32::MAX);
        let ceiling = self.first_pause_max.saturating_mul(doubled).min(self.pause_max);
        scale(ceiling, random)
    }
}

/// The part of `whole` that `random` is of all sixty-four-bit numbers: evenly drawn below `whole`.
fn scale(whole: Duration, random: u64) -> Duration {
    let nanos = (whole.as_nanos().min(u128::from(u64::MAX)) * u128::from(random)) >> 64;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_drawn_below_a_ceiling_that_doubles_up_to_its_maximum() {
        let policy = RetryPolicy {
            first_pause_max: Duration::from_millis(100),
            pause_max: Duration::from_millis(500),
            ..RetryPolicy::default()
        };
        for (attempts, ceiling_millis) in
            [(1, 100), (2, 200), (3, 400), (4, 500), (33, 500), (u32::MAX, 500)]
        {
            let ceiling = Duration::from_millis(ceiling_millis);
            assert_eq!(policy.pause(attempts, 0), Duration::ZERO, "{attempts}");
            assert_eq!(policy.pause(attempts, 1 << 63), ceiling / 2, "{attempts}");
            let longest = policy.pause(attempts, u64::MAX);
            assert!(longest < ceiling && longest > ceiling * 999 / 1000, "{attempts} {longest:?}");
        }
    }

    #[test]
    fn a_pause_without_bounds_does_not_overflow() {
        let policy = RetryPolicy {
            first_pause_max: Duration::MAX,
            pause_max: Duration::MAX,
            ..RetryPolicy::default()
        };
        assert!(policy.pause(50, u64::MAX) > Duration::from_secs(1 << 33));
    }
}
