//! Reading shares, whole and in parts, small ones and large ones.

use futures_util::TryStreamExt as _;
use gateway_tahoe::{Data, Kind, LeaseSecrets, StorageIndex};

use crate::support::{Bench, bytes};

#[tokio::test]
async fn a_range_has_both_ends_and_is_cut_off_at_the_end_of_the_share() {
    let bench = Bench::new().await;
    bench.share(0, b"0123456789").await;
    let check = async |range: &str, status: u16, told: Option<&str>, body: &str| {
        for method in ["GET", "HEAD"] {
            let said = bench.ask(method, "immutable/SI/0", &[("range", range)], "").await;
            assert_eq!((said.status, said.range.as_deref()), (status, told), "{range}");
            if status < 400 {
                assert_eq!(said.body, body, "{range}");
            }
            let kind = said.kind.as_deref();
            assert!(status == 204 || kind == Some("application/octet-stream"), "{range}: {kind:?}");
        }
    };
    check("bytes=0-0", 206, Some("bytes 0-0/*"), "0").await;
    check("bytes=2-5", 206, Some("bytes 2-5/*"), "2345").await;
    check("bytes=5-100", 206, Some("bytes 5-9/*"), "56789").await;
    check("bytes=9-18446744073709551615", 206, Some("bytes 9-9/*"), "9").await;
    check("bytes=10-12", 204, None, "").await;
    check("bytes=1000-2000", 204, None, "").await;
    for wrong in
        ["bytes=0-", "bytes=-3", "bytes=0-1,4-5", "bytes=5-4", "words=0-1", "bytes=a-b", "x"]
    {
        check(wrong, 416, None, "").await;
    }
    let whole = bench.ask("GET", "immutable/SI/0", &[("accept", "application/cbor")], "").await;
    assert_eq!((whole.status, &whole.body[..]), (200, &b"0123456789"[..]));
}

#[tokio::test]
async fn every_answer_in_place_of_bytes_of_a_share_is_said_to_be_bytes() {
    let bench = Bench::new().await;
    for path in ["immutable/SI/0", "mutable/SI/0", "immutable/x/0", "immutable/SI/x"] {
        let said = bench.ask("GET", path, &[], "").await;
        assert_eq!(
            (said.status, said.kind.as_deref()),
            (404, Some("application/octet-stream")),
            "{path}"
        );
    }
    let request = http::Request::get("/storage/v1/immutable/aaaaaaaaaaaaaaaaaaaaaaaaaa/0");
    let said = bench.send(request.body(Default::default()).unwrap()).await;
    assert_eq!((said.status, said.kind.as_deref()), (401, Some("application/octet-stream")));
}

#[tokio::test]
async fn shares_larger_than_a_part_are_read_across_its_ends() {
    let bench = Bench::with(|options| options.part_bytes = 100_000).await;
    let (shares, data) = (bench.shares(), bytes(350_001));
    let (index, secrets) =
        (StorageIndex([7; 16]), LeaseSecrets { renew: [1; 32], cancel: [2; 32] });
    let leases = [shares.lease(&secrets)];
    let given = Data::Bytes(data.clone().into());
    assert!(shares.put_immutable((index, 5), &given, &leases).await.unwrap());
    let check = async |from: u64, to: u64| {
        let reader = shares.reader(Kind::Immutable, index, 5).await.unwrap().unwrap();
        let expected = &data[from as usize..to.min(350_001) as usize];
        assert_eq!(reader.clone().read(from..to).await.unwrap(), expected, "{from}..{to}");
        let pieces: Vec<_> = reader.stream(from..to).try_collect().await.unwrap();
        assert_eq!(pieces.concat(), expected, "{from}..{to}");
    };
    check(0, 350_001).await;
    check(0, u64::MAX).await;
    check(99_999, 100_001).await;
    check(100_000, 200_000).await;
    check(150_000, 320_000).await;
    check(350_000, 350_001).await;
    check(350_001, 350_002).await;
    // The same bytes once more are as good; others are not.
    assert!(!shares.put_immutable((index, 5), &given, &leases).await.unwrap());
    let mut other = data.clone();
    other[340_000] ^= 1;
    for other in [other, data[..350_000].to_vec()] {
        let refused = shares.put_immutable((index, 5), &Data::Bytes(other.into()), &leases).await;
        let refused = refused.unwrap_err();
        assert!(
            matches!(refused.refusal(), Some(gateway_tahoe::Refusal::Conflict(_))),
            "{refused}"
        );
    }
    assert_eq!(shares.used_bytes(), 350_001);
    assert_eq!(shares.count().await.unwrap(), 1);
}
