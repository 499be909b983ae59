//! What is read of a segment, and how much at once: blocks, parts of the index, pieces of a stream.

use super::*;
use crate::format::segment::{Place, frame};
use crate::segment::Stream;
use crate::segment::block::{Block, Builder};

/// Five keys in each block, and all blocks of the same length: values that do not pack, keys with as much in common.
fn even(blocks: u8) -> (SegmentRef, Bytes) {
    let memtable = Memtable::default();
    for at in 0..blocks * 5 {
        put(&memtable, 1_000_000 + u64::from(at), &[b'k', at], &noise(u32::from(at), 8000));
    }
    segment_of(&memtable)
}

fn again(segment: &Segment) -> Segment {
    Segment::new(&segment.shelf, segment.id, segment.about.clone())
}

async fn places(segment: &Segment) -> Vec<Place> {
    let tail = segment.tail().await.unwrap();
    let mut places = Vec::new();
    for part in &tail.parts {
        places.extend(segment.part(part).await.unwrap().blocks.iter().cloned());
    }
    places
}

#[test]
fn a_stream_reads_as_many_blocks_at_once_as_fit_into_a_piece() {
    let (about, bytes) = even(8);
    let (_, segment) = stored(&about, bytes, 0);
    block_on(async {
        let places = places(&segment).await;
        assert!(places.len() >= 8);
        let sizes: Vec<u64> = places.iter().map(|place| place.bytes).collect();
        let three: u64 = sizes[..3].iter().sum();
        let all: u64 = sizes.iter().sum();
        // The first piece, and the second one.
        let table =
            [(1, 1, 1), (three - 1, 2, 2), (three, 3, 3), (three + 1, 3, 3), (all, sizes.len(), 0)];
        for (piece, first, second) in table {
            let mut stream = Stream::new(again(&segment), piece as usize);
            let mut found = Vec::new();
            while stream.next().await.unwrap().is_some() {
                found.extend(Some(stream.take_read()).filter(|read| *read > 0));
            }
            assert_eq!(found[0], sizes[..first].iter().sum::<u64>(), "pieces of {piece}");
            let next: u64 = sizes[first..first + second].iter().sum();
            assert_eq!(found.get(1).copied().unwrap_or_default(), next, "pieces of {piece}");
            assert_eq!(found.iter().sum::<u64>(), all, "nothing is read twice");
        }
    });
}

/// How many bytes each request of a scan asks for, the tail with the index aside.
fn scanned(range: &Range, backward: bool, scan_read_bytes: usize) -> Vec<u64> {
    let (about, bytes) = even(8);
    let (provider, mut segment) = stored(&about, bytes, 64 << 20);
    segment.shelf.scan_read_bytes = scan_read_bytes;
    block_on(async {
        segment.tail().await.unwrap();
        let (mut rest, mut ahead, mut read) = (range.clone(), Ahead::default(), Vec::new());
        loop {
            let before = provider.counts();
            let (keys, more) = segment.scan(&rest, backward, LAST, &mut ahead).await.unwrap();
            let counts = provider.counts().since(&before);
            assert!(counts.get.requests <= 1, "one piece at a time");
            read.extend(Some(counts.get.bytes_out).filter(|bytes| *bytes > 0));
            let Some((last, _)) = keys.last() else { return read };
            if backward {
                rest.end = last.clone();
            } else {
                rest.start = crate::view::after(last);
            }
            if !more {
                return read;
            }
        }
    })
}

#[test]
fn a_scan_reads_ahead_within_its_range_and_its_bound() {
    let (about, bytes) = even(8);
    let (_, segment) = stored(&about, bytes, 0);
    let places = block_on(places(&segment));
    let size = places[0].bytes;
    assert!(places.len() == 8 && places.iter().all(|place| place.bytes == size));
    let key = |at: usize| places[at].key.clone();
    let whole = Range { start: key(0), end: key(6) };
    // Up to a key within the second block, or from one within the last but one.
    let inside = |at: usize| crate::view::after(&crate::view::after(&key(at)));
    let first_two = Range { start: key(0), end: inside(1) };
    let last_two = Range { start: inside(4), end: key(6) };
    let bytes = size as usize;
    let table = [
        (&whole, 10 * bytes, vec![1, 2, 3]),
        (&whole, 2 * bytes, vec![1, 2, 2, 1]),
        (&whole, 2 * bytes - 1, vec![1, 1, 1, 1, 1, 1]),
        (&first_two, 10 * bytes, vec![1, 1]),
        (&last_two, 10 * bytes, vec![1, 1]),
    ];
    for (range, bound, expected) in table {
        let expected: Vec<u64> = expected.into_iter().map(|blocks: u64| blocks * size).collect();
        for backward in [false, true] {
            let found = scanned(range, backward, bound);
            assert_eq!(found, expected, "{range:?}, backward {backward}, {bound} at once");
        }
    }
}

