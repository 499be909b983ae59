//! Multipart uploads.

use super::{Bench, bytes, code};
use crate::Options;
use crate::body::Incoming;
use crate::error::Code;
use crate::op::copy::Source;
use crate::op::get::Span;
use crate::op::list::List;
use crate::op::multipart::{ChecksumWish, Complete, CopyPart, NamedPart};
use crate::op::object::Which;
use crate::op::put::Description;
use crate::record::{Algorithm, Object, Part, hex};

async fn bench() -> Bench {
    Bench::with(Options { part_bytes_min: 1000, ..Options::default() }).await
}

impl Bench {
    async fn begin(&self, key: &str, wish: ChecksumWish) -> String {
        let description = Description::default();
        let begun = self.core.create_upload(&self.alice, ("bbb", key), &description, wish);
        begun.await.unwrap().id
    }

    async fn part(&self, key: &str, id: &str, number: u32, size: usize) -> Part {
        let body = Incoming::of(bytes(size));
        self.core.put_part(&self.alice, ("bbb", key), (id, number), None, body).await.unwrap().0
    }

    async fn complete(
        &self,
        key: &str,
        id: &str,
        parts: &[(u32, &Part)],
    ) -> crate::error::Result<Object> {
        let named = |(number, part): &(u32, &Part)| NamedPart {
            number: *number,
            etag: hex(&part.md5),
            checksum: None,
        };
        let complete = Complete { parts: parts.iter().map(named).collect(), ..Complete::default() };
        let completed = self.core.complete_upload(&self.alice, ("bbb", key), id, &complete);
        Ok(completed.await?.object)
    }
}

#[tokio::test]
async fn an_object_is_made_of_the_parts_that_were_named_and_the_rest_is_let_go() {
    let bench = bench().await;
    bench.put("k", bytes(5000)).await;
    let id = &bench.begin("k", ChecksumWish::default()).await;
    let sizes = [1000, 2000, 250_000, 1500, 7];
    let mut parts = Vec::new();
    for (at, size) in sizes.into_iter().enumerate() {
        // Put twice: the second counts.
        bench.part("k", id, 2 * at as u32 + 1, 1234).await;
        parts.push(bench.part("k", id, 2 * at as u32 + 1, size).await);
    }
    assert_eq!(bench.data().await, 6);
    let named = [(1, &parts[0]), (5, &parts[2]), (9, &parts[4])];
    let object = bench.complete("k", id, &named).await.unwrap();
    let body = [bytes(1000), bytes(250_000), bytes(7)].concat();
    assert_eq!((object.size, object.part_count), (body.len() as u64, 3));
    assert!(object.etag().ends_with("-3"));
    assert_eq!(bench.get("k").await.unwrap(), body);
    let span = Span::From(990, Some(251_003));
    assert_eq!(bench.get_of("k", Which::Newest, span).await.unwrap(), body[990..251_004]);
    assert_eq!(bench.get_of("k", Which::Newest, Span::Part(2)).await.unwrap(), bytes(250_000));
    assert_eq!(bench.data().await, 3, "unnamed parts, and what was there, are let go");
    // Asked again it answers the same, as long as the object is there.
    assert_eq!(bench.complete("k", id, &named).await.unwrap(), object);
    assert_eq!(code(bench.complete("k", id, &named[..1]).await), Some(Code::NoSuchUpload));
    bench.delete("k", Which::Newest).await;
    assert_eq!(bench.data().await, 0);
}

#[tokio::test]
async fn what_cannot_be_completed_is_said_and_the_upload_stays() {
    let bench = bench().await;
    let id = &bench.begin("k", ChecksumWish::default()).await;
    let (small, large) = (&bench.part("k", id, 1, 999).await, &bench.part("k", id, 2, 1000).await);
    let cases: [(&[(u32, &Part)], Code); 5] = [
        (&[], Code::MalformedXML),
        (&[(2, large), (1, small)], Code::InvalidPartOrder),
        (&[(2, large), (2, large)], Code::InvalidPartOrder),
        (&[(1, small), (2, large)], Code::EntityTooSmall),
        (&[(2, large), (3, large)], Code::InvalidPart),
    ];
    for (parts, expected) in cases {
        assert_eq!(code(bench.complete("k", id, parts).await), Some(expected), "{expected:?}");
    }
    assert_eq!(code(bench.complete("k", id, &[(2, small)]).await), Some(Code::InvalidPart));
    assert_eq!(code(bench.complete("other", id, &[(2, large)]).await), Some(Code::NoSuchUpload));
    assert_eq!(code(bench.complete("k", "00", &[(2, large)]).await), Some(Code::NoSuchUpload));
    bench.complete("k", id, &[(1, small)]).await.unwrap();
    assert_eq!(bench.data().await, 1);
}

