//! What an author hands to the suite: how to open the provider, and hooks for the harder cases.

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;

use storage_core::{BoxFuture, Result, Secret, StorageProvider, async_trait};

use crate::store::StoreHook;

/// How the suite gets at the provider under test.
///
/// A closure is enough for most: see [`harness`]. Implement it by hand to offer [`Hooks`].
#[async_trait]
pub trait Harness: Send + Sync + 'static {
    /// Opens one more handle. All of them see the same objects.
    ///
    /// # Errors
    ///
    /// Whatever the provider says when it cannot be opened; the run then fails with it.
    async fn open(&self) -> Result<Arc<dyn StorageProvider>>;

    /// What else the author offers. Cases that need a hook which is not there are skipped and say so.
    fn hooks(&self) -> Hooks {
        Hooks::default()
    }

    /// Takes down what the harness set up, such as a bucket made for the run. Called once, after
    /// everything has been cleaned up.
    ///
    /// # Errors
    ///
    /// What could not be taken down; the run then fails with it.
    async fn close(&self) -> Result<()> {
        Ok(())
    }
}

/// A harness made of a function that opens a handle, and [`Hooks`].
///
/// # Examples
///
/// ```
/// use backend_memory::MemoryProvider;
///
/// let shared = MemoryProvider::new();
/// let harness = conformance::harness(move || {
///     let handle = shared.clone();
///     async move { Ok(handle) }
/// });
/// # let _ = harness;
/// ```
pub fn harness<P, F, O>(open: O) -> FnHarness
where
    P: StorageProvider,
    F: Future<Output = Result<P>> + Send + 'static,
    O: Fn() -> F + Send + Sync + 'static,
{
    FnHarness { open: opener(open), hooks: Hooks::default() }
}

/// The harness that [`harness`] makes.
#[derive(Clone)]
pub struct FnHarness {
    open: Opener,
    hooks: Hooks,
}

impl FnHarness {
    /// The same harness with these hooks.
    #[must_use]
    pub fn with_hooks(mut self, hooks: Hooks) -> Self {
        self.hooks = hooks;
        self
    }
}

impl fmt::Debug for FnHarness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FnHarness").field("hooks", &self.hooks).finish_non_exhaustive()
    }
}

#[async_trait]
impl Harness for FnHarness {
    async fn open(&self) -> Result<Arc<dyn StorageProvider>> {
        (self.open)().await
    }

    fn hooks(&self) -> Hooks {
        self.hooks.clone()
    }
}

/// A function that opens a handle.
pub type Opener =
    Arc<dyn Fn() -> BoxFuture<'static, Result<Arc<dyn StorageProvider>>> + Send + Sync>;

/// Makes an [`Opener`] of an async closure.
pub fn opener<P, F, O>(open: O) -> Opener
where
    P: StorageProvider,
    F: Future<Output = Result<P>> + Send + 'static,
    O: Fn() -> F + Send + Sync + 'static,
{
    Arc::new(move || {
        let opening = open();
        Box::pin(async move { Ok(Arc::new(opening.await?) as Arc<dyn StorageProvider>) })
    })
}

/// What an author may offer besides handles. Each is optional: its cases are skipped without it.
#[derive(Clone, Default)]
pub struct Hooks {
    /// A second process that opens the same objects.
    pub second_process: Option<Arc<dyn ProcessHook>>,
    /// A way to put a proxy between the provider and its service.
    pub wire: Option<Arc<dyn WireHook>>,
    /// A way to die in the middle of a put.
    pub crash: Option<Arc<dyn CrashHook>>,
    /// Opens a handle on a place that does not exist: no such bucket. Opening it may already fail.
    pub missing: Option<Missing>,
    /// Opens a handle with credentials that the service refuses. Opening it may already fail.
    pub denied: Option<Denied>,
    /// Opens a handle on a place that has no room for one more object of 1 MiB.
    pub full: Option<Opener>,
    /// Opens a handle on a place that can be read but not written, holding one object with the key
    /// `kept` and the body `kept`.
    pub read_only: Option<Opener>,
    /// Secrets the provider was configured with, the handles of `denied` included: none of them may
    /// appear in `Debug`, names or errors.
    pub secrets: Vec<Secret>,
    /// Opens the stores of the cases about transactions, in place of [`storage_txn::Store`].
    pub stores: Option<Arc<dyn StoreHook>>,
    /// How many voters the log of those stores is on: see [`on_quorum`](crate::on_quorum). None, where the provider
    /// keeps it.
    pub voters: usize,
}

/// A place that does not exist.
#[derive(Clone)]
pub struct Missing {
    /// Opens a handle on it.
    pub open: Opener,
    /// The setting that errors must name, such as `bucket` or `path`.
    pub setting: &'static str,
}

/// Credentials that are refused.
#[derive(Clone)]
pub struct Denied {
    /// Opens a handle with them.
    pub open: Opener,
    /// The setting that errors must name, such as `secret_access_key`.
    pub setting: &'static str,
}

impl fmt::Debug for Hooks {
    /// Says which there are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooks")
            .field("second_process", &self.second_process.is_some())
            .field("wire", &self.wire.is_some())
            .field("crash", &self.crash.is_some())
            .field("missing", &self.missing)
            .field("denied", &self.denied)
            .field("full", &self.full.is_some())
            .field("read_only", &self.read_only.is_some())
            .field("secrets", &self.secrets.len())
            .field("stores", &self.stores.is_some())
            .field("voters", &self.voters)
            .finish()
    }
}

impl fmt::Debug for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Missing").field("setting", &self.setting).finish_non_exhaustive()
    }
}

impl fmt::Debug for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Denied").field("setting", &self.setting).finish_non_exhaustive()
    }
}

/// A second process on the same objects.
pub trait ProcessHook: Send + Sync + 'static {
    /// A command that opens the provider on the same objects as the harness and then serves it with
    /// [`child::serve`](crate::child::serve) on its standard input and output. Test binaries made with
    /// [`main!`](crate::main!) do so by themselves: see [`child::this_binary`](crate::child::this_binary).
    fn command(&self) -> Command;
}

/// A proxy between an HTTP backend and its service.
#[async_trait]
pub trait WireHook: Send + Sync + 'static {
    /// Host and port of the real service, which speaks plain HTTP.
    fn upstream(&self) -> String;

    /// Opens a handle that talks to `proxy` in place of the real service, with short time limits.
    ///
    /// # Errors
    ///
    /// Whatever the provider says when it cannot be opened.
    async fn open_through(&self, proxy: SocketAddr) -> Result<Arc<dyn StorageProvider>>;
}

/// A way to be killed in the middle of a put or delete.
///
/// The suite starts a second process (so [`Hooks::second_process`] must be there too), has it open a
/// handle with this hook, and kills it when it reaches one step or another.
#[async_trait]
pub trait CrashHook: Send + Sync + 'static {
    /// Opens a handle that calls `reach` with the name of each step of a put or delete, just before the
    /// step is done, on the thread that does it. `reach` may never return.
    ///
    /// # Errors
    ///
    /// Whatever the provider says when it cannot be opened.
    async fn open_observed(&self, reach: Reach) -> Result<Arc<dyn StorageProvider>>;

    /// What lies in the place besides whole objects, by name: temporary files. Asked after the place
    /// was opened again, which should have swept what the killed process left.
    ///
    /// # Errors
    ///
    /// When the place cannot be read.
    async fn leftovers(&self) -> Result<Vec<String>>;
}

/// Who is told of each step of a mutation before it is done.
pub type Reach = Arc<dyn Fn(&str) + Send + Sync>;
