//! What is sent again, when, and how often.

use std::time::Duration;

use futures_executor::block_on;
use storage_core::{Effect, Env, ErrorKind, PutIf, StorageProvider};
use storage_wrappers::{Retry, RetryBudget, RetryPolicy};

use crate::script::{Answer, Ask, MILLI, SECOND, Scripted, key};
use Answer::{Fail, FailFor, Lose, Pass};
use Effect::{NotApplied, Unknown};

const THROTTLED: Answer = Fail(ErrorKind::Throttled, NotApplied);
const UNAVAILABLE: Answer = Fail(ErrorKind::Unavailable, NotApplied);
const DENIED: Answer = Fail(ErrorKind::PermissionDenied, NotApplied);

fn check(ask: Ask, repeat_unknown: bool, answers: &[Answer], expected: &str, requests: usize) {
    let scripted = Scripted::new(answers.iter().cloned());
    if ask != Ask::PutAbsent {
        block_on(scripted.memory.put(&key("k"), "old".into(), PutIf::Always)).unwrap();
    }
    let policy = RetryPolicy { attempts_max: 4, repeat_unknown, ..RetryPolicy::default() };
    let provider = Retry::new(scripted.clone(), policy, scripted.environment());
    let case = format!("{ask:?}, repeat_unknown {repeat_unknown}, {answers:?}");
    assert_eq!(block_on(ask.of(&provider)), expected, "{case}");
    assert_eq!(scripted.calls().len(), requests, "{case}");
}

#[test]
fn whatever_failed_for_a_time_and_was_not_applied_is_sent_again() {
    for ask in Ask::ALL {
        for repeat_unknown in [false, true] {
            check(ask, repeat_unknown, &[Pass], "ok", 1);
            check(ask, repeat_unknown, &[THROTTLED, UNAVAILABLE, Pass], "ok", 3);
            check(ask, repeat_unknown, &[THROTTLED, DENIED], "permission denied NotApplied", 2);
            let always = [THROTTLED, UNAVAILABLE, THROTTLED, UNAVAILABLE, Pass];
            check(ask, repeat_unknown, &always, "unavailable NotApplied", 4);
        }
    }
}

#[test]
fn what_will_not_pass_by_itself_is_not_sent_again() {
    use ErrorKind::{
        Conflict, Corrupt, InvalidKey, InvalidRange, Misconfigured, NotFound, NotModified,
        PermissionDenied, StorageFull, TooLarge, Unexpected, Unsupported,
    };
    for kind in [
        NotFound,
        Conflict,
        NotModified,
        InvalidRange,
        InvalidKey,
        TooLarge,
        Unsupported,
        PermissionDenied,
        Misconfigured,
        StorageFull,
        Corrupt,
        Unexpected,
    ] {
        for ask in Ask::ALL {
            let answers = [Fail(kind, NotApplied), Pass];
            check(ask, true, &answers, &format!("{kind} NotApplied"), 1);
        }
    }
    check(Ask::PutAlways, true, &[Fail(Unexpected, Unknown), Pass], "unexpected Unknown", 1);
}

#[test]
fn a_mutation_whose_answer_was_lost_is_sent_again_only_where_it_may() {
    let cases: &[(Ask, bool, &[Answer], &str, usize)] = &[
        // request, repeat_unknown, answers, expected, requests
        (Ask::PutAlways, false, &[Lose, Pass], "unavailable Unknown", 1),
        (Ask::PutAbsent, false, &[Lose, Pass], "unavailable Unknown", 1),
        (Ask::PutMatches, false, &[Lose, Pass], "unavailable Unknown", 1),
        (Ask::Delete, false, &[Lose, Pass], "unavailable Unknown", 1),
        (Ask::PutAlways, true, &[Lose, Pass], "ok", 2),
        (Ask::PutAbsent, true, &[Lose, Pass], "unavailable Unknown", 1),
        (Ask::PutMatches, true, &[Lose, Pass], "unavailable Unknown", 1),
        (Ask::Delete, true, &[Lose, Pass], "ok", 2),
        // Also after an attempt that certainly was not applied.
        (Ask::PutAbsent, false, &[THROTTLED, Lose, Pass], "unavailable Unknown", 2),
        (Ask::PutAbsent, true, &[THROTTLED, Lose, Pass], "unavailable Unknown", 2),
        // Any kind of transient failure can be of unknown effect.
        (
            Ask::PutAbsent,
            true,
            &[Fail(ErrorKind::Throttled, Unknown), Pass],
            "throttled Unknown",
            1,
        ),
        // A read has no effect, whatever a careless provider says.
        (Ask::Get, false, &[Lose, Pass], "ok", 2),
        (Ask::List, false, &[Lose, Pass], "ok", 2),
        (Ask::List, false, &[Lose, DENIED], "permission denied NotApplied", 2),
        (
            Ask::Get,
            false,
            &[Lose, Fail(ErrorKind::NotFound, NotApplied)],
            "not found NotApplied",
            2,
        ),
    ];
    for (ask, repeat_unknown, answers, expected, requests) in cases {
        check(*ask, *repeat_unknown, answers, expected, *requests);
    }
}

#[test]
fn after_a_lost_answer_no_error_claims_that_nothing_happened() {
    for ask in [Ask::PutAlways, Ask::Delete] {
        for (last, expected, requests) in [
            (DENIED, "permission denied Unknown", 2),
            (Fail(ErrorKind::TooLarge, NotApplied), "unavailable Unknown", 2),
            (Fail(ErrorKind::Conflict, NotApplied), "unavailable Unknown", 2),
            (Fail(ErrorKind::StorageFull, NotApplied), "storage full Unknown", 2),
        ] {
            check(ask, true, &[Lose, last], expected, requests);
        }
        let exhausted = [Lose, THROTTLED, UNAVAILABLE, THROTTLED, Pass];
        check(ask, true, &exhausted, "throttled Unknown", 4);
    }
}

