//! Puts, gets, copies and deletions.

use super::{Bench, bytes, code};
use crate::access::{AccessKey, Level, Right};
use crate::body::Incoming;
use crate::error::Code;
use crate::op::acl::{AclWish, Canned};
use crate::op::caller::Caller;
use crate::op::conditions::{Conditions, EtagMatch};
use crate::op::copy::{Copy, Source};
use crate::op::get::Span;
use crate::op::object::Which;
use crate::op::put::Description;
use crate::op::{Moment, now};
use crate::record::{Headers, hex};

#[tokio::test]
async fn objects_of_all_sizes_are_read_as_they_were_put_and_let_go_of_their_bytes() {
    let bench = Bench::new().await;
    for (size, data) in [(0, 0), (1, 0), (1024, 0), (1025, 1), (4096, 1), (4097, 1), (350_000, 1)] {
        let body = bytes(size);
        let put = bench.put("k", body.clone()).await;
        assert_eq!((put.size, put.version_id()), (size as u64, "null".to_owned()));
        assert_eq!(bench.get("k").await.unwrap(), body, "{size}");
        assert_eq!(bench.data().await, data, "{size}");
        if size > 10 {
            let part = bench.get_of("k", Which::Newest, Span::From(5, Some(size as u64 - 3))).await;
            assert_eq!(part.unwrap(), body.slice(5..size - 2), "{size}");
        }
    }
    bench.delete("k", Which::Newest).await;
    assert_eq!(code(bench.get("k").await), Some(Code::NoSuchKey));
    assert_eq!(bench.data().await, 0);
}

#[tokio::test]
async fn conditions_are_of_the_object_that_the_put_replaces() {
    let bench = Bench::new().await;
    let absent = Conditions { if_none_match: Some(EtagMatch::Any), ..Conditions::default() };
    let put = bench.put_if("k", "1", &absent).await.unwrap();
    assert_eq!(code(bench.put_if("k", "2", &absent).await), Some(Code::PreconditionFailed));
    let same =
        Conditions { if_match: Some(EtagMatch::parse(&put.etag())), ..Conditions::default() };
    bench.put_if("k", "2", &same).await.unwrap();
    assert_eq!(code(bench.put_if("k", "3", &same).await), Some(Code::PreconditionFailed));
    assert_eq!(code(bench.put_if("other", "3", &same).await), Some(Code::NoSuchKey));
    // Also of bodies that are looked at before they are read.
    assert_eq!(
        code(bench.put_if("k", bytes(200_000), &absent).await),
        Some(Code::PreconditionFailed)
    );
}

#[tokio::test]
async fn one_of_many_that_put_what_is_not_there_wins() {
    let bench = Bench::new().await;
    let absent = &Conditions { if_none_match: Some(EtagMatch::Any), ..Conditions::default() };
    let puts = (0..20).map(|at| bench.put_if("k", at.to_string(), absent));
    let results = futures_util::future::join_all(puts).await;
    let won: Vec<usize> = (0..20).filter(|at| results[*at].is_ok()).collect();
    assert_eq!(won.len(), 1);
    assert_eq!(bench.get("k").await.unwrap(), won[0].to_string());
    let lost = results.into_iter().filter_map(code);
    assert!(lost.into_iter().all(|code| code == Code::PreconditionFailed));
}

#[tokio::test]
async fn a_body_that_is_not_what_was_said_is_refused_and_nothing_is_put() {
    let bench = Bench::new().await;
    let put = async |change: &dyn Fn(&mut Incoming), size| {
        let mut body = Incoming::of(bytes(size));
        change(&mut body);
        let (description, conditions) = (Description::default(), Conditions::default());
        code(
            bench.core.put_object(&bench.alice, ("bbb", "k"), description, &conditions, body).await,
        )
    };
    for size in [10, 2000, 300_000] {
        assert_eq!(put(&|body| body.length -= 1, size).await, Some(Code::InvalidRequest), "{size}");
        assert_eq!(put(&|body| body.length += 1, size).await, Some(Code::IncompleteBody), "{size}");
        let other = |body: &mut Incoming| body.expected.md5 = Some(vec![0; 16].into());
        assert_eq!(put(&other, size).await, Some(Code::BadDigest), "{size}");
    }
    assert_eq!(code(bench.get("k").await), Some(Code::NoSuchKey));
    assert_eq!(bench.data().await, 0);
}

