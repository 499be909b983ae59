//! Everything that can be wrong with a configuration, and what is said about it.

mod arrays;
mod backends;
mod files;
mod names;
mod syntax;
mod values;

use std::ffi::OsString;
use std::path::Path;

use cloudbank::{Config, Registry, Source};
use expect_test::Expect;

/// Environment of these tests.
fn variables(name: &str) -> Option<OsString> {
    match name {
        "EMPTY" => Some("".into()),
        "BUCKET" => Some("from-the-environment".into()),
        _ => None,
    }
}

/// Reads a configuration in a folder of its own and compares what is said about it.
fn check(text: &str, expected: Expect) {
    let source = Source::file(Path::new("cloudbank.toml"), text.trim_start().into());
    let said = match Config::read(&Registry::standard(), source, &variables) {
        Ok(config) => config.problems().to_string(),
        Err(error) => error.to_string(),
    };
    assert!(said.lines().count() <= 24, "more than a screen:\n{said}");
    expected.assert_eq(&said);
}
