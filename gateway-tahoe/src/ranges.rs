//! Which bytes of something were written.

use std::collections::BTreeMap;
use std::ops::Range;

/// Ranges that neither touch nor overlap.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Ranges(BTreeMap<u64, u64>);

impl Ranges {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Range<u64>> {
        self.0.iter().map(|(start, end)| *start..*end)
    }

    /// Adds a range.
    pub(crate) fn insert(&mut self, range: Range<u64>) {
        let Range { mut start, mut end } = range;
        if start >= end {
            return;
        }
        if let Some((before, until)) = self.0.range(..=start).next_back()
            && *until >= start
        {
            start = *before;
        }
        while let Some((from, until)) = self.0.range(start..=end).next() {
            let (from, until) = (*from, *until);
            end = end.max(until);
            self.0.remove(&from);
        }
        self.0.insert(start, end);
    }

    /// The parts of a range that are in them, in order.
    pub(crate) fn within(&self, range: Range<u64>) -> Vec<Range<u64>> {
        let before = self.0.range(..range.start).next_back();
        let first = before.map_or(range.start, |(start, _)| *start);
        let cut = |(start, end): (&u64, &u64)| (*start).max(range.start)..(*end).min(range.end);
        let parts = self.0.range(first..range.end).map(cut);
        parts.filter(|part| !part.is_empty()).collect()
    }

    /// The parts of a range that are not in them, in order.
    pub(crate) fn missing(&self, range: Range<u64>) -> Vec<Range<u64>> {
        let mut at = range.start;
        let mut missing = Vec::new();
        for part in self.within(range.clone()) {
            if at < part.start {
                missing.push(at..part.start);
            }
            at = part.end;
        }
        if at < range.end {
            missing.push(at..range.end);
        }
        missing
    }
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init, reason = "one range is what is meant")]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_merged_and_gaps_found() {
        let check = |given: &[Range<u64>], merged: &[Range<u64>], missing: &[Range<u64>]| {
            let mut ranges = Ranges::default();
            given.iter().for_each(|range| ranges.insert(range.clone()));
            assert_eq!(ranges.iter().collect::<Vec<_>>(), merged, "{given:?}");
            assert_eq!(ranges.missing(0..100), missing, "{given:?}");
            assert_eq!(ranges.len(), merged.len());
        };
        check(&[], &[], &[0..100]);
        check(&[0..100], &[0..100], &[]);
        check(&[0..10, 10..20], &[0..20], &[20..100]);
        check(&[10..20, 0..10], &[0..20], &[20..100]);
        check(&[50..60, 10..20, 15..55], &[10..60], &[0..10, 60..100]);
        check(&[10..20, 30..40, 50..60, 0..100], &[0..100], &[]);
        check(&[10..20, 12..15], &[10..20], &[0..10, 20..100]);
        check(&[10..20, 30..40, 5..50], &[5..50], &[0..5, 50..100]);
        check(&[7..7], &[], &[0..100]);
    }

    #[test]
    fn what_is_within_is_cut_at_both_ends() {
        let mut ranges = Ranges::default();
        [10..20, 30..40].into_iter().for_each(|range| ranges.insert(range));
        let check = |range: Range<u64>, expected: &[Range<u64>]| {
            assert_eq!(ranges.within(range.clone()), expected, "{range:?}");
        };
        check(0..100, &[10..20, 30..40]);
        check(15..35, &[15..20, 30..35]);
        check(12..13, &[12..13]);
        check(20..30, &[]);
        check(0..10, &[]);
        check(40..50, &[]);
    }

    #[test]
    fn random_ranges_are_what_a_map_of_bytes_says() {
        // A generator of its own, so that a failure can be repeated: xorshift64.
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut draw = |below: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % below
        };
        for round in 0..2000 {
            let (mut ranges, mut bytes) = (Ranges::default(), [false; 64]);
            for _ in 0..draw(12) {
                let start = draw(64);
                let end = start + draw(65 - start);
                ranges.insert(start..end);
                bytes[start as usize..end as usize].fill(true);
            }
            let (start, end) = (draw(64), 64);
            let mut found = [false; 64];
            for part in ranges.within(start..end) {
                found[part.start as usize..part.end as usize].fill(true);
            }
            for part in ranges.missing(start..end) {
                assert!(
                    !found[part.start as usize..part.end as usize].contains(&true),
                    "round {round}"
                );
            }
            assert_eq!(found[start as usize..], bytes[start as usize..], "round {round}");
        }
    }
}
