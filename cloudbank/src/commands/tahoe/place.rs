//! Where a server of Tahoe-LAFS keeps its shares, for commands beside it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use gateway_tahoe::{Options, Shares, StorageIndex, WallClock};
use storage_txn::{ErrorKind, Store};
use storage_wrappers::TokioEnv;

use crate::cli::TahoeWhich;
use crate::config::{Config, Source};
use crate::error::{Error, Result};
use crate::run::Context;

/// The shares of a server, with its configuration.
pub(crate) struct Place {
    pub(crate) shares: Shares,
    pub(crate) config: Config,
    pub(crate) folder: PathBuf,
    /// The name of the provider.
    pub(crate) provider: String,
}

/// What a command does with a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Read,
    Write,
    /// Writes, and makes it if it is not there.
    Make,
}

impl Place {
    /// Opens what a command writes to.
    pub(crate) async fn find(context: &Context, which: &TahoeWhich) -> Result<Self> {
        Self::open(context, which, Mode::Write).await
    }

    /// Opens what a command only reads.
    pub(crate) async fn find_to_read(context: &Context, which: &TahoeWhich) -> Result<Self> {
        Self::open(context, which, Mode::Read).await
    }

    /// Opens what a command fills, and makes the store if it is not there.
    pub(crate) async fn find_or_make(context: &Context, which: &TahoeWhich) -> Result<Self> {
        Self::open(context, which, Mode::Make).await
    }

    async fn open(context: &Context, which: &TahoeWhich, mode: Mode) -> Result<Self> {
        let config = config_in(context, which.dir.as_deref())?;
        let tahoe = &config.serving()?.tahoe;
        let folder = which.dir.clone().unwrap_or_else(|| tahoe.folder.clone());
        let mut options = Options::default();
        options.name.clone_from(which.name.as_ref().unwrap_or(&tahoe.name));
        options.quota_bytes = tahoe.quota_bytes;
        let provider = config.store_provider(which.which.provider.as_deref())?;
        let name = provider.name().to_owned();
        let place = config.open_place(&name, mode == Mode::Read).await?;
        let env = Arc::new(TokioEnv::new());
        let options_of_store = storage_txn::Options::default();
        let store = match Store::open(place.clone(), env.clone(), options_of_store.clone()).await {
            Err(error) if mode == Mode::Make && error.kind() == ErrorKind::NoStore => {
                Store::init(place, env.clone(), options_of_store).await
            }
            opened => opened,
        };
        let store = store.map_err(|error| Error::store(&name, error))?;
        let clock = Arc::new(WallClock::new(env.clone()));
        let shares = Shares::open(store, env, clock, options).await.map_err(failed)?;
        Ok(Self { shares, config, folder, provider: name })
    }

    /// The identity of the server.
    pub(crate) async fn identity(&self) -> Result<gateway_tahoe::Identity> {
        let found = self.shares.identity().await.map_err(failed)?;
        found.ok_or_else(|| {
            let name = &self.shares.options().name;
            Error::NotFound(format!(
                "the store on `{}` has no server of the name {name:?}\n  = `cloudbank serve tahoe` makes one",
                self.provider
            ))
        })
    }
}

/// The configuration; when there is none, but a folder: that of a store in the folder.
pub(crate) fn config_in(context: &Context, folder: Option<&Path>) -> Result<Config> {
    let config = context.config()?;
    let Some(folder) = folder.filter(|_| config.source().built_in) else { return Ok(config) };
    let path = std::path::absolute(folder.join("store"))
        .map_err(Error::file(format!("find {}", folder.display())))?;
    let path = toml::Value::String(path.display().to_string());
    let text = format!("[providers.local]\ntype = \"fs\"\npath = {path}\ncreate = true\n");
    let variables = |name: &str| std::env::var_os(name);
    Config::read(&context.registry, Source::built_in(&text), &variables)
}

/// What the user typed as a storage index.
pub(super) fn index(text: &str) -> Result<StorageIndex> {
    StorageIndex::parse(text).ok_or_else(|| {
        Error::Usage(format!(
            "{text:?} is no storage index\n  = expected 26 of a-z and 2-7, as `cloudbank tahoe shares` lists them"
        ))
    })
}

pub(crate) fn failed(error: gateway_tahoe::Error) -> Error {
    match error {
        gateway_tahoe::Error::File { path, error } => {
            Error::File { what: path.display().to_string(), error }
        }
        error @ gateway_tahoe::Error::InUse(_) => Error::Conflict(error.to_string()),
        error => Error::Failed(error.to_string()),
    }
}
