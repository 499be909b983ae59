//! Nothing undeclared goes in, nothing wrong comes out.

use std::sync::Arc;

use backend_memory::MemoryProvider;
use futures_executor::block_on;
use storage_core::{
    Atomicity, Capabilities, Effect, ErrorKind, Get, List, Listed, Object, Page, Prefix, PutIf,
    StorageProvider, Version,
};
use storage_wrappers::{Counted, Guarded, Override};

use crate::script::{Answer, Ask, Scripted, key, verdict};

#[test]
fn what_is_not_declared_is_refused_with_no_request() {
    let memory = MemoryProvider::new().info().capabilities;
    let matches = PutIf::Matches(Version::new("1"));
    let no_absent = Capabilities { absent: Atomicity::Unsupported, ..memory };
    let no_matches = Capabilities { matches: Atomicity::Unsupported, ..memory };
    let small = Capabilities { object_bytes_max: 3, ..memory };
    let cases: &[(Capabilities, &str, &'static str, PutIf, &str)] = &[
        // declared, key, body, condition, expected
        (no_absent, "k", "body", PutIf::Absent, "unsupported NotApplied"),
        (no_absent, "k", "body", PutIf::Always, "ok"),
        (no_absent, "k", "body", matches.clone(), "conflict NotApplied"),
        (no_matches, "k", "body", matches.clone(), "unsupported NotApplied"),
        (no_matches, "k", "body", PutIf::Absent, "ok"),
        (no_matches, "k", "body", PutIf::Always, "ok"),
        (small, "k", "four", PutIf::Always, "too large NotApplied"),
        (small, "k", "thr", PutIf::Always, "ok"),
        (small, "k", "four", PutIf::Absent, "too large NotApplied"),
        (
            Capabilities { key_bytes_max: 3, ..memory },
            "long",
            "b",
            PutIf::Always,
            "invalid key NotApplied",
        ),
        (Capabilities { key_bytes_max: 4, ..memory }, "long", "b", PutIf::Always, "ok"),
    ];
    for (declared, name, body, when, expected) in cases {
        let counted = Arc::new(Counted::new(Override::new(MemoryProvider::new(), *declared)));
        let guarded = Guarded::new(counted.clone());
        assert_eq!(guarded.info().capabilities, *declared);
        let case = format!("{declared:?} {name} {body} {when:?}");
        let answer = block_on(guarded.put(&key(name), (*body).into(), when.clone()));
        let sent = counted.counts().requests();
        match answer {
            Ok(_) => assert_eq!((*expected, sent), ("ok", 1), "{case}"),
            Err(error) => {
                assert_eq!(verdict(&error), *expected, "{case}");
                assert_eq!(error.key(), Some(&key(name)), "{case}");
                assert_eq!(sent, u64::from(error.kind() == ErrorKind::Conflict), "{case}");
            }
        }
    }
}

#[test]
fn a_key_too_long_is_refused_by_every_operation_that_takes_one() {
    let declared = Capabilities { key_bytes_max: 3, ..MemoryProvider::new().info().capabilities };
    let counted = Arc::new(Counted::new(Override::new(MemoryProvider::new(), declared)));
    let guarded = Guarded::new(counted.clone());
    let long = key("long");
    block_on(async {
        for error in [
            guarded.put(&long, "b".into(), PutIf::Always).await.unwrap_err(),
            guarded.get(&long, Get::whole()).await.unwrap_err(),
            guarded.delete(&long).await.unwrap_err(),
        ] {
            assert_eq!(verdict(&error), "invalid key NotApplied");
        }
    });
    assert_eq!(counted.counts().requests(), 0);
}

#[test]
fn bytes_that_were_not_asked_for_are_corrupt() {
    let (v1, v2) = (Version::new("v1"), Version::new("v2"));
    let whole = Get::whole();
    let range = Get::range(2..6);
    let clamped = Get::range(8..100);
    let cases: &[(&Get, &'static str, u64, &Version, bool)] = &[
        // request, body, size, version, whether it is an answer
        (&whole, "0123456789", 10, &v1, true),
        (&whole, "", 0, &v1, true),
        (&whole, "012345678", 10, &v1, false),
        (&whole, "0123456789", 9, &v1, false),
        (&whole, "", 10, &v1, false),
        (&range, "2345", 10, &v1, true),
        (&range, "234", 10, &v1, false),
        (&range, "23456", 10, &v1, false),
        (&range, "0123456789", 10, &v1, false),
        (&range, "23", 4, &v1, true),
        (&range, "", 2, &v1, false),
        (&range, "", 0, &v1, false),
        (&clamped, "89", 10, &v1, true),
        (&clamped, "", 8, &v1, false),
        (&Get::range(5..), "56789", 10, &v1, true),
        (&Get::range(5..), "5678", 10, &v1, false),
        (&Get::range(5..5), "", 10, &v1, false),
        (&Get::meta_only(), "", 10, &v1, true),
        (&Get::meta_only(), "0", 10, &v1, false),
        (&Get { range: Some((20..30).into()), ..Get::meta_only() }, "", 10, &v1, true),
        (&Get::whole().if_match(v1.clone()), "0", 1, &v1, true),
        (&Get::whole().if_match(v1.clone()), "0", 1, &v2, false),
        (&Get::meta_only().if_match(v1.clone()), "", 1, &v2, false),
        (&Get::whole().if_changed(v1.clone()), "0", 1, &v2, true),
        (&Get::whole().if_changed(v1.clone()), "0", 1, &v1, false),
    ];
    for (request, body, size, version, right) in cases {
        let object = Object { body: (*body).into(), size: *size, version: (*version).clone() };
        let guarded = Guarded::new(Scripted::new([Answer::Object(object.clone())]));
        let case = format!("{request:?} answered with {object:?}");
        match block_on(guarded.get(&key("k"), (*request).clone())) {
            Ok(answer) => assert!(*right && answer == object, "{case}"),
            Err(error) => {
                assert!(!right, "{case}: {error}");
                assert_eq!(verdict(&error), "corrupt NotApplied", "{case}");
                assert_eq!(error.key(), Some(&key("k")));
            }
        }
    }
}

#[test]
fn pages_that_break_the_order_are_corrupt() {
    let (all, log) = (Prefix::all(), Prefix::new("log/").unwrap());
    let after = key("log/5");
    let everything = List::new(&all);
    let cases: &[(List<'_>, &[&str], bool, bool)] = &[
        // request, keys, more, whether it is an answer
        (everything, &[], false, true),
        (everything, &["a", "b"], false, true),
        (everything, &["a", "b"], true, true),
        (everything, &[], true, false),
        (everything, &["b", "a"], false, false),
        (everything, &["a", "a"], false, false),
        (everything, &["a", "c", "b"], false, false),
        (everything.limit(2), &["a", "b"], false, true),
        (everything.limit(2), &["a", "b", "c"], false, false),
        (everything.limit(0), &["a"], true, true),
        (everything.limit(0), &["a", "b"], false, false),
        (List::new(&log), &["log/1", "log/2"], false, true),
        (List::new(&log), &["log"], false, false),
        (List::new(&log), &["log/1", "logs"], false, false),
        (everything.start_after(&after), &["log/6"], false, true),
        (everything.start_after(&after), &["log/5"], false, false),
        (everything.start_after(&after), &["log/4", "log/6"], false, false),
        (List::new(&log).start_after(&after), &["log/50", "log/6"], false, true),
    ];
    for (request, keys, more, right) in cases {
        let objects = keys.iter().map(|name| Listed { key: key(name), size: 1 }).collect();
        let page = Page { objects, more: *more };
        let guarded = Guarded::new(Scripted::new([Answer::Page(page.clone())]));
        let case = format!("{request:?} answered with {page:?}");
        match block_on(guarded.list(*request)) {
            Ok(answer) => assert!(*right && answer == page, "{case}"),
            Err(error) => {
                assert!(!right, "{case}: {error}");
                assert_eq!(verdict(&error), "corrupt NotApplied", "{case}");
                assert!(error.to_string().starts_with("list: "), "{error}");
            }
        }
    }
}

#[test]
fn an_error_that_the_request_cannot_have_is_corrupt() {
    use ErrorKind::{Conflict, InvalidRange, NotFound, NotModified};
    for (kind, possible) in [
        (NotFound, &[Ask::Get][..]),
        (Conflict, &[Ask::PutAbsent, Ask::PutMatches]),
        (NotModified, &[]),
        (InvalidRange, &[]),
        (ErrorKind::Unavailable, &Ask::ALL),
        (ErrorKind::TooLarge, &Ask::ALL),
        (ErrorKind::Unexpected, &Ask::ALL),
    ] {
        for ask in Ask::ALL {
            let failing = Answer::Fail(kind, Effect::NotApplied);
            let answer = block_on(ask.of(&Guarded::new(Scripted::new([failing]))));
            let expected = if possible.contains(&ask) {
                format!("{kind} NotApplied")
            } else if ask.operation().is_mutation() {
                "corrupt Unknown".into()
            } else {
                "corrupt NotApplied".into()
            };
            assert_eq!(answer, expected, "{ask:?} {kind}");
        }
    }
    let v = Version::new("v");
    for (request, kind, possible) in [
        (Get::whole().if_match(v.clone()), Conflict, true),
        (Get::whole().if_changed(v.clone()), Conflict, false),
        (Get::whole().if_changed(v.clone()), NotModified, true),
        (Get::whole().if_match(v), NotModified, false),
        (Get::range(1..2), InvalidRange, true),
        (Get { range: Some((1..2).into()), ..Get::meta_only() }, InvalidRange, false),
    ] {
        let guarded = Guarded::new(Scripted::new([Answer::Fail(kind, Effect::NotApplied)]));
        let error = block_on(guarded.get(&key("k"), request.clone())).unwrap_err();
        let expected = if possible { kind } else { ErrorKind::Corrupt };
        assert_eq!(error.kind(), expected, "{request:?} {kind}");
    }
}

#[test]
fn an_override_changes_what_is_declared_and_nothing_else() {
    let memory = MemoryProvider::new();
    let declared = Capabilities { object_bytes_max: 1, ..memory.info().capabilities };
    let provider = Override::new(memory.clone(), declared);
    assert_eq!(provider.info().capabilities, declared);
    assert_eq!(provider.info().name, memory.info().name);
    assert_eq!(block_on(Ask::PutAbsent.of(&provider)), "ok", "holding it is the guard's");
    assert_eq!(block_on(Ask::PutAbsent.of(&provider)), "conflict NotApplied");
    assert_eq!(block_on(Ask::Get.of(&memory)), "ok");
    assert_eq!(block_on(Ask::List.of(&provider)), "ok");
    assert_eq!(block_on(Ask::Delete.of(&provider)), "ok");
    assert_eq!(block_on(Ask::Get.of(&provider)), "not found NotApplied");
}
