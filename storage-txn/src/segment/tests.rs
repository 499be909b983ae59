//! Segments against a model, and against damage.

#![allow(clippy::unwrap_used, reason = "a test may stop at what cannot be")]

mod reading;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use backend_memory::MemoryProvider;
use bytes::Bytes;
use futures_executor::block_on;
use proptest::prelude::*;
use storage_core::{Key, PutIf, StorageProvider};
use storage_wrappers::Counted;

use super::{Ahead, Cache, Segment, Shelf, Stored, Writer};
use crate::change::{Change, Merge, Stack, value};
use crate::content::Content;
use crate::format::segment::{SegmentId, SegmentRef};
use crate::memtable::Memtable;
use crate::view::{Run, View, Walk};
use crate::writes::{Range, Writes};
use crate::{ErrorKind, Result, Version};

const ID: SegmentId = SegmentId { session: 7, number: 1 };
const LAST: Version = Version(u64::MAX);

fn shelf(provider: Arc<dyn StorageProvider>, cache_bytes_max: usize) -> Shelf {
    Shelf { provider, cache: Arc::new(Cache::new(cache_bytes_max)), scan_read_bytes: 100_000 }
}

fn object() -> Key {
    Key::new(ID.to_string()).unwrap()
}

/// A segment of everything in a memtable.
fn segment_of(memtable: &Memtable) -> (SegmentRef, Bytes) {
    let mut writer = Writer::new(ID);
    let (points, _) = memtable.after(Version::ZERO, &Bytes::new(), usize::MAX);
    for (key, version, change) in &points {
        writer.add(key, &Stored::current(*version, change.clone()));
    }
    for (range, version) in memtable.emptied_after(Version::ZERO) {
        writer.empty(&range, version);
    }
    writer.finish()
}

fn stored(
    about: &SegmentRef,
    bytes: Bytes,
    cache_bytes_max: usize,
) -> (Arc<Counted<MemoryProvider>>, Segment) {
    let provider = Arc::new(Counted::new(MemoryProvider::new()));
    block_on(provider.put(&object(), bytes, PutIf::Always)).unwrap();
    let shelf = shelf(provider.clone(), cache_bytes_max);
    (provider, Segment::new(&shelf, ID, about.clone()))
}

async fn walk(
    view: &View,
    range: &Range,
    backward: bool,
    version: Version,
) -> Vec<(Bytes, Version, Content)> {
    let mut walk = Walk::new(view, version, range, backward, None).await.unwrap();
    let mut found = Vec::new();
    while let Some(item) = walk.next().await.unwrap() {
        found.push(item);
    }
    found
}

fn range(start: &[u8], end: &[u8]) -> Range {
    Range { start: Bytes::copy_from_slice(start), end: Bytes::copy_from_slice(end) }
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::sample::select(vec![0_u8, 1, b'a', b'b', 255]), 0..4)
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        4 => (any::<u8>(), prop_oneof![Just(0_usize), 0..100_usize, 9_000..20_000_usize])
            .prop_map(|(byte, length)| Change::Put(vec![byte; length].into())),
        1 => Just(Change::Delete),
        2 => prop::collection::vec(
            prop::collection::vec(any::<u8>(), 0..30)
                .prop_map(|bytes| Merge::Append(bytes.into())), 1..3).prop_map(Change::Merge),
    ]
}