#[test]
fn a_conflict_after_attempts_that_were_not_applied_is_a_conflict() {
    let conflict = Fail(ErrorKind::Conflict, NotApplied);
    for ask in [Ask::PutAbsent, Ask::PutMatches] {
        let answers = [THROTTLED, UNAVAILABLE, conflict.clone()];
        check(ask, false, &answers, "conflict NotApplied", 3);
    }
}

#[test]
fn pauses_stay_below_a_ceiling_that_doubles_and_are_drawn_anew() {
    let policy = RetryPolicy {
        attempts_max: 9,
        first_pause_max: 100 * MILLI,
        pause_max: SECOND,
        ..RetryPolicy::default()
    };
    let mut longest = [Duration::ZERO; 8];
    let scripted = Scripted::new(vec![THROTTLED; 100 * 9]);
    let provider = Retry::new(scripted.clone(), policy, scripted.environment());
    for _ in 0..12 {
        block_on(Ask::Get.of(&provider));
    }
    let slept = scripted.env.slept();
    assert_eq!(slept.len(), 12 * 8);
    for (at, pause) in slept.into_iter().enumerate() {
        longest[at % 8] = longest[at % 8].max(pause);
    }
    for (at, longest) in longest.into_iter().enumerate() {
        let ceiling = (100 * MILLI * (1 << at)).min(SECOND);
        assert!(longest < ceiling, "pause {at} is {longest:?}");
        assert!(longest > ceiling / 2, "of 12 pauses {at} the longest is {longest:?}");
    }
}

#[test]
fn the_service_is_left_alone_as_long_as_it_asked() {
    let answers = [FailFor(ErrorKind::Throttled, 20 * SECOND), Pass];
    let scripted = Scripted::new(answers);
    let provider = Retry::new(scripted.clone(), RetryPolicy::default(), scripted.environment());
    assert_eq!(block_on(Ask::List.of(&provider)), "ok");
    let waited = scripted.calls()[1].at;
    assert!(waited >= 20 * SECOND, "{waited:?}");
    assert!(waited < 20 * SECOND + RetryPolicy::default().first_pause_max, "{waited:?}");
}

#[test]
fn no_attempt_starts_after_the_time_is_up() {
    let policy =
        RetryPolicy { attempts_max: 1000, time_max: 60 * SECOND, ..RetryPolicy::default() };
    for (answer, requests) in [
        (FailFor(ErrorKind::Throttled, 25 * SECOND), 3),
        (FailFor(ErrorKind::Throttled, 59 * SECOND), 2),
        (FailFor(ErrorKind::Throttled, 61 * SECOND), 1),
        (FailFor(ErrorKind::Throttled, Duration::MAX), 1),
    ] {
        let scripted = Scripted::new(vec![answer.clone(); 1000]);
        let provider = Retry::new(scripted.clone(), policy, scripted.environment());
        let error = block_on(Ask::List.result(&provider)).unwrap_err();
        assert!(error.retry_after().is_some(), "what the service asked is told to the caller");
        let calls = scripted.calls();
        assert_eq!(calls.len(), requests, "{answer:?}");
        assert!(calls.iter().all(|call| call.at <= 60 * SECOND), "{answer:?}");
        assert!(scripted.env.monotonic() <= 60 * SECOND, "nobody sleeps for an attempt not made");
    }
}

#[test]
fn time_spent_in_attempts_counts() {
    let policy = RetryPolicy { time_max: 10 * SECOND, ..RetryPolicy::default() };
    let scripted = Scripted::new([Answer::SlowFail(11 * SECOND, ErrorKind::Unavailable), Pass]);
    scripted.env.advance(100 * SECOND);
    let provider = Retry::new(scripted.clone(), policy, scripted.environment());
    assert_eq!(block_on(Ask::Get.of(&provider)), "unavailable NotApplied");
    assert_eq!(scripted.calls().len(), 1);
}

#[test]
fn an_outage_is_met_with_a_tenth_more_requests_and_not_with_a_multiple() {
    let calls = 1000;
    for (budget, requests) in [
        (RetryBudget { percent: 10, burst_max: 20 }, 1000 + 20 + 100),
        (RetryBudget { percent: 0, burst_max: 7 }, 1000 + 7),
        (RetryBudget { percent: 50, burst_max: 1 }, 1000 + 1 + 499),
        (RetryBudget::unlimited(), 4000),
    ] {
        let scripted = Scripted::new(vec![UNAVAILABLE; 4000]);
        let policy = RetryPolicy { attempts_max: 4, budget, ..RetryPolicy::default() };
        let provider = Retry::new(scripted.clone(), policy, scripted.environment());
        for _ in 0..calls {
            assert_eq!(block_on(Ask::PutAbsent.of(&provider)), "unavailable NotApplied");
        }
        let made = scripted.calls().len();
        assert!(made <= requests && made + 10 >= requests, "{budget:?}: {made}, not {requests}");
    }
}

#[test]
fn a_policy_of_no_attempts_makes_one() {
    for policy in [RetryPolicy { attempts_max: 0, ..RetryPolicy::default() }, RetryPolicy::never()]
    {
        let scripted = Scripted::new([THROTTLED]);
        let provider = Retry::new(scripted.clone(), policy, scripted.environment());
        assert_eq!(block_on(Ask::Get.of(&provider)), "throttled NotApplied");
        assert_eq!(scripted.calls().len(), 1);
    }
}
