//! Requests to the provider, counted.

use gateway_tahoe::{Data, Kind, LeaseSecrets, StorageIndex};

use crate::support::{Bench, SI, UPLOAD, allocate, bytes};

/// Those that were made since `before` was counted.
macro_rules! requests_of {
    ($bench:expr, $work:expr) => {{
        let before = $bench.provider.counts();
        $work;
        $bench.provider.counts().since(&before)
    }};
}

#[tokio::test]
async fn an_upload_takes_one_request_more_than_it_has_pieces_however_many_shares() {
    for shares in [1_u8, 10] {
        let bench = Bench::new().await;
        // The first large one of a session has a request more: it says that there is the session.
        let first = Data::Bytes(bytes(100_000).into());
        bench.shares().put_immutable((StorageIndex([1; 16]), 0), &first, &[]).await.unwrap();
        // A client writes pieces of about a million bytes.
        for (size, pieces) in [(1_000_u32, 1), (50_000, 1), (1_001_000, 2), (10_001_000, 10)] {
            let data = bytes(size as usize);
            let numbers: Vec<u8> = (0..shares).collect();
            let mut body = allocate(&numbers, 0).to_vec();
            body.truncate(body.len() - 3);
            body.push(0x1a);
            body.extend(size.to_be_bytes());
            let spent = requests_of!(bench, {
                bench.ask("GET", "immutable/SI/shares", &[], "").await;
                let upload = ("x-tahoe-authorization", UPLOAD);
                let headers = [crate::support::RENEW, crate::support::CANCEL, upload];
                assert_eq!(bench.ask("POST", "immutable/SI", &headers, body).await.status, 200);
                let write = async |number: u8| {
                    for (piece, bytes) in data.chunks(1_000_448).enumerate() {
                        let from = piece * 1_000_448;
                        let range = format!("bytes {from}-{}/*", from + bytes.len() - 1);
                        let status = bench.write(number, &range, UPLOAD, bytes).await.status;
                        let last = from + bytes.len() == data.len();
                        assert_eq!(status, if last { 201 } else { 200 });
                    }
                };
                futures_util::future::join_all((0..shares).map(write)).await;
            });
            let most = if size < 64_000 { 1 + pieces } else { 1 + pieces * u64::from(shares) };
            let what = format!("{shares} shares of {size} bytes: {spent:?}");
            assert!(spent.requests() <= most, "{what}");
            // So that the next one begins anew.
            let bench = &bench;
            bench.clock.advance(2 * gateway_tahoe::LEASE_SECONDS);
            bench.shares().collect(0, false, &mut |_| {}).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_download_of_ten_megabytes_in_many_reads_takes_four_requests() {
    let bench = Bench::new().await;
    let data = bytes(10_003_000);
    let index = StorageIndex::parse(SI).unwrap();
    let lease = bench.shares().lease(&LeaseSecrets { renew: [1; 32], cancel: [2; 32] });
    let given = Data::Bytes(data.clone().into());
    bench.shares().put_immutable((index, 0), &given, &[lease]).await.unwrap();
    let bench = bench.again().await;
    let spent = requests_of!(bench, {
        bench.ask("GET", "immutable/SI/shares", &[], "").await;
        let mut reads = vec![(0, 36), (36, 1000)];
        reads.extend((0..22).map(|at| (10_000_000 + 64 * at, 32)));
        reads.extend((0..9).map(|block| (1036 + 1_048_576 * block, 1_048_576)));
        for (from, len) in reads {
            let range = format!("bytes={from}-{}", from + len - 1);
            let said = bench.ask("GET", "immutable/SI/0", &[("range", &range)], "").await;
            assert_eq!(said.status, 206);
            assert_eq!(said.body, data[from..from + len]);
        }
    });
    assert!(spent.requests() <= 4, "{spent:?}");
}

#[tokio::test]
async fn questions_that_come_every_second_ask_nobody() {
    let bench = Bench::new().await;
    bench.share(0, b"share").await;
    let spent = requests_of!(
        bench,
        for _ in 0..100 {
            assert_eq!(bench.ask("GET", "version", &[], "").await.status, 200);
            assert_eq!(bench.ask("GET", "immutable/SI/0", &[], "").await.status, 200);
        }
    );
    assert_eq!(spent.requests(), 0, "{spent:?}");
    // Whether there is nothing is asked, and no listing of the provider by anybody.
    let spent = requests_of!(bench, {
        bench.shares().list(Kind::Immutable, StorageIndex([1; 16])).await.unwrap();
        bench.shares().list(Kind::Mutable, StorageIndex([1; 16])).await.unwrap();
    });
    assert!(spent.requests() <= 3 && spent.list.requests == 0, "{spent:?}");
}

#[tokio::test]
async fn a_change_of_a_small_slot_is_one_request() {
    let bench = Bench::new().await;
    let create = "a272746573742d77726974652d766563746f7273a100a3647465737480657772697465806a6e65772d6c656e677468\
                  f66b726561642d766563746f7280";
    bench.rtw(create).await;
    let spent = requests_of!(bench, bench.rtw(create).await);
    assert_eq!((spent.put.requests, spent.requests()), (1, 1), "{spent:?}");
}
