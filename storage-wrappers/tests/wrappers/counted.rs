//! What is counted, and when.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::{Context, Waker};

use futures_executor::block_on;
use storage_core::{Effect, ErrorKind, Get, List, Operation, Prefix, PutIf, StorageProvider};
use storage_wrappers::{Counted, Counts, OperationCounts};

use crate::script::{Answer, Scripted, key};

#[test]
fn requests_bytes_keys_and_errors_are_counted_for_each_operation() {
    let scripted = Scripted::new([
        Answer::Pass,
        Answer::Pass,
        Answer::Pass,
        Answer::Fail(ErrorKind::Throttled, Effect::NotApplied),
    ]);
    let counted = Arc::new(Counted::new(scripted));
    let provider: Arc<dyn StorageProvider> = counted.clone();
    block_on(async {
        provider.put(&key("a"), "four".into(), PutIf::Always).await.unwrap();
        provider.put(&key("b"), "sixsix".into(), PutIf::Always).await.unwrap();
        provider.put(&key("a"), "12345".into(), PutIf::Absent).await.unwrap_err();
        provider.delete(&key("a")).await.unwrap_err();
        let before = counted.counts();

        provider.get(&key("a"), Get::whole()).await.unwrap();
        provider.get(&key("b"), Get::range(1..3)).await.unwrap();
        provider.get(&key("c"), Get::whole()).await.unwrap_err();
        provider.list(List::new(&Prefix::all())).await.unwrap();
        provider.put(&key("b"), "1".into(), PutIf::Absent).await.unwrap_err();

        let of = |requests, bytes_in, bytes_out, keys_listed, errors: &[_]| OperationCounts {
            requests,
            answered: requests,
            bytes_in,
            bytes_out,
            keys_listed,
            errors: errors.iter().copied().collect::<BTreeMap<ErrorKind, u64>>(),
        };
        let expected = Counts {
            put: of(3, 15, 0, 0, &[(ErrorKind::Conflict, 1)]),
            delete: of(1, 0, 0, 0, &[(ErrorKind::Throttled, 1)]),
            ..Counts::default()
        };
        assert_eq!(before, expected);
        let later = counted.counts();
        let expected = Counts {
            get: of(3, 0, 6, 0, &[(ErrorKind::NotFound, 1)]),
            list: of(1, 0, 0, 2, &[]),
            put: of(1, 1, 0, 0, &[(ErrorKind::Conflict, 1)]),
            ..Counts::default()
        };
        assert_eq!(later.since(&before), expected);
        assert_eq!((later.requests(), later.errors()), (9, 4));
        assert_eq!(later.since(&later), Counts::default());
        assert_eq!(later.of(Operation::List), &later.list);
    });
}

#[test]
fn a_call_that_is_dropped_is_a_request_without_an_answer() {
    let counted = Counted::new(Scripted::new([Answer::Hang]));
    let key = key("a");
    let mut call = counted.delete(&key);
    assert_eq!(counted.counts().requests(), 0, "a future not polled asks for nothing");
    assert!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    drop(call);
    let OperationCounts { requests, answered, .. } = counted.counts().delete;
    assert_eq!((requests, answered), (1, 0));
}
