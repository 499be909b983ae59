//! The types a provider can have: a name, and what makes a backend of a table of settings.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::sync::Arc;

use conformance::Hooks;
use storage_array::Prices;
use storage_core::{BoxFuture, Result, StorageProvider};

use crate::arrays::Array;
use crate::config::Section;
use crate::raw::RawService;

type Read = dyn Fn(&mut Section<'_>) -> Backend + Send + Sync;
type Open = dyn Fn() -> BoxFuture<'static, Result<Arc<dyn StorageProvider>>> + Send + Sync;
type Act = dyn Fn() -> BoxFuture<'static, Result<()>> + Send + Sync;
type MakeHooks = dyn Fn() -> Hooks + Send + Sync;
type Build = dyn Fn(&Opened) -> Result<Built> + Send + Sync;
type OpenArray = dyn Fn(bool) -> BoxFuture<'static, Result<Array>> + Send + Sync;
type OpenRaw = dyn Fn() -> Result<Box<dyn RawService>> + Send + Sync;

/// Every type that `type = "..."` can name.
///
/// A backend of your own becomes part of the whole command line with one line in a binary of your own.
///
/// # Examples
///
/// ```no_run
/// use cloudbank::{Backend, Registry};
/// use backend_memory::MemoryProvider;
///
/// fn main() -> std::process::ExitCode {
///     cloudbank::main_with(Registry::standard().register("mine", |_section| {
///         let provider = MemoryProvider::new();
///         Backend::new(move || { let provider = provider.clone(); async move { Ok(provider) } })
///     }))
/// }
/// ```
#[derive(Clone, Default)]
pub struct Registry {
    types: BTreeMap<String, Arc<Read>>,
}

impl Registry {
    /// No types at all.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// The types this build was made with: all of `memory`, `fs`, `s3` and `azure` unless features were
    /// left out.
    #[must_use]
    pub fn standard() -> Self {
        crate::providers::register_all(Self::empty())
    }

    /// Adds a type, or replaces the one of that name. `read` takes the settings out of a provider's table
    /// and says how it is opened; it does no I/O itself.
    #[must_use]
    pub fn register(
        mut self,
        name: &str,
        read: impl Fn(&mut Section<'_>) -> Backend + Send + Sync + 'static,
    ) -> Self {
        self.types.insert(name.into(), Arc::new(read));
        self
    }

    /// The names of the types, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.types.keys().map(String::as_str)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Arc<Read>> {
        self.types.get(name)
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

/// How a configured provider is opened, and what else can be done with its place.
#[derive(Clone)]
pub struct Backend {
    open: Arc<Open>,
    open_trusting: Option<Arc<Open>>,
    create: Option<Arc<Act>>,
    destroy: Option<Arc<Act>>,
    raw: Option<Arc<OpenRaw>>,
    hooks: Option<Arc<MakeHooks>>,
    volatile: bool,
    #[cfg(feature = "s3")]
    s3: Option<Arc<backend_s3::Config>>,
    parts: Option<Parts>,
    open_array: Option<Arc<OpenArray>>,
}

/// The providers that an array is made of, by their names.
pub type Members = BTreeMap<String, Arc<dyn StorageProvider>>;

/// The members of an array, opened, and what they charge.
pub(crate) struct Opened {
    pub(crate) providers: Members,
    pub(crate) prices: BTreeMap<String, Prices>,
}

/// What was made of members.
pub(crate) struct Built {
    pub(crate) provider: Arc<dyn StorageProvider>,
    /// The array itself, where it is one that can be looked after.
    pub(crate) array: Option<Array>,
}

/// What an array is made of, and how.
#[derive(Clone)]
pub(crate) struct Parts {
    /// The settings that name members, each with the names.
    pub(crate) settings: Vec<(String, Vec<String>)>,
    pub(crate) build: Arc<Build>,
}

impl Backend {
    /// An array made of other configured providers: `settings` are those that name them, each with the names
    /// it has. That there are such providers, and that none is made of itself, is seen to.
    pub fn array(
        settings: impl IntoIterator<Item = (String, Vec<String>)>,
        build: impl Fn(&Members) -> Result<Arc<dyn StorageProvider>> + Send + Sync + 'static,
    ) -> Self {
        Self::made_of(settings, move |opened| {
            Ok(Built { provider: build(&opened.providers)?, array: None })
        })
    }

    /// One of our own, which can be looked after besides.
    pub(crate) fn known_array(
        settings: impl IntoIterator<Item = (String, Vec<String>)>,
        build: impl Fn(&Opened) -> Result<Array> + Send + Sync + 'static,
    ) -> Self {
        Self::made_of(settings, move |opened| {
            let array = build(opened)?;
            Ok(Built { provider: array.provider(), array: Some(array) })
        })
    }

    fn made_of(
        settings: impl IntoIterator<Item = (String, Vec<String>)>,
        build: impl Fn(&Opened) -> Result<Built> + Send + Sync + 'static,
    ) -> Self {
        let parts = Parts { settings: settings.into_iter().collect(), build: Arc::new(build) };
        let unlinked = || async {
            let what = "an array is opened through the configuration that names its members";
            let kind = storage_core::ErrorKind::Misconfigured;
            Err::<Arc<dyn StorageProvider>, _>(storage_core::Error::not_applied(kind, what))
        };
        Self { parts: Some(parts), ..Self::new(unlinked) }
    }

    /// The same with other ways to open it.
    pub(crate) fn opened_with<F, G>(
        mut self,
        open: impl Fn() -> F + Send + Sync + 'static,
        trusting: impl Fn() -> G + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Arc<dyn StorageProvider>>> + Send + 'static,
        G: Future<Output = Result<Arc<dyn StorageProvider>>> + Send + 'static,
    {
        self.open = opener(open);
        self.open_trusting = Some(opener(trusting));
        self
    }

    /// The same with a way to open it as what it is.
    pub(crate) fn opened_as_array<F>(
        mut self,
        open: impl Fn(bool) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Array>> + Send + 'static,
    {
        self.open_array = Some(Arc::new(move |trusting| Box::pin(open(trusting))));
        self
    }

    /// Opens it as the array it is; `None` if it is none. `trusting` as in [`trust_with`](Self::trust_with).
    pub(crate) fn open_array(&self, trusting: bool) -> Option<BoxFuture<'static, Result<Array>>> {
        self.open_array.as_ref().map(|open| open(trusting))
    }

    pub(crate) fn parts(&self) -> Option<&Parts> {
        self.parts.as_ref()
    }

    /// A backend that is opened so. Each call makes a handle; all handles see the same objects.
    pub fn new<P, F>(open: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        P: StorageProvider,
        F: Future<Output = Result<P>> + Send + 'static,
    {
        Self {
            open: opener(open),
            open_trusting: None,
            create: None,
            destroy: None,
            raw: None,
            hooks: None,
            volatile: false,
            #[cfg(feature = "s3")]
            s3: None,
            parts: None,
            open_array: None,
        }
    }

    /// Says how it is opened without verifying what the service promises: for those who only read, and for
    /// further handles on what was verified. Otherwise as in [`new`](Self::new).
    #[must_use]
    pub fn trust_with<P, F>(mut self, open: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        P: StorageProvider,
        F: Future<Output = Result<P>> + Send + 'static,
    {
        self.open_trusting = Some(opener(open));
        self
    }

    /// Says how its place (a bucket, a folder) is made, for `provider create`.
    #[must_use]
    pub fn create_with<F>(mut self, create: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        self.create = Some(Arc::new(move || Box::pin(create())));
        self
    }

    /// Says how its place is removed once it is empty, for `provider destroy`.
    #[must_use]
    pub fn destroy_with<F>(mut self, destroy: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        self.destroy = Some(Arc::new(move || Box::pin(destroy())));
        self
    }

    /// Says how the service is reached without us, for `provider bench` to compare with.
    #[must_use]
    pub fn raw_with(
        mut self,
        raw: impl Fn() -> Result<Box<dyn RawService>> + Send + Sync + 'static,
    ) -> Self {
        self.raw = Some(Arc::new(raw));
        self
    }

    /// Says what else the conformance suite can be offered; a second process and the secrets of the
    /// configuration are offered anyway.
    #[must_use]
    pub fn hooks_with(mut self, hooks: impl Fn() -> Hooks + Send + Sync + 'static) -> Self {
        self.hooks = Some(Arc::new(hooks));
        self
    }

    /// Says that it is an S3 service, so that `cloudbank s3` can be told to use it.
    #[cfg(feature = "s3")]
    #[must_use]
    pub fn is_s3(mut self, config: backend_s3::Config) -> Self {
        self.s3 = Some(Arc::new(config));
        self
    }

    /// Says that its objects end with the process, so that whoever stores some is told.
    #[must_use]
    pub fn keeps_nothing(mut self) -> Self {
        self.volatile = true;
        self
    }

    pub(crate) fn open(&self) -> BoxFuture<'static, Result<Arc<dyn StorageProvider>>> {
        (self.open)()
    }

    pub(crate) fn open_trusting(&self) -> BoxFuture<'static, Result<Arc<dyn StorageProvider>>> {
        self.open_trusting.as_ref().unwrap_or(&self.open)()
    }

    pub(crate) fn create(&self) -> Option<BoxFuture<'static, Result<()>>> {
        self.create.as_ref().map(|create| create())
    }

    pub(crate) fn destroy(&self) -> Option<BoxFuture<'static, Result<()>>> {
        self.destroy.as_ref().map(|destroy| destroy())
    }

    pub(crate) fn raw(&self) -> Option<Result<Box<dyn RawService>>> {
        self.raw.as_ref().map(|raw| raw())
    }

    pub(crate) fn hooks(&self) -> Hooks {
        self.hooks.as_ref().map(|hooks| hooks()).unwrap_or_default()
    }

    #[cfg(feature = "s3")]
    pub(crate) fn s3(&self) -> Option<&backend_s3::Config> {
        self.s3.as_deref()
    }

    pub(crate) fn is_volatile(&self) -> bool {
        self.volatile
    }
}

fn opener<P, F>(open: impl Fn() -> F + Send + Sync + 'static) -> Arc<Open>
where
    P: StorageProvider,
    F: Future<Output = Result<P>> + Send + 'static,
{
    Arc::new(move || {
        let opening = open();
        Box::pin(async move { Ok(Arc::new(opening.await?) as Arc<dyn StorageProvider>) })
    })
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backend")
            .field("creates", &self.create.is_some())
            .field("destroys", &self.destroy.is_some())
            .finish_non_exhaustive()
    }
}
