//! What is said of each thing that one part of a segment may say wrongly of another, with every checksum right.

#![allow(clippy::unwrap_used, reason = "a test may stop at what cannot be")]

use std::sync::Arc;

use backend_memory::MemoryProvider;
use bytes::{BufMut, BytesMut};
use futures_executor::block_on;
use prost::Message;
use storage_core::{Key, PutIf, StorageProvider};
use storage_wrappers::Counted;

use super::*;
use crate::change::Change;
use crate::format::segment::{Emptied, SegmentId, SegmentRef, Span, frame};
use crate::segment::block::Builder;
use crate::segment::{Cache, Shelf};

const ID: SegmentId = SegmentId { session: 7, number: 1 };

/// What is done to what the index says of a block or a part, and to what the store says of the segment.
type InIndex = fn(usize, &mut Place);
type OfStore = fn(&mut SegmentRef);

/// How a segment is made. What it is by default is right, and what the hooks change is consistently so: what they do to
/// a block in the index, its part knows, and what they do to the tail, the store says too.
struct Draft {
    blocks: Vec<Vec<(Bytes, Stored)>>,
    /// How many of the blocks each part of the index names.
    parts: Vec<usize>,
    emptied: Vec<(&'static str, &'static str, u64)>,
    /// Each part stands after its blocks, and not after all.
    parts_between: bool,
    /// So many bytes that nobody names stand before one of blocks, parts and tail, counted through.
    gap: (usize, usize),
    /// A bit of one of them is another, counted in the same way.
    flipped: Option<usize>,
    block: InIndex,
    part: InIndex,
    tail: fn(&mut Tail),
    about: OfStore,
}

/// A segment, and where its blocks, its parts and its tail begin and end.
struct Made {
    about: SegmentRef,
    bytes: Bytes,
    pieces: Vec<(u64, u64)>,
}

/// A place in the sample.
#[derive(Debug, Clone, Copy)]
enum At {
    Start,
    Block(usize),
    Part(usize),
    Tail,
    EndOfBlock(usize),
    EndOfPart(usize),
}
use At::{Block as InBlock, EndOfBlock, EndOfPart, Part as InPart, Start, Tail as InTail};

fn put(key: &str, version: u64) -> (Bytes, Stored) {
    let change = Change::Put(Bytes::copy_from_slice(key.as_bytes()));
    (Bytes::copy_from_slice(key.as_bytes()), Stored::current(Version(version), change))
}

fn superseded(key: &str, version: u64, end: u64) -> (Bytes, Stored) {
    let (key, stored) = put(key, version);
    (key, Stored { superseded: Some(Version(end)), ..stored })
}

/// Three blocks, the second of which goes on with the key of the first, and two parts, the first of which has two blocks.
fn sample() -> Draft {
    Draft {
        blocks: vec![
            vec![put("ka", 1), put("kb", 5), put("kb", 4)],
            vec![put("kb", 2), put("kc", 3)],
            vec![put("kd", 6)],
        ],
        parts: vec![2, 1],
        emptied: vec![("ka", "kc", 7)],
        parts_between: false,
        gap: (0, 0),
        flipped: None,
        block: |_, _| {},
        part: |_, _| {},
        tail: |_| {},
        about: |_| {},
    }
}

