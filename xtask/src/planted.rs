//! `cargo xtask planted`: mistakes put in on purpose, each of which the simulation has to find.

use anyhow::{Result, bail};

use crate::services::run_to_end;
use crate::workspace;

/// Arguments of `cargo xtask planted`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Look for this one only, and tell the run that shows it, made as simple as possible.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// How many seeds are run for each before it counts as not found.
    #[arg(long, value_name = "N", default_value_t = 20_000)]
    seeds: u64,
}

/// Runs `cargo xtask planted`.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let mut command = workspace::cargo();
    command.args(["test", "--release", "--package", "storage-txn", "--test", "simulation"]);
    // Only these two are built in another way than for other tests: mistakes are there with debug assertions.
    for package in ["storage-log", "storage-txn"] {
        command.arg("--config");
        command.arg(format!("profile.release.package.{package}.debug-assertions=true"));
    }
    command.args(["--", "--nocapture", "--ignored", "every_planted_mistake_is_found"]);
    command.env("SIMULATION_SEEDS", arguments.seeds.to_string());
    command.env("SIMULATION_PLANTED", arguments.name.as_deref().unwrap_or("all"));
    if !run_to_end(command)?.success() {
        bail!("a mistake was not found, or the build failed: it is told above");
    }
    Ok(())
}
