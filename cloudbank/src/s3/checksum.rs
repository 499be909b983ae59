//! Sums of what is sent and of what has arrived.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crc_fast::CrcAlgorithm;
use http::HeaderMap;
use md5::{Digest, Md5};
use sha2::Sha256;

use super::sign::hexadecimal;

/// What is added to an upload, for the service to check and to keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Crc64Nvme,
    Crc32c,
    Crc32,
}

impl Algorithm {
    /// Its name in the protocol.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Crc64Nvme => "CRC64NVME",
            Self::Crc32c => "CRC32C",
            Self::Crc32 => "CRC32",
        }
    }

    /// The header that carries it.
    pub(crate) fn header(self) -> String {
        format!("x-amz-checksum-{}", self.name().to_ascii_lowercase())
    }

    fn crc(self) -> CrcAlgorithm {
        match self {
            Self::Crc64Nvme => CrcAlgorithm::Crc64Nvme,
            Self::Crc32c => CrcAlgorithm::Crc32Iscsi,
            Self::Crc32 => CrcAlgorithm::Crc32IsoHdlc,
        }
    }

    pub(crate) fn of(self, bytes: &[u8]) -> u64 {
        crc_fast::checksum(self.crc(), bytes)
    }

    /// That of two pieces, from that of each.
    pub(crate) fn combined(self, first: u64, second: u64, second_bytes: u64) -> u64 {
        crc_fast::checksum_combine(self.crc(), first, second, second_bytes)
    }

    /// As it is sent: the highest byte first, in Base64.
    pub(crate) fn written(self, sum: u64) -> String {
        match self {
            Self::Crc64Nvme => STANDARD.encode(sum.to_be_bytes()),
            Self::Crc32c | Self::Crc32 => STANDARD.encode(&sum.to_be_bytes()[4..]),
        }
    }
}

/// What all of an object must come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Expected {
    Crc(Algorithm, String),
    Sha256(String),
    /// The ETag of an object that was put in one piece, in lower case.
    Md5(String),
}

impl Expected {
    /// What the head of an answer promises of the whole object, as far as it can be checked.
    pub(crate) fn of(headers: &HeaderMap, etag: &str) -> Option<Self> {
        let get = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        // The sum of the sums of parts says nothing to who does not know the parts.
        let composite = get("x-amz-checksum-type") == Some("COMPOSITE");
        let whole = |name: &str| {
            get(name).filter(|sum| !composite && !sum.contains('-')).map(str::to_owned)
        };
        for algorithm in [Algorithm::Crc64Nvme, Algorithm::Crc32c, Algorithm::Crc32] {
            // Of parts, some services tell something under that name that has not even its length.
            let sum = whole(&algorithm.header());
            if let Some(sum) = sum.filter(|sum| sum.len() == algorithm.written(0).len()) {
                return Some(Self::Crc(algorithm, sum));
            }
        }
        if let Some(sum) = whole("x-amz-checksum-sha256") {
            return Some(Self::Sha256(sum));
        }
        // With keys of its own the service makes ETags of something else.
        let encrypted = get("x-amz-server-side-encryption").is_some_and(|how| how != "AES256")
            || get("x-amz-server-side-encryption-customer-algorithm").is_some();
        let etag = etag.trim_matches('"').to_ascii_lowercase();
        let is_md5 = etag.len() == 32 && etag.bytes().all(|byte| byte.is_ascii_hexdigit());
        (is_md5 && !encrypted).then_some(Self::Md5(etag))
    }

    pub(crate) fn summer(&self) -> Summer {
        match self {
            Self::Crc(algorithm, _) => {
                Summer::Crc(*algorithm, crc_fast::Digest::new(algorithm.crc()))
            }
            Self::Sha256(_) => Summer::Sha256(Sha256::new()),
            Self::Md5(_) => Summer::Md5(Md5::new()),
        }
    }

    /// What it is called, and what it should be.
    fn parts(&self) -> (&'static str, &str) {
        match self {
            Self::Crc(algorithm, sum) => (algorithm.name(), sum),
            Self::Sha256(sum) => ("SHA256", sum),
            Self::Md5(sum) => ("MD5", sum),
        }
    }

