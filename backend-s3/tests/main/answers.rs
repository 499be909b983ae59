//! What reads make of answers that are not what was asked for.

use libtest_mimic::Trial;
use storage_core::{Error, ErrorKind, Get, Key, List, Prefix, PutIf, StorageProvider, Version};

use crate::fake::{Fake, Fate};
use crate::lost::open;
use crate::trial;

const BODY: &str = "0123456789";

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("answers::a_spoiled_read_is_an_error_and_never_bytes", spoiled),
        trial("answers::an_error_says_what_was_answered_instead", said),
        trial("answers::a_whole_object_in_answer_to_a_range_is_cut", whole),
        trial("answers::a_version_that_is_no_tag_is_never_sent", no_tag),
        trial("answers::a_missing_bucket_is_no_missing_object", missing_bucket),
        trial("answers::a_page_out_of_order_is_corrupt", out_of_order),
        trial("answers::names_that_are_no_keys_are_passed_over", foreign_names),
    ]
}

async fn with_object() -> (Fake, backend_s3::S3Provider, Key, Version) {
    let fake = Fake::start().await;
    let provider = open(&fake).await;
    let key = Key::new("a/b=c").unwrap();
    let version = provider.put(&key, BODY.into(), PutIf::Always).await.unwrap();
    (fake, provider, key, version)
}

async fn spoiled() {
    for (fate, request, expected) in [
        (Fate::Closed, Get::whole(), ErrorKind::Unavailable),
        (Fate::TornBody, Get::whole(), ErrorKind::Unavailable),
        (Fate::TornBody, Get::range(2..5), ErrorKind::Unavailable),
        (Fate::OtherRange, Get::range(2..5), ErrorKind::Corrupt),
        (Fate::Hung, Get::whole(), ErrorKind::Unavailable),
        (Fate::Says(500, ""), Get::whole(), ErrorKind::Unavailable),
        (Fate::Says(503, ""), Get::whole(), ErrorKind::Throttled),
        (Fate::Says(200, "It works!"), Get::whole(), ErrorKind::Corrupt),
        (Fate::Says(200, "It works!"), Get::range(2..5), ErrorKind::Corrupt),
        (Fate::Says(404, "<html>nothing here</html>"), Get::whole(), ErrorKind::Misconfigured),
        (Fate::Says(301, ""), Get::whole(), ErrorKind::Misconfigured),
        (Fate::Says(416, ""), Get::range(2..5), ErrorKind::InvalidRange),
    ] {
        let (fake, provider, key, _) = with_object().await;
        fake.decide("GET", fate);
        let error = provider.get(&key, request.clone()).await.unwrap_err();
        assert_eq!(error.kind(), expected, "{fate:?} {request:?}: {error}");
        assert_eq!(fake.seen("GET").len(), 1, "a backend makes one attempt: {fate:?}");
    }
}

async fn said() {
    for (fate, part) in [
        (Fate::Says(307, ""), "temporarily elsewhere"),
        (Fate::OtherRange, "`Content-Range: bytes 3-4/10`"),
        (Fate::Says(206, ""), "no `Content-Range`"),
    ] {
        let (fake, provider, key, _) = with_object().await;
        fake.decide("GET", fate);
        let error = provider.get(&key, Get::range(2..5)).await.unwrap_err();
        assert!(error.message().contains(part), "{fate:?}: {error}");
    }
}

async fn whole() {
    let (fake, provider, key, version) = with_object().await;
    fake.decide("GET", Fate::Whole);
    for (request, expected) in [
        (Get::range(2..5), Ok("234")),
        (Get::range(7..u64::MAX), Ok("789")),
        (Get::range(9..), Ok("9")),
        (Get::range(10..), Err(ErrorKind::InvalidRange)),
        (Get::range(2..5).if_match(version.clone()), Ok("234")),
        (Get::range(2..5).if_match(Version::new("\"other\"")), Err(ErrorKind::Conflict)),
        (Get::range(2..5).if_changed(version), Err(ErrorKind::NotModified)),
    ] {
        let result = provider.get(&key, request.clone()).await;
        let found = result.as_ref().map(|o| std::str::from_utf8(&o.body).unwrap());
        assert_eq!(found.map_err(Error::kind), expected, "{request:?}");
        assert!(result.is_err() || result.unwrap().size == 10, "{request:?}");
    }
}

