//! What there is to change: cargo-mutants says it, pinned.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::services::run_to_end;
use crate::workspace;

const VERSION: &str = "27.1.0";

/// One change.
#[derive(Debug, Clone, Deserialize)]
#[serde(from = "Listed")]
pub(super) struct Mutant {
    /// Counted from 1, in the order of the list.
    pub(super) number: u32,
    /// Where it is and what it does.
    pub(super) name: String,
    /// The file, from the top folder.
    pub(super) file: String,
    /// What kind of change.
    pub(super) genre: Genre,
    /// What stands there instead.
    pub(super) replacement: String,
    /// What is replaced.
    pub(super) span: Span,
}

/// Lines and characters, both counted from 1.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    /// The first character.
    pub(super) start: (usize, usize),
}

/// A kind of change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub(super) enum Genre {
    /// A function answers at once.
    FnValue,
    /// Another operator.
    BinaryOperator,
    /// No operator.
    UnaryOperator,
    /// An arm is gone.
    MatchArm,
    /// A guard always or never holds.
    MatchArmGuard,
    /// A field is as in the value it is based on.
    StructField,
}

/// cargo-mutants itself, installed on first use.
pub(super) fn tool() -> Result<Command> {
    let folder = workspace::cache()?.join("tools").join(format!("cargo-mutants-{VERSION}"));
    let program = folder.join("bin/cargo-mutants");
    if !program.exists() {
        let mut install = workspace::cargo();
        install.args(["install", "--locked", "--version", VERSION, "cargo-mutants", "--root"]);
        install.arg(&folder);
        let status = run_to_end(install).context("install cargo-mutants")?;
        if !status.success() {
            bail!("install cargo-mutants: {status}");
        }
    }
    let mut command = Command::new(program);
    command.current_dir(workspace::root()).arg("mutants");
    Ok(command)
}

/// The mutants of `packages` that `filters`, arguments of cargo-mutants, leave.
pub(super) fn list(packages: &[String], filters: &[String]) -> Result<Vec<Mutant>> {
    let mut command = tool()?;
    command.args(["--list", "--json"]).args(filters).stderr(Stdio::inherit());
    for package in packages {
        command.args(["--package", package]);
    }
    let output = command.output().context("run cargo-mutants")?;
    if !output.status.success() {
        bail!("list the mutants: {}", output.status);
    }
    let mut mutants: Vec<Mutant> =
        serde_json::from_slice(&output.stdout).context("read the list of mutants")?;
    for (number, mutant) in (1..).zip(&mut mutants) {
        mutant.number = number;
    }
    Ok(mutants)
}

#[derive(Deserialize)]
struct Listed {
    name: String,
    file: PathBuf,
    genre: Genre,
    replacement: String,
    span: ListedSpan,
}

#[derive(Deserialize)]
struct ListedSpan {
    start: ListedPlace,
}

#[derive(Deserialize)]
struct ListedPlace {
    line: usize,
    column: usize,
}

impl From<Listed> for Mutant {
    fn from(listed: Listed) -> Self {
        let ListedPlace { line, column } = listed.span.start;
        Self {
            number: 0,
            name: listed.name,
            file: listed.file.to_string_lossy().into_owned(),
            genre: listed.genre,
            replacement: listed.replacement,
            span: Span { start: (line, column) },
        }
    }
}
