//! A histogram of times with fixed bounds.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use metrics::HistogramFn;

/// The upper bounds, in seconds: every histogram here is one of times.
const BOUNDS: [f64; 16] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
    120.0,
];

/// How many times fell between which bounds.
#[derive(Debug)]
pub(super) struct Buckets {
    /// One more than there are bounds.
    counts: [AtomicU64; BOUNDS.len() + 1],
    /// The bits of a float.
    sum: AtomicU64,
}

impl Default for Buckets {
    fn default() -> Self {
        Self { counts: [const { AtomicU64::new(0) }; BOUNDS.len() + 1], sum: AtomicU64::new(0) }
    }
}

impl Buckets {
    /// Writes the lines; `name` makes one of a suffix and a label.
    pub(super) fn render(&self, out: &mut String, name: impl Fn(&str, &str) -> String) {
        let mut total = 0;
        for (count, bound) in self.counts.iter().zip(&BOUNDS) {
            total += count.load(Ordering::Relaxed);
            let _ = writeln!(out, "{} {total}", name("_bucket", &format!("le=\"{bound}\"")));
        }
        total += self.counts[BOUNDS.len()].load(Ordering::Relaxed);
        let sum = f64::from_bits(self.sum.load(Ordering::Relaxed));
        let _ = writeln!(out, "{} {total}", name("_bucket", "le=\"+Inf\""));
        let _ = writeln!(out, "{} {sum}", name("_sum", ""));
        let _ = writeln!(out, "{} {total}", name("_count", ""));
    }
}

impl HistogramFn for Buckets {
    fn record(&self, value: f64) {
        let at = BOUNDS.iter().position(|bound| value <= *bound).unwrap_or(BOUNDS.len());
        self.counts[at].fetch_add(1, Ordering::Relaxed);
        let add = |bits| Some((f64::from_bits(bits) + value).to_bits());
        // Always some: it never fails.
        let _ = self.sum.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }
}
