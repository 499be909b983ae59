//! The configuration as written: a tree in which everything knows its place in the text.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::problem::Problem;
use super::source::Source;

/// The settings of a table, by name.
pub(crate) type Table = BTreeMap<String, Entry>;

/// A setting as written.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) name_span: Range<usize>,
    pub(crate) value: Value,
    pub(crate) span: Range<usize>,
}

/// A value as written.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Text(String),
    /// `None` when it is beyond what fits.
    Integer(Option<i64>),
    Float(f64),
    Boolean(bool),
    DateTime,
    List(Vec<Entry>),
    Table(Table),
}

impl Value {
    /// What kind of value it is, for messages.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "text",
            Self::Integer(_) => "a whole number",
            Self::Float(_) => "a number with a fraction",
            Self::Boolean(_) => "true or false",
            Self::DateTime => "a date or time",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
        }
    }
}

/// The tree of a text, or everything wrong with it as TOML.
pub(crate) fn parse(source: &Source) -> Result<Table, Vec<Problem>> {
    let (table, errors) = DeTable::parse_recoverable(&source.text);
    if errors.is_empty() {
        return Ok(own_table(table.into_inner()));
    }
    Err(errors.iter().map(|error| syntax_problem(error, source)).collect())
}

fn own_table(table: DeTable<'_>) -> Table {
    table
        .into_iter()
        .map(|(name, value)| {
            let entry = Entry {
                name_span: name.span(),
                span: value.span(),
                value: own_value(value.into_inner()),
            };
            (name.into_inner().into_owned(), entry)
        })
        .collect()
}

fn own_value(value: DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::Text(text.into_owned()),
        DeValue::Integer(number) => {
            Value::Integer(i64::from_str_radix(number.as_str(), number.radix()).ok())
        }
        DeValue::Float(number) => Value::Float(number.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(value) => Value::Boolean(value),
        DeValue::Datetime(_) => Value::DateTime,
        DeValue::Array(list) => Value::List(
            list.into_iter()
                .map(|item| Entry {
                    name_span: item.span(),
                    span: item.span(),
                    value: own_value(item.into_inner()),
                })
                .collect(),
        ),
        DeValue::Table(table) => Value::Table(own_table(table)),
    }
}

fn syntax_problem(error: &toml::de::Error, source: &Source) -> Problem {
    let (message, expected) = match error.message().split_once(", expected ") {
        Some((message, expected)) => (message, Some(expected)),
        None => (error.message(), None),
    };
    let word = error.span().and_then(|span| source.text.get(span)).unwrap_or_default();
    let bare = !word.is_empty() && word.chars().all(|c| c.is_alphanumeric() || "_-./".contains(c));
    let problem = match (message, expected) {
        ("duplicate key", _) => {
            Problem::error(format!("`{word}` is set twice")).help("remove one of the two")
        }
        ("invalid basic string", Some("`\"`")) => {
            Problem::error("this is not TOML: text without its closing quote").expected("`\"`")
        }
        // What the parser takes a bare word for depends on its first letter.
        ("invalid boolean", _) | ("string values must be quoted", _) if bare => {
            Problem::error("this is not TOML: text without quotes").expected("text in quotes")
        }
        (_, Some(expected)) => {
            Problem::error(format!("this is not TOML: {message}")).expected(expected)
        }
        (_, None) => Problem::error(format!("this is not TOML: {message}")),
    };
    match error.span() {
        Some(span) => problem.at(span),
        None => problem,
    }
}
