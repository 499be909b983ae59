//! moto: many services of AWS in memory, S3 among them. It takes any credentials.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::install::{Tool, python_tool};
use super::ready::Probe;
use super::{Plan, free_ports};

const PACKAGE: &str = "moto[server]==5.2.5";
/// What it needs, as it was when the tests were last known to pass.
pub(super) const CONSTRAINTS: &str = include_str!("moto.txt");
/// Starts it so that it keeps what it promises, which with many threads it does not quite.
const ONE_AT_A_TIME: &str = include_str!("moto_serial.py");

pub(super) fn install(cache: &Path) -> Result<Tool> {
    python_tool(cache, &[PACKAGE], CONSTRAINTS)
}

pub(super) fn plan(tool: &Tool) -> Result<Plan> {
    let [port] = free_ports()?;
    let mut command = Command::new(tool.program("python"));
    command.args(["-c", ONE_AT_A_TIME]);
    command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
    // The proxy settings of this machine are not for a server on the loopback interface.
    command.env("PYTHONUNBUFFERED", "1");
    Ok(Plan {
        command,
        url: format!("http://127.0.0.1:{port}"),
        probes: vec![Probe { port, path: "/", status: 200, text: "ListAllMyBucketsResult" }],
    })
}
