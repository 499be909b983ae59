//! The conformance suite on the emulator that the environment names.

use std::env;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use backend_azure::{AzureProvider, Config, Credentials, Http, Probe};
use conformance::{Denied, Harness, Hooks, Level, Missing, Target, WireHook, opener};
use storage_core::{Result, Secret, StorageProvider, async_trait};
use tokio::sync::OnceCell;

const VARIABLE: &str = "CLOUDBANK_TEST_AZURITE";
/// A key of the right form that no account has.
const WRONG_KEY: &str = "bm90LXRoZS1hY2NvdW50LWtleQ==";

conformance::main!([target()]);

fn target() -> Target {
    match env::var(VARIABLE) {
        Ok(endpoint) => {
            let mut config = Config::emulator(format!("cb-{:016x}", rand::random::<u64>()));
            config.endpoint = Some(endpoint);
            // It uses one core, and a busy machine may keep it waiting.
            config.http.request_timeout = Duration::from_secs(120);
            // Sixteen thousand keys take it minutes: `cargo test -- --include-ignored list.order`.
            Target::new("azurite", Container { config, created: OnceCell::new() }).levels(&[
                Level::Core,
                Level::Txn,
                Level::Chaos,
                Level::Durability,
            ])
        }
        Err(_) => Target::unavailable("azurite", format!("set {VARIABLE} or run cargo xtask test")),
    }
}

/// A container of the run's own, made with the first handle and removed at the end.
struct Container {
    config: Config,
    created: OnceCell<()>,
}

#[async_trait]
impl Harness for Container {
    async fn open(&self) -> Result<Arc<dyn StorageProvider>> {
        let probed = self.created.initialized();
        self.created.get_or_try_init(|| AzureProvider::create(&self.config)).await?;
        // What the first handle has verified need not be again, hundreds of times.
        let probe = if probed { Probe::Off } else { self.config.probe };
        Ok(Arc::new(AzureProvider::open(Config { probe, ..self.config.clone() }).await?))
    }

    fn hooks(&self) -> Hooks {
        let missing =
            Config { container: format!("{}-not", self.config.container), ..self.config.clone() };
        let wrong = Credentials::AccountKey(Secret::new(WRONG_KEY));
        let denied = Config { credentials: wrong, ..self.config.clone() };
        let open = |config: Config| {
            let config = Config { probe: Probe::Off, ..config };
            opener(move || AzureProvider::open(config.clone()))
        };
        Hooks {
            wire: Some(Arc::new(Wire(self.config.clone()))),
            missing: Some(Missing { open: open(missing), setting: "container" }),
            denied: Some(Denied { open: open(denied), setting: "account_key" }),
            secrets: vec![Secret::new(WRONG_KEY)],
            ..Hooks::default()
        }
    }

    async fn close(&self) -> Result<()> {
        AzureProvider::destroy(&self.config).await
    }
}

/// The same container through a proxy.
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
        Ok(Arc::new(AzureProvider::open(config).await?))
    }
}
