//! Which segments are chosen, at every edge.

use super::*;
use crate::compact::kept::tests::kept;
use crate::format::segment::Span;

fn span(first: &[u8], last: &[u8]) -> Span {
    Span { first: first.to_vec().into(), last: last.to_vec().into() }
}

fn named(number: u32, about: SegmentRef) -> Named {
    (SegmentId { session: 1, number }, Version(100), about)
}

fn numbers(segments: &[Named]) -> Vec<u32> {
    segments.iter().map(|segment| segment.0.number).collect()
}

#[test]
fn the_newest_runs_are_merged_with_those_that_are_not_much_larger() {
    // Of each segment its session, its run, its bytes and its last version; the segments of one run are one.
    type Runs = &'static [(u64, u32, u64, u64)];
    let cases: [(Runs, usize, Option<&[u32]>); 12] = [
        (&[], 1, None),
        (&[(1, 1, 9, 1)], 1, None),
        (&[(1, 1, 9, 1)], 0, None),
        (&[(1, 1, 9, 1), (1, 2, 9, 2)], 2, None),
        (&[(1, 1, 9, 1), (1, 2, 9, 2)], 1, Some(&[1, 0])),
        (&[(1, 1, 9, 2), (1, 2, 9, 1)], 0, Some(&[0, 1])),
        // Three runs, of which two are merged in any case, and the third if it is not more than twice as large as both.
        (&[(1, 1, 4, 1), (1, 2, 1, 2), (1, 3, 1, 3)], 2, Some(&[2, 1, 0])),
        (&[(1, 1, 5, 1), (1, 2, 1, 2), (1, 3, 1, 3)], 2, Some(&[2, 1])),
        (&[(1, 1, 5, 1), (1, 2, 900, 2), (1, 3, 1, 3)], 2, Some(&[2, 1, 0])),
        // The third is too large, so the fourth is not even looked at.
        (&[(1, 1, 1, 1), (1, 2, 5, 2), (1, 3, 1, 3), (1, 4, 1, 4)], 3, Some(&[3, 2])),
        // Runs of several segments count with all their bytes, and are as new as the newest of them.
        (&[(1, 1, 2, 1), (1, 1, 3, 9), (2, 1, 1, 3), (2, 5, 1, 4)], 2, Some(&[0, 1, 3, 2])),
        (&[(1, 1, 2, 1), (1, 1, 3, 1), (2, 1, 1, 3), (2, 5, 1, 4)], 2, Some(&[3, 2])),
    ];
    for (case, (runs, runs_max, expected)) in cases.into_iter().enumerate() {
        let segment = |(at, (session, run, bytes, last)): (usize, &(u64, u32, u64, u64))| {
            let about = SegmentRef {
                bytes: *bytes,
                run: *run,
                last_version: *last,
                ..SegmentRef::default()
            };
            (SegmentId { session: *session, number: at as u32 }, Version(100), about)
        };
        let segments = runs.iter().enumerate().map(segment).collect();
        let found = surplus(segments, runs_max).map(|found| numbers(&found));
        assert_eq!(found.as_deref(), expected, "case {case}");
    }
}

#[test]
fn segments_are_tidy_when_they_are_plain_share_no_key_and_hold_no_old_record() {
    let plain = |spans: &[&Span]| {
        let spans = spans.iter().map(|span| (*span).clone()).collect();
        SegmentRef { plain: true, spans, ..SegmentRef::default() }
    };
    let record = |version| space::commit(Version(version));
    let untidy = |segments: Vec<SegmentRef>| {
        let segments: Vec<_> =
            (0..).zip(segments).map(|(number, about)| named(number, about)).collect();
        numbers(&untidy(&segments, &kept()))
    };
    let (a, b, c) = (span(b"ka", b"kc"), span(b"kd", b"kf"), span(b"kg", b"kz"));
    assert_eq!(untidy(vec![]), []);
    assert_eq!(untidy(vec![plain(&[&a]), plain(&[&b]), plain(&[&c])]), []);
    let rough = SegmentRef { plain: false, ..plain(&[&b]) };
    assert_eq!(untidy(vec![plain(&[&a]), rough, plain(&[&c])]), [1]);
    // They share the last key of the one, which is the first of the other; in both orders, and in any of their spans.
    let meets_a = span(b"kc", b"kd");
    let both = || vec![plain(&[&a]), plain(&[&meets_a]), plain(&[&c])];
    assert_eq!(untidy(both()), [0, 1]);
    assert_eq!(untidy(both().into_iter().rev().collect()), [1, 2]);
    assert_eq!(untidy(vec![plain(&[&span(b"a", b"b"), &a]), plain(&[&meets_a, &c])]), [0, 1]);
    assert_eq!(
        untidy(vec![plain(&[&span(b"k", b"kz")]), plain(&[&b])]),
        [0, 1],
        "one in the other"
    );
    // Below the horizon of 10.
    for (first, last, is_old) in [(9, 20, true), (10, 20, false), (1, 9, true)] {
        let records = plain(&[&span(&record(first), &record(last)), &a]);
        let expected: &[u32] = if is_old { &[1] } else { &[] };
        assert_eq!(untidy(vec![plain(&[&c]), records]), expected, "from {first}");
    }
    let below_all = plain(&[&span(b"a", b"b"), &a]);
    assert_eq!(untidy(vec![below_all]), [], "it is below the records and is none");
}

