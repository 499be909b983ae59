//! The storage servers of Tahoe-LAFS that are measured: ours, and the stock one.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// The program `cloudbank`, built for speed.
const PROGRAM: &str = "CLOUDBANK_BENCH_PROGRAM";
/// A Python that has the stock server.
const PYTHON: &str = "CLOUDBANK_TEST_CLIENT_TAHOE";
const READY_TIME_MAX: Duration = Duration::from_secs(60);

/// Whose server it is, and what it promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TahoeKind {
    /// Ours, in a folder that is synced before a request is answered.
    Synced,
    /// Ours, in a folder that survives the end of the process but not a loss of power, as that of the stock server.
    Unsynced,
    /// The stock one.
    Stock,
}

/// A server that listens.
#[derive(Debug)]
pub struct TahoeServer {
    /// As it is called in tables.
    pub name: &'static str,
    /// Where it listens.
    pub nurl: String,
    child: Child,
    // Removed with all that is in it, after the process has ended.
    _folder: tempfile::TempDir,
}

impl Drop for TahoeServer {
    fn drop(&mut self) {
        // It has ended already, or ends now.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl TahoeServer {
    /// Starts one.
    ///
    /// # Errors
    ///
    /// When it does not listen.
    pub async fn start(kind: TahoeKind) -> Result<Self> {
        let from = |variable: &str| {
            let program = std::env::var_os(variable).map(PathBuf::from);
            program.with_context(|| {
                format!("{variable} is not set: use cargo xtask bench tahoe_servers")
            })
        };
        let folder = tempfile::Builder::new().prefix("cloudbank-bench-").tempdir()?;
        let (name, mut command) = match kind {
            TahoeKind::Stock => {
                let script =
                    concat!(env!("CARGO_MANIFEST_DIR"), "/../cloudbank/tests/tahoe/stock.py");
                let mut command = Command::new(from(PYTHON)?);
                command.arg(script);
                ("stock", command)
            }
            TahoeKind::Synced | TahoeKind::Unsynced => {
                let durability = match kind {
                    TahoeKind::Unsynced => "durability = \"process-crash\"\n",
                    _ => "",
                };
                let text = format!(
                    "[providers.place]\ntype = \"fs\"\npath = \"data\"\ncreate = true\n{durability}[store]\nprovider = \"place\"\n"
                );
                std::fs::write(folder.path().join("cloudbank.toml"), text)?;
                let mut command = Command::new(from(PROGRAM)?);
                command.args(["serve", "tahoe", "--config", "cloudbank.toml"]);
                (if kind == TahoeKind::Synced { "ours, synced" } else { "ours, unsynced" }, command)
            }
        };
        let place = folder.path().join("server");
        let child = command
            .args(["--port", "0", "--dir"])
            .arg(&place)
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .with_context(|| format!("start {name}"))?;
        let mut server = Self { name, nurl: String::new(), child, _folder: folder };
        let until = Instant::now() + READY_TIME_MAX;
        while server.nurl.is_empty() {
            if let Some(status) = server.child.try_wait()? {
                bail!("{name} ended with {status}");
            }
            if Instant::now() > until {
                bail!("{name} does not listen");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
            server.nurl = std::fs::read_to_string(place.join("nurl")).unwrap_or_default();
        }
        Ok(server)
    }

    /// The most memory that it has had, in bytes.
    #[must_use]
    pub fn memory_peak(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
        let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
        Some(kib * 1024)
    }

    /// How much time of processors it has taken, in user space and in the kernel; `None` where the kernel does not tell.
    #[must_use]
    pub fn processor_time(&self) -> Option<Duration> {
        // In clock ticks, of which all kernels of Linux tell a hundred in a second.
        let line = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).ok()?;
        let fields: Vec<_> = line.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks: u64 =
            fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
        Some(Duration::from_millis(ticks * 10))
    }
}
