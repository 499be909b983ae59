//! HTTP: connections, and bodies that tell how much of them has been sent.
//!
//! Not the client that the backends use: that one takes `..` out of an address, as browsers do, and a key may have it.

use std::convert::Infallible;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use indicatif::ProgressBar;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use storage_core::{Effect, ErrorKind};

use super::failure::Failure;

/// How much of a body is handed on at a time.
const PIECE_BYTES: usize = 256 << 10;
const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);
/// Shorter than servers keep an idle connection, so that none is closed just as it is used.
const IDLE_TIME_MAX: Duration = Duration::from_secs(10);

/// Whom to believe that they are who they say.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trust {
    /// Files with certificates to trust besides the system's.
    pub(crate) files: Vec<PathBuf>,
    /// The same as text.
    pub(crate) pem: Option<String>,
    /// Whether anybody is believed.
    pub(crate) anybody: bool,
}

/// A pool of connections.
#[derive(Debug, Clone)]
pub(crate) struct Wire {
    client: Client<HttpsConnector<HttpConnector>, Sent>,
}

impl Wire {
    /// # Errors
    ///
    /// What is wrong with the certificates.
    pub(crate) fn new(trust: &Trust, encrypted: bool, connections: usize) -> Result<Self, String> {
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_connect_timeout(Some(CONNECT_TIME_MAX));
        let https = HttpsConnectorBuilder::new()
            .with_tls_config(tls(trust, encrypted)?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(http);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIME_MAX)
            .pool_max_idle_per_host(connections)
            .build(https);
        Ok(Self { client })
    }

    /// Sends a request and waits for the head of its answer, at most so long.
    pub(crate) async fn send(
        &self,
        request: Request<Sent>,
        patience: Duration,
        mutates: bool,
    ) -> Result<Response<Incoming>, Failure> {
        // On a connection that did not come about nothing was sent.
        let effect = if mutates { Effect::Unknown } else { Effect::NotApplied };
        match tokio::time::timeout(patience, self.client.request(request)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) if error.is_connect() => {
                Err(Failure::new(ErrorKind::Unavailable, Effect::NotApplied, told(&error)))
            }
            Ok(Err(error)) => Err(Failure::new(ErrorKind::Unavailable, effect, told(&error))),
            Err(_) => {
                let seconds = patience.as_secs();
                let message = format!("no answer within {seconds} s");
                Err(Failure::new(ErrorKind::Unavailable, effect, message))
            }
        }
    }
}

/// A body in memory.
#[derive(Debug)]
pub(crate) struct Sent {
    left: Bytes,
    bar: Option<ProgressBar>,
    told: u64,
}

impl Sent {
    /// Adds to a progress bar what has been taken of it, and takes that back unless it is all.
    pub(crate) fn new(bytes: Bytes, bar: Option<ProgressBar>) -> Self {
        Self { left: bytes, bar, told: 0 }
    }
}

impl Body for Sent {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left.is_empty() {
            return Poll::Ready(None);
        }
        let length = self.left.len().min(PIECE_BYTES);
        let piece = self.left.split_to(length);
        if let Some(bar) = &self.bar {
            bar.inc(length as u64);
        }
        self.told += length as u64;
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left.len() as u64)
    }
}

impl Drop for Sent {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar
            && !self.left.is_empty()
        {
            bar.set_position(bar.position().saturating_sub(self.told));
        }
    }
}

fn tls(trust: &Trust, encrypted: bool) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    if !encrypted {
        // The system's certificates take their time, and are not needed.
        return Ok(builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth());
    }
    let builder = builder.dangerous();
    if trust.anybody {
        return Ok(builder
            .with_custom_certificate_verifier(Arc::new(anybody::Anybody(provider)))
            .with_no_client_auth());
    }
    let mut extra: Vec<CertificateDer<'static>> = Vec::new();
    for file in &trust.files {
        let shown = file.display();
        let found = CertificateDer::pem_file_iter(file)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| format!("the certificates in {shown} cannot be read: {error}"))?;
        if found.is_empty() {
            return Err(format!("there is no certificate in PEM in {shown}"));
        }
        extra.extend(found);
    }
    if let Some(pem) = &trust.pem {
        let found = CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<Vec<_>, _>>();
        extra.extend(found.map_err(|_| "`ca_certificate` is no certificate in PEM".to_owned())?);
    }
    let verifier = rustls_platform_verifier::Verifier::new_with_extra_roots(extra, provider)
        .map_err(|error| format!("the certificates of this machine cannot be read: {error}"))?;
    Ok(builder.with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth())
}

/// An error with its causes, the first of which says little.
pub(crate) fn told(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let more = cause.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = cause.source();
    }
    text
}

/// For `--no-verify-tls`.
mod anybody {
    use std::sync::Arc;

    use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
    use rustls::crypto::CryptoProvider;
    use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
    use rustls::{DigitallySignedStruct, Error, SignatureScheme};

    /// Believes everybody, but not that they signed what they did not.
    #[derive(Debug)]
    pub(super) struct Anybody(pub(super) Arc<CryptoProvider>);

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
            let known = &self.0.signature_verification_algorithms;
            rustls::crypto::verify_tls12_signature(message, certificate, signature, known)
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signature: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            let known = &self.0.signature_verification_algorithms;
            rustls::crypto::verify_tls13_signature(message, certificate, signature, known)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.0.signature_verification_algorithms.supported_schemes()
        }
    }
}
