//! A part of a provider is a provider, and knows nothing of the rest.

use std::sync::Arc;

use backend_memory::MemoryProvider;
use futures_executor::block_on;
use storage_core::{
    Capabilities, ErrorKind, Get, KEY_BYTES_MAX, Key, List, Page, Prefix, PutIf, StorageProvider,
};
use storage_wrappers::{Counted, Override, Prefixed};

use crate::script::{Answer, Ask, Scripted, key, verdict};

fn prefix(text: &str) -> Prefix {
    Prefix::new(text).unwrap()
}

fn names(page: &Page) -> Vec<&str> {
    page.objects.iter().map(|listed| listed.key.as_str()).collect()
}

/// A memory provider that takes keys of so many bytes.
fn narrow(key_bytes_max: usize) -> Override<MemoryProvider> {
    let memory = MemoryProvider::new();
    let capabilities = Capabilities { key_bytes_max, ..memory.info().capabilities };
    Override::new(memory, capabilities)
}

#[test]
fn keys_go_in_with_the_prefix_and_come_out_without() {
    block_on(async {
        let whole = MemoryProvider::new();
        let part = Prefixed::new(whole.clone(), prefix("p/q/")).unwrap();
        let version = part.put(&key("a/b"), "body".into(), PutIf::Absent).await.unwrap();
        for outside in ["a/b", "p/a", "p/q=/a", "p/qq/a", "q/a"] {
            whole.put(&key(outside), "outside".into(), PutIf::Always).await.unwrap();
        }
        let object = part.get(&key("a/b"), Get::whole()).await.unwrap();
        assert_eq!((&object.body[..], &object.version), (&b"body"[..], &version));
        assert!(whole.get(&key("p/q/a/b"), Get::whole()).await.is_ok());
        part.put(&key("c"), "body".into(), PutIf::Always).await.unwrap();

        let (all, below) = (Prefix::all(), prefix("a"));
        assert_eq!(names(&part.list(List::new(&all)).await.unwrap()), ["a/b", "c"]);
        assert_eq!(names(&part.list(List::new(&below)).await.unwrap()), ["a/b"]);
        let first = part.list(List::new(&all).limit(1)).await.unwrap();
        assert_eq!((names(&first), first.more), (vec!["a/b"], true));
        let after = key("a/b");
        let second = part.list(List::new(&all).start_after(&after)).await.unwrap();
        assert_eq!((names(&second), second.more), (vec!["c"], false));

        part.delete(&key("a/b")).await.unwrap();
        part.delete(&key("c")).await.unwrap();
        assert_eq!(whole.list(List::new(&all)).await.unwrap().objects.len(), 5);
    });
}

#[test]
fn errors_name_the_key_that_the_caller_used() {
    for ask in Ask::ALL {
        let failing = Answer::Fail(ErrorKind::StorageFull, storage_core::Effect::Unknown);
        let scripted = Scripted::new([failing]);
        // The innermost provider names the key it was asked for.
        let naming = storage_wrappers::TimeLimit::new(
            scripted.clone(),
            storage_wrappers::TimeLimits::default(),
            scripted.environment(),
        );
        let part = Prefixed::new(naming, prefix("secret/")).unwrap();
        let error = block_on(ask.result(&part)).unwrap_err();
        assert_eq!(verdict(&error), "storage full Unknown");
        assert_eq!(error.operation(), Some(ask.operation()));
        assert_eq!(error.key(), (ask != Ask::List).then_some(&key("k")));
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}

#[test]
fn a_key_that_becomes_too_long_is_refused_with_no_request() {
    let inner = Arc::new(Counted::new(narrow(10)));
    let part = Prefixed::new(inner.clone(), prefix("1234/")).unwrap();
    assert_eq!(part.info().capabilities.key_bytes_max, 5);
    block_on(async {
        part.put(&key("abcde"), "x".into(), PutIf::Absent).await.unwrap();
        let requests = inner.counts().requests();
        let long = key("abcdef");
        for error in [
            part.put(&long, "x".into(), PutIf::Always).await.unwrap_err(),
            part.get(&long, Get::whole()).await.unwrap_err(),
            part.delete(&long).await.unwrap_err(),
        ] {
            assert_eq!(verdict(&error), "invalid key NotApplied");
            assert_eq!(error.key(), Some(&long));
            assert!(error.operation().is_some());
            assert_eq!(error.message(), "6 bytes, but below this prefix a key has at most 5");
        }
        let page = part.list(List::new(&Prefix::from(&long))).await.unwrap();
        assert_eq!(page, Page::default(), "no key begins with what no key can hold");
        assert_eq!(inner.counts().requests(), requests);
    });
}

#[test]
fn the_longest_keys_of_all_fit_exactly() {
    let part = Prefixed::new(MemoryProvider::new(), prefix("p/")).unwrap();
    let text = format!("{0}/{0}/{1}", "s".repeat(200), "s".repeat(KEY_BYTES_MAX - 402));
    let (fits, too_long) = (key(&text[..KEY_BYTES_MAX - 2]), key(&text[..KEY_BYTES_MAX - 1]));
    block_on(async {
        part.put(&fits, "x".into(), PutIf::Always).await.unwrap();
        let error = part.put(&too_long, "x".into(), PutIf::Always).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidKey);
        let all = Prefix::all();
        for after in [&too_long, &fits] {
            assert!(
                part.list(List::new(&all).start_after(after)).await.unwrap().objects.is_empty()
            );
        }
    });
}

