//! `cargo xtask bench`: benchmarks by name, with the servers they measure against.

use anyhow::{Result, bail};

use crate::services::{Service, Services, run_to_end};
use crate::workspace;

/// Arguments of `cargo xtask bench`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The name of a benchmark, or all. Without it, the names are listed.
    name: Option<String>,
    /// Arguments for the benchmark itself.
    #[arg(last = true)]
    rest: Vec<String>,
}

/// Runs `cargo xtask bench`.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let mut known = Vec::new();
    for package in workspace::metadata()?.packages {
        for target in package.targets {
            if target.kind.iter().any(|kind| kind == "bench") {
                known.push((package.name.clone(), target.name));
            }
        }
    }
    let names = known.iter().map(|(_, name)| &**name).collect::<Vec<_>>().join(", ");
    let Some(wanted) = &arguments.name else {
        println!("{names}");
        return Ok(());
    };
    let chosen: Vec<_> =
        known.iter().filter(|(_, name)| wanted == "all" || wanted == name).collect();
    if chosen.is_empty() {
        bail!("no benchmark `{wanted}`; there are: {names}");
    }
    let services = Services::start(&Service::ALL)?;
    for (package, name) in chosen {
        let mut command = workspace::cargo();
        command.args(["bench", "--package", package, "--bench", name, "--"]);
        command.args(&arguments.rest).envs(services.variables());
        let status = run_to_end(command)?;
        if !status.success() {
            bail!("benchmark {name}: {status}");
        }
    }
    Ok(())
}
