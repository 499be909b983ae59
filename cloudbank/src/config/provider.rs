//! One configured provider: its table as meant, and how it is opened.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use storage_array::Prices;
use storage_core::{
    BoxFuture, Error as StorageError, ErrorKind, Result as StorageResult, Secret, StorageProvider,
};

use super::document::{Table, Value};
use super::problem::{Problem, Problems, alternatives};
use super::reference::Variables;
use super::section::{Section, Shown};
use super::source::Source;
use crate::arrays::{Array, Arrays};
use crate::error::{Error, Result};
use crate::registry::{Backend, Built, Opened, Registry};

/// The most times a failed request is sent again, unless `retries_max` says otherwise.
const RETRIES_MAX: u64 = 5;
/// The most requests under way at a time, unless `concurrency_max` says otherwise.
const CONCURRENCY_MAX: u64 = 64;
/// How long one request may take, unless `timeout` says otherwise.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Types that are features of this crate.
const FEATURES: [&str; 4] = ["memory", "fs", "s3", "azure"];

/// A provider as configured.
pub struct Provider {
    name: String,
    kind: String,
    backend: Option<Backend>,
    limits: Limits,
    prices: Prices,
    problems: Vec<Problem>,
    shown: Vec<Shown>,
    secrets: Vec<Secret>,
    source: Source,
    span: Range<usize>,
    settings: Vec<Written>,
}

/// A setting as it is written: its name, where that is, and where its value is.
#[derive(Debug, Clone)]
pub(super) struct Written {
    pub(super) name: String,
    pub(super) name_span: Range<usize>,
    pub(super) span: Range<usize>,
}

/// What a provider may charge for, in `prices`.
const PRICES: [&str; 4] = ["gb_month", "gb_read", "thousand_puts", "thousand_gets"];

/// What every provider can be given, whatever its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) timeout: Duration,
    pub(crate) retries_max: u64,
    pub(crate) concurrency_max: u64,
}

impl Provider {
    pub(super) fn read(
        registry: &Registry,
        source: &Source,
        name: &str,
        span: Range<usize>,
        table: &Table,
        variables: &Variables,
    ) -> Self {
        let mut provider = Self {
            name: name.into(),
            kind: String::new(),
            backend: None,
            limits: Limits {
                timeout: TIMEOUT,
                retries_max: RETRIES_MAX,
                concurrency_max: CONCURRENCY_MAX,
            },
            prices: Prices::default(),
            problems: Vec::new(),
            shown: Vec::new(),
            secrets: Vec::new(),
            source: source.clone(),
            span: span.clone(),
            settings: table
                .iter()
                .map(|(name, entry)| Written {
                    name: name.clone(),
                    name_span: entry.name_span.clone(),
                    span: entry.span.clone(),
                })
                .collect(),
        };
        let kind = match provider.kind_of(registry, table) {
            Ok(kind) => kind,
            Err(problem) => {
                provider.problems.push(problem);
                return provider;
            }
        };
        provider.kind.clone_from(&kind);
        let read = registry.get(&kind).expect("the type was looked up just now");
        let mut section = Section::new((name, &kind), span, table, source, variables);
        let backend = read(&mut section);
        provider.limits = Limits {
            timeout: section.time("timeout").or(TIMEOUT),
            retries_max: section.number("retries_max", 0, 100).or(RETRIES_MAX),
            concurrency_max: section.number("concurrency_max", 1, 10_000).or(CONCURRENCY_MAX),
        };
        provider.prices = prices(&mut section);
        let read = section.finish();
        provider.problems = read.problems;
        provider.shown = read.shown;
        provider.secrets = read.secrets;
        provider.backend = Some(backend);
        provider
    }

    fn kind_of(&self, registry: &Registry, table: &Table) -> std::result::Result<String, Problem> {
        let names: Vec<_> = registry.names().collect();
        let words: Vec<_> = names.iter().map(|name| format!("\"{name}\"")).collect();
        let Some(entry) = table.get("type") else {
            return Err(Problem::error(format!("provider `{}` has no `type`", self.name))
                .at(self.span.clone())
                .expected(format!("type = {}", alternatives(&words))));
        };
        let Value::Text(kind) = &entry.value else {
            return Err(Problem::error(format!("`type` is {}", entry.value.kind()))
                .at(entry.span.clone())
                .expected(alternatives(&words)));
        };
        if registry.get(kind).is_some() {
            return Ok(kind.clone());
        }
        let problem = if FEATURES.contains(&kind.as_str()) {
            Problem::error(format!("this build of cloudbank was made without the type `{kind}`"))
                .help(format!("build it with: cargo build --features {kind}"))
        } else {
            Problem::error(format!("there is no type `{kind}`")).suggest(kind, names)
        };
        Err(problem.at(entry.span.clone()).expected(alternatives(&words)))
    }

