//! The conformance suite on the S3 servers that the environment names.

use std::env;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use backend_s3::{ConditionalPut, Config, Credentials, Http, Probe, S3Provider};
use conformance::{Denied, Harness, Hooks, Level, Missing, Target, WireHook, opener};
use storage_core::{Result, Secret, StorageProvider, async_trait};
use tokio::sync::OnceCell;

conformance::main!([
    target("seaweedfs", "CLOUDBANK_TEST_SEAWEEDFS", ConditionalPut::Etag, true),
    // moto takes any credentials, and minutes for sixteen thousand keys, which are therefore left to
    // `cargo test -- --include-ignored list.order`.
    target("moto", "CLOUDBANK_TEST_MOTO", ConditionalPut::Etag, false).levels(&[
        Level::Core,
        Level::Txn,
        Level::Chaos,
        Level::Durability
    ]),
]);

fn target(
    name: &str,
    variable: &str,
    conditional_put: ConditionalPut,
    checks_credentials: bool,
) -> Target {
    match env::var(variable) {
        Ok(endpoint) => {
            let config = Config {
                endpoint: Some(endpoint),
                region: Some("us-east-1".into()),
                credentials: keys("cloudbank-secret"),
                conditional_put,
                http: Http {
                    allow_http: true,
                    // A busy machine may keep the server waiting.
                    request_timeout: Duration::from_secs(120),
                    ..Http::default()
                },
                ..Config::new(format!("cb-{:016x}", rand::random::<u64>()))
            };
            Target::new(name, Bucket { config, checks_credentials, created: OnceCell::new() })
        }
        Err(_) => Target::unavailable(name, format!("set {variable} or run cargo xtask test")),
    }
}

fn keys(secret: &str) -> Credentials {
    Credentials::Keys {
        access_key_id: "cloudbank".into(),
        secret_access_key: Secret::new(secret),
        session_token: None,
    }
}

/// A bucket of the run's own, made with the first handle and removed at the end.
struct Bucket {
    config: Config,
    checks_credentials: bool,
    created: OnceCell<()>,
}

#[async_trait]
impl Harness for Bucket {
    async fn open(&self) -> Result<Arc<dyn StorageProvider>> {
        let probed = self.created.initialized();
        self.created.get_or_try_init(|| S3Provider::create(&self.config)).await?;
        // What the first handle has verified need not be again, hundreds of times.
        let probe = if probed { Probe::Off } else { self.config.probe };
        Ok(Arc::new(S3Provider::open(Config { probe, ..self.config.clone() }).await?))
    }

    fn hooks(&self) -> Hooks {
        let missing =
            Config { bucket: format!("{}-not", self.config.bucket), ..self.config.clone() };
        let denied = Config { credentials: keys("not-the-secret"), ..self.config.clone() };
        let open = |config: Config| {
            let config = Config { probe: Probe::Off, ..config };
            opener(move || S3Provider::open(config.clone()))
        };
        Hooks {
            wire: Some(Arc::new(Wire(self.config.clone()))),
            // With the probe: SeaweedFS makes a missing bucket on the first put.
            missing: Some(Missing {
                open: opener(move || S3Provider::open(missing.clone())),
                setting: "bucket",
            }),
            denied: self
                .checks_credentials
                .then(|| Denied { open: open(denied), setting: "secret_access_key" }),
            secrets: vec![Secret::new("cloudbank-secret"), Secret::new("not-the-secret")],
            ..Hooks::default()
        }
    }

    async fn close(&self) -> Result<()> {
        S3Provider::destroy(&self.config).await
    }
}

/// The same bucket through a proxy.
struct Wire(Config);

#[async_trait]
impl WireHook for Wire {
    fn upstream(&self) -> String {
        let endpoint = self.0.endpoint.as_deref().unwrap_or_default();
        endpoint.trim_start_matches("http://").trim_end_matches('/').to_owned()
    }

    async fn open_through(&self, proxy: SocketAddr) -> Result<Arc<dyn StorageProvider>> {
        let config = Config {
            endpoint: Some(format!("http://{proxy}")),
            probe: Probe::Off,
            http: Http { request_timeout: Duration::from_secs(2), ..self.0.http.clone() },
            ..self.0.clone()
        };
        Ok(Arc::new(S3Provider::open(config).await?))
    }
}
