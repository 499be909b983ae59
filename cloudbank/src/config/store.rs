//! The table `[store]`: which providers keep the store.

use std::collections::BTreeSet;
use std::ops::Range;

use super::document::{Entry, Table, Value};
use super::problem::Problem;

/// The most voters that a log has.
const VOTERS_MAX: usize = 15;
/// The settings of `[store]`, all of which name providers.
pub(super) const SETTINGS: [&str; 4] = ["provider", "log", "objects", "spares"];

/// What `[store]` says. Whether the names are those of providers is checked elsewhere.
#[derive(Debug, Default)]
pub(super) struct StoreRoles {
    provider: Option<Role>,
    log: Option<Role>,
    objects: Option<Role>,
    spares: Option<Role>,
}

/// A setting, and the providers that it names: none when it is no name at all.
#[derive(Debug)]
struct Role {
    providers: Vec<String>,
    span: Range<usize>,
}

/// A store with its log on several voters.
#[derive(Debug, Clone)]
pub(super) struct QuorumRoles {
    pub(super) voters: Vec<String>,
    pub(super) objects: String,
}

impl QuorumRoles {
    /// What the two together are called.
    pub(super) fn name(&self) -> String {
        format!("{}+{}", self.voters.join("+"), self.objects)
    }
}

impl StoreRoles {
    pub(super) fn read(table: &Table) -> Self {
        let role = |name: &str| table.get(name).map(Role::read);
        Self {
            provider: role("provider"),
            log: role("log"),
            objects: role("objects"),
            spares: role("spares"),
        }
    }

    /// The provider of the store, which is made of two where the log and the objects are apart; `None` where
    /// `[store]` says nothing.
    ///
    /// # Errors
    ///
    /// What is written is not possible, or not yet.
    pub(super) fn provider(&self) -> Result<Option<String>, Problem> {
        if let Some(spares) = &self.spares {
            self.check_spares(spares)?;
        }
        match (&self.provider, &self.log, &self.objects) {
            (None, None, None) => Ok(None),
            (Some(both), None, None) => Ok(both.one()?.map(str::to_owned)),
            (Some(_), Some(other), _) => Err(contradiction("log", other)),
            (Some(_), None, Some(other)) => Err(contradiction("objects", other)),
            (None, Some(log), None) => Err(alone("log", "objects", log)),
            (None, None, Some(objects)) => Err(alone("objects", "log", objects)),
            (None, Some(log), Some(objects)) if log.providers.len() > 1 => {
                log.check_voters()?;
                objects.one()?;
                Ok(self.quorum().map(|roles| roles.name()))
            }
            (None, Some(log), Some(objects)) => {
                let (log_on, objects_on) = (log.one()?, objects.one()?);
                Ok(match (log_on, objects_on) {
                    (Some(log), Some(objects)) if log != objects => {
                        Some(format!("{log}+{objects}"))
                    }
                    (one, _) => one.map(str::to_owned),
                })
            }
        }
    }

    /// Those that may vote for the log one day.
    pub(super) fn spares(&self) -> &[String] {
        self.spares.as_ref().map_or(&[], |spares| &spares.providers)
    }

    fn check_spares(&self, spares: &Role) -> Result<(), Problem> {
        let log = self.log.as_ref().filter(|log| log.providers.len() > 1);
        if log.is_none() && self.provider.is_none() {
            let problem = Problem::error(
                "`spares` are for a store on one provider, or a log on several voters",
            );
            return Err(problem
                .at(spares.span.clone())
                .help("name the voters: log = [\"a\", \"b\", \"c\"], and objects beside it"));
        }
        let mut given: BTreeSet<_> = log.iter().flat_map(|log| &log.providers).collect();
        match spares.providers.iter().find(|name| !given.insert(*name)) {
            None => Ok(()),
            Some(twice) => {
                Err(Problem::error(format!("`spares` names `{twice}`, which is named already"))
                    .at(spares.span.clone())
                    .help("`log` names those who vote, `spares` those who may vote one day"))
            }
        }
    }

    /// The providers of the log and of the objects, where they are two.
    pub(super) fn apart(&self) -> Option<(&str, &str)> {
        let (log, objects) = (self.log.as_ref()?, self.objects.as_ref()?);
        let (log, objects) = (log.one().ok()??, objects.one().ok()??);
        (self.provider.is_none() && log != objects).then_some((log, objects))
    }

    /// The voters of the log and the provider of the objects, where there are voters.
    pub(super) fn quorum(&self) -> Option<QuorumRoles> {
        let (log, objects) = (self.log.as_ref()?, self.objects.as_ref()?);
        let is_quorum = self.provider.is_none() && log.check_voters().is_ok();
        let objects = objects.one().ok()??.to_owned();
        is_quorum.then(|| QuorumRoles { voters: log.providers.clone(), objects })
    }
}

impl Role {
    fn read(entry: &Entry) -> Self {
        let names = match &entry.value {
            Value::List(voters) => voters.iter().collect(),
            _ => vec![entry],
        };
        let name = |entry: &&Entry| match &entry.value {
            Value::Text(name) => Some(name.clone()),
            _ => None,
        };
        let providers = names.iter().filter_map(name).collect();
        Self { providers, span: entry.span.clone() }
    }

    fn one(&self) -> Result<Option<&str>, Problem> {
        match &self.providers[..] {
            // What is no name is said elsewhere.
            [] => Ok(None),
            [name] => Ok(Some(name)),
            _ => Err(Problem::error(
                "the objects of a store are on one provider, which may be an array",
            )
            .at(self.span.clone())
            .expected("the name of one provider")),
        }
    }

    fn check_voters(&self) -> Result<(), Problem> {
        let count = self.providers.len();
        if count < 3 || count.is_multiple_of(2) || count > VOTERS_MAX {
            let message =
                format!("a log has one provider, or an odd number of voters, and not {count}");
            return Err(Problem::error(message)
                .at(self.span.clone())
                .expected(format!("3 names of providers, or 5, up to {VOTERS_MAX}"))
                .help("more than half of the voters decide: with an even number no more may fail than with one less"));
        }
        let mut given = BTreeSet::new();
        match self.providers.iter().find(|name| !given.insert(*name)) {
            None => Ok(()),
            Some(twice) => Err(Problem::error(format!("`log` names `{twice}` twice"))
                .at(self.span.clone())
                .help("what one provider loses is lost once: let another vote")),
        }
    }
}

fn contradiction(name: &str, role: &Role) -> Problem {
    Problem::error(format!("`{name}` contradicts `provider`, which is for both log and objects"))
        .at(role.span.clone())
        .help("remove one of the two")
}

fn alone(name: &str, other: &str, role: &Role) -> Problem {
    Problem::error(format!("`{name}` needs `{other}` beside it"))
        .at(role.span.clone())
        .help(format!("add `{other}`, or write `provider` for both"))
}
