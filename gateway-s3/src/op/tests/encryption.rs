//! Objects whose bytes are encrypted.

use super::*;
use crate::op::action;
use crate::op::copy::{Copy, Source};
use crate::op::encryption::{CustomerKey, EncryptionWish};
use crate::op::multipart::{ChecksumWish, Complete, CopyPart, NamedPart};
use crate::record::{BucketEncryption, EncryptionKind, Part, hex};
use crate::seal::EncryptionKey;

async fn bench() -> Bench {
    let encryption_key = Some(EncryptionKey::new([5; 32]));
    Bench::with(Options { part_bytes_min: 1000, encryption_key, ..Options::default() }).await
}

fn customer(byte: u8) -> CustomerKey {
    CustomerKey { key: EncryptionKey::new([byte; 32]), md5: vec![byte; 16].into() }
}

fn wishes() -> [EncryptionWish; 4] {
    let named = EncryptionWish::Named("a".to_owned());
    let own = EncryptionWish::Customer(customer(1));
    [EncryptionWish::Default, EncryptionWish::Server, named, own]
}

/// The key that reading takes.
fn key_of(wish: &EncryptionWish) -> Option<CustomerKey> {
    match wish {
        EncryptionWish::Customer(key) => Some(key.clone()),
        _ => None,
    }
}

impl Bench {
    async fn put_sealed(&self, key: &str, body: Bytes, wish: &EncryptionWish) -> Object {
        let description = Description { encryption: wish.clone(), ..Description::default() };
        let (conditions, body) = (Conditions::default(), Incoming::of(body));
        let place = ("bbb", key);
        let put = self.core.put_object(&self.alice, place, description, &conditions, body);
        put.await.unwrap().object
    }

    async fn get_sealed(
        &self,
        key: &str,
        span: Span,
        customer: Option<CustomerKey>,
    ) -> Result<Bytes> {
        let get = Get { span, customer, ..Get::default() };
        let got = self.core.get_object(&self.alice, ("bbb", key, Moment::Now), &get).await?;
        let pieces: Vec<Bytes> = got.stream().try_collect().await?;
        Ok(pieces.concat().into())
    }

    /// Whether these bytes are anywhere in the store as they are.
    async fn shows(&self, wanted: &[u8]) -> bool {
        let now = self.core.store.snapshot(At::Latest).await.unwrap();
        let all = now.scan(&Scan::new(KeyRange::prefix(b"s3/"))).await.unwrap();
        let all = all.collect().await.unwrap();
        all.iter().any(|item| item.value.windows(wanted.len()).any(|bytes| bytes == wanted))
    }
}

#[tokio::test]
async fn objects_of_all_sizes_are_read_as_they_were_and_stored_as_they_were_not() {
    let bench = bench().await;
    for wish in &wishes()[1..] {
        for size in [1, 700, 1024, 1025, 70_000, 300_000] {
            let body = bytes(size);
            let object = bench.put_sealed("k", body.clone(), wish).await;
            assert_eq!(object.size, size as u64);
            let key = key_of(wish);
            for span in [
                Span::All,
                Span::From(0, Some(0)),
                Span::From(size as u64 / 2, None),
                Span::Last(9),
            ] {
                let got = bench.get_sealed("k", span, key.clone()).await.unwrap();
                let from = match span {
                    Span::From(from, _) => from as usize,
                    Span::Last(count) => size.saturating_sub(count as usize),
                    _ => 0,
                };
                let to = if span == Span::From(0, Some(0)) { 1 } else { size };
                assert!(got == body.slice(from..to), "{wish:?} {size} {span:?}");
            }
            assert!(size < 100 || !bench.shows(&body[..64.min(size)]).await, "{wish:?} {size}");
        }
    }
    bench.delete("k", Which::Newest).await;
    assert_eq!(bench.data().await, 0);
}

#[tokio::test]
async fn a_key_of_the_client_is_needed_again_and_only_there() {
    let bench = bench().await;
    let body = bytes(5000);
    let [plain, server, _, own] = wishes();
    bench.put_sealed("own", body.clone(), &own).await;
    bench.put_sealed("server", body.clone(), &server).await;
    bench.put_sealed("plain", body.clone(), &plain).await;
    for (key, sent, may) in [
        ("own", Some(customer(1)), true),
        ("own", Some(customer(2)), false),
        ("own", None, false),
        ("server", None, true),
        ("server", Some(customer(1)), false),
        ("plain", None, true),
        ("plain", Some(customer(1)), false),
    ] {
        let got = bench.get_sealed(key, Span::All, sent).await;
        assert_eq!(code(got), (!may).then_some(Code::InvalidRequest), "{key}");
    }
    // Without the key of the server nothing of it is told.
    let options =
        Options { encryption_key: Some(EncryptionKey::new([6; 32])), ..Options::default() };
    let other = Core::new(bench.core.store.clone(), Arc::new(options));
    let got = other.get_object(&bench.alice, ("bbb", "server", Moment::Now), &Get::default()).await;
    assert_eq!(code(got), Some(Code::InternalError));
}

