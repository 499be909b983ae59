//! Stores whose log is on a quorum: a provider that is a few providers in one, and the stores on it.
//!
//! The cases about transactions are given one provider. Here that is several: what is in a folder `voter0`, `voter1` and so
//! on is on the voter of this number, everything else on the provider of the objects. So whatever a case puts around it
//! (faults, counters) is around each of them.

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::try_join_all;
use storage_core::{
    Get, Key, List, Listed, Object, Page, Prefix, ProviderInfo, PutIf, Result, StorageProvider,
    Version, async_trait,
};
use storage_txn::{Options, Place, Store};
use storage_wrappers::{Prefixed, TokioEnv};

use crate::store::{StoreHandle, StoreHook};
use crate::{Harness, Hooks};

/// What the folders of voters begin with; the number follows.
const FOLDER: &str = "voter";

/// Runs the cases about transactions on stores with their log on a quorum of `voters`, each on a provider of its own, and
/// everything else on one more. `open` is called for each handle, and opens the voters and the provider of the objects.
pub fn on_quorum<F>(
    voters: usize,
    open: impl Fn() -> F + Send + Sync + 'static,
) -> impl Harness + 'static
where
    F: Future<Output = Result<(Vec<Arc<dyn StorageProvider>>, Arc<dyn StorageProvider>)>>
        + Send
        + 'static,
{
    OnQuorum { voters, open }
}

struct OnQuorum<O> {
    voters: usize,
    open: O,
}

#[async_trait]
impl<F, O> Harness for OnQuorum<O>
where
    F: Future<Output = Result<(Vec<Arc<dyn StorageProvider>>, Arc<dyn StorageProvider>)>>
        + Send
        + 'static,
    O: Fn() -> F + Send + Sync + 'static,
{
    async fn open(&self) -> Result<Arc<dyn StorageProvider>> {
        let (voters, objects) = (self.open)().await?;
        Ok(Arc::new(Several { voters, objects }))
    }

    fn hooks(&self) -> Hooks {
        Hooks { voters: self.voters, ..Hooks::default() }
    }

    async fn close(&self) -> Result<()> {
        Ok(())
    }
}

/// The place of a store on one provider, or with a log of so many voters in folders of it.
pub(crate) fn place_on(provider: Arc<dyn StorageProvider>, voters: usize) -> Result<Place> {
    if voters == 0 {
        return Ok(provider.into());
    }
    let folder = |number| {
        let folder = Prefix::new(format!("{FOLDER}{number}/")).expect("a word is a folder");
        Ok(Arc::new(Prefixed::new(provider.clone(), folder)?) as Arc<dyn StorageProvider>)
    };
    let folders = (0..voters).map(folder).collect::<Result<Vec<_>>>()?;
    Ok(Place::quorum(folders, provider))
}

/// Stores with their log on so many voters.
#[derive(Debug, Clone, Copy)]
pub(crate) struct QuorumStores(pub(crate) usize);

#[async_trait]
impl StoreHook for QuorumStores {
    async fn init(
        &self,
        place: Arc<dyn StorageProvider>,
        options: Options,
    ) -> storage_txn::Result<Arc<dyn StoreHandle>> {
        let place = place_on(place, self.0)?;
        Ok(Arc::new(Store::init(place, Arc::new(TokioEnv::new()), options).await?))
    }

    async fn open(
        &self,
        place: Arc<dyn StorageProvider>,
        options: Options,
    ) -> storage_txn::Result<Arc<dyn StoreHandle>> {
        let place = place_on(place, self.0)?;
        Ok(Arc::new(Store::open(place, Arc::new(TokioEnv::new()), options).await?))
    }
}

/// Several providers in one, told apart by the folders in a key.
#[derive(Debug)]
struct Several {
    voters: Vec<Arc<dyn StorageProvider>>,
    objects: Arc<dyn StorageProvider>,
}

impl Several {
    fn of(&self, key: &str) -> &Arc<dyn StorageProvider> {
        self.number(key).map_or(&self.objects, |number| &self.voters[number])
    }

    /// The voter that a key is of, if it is of one.
    fn number(&self, key: &str) -> Option<usize> {
        let (folders, _) = key.rsplit_once('/')?;
        let number =
            folders.split('/').find_map(|folder| folder.strip_prefix(FOLDER)?.parse().ok())?;
        (number < self.voters.len()).then_some(number)
    }
}

#[async_trait]
impl StorageProvider for Several {
    fn info(&self) -> ProviderInfo {
        let mut info = self.objects.info();
        for voter in &self.voters {
            let other = voter.info().capabilities;
            let capabilities = &mut info.capabilities;
            capabilities.list = capabilities.list.min(other.list);
            capabilities.durability = capabilities.durability.min(other.durability);
            capabilities.key_bytes_max = capabilities.key_bytes_max.min(other.key_bytes_max);
            capabilities.object_bytes_max =
                capabilities.object_bytes_max.min(other.object_bytes_max);
            // Races are decided on voters only.
            capabilities.absent = other.absent;
        }
        ProviderInfo { name: format!("quorum with {}", info.name).into(), ..info }
    }

    async fn put(&self, key: &Key, body: Bytes, when: PutIf) -> Result<Version> {
        self.of(key.as_str()).put(key, body, when).await
    }

    async fn get(&self, key: &Key, request: Get) -> Result<Object> {
        self.of(key.as_str()).get(key, request).await
    }

    async fn list(&self, request: List<'_>) -> Result<Page> {
        if let Some(number) = self.number(request.prefix.as_str()) {
            return self.voters[number].list(request).await;
        }
        let limit = request.limit.max(1);
        let mut after = request.start_after.cloned();
        loop {
            let request = List { start_after: after.as_ref(), limit, ..request };
            let providers = [&self.objects].into_iter().chain(&self.voters);
            let pages = try_join_all(providers.map(|provider| provider.list(request))).await?;
            // What lies behind the end of the shortest page may be missing from it.
            let ends = pages.iter().filter(|page| page.more).filter_map(|page| page.objects.last());
            let end = ends.map(|listed| listed.key.clone()).min();
            let mut objects = Vec::new();
            for (at, page) in pages.into_iter().enumerate() {
                // A voter may be a member of the array of the objects too, where it lists theirs.
                let is_its =
                    |listed: &Listed| self.number(listed.key.as_str()) == at.checked_sub(1);
                let within = |listed: &Listed| end.as_ref().is_none_or(|end| listed.key <= *end);
                objects.extend(page.objects.into_iter().filter(|it| is_its(it) && within(it)));
            }
            objects.sort_by(|one, other| one.key.cmp(&other.key));
            let more = end.is_some() || objects.len() > limit;
            objects.truncate(limit);
            if !objects.is_empty() || !more {
                return Ok(Page { objects, more });
            }
            after = end;
        }
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.of(key.as_str()).delete(key).await
    }
}
