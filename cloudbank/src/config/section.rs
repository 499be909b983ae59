//! The table of one provider, read setting by setting.

use std::fmt::{self, Debug};
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use storage_core::Secret;

use super::document::{Entry, Table, Value};
use super::problem::{Problem, Severity, alternatives};
use super::reference::{self, Dangling, Variables};
use super::source::{Source, looks_secret};
use super::units;

mod setting;

pub use setting::{Choice, Meaning, Setting};
use setting::{Found, quote};

/// The table of a provider, as a backend's type reads it.
///
/// Each getter says that a setting of this name exists, and what it may hold. What is wrong is noted, with
/// its place, and reading goes on: a getter then answers with a stand-in that is never used, because with
/// a problem noted nothing is opened. So a reader needs no error handling, and the user sees all that is
/// wrong at once. Settings that no getter asked for are reported as unknown, with the nearest name.
///
/// # Examples
///
/// ```
/// use cloudbank::{Backend, Registry};
///
/// let registry = Registry::standard().register("scratch", |section| {
///     let limit = section.size("object_bytes_max").or(1 << 20);
///     Backend::new(move || async move {
///         let versions = storage_core::Versions::PerWrite;
///         let config = backend_memory::Config { versions, object_bytes_max: limit };
///         Ok(backend_memory::MemoryProvider::with_config(config))
///     })
/// });
/// # drop(registry);
/// ```
pub struct Section<'a> {
    name: &'a str,
    subject: Subject<'a>,
    span: Range<usize>,
    table: &'a Table,
    source: &'a Source,
    variables: &'a Variables,
    known: Vec<String>,
    secrets: Vec<String>,
    revealed: Vec<Secret>,
    shown: Vec<Shown>,
    problems: Vec<Problem>,
}

/// Whose settings they are.
#[derive(Debug, Clone, Copy)]
enum Subject<'a> {
    /// Those of a provider of this type.
    Provider(&'a str),
    /// Those of a table of its own, which is written so.
    #[cfg(feature = "serve")]
    Table(&'a str),
}

/// A setting as it is meant, fit to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) name: String,
    /// As it would be written in TOML; `None` if it is not set and has no default.
    pub(crate) value: Option<String>,
    pub(crate) written: bool,
    /// Where the value comes from, if it is a reference.
    pub(crate) reference: Option<String>,
}

/// What is left of a section when it has been read.
pub(crate) struct Read {
    pub(crate) problems: Vec<Problem>,
    pub(crate) shown: Vec<Shown>,
    pub(crate) secrets: Vec<Secret>,
}

impl<'a> Section<'a> {
    pub(crate) fn new(
        (name, kind): (&'a str, &'a str),
        span: Range<usize>,
        table: &'a Table,
        source: &'a Source,
        variables: &'a Variables,
    ) -> Self {
        let subject = Subject::Provider(kind);
        let known = vec!["type".into()];
        Self { known, ..Self::of(name, subject, span, table, source, variables) }
    }

    /// A table that is no provider's: `[s3]`, or `[[s3.keys]]`.
    #[cfg(feature = "serve")]
    pub(crate) fn of_table(
        written: &'a str,
        span: Range<usize>,
        table: &'a Table,
        source: &'a Source,
        variables: &'a Variables,
    ) -> Self {
        Self::of(written, Subject::Table(written), span, table, source, variables)
    }

    fn of(
        name: &'a str,
        subject: Subject<'a>,
        span: Range<usize>,
        table: &'a Table,
        source: &'a Source,
        variables: &'a Variables,
    ) -> Self {
        Self {
            name,
            subject,
            span,
            table,
            source,
            variables,
            known: Vec::new(),
            secrets: Vec::new(),
            revealed: Vec::new(),
            shown: Vec::new(),
            problems: Vec::new(),
        }
    }

