//! Keys are any bytes, up to a length; ranges are those of byte strings.

use storage_txn::{At, ErrorKind, KEY_BYTES_MAX, KeyRange, Scan};

use super::two_handles;

#[tokio::test]
async fn any_bytes_up_to_the_limit_are_a_key_and_one_more_is_refused() {
    let (store, other) = two_handles().await;
    let keys = [vec![], vec![0], vec![0xff; 3], b"/..//%2F\r\n".to_vec(), vec![7; KEY_BYTES_MAX]];
    for key in &keys {
        store.transact(async |tx| tx.put(key, key.clone())).await.unwrap();
    }
    let now = other.snapshot(At::Latest).await.unwrap();
    for key in &keys {
        assert_eq!(now.get(key).await.unwrap().unwrap(), key[..]);
    }
    let long = vec![7; KEY_BYTES_MAX + 1];
    let tx = store.begin();
    for error in [
        tx.put(&long, "").unwrap_err(),
        tx.delete(&long).unwrap_err(),
        tx.get(&long).await.unwrap_err(),
        now.get(&long).await.unwrap_err(),
        tx.scan(&Scan::new(&long[..]..)).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::LimitExceeded);
        assert_eq!(error.to_string(), "a key of 4097 bytes is longer than 4096");
    }
}

#[tokio::test]
async fn ranges_select_what_they_do_of_any_ordered_map() {
    let (store, _) = two_handles().await;
    let keys: &[&[u8]] = &[b"", b"a", b"a\0", b"ab", b"b", b"b\xff", b"\xff", b"\xff\xff"];
    store.transact(async |tx| keys.iter().try_for_each(|key| tx.put(key, ""))).await.unwrap();
    let check = async |range: KeyRange, expected: &[&[u8]]| {
        let now = store.snapshot(At::Known).await.unwrap();
        for backward in [false, true] {
            let scan = Scan::new(range.clone());
            let scan = if backward { scan.backward() } else { scan };
            let items = now.scan(&scan).await.unwrap().collect().await.unwrap();
            let mut found: Vec<_> = items.iter().map(|item| &item.key[..]).collect();
            if backward {
                found.reverse();
            }
            assert_eq!(found, expected, "{scan:?}");
        }
    };
    check(KeyRange::all(), keys).await;
    check(("a".."b").into(), &[b"a", b"a\0", b"ab"]).await;
    check(("a"..="b").into(), &[b"a", b"a\0", b"ab", b"b"]).await;
    check((.."a").into(), &[b""]).await;
    check(("b"..).into(), &[b"b", b"b\xff", b"\xff", b"\xff\xff"]).await;
    check(("b".."a").into(), &[]).await;
    check(KeyRange::prefix("a"), &[b"a", b"a\0", b"ab"]).await;
    check(KeyRange::prefix(b"b\xff"), &[b"b\xff"]).await;
    check(KeyRange::prefix(b"\xff"), &[b"\xff", b"\xff\xff"]).await;
}
