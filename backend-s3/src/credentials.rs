//! From settings to something that signs.

use std::env;
use std::sync::Arc;

use backend_object_store::{CredentialConnector, misconfigured};
use object_store::aws::{AmazonS3Builder, AwsCredential, AwsCredentialProvider};
use object_store::{BackoffConfig, RetryConfig, StaticCredentialProvider};
use std::time::Duration;
use storage_core::Result;

use crate::profile::{Files, Profile};
use crate::{Config, Credentials};

/// The region where nothing else says one.
const REGION: &str = "us-east-1";

/// What signs requests, and for which region.
#[derive(Debug)]
pub(crate) struct Signer {
    /// `None` signs nothing.
    pub(crate) credentials: Option<AwsCredentialProvider>,
    pub(crate) region: String,
}

/// No attempt but the first: repeating is for the caller, who knows what it means.
pub(crate) fn no_retry() -> RetryConfig {
    RetryConfig { backoff: BackoffConfig::default(), max_retries: 0, retry_timeout: Duration::ZERO }
}

impl Signer {
    /// For these settings. Sends nothing: what has to be fetched is fetched with the first request.
    pub(crate) fn new(config: &Config) -> Result<Self> {
        let (credentials, region) = match &config.credentials {
            Credentials::Keys { access_key_id, secret_access_key, session_token } => {
                let credential = AwsCredential {
                    key_id: access_key_id.clone(),
                    secret_key: secret_access_key.reveal().to_owned(),
                    token: session_token.as_ref().map(|token| token.reveal().to_owned()),
                };
                (Some(fixed(credential)), None)
            }
            Credentials::Profile { name, credentials_file, config_file } => {
                let files = Files::new(credentials_file.as_ref(), config_file.as_ref());
                let (credentials, region) = of_profile(files.profile(name)?);
                (Some(credentials), region)
            }
            Credentials::Chain => {
                let (credentials, region) = chain(config)?;
                (Some(credentials), region)
            }
            Credentials::Anonymous => (None, None),
        };
        let region = config.region.clone().or(region).unwrap_or_else(|| REGION.into());
        Ok(Self { credentials, region })
    }
}

fn fixed(credential: AwsCredential) -> AwsCredentialProvider {
    Arc::new(StaticCredentialProvider::new(credential))
}

fn of_profile(profile: Profile) -> (AwsCredentialProvider, Option<String>) {
    let credential = AwsCredential {
        key_id: profile.access_key_id,
        secret_key: profile.secret_access_key.reveal().to_owned(),
        token: profile.session_token.map(|token| token.reveal().to_owned()),
    };
    (fixed(credential), profile.region)
}

/// The usual chain. The library knows all of it but the files.
fn chain(config: &Config) -> Result<(AwsCredentialProvider, Option<String>)> {
    let set = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    let region = set("AWS_REGION").or_else(|| set("AWS_DEFAULT_REGION"));
    let before_files = set("AWS_ACCESS_KEY_ID").is_some()
        || set("AWS_WEB_IDENTITY_TOKEN_FILE").is_some()
        || set("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI").is_some()
        || set("AWS_CONTAINER_CREDENTIALS_FULL_URI").is_some();
    if !before_files {
        let named = set("AWS_PROFILE");
        let name = named.as_deref().unwrap_or("default");
        let files = Files::new(None, None);
        let profile = match named {
            Some(_) => Some(files.profile(name)?),
            // A default profile without keys is no reason not to look further.
            None => files.find(name).ok().flatten(),
        };
        if let Some(profile) = profile {
            let (credentials, of_profile) = of_profile(profile);
            return Ok((credentials, region.or(of_profile)));
        }
    }
    let mut builder = AmazonS3Builder::from_env()
        .with_bucket_name(&config.bucket)
        .with_retry(no_retry())
        .with_client_options(config.http.client_options()?)
        .with_http_connector(CredentialConnector);
    if let Some(region) = config.region.as_ref().or(region.as_ref()) {
        builder = builder.with_region(region);
    }
    let store = builder.build().map_err(|error| {
        misconfigured("`credentials` is \"chain\", but the environment contradicts itself")
            .with_source(error)
    })?;
    Ok((Arc::clone(store.credentials()), region))
}
