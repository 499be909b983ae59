//! What reads see: their own writes, one version, every version.

use storage_txn::{At, ErrorKind, Merge, Scan, Version};

use super::two_handles;

#[tokio::test]
async fn a_transaction_sees_its_own_writes_over_what_was_there() {
    let (store, _) = two_handles().await;
    store
        .transact(async |tx| {
            tx.put("a", "1")?;
            tx.put("b", "2")?;
            tx.put("c", "3")
        })
        .await
        .unwrap();
    let tx = store.begin();
    tx.delete_range("b".."z").unwrap();
    tx.merge("a", Merge::Append("+".into())).unwrap();
    tx.merge("c", Merge::Append("new".into())).unwrap();
    tx.put("d", "4").unwrap();
    let items = tx.scan(&Scan::new(..)).await.unwrap();
    let seen: Vec<_> = items.iter().map(|item| (&item.key[..], &item.value[..])).collect();
    let expected: [(&[u8], &[u8]); 3] = [(b"a", b"1+"), (b"c", b"new"), (b"d", b"4")];
    assert_eq!(seen, expected);
    assert_eq!(tx.get("b").await.unwrap(), None);
    assert_eq!(tx.get_many(["a", "d"]).await.unwrap(), [Some("1+".into()), Some("4".into())]);
    let version = tx.commit().await.unwrap().version;
    let after = store.snapshot(At::Version(version)).await.unwrap();
    let items = after.scan(&Scan::new(..)).await.unwrap().collect().await.unwrap();
    let seen: Vec<_> = items.iter().map(|item| (&item.key[..], &item.value[..])).collect();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn every_version_reads_the_same_later_as_it_did_then() {
    let (store, other) = two_handles().await;
    let mut expected = Vec::new();
    for round in 0..20_u32 {
        let receipt = store
            .transact(async |tx| match round % 5 {
                4 => tx.delete_range("k1".."k3"),
                3 => tx.delete(format!("k{}", round % 4)),
                _ => tx.put(format!("k{}", round % 4), format!("{round}")),
            })
            .await
            .unwrap();
        // Transactions of the store's own may have come in between.
        let then = store.snapshot(At::Known).await.unwrap();
        assert!(then.version() >= receipt.version);
        let items = then.scan(&Scan::new(..)).await.unwrap().collect().await.unwrap();
        expected.push((receipt.version, items));
    }
    for (version, expected) in &expected {
        let then = other.snapshot(At::Version(*version)).await.unwrap();
        let found = then.scan(&Scan::new(..)).await.unwrap().collect().await.unwrap();
        assert_eq!(found, *expected, "version {version}");
    }
    let error = other.snapshot(At::Version(Version(1000))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoSuchVersion);
    let last = other.snapshot(At::Known).await.unwrap().version();
    assert_eq!(error.to_string(), format!("the last version is {last}, and not yet 1000"));
}

#[tokio::test]
async fn a_latest_snapshot_sees_what_another_handle_has_committed_before() {
    let (one, two) = two_handles().await;
    for round in 0..5_u32 {
        one.transact(async |tx| tx.put("x", format!("{round}"))).await.unwrap();
        let known = two.snapshot(At::Known).await.unwrap();
        let before = round.checked_sub(1).map(|round| format!("{round}").into());
        assert_eq!(known.get("x").await.unwrap(), before);
        let latest = two.snapshot(At::Latest).await.unwrap();
        assert_eq!(latest.get("x").await.unwrap().unwrap(), format!("{round}"));
    }
}

#[tokio::test]
async fn a_number_added_to_what_is_none_says_so() {
    let (store, _) = two_handles().await;
    store.transact(async |tx| tx.put("x", "text")).await.unwrap();
    store.transact(async |tx| tx.merge("x", Merge::Add(1))).await.unwrap();
    store.transact(async |tx| tx.put("w", "before").and(tx.put("y", "after"))).await.unwrap();
    let message = "key \"x\": a number was added to a value of 4 bytes, which is not one of 8";
    let names_it = |result: storage_txn::Result<()>| {
        let error = result.unwrap_err();
        assert_eq!((error.kind(), &error.to_string()[..]), (ErrorKind::NotANumber, message));
    };
    let now = store.snapshot(At::Known).await.unwrap();
    names_it(now.get("x").await.map(drop));
    names_it(now.get_many(["w", "x"]).await.map(drop));
    names_it(now.meta("x").await.map(drop));
    for (scan, expected) in
        [(Scan::new("w".."z"), ["w", "y"]), (Scan::new("w".."z").backward(), ["y", "w"])]
    {
        let mut items = now.scan(&scan).await.unwrap();
        assert_eq!(items.next().await.unwrap().unwrap().key, expected[0]);
        names_it(items.next().await.map(drop));
        assert_eq!(items.next().await.unwrap().unwrap().key, expected[1]);
        assert_eq!(items.next().await.unwrap(), None);
        let mut metas = now.scan_meta(&scan).await.unwrap();
        assert_eq!(metas.next().await.unwrap().unwrap().key, expected[0]);
        names_it(metas.next().await.map(drop));
        assert_eq!(metas.next().await.unwrap().unwrap().key, expected[1]);
        names_it(now.scan(&scan).await.unwrap().collect().await.map(drop));
        names_it(store.begin().scan(&scan).await.map(drop));
    }
    names_it(store.begin().copy("x", "z").await.map(drop));
    store.transact(async |tx| tx.put("x", "good again")).await.unwrap();
    assert!(store.snapshot(At::Known).await.unwrap().get("x").await.unwrap().is_some());
}

/// Whoever was committed together with it failed as well.
#[tokio::test]
async fn a_condition_on_what_is_no_number_is_about_its_version_and_in_nobodys_way() {
    let (store, _) = two_handles().await;
    store.transact(async |tx| tx.put("x", "text")).await.unwrap();
    let version = store.transact(async |tx| tx.merge("x", Merge::Add(1))).await.unwrap().version;
    for (required, expected) in
        [(None, Err(ErrorKind::PreconditionFailed)), (Some(version), Ok(()))]
    {
        let (requires, other) = (store.begin(), store.begin());
        requires.require("x", required).unwrap();
        requires.put("a", "1").unwrap();
        other.put("b", "1").unwrap();
        let (required, other) = tokio::join!(requires.commit(), other.commit());
        other.unwrap();
        assert_eq!(required.map(drop).map_err(|error| error.kind()), expected);
    }
}
