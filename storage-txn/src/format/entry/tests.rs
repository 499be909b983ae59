//! The bytes of entries are those of the messages that describe them.

use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

use super::*;
use crate::format::value::ValueRef;

/// The message of a transaction, field by field.
fn to_wire(transaction: &Logged) -> wire::Transaction {
    let ranges = transaction.writes.ranges().iter().map(|range| wire::Write {
        key: range.start.clone(),
        change: Some(wire::Change::DeleteUpTo(range.end.clone())),
    });
    let points = transaction.writes.points().map(|(key, change)| wire::Write {
        key: key.clone(),
        change: Some(change_to_wire(change)),
    });
    wire::Transaction {
        id: Bytes::copy_from_slice(&transaction.id.0),
        author: transaction.author.clone(),
        message: transaction.message.clone(),
        writes: ranges.chain(points).collect(),
        cancelled: transaction.cancelled,
    }
}

/// Short ones, and some whose length takes two bytes.
fn bytes() -> impl Strategy<Value = Bytes> {
    prop_oneof![vec(any::<u8>(), 0..6), vec(any::<u8>(), 120..300)].prop_map(Bytes::from)
}

fn change() -> impl Strategy<Value = Change> {
    let merge = prop_oneof![
        any::<i64>().prop_map(Merge::Add),
        any::<i64>().prop_map(Merge::Max),
        bytes().prop_map(Merge::Append),
    ];
    let reference = (any::<u32>(), any::<u32>(), bytes()).prop_map(|(size, number, tail)| {
        let hash = Bytes::from_static(&[7; 32]);
        let bytes = u64::from(size);
        let value = ValueRef { bytes, number, hash, tail, ..ValueRef::default() };
        Change::Ref(Arc::new(value))
    });
    prop_oneof![
        bytes().prop_map(Change::Put),
        Just(Change::Delete),
        vec(merge, 0..3).prop_map(Change::Merge),
        reference,
    ]
}

prop_compose! {
    fn transaction()(
        id in any::<[u8; 16]>(),
        (author, message, cancelled) in (".{0,4}", "(.{0,4}|.{130,140})", any::<bool>()),
        ranges in vec((bytes(), bytes()), 0..3),
        points in vec((bytes(), change()), 0..20),
    ) -> Logged {
        let mut writes = Writes::default();
        for (start, end) in ranges {
            writes.delete_range(Range { start, end });
        }
        for (key, change) in points {
            // Not everything can be merged into everything.
            let _ = writes.change(key, change);
        }
        Logged { id: TransactionId(id), author, message, cancelled, writes }
    }
}

proptest! {
    #[test]
    fn a_batch_has_the_bytes_of_its_message_and_is_read_back(
        first in of(any::<u64>()),
        time in of(any::<u64>()),
        transactions in vec(transaction(), 0..4),
    ) {
        let (first, time) = (first.unwrap_or_default(), time.unwrap_or_default());
        let body = Batch::encode(Version(first), time, &transactions);
        let wires = transactions.iter().map(to_wire).collect();
        let message = wire::Batch { first, time, transactions: wires, moved: None };
        prop_assert_eq!(&body, &message.encode_to_vec());
        let read = Batch::decode(&body.into())?;
        prop_assert_eq!((read.first, read.time), (Version(first), time));
        prop_assert_eq!(read.transactions.len(), transactions.len());
        for (read, written) in read.transactions.iter().zip(&transactions) {
            prop_assert_eq!(to_wire(read), to_wire(written));
        }
    }
}
