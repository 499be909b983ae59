//! From settings to something that signs.

use std::env;
use std::time::Duration;

use backend_object_store::{CredentialConnector, misconfigured};
use object_store::azure::{AzureCredentialProvider, MicrosoftAzureBuilder};
use object_store::{BackoffConfig, RetryConfig};
use storage_core::Result;

use crate::{Config, Credentials};

/// No attempt but the first: repeating is for the caller, who knows what it means.
pub(crate) fn no_retry() -> RetryConfig {
    RetryConfig { backoff: BackoffConfig::default(), max_retries: 0, retry_timeout: Duration::ZERO }
}

/// What signs requests; `None` signs nothing. Sends nothing: what has to be fetched is fetched with the
/// first request.
pub(crate) fn provider(config: &Config) -> Result<Option<AzureCredentialProvider>> {
    let builder = match &config.credentials {
        Credentials::Anonymous => return Ok(None),
        Credentials::AccountKey(key) => of_type("access_key").with_access_key(key.reveal()),
        Credentials::SasToken(token) => of_type("sas_token")
            .with_config(object_store::azure::AzureConfigKey::SasKey, token.reveal()),
        Credentials::ClientSecret { tenant_id, client_id, client_secret } => of_type(
            "client_secret",
        )
        .with_client_secret_authorization(client_id, client_secret.reveal(), tenant_id),
        Credentials::WorkloadIdentity { tenant_id, client_id, token_file } => {
            let file = token_file.as_ref().and_then(|file| file.to_str()).map(str::to_owned);
            of_type("workload_identity")
                .with_tenant_id(given("tenant_id", tenant_id, "AZURE_TENANT_ID")?)
                .with_client_id(given("client_id", client_id, "AZURE_CLIENT_ID")?)
                .with_federated_token_file(given(
                    "token_file",
                    &file,
                    "AZURE_FEDERATED_TOKEN_FILE",
                )?)
        }
        Credentials::ManagedIdentity { client_id } => {
            let builder = of_type("managed_identity");
            match client_id {
                Some(id) => builder.with_client_id(id),
                None => builder,
            }
        }
        Credentials::AzureCli => of_type("azure_cli"),
        Credentials::Chain => MicrosoftAzureBuilder::from_env(),
    };
    let store = builder
        .with_account(&config.account)
        .with_container_name(&config.container)
        .with_use_emulator(false)
        .with_endpoint(config.service_url()?)
        .with_retry(no_retry())
        .with_client_options(config.http().client_options()?)
        .with_http_connector(CredentialConnector)
        .build()
        // Without the library's words, which may repeat a part of the secret.
        .map_err(|_| {
            let settings = config.credentials.settings();
            misconfigured(format!("the credentials cannot be used; check {settings}"))
        })?;
    Ok(Some(store.credentials().clone()))
}

fn of_type(credential_type: &str) -> MicrosoftAzureBuilder {
    MicrosoftAzureBuilder::new().with_credential_type(credential_type)
}

fn given(setting: &str, value: &Option<String>, variable: &str) -> Result<String> {
    value.clone().or_else(|| env::var(variable).ok()).filter(|value| !value.is_empty()).ok_or_else(
        || misconfigured(format!("`{setting}` is not given, and {variable} is not set")),
    )
}
