//! What of one key is current, history or nothing any more, case by case.

#![allow(clippy::unwrap_used, reason = "a test may stop at what cannot be")]

use super::*;
use crate::change::Merge;
use crate::compact::kept::tests::kept;
use crate::format::segment::Span;
use crate::system::System;

/// Everything is asked for.
fn all() -> Kept {
    Kept::of(&System::default(), Version::ZERO).unwrap()
}

/// A segment that is not compacted: versions and keys, first and last.
fn other(versions: (u64, u64), keys: (&'static str, &'static str)) -> SegmentRef {
    let [first, last] = [keys.0, keys.1].map(|key| Bytes::from_static(key.as_bytes()));
    let low = Span { first: Bytes::from_static(b"a"), last: Bytes::from_static(b"b") };
    SegmentRef {
        first_version: versions.0,
        last_version: versions.1,
        spans: vec![low, Span { first, last }],
        ..SegmentRef::default()
    }
}

/// What there is to sort.
struct Case {
    kept: Kept,
    others: Vec<SegmentRef>,
    ranges: Vec<(&'static str, &'static str, u64)>,
    chain_bytes_max: usize,
}

fn case() -> Case {
    Case { kept: all(), others: Vec::new(), ranges: Vec::new(), chain_bytes_max: 1000 }
}

/// Sorts changes, each as its key, its version and what it does: `=x` puts, `+x` appends, `#` adds 1 and `-` deletes. What
/// becomes of each: `c` current, `h` history, `d` dropped; with the version that supersedes it, and with `*` if it is
/// what merges came to.
fn check(case: &Case, changes: &[(&str, u64, &str)], expected: &str) {
    let ranges: Vec<_> = case
        .ranges
        .iter()
        .map(|(start, end, version)| {
            let [start, end] = [start, end].map(|key| Bytes::from_static(key.as_bytes()));
            (Range { start, end }, Version(*version))
        })
        .collect();
    let versions = changes.iter().map(|(_, version, _)| Version(*version));
    let versions = (versions.clone().min().unwrap(), versions.max().unwrap());
    let mut sorter = Sorter::new(&case.kept, &case.others, versions, &ranges, case.chain_bytes_max);
    let mut sorted = Sorted::default();
    let mut said = Vec::new();
    let mut last = None;
    let mut say = |key: &str, sorted: &mut Sorted| {
        let Sorted { current, history, dropped } = std::mem::take(sorted);
        for (what, all) in [("c", current), ("h", history), ("d", dropped)] {
            for stored in all {
                let does = match &stored.change {
                    Change::Put(value) if value.len() == 8 => format!("={}", value[0]),
                    Change::Put(value) => format!("={}", value.escape_ascii()),
                    Change::Merge(merges) => match &merges[..] {
                        [Merge::Append(more)] => format!("+{}", more.escape_ascii()),
                        _ => "#".to_owned(),
                    },
                    _ => "-".to_owned(),
                };
                let merged = if stored.merged { "*" } else { "" };
                let end = stored.superseded.map(|end| format!("..{end}")).unwrap_or_default();
                said.push(format!("{what} {key}{}{end}{does}{merged}", stored.version));
            }
        }
    };
    for (key, version, does) in changes {
        if last != Some(*key) {
            if let Some(last) = last {
                sorter.finish(&mut sorted).unwrap();
                say(last, &mut sorted);
            }
            sorter.begin(&Bytes::copy_from_slice(key.as_bytes()));
            last = Some(*key);
        }
        let more = Bytes::copy_from_slice(&does.as_bytes()[1..]);
        let change = match &does[..1] {
            "=" => Change::Put(more),
            "+" => Change::Merge(vec![Merge::Append(more)]),
            "#" => Change::Merge(vec![Merge::Add(1)]),
            _ => Change::Delete,
        };
        sorter.add(Stored::current(Version(*version), change), &mut sorted).unwrap();
        say(key, &mut sorted);
    }
    sorter.finish(&mut sorted).unwrap();
    say(last.unwrap(), &mut sorted);
    assert_eq!(said.join(", "), expected, "{changes:?}");
}

