//! Changing settings of a provider in the text of a configuration, and nothing else in it.

use std::ops::Range;

use super::{Config, Problems, Provider, Source, Variables};
use crate::error::{Error, Result};
use crate::registry::Registry;

/// A change of one setting of a provider: the value as TOML writes it, or its removal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Edit {
    pub(crate) setting: &'static str,
    pub(crate) value: Option<String>,
}

impl Edit {
    /// Sets a list of names.
    pub(crate) fn names(setting: &'static str, names: &[String]) -> Self {
        let quoted: Vec<_> =
            names.iter().map(|name| toml::Value::String(name.clone()).to_string()).collect();
        Self { setting, value: Some(format!("[{}]", quoted.join(", "))) }
    }

    /// Sets a list of numbers.
    pub(crate) fn numbers(setting: &'static str, numbers: &[u64]) -> Self {
        let numbers: Vec<_> = numbers.iter().map(u64::to_string).collect();
        Self { setting, value: Some(format!("[{}]", numbers.join(", "))) }
    }

    /// Removes a setting.
    pub(crate) fn remove(setting: &'static str) -> Self {
        Self { setting, value: None }
    }
}

impl Config {
    /// The text of this configuration with settings of the provider `name` changed, read again to be sure that it
    /// means just that. `after` is the setting that new ones are written below.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] when the configuration would be wrong then, [`Error::Failed`] when it is written in a
    /// way that this cannot change.
    pub(crate) fn edited(
        &self,
        registry: &Registry,
        variables: &Variables,
        name: &str,
        edits: &[Edit],
        after: &str,
    ) -> Result<Source> {
        let provider = self.provider(Some(name))?;
        let mut changes: Vec<(Range<usize>, String)> = Vec::new();
        let mut below = String::new();
        for Edit { setting, value } in edits {
            match (provider.written(setting), value) {
                (Some(written), Some(value)) => changes.push((written.span.clone(), value.clone())),
                (Some(written), None) => {
                    let lines = self.lines(written.name_span.start..written.span.end);
                    changes.push((lines, String::new()));
                }
                (None, Some(value)) => below += &format!("{setting} = {value}\n"),
                (None, None) => {}
            }
        }
        if !below.is_empty() {
            let Some(anchor) = provider.written(after) else { return Err(by_hand(name, edits)) };
            let end = self.lines(anchor.name_span.start..anchor.span.end).end;
            let newline = !self.source.text[..end].ends_with('\n');
            changes.push((end..end, if newline { format!("\n{below}") } else { below }));
        }
        changes.sort_by_key(|(span, _)| (span.start, span.end));
        let mut text = self.source.text.clone();
        for (span, new) in changes.into_iter().rev() {
            text.replace_range(span, &new);
        }
        let source = Source { text, ..self.source.clone() };
        let read = Self::read(registry, source.clone(), variables);
        let read = read.map_err(|_| by_hand(name, edits))?;
        let problems = Problems::new(&source, read.problems().list);
        if problems.errors() > self.problems().errors() {
            return Err(Error::Config(Box::new(problems)));
        }
        let changed = read.provider(Some(name)).map_err(|_| by_hand(name, edits))?;
        if !edits.iter().all(|edit| read.has_now(changed, edit)) || !self.is_else_equal(&read, name)
        {
            return Err(by_hand(name, edits));
        }
        Ok(source)
    }

    fn has_now(&self, provider: &Provider, edit: &Edit) -> bool {
        let written = provider.written(edit.setting);
        let value = written.and_then(|written| self.source.text.get(written.span.clone()));
        value == edit.value.as_deref()
    }

    /// Whether all providers but one are as they were.
    fn is_else_equal(&self, other: &Self, name: &str) -> bool {
        let shown = |config: &Self| -> Vec<_> {
            let others = config.providers().filter(|provider| provider.name() != name);
            others.map(|provider| (provider.name().to_owned(), provider.shown().to_vec())).collect()
        };
        shown(self) == shown(other)
    }

    /// The whole lines that hold these bytes.
    fn lines(&self, span: Range<usize>) -> Range<usize> {
        let text = &self.source.text;
        let start = text[..span.start].rfind('\n').map_or(0, |newline| newline + 1);
        let end = text[span.end..].find('\n').map_or(text.len(), |at| span.end + at + 1);
        start..end
    }
}

fn by_hand(name: &str, edits: &[Edit]) -> Error {
    let lines: Vec<_> = edits
        .iter()
        .map(|Edit { setting, value }| match value {
            Some(value) => format!("{setting} = {value}"),
            None => format!("(without {setting})"),
        })
        .collect();
    Error::Failed(format!(
        "the configuration is written in a way that is not changed here, and is left as it is\n  = write yourself, in [providers.{name}]: {}",
        lines.join("; ")
    ))
}
