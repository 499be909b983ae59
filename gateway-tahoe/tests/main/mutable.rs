//! Read-test-write: what is read, tested and written, and by whom.

use std::collections::BTreeMap;

use bytes::Bytes;
use gateway_tahoe::{
    Kind, LeaseSecrets, ReadTestWrite, ReadVector, Refusal, ShareChange, StorageIndex, Test, Write,
};

use crate::support::{Bench, ENABLER, OTHER_ENABLER, set, unhex};

const SECRETS: LeaseSecrets = LeaseSecrets { renew: [1; 32], cancel: [2; 32] };
const INDEX: StorageIndex = StorageIndex([7; 16]);

fn change(
    tests: &[(u64, u64, &[u8])],
    writes: &[(u64, &[u8])],
    new_length: Option<u64>,
) -> ShareChange {
    let own = Bytes::copy_from_slice;
    let test = |(offset, size, specimen): &(u64, u64, &[u8])| Test {
        offset: *offset,
        size: *size,
        specimen: own(specimen),
    };
    let write = |(offset, data): &(u64, &[u8])| Write { offset: *offset, data: own(data) };
    ShareChange {
        tests: tests.iter().map(test).collect(),
        writes: writes.iter().map(write).collect(),
        new_length,
    }
}

fn request(changes: &[(u64, ShareChange)], reads: &[(u64, u64)]) -> ReadTestWrite {
    let read = |(offset, size): &(u64, u64)| ReadVector { offset: *offset, size: *size };
    ReadTestWrite {
        changes: changes.iter().cloned().collect(),
        reads: reads.iter().map(read).collect(),
    }
}

/// Does it, and says whether it was written and what was read.
async fn ask(bench: &Bench, request: &ReadTestWrite) -> (bool, Vec<(u64, Vec<Bytes>)>) {
    let answer = bench.shares().read_test_write(INDEX, &[9; 32], &SECRETS, request).await.unwrap();
    (answer.success, answer.data.into_iter().collect())
}

async fn content(bench: &Bench, number: u64) -> Option<Bytes> {
    let reader = bench.shares().reader(Kind::Mutable, INDEX, number).await.unwrap()?;
    Some(reader.read(0..u64::MAX).await.unwrap())
}

#[tokio::test]
async fn the_bytes_of_the_client_make_a_slot() {
    let bench = Bench::new().await;
    let body = "a272746573742d77726974652d766563746f7273a100a3647465737481a3666f6666736574006473697a6501687370\
                6563696d656e4065777269746581a2666f66667365740064646174614568656c6c6f6a6e65772d6c656e677468f66b\
                726561642d766563746f7281a2666f6666736574006473697a651829";
    assert_eq!(bench.ask("GET", "mutable/SI/shares", &[], "").await.hex(), set(&[]));
    assert_eq!(bench.rtw(body).await.said(), (200, "a26773756363657373f56464617461a0".into()));
    // It must not exist, and now it does: what there is is read, and nothing written.
    assert_eq!(bench.rtw(body).await.hex(), "a26773756363657373f46464617461a100814568656c6c6f");
    assert_eq!(bench.ask("GET", "mutable/SI/shares", &[], "").await.hex(), set(&[0]));
    assert_eq!(bench.ask("GET", "mutable/SI/0", &[], "").await.body, "hello");
    let part = bench.ask("GET", "mutable/SI/0", &[("range", "bytes=1-3")], "").await;
    assert_eq!(
        (part.status, part.range.as_deref(), &part.body[..]),
        (206, Some("bytes 1-3/*"), &b"ell"[..])
    );
    assert_eq!(bench.ask("GET", "mutable/SI/0", &[("range", "bytes=5-9")], "").await.status, 204);
}

#[tokio::test]
async fn another_write_enabler_lets_nobody_do_anything() {
    let bench = Bench::new().await;
    let reads = "a272746573742d77726974652d766563746f7273a06b726561642d766563746f7280";
    let writes = "a272746573742d77726974652d766563746f7273a105a3647465737480657772697465806a6e65772d6c656e677468\
                  f66b726561642d766563746f7280";
    let removes = "a272746573742d77726974652d766563746f7273a105a3647465737480657772697465806a6e65772d6c656e677468\
                   006b726561642d766563746f7280";
    assert_eq!(bench.rtw_as(OTHER_ENABLER, unhex(reads)).await.status, 200, "there is nothing");
    assert_eq!(bench.rtw(writes).await.status, 200);
    for body in [reads, writes, removes] {
        assert_eq!(bench.rtw_as(OTHER_ENABLER, unhex(body)).await.status, 401);
    }
    assert_eq!(bench.rtw_as(OTHER_ENABLER, unhex("a0")).await.status, 400, "the body comes first");
    assert_eq!(bench.rtw(removes).await.status, 200);
    assert_eq!(bench.ask("GET", "mutable/SI/shares", &[], "").await.hex(), set(&[]));
    // The slot is gone, and its secret with it.
    assert_eq!(bench.rtw_as(OTHER_ENABLER, unhex(writes)).await.status, 200);
    assert_eq!(bench.rtw_as(ENABLER, unhex(writes)).await.status, 401);
}

