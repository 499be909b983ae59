//! The secrets that come with a request: exactly those that it needs.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;

use crate::LeaseSecrets;
use crate::error::{Refusal, Result};

/// The header that has them, one in each.
const HEADER: &str = "x-tahoe-authorization";
/// How many bytes those of leases and of slots have.
const SECRET_BYTES: usize = 32;

/// Which secrets must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Wanted {
    pub(super) lease: bool,
    pub(super) upload: bool,
    pub(super) write_enabler: bool,
}

impl Wanted {
    pub(super) const NONE: Self = Self { lease: false, upload: false, write_enabler: false };
    pub(super) const LEASE: Self = Self { lease: true, ..Self::NONE };
}

/// The secrets of a request.
#[derive(Default)]
pub(super) struct Secrets {
    renew: Option<Vec<u8>>,
    cancel: Option<Vec<u8>>,
    upload: Option<Vec<u8>>,
    write_enabler: Option<Vec<u8>>,
}

impl Secrets {
    /// # Errors
    ///
    /// What is missing, or should not be there, or is no such secret.
    pub(super) fn read(headers: &HeaderMap, wanted: Wanted) -> Result<Self, &'static str> {
        let mut secrets = Self::default();
        for value in headers.get_all(HEADER) {
            let text = value.to_str().map_err(|_| "a secret is no text")?.trim();
            let (kind, encoded) = text.split_once(' ').ok_or("a secret has no value")?;
            let secret = STANDARD.decode(encoded.trim()).map_err(|_| "a secret is no base64")?;
            let of_size = secret.len() == SECRET_BYTES;
            let (place, right) = match kind {
                "lease-renew-secret" => (&mut secrets.renew, of_size),
                "lease-cancel-secret" => (&mut secrets.cancel, of_size),
                "upload-secret" => (&mut secrets.upload, !secret.is_empty()),
                "write-enabler" => (&mut secrets.write_enabler, of_size),
                _ => return Err("there is no such kind of secret"),
            };
            if !right {
                return Err("a secret has another length than it must");
            }
            *place = Some(secret);
        }
        let right = secrets.renew.is_some() == wanted.lease
            && secrets.cancel.is_some() == wanted.lease
            && secrets.upload.is_some() == wanted.upload
            && secrets.write_enabler.is_some() == wanted.write_enabler;
        if right { Ok(secrets) } else { Err("there must be other secrets with this request") }
    }

    pub(super) fn lease(&self) -> Result<LeaseSecrets> {
        Ok(LeaseSecrets { renew: *sized(&self.renew)?, cancel: *sized(&self.cancel)? })
    }

    pub(super) fn upload(&self) -> Result<&[u8]> {
        self.upload.as_deref().ok_or_else(|| missing().into())
    }

    pub(super) fn write_enabler(&self) -> Result<&[u8; SECRET_BYTES]> {
        sized(&self.write_enabler)
    }
}

fn sized(secret: &Option<Vec<u8>>) -> Result<&[u8; SECRET_BYTES]> {
    let found = secret.as_deref().and_then(|secret| secret.try_into().ok());
    found.ok_or_else(|| missing().into())
}

fn missing() -> Refusal {
    Refusal::Invalid("a secret is missing".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_the_secrets_that_are_needed_are_taken() {
        let long = STANDARD.encode([7; 32]);
        let check = |wanted: Wanted, given: &[&str], right: bool| {
            let mut headers = HeaderMap::new();
            for value in given {
                headers.append(HEADER, value.replace("L", &long).parse().unwrap());
            }
            let read = Secrets::read(&headers, wanted);
            assert_eq!(read.is_ok(), right, "{given:?}: {:?}", read.err());
        };
        let (renew, cancel) = ("lease-renew-secret L", "lease-cancel-secret L");
        let (upload, enabler) = ("upload-secret AAAA", "write-enabler L");
        let all = Wanted { upload: true, ..Wanted::LEASE };
        check(Wanted::NONE, &[], true);
        check(Wanted::NONE, &[renew], false);
        check(all, &[renew, cancel, upload], true);
        check(all, &[upload, cancel, renew], true);
        check(all, &[renew, cancel], false);
        check(all, &[renew, cancel, upload, enabler], false);
        check(all, &[renew, cancel, upload, upload], true);
        let only = Wanted { upload: true, ..Wanted::NONE };
        for wrong in [
            "upload-secret ",
            "upload-secret",
            "upload-secret !!!",
            "upload-secret AAA",
            "uploadsecret AAAA",
            "",
        ] {
            check(only, &[wrong], false);
        }
        let slot = Wanted { write_enabler: true, ..Wanted::NONE };
        check(slot, &[enabler], true);
        check(slot, &["write-enabler AAAA"], false);
        check(Wanted::LEASE, &[renew, "lease-cancel-secret AAAA"], false);
    }
}
