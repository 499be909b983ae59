//! `cargo xtask bench`: benchmarks by name, with the server they measure on.

use std::path::PathBuf;
use std::{env, fs};

use anyhow::{Result, bail};

use crate::services::{Service, Services, clients, run_to_end};
use crate::workspace::{self, Metadata};

/// A workspace of its own, for the benchmarks that compile other stores to measure beside ours.
const BESIDE: &str = "benchmarks/Cargo.toml";

/// The benchmark that puts our S3 server beside those of others.
const SERVERS: &str = "s3_servers";

/// The benchmark that puts our storage server for Tahoe-LAFS beside the stock one.
const TAHOE: &str = "tahoe_servers";

/// What tells them where ours is.
const PROGRAM: &str = "CLOUDBANK_BENCH_PROGRAM";

/// Arguments of `cargo xtask bench`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The name of a benchmark, or all. Without it, all are listed with what they measure.
    name: Option<String>,
    /// Arguments for the benchmark itself.
    #[arg(last = true)]
    rest: Vec<String>,
}

/// A benchmark, and where it is.
struct Bench {
    name: String,
    package: String,
    /// The manifest of its workspace, if that is not the main one.
    manifest: Option<PathBuf>,
    about: String,
}

/// Runs `cargo xtask bench`.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let beside = workspace::root().join(BESIDE);
    let mut known = benches(workspace::metadata()?, None)?;
    known.extend(benches(workspace::metadata_of(&beside)?, Some(&beside))?);
    let Some(wanted) = &arguments.name else {
        for bench in &known {
            println!("{}\n    {}", bench.name, bench.about);
        }
        return Ok(());
    };
    let names = known.iter().map(|bench| &*bench.name).collect::<Vec<_>>().join(", ");
    let chosen: Vec<_> =
        known.iter().filter(|bench| wanted == "all" || *wanted == bench.name).collect();
    if chosen.is_empty() {
        bail!("no benchmark `{wanted}`; there are: {names}");
    }
    let serves = chosen.iter().any(|bench| bench.name == SERVERS);
    let keeps_shares = chosen.iter().any(|bench| bench.name == TAHOE);
    let needed: &[Service] = match serves {
        true => &[Service::Seaweedfs, Service::Moto, Service::Rclone],
        false if chosen.iter().all(|bench| bench.name == TAHOE) => &[],
        false => &[Service::Seaweedfs],
    };
    let program = (serves || keeps_shares).then(program).transpose()?;
    let python = keeps_shares.then(|| clients::tahoe(&workspace::cache()?)).transpose()?;
    let services = Services::start(needed)?;
    for bench in chosen {
        let mut command = workspace::cargo();
        command.arg("bench");
        if let Some(manifest) = &bench.manifest {
            command.arg("--manifest-path").arg(manifest);
        }
        command.args(["--package", &bench.package, "--bench", &bench.name, "--"]);
        command.args(&arguments.rest).envs(services.variables());
        if let Some(program) = &program {
            command.env(PROGRAM, program);
        }
        if let Some(python) = &python {
            command.env(clients::TAHOE_VARIABLE, python);
        }
        let status = run_to_end(command)?;
        if !status.success() {
            bail!("benchmark {}: {status}", bench.name);
        }
    }
    Ok(())
}

/// Our server, built to be fast, unless the environment says where it is.
fn program() -> Result<PathBuf> {
    if let Some(given) = env::var_os(PROGRAM).filter(|given| !given.is_empty()) {
        return Ok(given.into());
    }
    let mut command = workspace::cargo();
    command.args(["build", "--release", "--package", "cloudbank"]);
    let status = run_to_end(command)?;
    if !status.success() {
        bail!("the server could not be built: {status}");
    }
    let target = &workspace::metadata()?.target_directory;
    Ok(target.join("release").join("cloudbank"))
}

fn benches(of: Metadata, manifest: Option<&PathBuf>) -> Result<Vec<Bench>> {
    let mut benches = Vec::new();
    for package in of.packages {
        for target in package.targets {
            if target.kind.iter().any(|kind| kind == "bench") {
                // The first line of a file says what it is for.
                let text = fs::read_to_string(&target.src_path)?;
                let first = text.lines().next().unwrap_or_default();
                benches.push(Bench {
                    name: target.name,
                    package: package.name.clone(),
                    manifest: manifest.cloned(),
                    about: first.trim_start_matches("//!").trim().to_owned(),
                });
            }
        }
    }
    Ok(benches)
}