    /// The provider of a store whose log and objects are apart, made of those two.
    pub(super) fn split(log: &Self, objects: &Self) -> Self {
        let settings = [("log", log), ("objects", objects)]
            .map(|(setting, of)| (setting.to_owned(), vec![of.name.clone()]));
        let names = (log.name.clone(), objects.name.clone());
        let backend = Backend::array(settings, move |members| {
            let (log, objects) = (members[&names.0].clone(), members[&names.1].clone());
            Ok(Arc::new(storage_array::Split::new(log, objects)))
        });
        Self {
            name: format!("{}+{}", log.name, objects.name),
            kind: "split".into(),
            backend: Some(backend),
            limits: log.limits,
            prices: Prices::default(),
            problems: Vec::new(),
            shown: Vec::new(),
            secrets: [log.secrets.clone(), objects.secrets.clone()].concat(),
            source: log.source.clone(),
            span: log.span.clone(),
            settings: Vec::new(),
        }
    }

    /// What stands for a store with its log on these voters and everything else on `objects`: it has a name and is not
    /// opened itself.
    pub(super) fn quorum<'a>(
        name: &str,
        voters: impl Iterator<Item = &'a Self>,
        objects: &'a Self,
    ) -> Self {
        let unopened = || async {
            let what = "the log of the store is on several voters: use the commands of the store";
            Err::<Arc<dyn StorageProvider>, _>(StorageError::not_applied(
                ErrorKind::Misconfigured,
                what,
            ))
        };
        let volatile = |of: &Self| of.backend.as_ref().is_some_and(Backend::is_volatile);
        let all: Vec<_> = voters.chain([objects]).collect();
        let backend = Backend::new(unopened);
        let backend =
            if all.iter().any(|of| volatile(of)) { backend.keeps_nothing() } else { backend };
        let secrets = all.iter().flat_map(|of| of.secrets.clone()).collect();
        Self {
            name: name.into(),
            kind: "quorum".into(),
            backend: Some(backend),
            limits: objects.limits,
            prices: Prices::default(),
            problems: Vec::new(),
            shown: Vec::new(),
            secrets,
            source: objects.source.clone(),
            span: objects.span.clone(),
            settings: Vec::new(),
        }
    }

    /// As [`open`](Self::open), as one of several voters: opened when it is first needed, so that one that is away keeps
    /// nobody waiting.
    pub(super) async fn open_later(&self, to_read: bool) -> Arc<dyn StorageProvider> {
        let backend = self.backend().clone();
        Arc::new(crate::providers::Later::new(&self.name, backend, self.limits, to_read).await)
    }

    /// The settings that name other providers, with the names; none unless it is an array.
    pub(crate) fn parts(&self) -> &[(String, Vec<String>)] {
        let parts = self.backend.as_ref().and_then(Backend::parts);
        parts.map_or(&[], |parts| &parts.settings)
    }

    /// Where a setting is written, or else the provider.
    fn span_of(&self, setting: &str) -> Range<usize> {
        self.written(setting).map_or(self.span.clone(), |written| written.name_span.clone())
    }

    /// A setting as it is written, if it is.
    pub(super) fn written(&self, setting: &str) -> Option<&Written> {
        self.settings.iter().find(|written| written.name == setting)
    }

    /// Notes that something is wrong with a setting.
    pub(super) fn add_problem(&mut self, setting: &str, problem: Problem) {
        let span = self.span_of(setting);
        self.problems.push(problem.at(span));
    }

    /// Whether something is wrong with it.
    pub(super) fn is_wrong(&self) -> bool {
        self.problems.iter().any(|problem| problem.severity == super::Severity::Error)
    }

    /// Gives an array the providers that it is made of. Each is opened when it is first needed: one that is
    /// away keeps nobody waiting.
    pub(super) fn link(&mut self, members: &[&Self], arrays: &Arrays) {
        let Some(backend) = &mut self.backend else { return };
        let Some(parts) = backend.parts().cloned() else { return };
        let given = members;
        let members: Vec<_> = given
            .iter()
            .filter_map(|member| {
                Some((member.name.clone(), member.backend.clone()?, member.limits))
            })
            .collect();
        let prices: BTreeMap<String, Prices> =
            given.iter().map(|member| (member.name.clone(), member.prices)).collect();
        let (name, arrays) = (self.name.clone(), arrays.clone());
        let volatile = members.iter().any(|(_, backend, _)| backend.is_volatile());
        let open = move |trusting: bool| {
            let (members, parts) = (members.clone(), parts.clone());
            let (prices, name, arrays) = (prices.clone(), name.clone(), arrays.clone());
            async move {
                let mut providers = crate::registry::Members::new();
                for (name, backend, limits) in members {
                    let later =
                        crate::providers::Later::new(&name, backend, limits, trusting).await;
                    providers.insert(name, Arc::new(later));
                }
                let built = (parts.build)(&Opened { providers, prices })?;
                if let Some(array) = &built.array {
                    arrays.add(&name, array.clone());
                }
                Ok(built)
            }
        };
        let (trusting, as_array) = (open.clone(), open.clone());
        let provider = |opening: BoxFuture<'static, StorageResult<Built>>| async move {
            opening.await.map(|built| built.provider)
        };
        let linked = Backend::array(self.parts().to_vec(), |_| unreachable_build())
            .opened_with(
                move || provider(Box::pin(open(false))),
                move || provider(Box::pin(trusting(true))),
            )
            .opened_as_array(move |trusting| {
                let opening = as_array(trusting);
                async move { opening.await?.array.ok_or_else(not_our_array) }
            });
        self.backend = Some(if volatile { linked.keeps_nothing() } else { linked });
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name of its type; empty if that is what is wrong with it.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// What is wrong with its table.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    pub(crate) fn shown(&self) -> &[Shown] {
        &self.shown
    }

    /// The secrets in its settings.
    pub(crate) fn secrets(&self) -> &[Secret] {
        &self.secrets
    }

    /// How it is opened.
    ///
    /// # Panics
    ///
    /// If there is something wrong with it, which [`Config::provider`](super::Config::provider) would
    /// have said.
    pub(crate) fn backend(&self) -> &Backend {
        self.backend.as_ref().expect("a provider with problems is not used")
    }

    /// Opens it and puts the wrappers around it: retry, time limit, concurrency limit, metrics and a guard.
    ///
    /// # Errors
    ///
    /// [`Error::Provider`], which names this provider, and the setting and line to look at.
    pub async fn open(&self) -> Result<Arc<dyn StorageProvider>> {
        let provider = self.open_bare().await?;
        Ok(crate::providers::wrap(&self.name, provider, self.limits))
    }

    /// As [`open`](Self::open), to read: what only matters to those who write is not verified.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open); those of a place that is missing may come with the first request.
    pub async fn open_to_read(&self) -> Result<Arc<dyn StorageProvider>> {
        let provider = self.in_time(self.backend().open_trusting()).await?;
        Ok(crate::providers::wrap(&self.name, provider, self.limits))
    }

    /// Opens it and nothing more: what the backend itself does, for those who test it.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub async fn open_bare(&self) -> Result<Arc<dyn StorageProvider>> {
        self.in_time(self.backend().open()).await
    }

    /// Opens it as the array it is; `None` if it is none.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub(crate) async fn open_array(&self, trusting: bool) -> Result<Option<Array>> {
        match self.backend().open_array(trusting) {
            Some(opening) => self.in_time(opening).await.map(Some),
            None => Ok(None),
        }
    }

    async fn in_time<T>(&self, opening: impl Future<Output = StorageResult<T>>) -> Result<T> {
        let opened =
            tokio::time::timeout(self.limits.timeout, opening).await.unwrap_or_else(|_| {
                let time = super::units::exact_time(self.limits.timeout);
                Err(StorageError::not_applied(
                    ErrorKind::Unavailable,
                    format!("no answer within {time} (setting `timeout`)"),
                ))
            });
        opened.map_err(|error| self.explain(error))
    }

    /// The error with this provider's name, and for what lies in the settings the line to look at.
    #[must_use]
    pub fn explain(&self, error: StorageError) -> Error {
        let in_settings = matches!(
            error.kind(),
            ErrorKind::Misconfigured | ErrorKind::PermissionDenied | ErrorKind::Unavailable
        );
        let place = (in_settings && !self.source.built_in).then(|| {
            let (named, span) = match self.setting_named_in(error.message()) {
                Some((setting, span)) => (Some(setting), span),
                None => (None, self.span.clone()),
            };
            let what = match named {
                Some(setting) => format!("provider `{}`, setting `{setting}`: {error}", self.name),
                None => format!("provider `{}`: {error}", self.name),
            };
            Box::new(Problems::new(&self.source, vec![Problem::error(what).at(span)]))
        });
        Error::Provider { provider: self.name.clone(), place, error }
    }

    /// The first setting that a message names in backticks and that is written in this table.
    fn setting_named_in(&self, message: &str) -> Option<(String, Range<usize>)> {
        message.split('`').skip(1).step_by(2).find_map(|word| {
            let written = self.written(word)?;
            Some((written.name.clone(), written.name_span.clone()))
        })
    }
}

fn prices(section: &mut Section<'_>) -> Prices {
    let given = section.decimals("prices", &PRICES).optional().unwrap_or_default();
    let price =
        |name: &str| given.iter().find(|(given, _)| given == name).map_or(0.0, |(_, price)| *price);
    Prices {
        gb_month: price("gb_month"),
        gb_read: price("gb_read"),
        thousand_puts: price("thousand_puts"),
        thousand_gets: price("thousand_gets"),
    }
}

fn not_our_array() -> StorageError {
    StorageError::not_applied(ErrorKind::Misconfigured, "it is no array that can be looked after")
}

/// A linked array is opened, not built.
fn unreachable_build() -> StorageResult<Arc<dyn StorageProvider>> {
    Err(StorageError::not_applied(ErrorKind::Misconfigured, "the array is linked already"))
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider")
            .field("name", &self.name)
            .field("type", &self.kind)
            .finish_non_exhaustive()
    }
}
