//! Between the types of `s3s` and our own.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use s3s::dto::{self, Timestamp};

use crate::body::decode_checksum;
use crate::error::{Code, Error, Result};
use crate::op::conditions::EtagMatch;
use crate::op::tags::{OBJECT_TAGS_MAX, check_tags, parse_tags};
use crate::record::{Algorithm, Checksum, Object, Owner, Pair};

/// What stays as it is in keys that are percent-encoded.
const ENCODED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'*').remove(b'/');
/// The most bytes of metadata of an object: names and values.
const METADATA_BYTES_MAX: usize = 2 << 10;

/// Microseconds since the Unix epoch, before it below zero.
pub(super) fn micros(time: Timestamp) -> i128 {
    time::OffsetDateTime::from(time).unix_timestamp_nanos() / 1000
}

/// The same, where nothing is before the epoch.
pub(super) fn micros_since(time: Timestamp) -> u64 {
    u64::try_from(micros(time)).unwrap_or(0)
}

/// A time, from microseconds since the Unix epoch.
pub(super) fn timestamp(micros: u64) -> Timestamp {
    let time = time::OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1000);
    time.unwrap_or(time::OffsetDateTime::UNIX_EPOCH).into()
}

/// A time in milliseconds, as listings show it.
pub(super) fn shown(micros: u64) -> Timestamp {
    timestamp(micros / 1000 * 1000)
}

pub(super) fn etag(object: &Object) -> dto::ETag {
    dto::ETag::Strong(object.etag())
}

pub(super) fn etag_match(condition: Option<dto::ETagCondition>) -> Option<EtagMatch> {
    condition.map(|condition| match condition {
        dto::ETagCondition::Any => EtagMatch::Any,
        dto::ETagCondition::ETag(tag) => EtagMatch::Of(vec![tag.into_value()]),
    })
}

pub(super) fn owner(owner: &Owner) -> dto::Owner {
    dto::Owner { id: Some(owner.id.clone()), display_name: Some(owner.display().to_owned()) }
}

pub(super) fn initiator(owner: &Owner) -> dto::Initiator {
    dto::Initiator { id: Some(owner.id.clone()), display_name: Some(owner.display().to_owned()) }
}

/// A size, or another number, as `s3s` has them.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A key as a listing shows it.
pub(super) fn encoded(text: &str, url: bool) -> String {
    if url { utf8_percent_encode(text, ENCODED).to_string() } else { text.to_owned() }
}

/// Whether a listing is to have percent-encoded keys.
///
/// # Errors
///
/// [`Code::InvalidArgument`].
pub(super) fn is_url(encoding: Option<&dto::EncodingType>) -> Result<bool> {
    match encoding.map(dto::EncodingType::as_str) {
        None | Some("") => Ok(false),
        Some("url") => Ok(true),
        Some(other) => {
            Err(Error::new(Code::InvalidArgument, format!("{other:?} is no encoding type")))
        }
    }
}

/// How many are listed at most.
///
/// # Errors
///
/// [`Code::InvalidArgument`].
pub(super) fn page_max(max: Option<i32>) -> Result<usize> {
    let max = max.unwrap_or(1000);
    let invalid = |_| Error::new(Code::InvalidArgument, format!("{max} is no number of entries"));
    Ok(usize::try_from(max).map_err(invalid)?.min(1000))
}

/// # Errors
///
/// [`Code::MetadataTooLarge`].
pub(super) fn metadata(metadata: Option<dto::Metadata>) -> Result<Vec<Pair>> {
    let mut pairs: Vec<Pair> = metadata
        .unwrap_or_default()
        .into_iter()
        .map(|(name, value)| Pair { name: name.to_lowercase(), value })
        .collect();
    pairs.sort();
    let bytes: usize = pairs.iter().map(|pair| pair.name.len() + pair.value.len()).sum();
    if bytes > METADATA_BYTES_MAX { Err(Code::MetadataTooLarge.into()) } else { Ok(pairs) }
}

/// The tags that a header has.
///
/// # Errors
///
/// [`Code::InvalidTag`].
pub(super) fn header_tags(header: Option<&str>) -> Result<Vec<Pair>> {
    let mut tags = parse_tags(header.unwrap_or_default());
    check_tags(&tags, OBJECT_TAGS_MAX)?;
    // They are a set, and shown in the order of their names.
    tags.sort();
    Ok(tags)
}

/// The tags that a body has.
///
/// # Errors
///
/// [`Code::InvalidTag`].
pub(super) fn body_tags(tags: Vec<dto::Tag>, max: usize) -> Result<Vec<Pair>> {
    let pair = |tag: dto::Tag| Pair {
        name: tag.key.unwrap_or_default(),
        value: tag.value.unwrap_or_default(),
    };
    let mut tags: Vec<Pair> = tags.into_iter().map(pair).collect();
    check_tags(&tags, max)?;
    tags.sort();
    Ok(tags)
}

pub(super) fn tag_set(tags: &[Pair]) -> Vec<dto::Tag> {
    tags.iter()
        .map(|tag| dto::Tag { key: Some(tag.name.clone()), value: Some(tag.value.clone()) })
        .collect()
}

/// A Content-MD5.
///
/// # Errors
///
/// [`Code::InvalidDigest`].
pub(super) fn content_md5(text: Option<&str>) -> Result<Option<Bytes>> {
    let Some(text) = text else { return Ok(None) };
    let bytes = STANDARD.decode(text).ok().filter(|bytes| bytes.len() == 16);
    bytes.map(|bytes| Some(bytes.into())).ok_or_else(|| Code::InvalidDigest.into())
}

