//! `cargo xtask soak`: real processes on one store, killed at random, for as long as one likes.

use anyhow::{Result, bail};

use crate::services::{Service, Services, run_to_end};
use crate::workspace;

/// Arguments of `cargo xtask soak`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// For how many minutes on each place.
    #[arg(long, value_name = "N", default_value_t = 10)]
    minutes: u64,
    /// Only on places whose name contains this: fs, seaweedfs, moto or azurite.
    place: Option<String>,
}

/// Runs `cargo xtask soak`.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let services = Services::start(&[Service::Seaweedfs, Service::Moto, Service::Azurite])?;
    let mut command = workspace::cargo();
    command.args(["test", "--release", "--package", "cloudbank", "--test", "soak", "--"]);
    command.args(&arguments.place).envs(services.variables());
    command.env("CLOUDBANK_SOAK_SECONDS", (arguments.minutes * 60).to_string());
    if !run_to_end(command)?.success() {
        bail!("something was lost, wrong or left over: it is told above");
    }
    Ok(())
}