#[test]
fn of_values_the_newest_is_current_and_each_other_ends_with_the_next() {
    check(&case(), &[("k", 5, "=e")], "c k5=e");
    check(
        &case(),
        &[("k", 5, "=e"), ("k", 3, "=c"), ("k", 2, "=b")],
        "c k5=e, h k3..5=c, h k2..3=b",
    );
    // A deletion has nothing to hide where nothing is below it, and ends where it begins.
    check(&case(), &[("k", 5, "-")], "h k5..5-");
    check(&case(), &[("k", 5, "-"), ("k", 3, "=c")], "h k5..5-, h k3..5=c");
    check(&case(), &[("k", 5, "=e"), ("k", 3, "-"), ("k", 2, "=b")], "c k5=e, h k3..5-, h k2..3=b");
    // Each key begins anew.
    check(
        &case(),
        &[("k", 5, "=e"), ("k", 3, "=c"), ("l", 4, "=d"), ("l", 3, "=x")],
        "c k5=e, h k3..5=c, c l4=d, h l3..4=x",
    );
}

#[test]
fn merges_become_what_they_come_to_if_that_can_be_told() {
    check(
        &case(),
        &[("k", 5, "+e"), ("k", 4, "+d"), ("k", 3, "=c"), ("k", 2, "=b")],
        "c k5=cde*, h k4..5+d, h k3..5=c, h k2..3=b",
    );
    check(&case(), &[("k", 5, "+e"), ("k", 3, "-")], "c k5=e*, h k3..5-");
    check(&case(), &[("k", 5, "+e"), ("k", 4, "+d")], "c k5=de*, h k4..5+d");
    check(&case(), &[("k", 5, "#"), ("k", 4, "#")], "c k5=2*, h k4..5#");
    check(
        &case(),
        &[("k", 5, "=e"), ("k", 4, "+d"), ("k", 3, "=c")],
        "c k5=e, h k4..5+d, h k3..5=c",
    );
    // What is not a number stays as it is: who reads it is to be told.
    check(&case(), &[("k", 5, "#"), ("k", 3, "=c")], "c k5#, c k3=c");
    check(&case(), &[("k", 5, "#"), ("k", 4, "+d")], "c k5#, c k4+d");
    check(
        &case(),
        &[("k", 5, "+e"), ("l", 5, "+x"), ("l", 3, "=c")],
        "c k5=e*, c l5=cx*, h l3..5=c",
    );
}

#[test]
fn merges_of_more_bytes_than_are_held_stay_as_they_are() {
    let bounded = |chain_bytes_max| Case { chain_bytes_max, ..case() };
    let changes =
        [("k", 5, "+ee"), ("k", 4, "+d"), ("k", 3, "=c"), ("l", 5, "+ll"), ("l", 4, "=x")];
    let other = "c l5=xll*, h l4..5=x";
    check(&bounded(3), &changes, &format!("c k5=cdee*, h k4..5+d, h k3..5=c, {other}"));
    check(&bounded(2), &changes, &format!("c k5+ee, c k4+d, c k3=c, {other}"));
    check(&bounded(1), &changes, "c k5+ee, c k4+d, c k3=c, c l5+ll, c l4=x");
    // Nothing that comes after they were let go is taken for what they add to.
    check(
        &bounded(2),
        &[("k", 5, "+ee"), ("k", 4, "+d"), ("k", 3, "+c")],
        "c k5+ee, c k4+d, c k3+c",
    );
}

#[test]
fn an_emptied_range_ends_what_is_below_it_and_nothing_of_its_own_transaction() {
    let emptied =
        |ranges: &[(&'static str, &'static str, u64)]| Case { ranges: ranges.to_vec(), ..case() };
    for (start, end, is_in) in [
        ("k", "l", true),
        ("a", "z", true),
        ("j", "k", false),
        ("k1", "z", false),
        ("j", "k0", true),
    ] {
        let changes = [("k", 7, "=g"), ("k", 5, "=e"), ("k", 4, "=d")];
        let with = "c k7=g, h k5..7=e, h k4..5=d";
        check(&emptied(&[(start, end, 5)]), &changes, with);
        let expected = if is_in { "c k7=g, h k5..6=e, h k4..5=d" } else { with };
        check(&emptied(&[(start, end, 6)]), &changes, expected);
        let expected = if is_in { "h k7..8=g, h k5..7=e, h k4..5=d" } else { with };
        check(&emptied(&[(start, end, 8)]), &changes, expected);
    }
    // The last that comes before is what counts, in whichever order they begin.
    for ranges in [[("a", "z", 6), ("k", "l", 8)], [("a", "z", 8), ("k", "l", 6)]] {
        check(&emptied(&ranges), &[("k", 7, "=g"), ("k", 5, "=e")], "h k7..8=g, h k5..6=e");
    }
    // Merges that come after it add to nothing, those before it are of no use any more.
    check(
        &emptied(&[("a", "z", 6)]),
        &[("k", 8, "+h"), ("k", 7, "+g"), ("k", 5, "=e")],
        "c k8=gh*, h k7..8+g, h k5..6=e",
    );
    check(
        &emptied(&[("a", "z", 6)]),
        &[("k", 8, "=h"), ("k", 5, "+e"), ("k", 4, "+d")],
        "c k8=h, h k5..6+e, h k4..6+d",
    );
    // With nothing after them either.
    check(&emptied(&[("a", "z", 2)]), &[("k", 8, "+h"), ("k", 7, "+g")], "c k8=gh*, h k7..8+g");
    // A range is left behind by the keys after it, and begins only with those in it.
    check(
        &emptied(&[("b", "c", 9), ("m", "n", 9)]),
        &[("a", 5, "=a"), ("b", 5, "=b"), ("c", 5, "=c"), ("m", 5, "=m"), ("n", 5, "=n")],
        "c a5=a, h b5..9=b, c c5=c, h m5..9=m, c n5=n",
    );
}

