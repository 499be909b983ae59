//! The real servers that tests run against: installed pinned, started on free ports, always stopped.

mod azurite;
pub(crate) mod clients;
mod debian;
mod detached;
mod install;
mod moto;
mod process;
mod rclone;
mod ready;
mod seaweedfs;

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command as Process;
use std::time::Duration;

use anyhow::{Context, Result, bail};

pub(crate) use install::{Tool, python_tool, python_tool_exactly};
use process::{Lifetime, Running};
pub(crate) use process::{own_group, run_to_end};
pub(crate) use ready::{Probe, wait_until_ready};

/// The access key of every S3 server here.
pub(crate) const ACCESS_KEY: &str = "cloudbank";
/// Its secret.
pub(crate) const SECRET_KEY: &str = "cloudbank-secret";
/// The access key of another user, where a server has several. Its secret is the same.
pub(crate) const OTHER_ACCESS_KEY: &str = "cloudbank-other";

/// How often a server is started anew when it ends before it is ready, as when another process took
/// one of its ports between our choosing it and its binding it.
const STARTS_MAX: usize = 4;
/// How long a server may take until it answers. Two busy cores make a slow start.
const READY_TIME_MAX: Duration = Duration::from_secs(120);

/// A server, in the order they are started: what takes longest comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Service {
    /// SeaweedFS: an S3 server that keeps every promise.
    Seaweedfs,
    /// moto: AWS in memory.
    Moto,
    /// Azurite: Azure's own emulator of Blob Storage.
    Azurite,
    /// rclone's S3 server, which ignores conditions.
    Rclone,
}

/// How one server is run.
pub(crate) struct Plan {
    /// The program with all its arguments.
    pub(crate) command: Process,
    /// What tests are told.
    pub(crate) url: String,
    /// What must answer, and how, before the server counts as started.
    pub(crate) probes: Vec<Probe>,
}

impl Service {
    pub(crate) const ALL: [Self; 4] = [Self::Seaweedfs, Self::Moto, Self::Azurite, Self::Rclone];

    /// Its name in messages, files and arguments.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Seaweedfs => "seaweedfs",
            Self::Moto => "moto",
            Self::Azurite => "azurite",
            Self::Rclone => "rclone",
        }
    }

    /// The environment variable that gives tests its URL.
    pub(crate) fn variable(self) -> &'static str {
        match self {
            Self::Seaweedfs => "CLOUDBANK_TEST_SEAWEEDFS",
            Self::Moto => "CLOUDBANK_TEST_MOTO",
            Self::Azurite => "CLOUDBANK_TEST_AZURITE",
            Self::Rclone => "CLOUDBANK_TEST_RCLONE",
        }
    }

    fn install(self, cache: &Path) -> Result<Tool> {
        match self {
            Self::Seaweedfs => seaweedfs::install(cache),
            Self::Moto => moto::install(cache),
            Self::Azurite => azurite::install(cache),
            Self::Rclone => rclone::install(cache),
        }
        .with_context(|| format!("install {}", self.name()))
    }

    fn plan(self, tool: &Tool, folder: &Path) -> Result<Plan> {
        match self {
            Self::Seaweedfs => seaweedfs::plan(tool, folder),
            Self::Moto => moto::plan(tool),
            Self::Azurite => azurite::plan(tool, folder),
            Self::Rclone => rclone::plan(tool, folder),
        }
    }
}

/// Servers that live as long as this value: dropped, interrupted or killed, they go with it.
pub(crate) struct Services {
    running: Vec<(Service, Running, String)>,
    given: Vec<(Service, String)>,
    // Last, so that its folder goes after the servers that use it.
    _scratch: process::Scratch,
}

impl Services {
    /// Installs and starts `wanted`, but for those whose variable is already set.
    pub(crate) fn start(wanted: &[Service]) -> Result<Self> {
        let cache = crate::workspace::cache()?;
        let scratch = process::Scratch::new(&cache)?;
        let mut services = Self { running: Vec::new(), given: Vec::new(), _scratch: scratch };
        let mut tools = Vec::new();
        for &service in wanted {
            match env::var(service.variable()) {
                Ok(url) if !url.is_empty() => {
                    eprintln!("services: {} is given as {url}", service.name());
                    services.given.push((service, url));
                }
                _ => tools.push((service, service.install(&cache)?)),
            }
        }
        let mut starting = Vec::new();
        for (service, tool) in tools {
            let folder = services._scratch.folder(service.name())?;
            starting.push((service, tool, folder));
        }
        // All are launched before any is waited for: their slow starts overlap.
        let mut launched = Vec::new();
        for (service, tool, folder) in starting {
            let plan = move |folder: &Path| service.plan(&tool, folder);
            let attempt = launch(service.name(), &folder, &plan, Lifetime::Ours)?;
            launched.push((service, attempt, folder, plan));
        }
        for (service, attempt, folder, plan) in launched {
            let (running, url) = attempt.answering(&folder, &plan)?;
            services.running.push((service, running, url));
        }
        Ok(services)
    }

    /// What to set for the tests.
    pub(crate) fn variables(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let running = self.running.iter().map(|(service, _, url)| (service.variable(), &**url));
        running.chain(self.given.iter().map(|(service, url)| (service.variable(), &**url)))
    }

