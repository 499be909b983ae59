//! In which order changes of several segments come, and what is said of those out of order.

#![allow(clippy::unwrap_used, reason = "a test may stop at what cannot be")]

use std::sync::Arc;

use backend_memory::MemoryProvider;
use futures_executor::block_on;
use storage_core::{Key, PutIf, StorageProvider};

use super::*;
use crate::ErrorKind;
use crate::change::Change;
use crate::format::segment::SegmentId;
use crate::segment::{Cache, Segment, Shelf, Writer};

/// All changes of segments that have these keys at these versions, in the order in which they come.
fn merged(segments: &[&[(&str, u64)]]) -> Result<Vec<(String, u64)>> {
    let provider = Arc::new(MemoryProvider::new());
    let cache = Arc::new(Cache::new(1 << 20));
    let shelf = Shelf { provider: provider.clone(), cache, scan_read_bytes: 1 << 20 };
    let streams = segments.iter().zip(1..).map(|(changes, number)| {
        let id = SegmentId { session: 7, number };
        let mut writer = Writer::new(id);
        for (key, version) in *changes {
            let change = Change::Put(version.to_string().into());
            writer.add(key.as_bytes(), &Stored::current(Version(*version), change));
        }
        let (about, bytes) = writer.finish();
        let name = Key::new(id.to_string()).unwrap();
        block_on(provider.put(&name, bytes, PutIf::Always)).unwrap();
        Stream::new(Segment::new(&shelf, id, about), 1 << 20)
    });
    let mut merged = Merged::new(streams.collect());
    let mut found = Vec::new();
    block_on(async {
        while let Some((key, stored)) = merged.next().await? {
            found.push((String::from_utf8(key.to_vec()).unwrap(), stored.version.0));
        }
        Ok(found)
    })
}

#[test]
fn changes_come_by_key_and_newest_first_and_the_same_change_once() {
    for (what, segments, expected) in [
        ("none", &[] as &[&[_]], &[] as &[_]),
        ("apart", &[&[("c", 1)], &[("a", 2), ("b", 3)]], &[("a", 2), ("b", 3), ("c", 1)]),
        ("one key", &[&[("a", 1)], &[("a", 3)], &[("a", 2)]], &[("a", 3), ("a", 2), ("a", 1)]),
        (
            "twice",
            &[&[("a", 2), ("a", 1)], &[("a", 2)], &[("a", 2), ("b", 2)]],
            &[("a", 2), ("a", 1), ("b", 2)],
        ),
    ] {
        let expected: Vec<_> = expected.iter().map(|(key, at)| ((*key).to_owned(), *at)).collect();
        assert_eq!(merged(segments).unwrap(), expected, "{what}");
    }
}

#[test]
fn a_segment_whose_changes_are_out_of_order_is_refused() {
    for segment in [[("b", 1), ("a", 2)], [("a", 1), ("a", 2)]] {
        let error = merged(&[&segment]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{segment:?}");
    }
}
