//! Who a stock node is: what its clients know it by, so that the same server can go on here.

use std::io::ErrorKind;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use data_encoding::BASE32_NOPAD;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

use crate::Identity;
use crate::error::{Error, Refusal, Result};

/// What a private key of RSA (RFC 8017 §A.1.2) is wrapped in to become one of PKCS #8 (RFC 5208 §5), but for the lengths:
/// version 0, and the algorithm `rsaEncryption` without parameters.
const RSA: [u8; 18] = [2, 1, 0, 48, 13, 6, 9, 42, 134, 72, 134, 247, 13, 1, 1, 1, 5, 0];
const SEQUENCE: u8 = 0x30;
const OCTETS: u8 = 0x04;

/// The identity of the stock node in a folder; `None` when it is no folder of a node.
///
/// Its certificate is made anew, as Foolscap's are of a version of X.509 that is no longer read: clients know a server by the
/// key, which stays. The tub id is the one that clients derive their secrets from, also those that came over Foolscap.
///
/// # Errors
///
/// [`Error::File`] when something of it cannot be read; [`Refusal::Invalid`] which names the file that is not what it should
/// be, or not of this node.
pub fn identity(node: &Path) -> Result<Option<Identity>> {
    let path = node.join("private/node.pem");
    let Some(pem) = text(&path)? else { return Ok(None) };
    let invalid = |path: &Path, why: &str| {
        Error::Refused(Refusal::Invalid(format!("{}: {why}", path.display())))
    };
    let certificate = block(&pem, "CERTIFICATE");
    let certificate = certificate.ok_or_else(|| invalid(&path, "it has no certificate"))?;
    let key = block(&pem, "PRIVATE KEY")
        .or_else(|| block(&pem, "RSA PRIVATE KEY").map(|key| wrapped(&key)))
        .ok_or_else(|| invalid(&path, "it has no private key that can be read"))?;
    let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, &certificate);
    let mut tub_id = [0; 20];
    tub_id.copy_from_slice(hash.as_ref());

    let required = |name: &str| {
        let path = node.join(name);
        let missing = "it is not there: has the node ever run, with storage for everybody?";
        let found = text(&path)?.ok_or_else(|| invalid(&path, missing))?;
        Ok::<_, Error>((path, found.trim().to_owned()))
    };
    let (path, furl) = required("private/storage.furl")?;
    let (tub, rest) = furl
        .strip_prefix("pb://")
        .and_then(|rest| rest.split_once('@'))
        .ok_or_else(|| invalid(&path, "it is no pb:// address"))?;
    if decoded(tub).as_deref() != Some(&tub_id[..]) {
        return Err(invalid(&path, "it is of another node than private/node.pem"));
    }
    let swissnum = rest.rsplit('/').next().unwrap_or_default();

    let (path, signing_key) = required("private/node.privkey")?;
    let signing_seed = signing_key.strip_prefix("priv-v0-").and_then(decoded);
    let signing_seed = signing_seed.and_then(|seed| seed.try_into().ok());
    let signing_seed = signing_seed.ok_or_else(|| invalid(&path, "it is no signing key"))?;

    let path = node.join("permutation-seed");
    let permutation_seed = match text(&path)? {
        Some(seed) => decoded(seed.trim()).ok_or_else(|| invalid(&path, "it is no base32"))?,
        // A node from before there were such files: then clients take the tub id.
        None => tub_id.to_vec(),
    };
    Identity::taken_over(key, swissnum, tub_id, signing_seed, permutation_seed).map(Some)
}

/// What is in a file; `None` when it is not there.
fn text(path: &Path) -> Result<Option<String>> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::file(path)(error)),
    }
}

/// The first block of a PEM text that is called so (RFC 7468 §2).
fn block(pem: &str, name: &str) -> Option<Vec<u8>> {
    let (_, rest) = pem.split_once(&format!("-----BEGIN {name}-----"))?;
    let (block, _) = rest.split_once(&format!("-----END {name}-----"))?;
    let block: String = block.split_whitespace().collect();
    STANDARD.decode(block).ok()
}

fn decoded(base32: &str) -> Option<Vec<u8>> {
    BASE32_NOPAD.decode(base32.to_ascii_uppercase().as_bytes()).ok()
}

/// A key of RSA as one of PKCS #8.
fn wrapped(key: &[u8]) -> Vec<u8> {
    let inner = [&RSA[..], &element(OCTETS, key)].concat();
    element(SEQUENCE, &inner)
}

/// An element in DER (X.690 §8.1).
fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let zeros = length.iter().take_while(|byte| **byte == 0).count();
    let length = &length[zeros.min(length.len() - 1)..];
    let mut bytes = vec![tag];
    if content.len() > 0x7f {
        bytes.push(0x80 | length.len() as u8);
    }
    bytes.extend_from_slice(length);
    bytes.extend_from_slice(content);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_element_says_how_long_it_is() {
        for (bytes, head) in [
            (0, &[4, 0][..]),
            (0x7f, &[4, 0x7f]),
            (0x80, &[4, 0x81, 0x80]),
            (0xff, &[4, 0x81, 0xff]),
            (0x100, &[4, 0x82, 1, 0]),
        ] {
            let content = vec![7; bytes];
            assert_eq!(element(OCTETS, &content), [head, &content].concat(), "{bytes}");
        }
    }

    #[test]
    fn a_folder_that_is_no_nodes_has_no_identity() {
        let folder = tempfile::tempdir().unwrap();
        assert!(identity(folder.path()).unwrap().is_none());
        std::fs::create_dir(folder.path().join("private")).unwrap();
        std::fs::write(folder.path().join("private/node.pem"), "nothing").unwrap();
        let said = identity(folder.path()).unwrap_err().to_string();
        assert!(said.contains("node.pem: it has no certificate"), "{said}");
    }
}