#[tokio::test]
async fn many_parts_have_a_record_of_their_own_that_goes_with_the_object() {
    let bench = bench().await;
    let id = &bench.begin("k", ChecksumWish::default()).await;
    let mut parts = Vec::new();
    for number in 1..=40 {
        parts.push(bench.part("k", id, number, 1000 + number as usize).await);
    }
    let named: Vec<(u32, &Part)> = (1..).zip(&parts).collect();
    let object = bench.complete("k", id, &named).await.unwrap();
    assert!(object.parts.is_empty() && bench.data().await == 41);
    let body: Vec<u8> = (1..=40).flat_map(|number| bytes(1000 + number)).collect();
    assert_eq!(bench.get("k").await.unwrap(), body);
    let source = Source { bucket: "bbb".to_owned(), key: "k".to_owned(), ..Source::default() };
    let copy = crate::op::copy::Copy { source, ..Default::default() };
    bench.core.copy_object(&bench.alice, ("bbb", "copy"), &copy).await.unwrap();
    bench.put("k", "x").await;
    assert_eq!(bench.get("copy").await.unwrap(), body);
    bench.delete("copy", Which::Newest).await;
    assert_eq!(bench.data().await, 0);
}

#[tokio::test]
async fn parts_are_copied_from_ranges_of_objects_of_any_kind() {
    let bench = bench().await;
    for size in [900, 3000, 350_000] {
        let body = bytes(size);
        bench.put("from", body.clone()).await;
        let id = &bench.begin("to", ChecksumWish::default()).await;
        let source =
            Source { bucket: "bbb".to_owned(), key: "from".to_owned(), ..Source::default() };
        let last = size as u64 - 7;
        let copy = CopyPart { source: source.clone(), range: Some((5, last)), customer: None };
        let (part, ..) =
            bench.core.copy_part(&bench.alice, ("bbb", "to"), (id, 1), &copy).await.unwrap();
        assert_eq!(part.size, last - 4);
        let beyond = CopyPart { source, range: Some((5, size as u64)), customer: None };
        let refused = bench.core.copy_part(&bench.alice, ("bbb", "to"), (id, 2), &beyond).await;
        assert_eq!(code(refused), Some(Code::InvalidRange));
        bench.complete("to", id, &[(1, &part)]).await.unwrap();
        bench.delete("from", Which::Newest).await;
        assert_eq!(bench.get("to").await.unwrap(), body.slice(5..size - 6), "{size}");
        bench.delete("to", Which::Newest).await;
        assert_eq!(bench.data().await, 0, "{size}");
    }
}

#[tokio::test]
async fn checksums_of_parts_become_that_of_the_object() {
    let bench = bench().await;
    for (algorithm, full) in [
        (Algorithm::Crc32, true),
        (Algorithm::Crc32, false),
        (Algorithm::Crc32c, true),
        (Algorithm::Crc64Nvme, true),
        (Algorithm::Sha1, false),
        (Algorithm::Sha256, false),
    ] {
        let wish = ChecksumWish { algorithm: Some(algorithm), full_object: Some(full) };
        let id = &bench.begin("k", wish).await;
        let parts = [bench.part("k", id, 1, 2000).await, bench.part("k", id, 2, 500).await];
        let object = bench.complete("k", id, &[(1, &parts[0]), (2, &parts[1])]).await.unwrap();
        let checksum = object.checksum.unwrap();
        assert_eq!((checksum.algorithm(), checksum.composite), (algorithm, !full));
        let mut whole = crate::body::Digester::new(Some(algorithm));
        if full {
            whole.update(&[bytes(2000), bytes(500)].concat());
        } else {
            parts.iter().for_each(|part| whole.update(&part.checksum.as_ref().unwrap().value));
        }
        assert_eq!(Some(checksum.value), whole.finish().checksum, "{algorithm:?} {full}");
    }
    let wish = ChecksumWish { algorithm: Some(Algorithm::Sha256), full_object: Some(true) };
    let description = Description::default();
    let begun = bench.core.create_upload(&bench.alice, ("bbb", "k"), &description, wish);
    assert_eq!(code(begun.await), Some(Code::InvalidRequest));
}

#[tokio::test]
async fn uploads_under_way_are_listed_and_end_with_their_parts() {
    let bench = bench().await;
    let mut ids = Vec::new();
    for key in ["a", "a", "b/1", "b/2", "c"] {
        let id = bench.begin(key, ChecksumWish::default()).await;
        bench.part(key, &id, 1, 2000).await;
        ids.push((key, id));
    }
    for max in [1, 2, 10] {
        let mut list = List { max, ..List::default() };
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let page = bench.core.list_uploads(&bench.alice, "bbb", &list, after.as_deref()).await;
            let page = page.unwrap();
            seen.extend(page.uploads.into_iter().map(|(key, id, _)| (key, id)));
            let Some((key, id)) = page.next else { break };
            (list.after, after) = (key, Some(id));
        }
        let seen: Vec<_> = seen.iter().map(|(key, id)| (&key[..], id.clone())).collect();
        assert_eq!(seen, ids, "{max} a page");
    }
    let list = List { max: 10, delimiter: "/".to_owned(), ..List::default() };
    let page = bench.core.list_uploads(&bench.alice, "bbb", &list, None).await.unwrap();
    assert_eq!((page.uploads.len(), page.prefixes), (3, vec!["b/".to_owned()]));
    let (key, id) = &ids[0];
    bench.core.abort_upload(&bench.alice, ("bbb", key), id).await.unwrap();
    let again = bench.core.abort_upload(&bench.alice, ("bbb", key), id).await;
    assert_eq!(code(again), Some(Code::NoSuchUpload));
    assert_eq!(bench.data().await, 4);
    bench.core.delete_bucket(&bench.alice, "bbb").await.unwrap();
    assert_eq!(bench.data().await, 0);
}
