//! Containers, there and back, and what is no container.

use std::io::Cursor;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::super::{Container, Content, Schema, StockFolder};
use crate::{Lease, StorageIndex, lease_hash};

pub(super) fn read(bytes: &[u8]) -> std::io::Result<Container> {
    Container::read(&mut Cursor::new(bytes), bytes.len() as u64)
}

pub(super) fn written(container: &Container, share: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    container.write(&mut &share[..], &mut bytes).unwrap();
    bytes
}

pub(super) fn random_container(random: &mut StdRng) -> (Container, Vec<u8>) {
    let share: Vec<u8> = (0..random.random_range(0..2000)).map(|_| random.random()).collect();
    let lease = |random: &mut StdRng| Lease {
        renew_hash: Bytes::copy_from_slice(&random.random::<[u8; 32]>()),
        cancel_hash: Bytes::copy_from_slice(&random.random::<[u8; 32]>()),
        expires: random.random::<u32>().into(),
    };
    let leases = (0..random.random_range(0..9)).map(|_| lease(random)).collect();
    let content = match random.random() {
        true => Content::Immutable,
        false => {
            let mut node = [0; 20];
            node.copy_from_slice(&random.random::<[u8; 32]>()[..20]);
            Content::Mutable { node, write_enabler: random.random() }
        }
    };
    let offset = if content == Content::Immutable { 12 } else { 468 };
    let size = share.len() as u64;
    (Container { schema: Schema::Hashed, content, offset, size, leases }, share)
}

#[test]
fn what_is_written_is_read() {
    let seed = rand::random();
    let mut random = StdRng::seed_from_u64(seed);
    for _ in 0..500 {
        let (container, share) = random_container(&mut random);
        let bytes = written(&container, &share);
        assert!(read(&bytes).unwrap() == container, "seed {seed}");
        let at = container.offset as usize;
        assert_eq!(&bytes[at..at + share.len()], share, "seed {seed}");
    }
}

#[test]
fn no_bytes_make_it_panic_or_read_beyond_the_end() {
    let seed = rand::random();
    let mut random = StdRng::seed_from_u64(seed);
    for _ in 0..3000 {
        let (container, share) = random_container(&mut random);
        let mut bytes = written(&container, &share);
        // The head is where it matters.
        for _ in 0..random.random_range(1..4) {
            let reach = bytes.len().min(120);
            bytes[random.random_range(0..reach)] = random.random();
        }
        bytes.truncate(random.random_range(0..=bytes.len()));
        if let Ok(found) = read(&bytes) {
            assert!(found.offset + found.size <= bytes.len() as u64, "seed {seed}: {found:?}");
        }
    }
}

#[test]
fn every_cut_of_the_head_is_noticed() {
    let mut random = StdRng::seed_from_u64(7);
    for _ in 0..20 {
        let (mut container, share) = random_container(&mut random);
        container.content = Content::Mutable { node: [1; 20], write_enabler: [2; 32] };
        container.offset = 468;
        let bytes = written(&container, &share);
        for cut in [0, 1, 31, 99, 467, 468 + share.len(), bytes.len() - 1] {
            assert!(read(&bytes[..cut]).is_err(), "cut after {cut} of {}", bytes.len());
        }
    }
}