#[test]
fn history_is_dropped_whole_or_looked_into_or_left() {
    // The horizon is 10, and there are tags at 3 and 5.
    for (first, superseded, references, dropped, thinned) in [
        (6, 10, 0, true, false),
        (6, 10, 1, false, true),
        (6, 11, 0, false, true),
        (4, 5, 0, true, false),
        (2, 10, 0, false, true),
        (2, 11, 2, false, true),
        (9, 12, 0, false, true),
        (10, 12, 0, false, false),
        (11, 12, 3, false, false),
        (10, 10, 0, true, false),
        (10, 10, 1, false, true),
    ] {
        let about = SegmentRef { first_version: first, superseded, references, ..<_>::default() };
        let found = thinning(vec![named(1, about)], &kept());
        assert_eq!(
            (found.dropped.len() == 1, found.thinned.len() == 1),
            (dropped, thinned),
            "from {first}, superseded by {superseded}, with {references} large values"
        );
    }
}

/// Flushes of one size, each with what is surplus merged after it. The bytes written for a byte flushed, and the most runs
/// there were.
fn written(flushes: u64, runs_max: usize) -> (f64, usize) {
    let (mut segments, mut written, mut most) = (Vec::<Named>::new(), 0, 0);
    let named = |number: u64, bytes| {
        let id = SegmentId { session: 1, number: number as u32 };
        let about =
            SegmentRef { bytes, run: id.number, last_version: number, ..Default::default() };
        (id, Version(number), about)
    };
    for flush in 1..=flushes {
        segments.push(named(2 * flush, 1));
        written += 1;
        while let Some(inputs) = surplus(segments.clone(), runs_max) {
            assert!(inputs.len() >= 2, "there is always less to do");
            let bytes = inputs.iter().map(|input| input.2.bytes).sum();
            segments.retain(|segment| !inputs.contains(segment));
            // Newer than all it was made of, and older than the next flush.
            segments.push(named(2 * flush + 1, bytes));
            written += bytes;
        }
        most = most.max(runs_of(segments.clone()).len());
    }
    (written as f64 / flushes as f64, most)
}

#[test]
fn there_are_never_more_runs_than_may_be_and_little_is_written_for_it() {
    // What is written is that of the design page, rounded up.
    let table = [(14, 4, 2.4), (72, 4, 4.2), (145, 4, 5.5), (145, 8, 4.2), (1450, 4, 11.5)];
    for (flushes, runs_max, at_most) in table {
        let (written, most) = written(flushes, runs_max);
        assert_eq!(most, runs_max, "after {flushes} flushes");
        assert!(written <= at_most, "{written:.2} times with {runs_max} runs of {flushes}");
    }
    assert_eq!(written(50, usize::MAX), (1.0, 50), "nothing is merged");
    assert_eq!(written(50, 1).1, 1);
}

#[test]
fn segments_that_were_made_together_count_as_one() {
    let segment = |session, number, run| {
        let about = SegmentRef { bytes: 1, run, ..SegmentRef::default() };
        (SegmentId { session, number }, Version(1), about)
    };
    let two_runs = vec![segment(1, 1, 1), segment(1, 2, 1), segment(2, 1, 1)];
    assert!(surplus(two_runs.clone(), 2).is_none());
    assert_eq!(surplus(two_runs, 1).map(|inputs| inputs.len()), Some(3));
}
