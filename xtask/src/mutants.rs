//! `cargo xtask mutants`: changes that no test notices.

mod list;
mod measure;
mod planted;
mod process;
mod report;
mod rewrite;
mod sample;
mod tree;

use std::collections::BTreeSet;
use std::thread;

use anyhow::{Result, bail};
use list::Mutant;
use measure::Outcome;

use crate::services::run_to_end;
use crate::workspace;

/// The crates that are measured unless others are named.
const PACKAGES: [&str; 2] = ["storage-log", "storage-txn"];

/// What decides whether a transaction is committed: what is kept of its reads, what they are compared with, the committer,
/// and the log, on one provider, that its entry has to win a slot of.
const COMMIT_DECISION: [&str; 8] = [
    "storage-log/src/*.rs",
    "storage-txn/src/commit.rs",
    "storage-txn/src/commit/**",
    "storage-txn/src/reads.rs",
    "storage-txn/src/writes.rs",
    "storage-txn/src/state.rs",
    "storage-txn/src/memtable.rs",
    "storage-txn/src/transaction.rs",
];

/// Arguments of `cargo xtask mutants`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Change only this crate, and run only its tests. May be given again. Otherwise storage-log and storage-txn.
    #[arg(short, long = "package", value_name = "CRATE")]
    packages: Vec<String>,
    /// Only what decides whether a transaction is committed. Every one must be noticed.
    #[arg(long)]
    commit: bool,
    /// Only so many, drawn at random. The seed is printed.
    #[arg(long, value_name = "N", conflicts_with = "rebuild")]
    sample: Option<usize>,
    /// Draw the same sample again.
    #[arg(long, value_name = "SEED", requires = "sample")]
    seed: Option<u64>,
    /// Only those that went unnoticed the last time they were tried.
    #[arg(long)]
    missed: bool,
    /// Fail when less than so much of a hundred is noticed. Otherwise 90, and 100 with `--commit`.
    #[arg(long, value_name = "PERCENT")]
    least: Option<f64>,
    /// Without the tests that take longer than this alone: quicker, and what they would notice counts as missed.
    #[arg(long, value_name = "SECONDS")]
    quick: Option<f64>,
    /// How many tests run at once.
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    /// Have cargo-mutants build and test for each mutant anew: hours, but nobody else's word is needed for it.
    #[arg(long)]
    rebuild: bool,
    /// More arguments for cargo-mutants, as `--re REGEX` or `--file GLOB`.
    #[arg(last = true)]
    rest: Vec<String>,
}

/// Runs `cargo xtask mutants`.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let packages = match arguments.packages.is_empty() {
        true => PACKAGES.map(String::from).to_vec(),
        false => arguments.packages.clone(),
    };
    let mut filters = arguments.rest.clone();
    if arguments.commit {
        filters.extend(COMMIT_DECISION.iter().flat_map(|glob| ["--file".into(), glob.to_string()]));
    }
    if arguments.rebuild {
        return rebuild(&packages, &filters);
    }
    let jobs =
        arguments.jobs.unwrap_or_else(|| thread::available_parallelism().map_or(1, Into::into));
    let folder = workspace::metadata()?.target_directory.join("mutants");
    // All are built, whichever are wanted: the next time others are wanted, and nothing needs to be built.
    let all = list::list(&packages, &["--no-config".into()])?;
    let built = tree::build(&folder, &packages, &all)?;
    let wanted: BTreeSet<_> =
        list::list(&packages, &filters)?.into_iter().map(|mutant| mutant.name).collect();
    let known = report::Known::read(&folder);
    let mut chosen: Vec<&Mutant> = all
        .iter()
        .filter(|mutant| wanted.contains(&mutant.name) && !built.dead.contains(&mutant.number))
        .filter(|mutant| !arguments.missed || known.is_missed(mutant))
        .collect();
    if let Some(many) = arguments.sample {
        let seed = arguments.seed.unwrap_or_else(sample::any_seed);
        eprintln!("mutants: --sample {many} --seed {seed}, of {}", chosen.len());
        chosen.retain(|mutant| !built.left_out.contains(&mutant.number));
        chosen = sample::draw(&chosen, many, seed);
    }
    let (left_out, chosen): (Vec<_>, Vec<_>) =
        chosen.into_iter().partition(|mutant| built.left_out.contains(&mutant.number));
    eprintln!("mutants: {} to try; {} do not compile", chosen.len(), left_out.len());
    let mut tests = measure::tests(&built.binaries, &folder, jobs)?;
    if let Some(seconds) = arguments.quick {
        tests.retain(|test| test.takes.as_secs_f64() <= seconds);
    }
    let outcomes =
        measure::outcomes(&built.binaries, &tests, &chosen, jobs, |done, mutant, outcome| {
            if matches!(outcome, Outcome::Missed | Outcome::Unreached) {
                eprintln!("{done}/{} {outcome:?}: {}", chosen.len(), mutant.name);
            }
            known.write(mutant, outcome);
        })?;
    let score = report::print(&chosen, &left_out, &outcomes);
    let least = arguments.least.unwrap_or(if arguments.commit { 100.0 } else { 90.0 });
    if score < least {
        bail!("{score:.1} percent of the mutants are noticed, and {least} have to be");
    }
    Ok(())
}

/// Lets cargo-mutants do it all.
fn rebuild(packages: &[String], filters: &[String]) -> Result<()> {
    let mut command = list::tool()?;
    command.arg("--output").arg(workspace::metadata()?.target_directory).args(filters);
    for package in packages {
        command.args(["--package", package]);
    }
    let status = run_to_end(command)?;
    if !status.success() {
        bail!("cargo mutants: {status}");
    }
    Ok(())
}
