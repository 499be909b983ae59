//! A store that takes no writes any more: a copy, and what was copied.

use std::sync::Arc;

use backend_memory::MemoryProvider;
use storage_txn::{Replica, ReplicaOptions};
use storage_wrappers::{Counted, TokioEnv};

use crate::support::{Bench, CANCEL, ENABLER, RENEW, UPLOAD, allocated, unhex};

/// Writes `x` into the share 0 of the slot, and reads a byte of each.
const CHANGE: &str = "a272746573742d77726974652d766563746f7273a100a3647465737480657772697465\
                      81a2666f66667365740064646174614178\
                      6a6e65772d6c656e677468f66b726561642d766563746f7280";
const LOOK: &str = "a272746573742d77726974652d766563746f7273a06b726561642d766563746f7281a2666f66667365740064\
     73697a6501";

/// Every write is refused as something that is not to be tried again, and that it is so is said before anybody writes; once
/// clients were told 503, and that there is space.
async fn refuses_writes(bench: &Bench) {
    // Else its lease would be as it is.
    bench.clock.advance(1);
    let said = bench.ask("GET", "version", &[], "").await.hex();
    let space = hex_of("available-space");
    let at = said.find(&space).unwrap() + space.len();
    assert_eq!(&said[at..at + 2], "00", "{said}");
    // Who wants to upload is told what there is, and keeps its shares elsewhere.
    assert_eq!(bench.allocate(&[0, 1], 3, UPLOAD).await.said(), (200, allocated(&[0], &[])));
    let slot = "mutable/aaaaaaaaaaaaaaaaaaaaaaaaaa/read-test-write";
    let advice = unhex("a166726561736f6e63626164");
    let lease = [RENEW, CANCEL];
    let change = [RENEW, CANCEL, ENABLER];
    let refused = [
        ("lease", bench.ask("PUT", "lease/SI", &lease, "").await),
        ("change", bench.ask("POST", slot, &change, unhex(CHANGE)).await),
        ("advice", bench.ask("POST", "immutable/SI/0/corrupt", &[], advice).await),
    ];
    for (what, answer) in refused {
        assert_eq!(answer.status, 403, "{what}: {answer:?}");
        let text = String::from_utf8_lossy(&answer.body);
        assert!(text.contains("read-only"), "{what}: {text}");
    }
    assert_eq!(bench.ask("GET", "immutable/SI/0", &[], "").await.body, &b"abc"[..]);
    let read = bench.ask("POST", slot, &change, unhex(LOOK)).await;
    assert_eq!(read.said(), (200, "a26773756363657373f56464617461a1008141".to_owned() + "78"));
}

fn hex_of(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn a_sealed_store_and_a_copy_are_read_and_say_that_they_take_no_writes() {
    let bench = Bench::new().await;
    bench.share(0, b"abc").await;
    let slot = "mutable/aaaaaaaaaaaaaaaaaaaaaaaaaa/read-test-write";
    let written = bench.ask("POST", slot, &[RENEW, CANCEL, ENABLER], unhex(CHANGE)).await;
    assert_eq!(written.status, 200);

    let copy = Arc::new(Counted::new(MemoryProvider::new()));
    let env = Arc::new(TokioEnv::new());
    let mut replica =
        Replica::begin(bench.provider.clone(), copy.clone(), env, ReplicaOptions::default())
            .await
            .unwrap();
    replica.follow(&mut |_| ()).await.unwrap();
    let on_copy = async || {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        Bench::start(copy.clone(), bench.clock.clone(), folder, gateway_tahoe::Options::default())
            .await
    };
    refuses_writes(&on_copy().await).await;

    // One that was begun before is not lost: who promotes the copy may take the seal off again.
    assert_eq!(bench.allocate(&[5], 3, UPLOAD).await.hex(), allocated(&[0], &[5]));
    replica.promote(false, &mut |_| ()).await.unwrap();
    assert_eq!(bench.write(5, "bytes 0-2/*", UPLOAD, b"def").await.status, 403);
    refuses_writes(&bench).await;
    let promoted = on_copy().await;
    promoted.share(1, b"def").await;
    assert_eq!(promoted.ask("GET", "immutable/SI/1", &[], "").await.body, &b"def"[..]);
}
