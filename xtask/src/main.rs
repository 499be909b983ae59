//! What the project does to itself, as `cargo xtask`.

mod bench;
mod deny;
mod matrix;
mod models;
mod mutants;
mod planted;
mod readme;
mod s3_suite;
mod services;
mod simulate;
mod soak;
mod tahoe_suite;
mod test;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The project's own chores. Everything they need is installed on first use, pinned and cached.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run every test: unit, integration, documentation, examples, README; on real servers too.
    Test(test::Arguments),
    /// Start or stop the servers that tests use, to run single tests by hand.
    #[command(subcommand)]
    Services(services::Command),
    /// Run a benchmark by name, or all of them.
    Bench(bench::Arguments),
    /// Run the suite on every provider at hand and write what it found to docs/providers.md.
    Matrix(matrix::Arguments),
    /// Find code that no test notices when it is changed (cargo-mutants).
    Mutants(mutants::Arguments),
    /// Look at every state of the models of our protocols, in the large size.
    Models,
    /// Put mistakes into the store on purpose, and see that the simulation finds each.
    Planted(planted::Arguments),
    /// Run whole stores in a simulated world with faults and crashes, a run for each seed.
    Simulate(simulate::Arguments),
    /// Run a public suite of S3 against our server and those of others, and compare.
    S3Suite(s3_suite::Arguments),
    /// Run the integration suite of Tahoe-LAFS with servers of ours in place of its own.
    TahoeSuite(tahoe_suite::Arguments),
    /// Kill real processes that share a store at random, and judge what they were told.
    Soak(soak::Arguments),
    /// Check licences, sources, duplicates and advisories of the dependencies (cargo-deny).
    Deny,
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Test(arguments) => test::run(&arguments),
        Command::Services(command) => services::run(command),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Matrix(arguments) => matrix::run(&arguments),
        Command::Mutants(arguments) => mutants::run(&arguments),
        Command::Planted(arguments) => planted::run(&arguments),
        Command::Models => models::run(),
        Command::Simulate(arguments) => simulate::run(&arguments),
        Command::S3Suite(arguments) => s3_suite::run(&arguments),
        Command::TahoeSuite(arguments) => tahoe_suite::run(&arguments),
        Command::Soak(arguments) => soak::run(&arguments),
        Command::Deny => deny::run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
