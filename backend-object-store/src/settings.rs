//! What the settings of all services on HTTP have in common, and the checks on them.

use std::time::Duration;

use http::Uri;
use object_store::{Certificate, ClientOptions};
use storage_core::{Error, ErrorKind, Result};

/// Whether puts with a condition are offered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ConditionalPut {
    /// `etag`: by the service, with `If-None-Match` and `If-Match`.
    #[default]
    Etag,
    /// `unsupported`: not at all, because the service does not keep such conditions.
    Unsupported,
}

/// Whether opening asks the service for what it is about to promise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Probe {
    /// `full`: conditions are tried out, in sequence and in races. About 150 small requests.
    #[default]
    Full,
    /// `off`: nothing is sent.
    Off,
}

/// How to speak HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Http {
    /// Setting `allow_http`: whether an endpoint may be plain HTTP.
    pub allow_http: bool,
    /// Setting `allow_invalid_certificates`: whether to talk to a server that cannot prove who it is.
    pub allow_invalid_certificates: bool,
    /// Setting `ca_certificate`: certificates in PEM to trust besides the system's.
    pub ca_certificate: Option<String>,
    /// Setting `connect_timeout`: how long a connection may take to come about.
    pub connect_timeout: Duration,
    /// Setting `idle_timeout`: how long a connection may be idle and still be used again. One that the server closes just as a put
    /// goes out leaves that put's effect unknown, so keep it shorter than the server does.
    pub idle_timeout: Duration,
    /// Setting `request_timeout`: how long the service may keep silent, before its answer begins (for
    /// uploads, a second more for every MiB) and between two parts of it.
    pub request_timeout: Duration,
}

impl Default for Http {
    /// HTTPS only, the system's certificates, 5 seconds to connect, 15 seconds idle, 30 seconds of
    /// silence.
    fn default() -> Self {
        Self {
            allow_http: false,
            allow_invalid_certificates: false,
            ca_certificate: None,
            connect_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(15),
            request_timeout: Duration::from_secs(30),
        }
    }
}

impl Http {
    /// The library's options for these settings.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misconfigured`] naming the setting.
    pub fn client_options(&self) -> Result<ClientOptions> {
        if self.request_timeout.is_zero() {
            return Err(misconfigured("`request_timeout` is zero: no request could succeed"));
        }
        if self.connect_timeout.is_zero() {
            return Err(misconfigured("`connect_timeout` is zero: no connection could succeed"));
        }
        let mut options = ClientOptions::new()
            .with_allow_http(self.allow_http)
            .with_allow_invalid_certificates(self.allow_invalid_certificates)
            .with_connect_timeout(self.connect_timeout)
            // Silence is measured at our end, where an upload's size is known.
            .with_timeout_disabled()
            .with_pool_idle_timeout(self.idle_timeout);
        if let Some(pem) = &self.ca_certificate {
            let certificates = Certificate::from_pem_bundle(pem.as_bytes())
                .map_err(|_| misconfigured("`ca_certificate` is not a certificate in PEM"))?;
            if certificates.is_empty() {
                return Err(misconfigured("`ca_certificate` holds no certificate in PEM"));
            }
            for certificate in certificates {
                options = options.with_root_certificate(certificate);
            }
        }
        Ok(options)
    }
}

/// Checks an endpoint and takes the slash off its end.
///
/// # Errors
///
/// [`ErrorKind::Misconfigured`] naming `endpoint` or `allow_http`.
pub fn check_endpoint(endpoint: &str, http: &Http) -> Result<String> {
    let wrong = |problem: &str| {
        misconfigured(format!(
            "`endpoint` {problem}: \"{}\", expected something like https://host:port",
            // A password before an @ is nobody's business.
            endpoint.rsplit('@').next().unwrap_or_default()
        ))
    };
    let uri: Uri = endpoint.parse().map_err(|_| wrong("is not an address"))?;
    match uri.scheme_str() {
        Some("https") => {}
        Some("http") if http.allow_http => {}
        Some("http") => {
            return Err(misconfigured(
                "`endpoint` begins with http://, which anyone on the way can read and change; \
                 set `allow_http = true` if that is meant",
            ));
        }
        _ => return Err(wrong("does not begin with https:// or http://")),
    }
    let authority = uri.authority().ok_or_else(|| wrong("names no host"))?;
    if authority.as_str().contains('@') {
        return Err(wrong("holds credentials, which have settings of their own"));
    }
    if authority.host().is_empty() {
        return Err(wrong("names no host"));
    }
    if uri.query().is_some() {
        return Err(wrong("has a query"));
    }
    Ok(endpoint.trim_end_matches('/').to_owned())
}

/// Checks that a setting can be sent in a header.
///
/// # Errors
///
/// [`ErrorKind::Misconfigured`] naming the setting, never its value.
pub fn check_header_text(setting: &str, text: &str) -> Result<()> {
    if text.is_empty() {
        return Err(misconfigured(format!("`{setting}` is empty")));
    }
    match text.bytes().position(|byte| !byte.is_ascii_graphic()) {
        None => Ok(()),
        Some(at) => Err(misconfigured(format!(
            "`{setting}` has a space, a line break or another character that cannot be sent at byte {at}"
        ))),
    }
}

/// An error of kind [`ErrorKind::Misconfigured`].
pub fn misconfigured(message: impl Into<String>) -> Error {
    Error::not_applied(ErrorKind::Misconfigured, message)
}
