//! `type = "s3"`: AWS and everything that speaks its language.

use std::sync::Arc;

use backend_s3::{Checksum, Config, Credentials, S3Provider};
use conformance::{Denied, Hooks, Missing, opener};
use storage_core::Secret;

use super::http::{self, Probe, Wire};
use super::raw;
use crate::config::Section;
use crate::registry::Backend;

pub(crate) fn read(section: &mut Section<'_>) -> Backend {
    let bucket = section.text("bucket").required();
    let default = Config::new(bucket);
    let config = Config {
        prefix: http::prefix(section),
        names: http::names(section),
        region: section.text("region").optional(),
        endpoint: section.url("endpoint").optional(),
        virtual_hosted_style: section
            .switch("virtual_hosted_style")
            .or(default.virtual_hosted_style),
        credentials: credentials(section),
        checksum: section
            .choice("checksum", &[("sha256", Checksum::Sha256), ("crc64nvme", Checksum::Crc64Nvme)])
            .optional(),
        sign_payload: section.switch("sign_payload").or(default.sign_payload),
        conditional_put: http::conditional_put(section),
        probe: http::probe(section),
        object_bytes_max: section.size("object_bytes_max").or(default.object_bytes_max),
        http: http::http(section),
        ..default
    };
    section.check(config.check());
    backend(config)
}

/// Explicit keys, a profile, or what `credentials` says.
fn credentials(section: &mut Section<'_>) -> Credentials {
    let access_key_id = section.text("access_key_id").optional();
    let secret_access_key = section.secret("secret_access_key").optional();
    let session_token = section.secret("session_token").optional();
    let profile = section.text("profile").optional();
    let credentials_file = section.path("credentials_file").optional();
    let config_file = section.path("config_file").optional();
    let words = [("chain", Credentials::Chain), ("anonymous", Credentials::Anonymous)];
    let otherwise = section.choice("credentials", &words).or("chain", Credentials::Chain);
    section.only_together("access_key_id", &["secret_access_key"]);
    section.only_together("secret_access_key", &["access_key_id"]);
    section.only_together("session_token", &["access_key_id", "secret_access_key"]);
    section.only_together("credentials_file", &["profile"]);
    section.only_together("config_file", &["profile"]);
    section.only_one_of(&["secret_access_key", "profile", "credentials"]);
    match (access_key_id, secret_access_key, profile) {
        (Some(access_key_id), Some(secret_access_key), _) => {
            Credentials::Keys { access_key_id, secret_access_key, session_token }
        }
        (_, _, Some(name)) => Credentials::Profile { name, credentials_file, config_file },
        _ => otherwise,
    }
}

fn backend(config: Config) -> Backend {
    let (opened, created, destroyed, hooked) =
        (config.clone(), config.clone(), config.clone(), config.clone());
    let trusted = Config { probe: Probe::Off, ..config.clone() };
    let spoken = config.clone();
    Backend::new(move || S3Provider::open(opened.clone()))
        .trust_with(move || S3Provider::open(trusted.clone()))
        .create_with(move || {
            let config = created.clone();
            async move { S3Provider::create(&config).await }
        })
        .destroy_with(move || {
            let config = destroyed.clone();
            async move { S3Provider::destroy(&config).await }
        })
        .hooks_with(move || hooks(&hooked))
        .raw_with(move || raw::s3(&config))
        .is_s3(spoken)
}

fn hooks(config: &Config) -> Hooks {
    let missing = Config { bucket: format!("{:.50}-not-there", config.bucket), ..config.clone() };
    let denied = match &config.credentials {
        Credentials::Keys { access_key_id, session_token, .. } => {
            let credentials = Credentials::Keys {
                access_key_id: access_key_id.clone(),
                secret_access_key: Secret::new("not-the-secret-access-key"),
                session_token: session_token.clone(),
            };
            let denied = Config { credentials, probe: Probe::Off, ..config.clone() };
            let open = opener(move || S3Provider::open(denied.clone()));
            Some(Denied { open, setting: "secret_access_key" })
        }
        _ => None,
    };
    let wire = config.endpoint.as_deref().and_then(http::plain_upstream).map(|upstream| {
        let config = config.clone();
        let open = move |proxy| {
            S3Provider::open(Config {
                endpoint: Some(format!("http://{proxy}")),
                virtual_hosted_style: false,
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
            open: opener(move || S3Provider::open(missing.clone())),
            setting: "bucket",
        }),
        denied,
        ..Hooks::default()
    }
}