fn key(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

/// Adds to `body` what stands there next, after the gap if this is where it is. Where that begins and how long it is.
fn store(body: &mut BytesMut, pieces: &mut Vec<(u64, u64)>, draft: &Draft, content: &[u8]) {
    leave_gap(body, pieces, draft);
    let offset = body.len() as u64;
    let framed = frame(ID, offset, content);
    body.put_slice(&framed);
    if draft.flipped == Some(pieces.len()) {
        body[offset as usize + 2] ^= 1;
    }
    pieces.push((offset, framed.len() as u64));
}

fn leave_gap(body: &mut BytesMut, pieces: &[(u64, u64)], draft: &Draft) {
    if draft.gap.0 == pieces.len() {
        body.put_bytes(0, draft.gap.1);
    }
}

fn made(draft: &Draft) -> Made {
    let (mut body, mut pieces) = (BytesMut::new(), Vec::new());
    let mut places = Vec::new();
    let (mut parts, mut part_pieces, mut index_offset) = (Vec::new(), Vec::new(), None);
    let mut last: Option<Bytes> = None;
    let mut store_part = |body: &mut BytesMut, pieces: &mut Vec<_>, blocks: Vec<Place>| {
        let content = Part { blocks: blocks.clone() }.encode_to_vec();
        store(body, pieces, draft, &content);
        let (offset, bytes) = pieces[pieces.len() - 1];
        let first = blocks.iter().map(|block| block.first_version).min().unwrap();
        let last = blocks.iter().map(|block| block.last_version).max().unwrap();
        let mut place =
            Place { offset, bytes, first_version: first, last_version: last, ..blocks[0].clone() };
        (draft.part)(parts.len(), &mut place);
        parts.push(place);
        part_pieces.push((offset, bytes));
    };
    let mut counts = draft.parts.iter().copied();
    let mut count = counts.next();
    for (at, changes) in draft.blocks.iter().enumerate() {
        let mut builder = Builder::default();
        for (key, stored) in changes {
            builder.add(key, stored);
        }
        store(&mut body, &mut pieces, draft, &builder.finish());
        let (offset, bytes) = pieces[pieces.len() - 1];
        let versions = || changes.iter().map(|(_, stored)| stored.version.0);
        let mut place = Place {
            offset,
            bytes,
            key: changes[0].0.clone(),
            version: changes[0].1.version.0,
            first_version: versions().min().unwrap(),
            last_version: versions().max().unwrap(),
            continues: last.as_ref() == Some(&changes[0].0),
        };
        (draft.block)(at, &mut place);
        places.push(place);
        last = changes.last().map(|(key, _)| key.clone());
        if draft.parts_between && Some(places.len()) == count {
            store_part(&mut body, &mut pieces, std::mem::take(&mut places));
            count = counts.next();
        }
    }
    if !draft.parts_between {
        let mut places = places.into_iter();
        for count in &draft.parts {
            let blocks: Vec<_> = places.by_ref().take(*count).collect();
            store_part(&mut body, &mut pieces, blocks);
        }
        // What stands before the first part belongs to the blocks.
        index_offset = Some(part_pieces[0].0);
    }
    leave_gap(&mut body, &pieces, draft);
    let changes = || draft.blocks.iter().flatten();
    let mut keys: Vec<_> = changes().map(|(key, _)| key.clone()).collect();
    keys.sort();
    keys.dedup();
    let versions = || {
        let points = changes().map(|(_, stored)| stored.version.0);
        points.chain(draft.emptied.iter().map(|(_, _, version)| *version))
    };
    let hashes: Vec<_> = keys.iter().map(|key| filter::hash(key)).collect();
    let mut tail = Tail {
        session: ID.session,
        number: ID.number,
        changes: changes().count() as u64,
        first_version: versions().min().unwrap(),
        last_version: versions().max().unwrap(),
        spans: vec![Span { first: keys[0].clone(), last: keys[keys.len() - 1].clone() }],
        filter: filter::build(&hashes),
        parts,
        emptied: draft
            .emptied
            .iter()
            .map(|(start, end, version)| Emptied {
                start: key(start),
                end: key(end),
                version: *version,
            })
            .collect(),
    };
    (draft.tail)(&mut tail);
    let offset = body.len() as u64;
    let stored = tail.store(offset);
    body.put_slice(&stored);
    if draft.flipped == Some(pieces.len()) {
        body[offset as usize] ^= 1;
    }
    pieces.push((offset, stored.len() as u64));
    let mut about = SegmentRef {
        bytes: body.len() as u64,
        tail_bytes: stored.len() as u64,
        spans: tail.spans.clone(),
        first_version: tail.first_version,
        last_version: tail.last_version,
        changes: tail.changes,
        ranges: tail.emptied.len() as u64,
        index_bytes: index_offset.map_or(0, |offset| body.len() as u64 - offset),
        ..SegmentRef::default()
    };
    (draft.about)(&mut about);
    Made { about, bytes: body.freeze(), pieces }
}

type Said = Vec<(Option<u64>, String)>;

/// What is wrong with a segment, and the changes and ranges that were told of it, until one of them is refused.
fn said(made: &Made, refused: &str) -> (Said, Vec<String>, u64) {
    let provider = Arc::new(Counted::new(MemoryProvider::new()));
    let name = Key::new(ID.to_string()).unwrap();
    block_on(provider.put(&name, made.bytes.clone(), PutIf::Always)).unwrap();
    let shelf =
        Shelf { provider: provider.clone(), cache: Arc::new(Cache::new(0)), scan_read_bytes: 1 };
    let segment = Segment::new(&shelf, ID, made.about.clone());
    let mut told = Vec::new();
    let mut take = |content: Content<'_>| {
        let one = match content {
            Content::Change(key, stored) => format!("{}@{}", key.escape_ascii(), stored.version),
            Content::Emptied(range, version) => format!("{range:?}@{version}"),
        };
        told.push(one.clone());
        if one == refused { Err(Error::corrupt("refused")) } else { Ok(()) }
    };
    let wrong = block_on(segment.check(&mut take)).unwrap();
    let wrong = wrong.into_iter().map(|wrong| (wrong.offset, wrong.what)).collect();
    (wrong, told, provider.counts().get.requests)
}

