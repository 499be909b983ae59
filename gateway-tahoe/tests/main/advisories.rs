//! Reports that shares are corrupt.

use gateway_tahoe::{Advisory, Kind, StorageIndex};

use crate::support::{BEGAN, Bench, SI, unhex};

#[tokio::test]
async fn a_report_about_a_share_is_kept_and_one_about_nothing_is_not() {
    let bench = Bench::new().await;
    let bad = unhex("a166726561736f6e63626164");
    let report = async |path: &str| bench.ask("POST", path, &[], bad.clone()).await.status;
    assert_eq!(report("immutable/SI/0/corrupt").await, 404);
    bench.share(0, b"x").await;
    assert_eq!(report("mutable/SI/0/corrupt").await, 404);
    assert_eq!(report("immutable/SI/1/corrupt").await, 404);
    assert_eq!(report("immutable/SI/0/corrupt").await, 200);
    bench.clock.advance(9);
    assert_eq!(report("immutable/SI/0/corrupt").await, 200);
    let advisory = |time: u64| Advisory {
        time,
        kind: Kind::Immutable,
        index: StorageIndex::parse(SI).unwrap(),
        number: 0,
        reason: "bad".into(),
    };
    let kept = bench.shares().advisories().await.unwrap();
    assert_eq!(kept, [advisory(BEGAN), advisory(BEGAN + 9)]);
}
