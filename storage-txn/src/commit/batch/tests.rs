//! What is committed together, and what those are answered that wait where nothing is committed any more.

#![allow(clippy::unwrap_used, reason = "a test may stop at what cannot be")]

use bytes::Bytes;
use futures_channel::oneshot;
use futures_executor::block_on;

use super::*;
use crate::commit::Hands;
use crate::format::entry::Logged;
use crate::format::value::ValueRef;
use crate::reads::Reads;
use crate::writes::Writes;

fn waiting(cancelled: bool, refused: Option<Error>, writes: Writes) -> (Waiting, Answer) {
    let (reply, answer) = oneshot::channel();
    let [author, message] = [String::new(), String::new()];
    let transaction = Logged { id: TransactionId([3; 16]), author, message, cancelled, writes };
    let waiting = Waiting {
        transaction,
        reads: Reads::default(),
        read_at: Version::ZERO,
        required: Vec::new(),
        sessions: BTreeSet::new(),
        repeated: false,
        hands: Hands::Own,
        refused,
        reply,
    };
    (waiting, answer)
}

type Answer = oneshot::Receiver<Result<Receipt>>;

#[test]
fn who_is_shut_out_of_a_sealed_store_is_cancelled_and_all_others_are_told_why() {
    let why = || Error::new(ErrorKind::ReadOnly, "the store is sealed");
    let before = || Error::new(ErrorKind::Conflict, "somebody was faster");
    for (is_sealed, cancelled, refused, expected) in [
        (true, false, None, ErrorKind::ReadOnly),
        (true, true, None, ErrorKind::Cancelled),
        // Of a copy its store decides what becomes of the transaction.
        (false, true, None, ErrorKind::ReadOnly),
        (false, false, None, ErrorKind::ReadOnly),
        (true, true, Some(before()), ErrorKind::Conflict),
        (false, false, Some(before()), ErrorKind::Conflict),
    ] {
        let case = format!("sealed {is_sealed}, cancelled {cancelled}, refused {refused:?}");
        let (waiting, mut answer) = waiting(cancelled, refused, Writes::default());
        let mut batch = vec![waiting];
        refuse_all(&mut batch, &why(), is_sealed);
        assert!(batch.is_empty(), "{case}");
        let error = answer.try_recv().unwrap().unwrap().unwrap_err();
        assert_eq!(error.kind(), expected, "{case}");
    }
}

#[test]
fn only_what_takes_the_seal_away_may_stay_in_a_sealed_store() {
    let seal = space::system(SEALED);
    for (is_sealed, key, change, stays) in [
        (true, seal.clone(), Change::Delete, true),
        (true, seal.clone(), Change::Put("2".into()), false),
        (true, space::system(b"other"), Change::Delete, false),
        (false, seal, Change::Delete, false),
    ] {
        let case = format!("sealed {is_sealed}, {change:?} of {}", key.escape_ascii());
        let mut writes = Writes::default();
        writes.change(key, change).unwrap();
        let (waiting, mut answer) = waiting(false, None, writes);
        let mut batch = vec![waiting];
        refuse_all(&mut batch, &Error::new(ErrorKind::ReadOnly, "it is"), is_sealed);
        assert_eq!(batch.len() == 1, stays, "{case}");
        assert_eq!(answer.try_recv().unwrap().is_none(), stays, "{case}");
    }
}

#[test]
fn who_lets_go_of_a_large_value_sees_that_another_of_its_batch_puts_it_back() {
    let of = |number| ValueRef {
        bytes: 9,
        session: 7,
        number,
        offset: 0,
        chunk_bytes: 5,
        nonce: 1,
        hash: Bytes::from_static(&[1; 32]),
        tail: Bytes::new(),
    };
    for (released, is_refused) in [(3, true), (4, false)] {
        // As an undo does, or a copy.
        let mut writes = Writes::default();
        writes.change(space::key(space::USER, b"file"), Change::Ref(of(3).into())).unwrap();
        let (puts_back, _undone) = waiting(false, None, writes);
        // As packing does: nobody may put it meanwhile.
        let mut writes = Writes::default();
        writes.change(space::system(b"obsolete"), Change::Put(Bytes::new())).unwrap();
        let (mut lets_go, mut answer) = waiting(false, None, writes);
        lets_go.transaction.id = TransactionId([4; 16]);
        lets_go.reads.range(space::values(of(released).id()));
        let mut batch = vec![puts_back, lets_go];
        let view = View::default();
        let sorted = sort_out(&mut batch, &view, Version::ZERO, true);
        assert_eq!(block_on(sorted).unwrap(), Sorted::Ready);
        assert_eq!(batch.len(), if is_refused { 1 } else { 2 }, "value {released} is let go");
        let told = answer.try_recv().unwrap();
        let told = told.map(|result| result.unwrap_err().kind());
        assert_eq!(told, is_refused.then_some(ErrorKind::Conflict), "value {released}");
    }
}