/// Spoils the sample, and looks at what is said of it.
fn check(what: &str, spoil: impl FnOnce(&mut Draft), expected: &[(At, &str)]) {
    let mut draft = sample();
    spoil(&mut draft);
    let made = made(&draft);
    let (wrong, _, _) = said(&made, "");
    let pieces = &made.pieces;
    // The parts come after all blocks, or the first after two blocks and the second after one more.
    let part = |at: usize| if draft.parts_between { [2, 4][at] } else { 3 + at };
    let block = |at: usize| if draft.parts_between { [0, 1, 3][at] } else { at };
    let end = |(offset, bytes): (u64, u64)| offset + bytes;
    let offset = |at: &At| match *at {
        Start => 0,
        InBlock(at) => pieces[block(at)].0,
        InPart(at) => pieces[part(at)].0,
        InTail => pieces[pieces.len() - 1].0,
        EndOfBlock(at) => end(pieces[block(at)]),
        EndOfPart(at) => end(pieces[part(at)]),
    };
    let expected: Said =
        expected.iter().map(|(at, what)| (Some(offset(at)), (*what).to_owned())).collect();
    assert_eq!(wrong, expected, "{what}");
}

#[test]
fn a_segment_that_is_right_is_told_whole_and_nothing_is_said_of_it() {
    let all =
        ["ka..kc@7", "ka@1", "kb@5", "kb@4", "kb@2", "kc@3", "kd@6"].map(String::from).to_vec();
    for parts_between in [false, true] {
        let (wrong, told, requests) = said(&made(&Draft { parts_between, ..sample() }), "");
        assert_eq!((wrong, &told), (Vec::new(), &all));
        assert_eq!(requests, 5, "the tail, and each part with all its blocks at once");
    }
}

#[test]
fn a_tail_that_is_not_as_the_store_says_is_named() {
    let what = "its tail is not as the store says";
    let hooks: [(&str, OfStore); 6] = [
        ("spans", |about| about.spans[0].last = key("kz")),
        ("more spans", |about| about.spans.push(Span { first: key("m"), last: key("n") })),
        ("changes", |about| about.changes += 1),
        ("ranges", |about| about.ranges += 1),
        ("the first version", |about| about.first_version -= 1),
        ("the last version", |about| about.last_version += 1),
    ];
    for (name, hook) in hooks {
        check(name, |draft| draft.about = hook, &[(InTail, what)]);
    }
}

#[test]
fn what_readers_would_not_look_for_where_it_is_is_named() {
    let outside = |key: &str| format!("the key \"{key}\" is outside of its spans");
    let version = |version: u64| format!("version {version} is outside of its versions");
    check(
        "the lowest key",
        |draft| {
            draft.emptied.clear();
            draft.tail = |tail| tail.spans[0].first = key("kb");
        },
        &[(InBlock(0), &outside("ka"))],
    );
    check(
        "the highest key",
        |draft| draft.tail = |tail| tail.spans[0].last = key("kc"),
        &[(InBlock(2), &outside("kd"))],
    );
    check(
        "where a range begins",
        |draft| draft.emptied = vec![("j", "kc", 7)],
        &[(InTail, &outside("j"))],
    );
    check(
        "where a range ends",
        |draft| draft.emptied = vec![("ka", "ke", 7)],
        &[(InTail, &outside("ke"))],
    );
    check(
        "the lowest version",
        |draft| draft.tail = |tail| tail.first_version = 2,
        &[(InBlock(0), &version(1))],
    );
    check(
        "the highest version",
        |draft| {
            draft.emptied.clear();
            draft.tail = |tail| tail.last_version = 5;
        },
        &[(InBlock(2), &version(6))],
    );
    check(
        "the version of a range",
        |draft| draft.tail = |tail| tail.last_version = 6,
        &[(InTail, &version(7)), (InTail, &version(7))],
    );
    check(
        "the filter",
        |draft| draft.tail = |tail| tail.filter = vec![0; 32].into(),
        &[(0, "ka"), (0, "kb"), (0, "kb"), (1, "kb"), (1, "kc"), (2, "kd")]
            .map(|(block, key)| (InBlock(block), format!("the filter denies the key \"{key}\"")))
            .iter()
            .map(|(at, what)| (*at, &what[..]))
            .collect::<Vec<_>>(),
    );
}

