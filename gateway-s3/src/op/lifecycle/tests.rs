//! What rules mean, and which are none.

use super::*;
use crate::error::Code;
use crate::record::{Expiration, Headers, Noncurrent};

const NOON: u64 = 20_000 * DAY + DAY / 2;

fn tag(name: &str, value: &str) -> Pair {
    Pair { name: name.to_owned(), value: value.to_owned() }
}

fn rule(prefix: &str) -> LifecycleRule {
    let filter = Filter { prefix: Some(prefix.to_owned()), ..Filter::default() };
    let id = format!("rule of {prefix}");
    LifecycleRule { id, filter: Some(filter), ..LifecycleRule::default() }
}

fn expiring(prefix: &str, days: u32) -> LifecycleRule {
    let expiration = Some(Expiration { days, ..Expiration::default() });
    LifecycleRule { expiration, ..rule(prefix) }
}

fn moving(days: u32, class: &str) -> Transition {
    Transition { days: Some(days), storage_class: class.to_owned(), ..Transition::default() }
}

fn object(size: u64, tags: &[Pair]) -> Object {
    Object { modified: NOON, size, tags: tags.to_vec(), ..Object::default() }
}

fn clock(days: u64) -> Clock {
    Clock { now: NOON + days * DAY, day: DAY }
}

#[test]
fn a_rule_is_for_objects_of_which_all_holds_that_it_says() {
    let filter = |filter: Filter| LifecycleRule { filter: Some(filter), ..expiring("", 1) };
    let (red, round) = (tag("colour", "red"), tag("shape", "round"));
    let red_ones = Filter { tags: vec![red.clone()], ..Filter::default() };
    let and = Filter {
        prefix: Some("a/".to_owned()),
        tags: vec![red.clone(), round.clone()],
        larger_than: Some(10),
        ..Filter::default()
    };
    let anded = Filter { and: Some(Box::new(and)), ..Filter::default() };
    let small = Filter { larger_than: Some(10), smaller_than: Some(12), ..Filter::default() };
    let old = LifecycleRule { prefix: Some("a/".to_owned()), filter: None, ..expiring("", 1) };
    let disabled = LifecycleRule { disabled: true, ..expiring("", 1) };
    let both = [red.clone(), round];
    let cases = [
        (expiring("", 1), "a/b", 0, &[][..], true),
        (expiring("a/", 1), "a/b", 0, &[], true),
        (expiring("a/", 1), "b/a/", 0, &[], false),
        (old.clone(), "a/b", 0, &[], true),
        (old, "b", 0, &[], false),
        (disabled, "a", 0, &[], false),
        (filter(Filter::default()), "a", 0, &[], true),
        (filter(red_ones.clone()), "a", 0, &both, true),
        (filter(red_ones.clone()), "a", 0, &both[1..], false),
        (filter(red_ones), "a", 0, &[tag("colour", "blue")], false),
        (filter(anded.clone()), "a/b", 11, &both, true),
        (filter(anded.clone()), "a/b", 10, &both, false),
        (filter(anded.clone()), "a/b", 11, &both[..1], false),
        (filter(anded), "b", 11, &both, false),
        (filter(small.clone()), "a", 10, &[], false),
        (filter(small.clone()), "a", 11, &[], true),
        (filter(small), "a", 12, &[], false),
    ];
    for (rule, key, size, tags, expected) in cases {
        let rules = [rule];
        let found = due(&rules, key, &object(size, tags), clock(9)) == Due::Expire;
        assert_eq!(found, expected, "{rules:?} {key} {size} {tags:?}");
    }
}

