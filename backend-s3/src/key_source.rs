//! The keys that sign requests, for those who speak S3 without a provider.

use std::path::PathBuf;

use storage_core::{ErrorKind, Result, Secret};

use crate::Config;
use crate::credentials::Signer;
use crate::profile::Files;

/// Where keys come from, with the region they are for.
///
/// # Examples
///
/// ```
/// # futures_executor(async {
/// use backend_s3::{Config, Credentials, KeySource};
/// use storage_core::Secret;
///
/// let keys = Credentials::Keys {
///     access_key_id: "AKIA...".into(),
///     secret_access_key: Secret::new("hunter2"),
///     session_token: None,
/// };
/// let source = KeySource::new(&Config { credentials: keys, ..Config::new("any") })?;
/// assert_eq!(source.region(), "us-east-1");
/// assert_eq!(source.keys().await?.unwrap().access_key_id, "AKIA...");
/// # Ok::<(), storage_core::Error>(())
/// # });
/// # fn futures_executor<T>(work: impl Future<Output = storage_core::Result<T>>) {
/// #     tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work).unwrap();
/// # }
/// ```
#[derive(Debug)]
pub struct KeySource(Signer);

/// Keys that sign a request. `Debug` shows no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    /// Which key it is, which is no secret.
    pub access_key_id: String,
    /// What signs.
    pub secret_access_key: Secret,
    /// Goes with temporary keys.
    pub session_token: Option<Secret>,
}

impl KeySource {
    /// What `credentials` and `region` of these settings say. Sends nothing: what has to be fetched is fetched when
    /// keys are first asked for.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misconfigured`] naming the setting.
    pub fn new(config: &Config) -> Result<Self> {
        Signer::new(config).map(Self)
    }

    /// The region that is meant: the one given, else that of the profile or the environment, else `us-east-1`.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.0.region
    }

    /// The keys, fetched again before they expire; `None` where nothing is to be signed.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::PermissionDenied`] naming `credentials`, when there are none to be had.
    pub async fn keys(&self) -> Result<Option<Keys>> {
        let Some(source) = &self.0.credentials else { return Ok(None) };
        let credential = source.get_credential().await.map_err(|error| {
            let message = "no `credentials`: none are in the environment or in a profile, and none are handed out here";
            storage_core::Error::not_applied(ErrorKind::PermissionDenied, message)
                .with_source(error)
        })?;
        Ok(Some(Keys {
            access_key_id: credential.key_id.clone(),
            secret_access_key: Secret::new(credential.secret_key.clone()),
            session_token: credential.token.clone().map(Secret::new),
        }))
    }
}

/// What a profile of the AWS command line says besides keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProfileSettings {
    /// `region`
    pub region: Option<String>,
    /// `endpoint_url`, the one for S3 if there is one.
    pub endpoint_url: Option<String>,
    /// `addressing_style` of `s3`: `path`, `virtual` or `auto`.
    pub addressing_style: Option<String>,
    /// `ca_bundle`
    pub ca_bundle: Option<PathBuf>,
    /// Whether it has keys, or a way to get some.
    pub has_keys: bool,
}

impl ProfileSettings {
    /// Those of the profile of this name in the files that the AWS command line reads; `None` if there is none.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misconfigured`] naming the file that cannot be read.
    pub fn find(name: &str) -> Result<Option<Self>> {
        Files::new(None, None).settings(name)
    }
}