fn transaction() -> impl Strategy<Value = Writes> {
    let points = prop::collection::btree_map(key(), change(), 0..6);
    let ranges = prop::collection::vec((key(), key()), 0..2);
    (points, ranges, prop::bool::weighted(0.2)).prop_map(|(points, ranges, empty)| {
        let mut writes = Writes::default();
        for (start, end) in ranges.into_iter().filter(|_| empty) {
            writes.delete_range(range(&start, &end));
        }
        for (key, change) in points {
            writes.change(key.into(), change).unwrap();
        }
        writes
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// The memtable is itself checked against plain maps by the tests of the store.
    #[test]
    fn a_segment_says_what_the_memtable_said_that_it_was_made_of(
        transactions in prop::collection::vec(transaction(), 1..60),
        ranges in prop::collection::vec((key(), key()), 1..6),
        versions in prop::collection::vec(0..70_u64, 1..5),
        cache in prop_oneof![Just(0_usize), Just(200_000), Just(64 << 20)],
    ) {
        let memtable = Arc::new(Memtable::default());
        let mut keys = BTreeSet::new();
        for (at, writes) in transactions.iter().enumerate() {
            memtable.apply(Version(at as u64 + 1), writes.clone());
            keys.extend(writes.points().map(|(key, _)| key.clone()));
        }
        keys.extend(ranges.iter().map(|(key, _)| Bytes::copy_from_slice(key)));
        let (about, bytes) = segment_of(&memtable);
        prop_assert_eq!(about.bytes, bytes.len() as u64);
        let (_, segment) = stored(&about, bytes, cache);
        let run: Arc<dyn Run> = Arc::new(segment);
        let memory = View { memtables: vec![memtable], ..View::default() };
        let segments = View { runs: vec![run.clone()], ..View::default() };
        block_on(async {
            for version in versions.into_iter().map(Version).chain([LAST]) {
                for key in &keys {
                    let expected: Stack = memory.stack(key, version).await.unwrap();
                    prop_assert_eq!(segments.stack(key, version).await.unwrap(), expected.clone());
                    prop_assert_eq!(
                        segments.find(key, version).await.unwrap(),
                        value(&expected).unwrap().map(|value| (expected[0].0, value))
                    );
                    for (after, limit) in [(0, 100), (5, 3), (version.0 / 2, 1)] {
                        prop_assert_eq!(
                            run.changes(key, Version(after), version, limit).await.unwrap(),
                            memory.memtables[0].changes(key, Version(after), version, limit)
                        );
                    }
                    prop_assert_eq!(
                        segments.changed(key, version).await.unwrap(),
                        memory.changed(key, version).await.unwrap()
                    );
                }
                for (start, end) in &ranges {
                    let range = range(start, end);
                    for backward in [false, true] {
                        prop_assert_eq!(
                            walk(&segments, &range, backward, version).await,
                            walk(&memory, &range, backward, version).await
                        );
                    }
                    // Nobody observes an empty range.
                    prop_assert_eq!(
                        range.is_empty() || run.changed_range(&range, version).await.unwrap(),
                        range.is_empty() || memory.memtables[0].changed_range(&range, version)
                    );
                }
            }
            Ok(())
        })?;
    }
}

fn put(memtable: &Memtable, version: u64, key: &[u8], value: &[u8]) {
    let mut writes = Writes::default();
    writes.change(Bytes::copy_from_slice(key), Change::Put(Bytes::copy_from_slice(value))).unwrap();
    memtable.apply(Version(version), writes);
}

/// Bytes that do not pack.
fn noise(seed: u32, bytes: usize) -> Vec<u8> {
    let mut state = u64::from(seed) + 1;
    let next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u8
    };
    std::iter::repeat_with(next).take(bytes).collect()
}

#[test]
fn a_key_whose_history_fills_many_blocks_is_read_at_each_version() {
    let memtable = Memtable::default();
    put(&memtable, 1, b"a", b"before");
    put(&memtable, 1, b"c", b"after");
    for version in 2..400 {
        put(&memtable, version, b"b", &noise(version as u32, 1000));
    }
    let (about, bytes) = segment_of(&memtable);
    let (provider, segment) = stored(&about, bytes, 0);
    let view = View { runs: vec![Arc::new(segment)], ..View::default() };
    block_on(async {
        for version in [2_u64, 3, 33, 34, 35, 100, 398, 399, 1000] {
            let found = view.find(b"b", Version(version)).await.unwrap().unwrap();
            let last = version.min(399);
            assert_eq!(found, (Version(last), noise(last as u32, 1000).into()));
            for backward in [false, true] {
                let before = provider.counts();
                let found = walk(&view, &range(b"a", b"d"), backward, Version(version)).await;
                let keys: Vec<_> = found.iter().map(|(key, at, _)| (&key[..], at.0)).collect();
                let mut expected = [(&b"a"[..], 1), (b"b", last), (b"c", 1)];
                if backward {
                    expected.reverse();
                }
                assert_eq!(keys, expected);
                // The past is passed over, not waded through: without a cache each block is up to three
                // requests.
                let cost = provider.counts().since(&before);
                assert!(cost.get.requests <= 24, "{version} {backward}: {}", cost.get.requests);
            }
        }
    });
}

/// Keys whose values do not pack, of about this many bytes.
fn large(keys: u32) -> Memtable {
    let memtable = Memtable::default();
    for at in 0..keys {
        put(&memtable, u64::from(at) + 1, &(2 * at).to_be_bytes(), &noise(at, 1000));
    }
    memtable
}

#[test]
fn reads_cost_what_is_promised() {
    let (about, bytes) = segment_of(&large(5_000));
    assert!(bytes.len() > 5_000_000);
    let (provider, segment) = stored(&about, bytes, 64 << 20);
    let gets = |key: u32| {
        let before = provider.counts();
        let stack = block_on(segment.stack(&key.to_be_bytes(), LAST)).unwrap();
        assert_eq!(stack.len(), usize::from(key.is_multiple_of(2) && key < 10_000));
        provider.counts().since(&before).requests()
    };
    assert_eq!(gets(0), 2, "nothing cached: the tail with the index, a block");
    assert_eq!(gets(5_000), 1, "the index cached");
    assert_eq!(gets(5_000), 0, "all warm");
    let absent: u64 = (0..5_000).map(|at| gets(2 * at + 1)).sum();
    assert!(absent <= 50, "{absent} of 5,000 absent keys were looked up");
    assert_eq!(gets(1_000_000), 0, "outside");
}

#[test]
fn a_scan_reads_ahead_in_growing_pieces_that_have_a_bound() {
    let (about, bytes) = segment_of(&large(5_000));
    for (cache, backward) in [(0, false), (0, true), (64 << 20, false), (64 << 20, true)] {
        let (provider, segment) = stored(&about, bytes.clone(), cache);
        let view = View { runs: vec![Arc::new(segment)], ..View::default() };
        let whole = range(b"", &[255; 5]);
        let requests = || {
            let before = provider.counts();
            let found = block_on(walk(&view, &whole, backward, LAST));
            let counts = provider.counts().since(&before);
            assert_eq!(found.len(), 5_000);
            counts.get.requests
        };
        // Blocks of 33,000 bytes, so three fit into the 100,000 that may be read at once. Without a cache the tail and a
        // part of the index are read each time anew.
        let blocks = 5_000_u64.div_ceil(32);
        let first = requests();
        let without = if cache == 0 { 4 * blocks } else { 0 };
        assert!((blocks / 3..blocks / 3 + 8 + without).contains(&first), "{cache} {first}");
        let again = requests();
        assert_eq!(again, if cache == 0 { first } else { 0 }, "what is in memory is not read");
    }
}

#[test]
fn the_cache_holds_no_more_than_it_may() {
    let (about, bytes) = segment_of(&large(5_000));
    let bytes_max = 1 << 20;
    let (_, segment) = stored(&about, bytes, bytes_max);
    block_on(async {
        for at in 0..5_000_u32 {
            segment.stack(&(2 * at).to_be_bytes(), LAST).await.unwrap();
            assert!(segment.shelf.cache.bytes() <= bytes_max as u64);
        }
        assert!(segment.shelf.cache.bytes() > bytes_max as u64 / 2);
    });
}

#[test]
fn a_segment_that_is_missing_is_named() {
    let (about, bytes) = segment_of(&large(1));
    let (provider, segment) = stored(&about, bytes, 0);
    block_on(provider.delete(&object())).unwrap();
    let error = block_on(segment.stack(&0_u32.to_be_bytes(), LAST)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    let expected = "segment/0000000000000007/00000001: at byte 1015: the segment is missing";
    assert_eq!(error.to_string(), expected);
}

/// Everything that can be read of a segment.
async fn read_all(segment: &Segment) -> Result<BTreeMap<Bytes, Stack>> {
    let range = range(b"", &[255; 8]);
    let emptied = segment.emptied(&range, LAST).await?;
    let (mut found, mut rest, mut ahead) = (BTreeMap::new(), range, Ahead::default());
    loop {
        let (keys, more) = segment.scan(&rest, false, LAST, &mut ahead).await?;
        if let Some((last, _)) = keys.last() {
            rest.start = crate::view::after(last);
        }
        found.extend(keys);
        if !more {
            break;
        }
    }
    found.insert("emptied".into(), emptied.iter().map(|(_, at)| (*at, Change::Delete)).collect());
    Ok(found)
}

#[test]
fn every_flipped_bit_and_every_truncation_is_found() {
    let memtable = Memtable::default();
    for at in 0..12_u64 {
        put(&memtable, at + 1, format!("key {at}").as_bytes(), &noise(at as u32, 8));
    }
    let mut writes = Writes::default();
    writes.delete_range(range(b"key 1", b"key 2"));
    memtable.apply(Version(30), writes);
    let (about, bytes) = segment_of(&memtable);
    let check = |damaged: Vec<u8>, what: String| {
        let (_, segment) = stored(&about, damaged.into(), 0);
        let error = block_on(read_all(&segment)).expect_err(&what);
        let found = [ErrorKind::Corrupt, ErrorKind::UnknownFormat].contains(&error.kind());
        assert!(found && error.to_string().starts_with(&ID.to_string()), "{what}: {error}");
    };
    for bit in 0..8 * bytes.len() {
        let mut damaged = bytes.to_vec();
        damaged[bit / 8] ^= 1 << (bit % 8);
        check(damaged, format!("bit {bit}"));
    }
    for length in 0..bytes.len() {
        check(bytes[..length].to_vec(), format!("cut to {length}"));
    }
    check([&bytes[..], &[0]].concat(), "a byte more".into());
    // A segment of another name in its place.
    let (_, segment) = stored(&about, bytes, 0);
    let other = Segment::new(&segment.shelf, SegmentId { session: 7, number: 2 }, about.clone());
    let name = Key::new(other.id.to_string()).unwrap();
    block_on(async {
        let whole =
            segment.shelf.provider.get(&object(), storage_core::Get::whole()).await.unwrap();
        segment.shelf.provider.put(&name, whole.body, PutIf::Always).await.unwrap();
        assert_eq!(read_all(&other).await.unwrap_err().kind(), ErrorKind::Corrupt);
        assert_eq!(read_all(&segment).await.unwrap().len(), 13);
    });
}

#[test]
fn what_is_superseded_is_seen_before_that_and_remembered_for_ever() {
    let put = |value: &'static str| Change::Put(Bytes::from_static(value.as_bytes()));
    let stored = |version, superseded: u64, merged, change| Stored {
        version: Version(version),
        superseded: Some(Version(superseded)),
        merged,
        change,
    };
    let mut writer = Writer::new(ID);
    writer.add(b"ka", &stored(7, 7, false, Change::Delete));
    writer.add(b"ka", &stored(5, 7, true, put("merged")));
    writer.add(b"ka", &stored(2, 4, false, put("old")));
    writer.add(b"kb", &stored(3, 9, false, put("b")));
    writer.empty(&range(b"ka", b"kz"), Version(8));
    let (about, bytes) = writer.finish();
    assert_eq!((about.superseded, about.first_version, about.last_version), (9, 2, 8));
    assert!(!about.plain);
    let (provider, segment) = self::stored(&about, bytes, 1 << 20);
    let seen = |key: &[u8], version| {
        let stack = block_on(segment.stack(key, Version(version))).unwrap();
        stack.into_iter().map(|(at, _)| at.0).collect::<Vec<_>>()
    };
    let before = provider.counts();
    assert_eq!(seen(b"ka", 9), [] as [u64; 0]);
    assert_eq!(seen(b"ka", 1), [] as [u64; 0]);
    assert_eq!(provider.counts().since(&before).requests(), 0, "neither the present nor before it");
    let expected: [(u64, &[u64], &[u64]); 7] = [
        (2, &[2], &[]),
        (3, &[2], &[3]),
        (4, &[], &[3]),
        (5, &[5], &[3]),
        (6, &[5], &[3]),
        (7, &[], &[3]),
        (8, &[], &[3]),
    ];
    for (version, a, b) in expected {
        assert_eq!((seen(b"ka", version), seen(b"kb", version)), (a.into(), b.into()), "{version}");
        let all = range(b"", b"z");
        let (found, more) =
            block_on(segment.scan(&all, false, Version(version), &mut Ahead::default())).unwrap();
        let scanned: Vec<Vec<u64>> =
            found.iter().map(|(_, stack)| stack.iter().map(|(at, _)| at.0).collect()).collect();
        assert_eq!((scanned, more), (vec![a.to_vec(), b.to_vec()], false), "{version}");
        assert_eq!(block_on(segment.emptied(&all, Version(version))).unwrap(), []);
    }
    let changes = block_on(segment.changes(b"ka", Version(1), LAST, 9)).unwrap();
    assert_eq!(
        changes,
        [
            (Version(8), Change::Delete),
            (Version(7), Change::Delete),
            (Version(5), Change::Merge(Vec::new())),
            (Version(2), put("old")),
        ]
    );
    assert!(block_on(segment.changed_range(&range(b"kc", b"kd"), Version(7))).unwrap());
}