#[test]
fn a_block_that_is_damaged_is_told_when_a_scan_comes_to_it_and_not_before() {
    let (about, bytes) = even(4);
    let (_, segment) = stored(&about, bytes.clone(), 0);
    let places = block_on(places(&segment));
    for damaged in [1, 2] {
        let mut spoilt = bytes.to_vec();
        spoilt[places[damaged].offset as usize + 100] ^= 1;
        let (_, segment) = stored(&about, spoilt.into(), 64 << 20);
        let expected = format!(
            "{ID}: at byte {}: a block does not have the checksum it should",
            places[damaged].offset
        );
        block_on(async {
            let mut rest = range(b"", &[255; 5]);
            let (mut ahead, mut good) = (Ahead::default(), 0);
            // The second request is for two blocks.
            let error = loop {
                match segment.scan(&rest, false, LAST, &mut ahead).await {
                    Ok((keys, _)) => {
                        good += 1;
                        rest.start = crate::view::after(&keys.last().unwrap().0);
                    }
                    Err(error) => break error,
                }
            };
            assert_eq!((good, error.to_string()), (damaged, expected));
        });
    }
}

/// Keys so long that a part of the index has few of them.
fn many_parts() -> Arc<Memtable> {
    let memtable = Memtable::default();
    for at in 0..60_u32 {
        let mut key = vec![b'k'; 4000];
        key.extend(at.to_be_bytes());
        // The versions of a part are in no order, and its first block has not the first one.
        put(&memtable, 1 + u64::from(at * 37 % 60), &key, &noise(at, 33_000));
    }
    Arc::new(memtable)
}

#[test]
fn an_index_of_many_parts_is_read_across_them() {
    let memtable = many_parts();
    let (about, bytes) = segment_of(&memtable);
    assert_eq!((about.first_version, about.last_version), (1, 60));
    let (_, segment) = stored(&about, bytes, 64 << 20);
    block_on(async {
        let tail = segment.tail().await.unwrap();
        assert!(tail.parts.len() >= 3, "{} parts", tail.parts.len());
        for part in &tail.parts {
            let blocks = &segment.part(part).await.unwrap().blocks;
            let first = blocks.iter().map(|place| place.first_version).min();
            let last = blocks.iter().map(|place| place.last_version).max();
            assert_eq!((Some(part.first_version), Some(part.last_version)), (first, last));
        }
        let places = places(&segment).await;
        let run: Arc<dyn Run> = Arc::new(segment);
        let memory = View { memtables: vec![memtable], ..View::default() };
        let segments = View { runs: vec![run.clone()], ..View::default() };
        let keys: Vec<_> = places.iter().map(|place| place.key.clone()).collect();
        for (from, to) in [(0, 59), (0, 1), (14, 18), (16, 17), (17, 40), (58, 59)] {
            for start in [keys[from].clone(), crate::view::after(&keys[from])] {
                let range = Range { start, end: keys[to].clone() };
                for backward in [false, true] {
                    let expected = walk(&memory, &range, backward, LAST).await;
                    assert_eq!(walk(&segments, &range, backward, LAST).await, expected);
                }
                for version in [0, 1, 20, 40, 59, 60].map(Version) {
                    assert_eq!(
                        run.changed_range(&range, version).await.unwrap(),
                        memory.memtables[0].changed_range(&range, version),
                        "{from} to {to} after {version}"
                    );
                }
            }
        }
        let all = Range { start: Bytes::new(), end: keys[59].clone() };
        assert!(run.changed_range(&all, Version(59)).await.unwrap());
    });
}

