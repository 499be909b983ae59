//! Azurite: the emulator of Azure Blob Storage by those who run the real one.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::install::{Tool, node_tool};
use super::ready::Probe;
use super::{Plan, free_ports};

/// Its version and those of all it needs. 3.35 is the newest that runs on Node 20.
const PACKAGE: &str = include_str!("azurite/package.json");
const LOCK: &str = include_str!("azurite/package-lock.json");

pub(super) fn install(cache: &Path) -> Result<Tool> {
    node_tool(cache, "azurite", PACKAGE, LOCK)
}

pub(super) fn plan(tool: &Tool, folder: &Path) -> Result<Plan> {
    let [port] = free_ports()?;
    let mut command = Command::new(tool.program("azurite-blob"));
    command.args(["--silent", "--skipApiVersionCheck", "--disableTelemetry"]);
    // On the disk, where many blobs share an extent. In memory each has one of its own, and the sweep that
    // runs every ten minutes then answers nobody for as long as a minute.
    command.args(["--location", "data", "--blobHost", "127.0.0.1"]);
    command.arg("--blobPort").arg(port.to_string());
    command.current_dir(folder);
    Ok(Plan {
        command,
        url: format!("http://127.0.0.1:{port}"),
        // Without a signature it refuses, and that it does so by the protocol is what counts.
        probes: vec![Probe {
            port,
            path: "/devstoreaccount1?comp=list",
            status: 403,
            text: "AuthorizationFailure",
        }],
    })
}
