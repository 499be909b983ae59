//! Batches: all of one or nothing, and never twice.

use storage_txn::Version;

use super::*;
use crate::op::batch::{Action, Batch, BatchDone, OPERATION, Operation, Token};
use crate::op::conditions::EtagMatch;
use crate::op::copy::{Copy, Source};
use crate::op::multipart::{ChecksumWish, Complete, NamedPart};

fn operation(key: &str, action: Action) -> Operation {
    Operation {
        bucket: "bbb".to_owned(),
        key: key.to_owned(),
        if_version: None,
        conditions: Conditions::default(),
        action,
    }
}

fn put(key: &str, body: impl Into<Bytes>) -> Operation {
    operation(key, Action::Put(Description::default(), body.into()))
}

fn copy(from: &str, key: &str) -> Operation {
    let source = Source { bucket: "bbb".to_owned(), key: from.to_owned(), ..Source::default() };
    let conditions = Conditions::default();
    operation(key, Action::Copy(Box::new(Copy { source, conditions, ..Copy::default() })))
}

fn delete(key: &str) -> Operation {
    operation(key, Action::Delete(Which::Newest))
}

fn given(
    mut operation: Operation,
    if_match: Option<&str>,
    if_none_match: Option<&str>,
) -> Operation {
    operation.conditions.if_match = if_match.map(EtagMatch::parse);
    operation.conditions.if_none_match = if_none_match.map(EtagMatch::parse);
    operation
}

fn absent(key: &str) -> Operation {
    given(operation(key, Action::Require), None, Some("*"))
}

impl Bench {
    async fn batch(&self, operations: Vec<Operation>) -> Result<BatchDone> {
        self.core.batch(&self.alice, &Batch { token: None, operations }).await
    }

    async fn refused(&self, operations: Vec<Operation>) -> (Option<Code>, Option<usize>) {
        let error = self.batch(operations).await.expect_err("it is refused");
        let refusal = error.refusal();
        let number = refusal.headers.iter().find(|(name, _)| *name == OPERATION);
        (error.code(), number.and_then(|(_, number)| number.parse().ok()))
    }
}

#[tokio::test]
async fn operations_are_done_in_order_on_many_buckets_in_one_version() {
    let bench = Bench::new().await;
    bench.core.create_bucket(&bench.alice, "ccc", &AclWish::Default, ("", false)).await.unwrap();
    bench.put("old", "old").await;
    let mut elsewhere = copy("a", "c");
    elsewhere.bucket = "ccc".to_owned();
    let large = bytes(200_000);
    let done = bench
        .batch(vec![
            absent("a"),
            put("a", "1"),
            put("big", large.clone()),
            elsewhere,
            delete("old"),
        ])
        .await
        .unwrap();
    let versions = bench.core.store.snapshot(At::Latest).await.unwrap().version();
    assert_eq!(done.version, versions);
    let etags: Vec<_> = done.results.iter().map(|done| done.etag.len()).collect();
    assert_eq!(etags, [0, 32, 32, 32, 0]);
    assert_eq!(bench.get("a").await.unwrap(), "1");
    assert_eq!(bench.get("big").await.unwrap(), large);
    assert_eq!(code(bench.get("old").await), Some(Code::NoSuchKey));
    let get = Get::default();
    let got = bench.core.get_object(&bench.alice, ("ccc", "c", Moment::Now), &get).await.unwrap();
    assert_eq!(got.object.size, 1);
    // Right before it, nothing of it is there.
    let before = Moment::Version(done.version.0 - 1);
    let got = bench.core.get_object(&bench.alice, ("bbb", "a", before), &get).await;
    assert_eq!(code(got), Some(Code::NoSuchKey));
}

