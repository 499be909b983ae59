//! The configuration: found, read, and turned into what it means, in two steps.
//!
//! First the text becomes a tree in which every value knows its place (`document`), then each
//! provider's table is read by its type through a [`Section`], which notes everything that is wrong.

mod document;
mod edit;
mod find;
mod link;
mod problem;
mod provider;
mod reference;
mod section;
#[cfg(feature = "serve")]
mod serve;
mod source;
mod store;
mod units;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

pub use problem::{Problem, Problems, Severity, closest};
pub(crate) use provider::Limits;
pub use provider::Provider;
pub use reference::Variables;
pub use section::{Choice, Meaning, Section, Setting};
pub use source::{Position, Source};

pub(crate) use edit::Edit;
pub(crate) use find::FILE_NAME;
pub(crate) use section::Shown;
#[cfg(all(feature = "gateway-s3", feature = "s3"))]
pub(crate) use serve::S3Settings;
#[cfg(feature = "gateway-tahoe")]
pub(crate) use serve::TahoeSettings;
#[cfg(feature = "serve")]
pub(crate) use serve::{ADDRESS_EXPECTED, Address, LogFormat, ServerSettings, Serving};
#[cfg(feature = "gateway-s3")]
pub(crate) use serve::{CombinerSettings, KeyEntry, Level, read_keys_file};
pub(crate) use units::{SIZE_EXPECTED, exact_size, human_size, parse_size};

use document::{Entry, Table, Value};
use problem::alternatives;
use storage_txn::Place;
use store::StoreRoles;

use crate::arrays::Arrays;
use crate::error::{Error, Result};
use crate::registry::Registry;

/// The tables a configuration has at its top.
const TOP: [&str; 6] = ["providers", "store", "server", "s3", "tahoe", "combiner"];

/// A configuration as it is meant.
///
/// What is wrong in one provider does not keep the others from being used: the problems of a provider
/// come up when it is asked for, or all at once from [`problems`](Self::problems).
#[derive(Debug)]
pub struct Config {
    source: Source,
    providers: BTreeMap<String, Provider>,
    problems: Vec<Problem>,
    store: StoreRoles,
    arrays: Arrays,
    #[cfg(feature = "serve")]
    serving: Serving,
}

impl Config {
    /// Finds the configuration and reads it: `asked_for`, else `$CLOUDBANK_CONFIG`, else
    /// `./cloudbank.toml`, else `cloudbank/cloudbank.toml` in the user's configuration folder; with none of
    /// them, one provider `local` that keeps its objects in `./data`.
    ///
    /// # Errors
    ///
    /// [`Error::Usage`] when the file cannot be read, [`Error::Config`] when it is not TOML.
    pub fn load(
        registry: &Registry,
        asked_for: Option<&Path>,
        variables: &Variables,
    ) -> Result<Self> {
        let source = find::find(asked_for, variables).map_err(Error::Usage)?;
        if source.built_in {
            tracing::info!("no cloudbank.toml found: using one provider `local` in ./data");
        } else {
            tracing::info!("configuration: {}", source.name);
        }
        Self::read(registry, source, variables)
    }

    /// Reads a configuration from its text.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] when it is not TOML.
    pub fn read(registry: &Registry, source: Source, variables: &Variables) -> Result<Self> {
        let table = document::parse(&source)
            .map_err(|problems| Error::Config(Box::new(Problems::new(&source, problems))))?;
        #[cfg(feature = "serve")]
        let serving = Serving::read(
            ["s3", "server", "combiner", "tahoe"].map(|name| table.get(name)),
            &source,
            variables,
        );
        let mut config = Self {
            source,
            providers: BTreeMap::new(),
            problems: Vec::new(),
            store: StoreRoles::default(),
            arrays: Arrays::default(),
            #[cfg(feature = "serve")]
            serving,
        };
        for (name, entry) in &table {
            if !TOP.contains(&name.as_str()) {
                let problem =
                    Problem::error(format!("there is no `{name}` at the top of a configuration"))
                        .at(entry.name_span.clone())
                        .expected(format!("one of the tables {}", TOP.join(", ")))
                        .suggest(name, TOP)
                        .hidden(true);
                config.problems.push(problem);
            } else if !matches!(entry.value, Value::Table(_)) {
                let problem = Problem::error(format!("`{name}` is {}", entry.value.kind()))
                    .at(entry.name_span.clone())
                    .expected(format!(
                        "a table: [{name}{}]",
                        if name == "providers" { ".NAME" } else { "" }
                    ))
                    .hidden(true);
                config.problems.push(problem);
            }
        }
        let sub_table = |name: &str| match table.get(name).map(|entry| &entry.value) {
            Some(Value::Table(table)) => Some(table),
            _ => None,
        };
        if let Some(providers) = sub_table("providers") {
            config.read_providers(registry, providers, variables);
        }
        if let Some(store) = sub_table("store") {
            config.read_store(store);
        }
        config.link();
        Ok(config)
    }