async fn no_tag() {
    let (fake, provider, key, version) = with_object().await;
    let missing = Key::new("missing").unwrap();
    for nonsense in ["*", "", "x\r\nX-Evil: 1", &format!("\"x\", {version}"), "\u{e9}"] {
        let nonsense = Version::new(nonsense);
        let kind = |result: storage_core::Result<storage_core::Object>| result.unwrap_err().kind();
        let stale = Get::whole().if_match(nonsense.clone());
        assert_eq!(kind(provider.get(&key, stale.clone()).await), ErrorKind::Conflict);
        assert_eq!(kind(provider.get(&missing, stale).await), ErrorKind::NotFound);
        let changed = provider.get(&key, Get::whole().if_changed(nonsense.clone())).await.unwrap();
        assert_eq!(changed.body, BODY);
        let put = provider.put(&key, "evil".into(), PutIf::Matches(nonsense)).await.unwrap_err();
        assert_eq!(put.kind(), ErrorKind::Conflict);
    }
    assert_eq!(fake.object("a-/b%3Dc").unwrap(), BODY.as_bytes());
    for method in ["GET", "HEAD", "PUT"] {
        for request in fake.seen(method) {
            assert!(!request.headers.contains_key("x-evil"), "{request:?}");
            assert!(!request.headers.contains_key("if-match"), "{request:?}");
        }
    }
}

async fn missing_bucket() {
    let fake = Fake::start().await;
    let provider = open(&fake).await;
    let key = Key::new("k").unwrap();
    let everything = Prefix::all();
    for method in ["GET", "PUT", "DELETE"] {
        fake.decide(method, Fate::Refused(404, "<Error><Code>NoSuchBucket</Code></Error>"));
    }
    fake.decide("HEAD", Fate::Refused(404, ""));
    for error in [
        provider.get(&key, Get::whole()).await.unwrap_err(),
        provider.get(&key, Get::meta_only()).await.unwrap_err(),
        provider.put(&key, "x".into(), PutIf::Always).await.unwrap_err(),
        provider.put(&key, "x".into(), PutIf::Matches(Version::new("\"x\""))).await.unwrap_err(),
        provider.delete(&key).await.unwrap_err(),
        provider.list(List::new(&everything)).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Misconfigured, "{error}");
        assert!(error.to_string().contains("`bucket`"), "{error}");
    }
}

async fn out_of_order() {
    for names in [["b", "a"], ["a", "a"], ["a-/b", "a"]] {
        let error = list(&names).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{names:?}: {error}");
    }
}

async fn foreign_names() {
    let listed =
        list(&["UPPER", "a", "a-", "a-/", "a-/b", "a//b", "a/b", "dir/", "z%"]).await.unwrap();
    assert_eq!(listed, ["a", "a/b"]);
}

/// What the provider makes of a page with these names.
async fn list(names: &[&str]) -> storage_core::Result<Vec<String>> {
    let contents: String = names
        .iter()
        .map(|name| format!("<Contents><Key>{name}</Key><Size>1</Size></Contents>"))
        .collect();
    let page = format!("<R><IsTruncated>false</IsTruncated>{contents}</R>");
    let fake = Fake::start().await;
    let provider = open(&fake).await;
    fake.decide("GET", Fate::Says(200, page.leak()));
    let page = provider.list(List::new(&Prefix::all())).await?;
    Ok(page.objects.into_iter().map(|object| object.key.to_string()).collect())
}
