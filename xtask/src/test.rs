//! `cargo xtask test`: every test there is, on real servers too, with one summary.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::services::{Service, Services, clients, own_group, run_to_end};
use crate::{readme, workspace};

/// Set for the tests by `--quick`: targets that take long then list themselves as ignored.
const QUICK: &str = "CLOUDBANK_TEST_QUICK";

/// How many of the first and of the last lines that a failed test printed are said again at the end, where they are seen.
/// Some tests begin with what was wrong, others end with it.
const PRINTED_MAX: usize = 20;

/// Arguments of `cargo xtask test`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Leave out servers and what takes long; both are listed as ignored, with the reason.
    #[arg(long)]
    quick: bool,
    /// Test only this crate, on all servers. May be given again.
    #[arg(short, long = "package", value_name = "CRATE")]
    packages: Vec<String>,
    /// More arguments for `cargo test`.
    #[arg(last = true)]
    rest: Vec<String>,
}

/// Runs `cargo xtask test`.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    // Built first, so that servers do not grow old waiting: ten minutes after its start Azurite was seen to
    // leave a list unanswered for half a minute.
    let mut build = cargo_test_command(arguments);
    build.arg("--no-run");
    if !run_to_end(build)?.success() {
        bail!("the tests do not build");
    }
    // As the clients are installed before, too.
    let installed = match arguments.quick {
        true => Vec::new(),
        false => clients::install(&workspace::cache()?)?,
    };
    let wanted: &[Service] = if arguments.quick { &[] } else { &Service::ALL };
    let mut services = Services::start(wanted)?;

    let mut command = cargo_test_command(arguments);
    command.arg("--no-fail-fast").args(&arguments.rest);
    command.envs(services.variables());
    command.envs(installed);
    if arguments.quick {
        command.env(QUICK, "1");
    }
    let mut counts = Counts::default();
    let mut succeeded = cargo_test(command, &mut counts)?;

    let everything = arguments.packages.is_empty() && arguments.rest.is_empty();
    if everything && !arguments.quick {
        readme::check(&mut counts);
    }
    succeeded &= counts.failed.is_empty();
    if !succeeded {
        eprintln!("{}", services.report());
    }
    drop(services);

    print!("{}", counts.summary());
    if !succeeded {
        bail!("tests failed");
    }
    if counts.passed == 0 {
        bail!("no test ran");
    }
    Ok(())
}

fn cargo_test_command(arguments: &Arguments) -> Command {
    let mut command = workspace::cargo();
    command.arg("test");
    if arguments.packages.is_empty() {
        command.arg("--workspace");
    }
    for package in &arguments.packages {
        command.args(["--package", package]);
    }
    command
}

/// Runs `cargo test`, shows what it prints, and counts it. Whether it succeeded.
fn cargo_test(command: Command, counts: &mut Counts) -> Result<bool> {
    let status = own_group(command, Stdio::piped(), |mut child: Child| {
        let output = child.stdout.take().context("read what cargo test prints")?;
        for line in BufReader::new(output).split(b'\n') {
            let line = line.context("read what cargo test prints")?;
            let line = String::from_utf8_lossy(&line);
            // A closed pipe after us is no reason to leave the tests half done.
            let _ = writeln!(std::io::stdout(), "{line}");
            counts.read(&line);
        }
        child.wait().context("wait for cargo test")
    })??;
    Ok(status.success())
}

/// What ran, and how it ended.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// How many tests passed.
    pub(crate) passed: u64,
    /// The names of those that failed.
    pub(crate) failed: Vec<String>,
    ignored: u64,
    ignored_because: BTreeMap<String, u64>,
    failures_counted: u64,
    /// What each test that failed printed, as far as it is kept.
    printed: BTreeMap<String, Printed>,
    /// The test whose output is being read.
    printing: Option<String>,
}

