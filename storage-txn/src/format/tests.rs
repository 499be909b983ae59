//! What is written today has the bytes that it had when the golden files were written.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use prost::Message;
use storage_core::Key;
use storage_log::{Record, Slot};

use crate::format::checkpoint::Checkpoint;
use crate::format::entry::Batch;
use crate::format::root;
use crate::format::segment::{SegmentId, TRAILER_BYTES, Tail};

fn golden(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/format-1").join(path)
}

fn read(path: &str) -> Bytes {
    std::fs::read(golden(path)).unwrap().into()
}

/// The names of the files in a folder.
fn names(folder: &str) -> Vec<String> {
    let entries = std::fs::read_dir(golden(folder)).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn what_was_decoded_of_a_golden_file_has_its_bytes_again() {
    let format = read("objects/format");
    let log = root::Root::decode(&format).unwrap();
    assert_eq!(log.encode(), format);
    let log = log.id;
    let entries = names("collected/log");
    for name in &entries {
        let slot = Slot(u64::from_str_radix(name, 16).unwrap());
        let record = Record::decode(log, slot, read(&format!("collected/log/{name}"))).unwrap();
        let body = record.body().unwrap();
        let batch = Batch::decode(body).unwrap();
        let encoded = Batch::encode(batch.first, batch.time, &batch.transactions);
        assert_eq!(encoded, body[..], "{name}");
        assert_eq!(record.tombstone(), read(&format!("objects/log/{name}")), "{name}");
    }
    let checkpoints = names("objects/checkpoint");
    for name in &checkpoints {
        let key = Key::new(format!("checkpoint/{name}")).unwrap();
        let body = read(&format!("objects/{key}"));
        let checkpoint = Checkpoint::decode(log, &key, &body).unwrap();
        assert_eq!(checkpoint.encode(log), body, "{name}");
        for (id, _, about) in checkpoint.system.segments().unwrap() {
            let named = checkpoint.system.get(id.to_string().as_bytes()).unwrap().1;
            assert_eq!(about.encode_to_vec(), named[..]);
        }
    }
    let sessions = names("objects/segment");
    for session in &sessions {
        let body = read(&format!("objects/segment/{session}/00000000"));
        let id = SegmentId { session: u64::from_str_radix(session, 16).unwrap(), number: 0 };
        let trailer = body.len() - TRAILER_BYTES;
        let tail_bytes = u32::from_le_bytes(body[trailer..trailer + 4].try_into().unwrap());
        let offset = trailer - tail_bytes as usize;
        let stored = body.slice(offset..);
        assert_eq!(Tail::read(id, offset as u64, &stored).unwrap().store(offset as u64), stored);
    }
    assert_eq!((entries.len(), checkpoints.len(), sessions.len()), (8, 2, 2));
}
