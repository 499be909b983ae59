//! How a member has been doing: how long it takes, whether it answers, and when to try it again.

use std::time::Duration;

/// A member that failed so often in a row is set aside.
const FAILURES_MAX: u32 = 3;
/// How long it is set aside at first; twice as long after each failed try.
const ASIDE_FIRST: Duration = Duration::from_secs(1);
/// How long it is set aside at the longest.
const ASIDE_MAX: Duration = Duration::from_secs(60);
/// What a member is thought to take before it was ever asked.
const GUESS: Duration = Duration::from_millis(5);
/// The shortest time after which a member counts as late.
const LATE_MIN: Duration = Duration::from_millis(2);
/// The longest time a member is given before another is asked instead.
const LATE_MAX: Duration = Duration::from_secs(2);

/// What is known of one member. All of it is a guess at the future; nothing depends on its being right.
#[derive(Debug, Clone)]
pub(crate) struct Health {
    reads: Estimate,
    writes: Estimate,
    failures: u64,
    failures_in_a_row: u32,
    aside_until: Option<Duration>,
    aside_for: Duration,
}

impl Health {
    pub(crate) fn new() -> Self {
        Self {
            reads: Estimate::new(),
            writes: Estimate::new(),
            failures: 0,
            failures_in_a_row: 0,
            aside_until: None,
            aside_for: ASIDE_FIRST,
        }
    }

    /// It answered, whatever it said.
    pub(crate) fn answered(&mut self, work: Work, took: Duration) {
        self.estimate_mut(work).took(took);
        self.failures_in_a_row = 0;
        self.aside_until = None;
        self.aside_for = ASIDE_FIRST;
    }

    /// It has not answered yet, has had so long, and nobody waits for it any more.
    pub(crate) fn late(&mut self, work: Work, waited: Duration) {
        let estimate = self.estimate_mut(work);
        if waited > estimate.usual {
            estimate.took(waited);
        }
    }

    fn estimate_mut(&mut self, work: Work) -> &mut Estimate {
        match work {
            Work::Read => &mut self.reads,
            Work::Write => &mut self.writes,
        }
    }

    fn estimate(&self, work: Work) -> &Estimate {
        match work {
            Work::Read => &self.reads,
            Work::Write => &self.writes,
        }
    }

    /// It failed: no answer, or one that nothing can be done with. While it is left alone that says nothing new:
    /// writes are sent to it all the same.
    pub(crate) fn failed(&mut self, now: Duration) {
        self.failures += 1;
        self.failures_in_a_row += 1;
        if self.failures_in_a_row >= FAILURES_MAX && !self.is_aside(now) {
            self.aside_until = Some(now + self.aside_for);
            self.aside_for = (self.aside_for * 2).min(ASIDE_MAX);
        }
    }

    /// Whether it is left alone for now: not read from, and not waited for. When its time is over it is asked like any
    /// other: that is the probe.
    pub(crate) fn is_aside(&self, now: Duration) -> bool {
        self.aside_until.is_some_and(|until| now < until)
    }

    /// Whether it has failed so often that it is, or was until now, left alone.
    pub(crate) fn is_doubtful(&self) -> bool {
        self.aside_until.is_some()
    }

    /// What it usually takes.
    pub(crate) fn usual(&self, work: Work) -> Duration {
        self.estimate(work).usual
    }

    /// After how long it is later than all but a few of its answers.
    pub(crate) fn late_after(&self, work: Work) -> Duration {
        let Estimate { usual, spread, .. } = self.estimate(work);
        (*usual + *spread * 3).clamp(LATE_MIN, LATE_MAX)
    }

    pub(crate) fn answers(&self) -> u64 {
        self.reads.answers + self.writes.answers
    }

    pub(crate) fn failures(&self) -> u64 {
        self.failures
    }
}

/// What is asked of a member: reading and writing take different times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    Read,
    Write,
}

/// How long answers take.
#[derive(Debug, Clone)]
struct Estimate {
    usual: Duration,
    spread: Duration,
    answers: u64,
}

impl Estimate {
    fn new() -> Self {
        Self { usual: GUESS, spread: GUESS, answers: 0 }
    }

    /// The estimates of RFC 6298 §2: an eighth and a quarter of what is new.
    fn took(&mut self, took: Duration) {
        if self.answers == 0 {
            (self.usual, self.spread) = (took, took / 2);
        } else {
            let off = took.abs_diff(self.usual);
            self.spread = self.spread * 3 / 4 + off / 4;
            self.usual = self.usual * 7 / 8 + took / 8;
        }
        self.answers += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_member_is_left_alone_for_longer_and_longer_until_it_answers() {
        let mut health = Health::new();
        let mut now = Duration::from_secs(100);
        for _ in 0..2 {
            health.failed(now);
            assert!(!health.is_aside(now));
        }
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            health.failed(now);
            assert!(health.is_aside(now + Duration::from_millis(seconds * 1000 - 1)));
            now += Duration::from_secs(seconds);
            assert!(!health.is_aside(now) && health.is_doubtful());
        }
        health.answered(Work::Read, Duration::from_millis(3));
        assert!(!health.is_doubtful());
        health.failed(now);
        assert!(!health.is_aside(now));
    }

    #[test]
    fn what_a_member_usually_takes_follows_what_it_takes() {
        let mut health = Health::new();
        (0..50).for_each(|_| health.answered(Work::Read, Duration::from_millis(20)));
        assert!(
            health.usual(Work::Read).abs_diff(Duration::from_millis(20)) < Duration::from_millis(1)
        );
        assert!(health.late_after(Work::Read) < Duration::from_millis(25));
        (0..50).for_each(|_| health.answered(Work::Read, Duration::from_millis(200)));
        assert!(health.usual(Work::Read) > Duration::from_millis(190));
    }
}
