//! Immutable shares: allocated, written in any order, complete at once.

use crate::support::{Bench, OTHER_UPLOAD, UPLOAD, allocated, bytes, set};

#[tokio::test]
async fn a_share_is_there_when_its_last_byte_has_come_and_not_before() {
    let bench = Bench::new().await;
    let said = bench.allocate(&[0, 1], 100, UPLOAD).await.said();
    assert_eq!(said, (200, allocated(&[], &[0, 1])));
    let data = bytes(100);
    let said = bench.write(0, "bytes 0-49/*", UPLOAD, &data[..50]).await.said();
    assert_eq!(said, (200, "a168726571756972656481a265626567696e183263656e641864".into()));
    assert_eq!(bench.ask("GET", "immutable/SI/0", &[], "").await.status, 404);
    assert_eq!(bench.ask("GET", "immutable/SI/shares", &[], "").await.hex(), set(&[]));
    let said = bench.write(0, "bytes 50-99/100", UPLOAD, &data[50..]).await.said();
    assert_eq!(said, (201, "a168726571756972656480".into()));
    assert_eq!(bench.ask("GET", "immutable/SI/shares", &[], "").await.hex(), set(&[0]));
    let whole = bench.ask("GET", "immutable/SI/0", &[], "").await;
    assert_eq!((whole.status, &whole.body[..]), (200, &data[..]));
    // It is no upload any more.
    assert_eq!(bench.write(0, "bytes 0-49/*", UPLOAD, &data[..50]).await.status, 404);
}

#[tokio::test]
async fn bytes_may_come_in_any_order_and_twice_but_never_differ() {
    let bench = Bench::new().await;
    let data = bytes(1000);
    bench.allocate(&[3], 1000, UPLOAD).await;
    let write = async |from: usize, to: usize, data: &[u8]| {
        let range = format!("bytes {from}-{}/*", to - 1);
        bench.write(3, &range, UPLOAD, &data[from..to]).await.status
    };
    assert_eq!(write(900, 1000, &data).await, 200);
    assert_eq!(write(100, 200, &data).await, 200);
    assert_eq!(write(150, 250, &data).await, 200, "it overlaps with the same bytes");
    let mut other = data.clone();
    other[199] ^= 1;
    assert_eq!(write(50, 300, &other).await, 409, "one byte in the middle is another");
    assert_eq!(write(0, 100, &data).await, 200);
    let said = bench.write(3, "bytes 900-909/*", UPLOAD, &data[900..910]).await;
    // Of what was refused nothing was kept.
    assert_eq!(said.hex(), "a168726571756972656481a265626567696e18fa63656e64190384");
    assert_eq!(write(200, 950, &data).await, 201);
    assert_eq!(bench.ask("GET", "immutable/SI/3", &[], "").await.body, data);
}

#[tokio::test]
async fn a_share_that_is_being_uploaded_is_in_no_list_whoever_asks() {
    let bench = Bench::new().await;
    bench.share(2, b"finished").await;
    assert_eq!(bench.allocate(&[0, 1], 100, UPLOAD).await.hex(), allocated(&[2], &[0, 1]));
    // The same secret, and another one; and what is complete is told also to who has not asked for it.
    assert_eq!(bench.allocate(&[0, 1, 2], 100, UPLOAD).await.hex(), allocated(&[2], &[]));
    assert_eq!(bench.allocate(&[0, 4], 100, OTHER_UPLOAD).await.hex(), allocated(&[2], &[4]));
    assert_eq!(bench.allocate(&[], 100, OTHER_UPLOAD).await.hex(), allocated(&[2], &[]));
}

#[tokio::test]
async fn only_the_secret_of_an_upload_writes_to_it_or_ends_it() {
    let bench = Bench::new().await;
    bench.allocate(&[0], 10, UPLOAD).await;
    let abort = async |number: u8, secret: &str| {
        let path = format!("immutable/SI/{number}/abort");
        bench.ask("PUT", &path, &[("x-tahoe-authorization", secret)], "").await.status
    };
    assert_eq!(bench.write(0, "bytes 0-4/*", OTHER_UPLOAD, b"01234").await.status, 401);
    assert_eq!(bench.write(1, "bytes 0-4/*", UPLOAD, b"01234").await.status, 404);
    assert_eq!(abort(0, OTHER_UPLOAD).await, 401);
    assert_eq!(abort(1, UPLOAD).await, 404);
    assert_eq!(bench.write(0, "bytes 0-4/*", UPLOAD, b"01234").await.status, 200);
    assert_eq!(abort(0, UPLOAD).await, 200);
    assert_eq!(abort(0, UPLOAD).await, 404);
    // Its number can be had again, with another size and other bytes.
    assert_eq!(bench.allocate(&[0], 5, OTHER_UPLOAD).await.hex(), allocated(&[], &[0]));
    assert_eq!(bench.write(0, "bytes 0-4/*", OTHER_UPLOAD, b"abcde").await.status, 201);
    assert_eq!(abort(0, OTHER_UPLOAD).await, 405, "it is complete");
    assert_eq!(abort(0, UPLOAD).await, 405);
    assert_eq!(bench.ask("GET", "immutable/SI/0", &[], "").await.body, "abcde");
}

