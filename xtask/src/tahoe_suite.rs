//! `cargo xtask tahoe-suite`: the integration suite of Tahoe-LAFS, with servers of ours in place of its own.
//!
//! It comes with the source of the release, from a registry: nothing of it is in this repository. Its introducer, its
//! clients and what it asks of them are its own; the storage servers that it would start are replaced as it runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::services::clients::{TAHOE, announce};
use crate::services::{Tool, python_tool_exactly, run_to_end};
use crate::workspace;

/// What the client needs, and what its suite needs beside that.
const PACKAGES: &str = concat!(
    include_str!("services/clients/tahoe.txt"),
    "\n",
    include_str!("tahoe_suite/suite.txt")
);
/// Puts ours where theirs would be.
const PLUGIN: &str = include_str!("tahoe_suite/ours.py");
/// How long a case may take.
const CASE_SECONDS_MAX: u32 = 300;
/// Files of cases about networks that would have to be there.
const WITHOUT_FILES: [&str; 2] = ["test_tor.py", "test_i2p.py"];
/// Cases about pages and numbers that a node of theirs has of itself, which a server of ours is not.
const WITHOUT_CASES: [&str; 3] = [
    "test_web.py::test_helper_status",
    "test_web.py::test_storage_info",
    "test_web.py::test_storage_info_json",
];

/// Arguments of `cargo xtask tahoe-suite`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Only cases whose names match this, in pytest's words: `web and not mkdir`.
    #[arg(long, value_name = "WORDS")]
    only: Option<String>,
    /// Those too that the suite says are slow: every kind of capability, against known ones.
    #[arg(long)]
    slow: bool,
}

/// Runs `cargo xtask tahoe-suite`.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let cache = workspace::cache()?;
    let tool = python_tool_exactly(&cache, TAHOE, PACKAGES)?;
    let announce = announce(&cache)?;
    let mut build = workspace::cargo();
    build.args(["build", "--quiet", "--package", "cloudbank"]);
    if !run_to_end(build)?.success() {
        bail!("cloudbank does not build");
    }
    let target = workspace::metadata()?.target_directory;
    let folder = target.join("tahoe-suite");
    let source = source(&tool, &folder)?;
    let plugins = folder.join("plugins");
    fs::create_dir_all(&plugins)?;
    fs::write(plugins.join("ours.py"), PLUGIN)?;

    let mut command = Command::new(tool.program("python"));
    command.args(["-m", "pytest", "-p", "ours", "-p", "no:cacheprovider", "-q", "-rfE"]);
    command.args(["--tb=short", "-W", "ignore", "--show-capture=no", "integration"]);
    command.arg(format!("--timeout={CASE_SECONDS_MAX}"));
    command.args(WITHOUT_FILES.map(|file| format!("--ignore=integration/{file}")));
    command.args(WITHOUT_CASES.map(|case| format!("--deselect=integration/{case}")));
    if arguments.slow {
        command.arg("--runslow");
    }
    if let Some(only) = &arguments.only {
        command.args(["-k", only]);
    }
    // It finds the programs of the package by their names.
    let programs = tool.program("");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths([programs].into_iter().chain(std::env::split_paths(&path)))
        .context("a folder of programs has a name that no list can have")?;
    command.current_dir(&source).env("PATH", path).env("PYTHONPATH", &plugins);
    command.env("SUITE_CLOUDBANK", target.join("debug").join("cloudbank"));
    command.env("SUITE_ANNOUNCE", announce);
    match run_to_end(command)? {
        status if status.success() => Ok(()),
        status => bail!("the suite: {status}"),
    }
}

/// The folder of the release's source: fetched once.
fn source(tool: &Tool, folder: &Path) -> Result<PathBuf> {
    let name = TAHOE.replace("==", "-").replace("tahoe-lafs", "tahoe_lafs");
    let source = folder.join(&name);
    if source.join("integration").exists() {
        return Ok(source);
    }
    fs::create_dir_all(folder)?;
    let python = tool.program("python");
    let mut fetch = Command::new(&python);
    fetch.args(["-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", "tahoe-lafs"]);
    fetch.args([TAHOE, "--dest"]).arg(folder);
    if !run_to_end(fetch)?.success() {
        bail!("the source of {TAHOE} could not be fetched");
    }
    let mut unpack = Command::new(&python);
    unpack.args(["-m", "tarfile", "-e"]).arg(folder.join(format!("{name}.tar.gz"))).arg(folder);
    if !run_to_end(unpack)?.success() {
        bail!("the source of {TAHOE} could not be unpacked");
    }
    Ok(source)
}
