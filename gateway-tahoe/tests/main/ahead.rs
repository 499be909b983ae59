//! Uploads of shares of several parts: those that are whole go to the store before the rest has come.

use std::path::Path;

use futures_util::TryStreamExt as _;
use gateway_tahoe::{Error, Uploads};
use storage_core::{Prefix, StorageProviderExt as _};

use crate::support::{Bench, CANCEL, RENEW, UPLOAD, allocate, bytes};

const PART: usize = 100_000;

async fn bench() -> Bench {
    Bench::with(|options| options.part_bytes = PART as u64).await
}

/// Begins shares of so many bytes.
async fn begin(bench: &Bench, size: usize) {
    let mut body = allocate(&[0], 0).to_vec();
    body.truncate(body.len() - 3);
    body.push(0x1a);
    body.extend(u32::try_from(size).unwrap().to_be_bytes());
    let headers = [RENEW, CANCEL, ("x-tahoe-authorization", UPLOAD)];
    assert_eq!(bench.ask("POST", "immutable/SI", &headers, body).await.status, 200);
}

async fn write(bench: &Bench, from: usize, bytes: &[u8]) -> u16 {
    let range = format!("bytes {from}-{}/*", from + bytes.len() - 1);
    bench.write(0, &range, UPLOAD, bytes).await.status
}

async fn values(bench: &Bench) -> usize {
    let prefix = Prefix::new("value/").unwrap();
    let listed: Vec<_> = bench.provider.list_all(&prefix).try_collect().await.unwrap();
    listed.len()
}

/// Waits until the provider has so many values: what is done beside the answer may take its time.
async fn wait_for_values(bench: &Bench, count: usize) {
    let wait = async {
        while values(bench).await != count {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    let waited = tokio::time::timeout(std::time::Duration::from_secs(120), wait).await;
    assert!(waited.is_ok(), "there are {} values and not {count}", values(bench).await);
}

#[tokio::test]
async fn parts_are_stored_while_the_rest_comes_and_are_not_stored_again() {
    let data = bytes(5 * PART / 2);
    // In order, in pieces that end nowhere in particular; from the end; and with a part that is whole only by two writes.
    let orders: [&[(usize, usize)]; 3] = [
        &[(0, 70_000), (70_000, 130_000), (130_000, 230_000), (230_000, 250_000)],
        &[(200_000, 250_000), (100_000, 200_000), (0, 100_000)],
        &[(150_000, 250_000), (0, 50_000), (50_000, 120_000), (110_000, 150_000)],
    ];
    for order in orders {
        let bench = bench().await;
        begin(&bench, data.len()).await;
        let (last, before) = order.split_last().unwrap();
        for (from, to) in before {
            assert_eq!(write(&bench, *from, &data[*from..*to]).await, 200);
        }
        // All but the part that the last write is for; the last part is small enough for the log.
        let ahead = if *last == (230_000, 250_000) { 2 } else { 1 };
        wait_for_values(&bench, ahead).await;
        assert_eq!(write(&bench, last.0, &data[last.0..last.1]).await, 201);
        assert_eq!(values(&bench).await, 2, "{order:?}");
        assert!(bench.ask("GET", "immutable/SI/0", &[], "").await.body == data, "{order:?}");
        let bench = bench.again().await;
        assert!(bench.ask("GET", "immutable/SI/0", &[], "").await.body == data, "{order:?}");
    }
}

#[tokio::test]
async fn nothing_is_left_of_the_parts_of_an_upload_that_comes_to_nothing() {
    let data = bytes(3 * PART);
    for aborts in [true, false] {
        let bench = bench().await;
        begin(&bench, data.len()).await;
        assert_eq!(write(&bench, 0, &data[..2 * PART + 1]).await, 200);
        wait_for_values(&bench, 2).await;
        if aborts {
            let secret = [("x-tahoe-authorization", UPLOAD)];
            assert_eq!(bench.ask("PUT", "immutable/SI/0/abort", &secret, "").await.status, 200);
        } else {
            bench.clock.advance(30 * 60);
            assert_eq!(bench.gateway.uploads().sweep().await.unwrap(), 1);
        }
        wait_for_values(&bench, 0).await;
    }
}

#[tokio::test]
async fn what_was_sent_before_the_server_ended_is_completed_by_the_next() {
    let data = bytes(3 * PART);
    let bench = bench().await;
    begin(&bench, data.len()).await;
    assert_eq!(write(&bench, 0, &data[..2 * PART + 1]).await, 200);
    wait_for_values(&bench, 2).await;
    let bench = bench.again().await;
    assert_eq!(write(&bench, 2 * PART + 1, &data[2 * PART + 1..]).await, 201);
    assert!(bench.ask("GET", "immutable/SI/0", &[], "").await.body == data);
}

#[tokio::test]
async fn bytes_of_a_write_that_failed_are_not_taken_for_those_that_came_after() {
    let bench = bench().await;
    let data = bytes(2 * PART);
    begin(&bench, data.len()).await;
    assert_eq!(write(&bench, 0, &data[..10_000]).await, 200);
    // A body that is shorter than its range: none of it counts.
    let other = vec![7; 60_000];
    assert_eq!(bench.write(0, "bytes 10000-149999/*", UPLOAD, &other).await.status, 400);
    assert_eq!(write(&bench, 10_000, &data[10_000..150_000]).await, 200);
    assert_eq!(write(&bench, 150_000, &data[150_000..]).await, 201);
    assert!(bench.ask("GET", "immutable/SI/0", &[], "").await.body == data);
}

#[tokio::test]
async fn an_upload_that_has_no_room_in_memory_is_read_from_its_file() {
    for held in [0, 64 << 10, 200 << 10] {
        let bench = Bench::with(|options| {
            (options.part_bytes, options.held_bytes_max) = (PART as u64, held);
        })
        .await;
        let data = bytes(5 * PART / 2);
        begin(&bench, data.len()).await;
        for (from, piece) in data.chunks(30_000).enumerate() {
            let from = from * 30_000;
            let last = from + piece.len() == data.len();
            assert_eq!(write(&bench, from, piece).await, if last { 201 } else { 200 }, "{held}");
            // Nobody has written for a while, so it is let go of.
            bench.gateway.uploads().sweep().await.unwrap();
            bench.gateway.uploads().sweep().await.unwrap();
        }
        assert!(bench.ask("GET", "immutable/SI/0", &[], "").await.body == data, "{held}");
    }
}

#[tokio::test]
async fn two_servers_do_not_share_a_folder() {
    let bench = bench().await;
    let other = bench.second().await;
    let open = |folder: &Path| Uploads::open(other.shares().clone(), folder);
    let error = open(bench.folder()).unwrap_err();
    assert!(matches!(&error, Error::InUse(folder) if folder == bench.folder()), "{error}");
    assert!(error.to_string().ends_with(
        ": another server keeps its uploads in this folder: stop it, or give this one a folder of its own"
    ));
    // Once it has ended, however it did, its uploads are taken up.
    begin(&bench, 10).await;
    let bench = bench.again().await;
    assert_eq!(bench.gateway.uploads().count(), 1);
}
