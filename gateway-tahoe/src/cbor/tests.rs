//! The bytes that the client and the stock server exchange, and what neither would ever send.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::read::AllocateRequest;
use super::*;
use crate::uploads::Allocated;
use crate::{Answer, Error, ReadTestWrite, ReadVector, Refusal, ShareChange, Test, Write};

fn unhex(hex: &str) -> Bytes {
    data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap().into()
}

fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

#[test]
fn answers_have_the_bytes_of_the_stock_server() {
    let set = |numbers: &[u64]| -> BTreeSet<u64> { numbers.iter().copied().collect() };
    let given = Allocated { already_have: set(&[]), allocated: set(&[0, 1]) };
    let expected = "a26c616c72656164792d68617665d901028069616c6c6f6361746564d90102820001";
    assert_eq!(hex(&allocated(&given)), expected);
    let missing = 50..100;
    let expected = "a168726571756972656481a265626567696e183263656e641864";
    assert_eq!(hex(&required(&[missing])), expected);
    assert_eq!(hex(&required(&[])), "a168726571756972656480");
    assert_eq!(hex(&numbers(&set(&[1, 5]))), "d90102820105");
    assert_eq!(hex(&numbers(&set(&[]))), "d9010280");
    let data = BTreeMap::from([(0, vec![Bytes::from_static(b"hello")]), (3, vec![Bytes::new()])]);
    let answer = read_test_written(&Answer { success: true, data });
    assert_eq!(hex(&answer), "a26773756363657373f56464617461a200814568656c6c6f038140");
    let said = version(1, 2, 3, "x");
    let mut at = ciborium_ll::Decoder::from(&said[..]);
    assert_eq!(at.pull().unwrap(), ciborium_ll::Header::Map(Some(2)));
    assert_eq!(at.pull().unwrap(), ciborium_ll::Header::Bytes(Some(47)));
}

#[test]
fn requests_of_the_client_are_understood() {
    let body = "a26d73686172652d6e756d62657273d901028200016e616c6c6f63617465642d73697a651907bf";
    let read = read_allocate(unhex(body)).unwrap();
    assert_eq!(read, AllocateRequest { numbers: [0, 1].into(), size: 1983 });
    assert_eq!(read_corrupt(unhex("a166726561736f6e63626164")).unwrap(), "bad");
    let body = "a272746573742d77726974652d766563746f7273a100a3647465737481a3666f6666736574006473697a65\
                016873706563696d656e4065777269746581a2666f66667365740064646174614568656c6c6f6a6e65772d\
                6c656e677468f66b726561642d766563746f7281a2666f6666736574006473697a651829";
    let change = ShareChange {
        tests: vec![Test { offset: 0, size: 1, specimen: Bytes::new() }],
        writes: vec![Write { offset: 0, data: Bytes::from_static(b"hello") }],
        new_length: None,
    };
    let expected = ReadTestWrite {
        changes: BTreeMap::from([(0, change)]),
        reads: vec![ReadVector { offset: 0, size: 41 }],
    };
    assert_eq!(read_test_write(unhex(body)).unwrap(), expected);
}

#[test]
fn lengths_need_not_be_said_before() {
    // The map, its keys, the set and the strings, each of indefinite length.
    let body =
        "bf7f6673686172652d676e756d62657273ffd901029f0001ff6e616c6c6f63617465642d73697a651907bfff";
    let read = read_allocate(unhex(body)).unwrap();
    assert_eq!(read, AllocateRequest { numbers: [0, 1].into(), size: 1983 });
    assert_eq!(read_corrupt(unhex("bf66726561736f6e7f6262616164ffff")).unwrap(), "bad");
}

#[test]
fn what_comes_after_the_item_is_not_looked_at() {
    assert_eq!(read_corrupt(unhex("a166726561736f6e63626164ffff")).unwrap(), "bad");
}

