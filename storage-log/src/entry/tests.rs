use proptest::prelude::*;

use super::*;

const LOG: LogId = LogId([7; 16]);

fn entry(body: &[u8]) -> Entry {
    Entry::new(LOG, Head::genesis(LOG), [9; 16], body)
}

fn flipped(bytes: &Bytes, at: usize, bit: u8) -> Bytes {
    let mut bytes = bytes.to_vec();
    bytes[at] ^= 1 << bit;
    bytes.into()
}

#[test]
fn every_flipped_bit_and_every_cut_of_an_entry_and_of_a_tombstone_is_found() {
    let entry = entry(b"some body");
    for bytes in [entry.bytes().clone(), Record::from(&entry).tombstone()] {
        Record::decode(LOG, Slot(1), bytes.clone()).unwrap();
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let found = Record::decode(LOG, Slot(1), flipped(&bytes, at, bit));
                assert!(found.is_err(), "bit {bit} of byte {at}");
            }
            assert!(Record::decode(LOG, Slot(1), bytes.slice(..at)).is_err(), "cut to {at}");
        }
        let longer: Bytes = [&bytes[..], &[0]].concat().into();
        assert!(Record::decode(LOG, Slot(1), longer).is_err(), "a byte too many");
    }
}

#[test]
fn an_entry_of_another_log_or_slot_is_told_apart() {
    let bytes = entry(b"body").bytes().clone();
    let other_log = Record::decode(LogId([8; 16]), Slot(1), bytes.clone()).unwrap_err();
    assert_eq!(
        other_log.to_string(),
        "log slot 1: corrupt: it belongs to the log 07070707070707070707070707070707, not \
         08080808080808080808080808080808"
    );
    let other_slot = Record::decode(LOG, Slot(2), bytes).unwrap_err();
    assert_eq!(other_slot.to_string(), "log slot 2: corrupt: it holds the entry of slot 1");
}

#[test]
fn a_tombstone_keeps_the_id_the_place_and_the_link() {
    let record = Record::from(&entry(b"body"));
    let left = Record::decode(LOG, Slot(1), record.tombstone()).unwrap();
    assert_eq!(
        (left.id(), left.slot(), left.previous()),
        (record.id(), record.slot(), record.previous())
    );
    assert_eq!((left.body(), left.nonce(), record.nonce()), (None, [9; 16], [9; 16]));
    assert_eq!(left.tombstone(), record.tombstone(), "collecting twice is the same as once");
}

#[test]
fn a_chain_that_was_forked_or_has_a_gap_is_not_followed() {
    let genesis = Head::genesis(LOG);
    let first = Record::from(&entry(b"first"));
    let head = genesis.follow(&first).unwrap();
    let second = Record::from(&Entry::new(LOG, head, [1; 16], b"second"));
    let other = genesis.follow(&Record::from(&entry(b"other"))).unwrap();
    assert!(genesis.follow(&second).is_err(), "a gap");
    assert!(other.follow(&second).unwrap_err().to_string().contains("rolled back or forked"));
    assert_eq!(head.follow(&second).unwrap().slot, Slot(2));
}

#[test]
fn debug_shows_no_body() {
    let entry = entry(b"secret");
    assert!(!format!("{entry:?} {:?}", Record::from(&entry)).contains("secret"));
}

proptest! {
    #[test]
    fn any_body_comes_back(body: Vec<u8>, slot in 0..u64::MAX, nonce: [u8; 16]) {
        let head = Head { slot: Slot(slot), id: EntryId([3; 32]) };
        let entry = Entry::new(LOG, head, nonce, &body);
        let record = Record::decode(LOG, entry.slot(), entry.bytes().clone()).unwrap();
        prop_assert_eq!(record.body().unwrap(), &body);
        prop_assert_eq!(entry.bytes().len(), ENTRY_OVERHEAD_BYTES + body.len());
    }

    #[test]
    fn no_bytes_make_the_decoder_panic(bytes: Vec<u8>) {
        let _ = Record::decode(LOG, Slot(1), bytes.into());
    }
}