    fn read_providers(&mut self, registry: &Registry, table: &Table, variables: &Variables) {
        for (name, entry) in table {
            let valid = !name.is_empty()
                && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
            if !valid {
                let problem = Problem::error(format!("`{name}` is not a name for a provider"))
                    .at(entry.name_span.clone())
                    .expected("letters, digits, `-` and `_`");
                self.problems.push(problem);
                continue;
            }
            let Value::Table(settings) = &entry.value else {
                let problem =
                    Problem::error(format!("provider `{name}` is {}", entry.value.kind()))
                        .at(entry.name_span.clone())
                        .expected(format!("a table: [providers.{name}]"))
                        .hidden(true);
                self.problems.push(problem);
                continue;
            };
            let span = entry.name_span.clone();
            let provider = Provider::read(registry, &self.source, name, span, settings, variables);
            self.providers.insert(name.clone(), provider);
        }
    }

    fn read_store(&mut self, table: &Table) {
        self.store = StoreRoles::read(table);
        for (name, entry) in table {
            if !store::SETTINGS.contains(&name.as_str()) {
                let problem = Problem::error(format!("`store` has no setting `{name}`"))
                    .at(entry.name_span.clone())
                    .expected(format!("one of {}", store::SETTINGS.join(", ")))
                    .suggest(name, store::SETTINGS)
                    .hidden(true);
                self.problems.push(problem);
                continue;
            }
            match &entry.value {
                Value::List(voters) if name == "log" || name == "spares" => {
                    for voter in voters {
                        self.check_reference(name, voter);
                    }
                }
                _ => self.check_reference(name, entry),
            }
        }
    }

    fn check_reference(&mut self, setting: &str, entry: &Entry) {
        let Value::Text(name) = &entry.value else {
            let problem = Problem::error(format!("`{setting}` is {}", entry.value.kind()))
                .at(entry.span.clone())
                .expected("the name of a provider in quotes");
            self.problems.push(problem);
            return;
        };
        if !self.providers.contains_key(name) {
            let problem =
                Problem::error(format!("`{setting}` names a provider there is not: `{name}`"))
                    .at(entry.span.clone())
                    .expected(self.names_or_none())
                    .suggest(name, self.providers.keys().map(String::as_str));
            self.problems.push(problem);
        }
    }

    fn names_or_none(&self) -> String {
        let names: Vec<_> = self.providers().map(Provider::name).collect();
        if names.is_empty() { "a table [providers.NAME]".into() } else { alternatives(&names) }
    }

    /// The text it was read from.
    #[must_use]
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// The arrays that are opened through it.
    pub(crate) fn arrays(&self) -> &Arrays {
        &self.arrays
    }

    /// The providers, by name.
    pub fn providers(&self) -> impl Iterator<Item = &Provider> {
        // Not the one that is made of the two that `[store]` names: nobody has written it.
        self.providers.values().filter(|provider| !provider.name().contains('+'))
    }

    /// Everything wrong with it, in the order of the text.
    #[must_use]
    pub fn problems(&self) -> Problems {
        let mut all = self.problems.clone();
        if all.is_empty() {
            all.extend(self.store.provider().err());
        }
        for provider in self.providers.values() {
            all.extend_from_slice(provider.problems());
        }
        #[cfg(feature = "serve")]
        all.extend_from_slice(&self.serving.problems);
        Problems::new(&self.source, all)
    }

    /// What is to be served.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] when there is something wrong with `[s3]`, `[server]` or the file as a whole.
    #[cfg(feature = "serve")]
    pub(crate) fn serving(&self) -> Result<&Serving> {
        let mut all = self.problems.clone();
        all.extend_from_slice(&self.serving.problems);
        let problems = Problems::new(&self.source, all);
        if problems.errors() > 0 {
            return Err(Error::Config(Box::new(problems)));
        }
        for warning in &problems.list {
            tracing::warn!("{}", warning.message);
        }
        Ok(&self.serving)
    }

