//! Leases: added, renewed, never shortened, and told to a test.

use bytes::Bytes;
use gateway_tahoe::{Control, LEASE_SECONDS, StorageIndex};
use http_body_util::{BodyExt as _, Full};

use crate::support::{BEGAN, Bench, CANCEL, RENEW, SI, UPLOAD};

const OTHER_RENEW: (&str, &str) =
    ("x-tahoe-authorization", "lease-renew-secret CgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgo=");

async fn ends(bench: &Bench) -> Vec<(u64, Vec<u64>)> {
    let index = StorageIndex::parse(SI).unwrap();
    let leases = bench.shares().leases(index).await.unwrap();
    let ends =
        |leases: Vec<gateway_tahoe::Lease>| leases.iter().map(|lease| lease.expires).collect();
    leases.into_iter().map(|(number, leases)| (number, ends(leases))).collect()
}

#[tokio::test]
async fn a_lease_is_renewed_on_every_share_or_added_where_it_is_not() {
    let bench = Bench::new().await;
    let renew = async |secret: (&str, &str)| {
        bench.ask("PUT", "lease/SI", &[secret, CANCEL], "").await.status
    };
    assert_eq!(renew(RENEW).await, 404);
    bench.allocate(&[0], 10, UPLOAD).await;
    assert_eq!(renew(RENEW).await, 404, "no share is complete");
    bench.clock.advance(10);
    bench.share(1, b"one").await;
    bench.clock.advance(10);
    // The lease of a share counts from when it was allocated.
    assert_eq!(bench.write(0, "bytes 0-9/*", UPLOAD, b"0123456789").await.status, 201);
    assert_eq!(
        ends(&bench).await,
        [(0, vec![BEGAN + LEASE_SECONDS]), (1, vec![BEGAN + 10 + LEASE_SECONDS])]
    );
    bench.clock.advance(147);
    assert_eq!(renew(RENEW).await, 204);
    let renewed = BEGAN + 167 + LEASE_SECONDS;
    assert_eq!(ends(&bench).await, [(0, vec![renewed]), (1, vec![renewed])]);
    bench.clock.advance(100);
    assert_eq!(renew(OTHER_RENEW).await, 204);
    let both = vec![renewed, renewed + 100];
    assert_eq!(ends(&bench).await, [(0, both.clone()), (1, both)]);
    // Who asks for what there is renews it too.
    bench.clock.advance(33);
    bench.allocate(&[7], 10, UPLOAD).await;
    let both = vec![renewed + 133, renewed + 100];
    assert_eq!(ends(&bench).await, [(0, both.clone()), (1, both)]);
}

#[tokio::test]
async fn a_slot_has_its_leases_renewed_by_writes_and_not_by_reads() {
    let bench = Bench::new().await;
    let create = "a272746573742d77726974652d766563746f7273a200a3647465737480657772697465806a6e65772d6c656e677468f6\
                  01a3647465737480657772697465806a6e65772d6c656e677468f66b726561642d766563746f7280";
    let write_0 = "a272746573742d77726974652d766563746f7273a100a3647465737480657772697465806a6e65772d6c656e677468\
                   f66b726561642d766563746f7280";
    let fails = "a272746573742d77726974652d766563746f7273a100a3647465737481a3666f6666736574006473697a650168737065\
                 63696d656e4178657772697465806a6e65772d6c656e677468f66b726561642d766563746f7280";
    let reads = "a272746573742d77726974652d766563746f7273a06b726561642d766563746f7280";
    bench.rtw(create).await;
    let first = BEGAN + LEASE_SECONDS;
    assert_eq!(ends(&bench).await, [(0, vec![first]), (1, vec![first])]);
    bench.clock.advance(5);
    assert_eq!(bench.rtw(reads).await.status, 200);
    assert_eq!(bench.rtw(fails).await.status, 200);
    assert_eq!(ends(&bench).await, [(0, vec![first]), (1, vec![first])]);
    bench.rtw(write_0).await;
    assert_eq!(ends(&bench).await, [(0, vec![first + 5]), (1, vec![first])]);
    bench.clock.advance(5);
    assert_eq!(bench.ask("PUT", "lease/SI", &[RENEW, CANCEL], "").await.status, 204);
    assert_eq!(ends(&bench).await, [(0, vec![first + 10]), (1, vec![first + 10])]);
}

#[tokio::test]
async fn a_test_moves_the_clock_and_sees_leases_and_reports() {
    let bench = Bench::new().await;
    let control = Control::new(bench.gateway.clone(), bench.clock.clone());
    let ask = async |method: &str, path: &str, body: &'static str| {
        let body = Full::new(Bytes::from_static(body.as_bytes()));
        let request = http::Request::builder().method(method).uri(path).body(body).unwrap();
        let answer = control.call(request).await;
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice::<serde_json::Value>(&body).unwrap())
    };
    bench.allocate(&[0], 10, UPLOAD).await;
    bench.share(1, b"one").await;
    assert_eq!(ask("GET", "/now", "").await, (200, serde_json::json!({"now": BEGAN})));
    let moved = serde_json::json!({"now": BEGAN + 1800});
    assert_eq!(ask("POST", "/advance", "{\"seconds\": 1800}").await, (200, moved));
    assert_eq!(bench.gateway.uploads().count(), 0, "its time was up");
    for wrong in ["", "{}", "{\"seconds\": -1}", "{\"seconds\": \"x\"}"] {
        assert_eq!(ask("POST", "/advance", wrong).await.0, 400, "{wrong}");
    }
    let (status, leases) = ask("GET", &format!("/leases/{SI}"), "").await;
    assert_eq!((status, leases[0]["share_number"].as_u64()), (200, Some(1)));
    assert_eq!(leases[0]["expiration_time"].as_u64(), Some(BEGAN + LEASE_SECONDS));
    assert_eq!(leases.as_array().map(Vec::len), Some(1));
    assert_eq!(ask("GET", "/leases/x", "").await.0, 404);
    assert_eq!(ask("GET", "/advisories", "").await, (200, serde_json::json!([])));
}