/// A key with more changes than fit into a block, between two others.
fn long_history() -> (SegmentRef, Bytes) {
    let memtable = Memtable::default();
    put(&memtable, 1, b"a", b"before");
    put(&memtable, 1, b"c", b"after");
    for version in 2..400 {
        put(&memtable, version, b"b", &noise(version as u32, 1000));
    }
    segment_of(&memtable)
}

#[test]
fn the_newest_change_of_a_key_that_fills_blocks_is_found_by_one_request() {
    let (about, bytes) = long_history();
    let (provider, segment) = stored(&about, bytes, 64 << 20);
    block_on(async {
        segment.tail().await.unwrap();
        let before = provider.counts();
        assert_eq!(segment.stack(b"b", LAST).await.unwrap()[0].0, Version(399));
        assert_eq!(provider.counts().since(&before).get.requests, 1);
        // It is in a block that begins with another key.
        let run: &dyn Run = &segment;
        let b = range(b"b", b"b\0");
        assert!(run.changed_range(&b, Version(398)).await.unwrap());
        assert!(!run.changed_range(&b, Version(399)).await.unwrap());
    });
}

#[test]
fn who_scans_backward_is_told_when_that_was_the_first_block() {
    let (about, bytes) = segment_of(&large(3));
    let (_, segment) = stored(&about, bytes, 0);
    let (all, mut ahead) = (range(b"", &[255; 5]), Ahead::default());
    let (found, more) = block_on(segment.scan(&all, true, LAST, &mut ahead)).unwrap();
    assert_eq!((found.len(), more), (3, false));
}

#[test]
fn a_segment_of_history_that_tells_nothing_of_a_version_is_not_read() {
    let mut writer = Writer::new(ID);
    writer.add(b"a", &Stored::current(Version(3), Change::Put("1".into())));
    writer.supersede(Version(5));
    let (about, bytes) = writer.finish();
    let (provider, segment) = stored(&about, bytes, 0);
    let keys = range(b"a", b"b");
    for (version, is_read) in [(2, false), (3, true), (4, true), (5, false), (9, false)] {
        let before = provider.counts();
        let mut ahead = Ahead::default();
        let scan = segment.scan(&keys, false, Version(version), &mut ahead);
        let found = block_on(scan).unwrap().0.len();
        let requests = provider.counts().since(&before).get.requests;
        assert_eq!((found > 0, requests > 0), (is_read, is_read), "version {version}");
        let bounds = segment.bounds(&keys, Version(version));
        assert_eq!(bounds.is_some(), is_read, "version {version}");
    }
}

#[test]
fn the_bounds_of_a_segment_are_within_what_is_asked_for_and_what_it_has() {
    let memtable = Memtable::default();
    for key in [b"kb", b"kd"] {
        put(&memtable, 1, key, b"1");
    }
    let (about, bytes) = segment_of(&memtable);
    let (_, segment) = stored(&about, bytes, 0);
    let table = [
        ("ka", "kb", None),
        ("ka", "kc", Some(("kb", "kc"))),
        ("kc", "kc\0", Some(("kc", "kc\0"))),
        ("kc", "kz", Some(("kc", "kd"))),
        ("kd", "kz", Some(("kd", "kd"))),
        ("ke", "kz", None),
    ];
    for (start, end, expected) in table {
        let found = segment.bounds(&range(start.as_bytes(), end.as_bytes()), LAST);
        let expected = expected.map(|(first, last)| (first.into(), last.into()));
        assert_eq!(found, expected, "{start} to {end}");
    }
}

#[test]
fn a_segment_that_ends_too_early_is_not_said_to_be_missing() {
    let (about, bytes) = segment_of(&large(100));
    let (_, segment) = stored(&about, bytes.slice(..100), 0);
    let error = block_on(segment.stack(&0_u32.to_be_bytes(), LAST)).unwrap_err();
    assert!(error.missing_object().is_none(), "{error}");
    assert!(error.to_string().contains("the segment is too short"), "{error}");
}

