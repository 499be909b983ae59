//! What reads make of answers that are not what was asked for.

use libtest_mimic::Trial;
use storage_core::{ErrorKind, Get, Key, List, Prefix, PutIf, StorageProvider, Version};

use crate::fake::{Fake, Fate};
use crate::lost::open;
use crate::trial;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("answers::a_spoiled_read_is_an_error_and_never_bytes", spoiled),
        trial("answers::a_whole_object_in_answer_to_a_range_is_cut", whole),
        trial("answers::a_version_that_is_no_tag_is_never_sent", no_tag),
        trial("answers::a_page_out_of_order_is_corrupt", out_of_order),
        trial(
            "answers::a_service_that_ignores_the_start_is_read_from_the_beginning",
            ignored_start,
        ),
    ]
}

async fn spoiled() {
    for (fate, request, expected) in [
        (Fate::Closed, Get::whole(), ErrorKind::Unavailable),
        (Fate::TornBody, Get::whole(), ErrorKind::Unavailable),
        (Fate::TornBody, Get::range(2..5), ErrorKind::Unavailable),
        (Fate::OtherRange, Get::range(2..5), ErrorKind::Corrupt),
        (Fate::Hung, Get::whole(), ErrorKind::Unavailable),
        (Fate::Says(500, "azure:InternalError"), Get::whole(), ErrorKind::Unavailable),
        (Fate::Says(503, "azure:ServerBusy"), Get::whole(), ErrorKind::Throttled),
        (Fate::Says(200, "It works!"), Get::whole(), ErrorKind::Corrupt),
        (Fate::Says(404, "<html>nothing here</html>"), Get::whole(), ErrorKind::Misconfigured),
        (Fate::Says(404, "azure:ContainerNotFound"), Get::whole(), ErrorKind::Misconfigured),
        (Fate::Says(404, "azure:BlobNotFound"), Get::whole(), ErrorKind::NotFound),
        (Fate::Says(416, "azure:InvalidRange"), Get::range(2..5), ErrorKind::InvalidRange),
    ] {
        let fake = Fake::start().await;
        let provider = open(&fake).await;
        let key = Key::new("a/b=c").unwrap();
        provider.put(&key, "0123456789".into(), PutIf::Always).await.unwrap();
        fake.decide("GET", fate);
        let error = provider.get(&key, request.clone()).await.unwrap_err();
        assert_eq!(error.kind(), expected, "{fate:?} {request:?}: {error}");
        assert_eq!(fake.seen("GET").len(), 1, "a backend makes one attempt: {fate:?}");
    }
}

async fn whole() {
    let fake = Fake::start().await;
    let provider = open(&fake).await;
    let key = Key::new("k").unwrap();
    provider.put(&key, "0123456789".into(), PutIf::Always).await.unwrap();
    fake.decide("GET", Fate::Whole);
    let found = provider.get(&key, Get::range(7..u64::MAX)).await.unwrap();
    assert_eq!((&found.body[..], found.size), (&b"789"[..], 10));
}

async fn no_tag() {
    let fake = Fake::start().await;
    let provider = open(&fake).await;
    let key = Key::new("k").unwrap();
    let version = provider.put(&key, "0123456789".into(), PutIf::Always).await.unwrap();
    for nonsense in ["*", "x\r\nX-Evil: 1", &format!("\"x\", {version}")] {
        let nonsense = Version::new(nonsense);
        let stale = provider.get(&key, Get::whole().if_match(nonsense.clone())).await.unwrap_err();
        assert_eq!(stale.kind(), ErrorKind::Conflict);
        provider.get(&key, Get::whole().if_changed(nonsense.clone())).await.unwrap();
        let put = provider.put(&key, "evil".into(), PutIf::Matches(nonsense)).await.unwrap_err();
        assert_eq!(put.kind(), ErrorKind::Conflict);
    }
    assert_eq!(fake.object("/k").unwrap(), b"0123456789");
}

async fn out_of_order() {
    for names in [["b", "a"], ["a", "a"]] {
        let error = list(&names, List::new(&Prefix::all())).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{names:?}: {error}");
    }
}

async fn ignored_start() {
    let after = Key::new("b").unwrap();
    let everything = Prefix::all();
    let request = List::new(&everything).start_after(&after).limit(1);
    assert_eq!(list(&["a", "b", "c", "d"], request).await.unwrap(), (vec!["c".to_owned()], true));
    assert_eq!(list(&["a", "b", "c"], request).await.unwrap(), (vec!["c".to_owned()], false));
    assert_eq!(list(&["a", "b"], request).await.unwrap(), (vec![], false));
}

/// What the provider makes of a page with these names.
async fn list(names: &[&str], request: List<'_>) -> storage_core::Result<(Vec<String>, bool)> {
    let size = "<Properties><Content-Length>1</Content-Length></Properties>";
    let blobs: String =
        names.iter().map(|name| format!("<Blob><Name>{name}</Name>{size}</Blob>")).collect();
    let page = format!("<R><Blobs>{blobs}</Blobs><NextMarker/></R>");
    let fake = Fake::start().await;
    let provider = open(&fake).await;
    fake.decide("GET", Fate::Says(200, page.leak()));
    let page = provider.list(request).await?;
    Ok((page.objects.into_iter().map(|object| object.key.to_string()).collect(), page.more))
}
