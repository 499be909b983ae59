//! A configured provider as the suite wants it: handles, a second process, and what its type offers.

use std::ffi::OsString;
use std::process::Command;
use std::sync::Arc;

use conformance::{Harness, Hooks, ProcessHook};
use storage_core::{List, Prefix, Result as StorageResult, Sharing, StorageProvider, async_trait};

use crate::commands::provider::Place;
use crate::registry::Backend;
use crate::run::Context;

/// A configured provider under test: without our wrappers, since it is the backend that is tested.
pub(super) struct ConfiguredHarness {
    backend: Backend,
    hooks: Hooks,
}

impl ConfiguredHarness {
    /// Finds out what can be offered, given one handle.
    pub(super) async fn new(
        context: &Context,
        place: &Place,
        handle: Arc<dyn StorageProvider>,
    ) -> Self {
        let provider = place.provider();
        let backend = provider.backend().clone();
        let mut hooks = backend.hooks();
        hooks.secrets.extend_from_slice(provider.secrets());
        if handle.info().capabilities.sharing >= Sharing::OneHost {
            hooks.second_process = Some(Arc::new(ThisCommand::new(context, place)));
        }
        if let Some(denied) = &hooks.denied
            && let Ok(handle) = (denied.open)().await
            && handle.list(List::new(&Prefix::all()).limit(1)).await.is_ok()
        {
            context.output.note(format_args!(
                "warning: this service takes any `{}`: what it says to a wrong one cannot be tested",
                denied.setting
            ));
            hooks.denied = None;
        }
        Self { backend, hooks }
    }

    /// The harness of the second process, which offers nothing but handles and stops at steps.
    pub(super) fn plain(place: &Place) -> Self {
        let backend = place.provider().backend().clone();
        let hooks = backend.hooks();
        Self { backend, hooks }
    }
}

#[async_trait]
impl Harness for ConfiguredHarness {
    async fn open(&self) -> StorageResult<Arc<dyn StorageProvider>> {
        // The first handle was verified before the run.
        self.backend.open_trusting().await
    }

    fn hooks(&self) -> Hooks {
        self.hooks.clone()
    }
}

/// This very program once more, on the same provider.
struct ThisCommand {
    arguments: Vec<OsString>,
}

impl ThisCommand {
    fn new(context: &Context, place: &Place) -> Self {
        let mut arguments: Vec<OsString> =
            vec!["conformance-worker".into(), "--provider".into(), place.name().into()];
        if let Some(config) = &context.global.config {
            arguments.extend(["--config".into(), config.into()]);
        }
        Self { arguments }
    }
}

impl ProcessHook for ThisCommand {
    fn command(&self) -> Command {
        let by_name = || std::env::args_os().next().unwrap_or_default();
        let mut command =
            Command::new(std::env::current_exe().map_or_else(|_| by_name(), Into::into));
        command.args(&self.arguments);
        command
    }
}
