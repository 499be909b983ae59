//! The S3 servers that are measured: ours as a process of its own, those of others where the environment says.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use hyper::Method;

use crate::s3_client::{ACCESS_KEY, S3Client, SECRET_KEY, wait_until_served};

/// The program `cloudbank`, built for speed.
const PROGRAM: &str = "CLOUDBANK_BENCH_PROGRAM";
const READY_TIME_MAX: Duration = Duration::from_secs(30);

/// What keeps the objects of our server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeper {
    /// A folder, synced before a request is answered.
    Synced,
    /// A folder, which survives the end of a process but not a loss of power, as with the other servers.
    Unsynced,
    /// A bucket of SeaweedFS.
    Seaweedfs,
}

/// A server that answers.
#[derive(Debug)]
pub struct S3Server {
    /// As it is called in tables.
    pub name: &'static str,
    /// Where it answers.
    pub url: String,
    ours: Option<Ours>,
}

#[derive(Debug)]
struct Ours {
    child: Child,
    // Removed with all that is in it, after the process has ended.
    _folder: tempfile::TempDir,
}

impl Drop for Ours {
    fn drop(&mut self) {
        // It has ended already, or ends now.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl S3Server {
    /// Those of others that the environment names.
    #[must_use]
    pub fn others() -> Vec<Self> {
        let known = [
            ("seaweedfs", "CLOUDBANK_TEST_SEAWEEDFS"),
            ("moto", "CLOUDBANK_TEST_MOTO"),
            ("rclone", "CLOUDBANK_TEST_RCLONE"),
        ];
        let given = known.into_iter().filter_map(|(name, variable)| {
            let url = std::env::var(variable).ok().filter(|url| !url.is_empty())?;
            Some(Self { name, url, ours: None })
        });
        given.collect()
    }

    /// Starts ours.
    ///
    /// # Errors
    ///
    /// When it does not answer.
    pub async fn start(keeper: Keeper) -> Result<Self> {
        let program = std::env::var_os(PROGRAM).map(PathBuf::from).with_context(|| {
            format!("{PROGRAM} is not set to the program: use cargo xtask bench s3_servers")
        })?;
        let folder = tempfile::Builder::new().prefix("cloudbank-bench-").tempdir()?;
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let url = format!("http://127.0.0.1:{port}");
        let (name, place) = match keeper {
            Keeper::Synced => {
                ("ours, synced", "type = \"fs\"\npath = \"data\"\ncreate = true".to_owned())
            }
            Keeper::Unsynced => (
                "ours, unsynced",
                "type = \"fs\"\npath = \"data\"\ncreate = true\ndurability = \"process-crash\""
                    .to_owned(),
            ),
            Keeper::Seaweedfs => ("ours on seaweedfs", seaweedfs_place().await?),
        };
        let text = format!(
            "[providers.place]\n{place}\n\n[store]\nprovider = \"place\"\n\n[s3]\nlisten = \"127.0.0.1:{port}\"\n\n\
             [[s3.keys]]\naccess_key = \"{ACCESS_KEY}\"\nsecret_key = \"{SECRET_KEY}\"\n"
        );
        std::fs::write(folder.path().join("cloudbank.toml"), text)?;
        let child = Command::new(program)
            .args(["serve", "s3", "--config", "cloudbank.toml", "--admin", "off"])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .context("start our server")?;
        let server = Self { name, url, ours: Some(Ours { child, _folder: folder }) };
        wait_until_served(&server.url, READY_TIME_MAX).await.context("our server")?;
        Ok(server)
    }

    /// The most memory that it has had, in bytes; `None` for those of others.
    #[must_use]
    pub fn memory_peak(&self) -> Option<u64> {
        let id = self.ours.as_ref()?.child.id();
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
        let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
        let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
        Some(kib * 1024)
    }
}

/// The settings of a new bucket there.
async fn seaweedfs_place() -> Result<String> {
    const VARIABLE: &str = "CLOUDBANK_TEST_SEAWEEDFS";
    let url = std::env::var(VARIABLE).with_context(|| format!("{VARIABLE} is not set"))?;
    let bucket = format!("cb-serve-{:016x}", rand::random::<u64>());
    let mut client = S3Client::connect(&url).await?;
    client.done(Method::PUT, (&format!("/{bucket}"), ""), Bytes::new(), false).await?;
    Ok(format!(
        "type = \"s3\"\nbucket = \"{bucket}\"\nregion = \"us-east-1\"\nendpoint = \"{url}\"\nallow_http = true\n\
         access_key_id = \"{ACCESS_KEY}\"\nsecret_access_key = \"{SECRET_KEY}\""
    ))
}
