//! What an emptied range may still have to hide.

use super::*;
use crate::format::segment::Span;

#[test]
fn a_range_may_hide_what_others_have_of_it_from_before() {
    let other = |first_version: u64, first: &'static [u8], last: &'static [u8]| SegmentRef {
        first_version,
        spans: vec![
            Span { first: Bytes::from_static(b"a"), last: Bytes::from_static(b"b") },
            Span { first: Bytes::from_static(first), last: Bytes::from_static(last) },
        ],
        ..SegmentRef::default()
    };
    let range = Range { start: Bytes::from_static(b"kd"), end: Bytes::from_static(b"kg") };
    for (others, hides) in [
        (vec![], false),
        (vec![other(4, b"kc", b"kz")], true),
        (vec![other(5, b"kc", b"kz")], false),
        (vec![other(6, b"kc", b"kz")], false),
        (vec![other(4, b"ka", b"kd")], true),
        (vec![other(4, b"ka", b"kc")], false),
        (vec![other(4, b"kf", b"kz")], true),
        (vec![other(4, b"kg", b"kz")], false),
        (vec![other(4, b"kh", b"kz")], false),
        (vec![other(9, b"kd", b"ke"), other(1, b"kx", b"kz")], false),
        (vec![other(9, b"kd", b"ke"), other(1, b"ke", b"ke")], true),
    ] {
        assert_eq!(may_hide(&others, &range, Version(5)), hides, "{others:?}");
    }
}