#[tokio::test]
async fn everything_is_written_or_nothing_and_reads_are_from_before() {
    let bench = Bench::new().await;
    let both = [(0, change(&[], &[(0, b"aaaa")], None)), (1, change(&[], &[(0, b"bbbb")], None))];
    assert_eq!(ask(&bench, &request(&both, &[])).await, (true, vec![]));
    let read = |zero: &'static [u8], one: &'static [u8]| {
        let own = |bytes| vec![Bytes::from_static(bytes)];
        vec![(0, own(zero)), (1, own(one))]
    };
    // One test of three fails.
    let tests = [
        (0, change(&[(0, 4, b"aaaa"), (1, 2, b"aa")], &[(0, b"cccc")], None)),
        (1, change(&[(0, 4, b"bbbX")], &[(0, b"dddd")], None)),
        (2, change(&[(0, 1, b"")], &[(0, b"eeee")], None)),
    ];
    assert_eq!(ask(&bench, &request(&tests, &[(1, 2)])).await, (false, read(b"aa", b"bb")));
    assert_eq!(content(&bench, 0).await.unwrap(), "aaaa");
    assert_eq!(content(&bench, 2).await, None);
    let mut tests = tests;
    tests[1].1.tests[0].specimen = Bytes::from_static(b"bbbb");
    assert_eq!(ask(&bench, &request(&tests, &[(1, 2)])).await, (true, read(b"aa", b"bb")));
    assert_eq!(content(&bench, 0).await.unwrap(), "cccc");
    assert_eq!(content(&bench, 2).await.unwrap(), "eeee");
    // Of all shares, also those that are not named; as much as there is.
    let (_, read) = ask(&bench, &request(&[], &[(0, 2), (3, 100), (50, 1)])).await;
    let expected = |text: &'static str| {
        let part = |at| Bytes::from_static(text.as_bytes()).slice(at);
        vec![part(0..2), part(3..4), Bytes::new()]
    };
    assert_eq!(read, [(0, expected("cccc")), (1, expected("dddd")), (2, expected("eeee"))]);
}

#[tokio::test]
async fn tests_are_of_what_there_is() {
    let bench = Bench::new().await;
    ask(&bench, &request(&[(0, change(&[], &[(0, b"0123456789")], None))], &[])).await;
    let check = async |number: u64, offset: u64, size: u64, specimen: &[u8], holds: bool| {
        let tests = request(&[(number, change(&[(offset, size, specimen)], &[], None))], &[]);
        let done = ask(&bench, &tests).await.0;
        assert_eq!(done, holds, "{number}: {offset}+{size} {specimen:?}");
        if number > 0 && done {
            ask(&bench, &request(&[(number, change(&[], &[], Some(0)))], &[])).await;
        }
    };
    check(0, 0, 10, b"0123456789", true).await;
    check(0, 5, 100, b"56789", true).await;
    check(0, 5, 100, b"567890", false).await;
    check(0, 5, 2, b"567", false).await;
    check(0, 5, 3, b"56", false).await;
    check(0, 10, 5, b"", true).await;
    check(0, u64::MAX, u64::MAX, b"", true).await;
    check(0, 0, 1, b"", false).await;
    check(0, 0, 0, b"", true).await;
    check(1, 0, 1, b"", true).await;
    check(1, 0, 1, b"x", false).await;
    check(1, 0, 0, b"", true).await;
}

#[tokio::test]
async fn what_was_cut_off_never_comes_back() {
    let bench = Bench::new().await;
    let write = async |writes: &[(u64, &[u8])], new_length: Option<u64>| {
        ask(&bench, &request(&[(0, change(&[], writes, new_length))], &[])).await;
        content(&bench, 0).await
    };
    let is = |bytes: &'static [u8]| Some(Bytes::from_static(bytes));
    assert_eq!(write(&[], None).await, is(b""), "a share may be empty");
    assert_eq!(write(&[(0, b"secret stuff")], None).await, is(b"secret stuff"));
    assert_eq!(write(&[], Some(100)).await, is(b"secret stuff"), "it does not grow by that");
    assert_eq!(write(&[(0, b"S")], Some(6)).await, is(b"Secret"));
    assert_eq!(write(&[(9, b"!")], None).await, is(b"Secret\0\0\0!"));
    assert_eq!(write(&[(0, b"a"), (0, b"b"), (2, b"c")], Some(4)).await, is(b"becr"));
    assert_eq!(
        write(&[(6, b"")], None).await,
        is(b"becr\0\0"),
        "writing nothing there is reaching there"
    );
    assert_eq!(write(&[(0, b"gone")], Some(0)).await, None);
    assert_eq!(write(&[(3, b"x")], None).await, is(b"\0\0\0x"));
    assert_eq!(bench.shares().used_bytes(), 4);
}

