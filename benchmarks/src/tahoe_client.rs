//! A client for the storage protocol of Tahoe-LAFS that does as little as it can, so that what is measured is the server.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::{
    CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature,
};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};

/// One connection to a storage server, for one request after the other.
#[derive(Debug)]
pub struct TahoeClient {
    authorization: String,
    sender: SendRequest<Full<Bytes>>,
}

/// The secrets that a request comes with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secrets {
    /// None.
    None,
    /// Those of a lease.
    Lease,
    /// Those of a lease and of an upload.
    Allocate,
    /// That of an upload.
    Upload,
    /// Those of a lease and of a mutable file.
    Mutate,
}

impl Secrets {
    fn kinds(self) -> &'static [&'static str] {
        match self {
            Self::None => &[],
            Self::Lease => &["lease-renew-secret", "lease-cancel-secret"],
            Self::Allocate => &["lease-renew-secret", "lease-cancel-secret", "upload-secret"],
            Self::Upload => &["upload-secret"],
            Self::Mutate => &["lease-renew-secret", "lease-cancel-secret", "write-enabler"],
        }
    }
}

impl TahoeClient {
    /// Connects to the server of a NURL: `pb://HASH@ADDRESS:PORT/SWISSNUM#v=1`. Whose certificate it shows is not looked at.
    ///
    /// # Errors
    ///
    /// When nothing listens there.
    pub async fn connect(nurl: &str) -> Result<Self> {
        let rest = nurl.trim().strip_prefix("pb://").context("a NURL begins with pb://")?;
        let (_, rest) = rest.split_once('@').context("a NURL has the hash of a key")?;
        let (address, rest) = rest.split_once('/').context("a NURL has a swissnum")?;
        let swissnum = rest.trim_end_matches("#v=1");
        let stream =
            TcpStream::connect(address).await.with_context(|| format!("connect to {address}"))?;
        stream.set_nodelay(true)?;
        let provider = Arc::new(ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").context("a name")?;
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        // Ends with the connection.
        tokio::spawn(connection);
        Ok(Self { authorization: format!("Tahoe-LAFS {}", STANDARD.encode(swissnum)), sender })
    }

    /// Sends a request, reads all of its answer, and says how many bytes that had. A range is that of what is sent, or of
    /// what is wanted.
    ///
    /// # Errors
    ///
    /// When the answer is not a success.
    pub async fn ask(
        &mut self,
        method: Method,
        path: &str,
        (secrets, range): (Secrets, Option<(usize, usize)>),
        body: Bytes,
    ) -> Result<usize> {
        self.sender.ready().await?;
        let mut request = Request::builder()
            .method(&method)
            .uri(format!("/storage/v1/{path}"))
            .header("host", "localhost")
            .header("authorization", &self.authorization);
        for kind in secrets.kinds() {
            let secret = STANDARD.encode([kind.as_bytes()[0]; 32]);
            request = request.header("x-tahoe-authorization", format!("{kind} {secret}"));
        }
        if let Some((first, end)) = range {
            request = match method {
                Method::GET => request.header("range", format!("bytes={first}-{}", end - 1)),
                _ => request.header("content-range", format!("bytes {first}-{}/*", end - 1)),
            };
        }
        if method != Method::GET {
            request = request.header("content-length", body.len());
        }
        let answer = self.sender.send_request(request.body(Full::new(body))?).await?;
        let status = answer.status();
        let mut parts = answer.into_body();
        let mut bytes = 0;
        while let Some(frame) = parts.frame().await {
            bytes += frame?.into_data().map_or(0, |data| data.len());
        }
        if !status.is_success() {
            bail!("{method} {path}: {status}");
        }
        Ok(bytes)
    }
}

/// The body that allocates a share of the number 0.
#[must_use]
pub fn allocation(size: usize) -> Bytes {
    let mut body = vec![0xa2];
    text(&mut body, "share-numbers");
    body.extend([0xd9, 0x01, 0x02, 0x81, 0x00]);
    text(&mut body, "allocated-size");
    number(&mut body, 0, size);
    body.into()
}

/// The body that writes to the mutable share 0 from its begin, if `test` is what stands there; nothing is, if it is empty.
#[must_use]
pub fn change(test: &[u8], data: &[u8]) -> Bytes {
    let mut body = vec![0xa2];
    text(&mut body, "test-write-vectors");
    body.extend([0xa1, 0x00, 0xa3]);
    text(&mut body, "test");
    body.extend([0x81, 0xa3]);
    text(&mut body, "offset");
    body.push(0);
    text(&mut body, "size");
    number(&mut body, 0, test.len().max(1));
    text(&mut body, "specimen");
    number(&mut body, 2, test.len());
    body.extend(test);
    text(&mut body, "write");
    body.extend([0x81, 0xa2]);
    text(&mut body, "offset");
    body.push(0);
    text(&mut body, "data");
    number(&mut body, 2, data.len());
    body.extend(data);
    text(&mut body, "new-length");
    body.push(0xf6);
    text(&mut body, "read-vector");
    body.push(0x80);
    body.into()
}

/// A new storage index.
#[must_use]
pub fn storage_index() -> String {
    // All characters of this alphabet that base32 has too, in lower case; the last stands for bits that are there.
    let bytes: [u8; 16] = rand::random();
    let alphabet = b"abcdefghijklmnopqrstuvwxyz234567";
    let number = u128::from_be_bytes(bytes);
    let digit = |place: u32| match place {
        25 => (number & 0b111) << 2,
        place => number >> (123 - 5 * place) & 31,
    };
    (0..26).map(|place| char::from(alphabet[digit(place) as usize])).collect()
}

fn text(body: &mut Vec<u8>, text: &str) {
    number(body, 3, text.len());
    body.extend(text.as_bytes());
}

fn number(body: &mut Vec<u8>, major: u8, number: usize) {
    let major = major << 5;
    match number {
        0..24 => body.push(major | number as u8),
        24..0x100 => body.extend([major | 24, number as u8]),
        0x100..0x1_0000 => {
            body.push(major | 25);
            body.extend((number as u16).to_be_bytes());
        }
        _ => {
            body.push(major | 26);
            body.extend((number as u32).to_be_bytes());
        }
    }
}

/// Takes every certificate, but not a connection that is not that of its key.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_those_that_the_protocol_knows() {
        let hex = |bytes: Bytes| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        assert_eq!(
            hex(allocation(1983)),
            "a26d73686172652d6e756d62657273d9010281006e616c6c6f63617465642d73697a651907bf"
        );
        assert!(
            hex(change(b"", b"hello"))
                .ends_with("6a6e65772d6c656e677468f66b726561642d766563746f7280")
        );
    }

    #[test]
    fn a_storage_index_is_canonical() {
        for _ in 0..100 {
            let index = storage_index();
            assert_eq!(index.len(), 26);
            // Of the last character only three bits are of the 16 bytes.
            assert!("aeimquy4".contains(&index[25..]), "{index}");
        }
    }
}
