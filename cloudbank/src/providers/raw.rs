//! The services as `object_store` reaches them, with the same settings, for `provider bench`.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use storage_core::{Error, ErrorKind, Result, async_trait};

use crate::raw::{RawError, RawService};

/// A service through `object_store`.
struct Raw {
    name: String,
    store: Arc<dyn ObjectStore>,
    /// Where it is, if that is to go with it.
    _folder: Option<tempfile::TempDir>,
}

#[async_trait]
impl RawService for Raw {
    fn name(&self) -> &str {
        &self.name
    }

    async fn put(&self, key: &str, body: Bytes) -> Result<(), RawError> {
        self.store.put(&Path::from(key), body.into()).await?;
        Ok(())
    }

    async fn put_absent(&self, key: &str, body: Bytes) -> Result<(), RawError> {
        let options = PutOptions::from(PutMode::Create);
        self.store.put_opts(&Path::from(key), body.into(), options).await?;
        Ok(())
    }

    async fn get(&self, key: &str) -> Result<Bytes, RawError> {
        Ok(self.store.get(&Path::from(key)).await?.bytes().await?)
    }

    async fn list(&self, folder: &str) -> Result<usize, RawError> {
        let listing = self.store.list(Some(&Path::from(folder)));
        Ok(listing.try_fold(0, |number, _| async move { Ok(number + 1) }).await?)
    }

    async fn delete(&self, key: &str) -> Result<(), RawError> {
        self.store.delete(&Path::from(key)).await?;
        Ok(())
    }
}

fn unusable(error: impl Into<RawError>) -> Error {
    Error::not_applied(ErrorKind::Misconfigured, "object_store does not take these settings")
        .with_source(error)
}

/// One attempt, as ours make.
#[cfg(any(feature = "s3", feature = "azure"))]
fn no_retry() -> object_store::RetryConfig {
    object_store::RetryConfig { max_retries: 0, ..Default::default() }
}

/// A folder beside ours, on the same file system and synced as ours is, which goes when the bench ends.
#[cfg(feature = "fs")]
pub(super) fn fs(config: &backend_fs::Config) -> Result<Box<dyn RawService>> {
    use object_store::local::LocalFileSystem;
    let sync = config.durability == storage_core::Durability::PowerLoss;
    let beside = config.path.parent().unwrap_or(&config.path);
    let folder = tempfile::Builder::new().prefix(".cloudbank-bench-").tempdir_in(beside);
    let folder = folder.map_err(unusable)?;
    let store = LocalFileSystem::new_with_prefix(folder.path()).map_err(unusable)?.with_fsync(sync);
    let name = format!("object_store {}", if sync { "with fsync" } else { "without fsync" });
    Ok(Box::new(Raw { name, store: Arc::new(store), _folder: Some(folder) }))
}

#[cfg(any(feature = "s3", feature = "azure"))]
fn client(http: &super::http::Http) -> Result<object_store::ClientOptions> {
    Ok(http.client_options()?.with_timeout(http.request_timeout))
}

#[cfg(feature = "s3")]
pub(super) fn s3(config: &backend_s3::Config) -> Result<Box<dyn RawService>> {
    use backend_s3::Credentials;
    use object_store::aws::{AmazonS3Builder, S3ConditionalPut};
    let mut builder = match &config.credentials {
        Credentials::Keys { access_key_id, secret_access_key, session_token } => {
            let builder = AmazonS3Builder::new()
                .with_access_key_id(access_key_id)
                .with_secret_access_key(secret_access_key.reveal());
            match session_token {
                Some(token) => builder.with_token(token.reveal()),
                None => builder,
            }
        }
        Credentials::Anonymous => AmazonS3Builder::new().with_skip_signature(true),
        Credentials::Chain => AmazonS3Builder::from_env(),
        Credentials::Profile { .. } => {
            return Err(unusable("it reads no profiles: give access_key_id and secret_access_key"));
        }
    };
    builder = builder
        .with_bucket_name(&config.bucket)
        .with_virtual_hosted_style_request(config.virtual_hosted_style)
        .with_unsigned_payload(!config.sign_payload)
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        .with_client_options(client(&config.http)?)
        .with_allow_http(config.http.allow_http)
        .with_retry(no_retry());
    if let Some(region) = &config.region {
        builder = builder.with_region(region);
    }
    if let Some(endpoint) = &config.endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    let store = builder.build().map_err(unusable)?;
    Ok(Box::new(Raw { name: "object_store".into(), store: Arc::new(store), _folder: None }))
}

#[cfg(feature = "azure")]
pub(super) fn azure(config: &backend_azure::Config) -> Result<Box<dyn RawService>> {
    use backend_azure::Credentials;
    use object_store::azure::MicrosoftAzureBuilder;
    let builder = match &config.credentials {
        Credentials::AccountKey(key) => MicrosoftAzureBuilder::new().with_access_key(key.reveal()),
        Credentials::Anonymous => MicrosoftAzureBuilder::new().with_skip_signature(true),
        Credentials::Chain => MicrosoftAzureBuilder::from_env(),
        _ => return Err(unusable("for this comparison give `account_key`")),
    };
    let mut builder = builder
        .with_account(&config.account)
        .with_container_name(&config.container)
        .with_client_options(client(&config.http)?)
        .with_allow_http(config.http.allow_http || config.emulator)
        .with_retry(no_retry());
    // To the library an emulator is an endpoint whose path begins with the account.
    let endpoint =
        config.endpoint.as_deref().or(config.emulator.then_some("http://127.0.0.1:10000"));
    if let Some(endpoint) = endpoint {
        let endpoint = endpoint.trim_end_matches('/');
        let account = format!("/{}", config.account);
        builder = builder.with_endpoint(match config.emulator && !endpoint.ends_with(&account) {
            true => format!("{endpoint}{account}"),
            false => endpoint.to_owned(),
        });
    }
    let store = builder.build().map_err(unusable)?;
    Ok(Box::new(Raw { name: "object_store".into(), store: Arc::new(store), _folder: None }))
}