#[tokio::test]
async fn copies_are_encrypted_as_they_are_to_be_whatever_they_are_of() {
    let bench = bench().await;
    for size in [20, 200_000] {
        let body = bytes(size);
        for from in wishes() {
            bench.put_sealed("from", body.clone(), &from).await;
            for to in wishes() {
                let source = Source {
                    bucket: "bbb".to_owned(),
                    key: "from".to_owned(),
                    customer: key_of(&from),
                    ..Source::default()
                };
                let description = Description { encryption: to.clone(), ..Description::default() };
                let copy = Copy { source, description, ..Copy::default() };
                let (object, _) =
                    bench.core.copy_object(&bench.alice, ("bbb", "to"), &copy).await.unwrap();
                assert_eq!(object.object.encryption.is_some(), to.is_said());
                let got = bench.get_sealed("to", Span::All, key_of(&to)).await.unwrap();
                assert!(got == body, "{from:?} {to:?}");
            }
        }
    }
}

#[tokio::test]
async fn parts_are_encrypted_as_their_upload_is() {
    let bench = bench().await;
    let sizes = [1500, 70_000, 9];
    for wish in wishes() {
        bench.put_sealed("from", bytes(200_000), &EncryptionWish::Server).await;
        let description = Description { encryption: wish.clone(), ..Description::default() };
        let (place, key) = (("bbb", "k"), key_of(&wish));
        let begun =
            bench.core.create_upload(&bench.alice, place, &description, ChecksumWish::default());
        let id = begun.await.unwrap().id;
        let mut parts: Vec<Part> = Vec::new();
        for (number, size) in (1..).zip(sizes) {
            let body = Incoming::of(bytes(size));
            let put = bench.core.put_part(&bench.alice, place, (&id, number), key.as_ref(), body);
            parts.push(put.await.unwrap().0);
        }
        if key.is_some() {
            let wrong = customer(2);
            for sent in [None, Some(&wrong)] {
                let body = Incoming::of(bytes(10));
                let put = bench.core.put_part(&bench.alice, place, (&id, 9), sent, body);
                assert_eq!(code(put.await), Some(Code::InvalidRequest));
            }
        }
        let source =
            Source { bucket: "bbb".to_owned(), key: "from".to_owned(), ..Source::default() };
        let copy = CopyPart { source, range: Some((5, 69_999)), customer: key.clone() };
        // In place of the second one.
        let (copied, ..) =
            bench.core.copy_part(&bench.alice, place, (&id, 2), &copy).await.unwrap();
        parts[1] = copied;
        let named = |(number, part): (u32, &Part)| NamedPart {
            number,
            etag: hex(&part.md5),
            checksum: None,
        };
        let complete =
            Complete { parts: (1..).zip(&parts).map(named).collect(), ..Complete::default() };
        bench.core.complete_upload(&bench.alice, place, &id, &complete).await.unwrap();
        let whole = [bytes(1500), bytes(200_000).slice(5..70_000), bytes(9)].concat();
        assert!(bench.get_sealed("k", Span::All, key.clone()).await.unwrap() == whole, "{wish:?}");
        let middle = bench.get_sealed("k", Span::From(1400, Some(1600)), key).await.unwrap();
        assert!(middle == whole[1400..1601], "{wish:?}");
    }
    bench.delete("k", Which::Newest).await;
    bench.delete("from", Which::Newest).await;
    assert_eq!(bench.data().await, 0);
}

#[tokio::test]
async fn a_bucket_encrypts_what_is_put_without_a_word() {
    let bench = bench().await;
    let named = BucketEncryption { kind: EncryptionKind::Named as i32, key_id: "a".to_owned() };
    let change = |bucket: &mut crate::record::Bucket| {
        bucket.encryption = Some(named.clone());
        Ok(())
    };
    bench.core.set(&bench.alice, action::PUT_ENCRYPTION, "bbb", &change).await.unwrap();
    for size in [10, 50_000] {
        let object = bench.put("k", bytes(size)).await;
        assert_eq!(object.encryption.unwrap().key_id, "a");
        assert!(bench.get("k").await.unwrap() == bytes(size));
    }
    let without = Core::new(bench.core.store.clone(), Arc::default());
    let body = Incoming::of("x".into());
    let conditions = Conditions::default();
    let put =
        without.put_object(&bench.alice, ("bbb", "n"), Description::default(), &conditions, body);
    assert_eq!(code(put.await), Some(Code::NotImplemented));
}
