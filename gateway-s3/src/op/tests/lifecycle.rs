//! What the sweep does to objects, and what it leaves.

use std::time::Duration;

use super::*;
use crate::op::lifecycle::{Sweep, Swept};
use crate::op::list::List;
use crate::op::list_versions::VersionEntry;
use crate::op::lock::LockWish;
use crate::op::multipart::ChecksumWish;
use crate::op::now;
use crate::record::{Bucket, Transition};
use crate::record::{Expiration, Filter, LifecycleRule, Noncurrent, ObjectLock, Pair, Retention};

const LONG_AGO: u64 = 1;

fn rule(prefix: &str) -> LifecycleRule {
    LifecycleRule { prefix: Some(prefix.to_owned()), ..LifecycleRule::default() }
}

fn over(prefix: &str) -> LifecycleRule {
    let expiration = Expiration { date: Some(LONG_AGO), ..Expiration::default() };
    LifecycleRule { expiration: Some(expiration), ..rule(prefix) }
}

impl Bench {
    async fn rules(&self, rules: &[LifecycleRule]) {
        let set = |bucket: &mut Bucket| {
            bucket.lifecycle = rules.to_vec();
            Ok(())
        };
        self.core.set(&self.alice, action::PUT_LIFECYCLE, "bbb", &set).await.unwrap();
    }

    /// All that a sweep with days of a second did, and how many steps that took.
    async fn sweep(&self) -> (Swept, usize) {
        self.sweep_with(Duration::from_secs(1)).await
    }

    async fn sweep_with(&self, day: Duration) -> (Swept, usize) {
        let (mut sweep, mut all, mut steps) = (Sweep::new(day), Swept::default(), 0);
        while let Some(swept) = self.core.sweep(&mut sweep).await.unwrap() {
            steps += 1;
            assert!(swept.looked_at <= 1001, "a step looks at a bounded number");
            all.looked_at += swept.looked_at;
            all.expired += swept.expired;
            all.moved += swept.moved;
            all.aborted += swept.aborted;
        }
        (all, steps)
    }

    /// The keys of all versions, markers with an exclamation mark.
    async fn versions(&self) -> Vec<String> {
        let list = List { max: 10_000, ..List::default() };
        let place = ("bbb", Moment::Now);
        let page = self.core.list_versions(&self.alice, place, &list, None).await.unwrap();
        let named = page.entries.into_iter().map(|entry| match entry {
            VersionEntry::Version { key, object, .. } if object.delete_marker => format!("{key}!"),
            VersionEntry::Version { key, .. } => key,
            VersionEntry::Prefix(_) => unreachable!("there is no delimiter"),
        });
        named.collect()
    }
}

/// Until what was put before is older than a day of a second.
async fn a_short_day() {
    tokio::time::sleep(Duration::from_millis(1100)).await;
}

#[tokio::test]
async fn objects_go_that_a_rule_is_for_and_their_bytes_with_them() {
    let bench = Bench::new().await;
    for key in ["a/1", "a/2", "b/1", "c"] {
        bench.put(key, bytes(5000)).await;
    }
    let description = Description {
        tags: vec![Pair { name: "keep".into(), value: "no".into() }],
        ..Description::default()
    };
    let (body, none) = (Incoming::of("x".into()), Conditions::default());
    let place = ("bbb", "tagged");
    bench.core.put_object(&bench.alice, place, description.clone(), &none, body).await.unwrap();
    let filter = Filter { tags: description.tags, ..Filter::default() };
    let tagged = LifecycleRule { prefix: None, filter: Some(filter), ..over("") };
    let disabled = LifecycleRule { disabled: true, ..over("") };
    bench.rules(&[over("a/"), over("a/1"), tagged, disabled]).await;
    let (swept, _) = bench.sweep().await;
    assert_eq!(swept.expired, 3);
    assert_eq!(bench.versions().await, ["b/1", "c"]);
    assert_eq!(bench.data().await, 2);
    assert_eq!(bench.sweep().await.0.expired, 0);
}

#[tokio::test]
async fn where_versions_are_kept_a_marker_hides_what_is_over() {
    let bench = Bench::new().await;
    bench.version(Versioning::Enabled).await;
    bench.put("a", "1").await;
    bench.put("a", "2").await;
    bench.put("b", "1").await;
    bench.delete("b", Which::Newest).await;
    bench.rules(&[over("")]).await;
    bench.sweep().await;
    assert_eq!(bench.versions().await, ["a!", "a", "a", "b!", "b"]);
    // A marker is not hidden by another.
    assert_eq!(bench.sweep().await.0.expired, 0);
    let past = Noncurrent { days: 1, newer: 0 };
    bench.rules(&[LifecycleRule { noncurrent: Some(past), ..over("") }]).await;
    a_short_day().await;
    bench.sweep().await;
    assert_eq!(bench.versions().await, ["a!", "b!"]);
    // Now they hide nothing.
    bench.sweep().await;
    assert_eq!(bench.versions().await, Vec::<String>::new());
}

