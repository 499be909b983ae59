//! The certificate of a listener, read anew when its files change.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_rustls::TlsAcceptor;

/// A certificate with its chain and its private key, in two PEM files.
///
/// While a server runs, the files are looked at every few seconds: new connections get what is in them. Files that do
/// not fit together, as while they are being replaced, change nothing.
#[derive(Debug, Clone)]
pub struct Certificates {
    chain: PathBuf,
    key: PathBuf,
    current: Arc<Current>,
}

/// What new connections are shown.
#[derive(Debug)]
struct Current(RwLock<Loaded>);

#[derive(Debug)]
struct Loaded {
    files: [Vec<u8>; 2],
    certified: Arc<CertifiedKey>,
}

/// Why a certificate cannot be used.
#[derive(Debug)]
pub struct CertificatesError {
    /// The file where the fault lies.
    pub path: PathBuf,
    reason: String,
}

impl fmt::Display for CertificatesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.reason)
    }
}

impl std::error::Error for CertificatesError {}

impl Certificates {
    /// Reads the certificate and those of its issuers from `chain`, its private key from `key`.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, is no PEM, or does not fit the other.
    pub fn load(chain: &Path, key: &Path) -> Result<Self, CertificatesError> {
        let loaded = load([chain, key])?;
        let current = Arc::new(Current(RwLock::new(loaded)));
        Ok(Self { chain: chain.into(), key: key.into(), current })
    }

    /// A certificate and its private key from memory, in DER. They stay as they are.
    ///
    /// # Errors
    ///
    /// A key that is none, or does not fit the certificate.
    pub fn from_der(certificate: &[u8], key: &[u8]) -> Result<Self, CertificatesError> {
        let path = PathBuf::from("(from memory)");
        let wrong = |reason: String| CertificatesError { path: path.clone(), reason };
        let chain = vec![CertificateDer::from(certificate.to_vec())];
        let key = PrivateKeyDer::try_from(key.to_vec())
            .map_err(|error| wrong(format!("is no private key: {error}")))?;
        let certified = CertifiedKey::from_der(chain, key, &ring::default_provider())
            .map_err(|error| wrong(format!("does not fit its key: {error}")))?;
        let loaded = Loaded { files: Default::default(), certified: Arc::new(certified) };
        let current = Arc::new(Current(RwLock::new(loaded)));
        Ok(Self { chain: PathBuf::new(), key: PathBuf::new(), current })
    }

    /// Whether there are files of it.
    fn has_files(&self) -> bool {
        !self.chain.as_os_str().is_empty()
    }

    /// Reads the files again; whether there was something new in them.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load). What was used before is used on.
    pub fn reload(&self) -> Result<bool, CertificatesError> {
        if !self.has_files() {
            return Ok(false);
        }
        let loaded = load([&self.chain, &self.key])?;
        let mut current = self.current.0.write().unwrap_or_else(PoisonError::into_inner);
        let new = loaded.files != current.files;
        if new {
            *current = loaded;
        }
        Ok(new)
    }

    /// Keeps looking at the files.
    pub(crate) async fn watch(self, every: Duration) {
        if !self.has_files() {
            return;
        }
        let mut said = None;
        loop {
            tokio::time::sleep(every).await;
            let files = self.clone();
            // Reading a file may take its time.
            let Ok(reloaded) = tokio::task::spawn_blocking(move || files.reload()).await else {
                return;
            };
            match reloaded {
                Ok(true) => tracing::info!(file = %self.chain.display(), "new certificate"),
                Ok(false) => said = None,
                Err(error) => {
                    let problem = error.to_string();
                    if said.as_ref() != Some(&problem) {
                        tracing::warn!("the certificate stays as it was: {problem}");
                        said = Some(problem);
                    }
                }
            }
        }
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("this crypto provider has all of them")
            .with_no_client_auth()
            .with_cert_resolver(self.current.clone());
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        TlsAcceptor::from(Arc::new(config))
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let current = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Some(current.certified.clone())
    }
}

fn load(paths: [&Path; 2]) -> Result<Loaded, CertificatesError> {
    let [chain_at, key_at] = paths;
    let wrong = |path: &Path, reason: String| CertificatesError { path: path.into(), reason };
    let read = |path: &Path| {
        std::fs::read(path).map_err(|error| wrong(path, format!("cannot be read: {error}")))
    };
    let files = [read(chain_at)?, read(key_at)?];
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&files[0])
        .collect::<Result<_, _>>()
        .map_err(|error| wrong(chain_at, format!("is no PEM with certificates: {error}")))?;
    if chain.is_empty() {
        return Err(wrong(chain_at, "has no certificate in it".into()));
    }
    // Its errors say what is wrong with the form, and nothing of the key.
    let key = PrivateKeyDer::from_pem_slice(&files[1])
        .map_err(|error| wrong(key_at, format!("is no PEM with a private key: {error}")))?;
    let certified = CertifiedKey::from_der(chain, key, &ring::default_provider())
        .map_err(|error| wrong(key_at, format!("does not fit {}: {error}", chain_at.display())))?;
    Ok(Loaded { files, certified: Arc::new(certified) })
}
