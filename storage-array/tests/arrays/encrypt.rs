//! What a cloud can do to what is encrypted.

use std::sync::Arc;

use backend_memory::MemoryProvider;
use storage_array::Encrypt;
use storage_core::{ErrorKind, Get, Key, Prefix, PutIf, Secret, StorageProvider};
use storage_wrappers::ManualEnv;

use crate::rig::{body, key};

fn open(cloud: &MemoryProvider, keys: &str, seed: u64) -> Encrypt {
    let env = Arc::new(ManualEnv::new(seed));
    Encrypt::new(Arc::new(cloud.clone()), &Secret::new(keys), env).unwrap()
}

async fn cell(cloud: &MemoryProvider, name: &Key) -> bytes::Bytes {
    cloud.get(name, Get::whole()).await.unwrap().body
}

#[test]
fn a_cloud_that_changes_swaps_cuts_or_brings_back_is_found_out() {
    futures_executor::block_on(async {
        let cloud = MemoryProvider::new();
        let encrypted = open(&cloud, &"a1".repeat(32), 1);
        let (one, two) = (key("one"), key("two"));
        encrypted.put(&one, body(150_000), PutIf::Always).await.unwrap();
        encrypted.put(&two, body(150_000), PutIf::Always).await.unwrap();
        let corrupt = async |what: &str| {
            for request in [Get::whole(), Get::range(5..50), Get::range(149_000..150_000)] {
                let answer = encrypted.get(&one, request).await;
                let kind = answer.map(drop).map_err(|error| error.kind());
                assert_eq!(kind, Err(ErrorKind::Corrupt), "{what}");
            }
        };
        let (mine, other) = (cell(&cloud, &one).await, cell(&cloud, &two).await);
        cloud.put(&one, other, PutIf::Always).await.unwrap();
        corrupt("that of another name").await;
        cloud.put(&one, mine.slice(..64 + 65_552), PutIf::Always).await.unwrap();
        let cut = encrypted.get(&one, Get::whole()).await.unwrap_err();
        assert_eq!(cut.kind(), ErrorKind::Corrupt);
        let mut swapped = mine.to_vec();
        swapped[64..64 + 2 * 65_552].rotate_left(65_552);
        cloud.put(&one, swapped.into(), PutIf::Always).await.unwrap();
        assert_eq!(encrypted.get(&one, Get::whole()).await.unwrap_err().kind(), ErrorKind::Corrupt);
        cloud.put(&one, mine.clone(), PutIf::Always).await.unwrap();
        assert_eq!(encrypted.get(&one, Get::whole()).await.unwrap().body, body(150_000));
        encrypted.put(&one, body(7), PutIf::Always).await.unwrap();
        cloud.put(&one, mine.clone(), PutIf::Always).await.unwrap();
        corrupt("an older state").await;
        encrypted.delete(&one).await.unwrap();
        cloud.put(&one, mine, PutIf::Always).await.unwrap();
        corrupt("one that was deleted").await;
    });
}

#[test]
fn nothing_of_an_object_shows_and_the_same_object_looks_different_each_time() {
    futures_executor::block_on(async {
        let cloud = MemoryProvider::new();
        let encrypted = open(&cloud, &"a1".repeat(32), 1);
        let secret = bytes::Bytes::from("attack at dawn ".repeat(20));
        encrypted.put(&key("a"), secret.clone(), PutIf::Always).await.unwrap();
        let first = cell(&cloud, &key("a")).await;
        encrypted.put(&key("a"), secret.clone(), PutIf::Always).await.unwrap();
        let second = cell(&cloud, &key("a")).await;
        assert!(!first.windows(6).any(|bytes| secret.windows(6).any(|it| it == bytes)));
        let alike = first[32..].iter().zip(&second[32..]).filter(|(a, b)| a == b).count();
        assert!(alike < 20, "{alike} bytes are the same");
    });
}

#[test]
fn keys_are_changed_by_adding_one_rotating_and_removing_the_old() {
    futures_executor::block_on(async {
        let (old, new) = ("a1".repeat(32), "b2".repeat(32));
        let cloud = MemoryProvider::new();
        let names: Vec<Key> = (0..50).map(|at| key(&format!("k/{at:02}"))).collect();
        let encrypted = open(&cloud, &old, 1);
        for (size, name) in names.iter().enumerate() {
            encrypted.put(name, body(size), PutIf::Always).await.unwrap();
        }
        let both = open(&cloud, &format!("# new first\n{new}\n{old}\n"), 2);
        both.put(&names[0], body(0), PutIf::Always).await.unwrap();
        let none = open(&cloud, &new, 3);
        let refused = none.get(&names[1], Get::whole()).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::PermissionDenied);
        assert!(refused.to_string().contains("`key`"), "{refused}");
        let report = both.rotate(&Prefix::all(), &mut |_| true).await.unwrap();
        assert_eq!((report.objects, report.rotated, report.failures), (50, 49, 0));
        let report = both.rotate(&Prefix::all(), &mut |_| true).await.unwrap();
        assert_eq!(report.rotated, 0);
        let only_new = open(&cloud, &new, 4);
        for (size, name) in names.iter().enumerate() {
            assert_eq!(only_new.get(name, Get::whole()).await.unwrap().body, body(size));
        }
    });
}

#[test]
fn a_key_that_is_none_is_refused_by_the_name_of_its_setting_and_not_shown() {
    for text in ["", "# nothing\n", "secret word", &"zz".repeat(32), &"a1".repeat(31)] {
        let env = Arc::new(ManualEnv::new(1));
        let inner = Arc::new(MemoryProvider::new());
        let error = Encrypt::new(inner, &Secret::new(text), env).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Misconfigured);
        let said = error.to_string();
        assert!(said.contains("`key`"), "{said}");
        assert!(text.len() < 3 || !said.contains(text), "{said}");
    }
}
