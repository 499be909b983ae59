//! `cargo xtask models`: the protocols in every state, in a size that takes minutes.

use anyhow::{Result, bail};

use crate::services::run_to_end;
use crate::workspace;

/// Runs `cargo xtask models`.
pub(crate) fn run() -> Result<()> {
    let mut command = workspace::cargo();
    command.args(["run", "--release", "--package", "models"]);
    if !run_to_end(command)?.success() {
        bail!("a model is wrong, or a mistake was not found: it is told above");
    }
    Ok(())
}
