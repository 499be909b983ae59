//! What was sealed is opened, and says the same.

use proptest::collection::{btree_set, vec};
use proptest::option::of;
use proptest::prelude::*;

use super::*;
use crate::change::Change;
use crate::writes::Writes;

const LOG: LogId = LogId([5; 16]);

fn bytes() -> impl Strategy<Value = Bytes> {
    prop_oneof![vec(any::<u8>(), 0..6), vec(any::<u8>(), 120..300)].prop_map(Bytes::from)
}

fn range() -> impl Strategy<Value = Range> {
    (bytes(), bytes()).prop_map(|(start, end)| Range { start, end })
}

prop_compose! {
    fn one()(
        id in any::<[u8; 16]>(),
        author in ".{0,4}",
        points in vec((bytes(), bytes()), 0..4),
        keys in vec(bytes(), 0..4),
        ranges in vec(range(), 0..3),
        required in vec((bytes(), of(any::<u64>().prop_map(Version))), 0..3),
        sessions in btree_set(any::<u64>(), 0..3),
        (read_at, repeated) in (any::<u64>(), any::<bool>()),
    ) -> Handed {
        let mut writes = Writes::default();
        for (key, value) in points {
            writes.change(space::key(space::USER, &key), Change::Put(value)).expect("it is a put");
        }
        let mut reads = Reads::default();
        keys.into_iter().for_each(|key| reads.key(key));
        ranges.into_iter().for_each(|range| reads.range(range));
        let id = TransactionId(id);
        let message = String::new();
        let transaction = Logged { id, author, message, cancelled: false, writes };
        Handed { transaction, reads, read_at: Version(read_at), required, sessions, repeated }
    }
}

fn to_hand(handed: &Handed) -> ToHand<'_> {
    let Handed { transaction, reads, read_at, required, sessions, repeated } = handed;
    let (read_at, repeated) = (*read_at, *repeated);
    ToHand { transaction, reads, read_at, required, sessions, repeated }
}

proptest! {
    #[test]
    fn a_request_is_read_as_it_was_written(all in vec(one(), 0..5), numbers in any::<[u64; 3]>()) {
        let secret = secret(b"secret");
        let [from, to, sequence] = numbers;
        let about = (LOG, from, to, sequence);
        let (bytes, signature) = encode_request(&secret, about, all.iter().map(to_hand));
        let (request, again) = decode_request(&secret, &bytes).expect("it was just written");
        prop_assert_eq!(signature, again);
        prop_assert_eq!((request.log, request.from, request.to, request.sequence), about);
        prop_assert_eq!(format!("{:?}", request.transactions), format!("{all:?}"));
        let (twice, _) = encode_request(&secret, about, request.transactions.iter().map(to_hand));
        prop_assert_eq!(twice, bytes);
    }

    #[test]
    fn an_answer_is_read_as_it_was_written_and_answers_one_request(
        slot in any::<u64>(),
        ids in btree_set(any::<[u8; 16]>(), 0..4),
        from in any::<u64>(),
    ) {
        let secret = secret(b"secret");
        let unknown = ids.into_iter().map(TransactionId).collect();
        let settled = Answer::Settled { slot: Slot(slot), unknown };
        for answer in [settled, Answer::Refused(Refusal::Renamed)] {
            let reply = Reply { log: LOG, from, answer };
            let bytes = encode_reply(&secret, &[1; 32], &reply);
            let read = decode_reply(&secret, &[1; 32], &bytes).expect("it was just written");
            prop_assert_eq!(&read, &reply);
            let other = decode_reply(&secret, &[2; 32], &bytes).expect_err("it answers another");
            let denied = ErrorKind::Storage(storage_core::ErrorKind::PermissionDenied);
            prop_assert_eq!(other.kind(), denied);
        }
    }
}

#[test]
fn what_no_handle_writes_is_refused() {
    let secret = secret(b"secret");
    let put = |key: Bytes| {
        let mut writes = Writes::default();
        writes.change(key, Change::Delete).expect("it is no merge");
        writes
    };
    let empties = |start: &'static [u8], end: &'static [u8]| {
        let mut writes = Writes::default();
        let range = Range { start: Bytes::from_static(start), end: Bytes::from_static(end) };
        writes.delete_range(range);
        writes
    };
    let table = [
        (
            put(Bytes::from_static(b"c12345678")),
            false,
            "a transaction writes a key that is nobody's",
        ),
        (put(Bytes::new()), false, "a transaction writes a key that is nobody's"),
        (put(Bytes::from(vec![b'k'; 4098])), false, "a key of 4097 bytes is longer than 4096"),
        (empties(b"a", b"k"), false, "a transaction empties a range that is nobody's"),
        (empties(b"ka", b"sa"), false, "a transaction empties a range that is nobody's"),
        (put(Bytes::from_static(b"ka")), true, "a transaction that is shut out writes something"),
    ];
    for (writes, cancelled, expected) in table {
        let transaction = Logged {
            id: TransactionId([1; 16]),
            author: String::new(),
            message: String::new(),
            cancelled,
            writes,
        };
        let handed = Handed {
            transaction,
            reads: Reads::default(),
            read_at: Version(1),
            required: Vec::new(),
            sessions: BTreeSet::new(),
            repeated: false,
        };
        let all = [to_hand(&handed)];
        let (bytes, _) = encode_request(&secret, (LOG, 1, 2, 3), all.into_iter());
        let error = decode_request(&secret, &bytes).expect_err("it is not to be taken");
        assert_eq!(error.to_string(), expected);
    }
}

/// So that servers of two versions understand each other.
#[test]
fn the_bytes_of_messages_stay_as_they_are() {
    let secret = secret(b"sixteen bytes or more");
    let (greeting, signature) = encode_request(&secret, (LOG, 1, 2, 3), std::iter::empty());
    let reply = Reply {
        log: LOG,
        from: 2,
        answer: Answer::Settled { slot: Slot(300), unknown: BTreeSet::new() },
    };
    let answer = encode_reply(&secret, &signature, &reply);
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(
        (hex(&greeting), hex(&answer)),
        (
            "63626331000000001a218e2f5f457eb0f72a51853c09d02422f4af7c2976a05d13821cbb5ad0181c\
             0a10050505050505050505050505050505051101000000000000001902000000000000002003"
                .to_owned(),
            "63626331010000006b1e55620f2af28a58f168d05de1ee96bd9aecd07cddc2fb82a5ea80342ab146\
             0a100505050505050505050505050505050511020000000000000020ac02"
                .to_owned(),
        )
    );
}