#[test]
fn what_is_put_at_noon_goes_at_the_midnight_after_its_days() {
    let rules = [expiring("", 1)];
    let goes = expires(&rules, "a", &object(0, &[])).unwrap();
    assert_eq!((goes.at, &goes.rule[..]), (20_002 * DAY, "rule of "));
    for (now, due_then) in [(goes.at - 1, Due::Nothing), (goes.at, Due::Expire)] {
        assert_eq!(due(&rules, "a", &object(0, &[]), Clock { now, day: DAY }), due_then);
    }
    // Days of a trial have no midnight.
    let (second, put) = (1_000_000, object(0, &[]));
    for (now, due_then) in [(NOON + second - 1, Due::Nothing), (NOON + second, Due::Expire)] {
        assert_eq!(due(&rules, "a", &put, Clock { now, day: second }), due_then);
    }
    let midnight = Object { modified: 5 * DAY, ..Object::default() };
    assert_eq!(expires(&rules, "a", &midnight).unwrap().at, 6 * DAY);
    // The first one that takes it is told.
    let rules = [expiring("", 9), expiring("a", 3), expiring("b", 1)];
    assert_eq!(expires(&rules, "a", &object(0, &[])).unwrap().rule, "rule of a");
    assert_eq!(
        expires(&[expiring("", u32::MAX)], "a", &object(0, &[])).map(|one| one.at > NOON),
        Some(true)
    );
}

#[test]
fn versions_that_were_replaced_go_by_their_own_days_and_the_newest_of_them_can_stay() {
    let noncurrent =
        |days, newer| LifecycleRule { noncurrent: Some(Noncurrent { days, newer }), ..rule("") };
    let marker = Object { delete_marker: true, ..object(0, &[]) };
    let choosy = LifecycleRule {
        filter: Some(Filter { larger_than: Some(0), ..Filter::default() }),
        ..noncurrent(1, 0)
    };
    let cases = [
        (noncurrent(1, 0), object(5, &[]), 0, 2, true),
        (noncurrent(1, 0), object(5, &[]), 0, 1, false),
        (noncurrent(1, 2), object(5, &[]), 1, 9, false),
        (noncurrent(1, 2), object(5, &[]), 2, 9, true),
        (noncurrent(1, 0), marker.clone(), 0, 2, true),
        (choosy.clone(), object(5, &[]), 0, 2, true),
        (choosy, marker, 0, 2, false),
        (expiring("", 1), object(5, &[]), 0, 9, false),
    ];
    for (rule, object, newer, days, expected) in cases {
        let rules = [rule];
        let past = Past { since: NOON, newer };
        let found = due_past(&rules, "a", &object, past, clock(days)) == Due::Expire;
        assert_eq!(found, expected, "{rules:?} {newer} {days}");
    }
}

#[test]
fn a_marker_that_hides_nothing_goes_if_a_rule_says_so_or_when_an_object_would() {
    let saying = |said| LifecycleRule {
        expiration: Some(Expiration { delete_marker: Some(said), ..Expiration::default() }),
        ..rule("")
    };
    let tagged = LifecycleRule {
        filter: Some(Filter { tags: vec![tag("a", "b")], ..Filter::default() }),
        ..expiring("", 1)
    };
    let cases = [
        (saying(true), 0, true),
        (saying(false), 99, false),
        (expiring("", 3), 2, false),
        (expiring("", 3), 4, true),
        (expiring("b", 3), 4, false),
        (tagged, 9, false),
    ];
    let marker = Object { delete_marker: true, ..object(0, &[]) };
    for (rule, days, expected) in cases {
        let rules = [rule];
        assert_eq!(due_marker(&rules, "a", &marker, clock(days)), expected, "{rules:?} {days}");
    }
}

#[test]
fn objects_only_ever_become_colder() {
    let rules = [LifecycleRule {
        transitions: vec![moving(1, "STANDARD_IA"), moving(5, "GLACIER")],
        noncurrent_transitions: vec![moving(2, "GLACIER_IR")],
        ..rule("")
    }];
    let class = |class: &str| Due::Class(class.to_owned());
    let cases = [
        ("", 0, Due::Nothing),
        ("", 2, class("STANDARD_IA")),
        ("", 6, class("GLACIER")),
        ("STANDARD_IA", 2, Due::Nothing),
        ("STANDARD_IA", 6, class("GLACIER")),
        ("DEEP_ARCHIVE", 6, Due::Nothing),
        ("REDUCED_REDUNDANCY", 2, class("STANDARD_IA")),
    ];
    for (own, days, expected) in cases {
        let headers = Headers { storage_class: own.to_owned(), ..Headers::default() };
        let object = Object { headers: Some(headers), ..object(0, &[]) };
        assert_eq!(due(&rules, "a", &object, clock(days)), expected, "{own} {days}");
    }
    let past = Past { since: NOON, newer: 0 };
    assert_eq!(due_past(&rules, "a", &object(0, &[]), past, clock(3)), class("GLACIER_IR"));
    let marker = Object { delete_marker: true, ..object(0, &[]) };
    assert_eq!(due_past(&rules, "a", &marker, past, clock(3)), Due::Nothing);
}

