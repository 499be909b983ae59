//! What is said about wrong settings.

use backend_azure::{AzureProvider, Config, Credentials, Http, OBJECT_BYTES_MAX, Probe};
use libtest_mimic::Trial;
use storage_core::{ErrorKind, Prefix, Secret, StorageProvider};

use crate::trial;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("settings::a_wrong_setting_is_named", wrong),
        trial("settings::good_settings_open_without_a_request", good),
        trial("settings::no_secret_shows", no_secret),
    ]
}

async fn wrong() {
    let base = Config { probe: Probe::Off, ..Config::emulator("container") };
    let with = |credentials: Credentials| Config { credentials, ..base.clone() };
    let at = |text: &str| Config { endpoint: Some(text.into()), emulator: false, ..base.clone() };
    for (config, setting) in [
        (Config::new("", "container"), "`account`"),
        (Config::new("My-Account", "container"), "`account`"),
        (Config::new("account", ""), "`container`"),
        (Config::new("account", "ab"), "`container`"),
        (Config::new("account", "Upper"), "`container`"),
        (Config::new("account", "a--b"), "`container`"),
        (Config::new("account", "c/prefix"), "`prefix`"),
        (at("http://localhost:10000"), "`allow_http = true`"),
        (at("localhost"), "`endpoint`"),
        (at("https://user:canary@host"), "`endpoint`"),
        (with(Credentials::AccountKey(Secret::new("canary"))), "`account_key`"),
        (with(Credentials::AccountKey(Secret::new("canary!!"))), "`account_key`"),
        (with(Credentials::AccountKey(Secret::new(""))), "`account_key`"),
        (with(Credentials::SasToken(Secret::new("canary"))), "`sas_token`"),
        (with(Credentials::SasToken(Secret::new("canary&sig=canary"))), "`sas_token`"),
        (
            with(Credentials::ClientSecret {
                tenant_id: "t".into(),
                client_id: String::new(),
                client_secret: Secret::new("canary"),
            }),
            "`client_id`",
        ),
        (
            with(Credentials::WorkloadIdentity {
                tenant_id: Some("t".into()),
                client_id: Some("c".into()),
                token_file: Some("".into()),
            }),
            "`token_file`",
        ),
        (Config { object_bytes_max: OBJECT_BYTES_MAX + 1, ..base.clone() }, "`object_bytes_max`"),
        (
            Config {
                http: Http { ca_certificate: Some("canary".into()), ..Http::default() },
                ..base.clone()
            },
            "`ca_certificate`",
        ),
    ] {
        let error = AzureProvider::open(config.clone()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Misconfigured, "{config:?}: {error}");
        assert!(error.to_string().contains(setting), "{setting}: {error}");
        assert!(!format!("{error:?}").contains("canary"), "{error:?}");
    }
}

async fn good() {
    let base = Config { probe: Probe::Off, ..Config::emulator("container") };
    let name = "azure://devstoreaccount1/container";
    let with = |credentials: Credentials| Config { credentials, ..base.clone() };
    let client = |secret: &str| Credentials::ClientSecret {
        tenant_id: "t".into(),
        client_id: "c".into(),
        client_secret: Secret::new(secret),
    };
    for (config, name) in [
        (base.clone(), name.to_owned()),
        (Config { prefix: Prefix::new("a/b").unwrap(), ..base.clone() }, format!("{name}/a/b")),
        (Config { emulator: false, ..base.clone() }, name.to_owned()),
        (with(Credentials::SasToken(Secret::new("?sv=1&sig=s%3D"))), name.to_owned()),
        (with(client("s")), name.to_owned()),
        (with(Credentials::ManagedIdentity { client_id: None }), name.to_owned()),
        (with(Credentials::AzureCli), name.to_owned()),
        (with(Credentials::Anonymous), name.to_owned()),
    ] {
        assert_eq!(AzureProvider::open(config).await.unwrap().info().name, name);
    }
}

async fn no_secret() {
    for credentials in [
        Credentials::AccountKey(Secret::new("Y2FuYXJ5")),
        Credentials::SasToken(Secret::new("sv=1&sig=Y2FuYXJ5")),
    ] {
        // A port that was just free, and is not listened to now.
        let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let config = Config {
            credentials,
            endpoint: Some(format!("http://{address}")),
            probe: Probe::Off,
            ..Config::emulator("container")
        };
        let provider = AzureProvider::open(config.clone()).await.unwrap();
        let key = storage_core::Key::new("k").unwrap();
        let error = provider.delete(&key).await.unwrap_err();
        let read = provider.get(&key, storage_core::Get::whole()).await.unwrap_err();
        let all =
            format!("{config:?} {provider:?} {:?} {error} {error:?} {read:?}", provider.info());
        assert!(!all.contains("Y2FuYXJ5"), "{all}");
    }
}