    /// The ends of the logs, and which server has ended before its time: for when tests failed.
    pub(crate) fn report(&mut self) -> String {
        let mut report = String::new();
        for (service, running, _) in &mut self.running {
            let ended = if running.has_ended() { " ENDED BEFORE ITS TIME" } else { "" };
            report.push_str(&format!(
                "services: {}{ended}\n{}\n",
                service.name(),
                running.log_tail()
            ));
        }
        report
    }
}

/// A server for one purpose, with a folder of its own. It goes with this value.
pub(crate) struct Server {
    /// Where it answers.
    pub(crate) url: String,
    running: Running,
    // Last, so that its folder goes after the server.
    _scratch: process::Scratch,
}

impl Server {
    /// Starts what `plan` says, in a folder that it is given, in which it finds an empty folder `data`.
    pub(crate) fn start(name: &str, plan: &dyn Fn(&Path) -> Result<Plan>) -> Result<Self> {
        let scratch = process::Scratch::new(&crate::workspace::cache()?)?;
        let folder = scratch.folder(name)?;
        let attempt = launch(name, &folder, plan, Lifetime::Ours)?;
        let (running, url) = attempt.answering(&folder, plan)?;
        Ok(Self { url, running, _scratch: scratch })
    }

    /// The end of its log if it has ended before its time.
    pub(crate) fn ended(&mut self) -> Option<String> {
        self.running.has_ended().then(|| self.running.log_tail())
    }
}

/// A server that was launched and may not answer yet.
struct Attempt {
    name: String,
    running: Running,
    url: String,
    probes: Vec<Probe>,
}

impl Attempt {
    fn wait(&mut self) -> Result<()> {
        let running = &mut self.running;
        ready::wait(&self.probes, READY_TIME_MAX, || running.has_ended())
            .with_context(|| format!("start {}", self.name))
    }

    /// Waits until it answers, and launches it anew where it ends before that.
    fn answering(
        mut self,
        folder: &Path,
        plan: &dyn Fn(&Path) -> Result<Plan>,
    ) -> Result<(Running, String)> {
        let mut starts = 1;
        while let Err(error) = self.wait() {
            if !self.running.has_ended() || starts == STARTS_MAX {
                return Err(error.context(self.running.log_tail()));
            }
            starts += 1;
            self = launch(&self.name, folder, plan, Lifetime::Ours)?;
        }
        eprintln!("services: {} answers on {}", self.name, self.url);
        Ok((self.running, self.url))
    }
}

fn launch(
    name: &str,
    folder: &Path,
    plan: &dyn Fn(&Path) -> Result<Plan>,
    lifetime: Lifetime,
) -> Result<Attempt> {
    let data = folder.join("data");
    if data.exists() {
        std::fs::remove_dir_all(&data)?;
    }
    std::fs::create_dir_all(&data)?;
    let plan = plan(folder)?;
    let running = Running::start(name, plan.command, folder, lifetime)
        .with_context(|| format!("start {name}"))?;
    Ok(Attempt { name: name.to_owned(), running, url: plan.url, probes: plan.probes })
}

/// `cargo xtask services`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Start servers that stay until they are stopped, and print what to set for the tests.
    Start {
        /// Which: seaweedfs, moto, azurite, rclone, or all.
        #[arg(default_value = "all")]
        name: String,
    },
    /// Stop servers that `start` left running, and delete their data.
    Stop {
        /// Which: seaweedfs, moto, azurite, rclone, or all.
        #[arg(default_value = "all")]
        name: String,
    },
}

/// Runs `cargo xtask services`.
pub(crate) fn run(command: Command) -> Result<()> {
    let cache = crate::workspace::cache()?;
    match command {
        Command::Start { name } => {
            for service in named(&name)? {
                let url = detached::start(service, &cache)?;
                println!("export {}={url}", service.variable());
            }
        }
        Command::Stop { name } => {
            for service in named(&name)? {
                let stopped = detached::stop(service, &cache)?;
                let what = if stopped { "stopped" } else { "was not running" };
                eprintln!("services: {} {what}", service.name());
            }
        }
    }
    Ok(())
}

fn named(name: &str) -> Result<Vec<Service>> {
    if name == "all" {
        return Ok(Service::ALL.to_vec());
    }
    match Service::ALL.into_iter().find(|service| service.name() == name) {
        Some(service) => Ok(vec![service]),
        None => {
            let known: Vec<_> = Service::ALL.iter().map(|service| service.name()).collect();
            bail!("no service `{name}`; there are {} and all", known.join(", "))
        }
    }
}

/// `count` different free ports of the loopback interface.
///
/// They are free now; whoever is quicker can still take one, so a start may have to be repeated.
pub(crate) fn free_ports<const COUNT: usize>() -> Result<[u16; COUNT]> {
    let mut listeners = Vec::with_capacity(COUNT);
    for _ in 0..COUNT {
        listeners.push(std::net::TcpListener::bind(("127.0.0.1", 0)).context("find a free port")?);
    }
    let mut ports = [0; COUNT];
    for (port, listener) in ports.iter_mut().zip(&listeners) {
        *port = listener.local_addr()?.port();
    }
    Ok(ports)
}

/// The path of a log, wherever the server's other files are.
fn log_path(folder: &Path) -> PathBuf {
    folder.join("log")
}