    /// The tables beside those of providers and the store that are written, with their settings.
    pub(crate) fn other_tables(&self) -> &[(&'static str, Vec<Shown>)] {
        #[cfg(feature = "serve")]
        return &self.serving.shown;
        #[cfg(not(feature = "serve"))]
        &[]
    }

    /// The provider that keeps the store: that of this name, else the one that `[store]` names, else the only one
    /// there is.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] when there is something wrong with it, with `[store]` or with the file as a whole;
    /// [`Error::Usage`] when there is no such provider, or none or several to choose from.
    pub fn store_provider(&self, name: Option<&str>) -> Result<&Provider> {
        let named = match name {
            Some(name) => Some(name.to_owned()),
            None => self.store.provider().map_err(|problem| {
                let problem =
                    if self.problems.is_empty() { vec![problem] } else { self.problems.clone() };
                Error::Config(Box::new(Problems::new(&self.source, problem)))
            })?,
        };
        let named = named.as_deref();
        self.provider(named).map_err(|error| match error {
            Error::Usage(message) if named.is_none() && self.providers.len() > 1 => {
                let first = self.providers().next().map_or("NAME", Provider::name);
                Error::Usage(format!(
                    "{message}\n  = or say in the configuration where the store is: [store] provider = \"{first}\""
                ))
            }
            error => error,
        })
    }

    /// Whether `[store]` names this provider, in whatever role.
    pub(crate) fn names_store(&self, name: &str) -> bool {
        self.store_named().is_some_and(|named| named.split('+').any(|it| it == name))
            || self.store_spares().iter().any(|spare| spare == name)
    }

    /// Opens the place of the store that [`store_provider`](Self::store_provider) has found by this name: a provider, or
    /// voters and a provider of the objects. What only reads is not verified, as in
    /// [`open_to_read`](Provider::open_to_read).
    ///
    /// # Errors
    ///
    /// As for [`provider`](Self::provider) and [`Provider::open`].
    pub async fn open_place(&self, name: &str, to_read: bool) -> Result<Place> {
        let open = async |provider: &Provider| match to_read {
            true => provider.open_to_read().await,
            false => provider.open().await,
        };
        let spares = self.open_spares(name, to_read).await?;
        let Some(roles) = self.store.quorum().filter(|roles| roles.name() == name) else {
            return Ok(Place::from(open(self.provider(Some(name))?).await?).with_spares(spares));
        };
        let mut voters = Vec::new();
        for voter in &roles.voters {
            voters.push(self.provider(Some(voter))?.open_later(to_read).await);
        }
        let objects = open(self.provider(Some(&roles.objects))?).await?;
        Ok(Place::quorum(voters, objects).with_spares(spares))
    }

    /// The spares of the store of this name, each opened when it is first asked for something.
    async fn open_spares(
        &self,
        name: &str,
        to_read: bool,
    ) -> Result<Vec<Arc<dyn storage_core::StorageProvider>>> {
        let mut spares = Vec::new();
        if self.store_named().as_deref() == Some(name) {
            for spare in self.store.spares() {
                spares.push(self.provider(Some(spare))?.open_later(to_read).await);
            }
        }
        Ok(spares)
    }

    /// As [`open_place`](Self::open_place), of a store that need not be within reach: its providers are opened when
    /// they are first asked for something.
    pub(crate) async fn open_place_later(&self, name: &str, to_read: bool) -> Result<Place> {
        let spares = self.open_spares(name, to_read).await?;
        let later =
            async |name: &str| Ok::<_, Error>(self.provider(Some(name))?.open_later(to_read).await);
        let Some(roles) = self.store.quorum().filter(|roles| roles.name() == name) else {
            return Ok(Place::from(later(name).await?).with_spares(spares));
        };
        let mut voters = Vec::new();
        for voter in &roles.voters {
            voters.push(later(voter).await?);
        }
        Ok(Place::quorum(voters, later(&roles.objects).await?).with_spares(spares))
    }

    /// The voters of the log and the provider of the objects that `[store]` names, if it names several voters.
    pub(crate) fn store_voters(&self) -> Option<(Vec<String>, String)> {
        self.store.quorum().map(|roles| (roles.voters, roles.objects))
    }

    /// The providers that may vote for the log of the store one day.
    pub(crate) fn store_spares(&self) -> &[String] {
        self.store.spares()
    }

    /// The name of the provider that `[store]` names, if it does.
    pub(crate) fn store_named(&self) -> Option<String> {
        self.store.provider().ok().flatten()
    }

    /// The provider of this name; with no name, the only one there is.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] when there is something wrong with it or with the file as a whole;
    /// [`Error::Usage`] when there is no such provider, or none or several to choose from.
    pub fn provider(&self, name: Option<&str>) -> Result<&Provider> {
        if !self.problems.is_empty() {
            return Err(Error::Config(Box::new(Problems::new(
                &self.source,
                self.problems.clone(),
            ))));
        }
        let file = &self.source.name;
        let provider = match name {
            Some(name) => self.providers.get(name).ok_or_else(|| {
                let mut message = format!("there is no provider `{name}` in {file}");
                message += &format!("\n  = expected {}", self.names_or_none());
                if let Some(near) = closest(name, self.providers.keys().map(String::as_str)) {
                    message += &format!("\n  = did you mean `{near}`?");
                }
                Error::Usage(message)
            })?,
            None => {
                let mut all = self.providers();
                match (all.next(), all.next()) {
                    (Some(only), None) => only,
                    (None, _) => {
                        return Err(Error::Usage(format!(
                            "there is no provider in {file}\n  = add a table [providers.NAME] with a type and its settings"
                        )));
                    }
                    (Some(_), Some(_)) => {
                        return Err(Error::Usage(format!(
                            "which provider? {file} has several\n  = add --provider with {}",
                            self.names_or_none()
                        )));
                    }
                }
            }
        };
        let problems = Problems::new(&self.source, provider.problems().to_vec());
        if problems.errors() > 0 {
            return Err(Error::Config(Box::new(problems)));
        }
        for warning in &problems.list {
            tracing::warn!("{}", warning.message);
        }
        Ok(provider)
    }
}