#[tokio::test]
async fn a_copy_shares_the_bytes_and_keeps_them_when_the_source_goes() {
    let bench = Bench::new().await;
    for size in [3, 2000, 350_000] {
        let body = bytes(size);
        let put = bench.put("from", body.clone()).await;
        let source =
            Source { bucket: "bbb".to_owned(), key: "from".to_owned(), ..Source::default() };
        let copy = Copy { source, ..Copy::default() };
        let (made, from) =
            bench.core.copy_object(&bench.alice, ("bbb", "to"), &copy).await.unwrap();
        assert_eq!((made.object.etag(), from.order), (put.etag(), put.order));
        let itself = bench.core.copy_object(&bench.alice, ("bbb", "from"), &copy).await;
        assert_eq!(code(itself), Some(Code::InvalidRequest));
        bench.delete("from", Which::Newest).await;
        assert_eq!(bench.get("to").await.unwrap(), body, "{size}");
        // To itself, with other metadata.
        let source = Source { bucket: "bbb".to_owned(), key: "to".to_owned(), ..Source::default() };
        let headers = Headers { content_type: "a/b".to_owned(), ..Headers::default() };
        let copy = Copy { source, replace: Some((headers, vec![])), ..Copy::default() };
        let (made, _) = bench.core.copy_object(&bench.alice, ("bbb", "to"), &copy).await.unwrap();
        assert_eq!(made.object.header(|headers| &headers.content_type).as_deref(), Some("a/b"));
        assert_eq!(bench.get("to").await.unwrap(), body, "{size}");
        bench.delete("to", Which::Newest).await;
        assert_eq!(bench.data().await, 0, "{size}");
    }
}

#[tokio::test]
async fn buckets_are_read_as_of_a_moment_also_when_they_are_gone() {
    let bench = Bench::new().await;
    bench.put("k", "then").await;
    let then = bench.core.store.snapshot(storage_txn::At::Latest).await.unwrap().version();
    let time = std::time::Duration::from_micros(now());
    bench.put("k", "now").await;
    bench.delete("k", Which::Newest).await;
    bench.core.delete_bucket(&bench.alice, "bbb").await.unwrap();
    for moment in [Moment::Version(then.0), Moment::Time(time)] {
        let get = crate::op::get::Get::default();
        let got = bench.core.get_object(&bench.alice, ("bbb", "k", moment), &get).await.unwrap();
        assert_eq!(got.small().unwrap(), "then", "{moment:?}");
    }
    assert_eq!(code(bench.get("k").await), Some(Code::NoSuchBucket));
    let future = Moment::Version(then.0 + 1000);
    let get = crate::op::get::Get::default();
    let got = bench.core.get_object(&bench.alice, ("bbb", "k", future), &get).await;
    assert_eq!(got.unwrap_err().refusal().code, Code::InvalidArgument);
}

#[tokio::test]
async fn others_do_what_they_were_let_and_no_more() {
    let bench = Bench::new().await;
    let bob = Caller::of(AccessKey::new("secret", "bob"));
    let mut reader = AccessKey::new("secret", "carol");
    reader.rights = vec![Right::new("b*", Level::Read)];
    let (reader, nobody) = (Caller::of(reader), Caller::default());
    let put = |caller: &Caller, acl: AclWish| {
        let (caller, core) = (caller.clone(), bench.core.clone());
        async move {
            let description = Description { acl, ..Description::default() };
            let body = Incoming::of("x".into());
            core.put_object(&caller, ("bbb", "k"), description, &Conditions::default(), body).await
        }
    };
    let get = |caller: &Caller| {
        let (caller, core) = (caller.clone(), bench.core.clone());
        async move {
            let get = crate::op::get::Get::default();
            core.get_object(&caller, ("bbb", "k", Moment::Now), &get).await.map(drop)
        }
    };
    let denied = Some(Code::AccessDenied);
    assert_eq!(code(get(&nobody).await), denied);
    assert_eq!(code(get(&reader).await), Some(Code::NoSuchKey));
    put(&bench.alice, AclWish::Default).await.unwrap();
    for (caller, expected) in
        [(&bench.alice, None), (&bob, denied), (&reader, None), (&nobody, denied)]
    {
        assert_eq!(code(get(caller).await), expected, "{caller:?}");
    }
    for caller in [&bob, &reader, &nobody] {
        assert_eq!(code(put(caller, AclWish::Default).await), denied, "{caller:?}");
    }
    put(&bench.alice, AclWish::Canned(Canned::AuthenticatedRead)).await.unwrap();
    assert_eq!((code(get(&bob).await), code(get(&nobody).await)), (None, denied));
    let everybody = AclWish::Canned(Canned::PublicReadWrite);
    bench.core.set_bucket_acl(&bench.alice, "bbb", &everybody).await.unwrap();
    // Whoever has no key gives what they put to the owner of the bucket.
    assert_eq!(put(&nobody, AclWish::Default).await.unwrap().object.owner.id, "alice");
    assert_eq!(hex(&put(&bob, AclWish::Default).await.unwrap().object.md5).len(), 32);
    assert_eq!(code(get(&bench.alice).await), denied);
}

/// Each commit lets one of them through, and of more than the store tries at most, the others were told of a conflict: 409 for requests
/// without any condition.
#[tokio::test]
async fn any_number_may_change_the_same_at_the_same_time() {
    let bench = Bench::new().await;
    let wish = AclWish::Canned(Canned::PublicRead);
    let sets = (0..150).map(|_| bench.core.set_bucket_acl(&bench.alice, "bbb", &wish));
    for set in futures_util::future::join_all(sets).await {
        set.unwrap();
    }
    let puts = (0..150).map(|number| bench.put("k", format!("{number}")));
    futures_util::future::join_all(puts).await;
    assert!(bench.get("k").await.is_ok());
}
