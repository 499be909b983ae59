//! The sums of a body: MD5, and one of the checksums that S3 knows.

use bytes::Bytes;
use crc_fast::CrcAlgorithm;
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::record::Algorithm;

/// Sums that are being made.
pub(crate) struct Digester {
    md5: Md5,
    checksum: Sum,
    algorithm: Algorithm,
    bytes: u64,
}

/// The sums of some bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Digests {
    pub(crate) md5: Bytes,
    pub(crate) algorithm: Algorithm,
    /// In the order in which it is sent: the highest byte first.
    pub(crate) checksum: Option<Bytes>,
    pub(crate) bytes: u64,
}

enum Sum {
    None,
    Crc(crc_fast::Digest),
    Sha1(Sha1),
    Sha256(Sha256),
}

impl Digester {
    pub(crate) fn new(algorithm: Option<Algorithm>) -> Self {
        let algorithm = algorithm.unwrap_or(Algorithm::Unknown);
        let checksum = match algorithm {
            Algorithm::Unknown => Sum::None,
            Algorithm::Sha1 => Sum::Sha1(Sha1::new()),
            Algorithm::Sha256 => Sum::Sha256(Sha256::new()),
            Algorithm::Crc32 | Algorithm::Crc32c | Algorithm::Crc64Nvme => {
                Sum::Crc(crc_fast::Digest::new(crc_of(algorithm)))
            }
        };
        Self { md5: Md5::new(), checksum, algorithm, bytes: 0 }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        self.md5.update(bytes);
        match &mut self.checksum {
            Sum::None => {}
            Sum::Crc(crc) => crc.update(bytes),
            Sum::Sha1(sha) => sha.update(bytes),
            Sum::Sha256(sha) => sha.update(bytes),
        }
    }

    pub(crate) fn finish(self) -> Digests {
        let checksum = match self.checksum {
            Sum::None => None,
            Sum::Crc(crc) => Some(crc_bytes(self.algorithm, crc.finalize())),
            Sum::Sha1(sha) => Some(Bytes::copy_from_slice(&sha.finalize())),
            Sum::Sha256(sha) => Some(Bytes::copy_from_slice(&sha.finalize())),
        };
        Digests {
            md5: Bytes::copy_from_slice(&self.md5.finalize()),
            algorithm: self.algorithm,
            checksum,
            bytes: self.bytes,
        }
    }
}

/// The checksum of bytes from those of what they are made of, each with its length. `None` for an algorithm that
/// cannot tell.
pub(crate) fn combine<'a>(
    algorithm: Algorithm,
    parts: impl Iterator<Item = (&'a Bytes, u64)>,
) -> Option<Bytes> {
    if !matches!(algorithm, Algorithm::Crc32 | Algorithm::Crc32c | Algorithm::Crc64Nvme) {
        return None;
    }
    let crc = crc_of(algorithm);
    let mut whole: Option<u64> = None;
    for (checksum, bytes) in parts {
        if checksum.len() != algorithm.bytes() {
            return None;
        }
        let part = checksum.iter().fold(0, |sum: u64, byte| sum << 8 | u64::from(*byte));
        whole = Some(match whole {
            Some(before) => crc_fast::checksum_combine(crc, before, part, bytes),
            None => part,
        });
    }
    whole.map(|whole| crc_bytes(algorithm, whole))
}

fn crc_of(algorithm: Algorithm) -> CrcAlgorithm {
    match algorithm {
        Algorithm::Crc32 => CrcAlgorithm::Crc32IsoHdlc,
        Algorithm::Crc32c => CrcAlgorithm::Crc32Iscsi,
        _ => CrcAlgorithm::Crc64Nvme,
    }
}

fn crc_bytes(algorithm: Algorithm, crc: u64) -> Bytes {
    let bytes = crc.to_be_bytes();
    Bytes::copy_from_slice(&bytes[bytes.len() - algorithm.bytes()..])
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    use super::*;
    use crate::record::hex;

    fn digests(algorithm: Algorithm, bytes: &[u8]) -> Digests {
        let mut digester = Digester::new(Some(algorithm));
        bytes.chunks(7).for_each(|chunk| digester.update(chunk));
        digester.finish()
    }

    #[test]
    fn checksums_are_those_that_other_programs_come_to() {
        let cases = [
            (Algorithm::Crc32, "y/Q5Jg=="),
            (Algorithm::Crc32c, "4waSgw=="),
            (Algorithm::Crc64Nvme, "rosUhgp5mIg="),
            (Algorithm::Sha1, "98O8HYCOBHMq32eZZczDTKeuNEE="),
            (Algorithm::Sha256, "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU="),
        ];
        for (algorithm, expected) in cases {
            let digests = digests(algorithm, b"123456789");
            let text = STANDARD.encode(digests.checksum.as_ref().unwrap());
            assert_eq!(text, expected, "{}", algorithm.name());
            assert_eq!(hex(&digests.md5), "25f9e794323b453885f5181f1b624d0b");
            assert_eq!(digests.bytes, 9);
        }
    }

    #[test]
    fn checksums_of_parts_combine_to_that_of_the_whole() {
        let bytes: Vec<u8> = (0..100_000_u32).map(|at| (at * 7 + at / 256) as u8).collect();
        for algorithm in [Algorithm::Crc32, Algorithm::Crc32c, Algorithm::Crc64Nvme] {
            let parts: Vec<_> = bytes
                .chunks(33_333)
                .map(|part| (digests(algorithm, part).checksum.unwrap(), part.len() as u64))
                .collect();
            let combined = combine(algorithm, parts.iter().map(|(sum, bytes)| (sum, *bytes)));
            assert_eq!(combined, digests(algorithm, &bytes).checksum, "{}", algorithm.name());
        }
        assert_eq!(combine(Algorithm::Sha1, std::iter::empty()), None);
    }
}