    /// # Errors
    ///
    /// What is wrong, in words.
    pub(crate) fn check(&self, summer: Summer) -> Result<(), String> {
        let (name, expected) = self.parts();
        let found = match summer {
            Summer::Crc(algorithm, digest) => algorithm.written(digest.finalize()),
            Summer::Sha256(sha) => STANDARD.encode(sha.finalize()),
            Summer::Md5(md5) => hexadecimal(&md5.finalize()),
        };
        match found == expected {
            true => Ok(()),
            false => Err(format!(
                "what arrived is not what is stored: its {name} is {found}, not {expected}"
            )),
        }
    }
}

/// A sum that is being made.
pub(crate) enum Summer {
    Crc(Algorithm, crc_fast::Digest),
    Sha256(Sha256),
    Md5(Md5),
}

impl Summer {
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        match self {
            Self::Crc(_, crc) => crc.update(bytes),
            Self::Sha256(sha) => sha.update(bytes),
            Self::Md5(md5) => md5.update(bytes),
        }
    }
}

/// The ETag that services give to an object of parts with these ETags, if those are what they usually are.
pub(crate) fn etag_of_parts(etags: &[String]) -> Option<String> {
    let mut md5 = Md5::new();
    for etag in etags {
        let etag = etag.trim_matches('"');
        let digits: Vec<_> = (0..16)
            .map(|at| u8::from_str_radix(etag.get(at * 2..at * 2 + 2)?, 16).ok())
            .collect::<Option<_>>()
            .filter(|_| etag.len() == 32)?;
        md5.update(digits);
    }
    Some(format!("\"{}-{}\"", hexadecimal(&md5.finalize()), etags.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_those_that_everybody_computes() {
        let nine = b"123456789";
        for (algorithm, expected) in [
            (Algorithm::Crc64Nvme, "rosUhgp5mIg="),
            (Algorithm::Crc32c, "4waSgw=="),
            (Algorithm::Crc32, "y/Q5Jg=="),
        ] {
            assert_eq!(algorithm.written(algorithm.of(nine)), expected);
            let (a, b) = (algorithm.of(&nine[..4]), algorithm.of(&nine[4..]));
            assert_eq!(algorithm.written(algorithm.combined(a, b, 5)), expected);
        }
    }

    #[test]
    fn what_is_promised_of_the_whole_is_checked() {
        let check = |headers: &[(&'static str, &'static str)], etag: &str| {
            let pairs = headers.iter().map(|(name, value)| {
                (http::HeaderName::from_static(name), http::HeaderValue::from_static(value))
            });
            Expected::of(&pairs.collect(), etag).map(|expected| {
                let mut summer = expected.summer();
                summer.add(b"1234");
                summer.add(b"56789");
                expected.check(summer).is_ok()
            })
        };
        let md5 = "\"25f9e794323b453885f5181f1b624d0b\"";
        assert_eq!(check(&[], md5), Some(true));
        assert_eq!(check(&[], "\"25f9e794323b453885f5181f1b624d0b-2\""), None);
        assert_eq!(check(&[], "\"00f9e794323b453885f5181f1b624d0b\""), Some(false));
        assert_eq!(check(&[("x-amz-server-side-encryption", "aws:kms")], md5), None);
        assert_eq!(check(&[("x-amz-server-side-encryption", "AES256")], md5), Some(true));
        assert_eq!(check(&[("x-amz-checksum-crc64nvme", "rosUhgp5mIg=")], "x"), Some(true));
        assert_eq!(check(&[("x-amz-checksum-crc64nvme", "rosUhgp5mIk=")], md5), Some(false));
        let sha = "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU=";
        assert_eq!(check(&[("x-amz-checksum-crc32", "y/Q5Jg==")], "x"), Some(true));
        assert_eq!(check(&[("x-amz-checksum-crc32", "y/Q5Jg==-2")], "x"), None);
        assert_eq!(check(&[("x-amz-checksum-crc64nvme", "y/Q5Jg==")], "x"), None);
        assert_eq!(check(&[("x-amz-checksum-sha256", Box::leak(sha.into()))], "x"), Some(true));
        let composite =
            [("x-amz-checksum-crc32", "AAAAAA=="), ("x-amz-checksum-type", "COMPOSITE")];
        assert_eq!(check(&composite, "x"), None);
    }

    #[test]
    fn the_etag_of_parts_is_the_sum_of_theirs() {
        let one = "\"25f9e794323b453885f5181f1b624d0b\"".to_owned();
        assert_eq!(
            etag_of_parts(&[one.clone(), one.clone()]).unwrap().len(),
            "\"25f9e794323b453885f5181f1b624d0b-2\"".len()
        );
        assert_eq!(etag_of_parts(&[one, "\"other\"".to_owned()]), None);
    }
}
