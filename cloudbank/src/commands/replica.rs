//! `replica ...`: copies of a store that follow it.

mod follow;
mod promote;
mod status;

use std::sync::Arc;

use storage_core::StorageProvider;
use storage_txn::{Place, Replica, ReplicaOptions};
use storage_wrappers::TokioEnv;

use crate::cli::{ReplicaCommand, WhichReplica};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::run::Context;

pub(crate) async fn run(context: &Context, command: ReplicaCommand) -> Result<()> {
    match command {
        ReplicaCommand::Follow { which, once, every, at_once } => {
            let follow = follow::Follow { which, once, every, at_once: usize::from(at_once) };
            follow.run(context).await
        }
        ReplicaCommand::Status { which } => {
            context.unless_interrupted("nothing was changed", status::run(context, &which)).await
        }
        ReplicaCommand::Promote { which, force, yes } => {
            let remains = "the store may be sealed by now; run the same command again to go on";
            context.unless_interrupted(remains, promote::run(context, &which, force, yes)).await
        }
    }
}

/// A store and the place of its copy.
struct Pair {
    config: Config,
    store: String,
    copy: String,
}

impl Pair {
    fn find(context: &Context, which: &WhichReplica) -> Result<Self> {
        let config = context.config()?;
        let store = config.store_provider(which.store.provider.as_deref())?.name().to_owned();
        let copy = config.provider(Some(&which.to))?.name().to_owned();
        if store == copy {
            return Err(Error::Usage(format!(
                "`{copy}` keeps the store itself: a copy of it goes elsewhere\n  = name another provider with --to"
            )));
        }
        Ok(Self { config, store, copy })
    }

    /// The place of the store, which need not be within reach.
    async fn store(&self, to_read: bool) -> Result<Place> {
        self.config.open_place_later(&self.store, to_read).await
    }

    async fn copy(&self) -> Result<Arc<dyn StorageProvider>> {
        self.config.provider(Some(&self.copy))?.open().await
    }

    /// The copy that there is.
    async fn open(&self, to_read: bool) -> Result<Replica> {
        let (store, copy) = (self.store(to_read).await?, self.copy().await?);
        let opened =
            Replica::open(store, copy, Arc::new(TokioEnv::new()), ReplicaOptions::default()).await;
        opened.map_err(|error| match error.kind() {
            storage_txn::ErrorKind::NoStore => Error::Usage(format!(
                "there is no copy of a store on `{}`\n  = `cloudbank replica follow --to {}` makes one",
                self.copy, self.copy
            )),
            _ => self.explain(error),
        })
    }

    fn explain(&self, error: storage_txn::Error) -> Error {
        Error::store(&format!("{} → {}", self.store, self.copy), error)
    }
}
