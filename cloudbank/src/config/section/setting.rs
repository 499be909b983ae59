//! A setting that was looked up, and what follows if it is not written.

use std::path::PathBuf;
use std::time::Duration;

use storage_core::Secret;

use super::{Section, Shown, Subject};
use crate::config::problem::Problem;
use crate::config::units;

/// A setting that was looked up: say what follows if it is not written.
#[must_use]
#[derive(Debug)]
pub struct Setting<'s, 'a, T> {
    pub(super) section: &'s mut Section<'a>,
    pub(super) name: String,
    pub(super) found: Found<T>,
    /// How a default is written, where that is not the usual way of its type.
    pub(super) show: Option<fn(&T) -> String>,
}

#[derive(Debug)]
pub(super) enum Found<T> {
    Value(T),
    Missing,
    Wrong,
}

impl<T: Meaning> Setting<'_, '_, T> {
    /// The value; without one, that is noted as a problem.
    #[must_use]
    pub fn required(self) -> T {
        match self.found {
            Found::Value(value) => value,
            Found::Wrong => T::stand_in(),
            Found::Missing => {
                let Self { section, name, .. } = self;
                let whose = match section.subject {
                    Subject::Provider(kind) => {
                        format!("provider `{}` of type `{kind}`", section.name)
                    }
                    #[cfg(feature = "serve")]
                    Subject::Table(written) => format!("`{written}`"),
                };
                let message = format!("{whose} needs `{name}`");
                let problem = Problem::error(message)
                    .at(section.span.clone())
                    .expected(format!("{name} = {}", T::EXAMPLE));
                section.problems.push(problem);
                T::stand_in()
            }
        }
    }

    /// The value, or the default.
    #[must_use]
    pub fn or(self, default: T) -> T {
        match self.found {
            Found::Value(value) => value,
            Found::Wrong => default,
            Found::Missing => {
                self.section.shown.push(Shown {
                    name: self.name,
                    value: Some(self.show.map_or_else(|| default.shown(), |show| show(&default))),
                    written: false,
                    reference: None,
                });
                default
            }
        }
    }
}

impl<T> Setting<'_, '_, T> {
    /// The value, if there is one.
    #[must_use]
    pub fn optional(self) -> Option<T> {
        match self.found {
            Found::Value(value) => Some(value),
            Found::Missing => {
                self.section.shown.push(Shown {
                    name: self.name,
                    value: None,
                    written: false,
                    reference: None,
                });
                None
            }
            Found::Wrong => None,
        }
    }
}

/// A setting that is one of some words, looked up.
#[must_use]
#[derive(Debug)]
pub struct Choice<'s, 'a, T>(pub(super) Setting<'s, 'a, T>);

impl<T> Choice<'_, '_, T> {
    /// What the word means, or the default, which is written as `word`.
    #[must_use]
    pub fn or(self, word: &str, default: T) -> T {
        let Setting { section, name, found, .. } = self.0;
        match found {
            Found::Value(value) => value,
            Found::Wrong => default,
            Found::Missing => {
                let value = Some(quote(word));
                section.shown.push(Shown { name, value, written: false, reference: None });
                default
            }
        }
    }

    /// What the word means, if one is written.
    #[must_use]
    pub fn optional(self) -> Option<T> {
        self.0.optional()
    }
}

/// What a setting can mean, with what stands in for it once a problem is noted.
pub trait Meaning {
    /// How one is written.
    const EXAMPLE: &'static str;
    /// A value that is never used.
    fn stand_in() -> Self;
    /// The value as it would be written.
    fn shown(&self) -> String;
}

macro_rules! meaning {
    ($type:ty, $example:literal, $stand_in:expr, $shown:expr) => {
        impl Meaning for $type {
            const EXAMPLE: &'static str = $example;
            fn stand_in() -> Self {
                $stand_in
            }
            fn shown(&self) -> String {
                let shown: fn(&$type) -> String = $shown;
                shown(self)
            }
        }
    };
}

meaning!(String, "\"...\"", Self::new(), |text| quote(text));
meaning!(Secret, "\"${NAME}\"", Self::new(""), |_| "\"***\"".into());
meaning!(PathBuf, "\"...\"", Self::new(), |path| quote(&path.display().to_string()));
meaning!(bool, "true", false, ToString::to_string);
meaning!(u64, "1", 0, ToString::to_string);
meaning!(Duration, "\"30s\"", Self::ZERO, |time| quote(&units::exact_time(*time)));
meaning!(Vec<String>, "[\"...\"]", Self::new(), |texts| format!("{texts:?}"));

/// A text as TOML writes it.
pub(super) fn quote(text: &str) -> String {
    toml::Value::String(text.into()).to_string()
}