#[tokio::test]
async fn one_operation_that_fails_undoes_all_and_is_named() {
    let bench = Bench::new().await;
    let there = bench.put("there", "x").await;
    let etag = there.etag();
    let mut versioned = operation("there", Action::Require);
    versioned.if_version = Some(Which::Of(1, 2));
    let mut nowhere = put("k", "x");
    nowhere.bucket = "nowhere".to_owned();
    let failed = Some(Code::PreconditionFailed);
    let cases = [
        (given(put("there", "y"), None, Some("*")), failed),
        (given(put("there", "y"), Some("beef"), None), failed),
        (given(delete("there"), Some("beef"), None), failed),
        (given(operation("there", Action::Require), Some("beef"), None), failed),
        (given(operation("none", Action::Require), Some(&etag), None), Some(Code::NoSuchKey)),
        (absent("there"), failed),
        (versioned, failed),
        (copy("none", "k"), Some(Code::NoSuchKey)),
        (nowhere, Some(Code::NoSuchBucket)),
        (operation("k", Action::Complete("07".repeat(16), parts())), Some(Code::NoSuchUpload)),
        (put(&"k".repeat(1025), ""), Some(Code::KeyTooLongError)),
        (operation("there", Action::Require), Some(Code::InvalidRequest)),
    ];
    for (wrong, expected) in cases {
        let said = format!("{wrong:?}");
        let refused = bench.refused(vec![put("a", "1"), delete("there"), put("there", "x"), wrong]);
        assert_eq!(refused.await, (expected, Some(3)), "{said}");
        assert_eq!(code(bench.get("a").await), Some(Code::NoSuchKey), "{said}");
    }
    assert_eq!(bench.get("there").await.unwrap(), "x");
    // What holds lets it happen.
    let good = vec![given(put("there", "y"), Some(&etag), None), absent("none")];
    bench.batch(good).await.unwrap();
    assert_eq!(bench.get("there").await.unwrap(), "y");
}

fn parts() -> Complete {
    let part = NamedPart { number: 1, ..NamedPart::default() };
    Complete { parts: vec![part], ..Complete::default() }
}

#[tokio::test]
async fn rights_are_asked_for_each_operation() {
    let bench = Bench::new().await;
    bench.put("a", "x").await;
    let bob = Caller::of(AccessKey::new("secret", "bob"));
    bench.core.create_bucket(&bob, "bobs", &AclWish::Default, ("", false)).await.unwrap();
    let mut own = put("k", "x");
    own.bucket = "bobs".to_owned();
    let mut copied = copy("a", "k");
    copied.bucket = "bobs".to_owned();
    let required = given(operation("a", Action::Require), Some("*"), None);
    for wrong in [put("a", "y"), delete("a"), copied, required, absent("none")] {
        let said = format!("{wrong:?}");
        let batch = Batch { token: None, operations: vec![own.clone(), wrong] };
        assert_eq!(code(bench.core.batch(&bob, &batch).await), Some(Code::AccessDenied), "{said}");
    }
    let batch = Batch { token: None, operations: vec![own] };
    bench.core.batch(&bob, &batch).await.unwrap();
}

#[tokio::test]
async fn an_upload_is_completed_together_with_what_points_to_it() {
    let bench = Bench::with(Options { part_bytes_min: 0, ..Options::default() }).await;
    let (core, alice) = (&bench.core, &bench.alice);
    let wish = ChecksumWish::default();
    let place = ("bbb", "film");
    let begun = core.create_upload(alice, place, &Description::default(), wish).await.unwrap();
    let id = begun.id;
    let body = Incoming::of(bytes(50_000));
    let part = core.put_part(alice, place, (&id, 1), None, body).await.unwrap().0;
    let part = NamedPart { number: 1, etag: crate::record::hex(&part.md5), checksum: None };
    let complete = Complete { parts: vec![part], ..Complete::default() };
    let done = bench
        .batch(vec![operation("film", Action::Complete(id, complete)), put("index", "film")])
        .await
        .unwrap();
    assert!(done.results[0].etag.ends_with("-1"));
    assert_eq!(bench.get("film").await.unwrap(), bytes(50_000));
}