#[test]
fn an_index_that_is_not_as_its_blocks_is_named() {
    let begins = "a block does not begin as the index says";
    let versions = "a block does not have the versions that the index says";
    let hooks: [(usize, &str, InIndex); 8] = [
        (1, begins, |at, place| {
            if at == 1 {
                place.key = key("kx");
            }
        }),
        (1, begins, |at, place| {
            if at == 1 {
                place.version += 1;
            }
        }),
        (1, begins, |at, place| {
            if at == 1 {
                place.continues = false;
            }
        }),
        (0, begins, |at, place| {
            if at == 0 {
                place.continues = true;
            }
        }),
        (2, begins, |at, place| {
            if at == 2 {
                place.continues = true;
            }
        }),
        (2, versions, |at, place| {
            if at == 2 {
                place.first_version -= 1;
            }
        }),
        (2, versions, |at, place| {
            if at == 2 {
                place.last_version += 1;
            }
        }),
        (0, versions, |at, place| {
            if at == 0 {
                place.first_version += 1;
            }
        }),
    ];
    for (case, (block, what, hook)) in hooks.into_iter().enumerate() {
        check(
            &format!("block {block}, {case}"),
            |draft| draft.block = hook,
            &[(InBlock(block), what)],
        );
    }
    let what = "a part of the index is not as the tail says";
    let hooks: [InIndex; 5] = [
        |at, place| {
            if at == 1 {
                place.key = key("kx");
            }
        },
        |at, place| {
            if at == 1 {
                place.version += 1;
            }
        },
        |at, place| {
            if at == 1 {
                place.continues = true;
            }
        },
        |at, place| {
            if at == 1 {
                place.first_version -= 1;
            }
        },
        |at, place| {
            if at == 1 {
                place.last_version += 1;
            }
        },
    ];
    for (case, hook) in hooks.into_iter().enumerate() {
        for parts_between in [false, true] {
            check(
                &format!("part 1, {case}, {parts_between}"),
                |draft| (draft.part, draft.parts_between) = (hook, parts_between),
                &[(InPart(1), what)],
            );
        }
    }
    check(
        "changes",
        |draft| draft.tail = |tail| tail.changes += 1,
        &[(InTail, "it says 7 changes, and has 6")],
    );
}

#[test]
fn bytes_that_nothing_accounts_for_are_named() {
    let next = "what is named next does not begin here";
    let unnamed = "there are bytes that the index does not name";
    let cases = [
        (false, 0, Start, next),
        (false, 1, EndOfBlock(0), next),
        (false, 2, EndOfBlock(1), next),
        (false, 3, EndOfBlock(2), unnamed),
        (false, 4, EndOfPart(0), next),
        (false, 5, EndOfPart(1), unnamed),
        (true, 1, EndOfBlock(0), next),
        (true, 2, EndOfBlock(1), next),
        (true, 3, EndOfPart(0), next),
        (true, 5, EndOfPart(1), unnamed),
    ];
    for (parts_between, before, at, what) in cases {
        check(
            &format!("before piece {before}, {parts_between}"),
            |draft| (draft.gap, draft.parts_between) = ((before, 3), parts_between),
            &[(at, what)],
        );
    }
}

#[test]
fn blocks_out_of_order_are_named() {
    let what = "a block does not come after the one before";
    // The key and version of the first change of the second block, where the first ends with version 4 of "kb".
    for (name, version, wrong) in
        [("kb", 5, true), ("kb", 4, true), ("kb", 3, false), ("kab", 1, true), ("kc", 7, false)]
    {
        let expected = [(InBlock(1), what)];
        check(
            &format!("{name} {version}"),
            |draft| draft.blocks[1] = vec![put(name, version)],
            if wrong { &expected } else { &[] },
        );
    }
}

#[test]
fn what_is_not_superseded_as_its_segment_is_named() {
    let history = |changes: Vec<(Bytes, Stored)>, upto: OfStore| {
        move |draft: &mut Draft| {
            (draft.blocks, draft.parts, draft.emptied) = (vec![changes], vec![1], Vec::new());
            draft.about = upto;
        }
    };
    let none: OfStore = |about| about.superseded = 0;
    let nine: OfStore = |about| about.superseded = 9;
    let cases = [
        (superseded("ka", 3, 8), nine, true),
        (superseded("ka", 3, 9), nine, true),
        (superseded("ka", 3, 3), nine, true),
        (superseded("ka", 3, 10), nine, false),
        (put("ka", 3), nine, false),
        (superseded("ka", 3, 8), none, false),
        (put("ka", 3), none, true),
    ];
    for (case, (change, upto, right)) in cases.into_iter().enumerate() {
        let what = [(InBlock(0), "a change of version 3 is not superseded as it must be")];
        let expected = if right { &[][..] } else { &what };
        check(&format!("case {case}"), history(vec![change], upto), expected);
    }
}

