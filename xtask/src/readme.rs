//! The commands of README.md, run as written: a front page that lies is worse than none.

use std::fs;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::services::{own_group, run_to_end, wait_until_ready};
use crate::test::Counts;
use crate::workspace;

/// The command that runs this check, which therefore cannot run it.
const OURSELVES: &str = "cargo xtask";
/// Where a server that nobody has told anything says that it is ready.
const SERVER_PORT: u16 = 9000;
const SERVER_READY: &str = "/-/ready";
/// How long it may take, which may be a build, and how long it may take to end.
const SERVER_TIME_MAX: Duration = Duration::from_secs(1800);
/// How often it is looked whether it has ended.
const PAUSE: Duration = Duration::from_millis(50);

/// Runs every command of the README's `sh` blocks and adds the outcomes to `counts`.
pub(crate) fn check(counts: &mut Counts) {
    match run_all(counts) {
        Ok(()) => {}
        Err(error) => {
            println!("test README.md ... FAILED\n{error:#}");
            counts.failed.push("README.md".into());
        }
    }
}

fn run_all(counts: &mut Counts) -> Result<()> {
    let root = workspace::root();
    let text = fs::read_to_string(root.join("README.md")).context("read README.md")?;
    let commands = commands(&text);
    if commands.is_empty() {
        bail!("README.md has no ```sh block with a command");
    }
    let metadata = workspace::metadata()?;
    let binaries = metadata.target_directory.join("release");
    let path = std::env::join_paths(
        std::iter::once(binaries)
            .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())),
    )?;
    for command in commands {
        if command.starts_with(OURSELVES) {
            continue;
        }
        println!("README.md: {command}");
        let mut shell = Command::new("bash");
        shell.args(["-euo", "pipefail", "-c", &command]).current_dir(&root).env("PATH", &path);
        let problem = match is_server(&command) {
            true => serves(shell).err().map(|error| format!("{error:#}")),
            false => {
                let status = run_to_end(shell)?;
                (!status.success()).then(|| status.to_string())
            }
        };
        match problem {
            None => {
                println!("test README.md `{command}` ... ok");
                counts.passed += 1;
            }
            Some(problem) => {
                println!("test README.md `{command}` ... FAILED");
                counts.failed.push(format!("README.md `{command}`: {problem}"));
            }
        }
    }
    Ok(())
}

/// Whether a command goes on until it is stopped.
fn is_server(command: &str) -> bool {
    command.ends_with(" serve")
}

/// Starts a server as it stands, waits until it is ready where it says it is without configuration, and stops it.
fn serves(shell: Command) -> Result<()> {
    own_group(shell, Stdio::inherit(), |mut child| {
        let mut ended = || !matches!(child.try_wait(), Ok(None));
        let ready = wait_until_ready(SERVER_PORT, SERVER_READY, SERVER_TIME_MAX, &mut ended);
        let group = Pid::from_child(&child);
        // Asked kindly, then not: nothing of it may stay.
        let _ = kill_process_group(group, Signal::TERM);
        let until = Instant::now() + SERVER_TIME_MAX;
        while child.try_wait()?.is_none() && Instant::now() < until {
            thread::sleep(PAUSE);
        }
        let _ = kill_process_group(group, Signal::KILL);
        child.wait()?;
        ready
    })?
}

/// The commands of all `sh` blocks: a line each, or several where a line ends with a backslash.
/// Comments and blank lines are not commands.
fn commands(markdown: &str) -> Vec<String> {
    let mut commands = Vec::new();
    let mut inside = false;
    let mut unfinished = String::new();
    for line in markdown.lines() {
        if line.starts_with("```") {
            inside = !inside && line.trim() == "```sh";
            continue;
        }
        if !inside {
            continue;
        }
        let line = line.split(" #").next().unwrap_or(line).trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match line.strip_suffix('\\') {
            Some(start) => unfinished.push_str(start),
            None => commands.push(format!("{}{line}", std::mem::take(&mut unfinished))),
        }
    }
    commands
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_told_from_other_commands() {
        assert!(is_server("cargo run --release -p cloudbank -- serve"));
        assert!(!is_server("cloudbank store init"));
    }

    #[test]
    fn a_server_that_ends_before_it_is_ready_is_no_server() {
        let error = serves(Command::new("true")).unwrap_err().to_string();
        assert!(error.contains("ended before it was ready"), "{error}");
    }

    #[test]
    fn commands_are_those_of_sh_blocks_without_comments() {
        let text =
            "```sh\na b   # why\n\n# no\nc \\\n  d\n```\n```toml\ne = 1\n```\nf\n```sh\ng\n```\n";
        assert_eq!(commands(text), ["a b", "c d", "g"]);
    }
}