#[tokio::test]
async fn the_newest_of_the_versions_that_were_replaced_stay_and_locked_ones_too() {
    let bench = Bench::new().await;
    bench.version(Versioning::Enabled).await;
    bench.core.set_object_lock(&bench.alice, "bbb", ObjectLock::default()).await.unwrap();
    let retention = Some((Retention::Governance, now() + 3600 * 1_000_000));
    let lock = LockWish { retention, hold: None };
    let description = Description { lock, ..Description::default() };
    let (body, none) = (Incoming::of("0".into()), Conditions::default());
    let put = bench.core.put_object(&bench.alice, ("bbb", "k"), description, &none, body);
    let locked = put.await.unwrap().object;
    for body in ["1", "2", "3", "4"] {
        bench.put("k", body).await;
    }
    a_short_day().await;
    let past = Noncurrent { days: 1, newer: 2 };
    bench.rules(&[LifecycleRule { noncurrent: Some(past), ..rule("") }]).await;
    assert_eq!(bench.sweep().await.0.expired, 1);
    assert_eq!(bench.versions().await.len(), 4);
    assert_eq!(bench.get("k").await.unwrap(), "4");
    let which = Which::Of(locked.order, locked.version);
    assert_eq!(bench.get_of("k", which, Span::All).await.unwrap(), "0");
}

#[tokio::test]
async fn objects_get_another_class_and_stay_what_they_are() {
    let bench = Bench::new().await;
    let before = bench.put("k", "body").await;
    let storage_class = "GLACIER".to_owned();
    let moved = Transition { date: Some(LONG_AGO), storage_class, ..Transition::default() };
    bench.rules(&[LifecycleRule { transitions: vec![moved], ..rule("") }]).await;
    assert_eq!(bench.sweep().await.0.moved, 1);
    assert_eq!(bench.sweep().await.0.moved, 0);
    let place = ("bbb", "k", Moment::Now);
    let got = bench.core.get_object(&bench.alice, place, &Get::default()).await.unwrap();
    assert_eq!(got.object.headers.as_ref().unwrap().storage_class, "GLACIER");
    assert_eq!((got.object.etag(), got.object.order), (before.etag(), before.order));
}

#[tokio::test]
async fn uploads_end_that_were_not_completed() {
    let bench = Bench::new().await;
    for key in ["a/1", "a/2", "b"] {
        let (what, wish) = (Description::default(), ChecksumWish::default());
        let begun = bench.core.create_upload(&bench.alice, ("bbb", key), &what, wish).await;
        let (id, body) = (begun.unwrap().id, Incoming::of(bytes(5000)));
        let (place, part) = (("bbb", key), (&id[..], 1));
        bench.core.put_part(&bench.alice, place, part, None, body).await.unwrap();
    }
    bench.rules(&[LifecycleRule { abort_days: 1, ..rule("a/") }]).await;
    let day = Duration::from_secs(24 * 60 * 60);
    assert_eq!(bench.sweep_with(day).await.0.aborted, 0);
    a_short_day().await;
    assert_eq!(bench.sweep().await.0.aborted, 2);
    assert_eq!(bench.data().await, 1);
}

#[tokio::test]
async fn a_walk_of_many_steps_comes_by_everything_once() {
    let bench = Bench::new().await;
    bench.version(Versioning::Enabled).await;
    // One key has so many versions that steps end among them.
    for at in 0..1200 {
        bench.put("many", at.to_string()).await;
    }
    for at in 0..1200 {
        bench.put(&format!("more/{at:04}"), "").await;
    }
    a_short_day().await;
    let past = Noncurrent { days: 1, newer: 3 };
    let many = LifecycleRule { noncurrent: Some(past), ..rule("many") };
    bench.rules(&[many, over("more/")]).await;
    let (swept, steps) = bench.sweep().await;
    assert_eq!(swept.expired, 1200 - 4 + 1200);
    assert_eq!(swept.looked_at, 1 + 2400);
    assert!(steps > 2);
    let left = bench.versions().await;
    assert_eq!(left.iter().filter(|name| *name == "many").count(), 4);
    assert_eq!(left.iter().filter(|name| name.ends_with('!')).count(), 1200);
    assert_eq!(bench.get("many").await.unwrap(), "1199");
}
