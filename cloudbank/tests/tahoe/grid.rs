//! A grid of servers in a process of its own, always stopped.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long its end may take. Only one that hangs takes so long.
const PATIENCE: Duration = Duration::from_secs(240);

/// What `grid.py` runs.
pub(crate) struct Grid {
    child: Child,
    /// What it said once everything was ready.
    pub(crate) told: Value,
}

impl Grid {
    /// Starts what a specification says, and waits until it is ready.
    pub(crate) fn start(python: &Path, folder: &Path, specification: &Value) -> Self {
        let path = folder.join("specification.json");
        std::fs::write(&path, specification.to_string()).unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tahoe/grid.py");
        let mut command = Command::new(python);
        command.arg(script).arg(path).env("PYTHONDONTWRITEBYTECODE", "1");
        // Neither a configuration nor a proxy of whoever runs the tests is meant for these.
        for (name, _) in std::env::vars() {
            if name.to_lowercase().ends_with("_proxy") || name.starts_with("CLOUDBANK_CONFIG") {
                command.env_remove(name);
            }
        }
        command.env("XDG_CONFIG_HOME", folder).env("HOME", folder);
        // It ends with its standard input, so it does not outlive us.
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let told = serde_json::from_str(&line).unwrap_or_else(|_| {
            let _ = child.wait();
            panic!("the grid did not start: {line}")
        });
        Self { child, told }
    }

    /// Ends it; whether something went wrong with it.
    pub(crate) fn stop(mut self) -> Option<String> {
        drop(self.child.stdin.take());
        let until = Instant::now() + PATIENCE;
        loop {
            match self.child.try_wait().unwrap() {
                Some(status) if status.success() => return None,
                Some(status) => return Some(format!("a grid ended with {status}")),
                None if Instant::now() > until => return Some("a grid did not end".into()),
                None => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }
}

impl Drop for Grid {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        if !std::thread::panicking() {
            let _ = self.child.wait();
        }
    }
}
