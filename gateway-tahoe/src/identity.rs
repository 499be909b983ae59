//! Who a server is to its clients: made once, and never again.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use data_encoding::BASE32_NOPAD;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use storage_txn::At;

use crate::Shares;
use crate::error::{Error, Refusal, Result};
use crate::index::base32;

/// What a bundle is called in its file.
const FORMAT: &str = "cloudbank tahoe identity 1";
/// The first and the last year of the certificate. Clients look at its key, and not at its time.
const YEARS: [i32; 2] = [2000, 4095];
/// How long the permutation seed of a new server is, and that of any may be: stock nodes have some of 52.
const PERMUTATION_BYTES: usize = 20;
const PERMUTATION_BYTES_MAX: usize = 256;

/// The keys and secrets of a server, as one bundle.
///
/// Clients derive the secret with which they write to a mutable file from [`tub_id`](Self::tub_id), and find the server by
/// [`nurl`](Self::nurl): a server that has lost its identity is another one, and **nobody can write to its mutable files**.
///
/// # Examples
///
/// ```
/// use gateway_tahoe::Identity;
///
/// # fn main() -> Result<(), gateway_tahoe::Error> {
/// let identity = Identity::generate()?;
/// assert_eq!(Identity::parse(&identity.to_text())?, identity);
/// assert!(identity.nurl("example.org", 3457).starts_with("pb://"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    certificate: Vec<u8>,
    key: Vec<u8>,
    swissnum: String,
    furl_name: String,
    tub_id: [u8; 20],
    signing_seed: [u8; 32],
    permutation_seed: Vec<u8>,
}

impl std::fmt::Debug for Identity {
    /// Without secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").field("tub_id", &self.tub_id()).finish_non_exhaustive()
    }
}

impl Identity {
    /// Makes a new one up.
    ///
    /// # Errors
    ///
    /// Where the system has no randomness.
    pub fn generate() -> Result<Self> {
        let key = rcgen::KeyPair::generate().map_err(failed)?;
        let mut identity = Self {
            certificate: certificate(&key)?,
            key: key.serialize_der(),
            swissnum: String::new(),
            furl_name: String::new(),
            tub_id: [0; 20],
            signing_seed: [0; 32],
            permutation_seed: vec![0; PERMUTATION_BYTES],
        };
        let mut names = [[0; 20]; 2];
        let Self { tub_id, signing_seed, permutation_seed, .. } = &mut identity;
        let [first, second] = &mut names;
        for secret in [&mut tub_id[..], signing_seed, permutation_seed, first, second] {
            getrandom::fill(secret).map_err(failed)?;
        }
        [identity.swissnum, identity.furl_name] = names.map(|name| base32(&name));
        Ok(identity)
    }

    /// That of a server that was known by these before. Its key, in PKCS #8, gets a certificate of its own.
    ///
    /// # Errors
    ///
    /// [`Refusal::Invalid`], which names what is wrong with it.
    pub(crate) fn taken_over(
        key: Vec<u8>,
        swissnum: &str,
        tub_id: [u8; 20],
        signing_seed: [u8; 32],
        permutation_seed: Vec<u8>,
    ) -> Result<Self> {
        let mut identity = Self {
            certificate: Vec::new(),
            key,
            swissnum: swissnum.to_owned(),
            furl_name: swissnum.to_owned(),
            tub_id,
            signing_seed,
            permutation_seed,
        };
        identity.certificate = certificate(&identity.key_pair()?)?;
        // It is held to what any bundle is.
        Self::parse(&identity.to_text())
    }