#[tokio::test]
async fn the_same_batch_again_answers_again_and_another_with_its_token_is_refused() {
    let bench = Bench::new().await;
    let with = |request: &str, who: &Caller, operations| {
        let token = Some(Token::new(who, "t-1", request.as_bytes()));
        Batch { token, operations }
    };
    let batch = with("r", &bench.alice, vec![absent("a"), put("a", "1")]);
    let first = bench.core.batch(&bench.alice, &batch).await.unwrap();
    bench.put("a", "2").await;
    // Its conditions no longer hold, and what it put is no longer there: it was done all the same.
    assert_eq!(bench.core.batch(&bench.alice, &batch).await.unwrap(), first);
    assert_eq!(bench.get("a").await.unwrap(), "2");
    let other = with("s", &bench.alice, vec![put("b", "1")]);
    let refused = bench.core.batch(&bench.alice, &other).await;
    assert_eq!(code(refused), Some(Code::IdempotencyParameterMismatch));
    // A token is one of its user.
    let bob = Caller::of(AccessKey::new("secret", "bob"));
    let refused = bench.core.batch(&bob, &with("r", &bob, vec![put("b", "1")])).await;
    assert_eq!(code(refused), Some(Code::AccessDenied));
    // One that was refused was not done, so it can be again.
    let token = |operations| with("u", &Caller::default(), operations);
    let failing = token(vec![absent("a")]);
    assert_eq!(
        code(bench.core.batch(&bench.alice, &failing).await),
        Some(Code::PreconditionFailed)
    );
    bench.delete("a", Which::Newest).await;
    bench.core.batch(&bench.alice, &failing).await.unwrap();
}

#[tokio::test]
async fn outdated_tokens_are_let_go_of() {
    let bench = Bench::with(Options {
        // Not what `check` allows, but so they are outdated at once.
        batch_token_time: std::time::Duration::ZERO,
        ..Options::default()
    })
    .await;
    for at in 0..200 {
        let token = Some(Token::new(&bench.alice, &at.to_string(), b""));
        let batch = Batch { token, operations: vec![put("a", "1")] };
        bench.core.batch(&bench.alice, &batch).await.unwrap();
    }
    let now = bench.core.store.snapshot(At::Latest).await.unwrap();
    let count = async |prefix: &str| {
        let scan = Scan::new(KeyRange::prefix(prefix));
        now.scan_meta(&scan).await.unwrap().collect().await.unwrap().len()
    };
    let (tokens, times) = (count("s3/t/").await, count("s3/x/").await);
    assert_eq!(tokens, times);
    assert!(tokens < 150, "{tokens}");
}

#[tokio::test]
async fn a_batch_is_not_empty_and_not_too_long() {
    let bench = Bench::with(Options { batch_operations_max: 2, ..Options::default() }).await;
    assert_eq!(bench.refused(vec![]).await, (Some(Code::InvalidRequest), None));
    let three = vec![put("a", ""), put("b", ""), put("c", "")];
    assert_eq!(bench.refused(three).await, (Some(Code::InvalidRequest), None));
    bench.batch(vec![put("a", ""), put("b", "")]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_never_see_half_of_two_batches_that_swap_objects_all_the_time() {
    let bench = Arc::new(Bench::new().await);
    bench.batch(vec![put("a", "x"), put("b", "y")]).await.unwrap();
    let swap = || vec![copy("a", "t"), copy("b", "a"), copy("t", "b"), delete("t")];
    let swapping = |bench: Arc<Bench>| async move {
        let mut versions = Vec::new();
        for _ in 0..20 {
            versions.push(bench.batch(swap()).await.unwrap().version);
        }
        versions
    };
    let at = async |version: Version, key: &str| {
        let place = ("bbb", key, Moment::Version(version.0));
        let got = bench.core.get_object(&bench.alice, place, &Get::default()).await.unwrap();
        let pieces: Vec<Bytes> = got.stream().try_collect().await.unwrap();
        pieces.concat()
    };
    let writers = [tokio::spawn(swapping(bench.clone())), tokio::spawn(swapping(bench.clone()))];
    let mut seen = 0;
    while !writers.iter().all(tokio::task::JoinHandle::is_finished) || seen == 0 {
        let version = bench.core.snapshot(Moment::Now).await.unwrap().version();
        let (a, b) = (at(version, "a").await, at(version, "b").await);
        assert!((a == b"x" && b == b"y") || (a == b"y" && b == b"x"), "{a:?} {b:?} at {version}");
        seen += 1;
    }
    let mut versions = Vec::new();
    for writer in writers {
        versions.extend(writer.await.unwrap());
    }
    versions.sort();
    // Each took place: with every one of them the two are the other way around.
    for (at_all, version) in versions.iter().enumerate() {
        let expected = if at_all % 2 == 0 { b"y" } else { b"x" };
        assert_eq!(at(*version, "a").await, expected, "after {} swaps", at_all + 1);
    }
    assert_eq!(bench.data().await, 0);
}
