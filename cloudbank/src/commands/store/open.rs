//! Opening the store of a command, and leaving it in good order.

use std::sync::Arc;

use storage_txn::{Options, Place, Receipt, Store, Version};
use storage_wrappers::TokioEnv;

use crate::cli::StoreWhich;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::run::Context;

/// Every so many versions it is looked whether the log is long.
const LOOKED_AFTER_EVERY: u64 = 32;
/// From so many entries that whoever opens the store has to read, they are put into segments.
const TAIL_ENTRIES_MAX: u64 = 64;

/// The place of a store, not opened yet.
pub(super) struct Site {
    config: Config,
    name: String,
}

/// A store under the name of its provider.
pub(super) struct OpenStore {
    pub(super) store: Store,
    pub(super) name: String,
    volatile: bool,
}

impl Site {
    pub(super) fn find(context: &Context, which: &StoreWhich) -> Result<Self> {
        let config = context.config()?;
        let name = config.store_provider(which.provider.as_deref())?.name().to_owned();
        Ok(Self { config, name })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) async fn place(&self) -> Result<Place> {
        self.config.open_place(&self.name, false).await
    }

    /// For commands that change nothing.
    pub(super) async fn place_to_read(&self) -> Result<Place> {
        self.config.open_place(&self.name, true).await
    }

    pub(super) fn is_volatile(&self) -> Result<bool> {
        Ok(self.config.provider(Some(&self.name))?.backend().is_volatile())
    }

    /// Opens the store in a place.
    pub(super) async fn open_on(&self, place: Place) -> Result<OpenStore> {
        let opened = Store::open(place, Arc::new(TokioEnv::new()), Options::default()).await;
        self.take(opened)
    }

    /// Makes a store in a place.
    pub(super) async fn init_on(&self, place: Place) -> Result<OpenStore> {
        let made = Store::init(place, Arc::new(TokioEnv::new()), Options::default()).await;
        self.take(made)
    }

    fn take(&self, store: storage_txn::Result<Store>) -> Result<OpenStore> {
        let store = store.map_err(|error| Error::store(&self.name, error))?;
        Ok(OpenStore { store, name: self.name.clone(), volatile: self.is_volatile()? })
    }
}

impl OpenStore {
    /// Opens the store that a command writes to.
    pub(super) async fn find(context: &Context, which: &StoreWhich) -> Result<Self> {
        let site = Site::find(context, which)?;
        site.open_on(site.place().await?).await
    }

    /// Opens the store that a command only reads.
    pub(super) async fn find_to_read(context: &Context, which: &StoreWhich) -> Result<Self> {
        let site = Site::find(context, which)?;
        site.open_on(site.place_to_read().await?).await
    }

    /// What to do with an error of the store.
    pub(super) fn explain(&self) -> impl Fn(storage_txn::Error) -> Error + '_ {
        |error| Error::store(&self.name, error)
    }

    /// Says what the user should know of where the store is kept.
    pub(super) fn warn(&self, context: &Context) {
        if self.volatile {
            context.output.note(format_args!(
                "warning: provider `{}` keeps its objects in memory, and this command ends now",
                self.name
            ));
        }
    }

    /// After a commit: when the log has become long, puts it into segments. A process that ends at once leaves
    /// nobody to do it in the background.
    pub(super) async fn tidy(&self, context: &Context, committed: Version) {
        self.warn(context);
        if committed.0.is_multiple_of(LOOKED_AFTER_EVERY) {
            self.tidy_now(context, TAIL_ENTRIES_MAX).await;
        }
    }

    /// The same at once, from so many entries on.
    pub(super) async fn tidy_now(&self, context: &Context, tail_entries_max: u64) {
        let tidied = async {
            if self.store.info().await?.tail_entries() >= tail_entries_max {
                self.store.flush().await?;
            }
            Ok::<_, storage_txn::Error>(())
        };
        // What was asked for is done, whatever becomes of this.
        if let Err(error) = tidied.await {
            context.output.note(format_args!(
                "warning: committed, but the log could not be put into segments: {error}"
            ));
        }
    }

    /// Says what was committed, in words and as an object of JSON.
    pub(super) fn receipt(receipt: &Receipt) -> serde_json::Map<String, serde_json::Value> {
        let mut object = serde_json::Map::new();
        object.insert("version".into(), receipt.version.0.into());
        object.insert("transaction_id".into(), receipt.transaction_id.to_string().into());
        object.insert("time".into(), super::at::moment(receipt.time).into());
        object
    }
}
