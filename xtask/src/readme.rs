//! The commands of README.md, run as written: a front page that lies is worse than none.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::services::run_to_end;
use crate::test::Counts;
use crate::workspace;

/// The command that runs this check, which therefore cannot run it.
const OURSELVES: &str = "cargo xtask";

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
        let status = run_to_end(shell)?;
        if status.success() {
            println!("test README.md `{command}` ... ok");
            counts.passed += 1;
        } else {
            println!("test README.md `{command}` ... FAILED");
            counts.failed.push(format!("README.md `{command}`: {status}"));
        }
    }
    Ok(())
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
    fn commands_are_those_of_sh_blocks_without_comments() {
        let text =
            "```sh\na b   # why\n\n# no\nc \\\n  d\n```\n```toml\ne = 1\n```\nf\n```sh\ng\n```\n";
        assert_eq!(commands(text), ["a b", "c d", "g"]);
    }
}