/// Of a block that goes on with a key of the first, it was said that it did not begin as it should when the first was damaged.
#[test]
fn a_damaged_piece_is_named_once_and_the_others_are_told() {
    let all = ["ka..kc@7", "ka@1", "kb@5", "kb@4", "kb@2", "kc@3", "kd@6"];
    let block = "a block does not have the checksum it should";
    let tail = "the tail does not have the checksum it should";
    // By which piece is damaged: what is told before it and after it.
    let cases = [
        (false, 0, InBlock(0), block, (1, 4)),
        (false, 1, InBlock(1), block, (4, 6)),
        (false, 2, InBlock(2), block, (6, 7)),
        (false, 3, InPart(0), block, (1, 6)),
        (false, 4, InPart(1), block, (6, 7)),
        (false, 5, InTail, tail, (0, 7)),
        (true, 2, InPart(0), block, (1, 6)),
        (true, 4, InPart(1), block, (6, 7)),
    ];
    for (parts_between, piece, at, what, (from, upto)) in cases {
        let spoil = |draft: &mut Draft| {
            (draft.flipped, draft.parts_between) = (Some(piece), parts_between);
        };
        check(&format!("piece {piece}, {parts_between}"), spoil, &[(at, what)]);
        let mut draft = sample();
        spoil(&mut draft);
        let (_, told, _) = said(&made(&draft), "");
        let expected = [&all[..from], &all[upto..]].concat();
        assert_eq!(told, expected, "piece {piece}, {parts_between}");
    }
}

#[test]
fn what_the_listener_refuses_is_named_where_it_is() {
    let made = made(&sample());
    for (refused, piece) in [("ka..kc@7", 5), ("ka@1", 0), ("kc@3", 1), ("kd@6", 2)] {
        let (wrong, told, _) = said(&made, refused);
        assert_eq!(wrong, [(Some(made.pieces[piece].0), "refused".to_owned())]);
        assert_eq!(told.len(), 7, "the others are told all the same");
    }
}

#[test]
fn no_more_is_said_of_a_segment_than_anybody_reads() {
    let many = (0..150).map(|at| put(&format!("k{at:03}"), 1)).collect();
    let draft = Draft {
        blocks: vec![many, vec![put("kx", 1)]],
        parts: vec![1, 1],
        emptied: Vec::new(),
        tail: |tail| tail.filter = vec![0; 32].into(),
        ..sample()
    };
    let (wrong, told, _) = said(&made(&draft), "");
    assert_eq!((wrong.len(), told.len()), (WRONG_MAX, 150), "the second part is not read");
}

#[test]
fn blocks_are_read_together_up_to_a_bound() {
    // Bytes that do not pack: with these a block has half of what is read at once, to the byte.
    let half = READ_BYTES as usize / 2;
    let value = |bytes: usize| {
        let mut state = 1_u64;
        let next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) as u8
        };
        Change::Put(std::iter::repeat_with(next).take(bytes).collect::<Vec<_>>().into())
    };
    let block = |at: usize, bytes: usize| {
        let key = format!("k{at}");
        vec![(Bytes::from(key), Stored::current(Version(1), value(bytes)))]
    };
    let framed = |bytes| {
        let draft = Draft {
            blocks: vec![block(0, bytes)],
            parts: vec![1],
            emptied: Vec::new(),
            ..sample()
        };
        made(&draft).pieces[0].1 as usize
    };
    let bytes = half - (framed(half - 100) - (half - 100));
    assert_eq!(framed(bytes), half);
    for (sizes, requests) in [
        (&[0, 0, 0, 0, 0][..], 3),
        (&[0, 1, 0, 0], 3),
        (&[0, 0, 0, 1, 0], 4),
        (&[-100, 0, 50, 50, -200], 3),
    ] {
        let blocks = sizes.iter().enumerate();
        let blocks = blocks.map(|(at, more)| block(at, bytes.strict_add_signed(*more))).collect();
        let draft = Draft { blocks, parts: vec![sizes.len()], emptied: Vec::new(), ..sample() };
        let (wrong, told, found) = said(&made(&draft), "");
        assert_eq!((wrong, told.len()), (Vec::new(), sizes.len()));
        assert_eq!(found, 2 + requests, "the tail, the part, and blocks with {sizes:?} more bytes");
    }
}
