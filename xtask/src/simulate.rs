//! `cargo xtask simulate`: whole stores in a simulated world, one run for each seed.

use anyhow::{Result, bail};

use crate::services::run_to_end;
use crate::workspace;

/// Arguments of `cargo xtask simulate`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// How many seeds to run, each a run of three processes over a rough provider.
    #[arg(long, value_name = "N", default_value_t = 20_000)]
    seeds: u64,
    /// The first seed; with `--seeds 1`, the one to see again.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
}

/// Runs `cargo xtask simulate`.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let mut command = workspace::cargo();
    command.args(["test", "--release", "--package", "storage-txn", "--test", "simulation"]);
    command.args(["--", "--nocapture", "rough"]);
    command.env("SIMULATION_SEEDS", arguments.seeds.to_string());
    command.env("SIMULATION_SEED", arguments.seed.to_string());
    let status = run_to_end(command)?;
    if !status.success() {
        bail!("a simulated run went wrong: it is told above, with the seed that repeats it");
    }
    Ok(())
}
