//! Lists against a sorted set, over random trees.

use std::collections::BTreeSet;

use backend_fs::FsProvider;
use storage_core::{Key, List, Prefix, PutIf, StorageProvider};

use crate::support::{Random, key, place};

fn random_key(random: &mut Random) -> String {
    const SEGMENTS: [&str; 8] = ["a", "ab", "a=", "b", "0", "~", "a_", "z9"];
    let depth = 1 + random.below(4);
    let segments: Vec<_> = (0..depth).map(|_| SEGMENTS[random.below(SEGMENTS.len())]).collect();
    segments.join("/")
}

async fn check(
    provider: &FsProvider,
    all: &BTreeSet<Key>,
    prefix: &str,
    after: Option<&str>,
    limit: usize,
) {
    let prefix = Prefix::new(prefix).unwrap();
    let after = after.map(key);
    let mut wanted = all
        .iter()
        .filter(|key| key.starts_with(&prefix) && after.as_ref().is_none_or(|after| *key > after));
    let expected: Vec<_> = wanted.by_ref().take(limit).cloned().collect();
    let more = wanted.next().is_some();
    let page =
        provider.list(List { prefix: &prefix, start_after: after.as_ref(), limit }).await.unwrap();
    let found: Vec<_> = page.objects.iter().map(|object| object.key.clone()).collect();
    assert_eq!((found, page.more), (expected, more), "{prefix:?} {after:?} {limit}");
    assert!(page.objects.iter().all(|object| object.size == object.key.as_str().len() as u64));
}

#[tokio::test]
async fn lists_agree_with_a_sorted_set_on_random_trees() {
    let seed = std::process::id().into();
    println!("seed {seed}");
    let mut random = Random(seed);
    for _ in 0..4 {
        let place = place().await;
        let mut all = BTreeSet::new();
        for _ in 0..60 {
            let name = random_key(&mut random);
            all.insert(key(&name));
            place.provider.put(&key(&name), name.into(), PutIf::Always).await.unwrap();
        }
        // Empty directories are left where everything was deleted.
        for name in all.clone().into_iter().filter(|_| random.below(3) == 0) {
            place.provider.delete(&name).await.unwrap();
            all.remove(&name);
        }
        for _ in 0..300 {
            let text = random_key(&mut random);
            let prefix = &text[..random.below(text.len() + 1)];
            let after = random_key(&mut random);
            let after = (random.below(4) > 0).then_some(after.as_str());
            let limit = 1 + random.below(20);
            check(&place.provider, &all, prefix, after, limit).await;
        }
        check(&place.provider, &all, "", None, 1000).await;
    }
}

#[tokio::test]
async fn names_that_are_not_ours_are_never_listed() {
    let place = place().await;
    place.provider.put(&key("a/b"), "3".into(), PutIf::Always).await.unwrap();
    let objects = place.config.path.join("objects");
    for name in ["a/b.tmp", "a/B.o", "a/c", "stray", ".hidden.o", "a/b.o~"] {
        std::fs::write(objects.join(name), "stray").unwrap();
    }
    std::fs::create_dir(objects.join("a/d.o")).unwrap();
    std::os::unix::fs::symlink(objects.join("a/b.o"), objects.join("a/e.o")).unwrap();
    let page = place.provider.list(List::new(&Prefix::all())).await.unwrap();
    let found: Vec<_> = page.objects.iter().map(|object| object.key.as_str()).collect();
    assert_eq!((found, page.more), (vec!["a/b"], false));
}