#[test]
fn a_block_is_packed_only_where_that_makes_it_shorter() {
    let packed = |content: &[u8]| lz4_flex::block::compress_prepend_size(content).len();
    let same = (0..400).map(|repeated| [noise(7, 300), vec![9; repeated]].concat());
    let same = same.into_iter().find(|content| packed(content) == content.len());
    let same = same.expect("one of them is as long packed as it is plain");
    // A kind, then the bytes as they are, then a checksum.
    assert_eq!(frame(ID, 0, &same)[1..=same.len()], same[..]);
    let zeros = vec![0; 10_000];
    assert_eq!(frame(ID, 0, &zeros).len(), packed(&zeros) + 5);
}

#[test]
fn what_a_block_takes_in_memory_goes_up_with_its_changes() {
    let mut builder = Builder::default();
    for at in 0..1000_u32 {
        let stored = Stored::current(Version(1), Change::Put(Bytes::new()));
        builder.add(&at.to_be_bytes(), &stored);
    }
    let content: Bytes = builder.finish().into();
    let plain = content.len();
    let block = Block::read(content).unwrap();
    assert!(block.bytes() > plain + 1000 * 16, "{}", block.bytes());
}

#[test]
fn a_block_with_a_key_that_is_longer_than_the_block_is_refused() {
    for (what, content) in [("of one byte", &[0, 5, b'a'][..]), ("without any", &[0, 5])] {
        let error = Block::read(Bytes::copy_from_slice(content)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{what}: {error}");
    }
}

#[test]
fn a_segment_is_read_for_the_changes_of_a_key_only_where_it_may_have_some() {
    let mut writer = Writer::new(ID);
    for version in [5, 4, 3] {
        writer.add(b"a", &Stored::current(Version(version), Change::Put("1".into())));
    }
    let (about, bytes) = writer.finish();
    let (provider, segment) = stored(&about, bytes, 0);
    for (after, upto, limit, expected) in [
        (0, 2, 9, &[][..]),
        (5, 9, 9, &[]),
        (0, 9, 0, &[]),
        (0, 3, 9, &[3]),
        (4, 9, 9, &[5]),
        (3, 4, 9, &[4]),
        (3, 9, 9, &[5, 4]),
        (2, 9, 2, &[5, 4]),
        (0, 9, 9, &[5, 4, 3]),
    ] {
        let before = provider.counts();
        let changes = segment.changes(b"a", Version(after), Version(upto), limit);
        let found = block_on(changes).unwrap().into_iter().map(|(version, _)| version.0);
        let what = format!("after {after}, up to {upto}, {limit} at most");
        assert_eq!(found.collect::<Vec<u64>>(), expected, "{what}");
        let requests = provider.counts().since(&before).get.requests;
        assert_eq!(requests > 0, !expected.is_empty(), "{what}");
    }
}

#[test]
fn the_changes_of_a_key_are_read_through_all_parts_of_the_index() {
    let (key, count) = ([b"k".repeat(4000), b"more".to_vec()].concat(), 60);
    let memtable = Memtable::default();
    for version in 1..=count {
        put(&memtable, version, &key, &noise(version as u32, 33_000));
    }
    let (about, bytes) = segment_of(&memtable);
    let (_, segment) = stored(&about, bytes, 64 << 20);
    block_on(async {
        assert!(segment.tail().await.unwrap().parts.len() >= 4);
        let found = segment.changes(&key, Version::ZERO, LAST, 100).await.unwrap();
        let found: Vec<_> = found.into_iter().map(|(version, _)| version.0).collect();
        assert_eq!(found, (1..=count).rev().collect::<Vec<_>>());
    });
}

#[test]
fn a_value_that_is_a_small_part_of_its_block_does_not_keep_the_block_in_memory() {
    let mut builder = Builder::default();
    for (key, bytes) in [(b"a", 100), (b"b", 20_000), (b"c", 4000)] {
        let change = Change::Put(noise(bytes, bytes as usize).into());
        builder.add(key, &Stored::current(Version(1), change));
    }
    let content = Bytes::from(builder.finish());
    let block = Block::read(content.clone()).unwrap();
    let within = content.as_ptr_range();
    for (at, shares) in [(0, false), (1, true), (2, false)] {
        let (_, stored) = block.get(at).unwrap().unwrap();
        let Change::Put(value) = stored.change else { panic!("{at} is a value") };
        assert_eq!(within.contains(&value.as_ptr()), shares, "value {at}");
    }
}
