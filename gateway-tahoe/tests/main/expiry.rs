//! Shares whose leases have ended are let go of: those and no others, and only when that is asked for.

use gateway_tahoe::{Collected, Expired, LEASE_SECONDS, StorageIndex};

use crate::support::{BEGAN, Bench, CANCEL, RENEW, SI, set};

const CREATE: &str = "a272746573742d77726974652d766563746f7273a100a3647465737480657772697465806a6e65772d6c656e677468f6\
                      6b726561642d766563746f7280";

async fn collect(bench: &Bench, dry_run: bool) -> (Collected, Vec<Expired>) {
    let mut told = Vec::new();
    let done = bench.shares().collect(0, dry_run, &mut |expired| told.push(expired)).await;
    (done.unwrap(), told)
}

#[tokio::test]
async fn a_share_goes_when_its_last_lease_has_ended_and_not_before() {
    let bench = Bench::new().await;
    bench.share(0, &[7; 10]).await;
    bench.clock.advance(100);
    bench.share(1, &[7; 20]).await; // This renews the lease of the other one, too.
    bench.clock.advance(LEASE_SECONDS - 1);
    assert_eq!(collect(&bench, false).await.0, Collected::default());
    bench.clock.advance(1);
    let expired = |number: u64, size: u64| Expired {
        index: StorageIndex::parse(SI).unwrap(),
        number,
        size,
        ended: BEGAN + 100 + LEASE_SECONDS,
    };
    let both =
        (Collected { shares: 2, bytes: 30, leases: 2 }, vec![expired(0, 10), expired(1, 20)]);
    assert_eq!(collect(&bench, true).await, both);
    assert_eq!(bench.ask("GET", "immutable/SI/shares", &[], "").await.hex(), set(&[0, 1]));
    assert_eq!(collect(&bench, false).await, both);
    assert_eq!(bench.ask("GET", "immutable/SI/shares", &[], "").await.hex(), set(&[]));
    assert_eq!(bench.ask("GET", "immutable/SI/0", &[], "").await.status, 404);
    assert_eq!(collect(&bench, false).await.0, Collected::default());
    assert_eq!((bench.shares().used_bytes(), bench.shares().count().await.unwrap()), (0, 0));
}

#[tokio::test]
async fn a_lease_that_was_renewed_keeps_its_share_and_one_that_ended_goes_by_itself() {
    let bench = Bench::new().await;
    bench.share(0, b"share").await;
    let other = (
        "x-tahoe-authorization",
        "lease-renew-secret CgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgo=",
    );
    bench.clock.advance(LEASE_SECONDS / 2);
    assert_eq!(bench.ask("PUT", "lease/SI", &[other, CANCEL], "").await.status, 204);
    bench.clock.advance(LEASE_SECONDS / 2);
    assert_eq!(
        collect(&bench, false).await,
        (Collected { leases: 1, ..Collected::default() }, vec![])
    );
    bench.clock.advance(LEASE_SECONDS / 4);
    assert_eq!(bench.ask("PUT", "lease/SI", &[other, CANCEL], "").await.status, 204);
    bench.clock.advance(LEASE_SECONDS - 1);
    assert_eq!(collect(&bench, false).await, (Collected::default(), vec![]));
    bench.clock.advance(1);
    assert_eq!(collect(&bench, false).await.0, Collected { shares: 1, bytes: 5, leases: 1 });
}

#[tokio::test]
async fn shares_of_a_slot_go_one_by_one_and_the_slot_with_the_last() {
    let bench = Bench::new().await;
    bench.rtw(CREATE).await;
    bench.clock.advance(100);
    bench.rtw(&CREATE.replacen("a100a3", "a101a3", 1)).await;
    bench.clock.advance(LEASE_SECONDS - 100);
    assert_eq!(collect(&bench, false).await.0.shares, 1);
    assert_eq!(bench.ask("GET", "mutable/SI/shares", &[], "").await.hex(), set(&[1]));
    bench.clock.advance(50);
    assert_eq!(bench.ask("PUT", "lease/SI", &[RENEW, CANCEL], "").await.status, 204);
    bench.clock.advance(LEASE_SECONDS - 1);
    assert_eq!(collect(&bench, false).await.0, Collected::default());
    bench.clock.advance(1);
    assert_eq!(collect(&bench, false).await.0.shares, 1);
    assert_eq!(bench.ask("GET", "mutable/SI/shares", &[], "").await.hex(), set(&[]));
    // Nobody is left to ask for the old secret.
    let enabler = crate::support::OTHER_ENABLER;
    assert_eq!(bench.rtw_as(enabler, crate::support::unhex(CREATE)).await.status, 200);
}
