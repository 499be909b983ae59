//! The order of the standard stack, told by what it does.

use std::sync::Arc;
use std::task::{Context, Waker};

use futures_executor::block_on;
use storage_core::{Atomicity, Capabilities, PutIf, StorageProvider};
use storage_wrappers::{Options, Override, RetryPolicy, TimeLimits, standard};

use crate::metered::Recorder;
use crate::script::{Answer, Ask, SECOND, Scripted, key};

fn options() -> Options {
    Options {
        label: Some("stacked".into()),
        retry: RetryPolicy { attempts_max: 3, ..RetryPolicy::default() },
        limits: TimeLimits::flat(10 * SECOND),
        requests_at_once_max: 1,
        wait_max: 3600 * SECOND,
    }
}

#[test]
fn every_attempt_has_the_whole_limit_and_frees_its_place() {
    let scripted = Scripted::new([Answer::Hang, Answer::Hang, Answer::Pass]);
    let provider = standard(scripted.clone(), options(), scripted.environment());
    assert_eq!(block_on(Ask::List.of(&*provider)), "ok");
    let at: Vec<_> = scripted.calls().iter().map(|call| call.at).collect();
    assert!(at[1] >= 10 * SECOND && at[2] >= 20 * SECOND && at[2] < 21 * SECOND, "{at:?}");
}

#[test]
fn a_mutation_that_waits_for_its_turn_and_never_gets_it_is_not_called_unknown() {
    let scripted = Scripted::new([Answer::Hang]);
    let retry = RetryPolicy::never();
    let options = Options { retry, ..options() };
    let provider = standard(scripted.clone(), options, scripted.environment());
    let key = key("holds");
    let mut holding = provider.delete(&key);
    assert!(holding.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    assert_eq!(block_on(Ask::PutAbsent.of(&*provider)), "throttled NotApplied");
    assert_eq!(scripted.calls().len(), 1);
}

#[test]
fn callers_requests_are_metered_once_and_refused_ones_not_at_all() {
    let hang = vec![Answer::Hang; 2];
    let scripted = Scripted::new(hang);
    let declared = Capabilities { matches: Atomicity::Unsupported, ..scripted.info().capabilities };
    let weak = Override::new(scripted.clone(), declared);
    let provider = standard(weak, options(), scripted.environment());
    let recorder = Recorder::default();
    metrics::with_local_recorder(&recorder, || {
        assert_eq!(block_on(Ask::List.of(&*provider)), "ok");
        assert_eq!(block_on(Ask::PutMatches.of(&*provider)), "unsupported NotApplied");
    });
    assert_eq!(scripted.calls().len(), 3);
    let requests = recorder.counters("cloudbank_provider_requests_total");
    assert_eq!(requests, [("list ok stacked".to_string(), 1)]);
    let seconds = recorder.histograms("cloudbank_provider_request_seconds");
    assert!(seconds[0].1[0] >= 20.0, "the time that the caller waited: {seconds:?}");
}

#[test]
fn without_a_label_the_metrics_have_the_name_of_the_provider() {
    let scripted = Scripted::new([]);
    let provider = standard(scripted.clone(), Options::default(), scripted.environment());
    let recorder = Recorder::default();
    metrics::with_local_recorder(&recorder, || block_on(Ask::Delete.of(&*provider)));
    let requests = recorder.counters("cloudbank_provider_requests_total");
    assert_eq!(requests, [("delete ok memory".to_string(), 1)]);
}

#[test]
fn it_wears_what_is_behind_an_arc_too() {
    let scripted = Scripted::new([]);
    let provider: Arc<dyn StorageProvider> = scripted.clone();
    let provider = standard(provider, Options::default(), scripted.environment());
    let again = standard(provider, Options::default(), scripted.environment());
    block_on(again.put(&key("a"), "body".into(), PutIf::Absent)).unwrap();
    assert_eq!(scripted.calls().len(), 1);
}
