//! What takes too long is given up, and what it may have done is not guessed.

use std::time::Duration;

use futures_executor::block_on;
use storage_core::{ByteRange, Env, Get, PutIf, StorageProvider};
use storage_wrappers::{TimeLimit, TimeLimits};

use crate::script::{Answer, Ask, SECOND, Scripted, key, verdict};

fn limits() -> TimeLimits {
    TimeLimits {
        put: 10 * SECOND,
        get: 20 * SECOND,
        list: 30 * SECOND,
        delete: 40 * SECOND,
        bytes_per_second_min: 4,
    }
}

#[test]
fn each_operation_is_given_up_at_its_own_limit() {
    for (ask, limit, expected) in [
        // A body of four bytes has a second more.
        (Ask::PutAlways, 11, "unavailable Unknown"),
        (Ask::PutAbsent, 11, "unavailable Unknown"),
        (Ask::Get, 20, "unavailable NotApplied"),
        (Ask::List, 30, "unavailable NotApplied"),
        (Ask::Delete, 40, "unavailable Unknown"),
    ] {
        for (answer, expected) in [
            (Answer::Hang, expected),
            (Answer::Slow((limit + 1) * SECOND), expected),
            (Answer::Slow((limit - 1) * SECOND), "ok"),
        ] {
            let scripted = Scripted::new([answer.clone()]);
            if ask != Ask::PutAbsent {
                block_on(scripted.memory.put(&key("k"), "old".into(), PutIf::Always)).unwrap();
            }
            let provider = TimeLimit::new(scripted.clone(), limits(), scripted.environment());
            match block_on(ask.result(&provider)) {
                Ok(()) => assert_eq!(expected, "ok", "{ask:?} {answer:?}"),
                Err(error) => {
                    assert_eq!(verdict(&error), expected, "{ask:?} {answer:?}");
                    assert_eq!(error.operation(), Some(ask.operation()));
                    assert_eq!(error.key().is_some(), ask != Ask::List);
                    assert!(error.message().contains(&format!("{limit}s")), "{error}");
                    assert_eq!(scripted.env.monotonic(), limit * SECOND, "{ask:?} {answer:?}");
                }
            }
        }
    }
}

#[test]
fn a_bounded_range_has_the_time_for_its_bytes_and_no_more_than_an_object_has() {
    for (request, seconds) in [
        (Get::range(0..40), 30),
        (Get::range(20..40), 25),
        (Get::range(ByteRange { start: 5, end: Some(1) }), 20),
        (Get::range(5..), 20),
        (Get { range: Some((0..40).into()), ..Get::meta_only() }, 20),
        (Get::range(0..u64::MAX), 20 + (64 << 20) / 4),
    ] {
        let scripted = Scripted::new([Answer::Hang]);
        let provider = TimeLimit::new(scripted.clone(), limits(), scripted.environment());
        block_on(provider.get(&key("k"), request.clone())).unwrap_err();
        assert_eq!(scripted.env.monotonic(), seconds * SECOND, "{request:?}");
    }
}

#[test]
fn what_answers_at_once_passes_whatever_the_limit() {
    let scripted = Scripted::new([]);
    let limits = TimeLimits::flat(Duration::ZERO);
    let provider = TimeLimit::new(scripted.clone(), limits, scripted.environment());
    assert_eq!(block_on(Ask::PutAbsent.of(&provider)), "ok");
    assert_eq!(scripted.env.slept(), []);
}

#[test]
fn errors_of_the_provider_come_through_as_they_are() {
    let failing = Answer::Fail(storage_core::ErrorKind::StorageFull, storage_core::Effect::Unknown);
    let scripted = Scripted::new([failing]);
    let provider = TimeLimit::new(scripted.clone(), limits(), scripted.environment());
    assert_eq!(block_on(Ask::PutAbsent.of(&provider)), "storage full Unknown");
}
