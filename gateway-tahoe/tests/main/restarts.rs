//! A server that ends without a word, and is started again in the same folder.

use crate::support::{Bench, UPLOAD, allocated, bytes};

#[tokio::test]
async fn pieces_of_an_upload_outlive_the_server() {
    let bench = Bench::new().await;
    let data = bytes(3000);
    bench.allocate(&[0, 1], 3000, UPLOAD).await;
    bench.write(0, "bytes 0-999/*", UPLOAD, &data[..1000]).await;
    bench.write(0, "bytes 2000-2999/*", UPLOAD, &data[2000..]).await;
    let bench = bench.again().await;
    assert_eq!(bench.gateway.uploads().count(), 2);
    // It is still under way, with its secret and its bytes.
    assert_eq!(bench.allocate(&[0, 1, 2], 9, UPLOAD).await.hex(), allocated(&[], &[2]));
    let mut other = data.clone();
    other[2000] ^= 1;
    assert_eq!(bench.write(0, "bytes 1500-2499/*", UPLOAD, &other[1500..2500]).await.status, 409);
    assert_eq!(
        bench.write(0, "bytes 1000-1999/*", "upload-secret AAAA", &data[1000..2000]).await.status,
        401
    );
    assert_eq!(bench.write(0, "bytes 1000-1999/*", UPLOAD, &data[1000..2000]).await.status, 201);
    assert_eq!(
        bench.write(1, "bytes 0-2999/*", UPLOAD, &data).await.status,
        201,
        "nothing was written of it"
    );
    let bench = bench.again().await;
    assert_eq!(bench.gateway.uploads().count(), 1);
    for number in [0, 1] {
        let path = format!("immutable/SI/{number}");
        assert_eq!(bench.ask("GET", &path, &[], "").await.body, data);
    }
}

/// A server was killed in the middle of an upload, the client went on without it, and then its repair could not put the share
/// on this server for half an hour.
#[tokio::test]
async fn an_upload_that_nobody_continues_after_a_restart_gives_way_to_another() {
    const OTHER: &str = "upload-secret T1RIRVI=";
    let bench = Bench::new().await;
    let data = bytes(3000);
    bench.allocate(&[0, 1, 2, 3], 3000, UPLOAD).await;
    for number in [0, 1, 2] {
        bench.write(number, "bytes 0-999/*", UPLOAD, &data[..1000]).await;
    }
    // As long as its server lives, it stays.
    assert_eq!(bench.allocate(&[0, 1, 2, 3], 3000, OTHER).await.hex(), allocated(&[], &[]));
    let bench = bench.again().await;
    // Somebody continues this one, so it stays too.
    assert_eq!(bench.write(1, "bytes 1000-1999/*", UPLOAD, &data[1000..2000]).await.status, 200);
    // Only what is asked for gives way, and not to itself.
    assert_eq!(bench.allocate(&[0, 1, 3], 3000, UPLOAD).await.hex(), allocated(&[], &[]));
    assert_eq!(bench.allocate(&[0, 1, 3], 2000, OTHER).await.hex(), allocated(&[], &[0, 3]));
    // Nothing of what was there before is in it, and who wrote that is told.
    assert_eq!(bench.write(0, "bytes 1000-1999/*", UPLOAD, &data[1000..2000]).await.status, 401);
    assert_eq!(bench.write(0, "bytes 1000-1999/*", OTHER, &data[..1000]).await.status, 200);
    let bench = bench.again().await;
    assert_eq!(bench.write(0, "bytes 0-999/*", OTHER, &data[1000..2000]).await.status, 201);
    assert_eq!(bench.write(1, "bytes 2000-2999/*", UPLOAD, &data[2000..]).await.status, 201);
    assert_eq!(bench.write(2, "bytes 1000-2999/*", UPLOAD, &data[1000..]).await.status, 201);
    let swapped = [&data[1000..2000], &data[..1000]].concat();
    for (number, data) in [(0, &swapped), (1, &data), (2, &data)] {
        assert_eq!(&bench.ask("GET", &format!("immutable/SI/{number}"), &[], "").await.body, data);
    }
}

#[tokio::test]
async fn an_upload_whose_time_was_up_while_the_server_was_down_is_gone() {
    let bench = Bench::new().await;
    bench.allocate(&[0], 3000, UPLOAD).await;
    bench.write(0, "bytes 0-999/*", UPLOAD, &[7; 1000]).await;
    bench.clock.advance(30 * 60);
    let bench = bench.again().await;
    assert_eq!(bench.write(0, "bytes 1000-2999/*", UPLOAD, &[7; 2000]).await.status, 404);
    assert_eq!(bench.allocate(&[0], 9, UPLOAD).await.hex(), allocated(&[], &[0]));
}
