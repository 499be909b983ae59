//! Scripts of cases, in Python or JavaScript, and how one case is run.

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use libtest_mimic::{Completion, Failed};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::place::Told;
use crate::program::{Program, search_path};

/// What the names of cases begin with.
const CASE: &str = "case_";
/// How a case ends that cannot run on this machine; what it says last is the reason.
const CANNOT: i32 = 77;
/// How long a case may take. Only one that hangs takes so long.
const PATIENCE: Duration = Duration::from_secs(240);

/// A script.
#[derive(Debug, Clone)]
pub(crate) struct Script {
    path: PathBuf,
    text: String,
}

impl Script {
    pub(crate) fn read(file: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        Self { path, text }
    }

    /// The names of its cases.
    pub(crate) fn cases(&self) -> Vec<String> {
        let case = |line: &str| {
            let rest =
                ["def ", "async function "].iter().find_map(|word| line.strip_prefix(word))?;
            Some(rest.strip_prefix(CASE)?.split('(').next()?.to_owned())
        };
        self.text.lines().filter_map(case).collect()
    }

    /// Runs a case with what it is told, unless it cannot be run.
    pub(crate) fn run(
        &self,
        case: &str,
        program: Program,
        told: impl FnOnce() -> Told,
    ) -> Result<Completion, Failed> {
        let program = match program {
            Ok(program) => program,
            Err(why) => return Ok(Completion::ignored_with(why)),
        };
        let folder = tempfile::tempdir()?;
        Running::start(self, case, &program, folder.path(), told())?.end()
    }

    /// What a case is run with: a Python that has the client as a library, any other, or Node.
    fn interpreter(&self, program: &Path) -> Command {
        let is_python = program.file_name().is_some_and(|name| name == "python");
        match self.path.extension().and_then(|extension| extension.to_str()) {
            Some("py") if is_python => Command::new(program),
            Some("py") => Command::new("python3"),
            _ => {
                let mut node = Command::new("node");
                node.arg("--no-warnings").env("NODE_PATH", program);
                node
            }
        }
    }
}

/// A case under way, with all processes that it starts.
pub(crate) struct Running {
    child: Child,
    output: std::thread::JoinHandle<String>,
}

impl Running {
    pub(crate) fn start(
        script: &Script,
        case: &str,
        program: &Path,
        folder: &Path,
        told: Told,
    ) -> std::io::Result<Self> {
        let mut command = script.interpreter(program);
        command.arg(&script.path).arg(case).current_dir(folder);
        command.envs(told).env("S3_PROGRAM", program).env("PATH", search_path());
        command.env("HOME", folder).env("PYTHONDONTWRITEBYTECODE", "1");
        // Neither settings of whoever runs the tests nor the proxy of this machine are meant for these servers.
        let own = |name: &str| name.starts_with("AWS_") || name.to_lowercase().ends_with("_proxy");
        for (name, _) in std::env::vars().filter(|(name, _)| own(name)) {
            command.env_remove(name);
        }
        command.env("NO_PROXY", "*").env("no_proxy", "*");
        let mut child = command
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut stderr = child.stderr.take().unwrap();
        let output = std::thread::spawn(move || {
            let mut said = Vec::new();
            let _ = stderr.read_to_end(&mut said);
            String::from_utf8_lossy(&said).into_owned()
        });
        Ok(Self { child, output })
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits for it, and ends what it has left behind.
    pub(crate) fn end(mut self) -> Result<Completion, Failed> {
        let until = Instant::now() + PATIENCE;
        while !self.has_ended() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(20));
        }
        let in_time = self.has_ended();
        // Mostly there is nobody left.
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let status = self.child.wait()?;
        let said = self.output.join().unwrap();
        match status.code() {
            Some(0) => Ok(Completion::Completed),
            Some(CANNOT) => {
                Ok(Completion::ignored_with(said.lines().last().unwrap_or_default().to_owned()))
            }
            _ if !in_time => Err(format!("it did not end: {said}").into()),
            _ => Err(said.into()),
        }
    }
}