#[test]
fn the_first_schema_has_secrets_that_are_hashed_when_read() {
    let mut bytes = Vec::from(1_u32.to_be_bytes());
    bytes.extend(5_u32.to_be_bytes());
    bytes.extend(1_u32.to_be_bytes());
    bytes.extend(b"share");
    bytes.extend(0_u32.to_be_bytes());
    bytes.extend([b'r'; 32]);
    bytes.extend([b'c'; 32]);
    bytes.extend(1_900_000_000_u32.to_be_bytes());
    let lease = Lease {
        renew_hash: lease_hash(&[b'r'; 32]),
        cancel_hash: lease_hash(&[b'c'; 32]),
        expires: 1_900_000_000,
    };
    let found = read(&bytes).unwrap();
    assert_eq!((found.schema, found.offset, found.size), (Schema::Plain, 12, 5));
    assert_eq!(found.leases, std::slice::from_ref(&lease));

    let mut bytes = Vec::from(*b"Tahoe mutable container v1\n\x75\x09\x44\x03\x8e");
    bytes.extend([9; 20]);
    bytes.extend([8; 32]);
    bytes.extend(3_u64.to_be_bytes());
    // It once was larger.
    bytes.extend((468_u64 + 10).to_be_bytes());
    for place in 0..4 {
        // One place in the middle is free.
        let owner = u32::from(place == 0 || place == 2);
        bytes.extend(owner.to_be_bytes());
        bytes.extend(1_900_000_000_u32.to_be_bytes());
        bytes.extend([b'r'; 32]);
        bytes.extend([b'c'; 32]);
        bytes.extend([9; 20]);
    }
    bytes.extend(b"abcold old");
    bytes.extend(0_u32.to_be_bytes());
    let found = read(&bytes).unwrap();
    assert!(found.content == Content::Mutable { node: [9; 20], write_enabler: [8; 32] });
    assert_eq!((found.schema, found.offset, found.size), (Schema::Plain, 468, 3));
    assert_eq!(found.leases, [lease.clone(), lease]);
}

#[test]
fn what_is_no_container_says_why() {
    let cases: [(&[u8], &str); 4] = [
        (b"", "a container has at least 12 bytes, this has 0"),
        (
            b"hello world, I am a text",
            "it is no container of a share: neither is it mutable, nor is 1751477356 a version of immutable ones",
        ),
        (
            b"\0\0\0\x02\0\0\0\0\0\0\0\x05short",
            "17 bytes have no room for the 5 leases that it should have",
        ),
        (
            b"Tahoe mutable container v1\n\x75\x09\x44\x03\x8e and no more",
            "a mutable container has at least 472 bytes, this has 44",
        ),
    ];
    for (bytes, why) in cases {
        assert_eq!(read(bytes).unwrap_err().to_string(), why);
    }
}

#[test]
fn a_share_that_is_too_short_is_not_written() {
    let container = Container {
        schema: Schema::Hashed,
        content: Content::Immutable,
        offset: 12,
        size: 10,
        leases: vec![],
    };
    let error = container.write(&mut &b"short"[..], &mut Vec::new()).unwrap_err();
    assert_eq!(error.to_string(), "the share ends after 5 of 10 bytes");
}

#[test]
fn a_folder_is_walked_by_storage_index_and_tells_what_is_not_right() {
    let folder = tempfile::tempdir().unwrap();
    let made = StockFolder::create(folder.path()).unwrap();
    let mut indexes = [[3; 16], [200; 16], [7; 16]].map(StorageIndex);
    for index in indexes {
        for number in [0, 11, 2] {
            let place = made.place(index, number);
            std::fs::create_dir_all(place.parent().unwrap()).unwrap();
            std::fs::write(place, b"x").unwrap();
        }
    }
    let upload = folder.path().join("shares/incoming/ab/x");
    std::fs::create_dir_all(upload).unwrap();
    for path in [folder.path().to_path_buf(), folder.path().join("shares")] {
        let found = StockFolder::open(&path).unwrap();
        let entries: Vec<_> = found.entries().unwrap().map(Result::unwrap).collect();
        // Not that of the bytes: digits come before letters.
        indexes.sort_by_key(StorageIndex::to_string);
        assert_eq!(entries.iter().map(|entry| entry.index).collect::<Vec<_>>(), indexes);
        assert!(entries.iter().all(|entry| entry.files.keys().eq(&[0, 2, 11])));
    }
    let odd = made.place(indexes[0], 0).with_file_name("07");
    std::fs::write(&odd, b"x").unwrap();
    let found: Vec<_> = made.entries().unwrap().collect();
    let errors: Vec<_> = found.iter().filter_map(|entry| entry.as_ref().err()).collect();
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0].to_string(), format!("{}: it is not named as a share is", odd.display()));
    assert!(StockFolder::open(&folder.path().join("nowhere")).is_err());
}
