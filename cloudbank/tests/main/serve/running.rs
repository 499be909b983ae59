//! A server in a process of its own, always stopped.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ExitStatus};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::client::{Client, ask};
use crate::support::Bench;

/// How long a server may take to start or to end. Only a test that fails waits so long.
const PATIENCE: Duration = Duration::from_secs(120);

/// A server that has said that it serves.
pub(crate) struct Running {
    child: Child,
    /// What it said, as JSON.
    pub(crate) said: Value,
    logs: Option<JoinHandle<String>>,
}

/// How a server ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    /// All that it wrote to standard error.
    pub(crate) logs: String,
}

impl Running {
    /// Starts `serve` on free ports, with further arguments, and waits until it is ready.
    pub(crate) fn start(bench: &Bench, arguments: &str) -> Self {
        let line = format!("serve --listen 127.0.0.1:0 --admin 127.0.0.1:0 --json {arguments}");
        let words: Vec<_> = line.split_whitespace().collect();
        let mut child = bench.command(&words).spawn().unwrap();
        let mut stderr = child.stderr.take().unwrap();
        let logs = std::thread::spawn(move || {
            let mut text = Vec::new();
            let _ = stderr.read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        });
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut said = String::new();
        stdout.read_line(&mut said).unwrap();
        let mut server = Self { child, said: Value::Null, logs: Some(logs) };
        let Ok(said) = serde_json::from_str(&said) else {
            let ended = server.end(Signal::KILL);
            panic!("{line}: it did not start: {}", ended.logs);
        };
        server.said = said;
        // The operator is never served over TLS.
        let ready = ask(&server.admin(), "/-/ready").unwrap();
        assert_eq!(ready.status, 200, "{ready:?}");
        server
    }

    /// Where it serves S3: `host:port`.
    pub(crate) fn host(&self) -> String {
        let endpoint = self.said["endpoints"][0].as_str().unwrap();
        endpoint.split_once("://").unwrap().1.to_owned()
    }

    /// Where it serves the operator: `host:port`.
    pub(crate) fn admin(&self) -> String {
        self.said["admin"].as_str().unwrap().strip_prefix("http://").unwrap().to_owned()
    }

    /// A client with the key that it made up.
    pub(crate) fn client(&self) -> Client {
        self.client_as(
            self.said["access_key"].as_str().unwrap(),
            self.said["secret_key"].as_str().unwrap(),
        )
    }

    pub(crate) fn client_as(&self, access_key: &str, secret_key: &str) -> Client {
        let (access_key, secret_key) = (access_key.into(), secret_key.into());
        Client { host: self.host(), access_key, secret_key }
    }

    /// The number of a metric, 0 if there is none: `name{labels}` as it is told.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let told = ask(&self.admin(), "/-/metrics").unwrap();
        let told = String::from_utf8(told.body).unwrap();
        let found = told.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        found.map_or(0.0, |number| number.parse().unwrap())
    }

    /// The most memory it has had at any time, in bytes.
    pub(crate) fn memory_max(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() * 1024
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn stop(self) -> Ended {
        self.finish(Signal::TERM)
    }

    /// Ends it on the spot.
    pub(crate) fn kill(self) -> Ended {
        self.finish(Signal::KILL)
    }

    fn finish(mut self, signal: Signal) -> Ended {
        self.end(signal)
    }

    fn end(&mut self, signal: Signal) -> Ended {
        self.signal(signal);
        self.wait()
    }

    /// Waits until it has ended by itself.
    pub(crate) fn wait(&mut self) -> Ended {
        let until = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < until, "the server does not end");
            std::thread::sleep(Duration::from_millis(5));
        };
        Ended { status, logs: self.logs.take().unwrap().join().unwrap() }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already, or nobody needs it any more.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
