//! `cargo xtask simulate`: whole stores in a simulated world, from seeds, or all there is of something small.

use anyhow::{Result, bail};

use crate::services::run_to_end;
use crate::workspace;

/// Arguments of `cargo xtask simulate`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// How many seeds to run, each a run of three processes over a rough provider; 20,000 unless told otherwise, and
    /// 1 with `--enumerate`.
    #[arg(long, value_name = "N")]
    seeds: Option<u64>,
    /// The first seed; with `--seeds 1`, the one to see again.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Run a script of two processes with every crash there can be, every single fault, and both together.
    #[arg(long, conflicts_with_all = ["search", "replay"])]
    enumerate: bool,
    /// Search all orders of two writers with two faults, to the end.
    #[arg(long, conflicts_with_all = ["replay", "seeds", "seed"])]
    search: bool,
    /// Run arrays through seasons of harm: several processes, and one member after the other that is down, slow, wiped,
    /// damaged or back with what it had long ago; 10,000 seeds unless told otherwise.
    #[arg(long, conflicts_with_all = ["enumerate", "search", "replay"])]
    arrays: bool,
    /// Run this again and tell everything: the text that a failure ends with.
    #[arg(long, value_name = "TEXT", conflicts_with_all = ["seeds", "seed"])]
    replay: Option<String>,
    /// What `--replay` is a run of.
    #[arg(long, value_name = "NAME", default_value = "processes", requires = "replay")]
    scenario: String,
}

/// Runs `cargo xtask simulate`.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let mut command = workspace::cargo();
    let (package, test) = match arguments.arrays {
        true => ("storage-array", "arrays"),
        false => ("storage-txn", "simulation"),
    };
    command.args(["test", "--release", "--package", package, "--test", test]);
    command.args(["--", "--nocapture"]);
    let mut seeds = 20_000;
    if arguments.enumerate {
        seeds = 1;
        command.args(["--include-ignored", "every_point_to_crash_at_with_every_single_fault"]);
    } else if arguments.search {
        command.args(["--include-ignored", "are_searched_to_the_end"]);
    } else if arguments.arrays {
        seeds = 10_000;
        command.arg("befalls_one_member_at_a_time");
    } else if let Some(text) = &arguments.replay {
        command.env("SIMULATION_REPLAY", text);
        command.env("SIMULATION_SCENARIO", &arguments.scenario);
        command.arg("a_run_is_had_again_from_its_text");
    } else {
        command.arg("over_a_rough_provider");
    }
    command.env("SIMULATION_SEEDS", arguments.seeds.unwrap_or(seeds).to_string());
    command.env("SIMULATION_SEED", arguments.seed.to_string());
    let status = run_to_end(command)?;
    if !status.success() {
        bail!("a simulated run went wrong: it is told above, with what repeats it");
    }
    Ok(())
}