#[test]
fn uploads_end_by_the_days_since_they_began() {
    let rules = [LifecycleRule { abort_days: 2, ..rule("a") }];
    let ends = aborts(&rules, "a", NOON).unwrap();
    assert_eq!(ends.at, 20_003 * DAY);
    assert!(aborts(&rules, "b", NOON).is_none());
    assert!(due_upload(&rules, "a", NOON, clock(3)));
    assert!(!due_upload(&rules, "a", NOON, clock(2)));
}

#[test]
fn rules_that_mean_nothing_are_refused() {
    use Code::{InvalidArgument, InvalidRequest, MalformedXML};
    let one = |change: &dyn Fn(&mut LifecycleRule)| {
        let mut rule = expiring("a", 3);
        change(&mut rule);
        vec![rule]
    };
    let date = |days: u64, more: u64| {
        Some(Expiration { date: Some(days * DAY + more), ..Expiration::default() })
    };
    let tagged = Filter { tags: vec![tag("a", "b")], ..Filter::default() };
    let marker = Some(Expiration { delete_marker: Some(true), ..Expiration::default() });
    let cases = [
        (one(&|_| {}), None),
        (one(&|rule| rule.filter = Some(Filter::default())), None),
        (one(&|rule| rule.expiration = date(20_000, 0)), None),
        (one(&|rule| rule.transitions = vec![moving(0, "GLACIER")]), None),
        (one(&|rule| rule.noncurrent = Some(Noncurrent { days: 1, newer: 100 })), None),
        (one(&|rule| rule.id = "ä".repeat(255)), None),
        (one(&|rule| rule.id = "a".repeat(256)), Some(InvalidArgument)),
        (vec![], Some(MalformedXML)),
        (vec![expiring("a", 1), expiring("a", 2)], Some(InvalidArgument)),
        ((0..1001).map(|at| expiring(&at.to_string(), 1)).collect(), Some(MalformedXML)),
        (one(&|rule| rule.filter = None), Some(MalformedXML)),
        (one(&|rule| rule.prefix = Some(String::new())), Some(MalformedXML)),
        (one(&|rule| rule.expiration = None), Some(InvalidRequest)),
        (one(&|rule| rule.expiration = Some(Expiration::default())), Some(MalformedXML)),
        (one(&|rule| rule.expiration = date(20_000, 1)), Some(InvalidArgument)),
        (one(&|rule| rule.transitions = vec![moving(1, "ATTIC")]), Some(MalformedXML)),
        (one(&|rule| rule.transitions = vec![moving(3, "GLACIER")]), Some(InvalidArgument)),
        (
            one(&|rule| {
                rule.expiration = date(20_000, 0);
                rule.transitions = vec![moving(1, "GLACIER")];
            }),
            Some(InvalidRequest),
        ),
        (
            one(&|rule| {
                rule.filter = Some(tagged.clone());
                rule.abort_days = 1;
            }),
            Some(InvalidRequest),
        ),
        (
            one(&|rule| {
                rule.filter = Some(tagged.clone());
                rule.expiration = marker;
            }),
            Some(InvalidRequest),
        ),
        (
            one(&|rule| rule.noncurrent = Some(Noncurrent { days: 0, newer: 1 })),
            Some(InvalidArgument),
        ),
        (
            one(&|rule| rule.noncurrent = Some(Noncurrent { days: 1, newer: 101 })),
            Some(InvalidArgument),
        ),
    ];
    for (rules, expected) in cases {
        let refused = check_rules(&rules).err().and_then(|error| error.code());
        assert_eq!(refused, expected, "{:?}", rules.first());
    }
}
