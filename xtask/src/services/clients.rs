//! Clients that tests run against servers of ours: installed pinned, as the servers of others are.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::install::python_tool;
use super::moto;

/// The S3 client of AWS for Python.
const BOTO3: &str = "boto3==1.44.5";

/// Gives tests the path of a Python that has boto3.
pub(crate) const BOTO3_VARIABLE: &str = "CLOUDBANK_TEST_BOTO3";

/// The Python that has boto3: the one that is given, or one with just that.
pub(crate) fn boto3(cache: &Path) -> Result<PathBuf> {
    if let Some(given) = env::var_os(BOTO3_VARIABLE).filter(|given| !given.is_empty()) {
        return Ok(given.into());
    }
    // moto stands on boto3, so its pins are those of all that boto3 needs.
    let tool = python_tool(cache, &[BOTO3], moto::CONSTRAINTS).context("install boto3")?;
    Ok(tool.program("python"))
}
