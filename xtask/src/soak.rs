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
    /// Instead, one server whose objects are on three others, of which one after the other is killed or loses its disk.
    #[arg(long, conflicts_with = "place")]
    members: bool,
}

/// Runs `cargo xtask soak`.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let wanted: &[Service] = match arguments.members {
        true => &[],
        false => &[Service::Seaweedfs, Service::Moto, Service::Azurite],
    };
    let services = Services::start(wanted)?;
    let mut command = workspace::cargo();
    let test = if arguments.members { "serving" } else { "soak" };
    command.args(["test", "--release", "--package", "cloudbank", "--test", test, "--"]);
    if arguments.members {
        command.args(["--nocapture", "one_cloud_after_the_other"]);
    }
    command.args(&arguments.place).envs(services.variables());
    command.env("CLOUDBANK_SOAK_SECONDS", (arguments.minutes * 60).to_string());
    if !run_to_end(command)?.success() {
        bail!("something was lost, wrong or left over: it is told above");
    }
    Ok(())
}
