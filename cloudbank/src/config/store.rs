//! The table `[store]`: which providers keep the store.

use std::ops::Range;

use super::document::{Entry, Table, Value};
use super::problem::Problem;

/// The settings of `[store]`, all of which name providers.
pub(super) const SETTINGS: [&str; 3] = ["provider", "log", "objects"];

/// What `[store]` says. Whether the names are those of providers is checked elsewhere.
#[derive(Debug, Default)]
pub(super) struct StoreRoles {
    provider: Option<Role>,
    log: Option<Role>,
    objects: Option<Role>,
}

/// A setting, and the provider that it names; `None` when it names several, or is no name at all.
#[derive(Debug)]
struct Role {
    provider: Option<String>,
    span: Range<usize>,
}

impl StoreRoles {
    pub(super) fn read(table: &Table) -> Self {
        let role = |name: &str| table.get(name).map(Role::read);
        Self { provider: role("provider"), log: role("log"), objects: role("objects") }
    }

    /// The provider of the store, which is made of two where the log and the objects are apart; `None` where
    /// `[store]` says nothing.
    ///
    /// # Errors
    ///
    /// What is written is not possible, or not yet.
    pub(super) fn provider(&self) -> Result<Option<String>, Problem> {
        match (&self.provider, &self.log, &self.objects) {
            (None, None, None) => Ok(None),
            (Some(both), None, None) => Ok(both.one()?.map(str::to_owned)),
            (Some(_), Some(other), _) => Err(contradiction("log", other)),
            (Some(_), None, Some(other)) => Err(contradiction("objects", other)),
            (None, Some(log), None) => Err(alone("log", "objects", log)),
            (None, None, Some(objects)) => Err(alone("objects", "log", objects)),
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

    /// The providers of the log and of the objects, where they are two.
    pub(super) fn apart(&self) -> Option<(&str, &str)> {
        let (log, objects) = (self.log.as_ref()?, self.objects.as_ref()?);
        let (log, objects) = (log.provider.as_deref()?, objects.provider.as_deref()?);
        (self.provider.is_none() && log != objects).then_some((log, objects))
    }
}

impl Role {
    fn read(entry: &Entry) -> Self {
        let provider = match &entry.value {
            Value::Text(name) => Some(name.clone()),
            Value::List(voters) => match &voters[..] {
                [Entry { value: Value::Text(name), .. }] => Some(name.clone()),
                _ => None,
            },
            _ => None,
        };
        Self { provider, span: entry.span.clone() }
    }

    fn one(&self) -> Result<Option<&str>, Problem> {
        self.provider.as_deref().map(Some).ok_or_else(|| {
            Problem::error(
                "a log on several providers is something this version of cloudbank cannot do yet",
            )
            .at(self.span.clone())
            .expected("the name of one provider")
        })
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
