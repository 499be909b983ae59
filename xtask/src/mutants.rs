//! `cargo xtask mutants`: changes that no test notices.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::services::run_to_end;
use crate::workspace;

const VERSION: &str = "27.1.0";

/// Arguments of `cargo xtask mutants`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Change only this crate. May be given again.
    #[arg(short, long = "package", value_name = "CRATE")]
    packages: Vec<String>,
    /// More arguments for `cargo mutants`.
    #[arg(last = true)]
    rest: Vec<String>,
}

/// Runs `cargo xtask mutants`.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let cache = workspace::cache()?;
    let folder = cache.join("tools").join(format!("cargo-mutants-{VERSION}"));
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
    command.current_dir(workspace::root()).args(["mutants", "--output"]);
    command.arg(workspace::metadata()?.target_directory);
    for package in &arguments.packages {
        command.args(["--package", package]);
    }
    command.args(&arguments.rest);
    let status = run_to_end(command)?;
    if !status.success() {
        bail!("cargo mutants: {status}");
    }
    Ok(())
}