#[tokio::test]
async fn what_does_not_fit_the_share_is_refused_and_changes_nothing() {
    let bench = Bench::new().await;
    bench.allocate(&[0], 10, UPLOAD).await;
    let check = async |range: &str, body: &[u8], status: u16| {
        assert_eq!(bench.write(0, range, UPLOAD, body).await.status, status, "{range}");
    };
    check("bytes 5-10/*", b"012345", 416).await;
    check("bytes 0-18446744073709551615/*", b"0", 416).await;
    check("bytes */10", b"0123456789", 416).await;
    check("bytes 5-4/*", b"0", 416).await;
    check("octets 0-4/*", b"01234", 416).await;
    check("bytes 0-9/*", b"short", 400).await;
    // What is longer than it says is cut off.
    check("bytes 0-4/*", b"01234and more", 200).await;
    let headers = [("x-tahoe-authorization", UPLOAD)];
    assert_eq!(bench.ask("PATCH", "immutable/SI/0", &headers, "0").await.status, 416);
    check("bytes 5-9/*", b"56789", 201).await;
    assert_eq!(bench.ask("GET", "immutable/SI/0", &[], "").await.body, "0123456789");
}

#[tokio::test]
async fn an_upload_that_nobody_goes_on_with_ends_after_half_an_hour() {
    let bench = Bench::new().await;
    bench.allocate(&[0, 1], 10, UPLOAD).await;
    bench.clock.advance(29 * 60);
    assert_eq!(bench.write(0, "bytes 0-4/*", UPLOAD, b"01234").await.status, 200);
    bench.clock.advance(60);
    assert_eq!(bench.write(1, "bytes 0-4/*", UPLOAD, b"01234").await.status, 404);
    bench.clock.advance(28 * 60);
    assert_eq!(bench.write(0, "bytes 5-8/*", UPLOAD, b"5678").await.status, 200);
    bench.clock.advance(30 * 60);
    assert_eq!(bench.gateway.uploads().count(), 1);
    assert_eq!(bench.gateway.uploads().sweep().await.unwrap(), 1);
    assert_eq!(bench.gateway.uploads().count(), 0);
    assert_eq!(bench.allocate(&[0, 1], 10, OTHER_UPLOAD).await.hex(), allocated(&[], &[0, 1]));
}

#[tokio::test]
async fn what_there_is_no_room_for_is_in_no_list() {
    let bench = Bench::with(|options| options.quota_bytes = Some(100)).await;
    assert_eq!(bench.allocate(&[0, 1, 2], 40, UPLOAD).await.hex(), allocated(&[], &[0, 1]));
    assert_eq!(bench.gateway.uploads().free_bytes(), 20);
    assert_eq!(bench.write(0, "bytes 0-39/*", UPLOAD, &[7; 40]).await.status, 201);
    assert_eq!(bench.gateway.uploads().free_bytes(), 20);
    bench.ask("PUT", "immutable/SI/1/abort", &[("x-tahoe-authorization", UPLOAD)], "").await;
    assert_eq!(bench.gateway.uploads().free_bytes(), 60);
    let bench = Bench::with(|options| options.read_only = true).await;
    assert_eq!(bench.allocate(&[0], 1, UPLOAD).await.hex(), allocated(&[], &[]));
    assert_eq!(bench.gateway.uploads().free_bytes(), 0);
}

#[tokio::test]
async fn uploads_under_way_are_as_many_as_agreed_and_shares_of_a_file_256() {
    let bench = Bench::with(|options| options.uploads_max = 3).await;
    assert_eq!(bench.allocate(&[0, 1, 2, 3, 4], 9, UPLOAD).await.hex(), allocated(&[], &[0, 1, 2]));
    let bench = Bench::new().await;
    let numbers: Vec<u64> = (0..300).collect();
    let secrets = gateway_tahoe::LeaseSecrets { renew: [1; 32], cancel: [2; 32] };
    let index = gateway_tahoe::StorageIndex([7; 16]);
    let (mut got, uploads) = (0, bench.gateway.uploads());
    for some in numbers.chunks(100) {
        let some = some.iter().copied().collect();
        got += uploads.allocate(index, &some, 10, &secrets, b"x").await.unwrap().allocated.len();
    }
    assert_eq!(got, 256);
}
