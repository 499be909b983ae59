//! What members charge, and what was asked of them.

use std::sync::atomic::{AtomicU64, Ordering};

/// What a provider charges, in whatever currency all members share. What is not declared costs nothing.
///
/// # Examples
///
/// ```
/// use storage_array::{Prices, Traffic};
///
/// let prices = Prices { gb_month: 0.023, gb_read: 0.09, thousand_puts: 0.005, thousand_gets: 0.0004 };
/// assert_eq!(prices.monthly(2_000_000_000), 0.046);
/// let asked = Traffic { puts: 2000, gets: 10_000, read_bytes: 1_000_000_000, written_bytes: 0 };
/// assert!((prices.of(&asked) - 0.104).abs() < 1e-9);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Prices {
    /// For 10^9 bytes kept for a month.
    pub gb_month: f64,
    /// For 10^9 bytes that leave it.
    pub gb_read: f64,
    /// For a thousand puts or lists.
    pub thousand_puts: f64,
    /// For a thousand gets.
    pub thousand_gets: f64,
}

impl Prices {
    /// Whether none is declared.
    #[must_use]
    pub fn is_free(&self) -> bool {
        *self == Self::default()
    }

    /// What it costs to keep so many bytes for a month.
    #[must_use]
    pub fn monthly(&self, bytes: u64) -> f64 {
        bytes as f64 / 1e9 * self.gb_month
    }

    /// What these requests cost.
    #[must_use]
    pub fn of(&self, traffic: &Traffic) -> f64 {
        traffic.read_bytes as f64 / 1e9 * self.gb_read
            + traffic.puts as f64 / 1e3 * self.thousand_puts
            + traffic.gets as f64 / 1e3 * self.thousand_gets
    }

    /// What a byte read costs, in whole numbers that can be compared.
    pub(crate) fn rank(&self) -> u64 {
        // Finer than anybody charges. It saturates at both ends, and what is no number is nothing.
        (self.gb_read * 1e6) as u64
    }
}

/// What was asked of a member by this process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Puts and lists, which cost the same in most places.
    pub puts: u64,
    /// Gets.
    pub gets: u64,
    /// Bytes that came.
    pub read_bytes: u64,
    /// Bytes that went.
    pub written_bytes: u64,
}

/// Counts what is asked of a member.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    puts: AtomicU64,
    gets: AtomicU64,
    read_bytes: AtomicU64,
    written_bytes: AtomicU64,
}

impl Meter {
    pub(crate) fn put(&self, bytes: usize) {
        self.puts.fetch_add(1, Ordering::Relaxed);
        self.written_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) {
        self.gets.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn came(&self, bytes: usize) {
        self.read_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> Traffic {
        Traffic {
            puts: self.puts.load(Ordering::Relaxed),
            gets: self.gets.load(Ordering::Relaxed),
            read_bytes: self.read_bytes.load(Ordering::Relaxed),
            written_bytes: self.written_bytes.load(Ordering::Relaxed),
        }
    }
}