    /// Reads a bundle.
    ///
    /// # Errors
    ///
    /// [`Refusal::Invalid`], which names what is wrong with it.
    pub fn parse(text: &str) -> Result<Self> {
        let invalid = |why: &str| Error::Refused(Refusal::Invalid(format!("the identity {why}")));
        let value: Value = serde_json::from_str(text).map_err(|_| invalid("is no JSON"))?;
        let get = |name: &str| {
            let found = value.get(name).and_then(Value::as_str);
            found.ok_or_else(|| invalid(&format!("has no {name:?}")))
        };
        if get("format")? != FORMAT {
            return Err(invalid("is of a format that this program does not know"));
        }
        let der = |name: &str| {
            STANDARD.decode(get(name)?).map_err(|_| invalid(&format!("has no base64 as {name:?}")))
        };
        let word = |name: &str| {
            let word = get(name)?;
            let plain = |byte: u8| byte.is_ascii_alphanumeric();
            match !word.is_empty() && word.len() <= 200 && word.bytes().all(plain) {
                true => Ok(word.to_owned()),
                false => Err(invalid(&format!("has letters and digits only as {name:?}"))),
            }
        };
        let identity = Self {
            certificate: der("tls_certificate")?,
            key: der("tls_key")?,
            swissnum: word("swissnum")?,
            furl_name: word("furl_name")?,
            tub_id: fixed(get("tub_id")?)
                .ok_or_else(|| invalid("has no \"tub_id\" of 20 bytes"))?,
            signing_seed: get("signing_key")?
                .strip_prefix("priv-v0-")
                .and_then(fixed)
                .ok_or_else(|| invalid("has no \"signing_key\" that begins with priv-v0-"))?,
            permutation_seed: decoded(get("permutation_seed")?)
                .filter(|seed| (1..=PERMUTATION_BYTES_MAX).contains(&seed.len()))
                .ok_or_else(|| invalid("has no \"permutation_seed\" of 1 to 256 bytes"))?,
        };
        identity.key_pair()?;
        Ok(identity)
    }

    /// The bundle, to be kept where nobody else can read it.
    #[must_use]
    pub fn to_text(&self) -> String {
        let bundle = json!({
            "format": FORMAT,
            "tls_certificate": STANDARD.encode(&self.certificate),
            "tls_key": STANDARD.encode(&self.key),
            "swissnum": self.swissnum,
            "furl_name": self.furl_name,
            "tub_id": self.tub_id(),
            "signing_key": self.signing_key(),
            "permutation_seed": self.permutation_seed(),
        });
        format!("{bundle:#}\n")
    }

    /// Reads the bundle in a file; `None` when there is no such file.
    ///
    /// # Errors
    ///
    /// [`Error::File`], and those of [`parse`](Self::parse).
    pub fn read(path: &Path) -> Result<Option<Self>> {
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(&text).map(Some),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::file(path)(error)),
        }
    }

    /// Writes the bundle to a file that only its owner can read.
    ///
    /// # Errors
    ///
    /// [`Error::File`].
    pub fn write(&self, path: &Path) -> Result<()> {
        crate::files::write_private(path, self.to_text().as_bytes()).map_err(Error::file(path))
    }

    /// Whether clients take one for the other: everything is the same but the certificate, of which only the key counts.
    #[must_use]
    pub fn is_same_server(&self, other: &Self) -> bool {
        let certificate = self.certificate.clone();
        *self == Self { certificate, ..other.clone() }
    }

    /// The certificate, in DER. It is self-signed, as clients demand.
    #[must_use]
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// Its private key, in DER (PKCS #8).
    #[must_use]
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// What clients show to be let in.
    #[must_use]
    pub fn swissnum(&self) -> &str {
        &self.swissnum
    }

    /// The name of a Foolscap tub that there is not, as it is. Clients derive their secrets from it.
    #[must_use]
    pub fn tub_id_bytes(&self) -> [u8; 20] {
        self.tub_id
    }

    /// The same, as clients write it: 32 characters of base32.
    #[must_use]
    pub fn tub_id(&self) -> String {
        base32(&self.tub_id)
    }

    /// The key that announcements are signed with, as Tahoe writes it.
    #[must_use]
    pub fn signing_key(&self) -> String {
        format!("priv-v0-{}", base32(&self.signing_seed))
    }

    /// The name of the server, made of its public key.
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`], for a key that is none.
    pub fn server_id(&self) -> Result<String> {
        let pair = Ed25519KeyPair::from_seed_unchecked(&self.signing_seed);
        let pair = pair.map_err(|_| Error::Damaged("the signing key is none".into()))?;
        Ok(format!("v0-{}", base32(pair.public_key().as_ref())))
    }

    /// What decides in which order clients ask their servers.
    #[must_use]
    pub fn permutation_seed(&self) -> String {
        base32(&self.permutation_seed)
    }

    /// The hash of its public key by which clients know the server: that of the SubjectPublicKeyInfo, in base64.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`], for a key that is none.
    pub fn spki_hash(&self) -> Result<String> {
        use rcgen::PublicKeyData as _;
        let info = self.key_pair()?.subject_public_key_info();
        Ok(URL_SAFE_NO_PAD.encode(Sha256::digest(info)))
    }

    /// Where the server is, with all that a client needs to be let in.
    #[must_use]
    pub fn nurl(&self, host: &str, port: u16) -> String {
        let hash = self.spki_hash().unwrap_or_default();
        format!("pb://{hash}@{host}:{port}/{}#v=1", self.swissnum)
    }

    /// The address of a Foolscap server that there is not: clients want to know one, and never use it.
    #[must_use]
    pub fn furl(&self) -> String {
        format!("pb://{}@tcp:127.0.0.1:1/{}", self.tub_id(), self.furl_name)
    }

    fn key_pair(&self) -> Result<rcgen::KeyPair> {
        rcgen::KeyPair::try_from(&self.key[..]).map_err(|error| {
            let why = format!("the identity has no key as \"tls_key\": {error}");
            Error::Refused(Refusal::Invalid(why))
        })
    }
}

