//! Test binaries, run until they end or never will.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result};

use super::tree::Binary;

/// How often we look whether it has ended.
const TICK: Duration = Duration::from_millis(20);
/// How long a process may do nothing at all: it waits for what will never come. Counted in our own ticks, so that it
/// makes no difference when both of us are paused, and only those in which no thread of it wants to run, so that a busy
/// machine makes none either.
const IDLE_TICKS_MAX: u32 = 500;
/// How much memory, in KiB: a loop that only grows ends by this.
const MEMORY_KIB_MAX: u64 = 6 << 20;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// No test noticed.
    Passed,
    /// A test noticed.
    Failed,
    /// It would not have ended.
    Hung,
}

/// Runs these tests of a binary, which may use `seconds_max` of CPU time. `variables` are set besides. How it ended, and
/// about how much CPU time it took.
pub(super) fn run(
    binary: &Binary,
    tests: &[&str],
    seconds_max: u64,
    variables: &[(&str, &Path)],
) -> Result<(Ended, Duration)> {
    let mut command = Command::new("sh");
    command.arg("-c").arg("ulimit -t $1 && ulimit -v $2 && shift 2 && exec \"$@\"").arg("sh");
    command.arg(seconds_max.to_string()).arg(MEMORY_KIB_MAX.to_string()).arg(&binary.program);
    command.args(["--exact", "--quiet", "--test-threads=1"]).args(tests);
    command.current_dir(&binary.folder).env("CARGO_MANIFEST_DIR", &binary.folder);
    command.envs(variables.iter().copied());
    // The same cases every time, and none kept for the next mutant.
    command.env("PROPTEST_RNG_SEED", "1").env("PROPTEST_DISABLE_FAILURE_PERSISTENCE", "true");
    command.env("RUST_BACKTRACE", "0");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let child = command.spawn().with_context(|| format!("run {}", binary.program.display()))?;
    let (status, ticks) = wait(child)?;
    let ended = match status {
        Some(status) if status.success() => Ended::Passed,
        Some(status) if is_out_of_time(status) => Ended::Hung,
        Some(_) => Ended::Failed,
        None => Ended::Hung,
    };
    Ok((ended, Duration::from_millis(10) * u32::try_from(ticks + 1).unwrap_or(u32::MAX)))
}

/// How it ended; nothing if it did not and had to be killed. And the kernel's ticks that it used, each of 10 ms.
fn wait(mut child: Child) -> Result<(Option<ExitStatus>, u64)> {
    let (mut used, mut idle) = (0, 0);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok((Some(status), used));
        }
        sleep(if idle == 0 { TICK / 4 } else { TICK });
        // One that has just ended says that it has used nothing.
        let now = processor_time(&child).unwrap_or(0).max(used);
        idle = if now == used && !wants_to_run(&child) { idle + 1 } else { 0 };
        used = now;
        if idle > IDLE_TICKS_MAX {
            child.kill()?;
            child.wait()?;
            return Ok((None, used));
        }
    }
}

/// The CPU time it has used, in the kernel's ticks; nothing where the kernel does not say it this way.
fn processor_time(child: &Child) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", child.id())).ok()?;
    // The name of the program comes second, in parentheses, and may hold anything.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}

/// Whether any of its threads is ready to run, or waits for a disk, whether or not it is its turn.
fn wants_to_run(child: &Child) -> bool {
    let Ok(threads) = fs::read_dir(format!("/proc/{}/task", child.id())) else { return false };
    threads.flatten().any(|thread| {
        let stat = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        let state = stat.rsplit_once(')').and_then(|(_, rest)| rest.trim_start().chars().next());
        matches!(state, Some('R' | 'D'))
    })
}

fn is_out_of_time(status: ExitStatus) -> bool {
    use std::os::unix::process::ExitStatusExt;

    matches!(status.signal(), Some(signal) if signal == signal_hook::consts::SIGXCPU)
        || status.signal() == Some(signal_hook::consts::SIGKILL)
}
