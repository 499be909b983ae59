//! What a liar is made of: an honest provider, and one behaviour put in its place.

use std::fmt;
use std::sync::Arc;

use backend_memory::{Config, MemoryProvider};
use bytes::Bytes;
use conformance::{FnHarness, Hooks, Opener, harness, opener};
use storage_core::{
    Error, ErrorKind, Get, Key, List, Listed, Object, Operation, Page, Prefix, ProviderInfo, PutIf,
    Result, StorageProvider, Version, async_trait,
};

/// One mistake: what is not overridden is done right, by the honest provider beneath.
#[async_trait]
pub(crate) trait Lie: Send + Sync + 'static {
    fn info(&self, honest: &MemoryProvider) -> ProviderInfo {
        honest.info()
    }

    fn debug(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Liar")
    }

    async fn put(
        &self,
        honest: &MemoryProvider,
        key: &Key,
        body: Bytes,
        when: PutIf,
    ) -> Result<Version> {
        honest.put(key, body, when).await
    }

    async fn get(&self, honest: &MemoryProvider, key: &Key, request: Get) -> Result<Object> {
        honest.get(key, request).await
    }

    async fn list(&self, honest: &MemoryProvider, request: List<'_>) -> Result<Page> {
        honest.list(request).await
    }

    async fn delete(&self, honest: &MemoryProvider, key: &Key) -> Result<()> {
        honest.delete(key).await
    }
}

/// No mistake at all: what the suite must pass.
pub(crate) struct Truth;

impl Lie for Truth {}

/// A handle of a wrong provider.
struct Liar<L> {
    honest: MemoryProvider,
    lie: Arc<L>,
}

impl<L: Lie> fmt::Debug for Liar<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lie.debug(f)
    }
}

#[async_trait]
impl<L: Lie> StorageProvider for Liar<L> {
    fn info(&self) -> ProviderInfo {
        self.lie.info(&self.honest)
    }

    async fn put(&self, key: &Key, body: Bytes, when: PutIf) -> Result<Version> {
        let result = self.lie.put(&self.honest, key, body, when).await;
        result.map_err(|error| error.during(Operation::Put, key))
    }

    async fn get(&self, key: &Key, request: Get) -> Result<Object> {
        let result = self.lie.get(&self.honest, key, request).await;
        result.map_err(|error| error.during(Operation::Get, key))
    }

    async fn list(&self, request: List<'_>) -> Result<Page> {
        self.lie.list(&self.honest, request).await.map_err(Error::during_list)
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        let result = self.lie.delete(&self.honest, key).await;
        result.map_err(|error| error.during(Operation::Delete, key))
    }
}

type Dress = Box<dyn Fn(MemoryProvider) -> Arc<dyn StorageProvider> + Send + Sync>;

/// A place with objects in it, seen through a liar's handles, and what an honest handle is there.
pub(crate) struct World {
    config: Config,
    liar: Dress,
    honest: Dress,
    hooks: HooksOf,
}

/// What else a place offers, to a liar or to an honest one: made for the objects in it.
type HooksOf = Box<dyn Fn(bool, &MemoryProvider) -> Hooks>;

/// A place where every handle tells the same lie and shares what the lie remembers.
pub(crate) fn shared<L: Lie>(lie: L) -> World {
    let lie = Arc::new(lie);
    world(Box::new(move |honest| Arc::new(Liar { honest, lie: lie.clone() })))
}

/// A place where each handle tells a lie of its own.
pub(crate) fn each<L: Lie>(lie: impl Fn() -> L + Send + Sync + 'static) -> World {
    world(Box::new(move |honest| Arc::new(Liar { honest, lie: Arc::new(lie()) })))
}

fn world(liar: Dress) -> World {
    // The largest object is tried by several cases: a small one keeps them quick.
    let config = Config { object_bytes_max: 256 << 10, ..Config::default() };
    World {
        config,
        liar,
        honest: Box::new(|honest| Arc::new(honest)),
        hooks: Box::new(|_, _| Hooks::default()),
    }
}

impl World {
    /// A place that is not in memory, opened by these.
    pub(crate) fn apart(
        liar: impl Fn(MemoryProvider) -> Arc<dyn StorageProvider> + Send + Sync + 'static,
        honest: impl Fn(MemoryProvider) -> Arc<dyn StorageProvider> + Send + Sync + 'static,
    ) -> Self {
        Self { honest: Box::new(honest), ..world(Box::new(liar)) }
    }

    /// The same place, kept by a provider with these settings.
    pub(crate) fn config(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(&mut self.config);
        self
    }

    /// What the honest provider is that promises what this liar does.
    pub(crate) fn honest(mut self, lie: impl Lie) -> Self {
        self.honest = shared(lie).liar;
        self
    }

    /// What else the place offers: told whether to a liar, and the objects in it.
    pub(crate) fn hooks(
        mut self,
        hooks: impl Fn(bool, &MemoryProvider) -> Hooks + 'static,
    ) -> Self {
        self.hooks = Box::new(hooks);
        self
    }

    /// What the suite runs on: the liar, or for the positive control the honest one.
    pub(crate) fn harness(self, lying: bool) -> FnHarness {
        let objects = MemoryProvider::with_config(self.config);
        let hooks = (self.hooks)(lying, &objects);
        let dress = if lying { self.liar } else { self.honest };
        let open = move || {
            let handle = dress(objects.clone());
            async move { Ok(handle) }
        };
        harness(open).with_hooks(hooks)
    }
}

/// Opens handles on another place, where this is what happens, and which holds one object: `kept`.
pub(crate) fn place(lie: impl Lie) -> Opener {
    let world = shared(lie);
    let objects = MemoryProvider::with_config(world.config);
    opener(move || {
        let (objects, handle) = (objects.clone(), (world.liar)(objects.clone()));
        async move {
            let kept = Key::new("kept").expect("a word is a key");
            match objects.put(&kept, "kept".into(), PutIf::Absent).await {
                Err(error) if error.kind() != ErrorKind::Conflict => Err(error),
                _ => Ok(handle),
            }
        }
    })
}

/// A refusal, as a service would give it.
pub(crate) fn refusal(kind: ErrorKind) -> Error {
    Error::not_applied(kind, "so says the service")
}

/// Lets whatever else is under way go on first.
pub(crate) async fn pause() {
    tokio::task::yield_now().await;
}

/// Whether there is an object.
pub(crate) async fn exists(honest: &MemoryProvider, key: &Key) -> bool {
    honest.get(key, Get::meta_only()).await.is_ok()
}

/// The whole body, or nothing where there is none.
pub(crate) async fn body_of(honest: &MemoryProvider, key: &Key) -> Bytes {
    honest.get(key, Get::whole()).await.map(|object| object.body).unwrap_or_default()
}

/// Everything beneath a prefix.
pub(crate) async fn everything(honest: &MemoryProvider, prefix: &Prefix) -> Result<Vec<Listed>> {
    Ok(honest.list(List::new(prefix).limit(usize::MAX)).await?.objects)
}

/// The page that a request wants of keys already sought out.
pub(crate) fn page_of(mut objects: Vec<Listed>, request: &List<'_>) -> Page {
    let limit = request.limit.max(1);
    let more = objects.len() > limit;
    objects.truncate(limit);
    Page { objects, more }
}