/// Checksums as they stand in the fields of a request, in the order CRC32, CRC32C, CRC64NVME, SHA1, SHA256.
pub(super) type Sums<'a> = [Option<&'a String>; 5];

const ALGORITHMS: [Algorithm; 5] =
    [Algorithm::Crc32, Algorithm::Crc32c, Algorithm::Crc64Nvme, Algorithm::Sha1, Algorithm::Sha256];

/// The one that is there.
///
/// # Errors
///
/// [`Code::InvalidRequest`], for more than one or one that is none.
pub(super) fn one_sum(sums: Sums<'_>) -> Result<Option<(Algorithm, Bytes)>> {
    let mut there = ALGORITHMS.into_iter().zip(sums).filter_map(|(of, sum)| Some((of, sum?)));
    let Some((algorithm, text)) = there.next() else { return Ok(None) };
    if there.next().is_some() {
        return Err(Error::new(Code::InvalidRequest, "more than one checksum was said"));
    }
    // That of parts says how many they are.
    let text = text.split_once('-').map_or(&text[..], |(sum, _)| sum);
    Ok(Some((algorithm, decode_checksum(algorithm, text)?)))
}

/// What answers say of a checksum.
#[derive(Debug, Default)]
pub(super) struct Shown {
    sums: [Option<String>; 5],
    pub(super) kind: Option<dto::ChecksumType>,
    pub(super) algorithm: Option<dto::ChecksumAlgorithm>,
}

impl Shown {
    /// Of an object that was made of so many parts, or of none.
    pub(super) fn of(checksum: Option<&Checksum>, parts: u32) -> Self {
        let Some(checksum) = checksum else { return Self::default() };
        let mut text = STANDARD.encode(&checksum.value);
        if checksum.composite {
            text = format!("{text}-{parts}");
        }
        let mut shown = Self::of_part(checksum.algorithm(), text);
        let kind = if checksum.composite {
            dto::ChecksumType::COMPOSITE
        } else {
            dto::ChecksumType::FULL_OBJECT
        };
        shown.kind = Some(dto::ChecksumType::from_static(kind));
        shown
    }

    /// Of a part, whose checksum has no type.
    pub(super) fn of_part(algorithm: Algorithm, text: String) -> Self {
        let mut sums = <[Option<String>; 5]>::default();
        if let Some(at) = ALGORITHMS.iter().position(|one| *one == algorithm) {
            sums[at] = Some(text);
        }
        let name = dto::ChecksumAlgorithm::from(algorithm.name().to_owned());
        Self { sums, kind: None, algorithm: Some(name) }
    }

    pub(super) fn of_bytes(algorithm: Algorithm, bytes: &[u8]) -> Self {
        if bytes.is_empty() {
            Self::default()
        } else {
            Self::of_part(algorithm, STANDARD.encode(bytes))
        }
    }

    pub(super) fn take(&mut self, algorithm: Algorithm) -> Option<String> {
        let at = ALGORITHMS.iter().position(|one| *one == algorithm)?;
        self.sums[at].take()
    }
}

/// Puts a shown checksum into the fields of an answer.
macro_rules! show {
    ($shown:expr => $into:expr) => {{
        let shown: &mut $crate::door::convert::Shown = &mut $shown;
        $into.checksum_crc32 = shown.take($crate::record::Algorithm::Crc32);
        $into.checksum_crc32c = shown.take($crate::record::Algorithm::Crc32c);
        $into.checksum_crc64nvme = shown.take($crate::record::Algorithm::Crc64Nvme);
        $into.checksum_sha1 = shown.take($crate::record::Algorithm::Sha1);
        $into.checksum_sha256 = shown.take($crate::record::Algorithm::Sha256);
    }};
}
/// The checksums of a request.
macro_rules! sums {
    ($from:expr) => {
        [
            $from.checksum_crc32.as_ref(),
            $from.checksum_crc32c.as_ref(),
            $from.checksum_crc64nvme.as_ref(),
            $from.checksum_sha1.as_ref(),
            $from.checksum_sha256.as_ref(),
        ]
    };
}
pub(super) use {show, sums};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_encoded_as_clients_decode_them() {
        let cases = [
            ("a/b-c_d.e*", "a/b-c_d.e*"),
            ("a b+c", "a%20b%2Bc"),
            ("ä\n", "%C3%A4%0A"),
            ("100%", "100%25"),
        ];
        for (key, expected) in cases {
            assert_eq!(encoded(key, true), expected);
            assert_eq!(encoded(key, false), key);
        }
    }

    #[test]
    fn tags_in_a_header_are_those_of_a_query() {
        let tag = |name: &str, value: &str| Pair { name: name.to_owned(), value: value.to_owned() };
        assert_eq!(header_tags(None).unwrap(), []);
        let tags = header_tags(Some("d&a=1&b+c=%26")).unwrap();
        assert_eq!(tags, [tag("a", "1"), tag("b c", "&"), tag("d", "")]);
        assert_eq!(header_tags(Some("a=1&a=2")).unwrap_err().code(), Some(Code::InvalidTag));
    }

    #[test]
    fn a_content_md5_has_sixteen_bytes() {
        assert_eq!(content_md5(None).unwrap(), None);
        let good = content_md5(Some("1B2M2Y8AsgTpgAmY7PhCfg==")).unwrap();
        assert_eq!(good.unwrap().len(), 16);
        for bad in ["", "YWJyYWNhZGFicmE=", "not base64"] {
            assert_eq!(
                content_md5(Some(bad)).unwrap_err().code(),
                Some(Code::InvalidDigest),
                "{bad}"
            );
        }
    }
}
