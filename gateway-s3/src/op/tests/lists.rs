//! Listings, beside what a filter over all keys comes to.

use super::Bench;
use crate::op::Moment;
use crate::op::list::{Entry, List};

const KEYS: [&str; 17] = [
    "a", "a/", "a/1", "a/2", "a/b/1", "a/b/2", "a/b/c/d", "a0", "b", "b//x", "b/1", "c-d", "c/",
    "c/d", "z", "é/1", "é/2",
];

/// What a page must have: by looking at every key.
fn expected(list: &List) -> (Vec<String>, bool) {
    let mut names: Vec<String> = Vec::new();
    for key in KEYS.iter().filter(|key| key.starts_with(&list.prefix)) {
        let rest = &key[list.prefix.len()..];
        let name = match rest.find(&list.delimiter) {
            Some(at) if !list.delimiter.is_empty() => {
                &key[..list.prefix.len() + at + list.delimiter.len()]
            }
            _ => key,
        };
        if name > &list.after[..] && names.last().is_none_or(|last| last != name) {
            names.push(name.to_owned());
        }
    }
    let truncated = list.max > 0 && names.len() > list.max;
    names.truncate(list.max);
    (names, truncated)
}

#[tokio::test]
async fn pages_have_what_a_filter_over_all_keys_has() {
    let bench = Bench::new().await;
    for key in KEYS {
        bench.put(key, key).await;
    }
    for prefix in ["", "a", "a/", "a/b/", "b/", "é", "nothing"] {
        for delimiter in ["", "/", "-", "//", "é/"] {
            for max in [0, 1, 2, 3, 1000] {
                for after in
                    ["", "a", "a/", "a/2", "a/b/", "a/b/1", "b", "c", "z", "é/1", "\u{10ffff}"]
                {
                    let list = List {
                        prefix: prefix.to_owned(),
                        delimiter: delimiter.to_owned(),
                        after: after.to_owned(),
                        max,
                    };
                    let place = ("bbb", Moment::Now);
                    let page = bench.core.list_objects(&bench.alice, place, &list).await.unwrap();
                    let names: Vec<String> =
                        page.entries.iter().map(|entry| entry.name().to_owned()).collect();
                    assert_eq!((names, page.truncated), expected(&list), "{list:?}");
                    for entry in page.entries {
                        let Entry::Object(key, object) = entry else { continue };
                        assert_eq!(object.body, key, "{list:?}");
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn what_is_below_a_common_prefix_is_passed_over_by_a_seek() {
    let bench = Bench::new().await;
    for folder in 0..3 {
        for at in 0..200 {
            bench.put(&format!("{folder}/{at:03}"), "x").await;
        }
    }
    bench.put("9", "x").await;
    let list = List { delimiter: "/".to_owned(), max: 1000, ..List::default() };
    let page = bench.core.list_objects(&bench.alice, ("bbb", Moment::Now), &list).await.unwrap();
    let names: Vec<_> = page.entries.iter().map(Entry::name).collect();
    assert_eq!(names, ["0/", "1/", "2/", "9"]);
}