impl Counts {
    /// Takes in a line of a Rust test runner.
    fn read(&mut self, line: &str) {
        if let Some(header) = line.strip_prefix("---- ").and_then(|rest| rest.strip_suffix(" ----"))
        {
            self.printing = Some(header.strip_suffix(" stdout").unwrap_or(header).to_owned());
        } else if line == "failures:" || line.starts_with("test result: ") {
            self.printing = None;
        } else if let Some(name) = &self.printing
            && !line.trim().is_empty()
        {
            self.printed.entry(name.clone()).or_default().add(line);
        }
        if let Some(rest) = line.strip_prefix("test result: ") {
            for part in rest.split(['.', ';']) {
                match part.trim().split_once(' ') {
                    Some((number, "passed")) => self.passed += number.parse().unwrap_or(0),
                    Some((number, "failed")) => {
                        self.failures_counted += number.parse().unwrap_or(0);
                    }
                    Some((number, "ignored")) => self.ignored += number.parse().unwrap_or(0),
                    _ => {}
                }
            }
        } else if let Some(rest) = line.strip_prefix("test ") {
            if let Some(name) = rest.strip_suffix(" ... FAILED") {
                self.failed.push(name.to_owned());
            } else if let Some((_, reason)) = rest.split_once(" ... ignored") {
                // One runner writes `ignored, reason`, the other `ignored (reason)`.
                let reason = reason.trim_start_matches([',', ' ']);
                let inner = reason.strip_prefix('(').and_then(|reason| reason.strip_suffix(')'));
                let reason = inner.unwrap_or(reason);
                let reason = if reason.is_empty() { "no reason given" } else { reason };
                *self.ignored_because.entry(reason.to_owned()).or_default() += 1;
            }
        }
    }

    /// The last lines of a run.
    fn summary(&self) -> String {
        let mut text = String::from("\n");
        for (reason, count) in &self.ignored_because {
            text.push_str(&format!("ignored {count}: {reason}\n"));
        }
        for name in &self.failed {
            text.push_str(&format!("FAILED {name}\n"));
            for line in self.printed.get(name).into_iter().flat_map(Printed::lines) {
                text.push_str(&format!("    {line}\n"));
            }
        }
        let failed = self.failures_counted.max(self.failed.len() as u64);
        text.push_str(&format!(
            "{} passed, {failed} failed, {} skipped\n",
            self.passed, self.ignored
        ));
        text
    }
}

/// The first and the last lines of what a test printed.
#[derive(Debug, Default)]
struct Printed {
    first: Vec<String>,
    last: VecDeque<String>,
    left_out: u64,
}

impl Printed {
    fn add(&mut self, line: &str) {
        if self.first.len() < PRINTED_MAX {
            return self.first.push(line.to_owned());
        }
        self.last.push_back(line.to_owned());
        if self.last.len() > PRINTED_MAX {
            self.last.pop_front();
            self.left_out += 1;
        }
    }

    fn lines(&self) -> impl Iterator<Item = String> {
        let gap = (self.left_out > 0).then(|| format!("[{} lines]", self.left_out));
        self.first.iter().cloned().chain(gap).chain(self.last.iter().cloned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_output_of_a_failed_test_is_said_again_from_both_ends() {
        let mut counts = Counts::default();
        counts.read("test long ... FAILED");
        counts.read("---- long ----");
        (0..100).for_each(|number| counts.read(&format!("line {number}")));
        let summary = counts.summary();
        for (line, is_said) in
            [(0, true), (19, true), (20, false), (79, false), (80, true), (99, true)]
        {
            assert_eq!(
                summary.contains(&format!("    line {line}\n")),
                is_said,
                "{line} in {summary}"
            );
        }
        assert!(summary.contains("    line 19\n    [60 lines]\n    line 80\n"), "{summary}");
    }

    #[test]
    fn the_summary_adds_up_all_test_runners_and_names_failures_and_reasons() {
        let mut counts = Counts::default();
        let output = "\
running 5 tests
test put.absent.race ... ok
test list.order ... FAILED
test slow ... ignored, left out by --quick
test slower ... ignored (left out by --quick)
test other ... ignored

failures:

---- list.order ----
fail: two keys were out of order

seed: 7


failures:
    list.order

test result: FAILED. 1 passed; 1 failed; 3 ignored; 0 measured; 0 filtered out; finished in 0.00s
test result: ok. 40 passed; 0 failed; 0 ignored; 0 measured; 3 filtered out; finished in 1.20s
";
        output.lines().for_each(|line| counts.read(line));
        assert_eq!(
            counts.summary(),
            "\nignored 2: left out by --quick\nignored 1: no reason given\nFAILED list.order\n\
             \x20   fail: two keys were out of order\n    seed: 7\n41 passed, 1 failed, 3 skipped\n"
        );
    }
}
