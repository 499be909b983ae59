//! The way to the server that commits for this one.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use reqwest::{Certificate, Client, Response, redirect};
use storage_core::{Error as ProviderError, ErrorKind, async_trait};
use storage_txn::{COMBINE_BYTES_MAX, Combiner, Combining};

use super::{MESSAGE_TYPE, PATH};
use crate::error::{Error, Result};

/// How long a connection may take to be made. What a message may take at all is the store's to say.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(1);
/// How long a connection is kept that nothing is sent on: less than the other side keeps it.
const IDLE_TIME_MAX: Duration = Duration::from_secs(20);
/// How much of an error's text is repeated.
const TOLD_BYTES_MAX: usize = 200;

/// Carries messages to another server.
pub(crate) struct Line {
    client: Client,
    address: String,
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Line {
    /// To the server at an address, whose certificate one of these authorities may have signed.
    ///
    /// # Errors
    ///
    /// [`Error::Usage`] for certificates that cannot be read.
    pub(super) fn new(address: &str, authority: Option<&Path>) -> Result<Self> {
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            // Should another be faster, that is as good.
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        let mut client = Client::builder()
            .no_proxy()
            .http1_only()
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_TIME_MAX)
            .pool_idle_timeout(IDLE_TIME_MAX);
        if let Some(path) = authority {
            client = client.tls_certs_merge(certificates(path)?);
        }
        let client = client
            .build()
            .map_err(|error| Error::Usage(format!("the combiner cannot be asked: {error}")))?;
        Ok(Self { client, address: address.to_owned() })
    }
}

fn certificates(path: &Path) -> Result<Vec<Certificate>> {
    let wrong = |why: &dyn fmt::Display| {
        let path = path.display();
        Error::Usage(format!("`certificate_authority` of [combiner]: {path}: {why}"))
    };
    let text = std::fs::read(path).map_err(|error| wrong(&error))?;
    match Certificate::from_pem_bundle(&text) {
        Ok(certificates) if certificates.is_empty() => Err(wrong(&"there is no certificate in it")),
        found => found.map_err(|error| wrong(&error)),
    }
}

#[async_trait]
impl Combiner for Line {
    async fn exchange(&self, message: Bytes) -> storage_core::Result<Bytes> {
        let request = self.client.post(format!("{}{PATH}", self.address));
        let sent = request.header(CONTENT_TYPE, MESSAGE_TYPE).body(message).send().await;
        let mut answer = sent.map_err(|error| {
            let why = format!("{} cannot be reached: {}", self.address, reason(&error));
            match error.is_connect() || error.is_builder() {
                true => ProviderError::not_applied(ErrorKind::Unavailable, why),
                false => ProviderError::unknown(ErrorKind::Unavailable, why),
            }
        })?;
        let status = answer.status();
        let body = body(&mut answer).await.map_err(|why| {
            let why = format!("the answer of {} is not whole: {why}", self.address);
            ProviderError::unknown(ErrorKind::Unavailable, why)
        })?;
        if status == StatusCode::OK {
            return Ok(body);
        }
        let said = String::from_utf8_lossy(&body[..body.len().min(TOLD_BYTES_MAX)]);
        let why = format!("{} says {status}: {}", self.address, said.trim());
        // What a combiner says of itself when it has done nothing; others may say it too, and have done nothing either.
        Err(match status {
            StatusCode::FORBIDDEN => ProviderError::not_applied(ErrorKind::PermissionDenied, why),
            StatusCode::BAD_REQUEST
            | StatusCode::NOT_FOUND
            | StatusCode::METHOD_NOT_ALLOWED
            | StatusCode::PAYLOAD_TOO_LARGE => {
                ProviderError::not_applied(ErrorKind::Misconfigured, why)
            }
            _ => ProviderError::unknown(ErrorKind::Unavailable, why),
        })
    }

    fn changed(&self, now: &Combining) {
        let address = &self.address;
        match now {
            Combining::Through => tracing::info!("{address} commits for this server"),
            Combining::Itself => {
                tracing::info!("this server is its own combiner: it takes the commits of others");
            }
            Combining::Alone(why) => {
                tracing::warn!("this server commits by itself: combiner {address}: {why}");
            }
            _ => {}
        }
    }
}

/// All of an answer, if it is no longer than any may be.
async fn body(answer: &mut Response) -> std::result::Result<Bytes, String> {
    let mut body = BytesMut::new();
    while let Some(part) = answer.chunk().await.map_err(|error| reason(&error))? {
        if body.len() + part.len() > COMBINE_BYTES_MAX {
            return Err(format!("it is longer than {COMBINE_BYTES_MAX} bytes"));
        }
        body.extend_from_slice(&part);
    }
    Ok(body.freeze())
}

/// What went wrong, down to its cause: the outermost error only says that something did.
fn reason(error: &reqwest::Error) -> String {
    let mut deepest: &dyn std::error::Error = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}
