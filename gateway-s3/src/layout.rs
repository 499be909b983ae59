//! Where in the store what is kept: the keys of all records (`docs/formats/s3.md`).

use std::ops::Range;

/// Names a piece of data: when it was stored, in microseconds, and a number drawn at random. Together 16 bytes.
pub(crate) type DataId = [u8; 16];

const BUCKETS: &[u8] = b"s3/b/";
const OBJECTS: &[u8] = b"s3/o/";
const VERSIONS: &[u8] = b"s3/v/";
const NULLS: &[u8] = b"s3/n/";
const DATA: &[u8] = b"s3/d/";
const UPLOADS: &[u8] = b"s3/u/";
const PARTS: &[u8] = b"s3/p/";
const TOKENS: &[u8] = b"s3/t/";
const TOKENS_BY_TIME: &[u8] = b"s3/x/";

/// The record of a bucket.
pub(crate) fn bucket(name: &str) -> Vec<u8> {
    joined(BUCKETS, &[name.as_bytes()])
}

/// Those of all buckets.
pub(crate) fn buckets() -> Range<Vec<u8>> {
    all(BUCKETS)
}

/// The name of the bucket that has its record here.
pub(crate) fn bucket_name(key: &[u8]) -> Option<&str> {
    std::str::from_utf8(key.strip_prefix(BUCKETS)?).ok()
}

/// The newest version of an object, if that is no delete marker. Keys stand as they are, so their order is that of S3.
pub(crate) fn object(bucket: &str, key: &str) -> Vec<u8> {
    joined(OBJECTS, &[bucket.as_bytes(), b"/", key.as_bytes()])
}

/// The object of which this is the newest version.
pub(crate) fn object_key<'a>(bucket: &str, name: &'a [u8]) -> Option<&'a str> {
    let key = name.strip_prefix(OBJECTS)?.strip_prefix(bucket.as_bytes())?.strip_prefix(b"/")?;
    std::str::from_utf8(key).ok()
}

/// Those of all objects of a bucket.
pub(crate) fn objects(bucket: &str) -> Range<Vec<u8>> {
    all(&object(bucket, ""))
}

/// All other versions of all objects of a bucket.
pub(crate) fn versions(bucket: &str) -> Range<Vec<u8>> {
    all(&joined(VERSIONS, &[bucket.as_bytes(), b"/"]))
}

/// All other versions of an object, newest first.
pub(crate) fn versions_of(bucket: &str, key: &str) -> Range<Vec<u8>> {
    all(&ended(VERSIONS, bucket, key))
}

/// One of them, by its place in their order.
pub(crate) fn version(bucket: &str, key: &str, order: u64) -> Vec<u8> {
    let mut name = ended(VERSIONS, bucket, key);
    name.extend((!order).to_be_bytes());
    name
}

/// From where on keys that are `key` or after it have their versions.
pub(crate) fn versions_from(bucket: &str, key: &str) -> Vec<u8> {
    let mut name = joined(VERSIONS, &[bucket.as_bytes(), b"/"]);
    escape(key.as_bytes(), &mut name);
    name
}

/// The object of a version, and the place of that in their order.
pub(crate) fn version_parts(bucket: &str, name: &[u8]) -> Option<(String, u64)> {
    let rest = name.strip_prefix(&joined(VERSIONS, &[bucket.as_bytes(), b"/"])[..])?;
    let (key, order) = rest.split_at_checked(rest.len().checked_sub(8)?)?;
    Some((unescape(key)?, !u64::from_be_bytes(order.try_into().ok()?)))
}

/// Where among [`versions_of`] the null version is, if it is there: its place in their order, 8 bytes.
pub(crate) fn null(bucket: &str, key: &str) -> Vec<u8> {
    joined(NULLS, &[bucket.as_bytes(), b"/", key.as_bytes()])
}

/// A piece of data.
pub(crate) fn data(id: &DataId) -> Vec<u8> {
    joined(DATA, &[id])
}

/// A multipart upload under way.
pub(crate) fn upload(bucket: &str, key: &str, id: &DataId) -> Vec<u8> {
    let mut name = ended(UPLOADS, bucket, key);
    name.extend(id);
    name
}

/// Those of all objects of a bucket, by key and then by when they began.
pub(crate) fn uploads(bucket: &str) -> Range<Vec<u8>> {
    all(&joined(UPLOADS, &[bucket.as_bytes(), b"/"]))
}

/// From where on uploads to `key`, or those after it, are.
pub(crate) fn uploads_from(bucket: &str, key: &str) -> Vec<u8> {
    let mut name = joined(UPLOADS, &[bucket.as_bytes(), b"/"]);
    escape(key.as_bytes(), &mut name);
    name
}

/// From where on uploads to keys after `key` are.
pub(crate) fn uploads_after(bucket: &str, key: &str) -> Vec<u8> {
    all(&ended(UPLOADS, bucket, key)).end
}

/// The object of an upload, and its id.
pub(crate) fn upload_parts(bucket: &str, name: &[u8]) -> Option<(String, DataId)> {
    let rest = name.strip_prefix(&joined(UPLOADS, &[bucket.as_bytes(), b"/"])[..])?;
    let (key, id) = rest.split_at_checked(rest.len().checked_sub(16)?)?;
    Some((unescape(key)?, id.try_into().ok()?))
}