impl Shares {
    /// The identity that is kept in the store, if there is one.
    ///
    /// # Errors
    ///
    /// What the store says, and what is wrong with the bundle.
    pub async fn identity(&self) -> Result<Option<Identity>> {
        let snapshot = self.store().snapshot(At::Latest).await?;
        let Some(text) = snapshot.get(self.identity_key()).await? else { return Ok(None) };
        let text = String::from_utf8(text.into());
        let text = text.map_err(|_| Error::Damaged("the identity is no text".into()))?;
        Identity::parse(&text).map(Some)
    }

    /// Keeps an identity in the store, unless there is another one and it is not to be replaced; returns the one that is
    /// there afterwards.
    ///
    /// # Errors
    ///
    /// What the store says.
    pub async fn keep_identity(&self, identity: &Identity, replace: bool) -> Result<Identity> {
        let key = self.identity_key();
        let kept = self
            .store()
            .transact(async |transaction| match transaction.get(&key).await? {
                Some(there) if !replace => Ok(there.to_vec()),
                _ => {
                    let text = identity.to_text().into_bytes();
                    transaction.put(&key, text.clone())?;
                    Ok(text)
                }
            })
            .await?
            .value;
        let text = String::from_utf8(kept);
        Identity::parse(&text.map_err(|_| Error::Damaged("the identity is no text".into()))?)
    }
}

/// A self-signed certificate, as clients demand, in DER.
fn certificate(key: &rcgen::KeyPair) -> Result<Vec<u8>> {
    let mut about = rcgen::CertificateParams::default();
    about.distinguished_name.push(rcgen::DnType::CommonName, "tahoe storage");
    [about.not_before, about.not_after] = YEARS.map(|year| rcgen::date_time_ymd(year, 1, 1));
    Ok(about.self_signed(key).map_err(failed)?.der().to_vec())
}

fn failed(what: impl std::fmt::Display) -> Error {
    Error::Damaged(format!("no identity could be made: {what}"))
}

fn fixed<const N: usize>(text: &str) -> Option<[u8; N]> {
    decoded(text)?.try_into().ok()
}

fn decoded(text: &str) -> Option<Vec<u8>> {
    BASE32_NOPAD.decode(text.to_ascii_uppercase().as_bytes()).ok()
}