#[tokio::test]
async fn shares_of_many_blocks_are_what_writes_to_a_plain_buffer_make() {
    let bench = Bench::new().await;
    // A generator of its own, so that a failure can be repeated.
    let mut state = 0x1234_5678_9abc_def1_u64;
    let mut draw = |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    const BLOCK: u64 = 1 << 20;
    let mut models: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
    for round in 0..60 {
        let mut changes = Vec::new();
        for number in 0..2 {
            if draw(3) == 0 {
                continue;
            }
            let mut writes = Vec::new();
            for _ in 0..draw(4) {
                // Around the ends of blocks, where mistakes are.
                let at = (draw(4) * BLOCK + draw(40)).saturating_sub(20);
                let len = [draw(50), BLOCK + draw(50), draw(3)][draw(3) as usize];
                writes.push((at, vec![draw(255) as u8 + 1; len as usize]));
            }
            let new_length = match draw(4) {
                0 => Some((draw(4) * BLOCK + draw(40)).saturating_sub(20)),
                _ => None,
            };
            changes.push((number, writes, new_length));
        }
        let given: Vec<_> = changes
            .iter()
            .map(|(number, writes, new_length)| {
                let writes: Vec<_> = writes.iter().map(|(at, data)| (*at, &data[..])).collect();
                (*number, change(&[], &writes, *new_length))
            })
            .collect();
        ask(&bench, &request(&given, &[])).await;
        for (number, writes, new_length) in changes {
            if new_length == Some(0) {
                models.remove(&number);
                continue;
            }
            let model = models.entry(number).or_default();
            for (at, data) in writes {
                let end = at as usize + data.len();
                model.resize(model.len().max(end), 0);
                model[at as usize..end].copy_from_slice(&data);
            }
            model.truncate(new_length.map_or(usize::MAX, |length| length as usize));
        }
        for number in 0..2 {
            let found = content(&bench, number).await;
            let model = models.get(&number);
            assert_eq!(found.is_some(), model.is_some(), "round {round}, share {number}");
            let same = found.as_deref() == model.map(|model| &model[..]);
            assert!(same, "round {round}, share {number}");
        }
        let used: usize = models.values().map(Vec::len).sum();
        assert_eq!(bench.shares().used_bytes(), used as u64, "round {round}");
    }
}

#[tokio::test]
async fn writes_far_beyond_the_end_cost_nothing_and_huge_ones_are_refused() {
    let bench = Bench::new().await;
    let far = 1 << 50;
    ask(&bench, &request(&[(0, change(&[], &[(far, b"x")], None))], &[])).await;
    let (_, read) = ask(&bench, &request(&[], &[(far - 2, 10)])).await;
    assert_eq!(read, [(0, vec![Bytes::from_static(b"\0\0x")])]);
    let refused = async |request: ReadTestWrite| {
        let done = bench.shares().read_test_write(INDEX, &[9; 32], &SECRETS, &request).await;
        done.unwrap_err().refusal().cloned().unwrap()
    };
    let beyond = request(&[(0, change(&[], &[(69_105_000_000_000_000, b"x")], None))], &[]);
    assert!(matches!(refused(beyond).await, Refusal::TooLarge(_)));
    let overflows = request(&[(0, change(&[], &[(u64::MAX, b"xx")], None))], &[]);
    assert!(matches!(refused(overflows).await, Refusal::TooLarge(_)));
    assert!(matches!(refused(request(&[], &[(0, u64::MAX)])).await, Refusal::TooLarge(_)));
    // A byte in each of many blocks, of which every one would have to be held.
    let scattered: Vec<_> = (0..200).map(|at| (at * (1 << 20) + 1_000_000, &b"x"[..])).collect();
    let scattered = request(&[(1, change(&[], &scattered, None))], &[]);
    assert!(matches!(refused(scattered).await, Refusal::TooLarge(_)));
    assert_eq!(content(&bench, 1).await, None);
    let many: Vec<_> = (0..256).map(|number| (number, change(&[], &[], None))).collect();
    assert!(ask(&bench, &request(&many, &[])).await.0);
    let one_more = request(&[(256, change(&[], &[], None))], &[]);
    assert!(matches!(refused(one_more).await, Refusal::Invalid(_)));
}

#[tokio::test]
async fn a_full_server_takes_no_more_and_a_read_only_one_nothing() {
    let bench = Bench::with(|options| options.quota_bytes = Some(10)).await;
    let grow = request(&[(0, change(&[], &[(0, b"0123456789")], None))], &[]);
    assert!(ask(&bench, &grow).await.0);
    let more = request(&[(1, change(&[], &[(0, b"x")], None))], &[]);
    let refused = bench.shares().read_test_write(INDEX, &[9; 32], &SECRETS, &more).await;
    assert_eq!(refused.unwrap_err().refusal(), Some(&Refusal::NoSpace));
    assert!(ask(&bench, &request(&[(0, change(&[], &[], Some(0)))], &[])).await.0);
    assert!(ask(&bench, &more).await.0);
    let bench = Bench::with(|options| options.read_only = true).await;
    let refused = bench.shares().read_test_write(INDEX, &[9; 32], &SECRETS, &more).await;
    assert_eq!(refused.unwrap_err().refusal(), Some(&Refusal::ReadOnly));
    assert!(ask(&bench, &request(&[], &[(0, 1)])).await.0, "reading is no writing");
}