/// A part of an upload.
pub(crate) fn part(upload: &DataId, number: u32) -> Vec<u8> {
    joined(PARTS, &[upload, &number.to_be_bytes()])
}

/// Those of an upload, by number.
pub(crate) fn parts(upload: &DataId) -> Range<Vec<u8>> {
    all(&joined(PARTS, &[upload]))
}

/// The number of a part.
pub(crate) fn part_number(name: &[u8]) -> Option<u32> {
    let number = name.get(PARTS.len() + 16..)?;
    Some(u32::from_be_bytes(number.try_into().ok()?))
}

/// What a batch with a token answered.
pub(crate) fn token(id: &[u8; 32]) -> Vec<u8> {
    joined(TOKENS, &[id])
}

/// That there is one, by when it was answered: microseconds since the Unix epoch.
pub(crate) fn token_by_time(time: u64, id: &[u8; 32]) -> Vec<u8> {
    joined(TOKENS_BY_TIME, &[&time.to_be_bytes(), id])
}

/// Those of before a time.
pub(crate) fn tokens_before(time: u64) -> Range<Vec<u8>> {
    TOKENS_BY_TIME.to_vec()..joined(TOKENS_BY_TIME, &[&time.to_be_bytes()])
}

/// The token of [`token_by_time`].
pub(crate) fn token_of(name: &[u8]) -> Option<[u8; 32]> {
    name.get(TOKENS_BY_TIME.len() + 8..)?.try_into().ok()
}

/// The first string that is after all that begin with `prefix`.
pub(crate) fn after_prefix(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return end;
        }
    }
    // Nothing is after all strings of 255; nothing of ours begins with one.
    vec![u8::MAX; 1 + prefix.len()]
}

fn joined(space: &[u8], rest: &[&[u8]]) -> Vec<u8> {
    let mut name =
        Vec::with_capacity(space.len() + rest.iter().map(|part| part.len()).sum::<usize>());
    name.extend(space);
    rest.iter().for_each(|part| name.extend(*part));
    name
}

fn all(prefix: &[u8]) -> Range<Vec<u8>> {
    prefix.to_vec()..after_prefix(prefix)
}

/// A key with an end, so that what follows it does not take part in the order of keys.
fn ended(space: &[u8], bucket: &str, key: &str) -> Vec<u8> {
    let mut name = joined(space, &[bucket.as_bytes(), b"/"]);
    escape(key.as_bytes(), &mut name);
    name.extend([0, 1]);
    name
}

/// A zero becomes 0, 255, which is after the end 0, 1: so the order is that of the keys, whatever bytes they have.
fn escape(key: &[u8], into: &mut Vec<u8>) {
    for byte in key {
        into.push(*byte);
        if *byte == 0 {
            into.push(u8::MAX);
        }
    }
}

fn unescape(escaped: &[u8]) -> Option<String> {
    let escaped = escaped.strip_suffix(&[0, 1])?;
    let mut key = Vec::with_capacity(escaped.len());
    let mut bytes = escaped.iter();
    while let Some(byte) = bytes.next() {
        key.push(*byte);
        if *byte == 0 && bytes.next() != Some(&u8::MAX) {
            return None;
        }
    }
    String::from_utf8(key).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_a_key_are_between_those_of_its_neighbours_and_newest_first() {
        let keys = ["", "a", "a\0", "a\0\0", "a\0\u{1}", "a\0b", "a\u{1}", "a/b", "ab", "b", "ä"];
        let mut names = Vec::new();
        for key in keys {
            for order in [u64::MAX, 7, 3, 0] {
                let name = version("photos", key, order);
                assert_eq!(version_parts("photos", &name), Some((key.to_owned(), order)));
                assert!(versions_of("photos", key).contains(&name), "{key:?}");
                assert!(versions("photos").contains(&name), "{key:?}");
                assert!(versions_from("photos", key) <= name, "{key:?}");
                names.push(name);
            }
        }
        assert!(names.is_sorted());
        for pair in keys.windows(2) {
            assert!(versions_of("photos", pair[0]).end <= version("photos", pair[1], u64::MAX));
        }
    }

    #[test]
    fn names_of_uploads_and_parts_are_read_as_they_were_written() {
        let id = *b"0123456789abcdef";
        for key in ["a", "a\0b", "a/b/c"] {
            let name = upload("b-1", key, &id);
            assert_eq!(upload_parts("b-1", &name), Some((key.to_owned(), id)));
            assert_eq!(upload_parts("b-2", &name), None);
        }
        assert_eq!(part_number(&part(&id, 10_000)), Some(10_000));
        assert!(parts(&id).contains(&part(&id, 1)));
        assert_eq!(bucket_name(&bucket("b-1")), Some("b-1"));
    }

    #[test]
    fn a_bucket_does_not_reach_into_another_whose_name_it_begins() {
        assert!(!objects("a").contains(&object("a-b", "k")));
        assert!(!versions("a").contains(&version("a.b", "k", 1)));
    }
}
