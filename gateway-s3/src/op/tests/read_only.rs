//! A store that takes no writes any more: a copy, and what was copied.

use std::sync::Arc;

use backend_memory::MemoryProvider;
use storage_txn::{Replica, ReplicaOptions, Store};

use super::{Bench, bytes, env, store_options};
use crate::Options;
use crate::error::{Code, Result};
use crate::op::acl::AclWish;
use crate::op::conditions::Conditions;
use crate::op::delete::Delete;

/// Every write is refused with what is so, and not as something to try again; once clients were told that the storage cannot be
/// reached.
async fn refuses_writes(bench: &Bench) {
    let Bench { core, alice, .. } = bench;
    let always = Conditions::default();
    let delete = Delete { key: "kept".to_owned(), ..Delete::default() };
    let refused = [
        ("small", bench.put_if("new", "new", &always).await.map(drop)),
        ("large", bench.put_if("new", bytes(300_000), &always).await.map(drop)),
        ("delete", core.delete_object(alice, "bbb", &delete).await.map(drop)),
        (
            "bucket",
            core.create_bucket(alice, "ccc", &AclWish::Default, ("", false)).await.map(drop),
        ),
    ];
    for (what, result) in refused {
        told(what, result);
    }
    assert_eq!(bench.get("kept").await.unwrap(), "before");
}

fn told(what: &str, result: Result<()>) {
    let refusal = result.expect_err(what).refusal();
    assert_eq!(refusal.code, Code::MethodNotAllowed, "{what}: {refusal}");
    assert!(refusal.message.contains("takes no writes"), "{what}: {refusal}");
    assert_eq!(refusal.headers, [("allow", "GET, HEAD".to_owned())], "{what}");
}

#[tokio::test]
async fn a_sealed_store_and_a_copy_are_read_and_say_that_they_take_no_writes() {
    let bench = Bench::new().await;
    bench.put("kept", "before").await;
    let copy = Arc::new(MemoryProvider::new());
    let mut replica =
        Replica::begin(bench.provider.clone(), copy.clone(), env(), ReplicaOptions::default())
            .await
            .unwrap();
    replica.follow(&mut |_| ()).await.unwrap();

    let store = Store::open(copy.clone(), env(), store_options()).await.unwrap();
    let core = crate::op::Core::new(store, Arc::new(Options::default()));
    let follower = Bench { core, alice: bench.alice.clone(), provider: copy.clone() };
    refuses_writes(&follower).await;
    bench.put("meanwhile", "still").await;

    replica.promote(false, &mut |_| ()).await.unwrap();
    refuses_writes(&bench).await;
    let store = Store::open(copy.clone(), env(), store_options()).await.unwrap();
    let core = crate::op::Core::new(store, Arc::new(Options::default()));
    let promoted = Bench { core, alice: bench.alice.clone(), provider: copy };
    promoted.put("new", "after").await;
    assert_eq!(promoted.get("meanwhile").await.unwrap(), "still");
}
