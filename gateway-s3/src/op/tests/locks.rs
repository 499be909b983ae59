//! Versions that cannot be deleted before their time.

use super::*;
use crate::op::action;
use crate::op::delete::{Delete, Deleted};
use crate::op::lock::LockWish;
use crate::op::now;
use crate::record::{ObjectLock, Retention};

const HOUR: u64 = 3600 * 1_000_000;

async fn locking() -> Bench {
    let bench = Bench::new().await;
    bench.version(Versioning::Enabled).await;
    bench.core.set_object_lock(&bench.alice, "bbb", ObjectLock::default()).await.unwrap();
    bench
}

async fn put(bench: &Bench, lock: LockWish) -> Result<Object> {
    let description = Description { lock, ..Description::default() };
    let body = Incoming::of("x".into());
    let conditions = Conditions::default();
    let put = bench.core.put_object(&bench.alice, ("bbb", "k"), description, &conditions, body);
    Ok(put.await?.object)
}

async fn delete(bench: &Bench, who: &Caller, object: &Object, bypass: bool) -> Result<Deleted> {
    let which = Which::Of(object.order, object.version);
    let delete = Delete { key: "k".to_owned(), which, bypass, ..Delete::default() };
    bench.core.delete_object(who, "bbb", &delete).await
}

#[tokio::test]
async fn a_version_that_is_kept_goes_only_when_its_lock_lets_it() {
    use Retention::{Compliance, Governance};
    let (past, later) = (now() - HOUR, now() + HOUR);
    let cases = [
        (None, None, false, true),
        (None, Some(false), false, true),
        (None, Some(true), true, false),
        (Some((Governance, past)), None, false, true),
        (Some((Governance, later)), None, false, false),
        (Some((Governance, later)), None, true, true),
        (Some((Governance, later)), Some(true), true, false),
        (Some((Compliance, past)), None, false, true),
        (Some((Compliance, later)), None, true, false),
    ];
    let bench = locking().await;
    for (retention, hold, bypass, goes) in cases {
        let object = put(&bench, LockWish { retention, hold }).await.unwrap();
        let deleted = delete(&bench, &bench.alice, &object, bypass).await;
        assert_eq!(deleted.is_ok(), goes, "{retention:?} {hold:?} {bypass}");
        assert_eq!(code(deleted), (!goes).then_some(Code::AccessDenied));
        // A marker hides it, and takes nothing away.
        bench.delete("k", Which::Newest).await;
        let there = bench.get_of("k", Which::Of(object.order, object.version), Span::All).await;
        assert_eq!(there.is_ok(), !goes);
    }
}

#[tokio::test]
async fn only_who_has_the_right_to_deletes_before_time() {
    let bench = locking().await;
    let everybody = r#"{"Statement": [{"Effect": "Allow", "Principal": "*", "Action": "s3:DeleteObject*", "Resource": "*"}]}"#;
    let change = |bucket: &mut crate::record::Bucket| {
        bucket.policy = everybody.to_owned();
        Ok(())
    };
    bench.core.set(&bench.alice, action::PUT_POLICY, "bbb", &change).await.unwrap();
    let bob = Caller::of(AccessKey::new("secret", "bob"));
    let retention = Some((Retention::Governance, now() + HOUR));
    let object = put(&bench, LockWish { retention, hold: None }).await.unwrap();
    assert_eq!(code(delete(&bench, &bob, &object, true).await), Some(Code::AccessDenied));
    let free = put(&bench, LockWish::default()).await.unwrap();
    assert!(delete(&bench, &bob, &free, false).await.is_ok());
}

#[tokio::test]
async fn a_retention_can_be_made_longer_and_made_less_only_by_who_may() {
    use Retention::{Compliance, Governance};
    let (soon, later) = (now() + HOUR, now() + 2 * HOUR);
    let cases = [
        ((Governance, soon), Some((Governance, later)), false, true),
        ((Governance, later), Some((Governance, soon)), false, false),
        ((Governance, later), Some((Governance, soon)), true, true),
        ((Governance, soon), Some((Compliance, soon)), false, false),
        ((Governance, soon), Some((Compliance, soon)), true, true),
        ((Governance, soon), None, false, false),
        ((Governance, soon), None, true, true),
        ((Compliance, soon), Some((Compliance, later)), false, true),
        ((Compliance, later), Some((Compliance, soon)), true, false),
        ((Compliance, soon), Some((Governance, later)), true, false),
        ((Compliance, soon), None, true, false),
    ];
    let bench = locking().await;
    for (before, after, bypass, may) in cases {
        let lock = LockWish { retention: Some(before), hold: None };
        put(&bench, lock).await.unwrap();
        let place = ("bbb", "k");
        let set =
            bench.core.set_retention(&bench.alice, place, &Which::Newest, (after, bypass)).await;
        assert_eq!(set.is_ok(), may, "{before:?} {after:?} {bypass}");
        let kept = bench
            .core
            .object_lock(
                &bench.alice,
                action::GET_RETENTION,
                ("bbb", "k", Moment::Now),
                &Which::Newest,
            )
            .await
            .unwrap();
        let expected = if may { after.unwrap_or((Retention::None, 0)) } else { before };
        assert_eq!((kept.mode(), kept.until), expected);
    }
}

#[tokio::test]
async fn new_objects_are_locked_as_the_bucket_has_it_and_buckets_without_locks_have_none() {
    let bench = Bench::new().await;
    let hold = LockWish { retention: None, hold: Some(true) };
    assert_eq!(code(put(&bench, hold).await), Some(Code::InvalidRequest));
    let lock = ObjectLock { mode: Retention::Governance as i32, days: 0, years: 1 };
    let refused = bench.core.set_object_lock(&bench.alice, "bbb", lock).await;
    assert_eq!(code(refused), Some(Code::InvalidBucketState));
    bench.version(Versioning::Enabled).await;
    bench.core.set_object_lock(&bench.alice, "bbb", lock).await.unwrap();
    let object = put(&bench, LockWish::default()).await.unwrap();
    let kept = object.lock.unwrap();
    assert_eq!(kept.mode(), Retention::Governance);
    assert!(kept.until > now() + 364 * 24 * HOUR && kept.until <= now() + 365 * 24 * HOUR);
}