#[test]
fn what_the_schema_does_not_have_is_refused() {
    let refused = |result: crate::Result<()>, body: &str| match result {
        Err(Error::Refused(Refusal::Invalid(_))) => {}
        other => panic!("{body}: {other:?}"),
    };
    let allocate = [
        "",
        "a0",
        "ff",
        "00",
        "f6",
        // One key only, a third one, one twice.
        "a16e616c6c6f63617465642d73697a6501",
        "a36d73686172652d6e756d62657273d90102806e616c6c6f63617465642d73697a6501617801",
        "a26e616c6c6f63617465642d73697a65016e616c6c6f63617465642d73697a6501",
        // No tag, another tag, a map in it, a negative number, a text, a fraction.
        "a26d73686172652d6e756d6265727381006e616c6c6f63617465642d73697a6501",
        "a26d73686172652d6e756d62657273d9010381006e616c6c6f63617465642d73697a6501",
        "a26d73686172652d6e756d62657273d90102a16e616c6c6f63617465642d73697a6501",
        "a26d73686172652d6e756d62657273d9010281206e616c6c6f63617465642d73697a6501",
        "a26d73686172652d6e756d62657273d901028161616e616c6c6f63617465642d73697a6501",
        "a26d73686172652d6e756d62657273d90102806e616c6c6f63617465642d73697a65f93c00",
        // Keys of bytes.
        "a24d73686172652d6e756d62657273d90102804e616c6c6f63617465642d73697a6501",
        // Lengths that nothing has.
        "bbffffffffffffffff",
        "a26d73686172652d6e756d62657273d901029bffffffffffffffff",
        "7bffffffffffffffff",
        "a27bffffffffffffffff",
    ];
    for body in allocate {
        refused(read_allocate(unhex(body)).map(|_| ()), body);
    }
    // 257 numbers.
    let mut body = unhex("a26d73686172652d6e756d62657273d90102990101").to_vec();
    body.extend([0; 257]);
    body.extend(unhex("6e616c6c6f63617465642d73697a6501"));
    refused(read_allocate(body.into()).map(|_| ()), "257 numbers");
    for body in ["a0", "a166726561736f6e60", "a166726561736f6e43626164", "a166726561736f6e61ff"] {
        refused(read_corrupt(unhex(body)).map(|_| ()), body);
    }
    let mut long = unhex("a166726561736f6e797ffe").to_vec();
    long.extend([b'x'; 32_766]);
    refused(read_corrupt(long.into()).map(|_| ()), "a reason of 32766 bytes");
    let body = "a272746573742d77726974652d766563746f7273a100a2647465737480657772697465806b726561642d766563746f7280";
    refused(read_test_write(unhex(body)).map(|_| ()), "no new-length");
}

#[test]
fn segments_are_joined_up_to_a_bound_of_the_whole_request() {
    // Two shares with data of two segments each.
    let of = |bytes: usize| {
        let mut body = unhex("a272746573742d77726974652d766563746f7273a2").to_vec();
        for share in 0..2 {
            body.push(share);
            let begin = "a364746573748065777269746581a2666f66667365740064646174615f";
            body.extend(unhex(begin));
            for _ in 0..2 {
                body.push(0x5a);
                body.extend(u32::try_from(bytes).unwrap().to_be_bytes());
                body.resize(body.len() + bytes, 7);
            }
            body.extend(unhex("ff6a6e65772d6c656e677468f6"));
        }
        body.extend(unhex("6b726561642d766563746f7280"));
        read_test_write(body.into())
    };
    let most = of(256 << 10).unwrap();
    assert_eq!(most.changes[&1].writes[0].data.len(), 512 << 10);
    assert!(of((256 << 10) + 1).is_err());
}

#[test]
fn a_body_that_ends_anywhere_is_refused_and_not_more_is_taken_than_there_is() {
    let body = unhex(
        "a272746573742d77726974652d766563746f7273a100a3647465737481a3666f6666736574006473697a65016873706563696d65\
         6e4065777269746581a2666f66667365740064646174614568656c6c6f6a6e65772d6c656e677468f66b726561642d766563746f\
         7281a2666f6666736574006473697a651829",
    );
    for end in 0..body.len() {
        assert!(read_test_write(body.slice(..end)).is_err(), "{end}");
    }
    // Every byte replaced by every other: refused or understood, and never a panic.
    let mut bytes = body.to_vec();
    for at in 0..bytes.len() {
        let old = bytes[at];
        for new in 0..=255 {
            bytes[at] = new;
            let _ = read_test_write(Bytes::copy_from_slice(&bytes));
        }
        bytes[at] = old;
    }
}