#[test]
fn what_depends_on_segments_that_are_not_compacted_stays_as_it_is() {
    let beside = |versions, keys| Case { others: vec![other(versions, keys)], ..case() };
    let deleted = [("k", 5, "-")];
    for (versions, keys, hides) in [
        ((4, 9), ("k", "k"), true),
        ((4, 4), ("a", "z"), true),
        ((5, 9), ("k", "k"), false),
        ((6, 9), ("k", "k"), false),
        ((4, 9), ("c", "j"), false),
        ((4, 9), ("ka", "z"), false),
    ] {
        let expected = if hides { "c k5-" } else { "h k5..5-" };
        check(&beside(versions, keys), &deleted, expected);
    }
    // Between the two, another may have a deletion that hides the older one, which then must stay to be hidden.
    let both = [("k", 7, "=g"), ("k", 3, "=c")];
    for (versions, knows) in [
        ((4, 4), true),
        ((1, 3), true),
        ((1, 2), false),
        ((6, 9), true),
        ((7, 9), false),
        ((3, 3), true),
    ] {
        let expected = if knows { "c k7=g, c k3=c" } else { "c k7=g, h k3..7=c" };
        check(&beside(versions, ("k", "k")), &both, expected);
        check(&beside(versions, ("c", "j")), &both, "c k7=g, h k3..7=c");
    }
    // So may merges.
    let merged = [("k", 7, "+g"), ("k", 3, "=c")];
    for (versions, knows) in [((4, 4), true), ((1, 2), false), ((6, 9), true), ((7, 9), false)] {
        let expected = if knows { "c k7+g, c k3=c" } else { "c k7=cg*, h k3..7=c" };
        check(&beside(versions, ("k", "k")), &merged, expected);
    }
    // What is merged into nothing that is known here, another may know the base of.
    for (versions, knows) in [((1, 1), true), ((6, 9), true), ((7, 9), false)] {
        let expected = if knows { "c k7+g" } else { "c k7=g*" };
        check(&beside(versions, ("k", "k")), &[("k", 7, "+g")], expected);
    }
}

#[test]
fn what_nobody_asks_for_is_dropped() {
    // The horizon is 10, and there are tags at 3 and 5.
    let packed = || Case { kept: kept(), ..case() };
    check(
        &packed(),
        &[
            ("k", 12, "=x"),
            ("k", 11, "=w"),
            ("k", 8, "=h"),
            ("k", 7, "=g"),
            ("k", 4, "=d"),
            ("k", 1, "=a"),
        ],
        "c k12=x, h k11..12=w, h k8..11=h, d k7=g, h k4..7=d, h k1..4=a",
    );
    check(&packed(), &[("k", 8, "-"), ("k", 7, "=g")], "d k8-, d k7=g");
    check(&packed(), &[("k", 9, "+i"), ("k", 8, "=h")], "c k9=hi*, d k8=h");
}

#[test]
fn a_segment_overlaps_versions_from_the_first_and_below_the_last() {
    let segment = other((4, 6), ("k", "k"));
    for (low, high, expected) in
        [(1, 4, false), (1, 5, true), (6, 9, true), (7, 9, false), (5, 5, true), (4, 4, false)]
    {
        assert_eq!(overlaps(&segment, Version(low), Version(high)), expected, "{low} {high}");
    }
}
