//! `type = "azure"`: Azure Blob Storage, or its emulator.

use std::sync::Arc;

use backend_azure::{AzureProvider, Config, Credentials, EMULATOR_ACCOUNT};
use conformance::{Denied, Hooks, Missing, opener};
use storage_core::Secret;

use super::http::{self, Probe, Wire};
use super::raw;
use crate::config::Section;
use crate::registry::Backend;

/// The key that the suite tries in place of the right one: base64, as keys are.
const NOT_THE_KEY: &str = "bm90IHRoZSBhY2NvdW50IGtleQ==";
/// Where the emulator is unless `endpoint` says otherwise.
const EMULATOR_ENDPOINT: &str = "http://127.0.0.1:10000";

pub(crate) fn read(section: &mut Section<'_>) -> Backend {
    let emulator = section.switch("emulator").or(false);
    let account = section.text("account");
    let account =
        if emulator { account.or(EMULATOR_ACCOUNT.to_owned()) } else { account.required() };
    let container = section.text("container").required();
    let default = match emulator {
        true => Config { account, ..Config::emulator(container) },
        false => Config::new(account, container),
    };
    let config = Config {
        prefix: http::prefix(section),
        names: http::names(section),
        endpoint: section.url("endpoint").optional(),
        credentials: credentials(section, default.credentials.clone()),
        conditional_put: http::conditional_put(section),
        probe: http::probe(section),
        object_bytes_max: section.size("object_bytes_max").or(default.object_bytes_max),
        http: http::http(section),
        ..default
    };
    section.check(config.check());
    backend(config)
}

/// A key, a token, an identity with a secret, or what `credentials` says.
fn credentials(section: &mut Section<'_>, default: Credentials) -> Credentials {
    let account_key = section.secret("account_key").optional();
    let sas_token = section.secret("sas_token").optional();
    let tenant_id = section.text("tenant_id").optional();
    let client_id = section.text("client_id").optional();
    let client_secret = section.secret("client_secret").optional();
    let token_file = section.path("token_file").optional();
    let workload = Credentials::WorkloadIdentity {
        tenant_id: tenant_id.clone(),
        client_id: client_id.clone(),
        token_file,
    };
    let words = [
        ("chain", Credentials::Chain),
        ("anonymous", Credentials::Anonymous),
        ("azure_cli", Credentials::AzureCli),
        ("managed_identity", Credentials::ManagedIdentity { client_id: client_id.clone() }),
        ("workload_identity", workload),
    ];
    let otherwise = section.choice("credentials", &words).optional();
    section.only_together("client_secret", &["tenant_id", "client_id"]);
    section.only_together("token_file", &["credentials"]);
    section.only_one_of(&["account_key", "sas_token", "client_secret", "credentials"]);
    match (account_key, sas_token, client_secret, tenant_id.zip(client_id)) {
        (Some(key), ..) => Credentials::AccountKey(key),
        (_, Some(token), ..) => Credentials::SasToken(token),
        (_, _, Some(client_secret), Some((tenant_id, client_id))) => {
            Credentials::ClientSecret { tenant_id, client_id, client_secret }
        }
        _ => otherwise.unwrap_or(default),
    }
}

fn backend(config: Config) -> Backend {
    let (opened, created, destroyed, hooked) =
        (config.clone(), config.clone(), config.clone(), config.clone());
    let trusted = Config { probe: Probe::Off, ..config.clone() };
    Backend::new(move || AzureProvider::open(opened.clone()))
        .trust_with(move || AzureProvider::open(trusted.clone()))
        .create_with(move || {
            let config = created.clone();
            async move { AzureProvider::create(&config).await }
        })
        .destroy_with(move || {
            let config = destroyed.clone();
            async move { AzureProvider::destroy(&config).await }
        })
        .hooks_with(move || hooks(&hooked))
        .raw_with(move || raw::azure(&config))
}

fn hooks(config: &Config) -> Hooks {
    let missing =
        Config { container: format!("{:.50}-not-there", config.container), ..config.clone() };
    let denied = matches!(config.credentials, Credentials::AccountKey(_)).then(|| {
        let credentials = Credentials::AccountKey(Secret::new(NOT_THE_KEY));
        let denied = Config { credentials, probe: Probe::Off, ..config.clone() };
        Denied { open: opener(move || AzureProvider::open(denied.clone())), setting: "account_key" }
    });
    let endpoint = match (&config.endpoint, config.emulator) {
        (None, true) => Some(EMULATOR_ENDPOINT),
        (endpoint, _) => endpoint.as_deref(),
    };
    let wire = endpoint.and_then(http::plain_upstream).map(|upstream| {
        let config = config.clone();
        let open = move |proxy| {
            AzureProvider::open(Config {
                endpoint: Some(format!("http://{proxy}")),
                probe: Probe::Off,
                http: http::impatient(&config.http),
                ..config.clone()
            })
        };
        Arc::new(Wire { upstream, open }) as _
    });
    Hooks {
        wire,
        missing: Some(Missing {
            open: opener(move || AzureProvider::open(missing.clone())),
            setting: "container",
        }),
        denied,
        ..Hooks::default()
    }
}