    /// The name of the provider.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name
    }

    /// Whether a value is written for this setting.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.table.contains_key(name)
    }

    /// A text that is not empty. `${NAME}` in it is replaced from the environment.
    pub fn text(&mut self, name: &str) -> Setting<'_, 'a, String> {
        self.setting(name, |section, entry| {
            let text = section.expanded(name, entry)?;
            let shown = quote(&text);
            Some((text, shown))
        })
    }

    /// A secret: `${NAME}` is replaced from the environment, and `file:PATH` is the content of a file. It is
    /// never shown.
    pub fn secret(&mut self, name: &str) -> Setting<'_, 'a, Secret> {
        self.secrets.push(name.into());
        self.setting(name, |section, entry| {
            let text = section.expanded(name, entry)?;
            let text = match text.strip_prefix("file:") {
                Some(path) => section.secret_in_file(name, path, entry)?,
                None => text,
            };
            let secret = Secret::new(text);
            section.revealed.push(secret.clone());
            Some((secret, "\"***\"".into()))
        })
    }

    /// A text that may be long and is no secret, such as a certificate: `file:PATH` is the content of a file.
    pub fn content(&mut self, name: &str) -> Setting<'_, 'a, String> {
        self.setting(name, |section, entry| {
            let text = section.expanded(name, entry)?;
            let Some(path) = text.strip_prefix("file:") else {
                return Some((text.clone(), quote(&text)));
            };
            let path = section.source.folder.join(path.trim());
            match reference::read_file(&path) {
                Ok((content, _)) => Some((content, quote(&text))),
                Err(dangling) => section.dangling(name, entry, dangling),
            }
        })
    }

    /// A path; a relative one starts at the folder of the configuration file.
    pub fn path(&mut self, name: &str) -> Setting<'_, 'a, PathBuf> {
        self.setting(name, |section, entry| {
            let text = section.expanded(name, entry)?;
            let path = section.source.folder.join(text);
            let path = std::path::absolute(&path).unwrap_or(path);
            let shown = quote(&path.display().to_string());
            Some((path, shown))
        })
    }

    /// The address of a service: `http://` or `https://`, a host, perhaps a port and a path.
    pub fn url(&mut self, name: &str) -> Setting<'_, 'a, String> {
        self.setting(name, |section, entry| {
            let text = section.expanded(name, entry)?;
            let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
            let wrong = match host {
                None => Some(format!("`{name}` does not begin with https:// or http://")),
                Some("") => Some(format!("`{name}` names no host")),
                Some(host) if host.starts_with(['/', ':', '?']) => {
                    Some(format!("`{name}` names no host"))
                }
                Some(host) if host.contains(|c: char| c.is_whitespace() || c.is_control()) => {
                    Some(format!("`{name}` has a space in it"))
                }
                Some(host) if host.split('/').next().is_some_and(|host| host.contains('@')) => {
                    Some(format!("`{name}` has a password in it, which has settings of its own"))
                }
                Some(_) => None,
            };
            if let Some(wrong) = wrong {
                let hide = text.contains('@');
                let problem =
                    Problem::error(wrong).expected("an address such as \"https://s3.example.org\"");
                section.problems.push(problem.at(entry.span.clone()).hidden(hide));
                return None;
            }
            let shown = quote(&text);
            Some((text, shown))
        })
    }

    /// True or false.
    pub fn switch(&mut self, name: &str) -> Setting<'_, 'a, bool> {
        self.setting(name, |section, entry| match &entry.value {
            Value::Boolean(value) => Some((*value, value.to_string())),
            Value::Text(text) if text == "true" || text == "false" => {
                section.wrong_kind(name, entry, "true or false", Some("leave out the quotes"))
            }
            _ => section.wrong_kind(name, entry, "true or false", None),
        })
    }

    /// A whole number from `min` to `max`, both included.
    pub fn number(&mut self, name: &str, min: u64, max: u64) -> Setting<'_, 'a, u64> {
        self.setting(name, |section, entry| {
            let expected = format!("a whole number from {min} to {max}");
            match &entry.value {
                Value::Integer(number) => {
                    let number = number.and_then(|number| u64::try_from(number).ok());
                    match number.filter(|number| (min..=max).contains(number)) {
                        Some(number) => Some((number, number.to_string())),
                        None => {
                            let problem = Problem::error(format!("`{name}` is out of range"));
                            section
                                .problems
                                .push(problem.at(entry.span.clone()).expected(expected));
                            None
                        }
                    }
                }
                Value::Text(text) if text.parse::<u64>().is_ok() => {
                    section.wrong_kind(name, entry, &expected, Some("leave out the quotes"))
                }
                _ => section.wrong_kind(name, entry, &expected, None),
            }
        })
    }

    /// A number of bytes: a whole number, or one with a unit such as `64MiB`.
    pub fn size(&mut self, name: &str) -> Setting<'_, 'a, u64> {
        let setting = self.measure(name, units::SIZE_EXPECTED, |value| {
            let bytes = match value {
                Value::Integer(number) => number.and_then(|number| u64::try_from(number).ok()),
                Value::Text(text) => units::parse_size(text),
                _ => None,
            }?;
            Some((bytes, quote(&units::exact_size(bytes))))
        });
        Setting { show: Some(|bytes| quote(&units::exact_size(*bytes))), ..setting }
    }

    /// A time with its unit, such as `30s`; not zero.
    pub fn time(&mut self, name: &str) -> Setting<'_, 'a, Duration> {
        self.measure(name, units::TIME_EXPECTED, |value| {
            let Value::Text(text) = value else { return None };
            let time = units::parse_time(text).filter(|time| !time.is_zero())?;
            Some((time, quote(&units::exact_time(time))))
        })
    }

    fn measure<T: Clone>(
        &mut self,
        name: &str,
        expected: &str,
        parse: impl Fn(&Value) -> Option<(T, String)>,
    ) -> Setting<'_, 'a, T> {
        self.setting(name, |section, entry| {
            let found = parse(&entry.value);
            if found.is_some() {
                return found;
            }
            let problem = match &entry.value {
                Value::Text(_) | Value::Integer(_) => {
                    Problem::error(format!("`{name}` cannot be understood"))
                }
                other => Problem::error(format!("`{name}` is {}", other.kind())),
            };
            let problem = problem.at(entry.span.clone()).expected(expected);
            let bare = matches!(entry.value, Value::Integer(_)) && expected == units::TIME_EXPECTED;
            section.problems.push(if bare {
                problem.help("say in which unit, in quotes")
            } else {
                problem
            });
            None
        })
    }

    /// One of these words, and what it means.
    pub fn choice<T: Clone>(&mut self, name: &str, words: &[(&str, T)]) -> Choice<'_, 'a, T> {
        let setting = self.setting(name, |section, entry| {
            let text = section.expanded(name, entry)?;
            if let Some((word, meaning)) = words.iter().find(|(word, _)| *word == text) {
                return Some((meaning.clone(), quote(word)));
            }
            let quoted: Vec<_> = words.iter().map(|(word, _)| quote(word)).collect();
            let problem = Problem::error(format!("`{name}` is none of the words it may be"))
                .at(entry.span.clone())
                .expected(alternatives(&quoted))
                .suggest(&text, words.iter().map(|(word, _)| *word));
            section.problems.push(problem);
            None
        });
        Choice(setting)
    }

    /// A list of texts, none of them empty.
    pub fn texts(&mut self, name: &str) -> Setting<'_, 'a, Vec<String>> {
        self.setting(name, |section, entry| {
            let Value::List(items) = &entry.value else {
                return section.wrong_kind(name, entry, "a list such as [\"a\", \"b\"]", None);
            };
            let texts: Vec<_> =
                items.iter().filter_map(|item| section.expanded(name, item)).collect();
            let shown: Vec<_> = texts.iter().map(|text| quote(text)).collect();
            (texts.len() == items.len()).then(|| (texts, format!("[{}]", shown.join(", "))))
        })
    }

    /// A list of whole numbers from `min` to `max`, both included.
    pub fn numbers(&mut self, name: &str, min: u64, max: u64) -> Setting<'_, 'a, Vec<u64>> {
        self.setting(name, |section, entry| {
            let number = |item: &Entry| match &item.value {
                Value::Integer(Some(number)) => {
                    u64::try_from(*number).ok().filter(|number| (min..=max).contains(number))
                }
                _ => None,
            };
            let numbers: Option<Vec<u64>> = match &entry.value {
                Value::List(items) => items.iter().map(number).collect(),
                _ => None,
            };
            let Some(numbers) = numbers else {
                let expected = format!("a list of whole numbers from {min} to {max}");
                return section.wrong_kind(name, entry, &expected, None);
            };
            let shown: Vec<_> = numbers.iter().map(u64::to_string).collect();
            Some((numbers, format!("[{}]", shown.join(", "))))
        })
    }

    /// A table of numbers that are not negative, with these names.
    pub(crate) fn decimals(
        &mut self,
        name: &str,
        names: &[&str],
    ) -> Setting<'_, 'a, Vec<(String, f64)>> {
        self.setting(name, |section, entry| {
            let example = format!("{{ {} = 0.02 }}", names[0]);
            let Value::Table(table) = &entry.value else {
                return section.wrong_kind(name, entry, &format!("a table: {example}"), None);
            };
            let mut numbers = Vec::new();
            for (inner, item) in table {
                let number = match item.value {
                    Value::Float(number) => Some(number),
                    Value::Integer(Some(number)) => Some(number as f64),
                    _ => None,
                };
                let number = number.filter(|number| number.is_finite() && *number >= 0.0);
                match (names.contains(&inner.as_str()), number) {
                    (true, Some(number)) => numbers.push((inner.clone(), number)),
                    (true, None) => {
                        let problem = Problem::error(format!("`{inner}` of `{name}` is no price"))
                            .at(item.span.clone())
                            .expected("a number that is not negative, such as 0.02");
                        section.problems.push(problem);
                        return None;
                    }
                    (false, _) => {
                        let problem = Problem::error(format!("`{name}` has no `{inner}`"))
                            .at(item.name_span.clone())
                            .expected(format!("one of {}", names.join(", ")))
                            .suggest(inner, names.iter().copied());
                        section.problems.push(problem);
                        return None;
                    }
                }
            }
            let shown: Vec<_> =
                numbers.iter().map(|(name, number)| format!("{name} = {number}")).collect();
            Some((numbers, format!("{{ {} }}", shown.join(", "))))
        })
    }

    /// One text or a list of them, none of them empty.
    #[cfg(feature = "serve")]
    pub(crate) fn one_or_more(&mut self, name: &str) -> Setting<'_, 'a, Vec<String>> {
        match self.table.get(name).map(|entry| &entry.value) {
            Some(Value::Text(_)) => self.setting(name, |section, entry| {
                let text = section.expanded(name, entry)?;
                let shown = quote(&text);
                Some((vec![text], shown))
            }),
            _ => self.texts(name),
        }
    }

    /// The value of a setting as it is written, which somebody else reads.
    #[cfg(feature = "gateway-s3")]
    pub(crate) fn entry(&mut self, name: &str) -> Option<&'a Entry> {
        self.known.push(name.into());
        self.table.get(name)
    }

    /// Notes that something is wrong with a setting, or with several together: what cannot be seen in one
    /// value alone. It is shown at the setting, or at the provider if the setting is not written.
    pub fn problem(&mut self, name: &str, problem: Problem) {
        let span = self.table.get(name).map_or(self.span.clone(), |entry| entry.name_span.clone());
        self.problems.push(problem.at(span));
    }

    /// Notes what a backend's own check of its settings says, at the setting that it names in backticks. Does
    /// nothing once a problem is noted, because the settings are stand-ins then.
    pub fn check(&mut self, checked: storage_core::Result<()>) {
        let wrong = self.problems.iter().any(|problem| problem.severity == Severity::Error);
        if let (Err(error), false) = (checked, wrong) {
            let named = error.message().split('`').skip(1).step_by(2);
            let name = named.into_iter().find(|word| self.has(word)).unwrap_or_default();
            let secret = self.is_secret(name);
            let problem = Problem::error(error.message()).hidden(secret);
            self.problem(name, problem);
        }
    }

    /// Notes a problem if `name` is written without all of `others`.
    pub fn only_together(&mut self, name: &str, others: &[&str]) {
        let missing = others.iter().find(|other| !self.has(other));
        if let (true, Some(missing)) = (self.has(name), missing) {
            let problem = Problem::error(format!("`{name}` needs `{missing}` beside it"));
            self.problem(name, problem.help(format!("add `{missing}`, or remove `{name}`")));
        }
    }

    /// Notes a problem if more than one of these are written.
    pub fn only_one_of(&mut self, names: &[&str]) {
        let written: Vec<_> = names.iter().filter(|name| self.has(name)).collect();
        if let [first, second, ..] = written[..] {
            let problem = Problem::error(format!("`{second}` contradicts `{first}`"));
            self.problem(second, problem.help("remove one of the two"));
        }
    }

    fn setting<T: Clone>(
        &mut self,
        name: &str,
        read: impl FnOnce(&mut Self, &'a Entry) -> Option<(T, String)>,
    ) -> Setting<'_, 'a, T> {
        if !self.known.iter().any(|known| known == name) {
            self.known.push(name.into());
        }
        let entry = self.table.get(name);
        let found = match entry {
            None => Found::Missing,
            Some(entry) => read(self, entry).map_or(Found::Wrong, |(value, shown)| {
                self.shown.push(Shown {
                    name: name.into(),
                    value: Some(shown),
                    written: true,
                    reference: reference_in(&entry.value),
                });
                Found::Value(value)
            }),
        };
        Setting { section: self, name: name.into(), found, show: None }
    }

    /// The text of a setting, its variables replaced.
    fn expanded(&mut self, name: &str, entry: &Entry) -> Option<String> {
        let Value::Text(text) = &entry.value else {
            return self.wrong_kind(name, entry, "text in quotes", None);
        };
        if text.trim().is_empty() {
            let problem = Problem::error(format!("`{name}` is empty"))
                .at(entry.span.clone())
                .expected("a text that is not empty");
            self.problems.push(problem);
            return None;
        }
        match reference::expand(text, self.variables) {
            Ok(text) => Some(text),
            Err(dangling) => self.dangling(name, entry, dangling),
        }
    }

    fn secret_in_file(&mut self, name: &str, path: &str, entry: &Entry) -> Option<String> {
        let path = self.source.folder.join(path.trim());
        match reference::read_file(&path) {
            Ok((secret, false)) => Some(secret),
            Ok((secret, true)) => {
                let shown = path.display();
                let problem =
                    Problem::warning(format!("`{name}`: anyone on this machine can read {shown}"))
                        .at(entry.span.clone())
                        .help(format!("chmod 600 {shown}"));
                self.problems.push(problem);
                Some(secret)
            }
            Err(dangling) => self.dangling(name, entry, dangling),
        }
    }

    fn dangling<T>(&mut self, name: &str, entry: &Entry, dangling: Dangling) -> Option<T> {
        let hide = self.is_secret(name);
        let problem = Problem::error(format!("`{name}`: {}", dangling.message))
            .at(entry.span.clone())
            .help(dangling.help)
            .hidden(hide);
        self.problems.push(problem);
        None
    }

    fn wrong_kind<T>(
        &mut self,
        name: &str,
        entry: &Entry,
        expected: &str,
        help: Option<&str>,
    ) -> Option<T> {
        let hide = self.is_secret(name);
        let problem = Problem::error(format!("`{name}` is {}", entry.value.kind()))
            .at(entry.span.clone())
            .expected(expected)
            .hidden(hide);
        self.problems.push(match help {
            Some(help) => problem.help(help),
            None => problem,
        });
        None
    }

    fn is_secret(&self, name: &str) -> bool {
        self.secrets.iter().any(|secret| secret == name)
    }

    /// Reports what no getter asked for, and gives back everything found out.
    pub(crate) fn finish(mut self) -> Read {
        let mut known: Vec<_> = self.known.iter().map(String::as_str).collect();
        known.sort_unstable();
        for (name, entry) in self.table {
            if known.contains(&name.as_str()) {
                continue;
            }
            let near = super::problem::closest(name, known.iter().copied());
            let hide = near.is_none_or(|near| self.is_secret(near)) || looks_secret(name);
            let whose = match self.subject {
                Subject::Provider(kind) => format!("a provider of type `{kind}`"),
                #[cfg(feature = "serve")]
                Subject::Table(written) => format!("`{written}`"),
            };
            let problem = Problem::error(format!("{whose} has no setting `{name}`"))
                .at(entry.name_span.clone())
                .expected(format!("one of {}", known.join(", ")))
                .suggest(name, known.iter().copied())
                .hidden(hide);
            self.problems.push(problem);
        }
        Read { problems: self.problems, shown: self.shown, secrets: self.revealed }
    }
}

impl Debug for Section<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Section")
            .field("name", &self.name)
            .field("subject", &self.subject)
            .finish_non_exhaustive()
    }
}

/// The reference that a value is, if it is nothing else.
fn reference_in(value: &Value) -> Option<String> {
    match value {
        Value::Text(text) if text.starts_with("file:") => Some(text.clone()),
        Value::Text(text) if text.starts_with("${") && text.ends_with('}') => Some(text.clone()),
        _ => None,
    }
}
