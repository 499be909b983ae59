//! What people are told: where something is and what is wrong, never what was stored.

#![allow(clippy::unwrap_used, reason = "a test may stop at what cannot be")]

use std::error::Error as _;

use storage_core::ErrorKind;
use storage_log::{Entry, Error, Head, LogId, Record, Slot};

const LOG: LogId = LogId([7; 16]);

#[test]
fn slots_entries_and_records_print_their_place_and_how_much_there_is() {
    let entry = Entry::new(LOG, Head::genesis(LOG), [1; 16], b"secret");
    let record = Record::from(&entry);
    let (id, previous) = (record.id(), record.previous());
    let collected = Record::decode(LOG, Slot(1), record.tombstone()).unwrap();
    for (said, expected) in [
        (Slot(17).to_string(), "17".to_owned()),
        (LOG.to_string(), "07".repeat(16)),
        (
            format!("{record:?}"),
            format!("Record {{ slot: 1, id: {id}, previous: {previous}, body: 6 bytes, .. }}"),
        ),
        (
            format!("{collected:?}"),
            format!(
                "Record {{ slot: 1, id: {id}, previous: {previous}, body: \"collected\", .. }}"
            ),
        ),
        (format!("{entry:?}"), format!("Entry({record:?})")),
    ] {
        assert_eq!(said, expected);
    }
}

#[test]
fn an_error_says_what_it_says_below_and_keeps_its_cause() {
    let cause = std::io::Error::other("the disk is gone");
    let below = storage_core::Error::not_applied(ErrorKind::Unavailable, "no answer");
    let error = Error::from(below.with_source(cause));
    assert_eq!(error.to_string(), "unavailable: no answer");
    assert_eq!(error.source().unwrap().to_string(), "the disk is gone");

    let record = Record::from(&Entry::new(LOG, Head::genesis(LOG), [1; 16], b""));
    let error = Head { slot: Slot(4), ..Head::genesis(LOG) }.follow(&record).unwrap_err();
    assert_eq!(error.to_string(), "log slot 5: corrupt: it holds the entry of slot 1");
    assert!(error.source().is_none());
}
