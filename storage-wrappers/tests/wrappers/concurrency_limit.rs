//! How many are inside, who is next, and what a dropped one leaves behind.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use futures_executor::block_on;
use storage_core::{BoxFuture, Key, StorageProvider};
use storage_wrappers::{ConcurrencyLimit, ManualEnv};

use crate::script::{Answer, Ask, SECOND, Scripted, key, verdict};

/// A delete under way, polled by hand.
struct Call<'a>(BoxFuture<'a, storage_core::Result<()>>);

impl<'a> Call<'a> {
    fn begin(provider: &'a dyn StorageProvider, key: &'a Key) -> Self {
        let mut call = Self(provider.delete(key));
        assert!(!call.is_done());
        call
    }

    fn is_done(&mut self) -> bool {
        self.0.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }
}

fn begun(scripted: &Scripted) -> Vec<String> {
    scripted.calls().iter().map(|call| call.key.as_ref().unwrap().to_string()).collect()
}

#[test]
fn no_more_than_so_many_are_inside_and_the_others_come_in_order() {
    let scripted = Scripted::new(vec![Answer::Hang; 10]);
    let provider = ConcurrencyLimit::new(scripted.clone(), 2);
    let keys = ["a", "b", "c", "d", "e"].map(key);
    let mut calls = keys.each_ref().map(|key| Some(Call::begin(&provider, key)));
    assert_eq!(begun(&scripted), ["a", "b"]);

    // Polled in another order than they came, they still enter in that order.
    let poll = |calls: &mut [Option<Call<'_>>; 5]| {
        for call in calls.iter_mut().rev().flatten() {
            assert!(!call.is_done());
        }
    };
    poll(&mut calls);
    assert_eq!(begun(&scripted), ["a", "b"]);
    calls[1] = None;
    poll(&mut calls);
    assert_eq!(begun(&scripted), ["a", "b", "c"]);
    calls[0] = None;
    calls[2] = None;
    poll(&mut calls);
    assert_eq!(begun(&scripted)[3..].len(), 2);
}

#[test]
fn a_waiting_call_that_is_dropped_leaves_no_trace() {
    let scripted = Scripted::new(vec![Answer::Hang; 10]);
    let provider = ConcurrencyLimit::new(scripted.clone(), 1);
    let keys = ["a", "b", "c", "d"].map(key);
    let inside = Call::begin(&provider, &keys[0]);
    let waiting = Call::begin(&provider, &keys[1]);
    let mut next = Call::begin(&provider, &keys[2]);
    drop(waiting);
    drop(inside);
    assert!(!next.is_done());
    assert_eq!(begun(&scripted), ["a", "c"]);

    // One that was already handed the place passes it on.
    let handed = Call::begin(&provider, &keys[1]);
    let mut after = Call::begin(&provider, &keys[3]);
    drop(next);
    drop(handed);
    assert!(!after.is_done());
    assert_eq!(begun(&scripted), ["a", "c", "d"]);
}

#[test]
fn every_operation_takes_a_place_and_gives_it_back_however_it_ends() {
    let failing =
        Answer::Fail(storage_core::ErrorKind::Unexpected, storage_core::Effect::NotApplied);
    for ask in Ask::ALL {
        let scripted = Scripted::new([Answer::Pass, failing.clone(), Answer::Hang]);
        let provider: Arc<dyn StorageProvider> =
            Arc::new(ConcurrencyLimit::new(scripted.clone(), 0));
        block_on(ask.of(&*provider));
        block_on(ask.of(&*provider));
        let key = key("holds");
        let holding = Call::begin(&*provider, &key);
        let mut waiting = Box::pin(ask.of(&*provider));
        let mut poll = || waiting.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(poll().is_pending(), "{ask:?}");
        assert_eq!(scripted.calls().len(), 3, "{ask:?}");
        drop(holding);
        assert!(matches!(poll(), Poll::Ready(_)), "{ask:?}");
    }
}

#[test]
fn every_operation_holds_its_place_while_it_runs() {
    for ask in Ask::ALL {
        let scripted = Scripted::new([Answer::Hang]);
        let provider = ConcurrencyLimit::new(scripted.clone(), 1);
        let mut holding = Box::pin(ask.of(&provider));
        assert!(holding.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        let key = key("waits");
        let mut waiting = Call::begin(&provider, &key);
        assert_eq!(scripted.calls().len(), 1, "{ask:?}");
        drop(holding);
        assert!(waiting.is_done(), "{ask:?}");
    }
}

#[test]
fn waiting_too_long_is_refused_as_not_applied_and_never_sent() {
    for ask in Ask::ALL {
        let scripted = Scripted::new([Answer::Hang]);
        let env = Arc::new(ManualEnv::new(1));
        let provider = ConcurrencyLimit::new(scripted.clone(), 1).wait_max(3 * SECOND, env.clone());
        let key = key("holds");
        let holding = Call::begin(&provider, &key);
        let error = block_on(ask.result(&provider)).unwrap_err();
        assert_eq!(verdict(&error), "throttled NotApplied", "{ask:?}");
        assert_eq!(error.operation(), Some(ask.operation()));
        assert_eq!(error.message(), "waited 3s for others: at most 1 requests at once");
        assert_eq!(env.slept(), [3 * SECOND]);
        assert_eq!(scripted.calls().len(), 1, "{ask:?}");
        drop(holding);
        block_on(ask.of(&provider));
        assert_eq!(scripted.calls().len(), 2, "the one that gave up does not hold a place");
    }
}