#[test]
fn a_walk_may_start_after_any_key_and_never_asks_for_one_too_long() {
    // All keys of at most four bytes over three letters and the slash, in a provider that takes seven.
    let mut texts = vec![String::new()];
    for _ in 0..6 {
        let longer: Vec<String> = texts
            .iter()
            .flat_map(|text| ["/", "0", "a", "~"].map(|letter| format!("{text}{letter}")))
            .collect();
        texts.extend(longer);
        texts.sort();
        texts.dedup();
    }
    let keys: Vec<Key> = texts.iter().filter_map(|text| Key::new(text).ok()).collect();
    let scripted = Scripted::new([]);
    let room = 4;
    let capabilities = Capabilities { key_bytes_max: 3 + room, ..scripted.info().capabilities };
    let part = Prefixed::new(Override::new(scripted.clone(), capabilities), prefix("aa/")).unwrap();
    let stored: Vec<&Key> = keys.iter().filter(|key| key.as_str().len() <= room).collect();
    assert_eq!((keys.len() > 1000, stored.len() > 100), (true, true));
    block_on(async {
        for key in &stored {
            part.put(key, "x".into(), PutIf::Absent).await.unwrap();
        }
        let all = Prefix::all();
        for after in &keys {
            let page = part.list(List::new(&all).start_after(after)).await.unwrap();
            let listed: Vec<&Key> = page.objects.iter().map(|listed| &listed.key).collect();
            let expected = stored.partition_point(|key| *key <= after);
            assert_eq!(listed, stored[expected..], "after {after}");
        }
    });
    let asked = scripted.calls();
    assert!(asked.iter().all(|call| call.key.as_ref().unwrap().as_str().len() <= 3 + room));
}

#[test]
fn a_prefix_that_cannot_work_is_refused_by_name() {
    for (text, key_bytes_max, expected) in [
        ("p", 512, Some("the prefix `p` does not end in `/`: try `p/`")),
        ("p/q", 512, Some("the prefix `p/q` does not end in `/`: try `p/q/`")),
        ("1234/", 5, Some("leaves no room for a key")),
        ("1234/", 6, None),
        ("", 512, None),
    ] {
        match (Prefixed::new(narrow(key_bytes_max), prefix(text)), expected) {
            (Ok(part), None) => {
                let room = key_bytes_max - text.len();
                assert_eq!(part.info().capabilities.key_bytes_max, room, "{text}");
            }
            (Err(error), Some(expected)) => {
                assert_eq!(error.kind(), ErrorKind::Misconfigured);
                assert!(error.message().contains(expected), "{error}");
            }
            (result, _) => panic!("`{text}`: {result:?}"),
        }
    }
}

#[test]
fn prefixes_nest_and_the_name_says_where() {
    let outer = Prefixed::new(MemoryProvider::new(), prefix("a/")).unwrap();
    let inner = Prefixed::new(outer, prefix("b/c/")).unwrap();
    assert_eq!(inner.info().name, "memory/a/b/c");
    let none = Prefixed::new(MemoryProvider::new(), Prefix::all()).unwrap();
    assert_eq!(none.info(), MemoryProvider::new().info());
}

#[test]
fn a_list_that_leaves_the_prefix_is_corrupt_and_not_a_panic() {
    let page = Page {
        objects: vec![storage_core::Listed { key: key("elsewhere"), size: 1 }],
        more: false,
    };
    let part = Prefixed::new(Scripted::new([Answer::Page(page)]), prefix("p/")).unwrap();
    assert_eq!(block_on(Ask::List.of(&part)), "corrupt NotApplied");
}
