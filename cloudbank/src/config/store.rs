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

    /// The provider of both the log and the objects; `None` where `[store]` says nothing.
    ///
    /// # Errors
    ///
    /// What is written is not possible, or not yet.
    pub(super) fn provider(&self) -> Result<Option<&str>, Problem> {
        match (&self.provider, &self.log, &self.objects) {
            (None, None, None) => Ok(None),
            (Some(both), None, None) => both.one(),
            (Some(_), Some(other), _) => Err(contradiction("log", other)),
            (Some(_), None, Some(other)) => Err(contradiction("objects", other)),
            (None, Some(log), None) => Err(alone("log", "objects", log)),
            (None, None, Some(objects)) => Err(alone("objects", "log", objects)),
            (None, Some(log), Some(objects)) => {
                let (log_on, objects_on) = (log.one()?, objects.one()?);
                if log_on == objects_on {
                    return Ok(log_on);
                }
                Err(Problem::error("`log` and `objects` are different providers, which this version of cloudbank cannot do yet")
                    .at(log.span.clone())
                    .help(format!("name one for both: provider = \"{}\"", objects_on.unwrap_or("NAME"))))
            }
        }
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
