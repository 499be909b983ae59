//! What is said about wrong settings.

use std::time::Duration;

use backend_s3::{Config, Credentials, Http, Names, OBJECT_BYTES_MAX, S3Provider};
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

fn keys(id: &str, secret: &str, token: Option<&str>) -> Credentials {
    Credentials::Keys {
        access_key_id: id.into(),
        secret_access_key: Secret::new(secret),
        session_token: token.map(Secret::new),
    }
}

async fn wrong() {
    let base = Config::new("bucket");
    let endpoint = |text: &str| Config { endpoint: Some(text.into()), ..base.clone() };
    let http = |http: Http| Config { http, ..base.clone() };
    for (config, setting) in [
        (Config::new(""), "`bucket`"),
        (
            Config {
                prefix: Prefix::new("p".repeat(200) + "/" + &"q".repeat(60)).unwrap(),
                ..base.clone()
            },
            "`prefix`",
        ),
        (Config::new("ab"), "`bucket`"),
        (Config::new("my bucket"), "`bucket`"),
        (Config::new("bucket/with/prefix"), "`prefix`"),
        (Config::new("zone--x-s3"), "`bucket`"),
        (Config { region: Some("eu central".into()), ..base.clone() }, "`region`"),
        (Config { region: Some(String::new()), ..base.clone() }, "`region`"),
        (endpoint("localhost:9000"), "`endpoint`"),
        (endpoint("ftp://localhost"), "`endpoint`"),
        (endpoint("http://localhost:9000"), "`allow_http = true`"),
        (endpoint("https://user:canary@host"), "`endpoint`"),
        (endpoint("https://host/?list"), "`endpoint`"),
        (endpoint(""), "`endpoint`"),
        (Config { credentials: keys("", "s", None), ..base.clone() }, "`access_key_id`"),
        (Config { credentials: keys("k", "", None), ..base.clone() }, "`secret_access_key`"),
        (
            Config { credentials: keys("k", "canary\n", None), ..base.clone() },
            "`secret_access_key`",
        ),
        (
            Config { credentials: keys("k", "s", Some("canary\u{e9}")), ..base.clone() },
            "`session_token`",
        ),
        (
            Config {
                credentials: Credentials::Profile {
                    name: "work".into(),
                    credentials_file: Some("/nonexistent/credentials".into()),
                    config_file: Some("/nonexistent/config".into()),
                },
                ..base.clone()
            },
            "`profile`",
        ),
        (Config { object_bytes_max: OBJECT_BYTES_MAX + 1, ..base.clone() }, "`object_bytes_max`"),
        (http(Http { request_timeout: Duration::ZERO, ..Http::default() }), "`request_timeout`"),
        (http(Http { connect_timeout: Duration::ZERO, ..Http::default() }), "`connect_timeout`"),
        (
            http(Http { ca_certificate: Some("canary".into()), ..Http::default() }),
            "`ca_certificate`",
        ),
    ] {
        let error = S3Provider::open(config.clone()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Misconfigured, "{config:?}: {error}");
        assert!(error.to_string().contains(setting), "{setting}: {error}");
        assert!(!format!("{error:?}").contains("canary"), "{error:?}");
    }
}

async fn good() {
    let base = Config {
        credentials: keys("k", "s", None),
        probe: backend_s3::Probe::Off,
        ..Config::new("bucket")
    };
    for (config, name) in [
        (base.clone(), "s3://bucket"),
        (Config { prefix: Prefix::new("a/b").unwrap(), ..base.clone() }, "s3://bucket/a/b"),
        (Config { names: Names::Plain, ..base.clone() }, "s3://bucket"),
        (
            Config { endpoint: Some("https://minio.example:9000/".into()), ..base.clone() },
            "s3://bucket",
        ),
        (Config { virtual_hosted_style: true, ..base.clone() }, "s3://bucket"),
        (Config { credentials: Credentials::Anonymous, ..base.clone() }, "s3://bucket"),
    ] {
        assert_eq!(S3Provider::open(config).await.unwrap().info().name, name);
    }
}

async fn no_secret() {
    let config = Config {
        credentials: keys("k", "canary-secret", Some("canary-token")),
        probe: backend_s3::Probe::Off,
        ..Config::new("bucket")
    };
    let provider = S3Provider::open(config.clone()).await.unwrap();
    let all = format!("{config:?} {provider:?} {:?}", provider.info());
    assert!(!all.contains("canary"), "{all}");
}
