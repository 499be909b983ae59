//! Processes that never outlive their purpose.
//!
//! Each runs in a process group of its own, which is killed when its owner is dropped (so also on a
//! panic), when we are interrupted or told to end, and, where `setpriv` is there, by the kernel when
//! we are killed outright. What escapes even that is found by a mark in its environment and killed
//! the next time anything is started.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, Once, OnceLock, PoisonError};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process_group};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// The variable that marks a process as started for a scratch folder, whose path it holds.
const MARK: &str = "CLOUDBANK_SCRATCH";
/// How many lines of a log are shown.
const TAIL_LINES_MAX: usize = 40;

/// Who ends a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lifetime {
    /// It ends with us.
    Ours,
    /// It stays until somebody stops it.
    Detached,
}

/// A process that was started, with its log.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    group: Pid,
    lifetime: Lifetime,
    log: PathBuf,
}

impl Running {
    /// Starts `command` with its output going to the log in `folder`.
    ///
    /// To be called on a thread that lives as long as the process shall: the kernel kills it with its
    /// thread.
    pub(super) fn start(
        name: &str,
        command: Command,
        folder: &Path,
        lifetime: Lifetime,
    ) -> Result<Self> {
        let log = super::log_path(folder);
        let output = File::create(&log).with_context(|| format!("create {}", log.display()))?;
        let mut command = match lifetime {
            Lifetime::Ours => mortal(command),
            Lifetime::Detached => command,
        };
        command.env(MARK, folder).process_group(0);
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let program = command.get_program().to_string_lossy().into_owned();
        let child = command.spawn().with_context(|| format!("run {program} for {name}"))?;
        let group = Pid::from_child(&child);
        fs::write(folder.join("pid"), child.id().to_string())?;
        if lifetime == Lifetime::Ours {
            Groups::add(group);
        }
        Ok(Self { child, group, lifetime, log })
    }

    /// Whether it is gone.
    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Kills it, whatever its lifetime.
    pub(super) fn kill(mut self) {
        self.lifetime = Lifetime::Ours;
    }

    /// The last lines of its log.
    pub(crate) fn log_tail(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<_> = text.lines().collect();
        let tail = &lines[lines.len().saturating_sub(TAIL_LINES_MAX)..];
        format!("the end of {}:\n  {}", self.log.display(), tail.join("\n  "))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.lifetime == Lifetime::Ours {
            // Its data is thrown away, so it need not be asked kindly.
            let _ = kill_process_group(self.group, Signal::KILL);
            let _ = self.child.wait();
            Groups::remove(self.group);
        }
    }
}

/// The process groups that go when we go.
#[derive(Debug)]
pub(crate) struct Groups;

static GROUPS: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

impl Groups {
    /// From now on `group` is killed when we are interrupted.
    pub(crate) fn add(group: Pid) {
        static WATCH: Once = Once::new();
        WATCH.call_once(|| {
            if let Ok(mut signals) = Signals::new([SIGINT, SIGTERM, SIGHUP]) {
                std::thread::spawn(move || {
                    if let Some(signal) = signals.forever().next() {
                        Self::kill_all();
                        std::process::exit(128 + signal);
                    }
                });
            }
        });
        Self::lock().insert(group.as_raw_nonzero().get());
    }

    /// `group` has ended.
    pub(crate) fn remove(group: Pid) {
        Self::lock().remove(&group.as_raw_nonzero().get());
    }

    fn kill_all() {
        for &group in Self::lock().iter() {
            if let Some(group) = Pid::from_raw(group) {
                let _ = kill_process_group(group, Signal::KILL);
            }
        }
    }

    fn lock() -> std::sync::MutexGuard<'static, BTreeSet<i32>> {
        GROUPS.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs `command` in a group of its own that is killed with us, its output going to `output`, and waits
/// for what `use_it` makes of the process.
pub(crate) fn own_group<T>(
    command: Command,
    output: Stdio,
    use_it: impl FnOnce(Child) -> T,
) -> Result<T> {
    let mut command = mortal(command);
    command.process_group(0).stdin(Stdio::null()).stdout(output);
    let program = command.get_program().to_string_lossy().into_owned();
    let child = command.spawn().with_context(|| format!("run {program}"))?;
    let group = Pid::from_child(&child);
    Groups::add(group);
    let result = use_it(child);
    Groups::remove(group);
    Ok(result)
}

/// Runs `command` likewise, to its end.
pub(crate) fn run_to_end(command: Command) -> Result<ExitStatus> {
    let program = command.get_program().to_string_lossy().into_owned();
    own_group(command, Stdio::inherit(), |mut child| child.wait())?
        .with_context(|| format!("wait for {program}"))
}

/// The same command, run so that the kernel kills it when the thread that starts it ends. Where its input
/// and output go is not carried over, since a command does not tell.
fn mortal(command: Command) -> Command {
    static SETPRIV: OnceLock<bool> = OnceLock::new();
    let there = SETPRIV.get_or_init(|| {
        let probe = Command::new("setpriv").args(["--pdeathsig", "KILL", "true"]).output();
        probe.is_ok_and(|output| output.status.success())
    });
    if !there {
        return command;
    }
    let mut wrapped = Command::new("setpriv");
    wrapped.args(["--pdeathsig", "KILL", "--"]);
    wrapped.arg(command.get_program()).args(command.get_args());
    if let Some(folder) = command.get_current_dir() {
        wrapped.current_dir(folder);
    }
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => wrapped.env(name, value),
            None => wrapped.env_remove(name),
        };
    }
    wrapped
}

/// A folder for the files of one run, gone at its end. The logs are kept beside it.
#[derive(Debug)]
pub(super) struct Scratch {
    path: PathBuf,
    logs: PathBuf,
    // Held as long as we live: whoever can lock it knows that the folder is abandoned.
    _owner: File,
}

impl Scratch {
    /// A new folder, after those of dead runs are cleared away.
    pub(super) fn new(cache: &Path) -> Result<Self> {
        let (runs, logs) = (cache.join("run"), cache.join("logs"));
        fs::create_dir_all(&runs)?;
        fs::create_dir_all(&logs)?;
        // Between the making of a folder and the locking of its owner file nobody may sweep it.
        let gate = File::create(cache.join("run.lock"))?;
        gate.lock()?;
        sweep(&runs)?;
        let path = runs.join(std::process::id().to_string());
        let mut unique = path;
        let mut count = 0;
        while let Err(error) = fs::create_dir(&unique) {
            count += 1;
            if error.kind() != std::io::ErrorKind::AlreadyExists || count > 1000 {
                return Err(error).with_context(|| format!("create {}", unique.display()));
            }
            unique = runs.join(format!("{}.{count}", std::process::id()));
        }
        let owner = File::create(unique.join("owner"))?;
        owner.lock()?;
        Ok(Self { path: unique, logs, _owner: owner })
    }

    /// A folder in it.
    pub(super) fn folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.path.join(name);
        fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
        Ok(folder)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        for entry in fs::read_dir(&self.path).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let _ =
                fs::rename(super::log_path(&entry.path()), self.logs.join(format!("{name}.log")));
        }
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Ends what dead runs left behind.
fn sweep(runs: &Path) -> Result<()> {
    for entry in fs::read_dir(runs)? {
        let path = entry?.path();
        let abandoned = match File::open(path.join("owner")) {
            Ok(owner) => owner.try_lock().is_ok(),
            Err(_) => true,
        };
        if abandoned {
            for entry in fs::read_dir(&path).into_iter().flatten().flatten() {
                if let Some(group) = alive(&entry.path()) {
                    let _ = kill_process_group(group, Signal::KILL);
                }
            }
            fs::remove_dir_all(&path).with_context(|| format!("remove {}", path.display()))?;
        }
    }
    Ok(())
}

/// The process whose id `folder` keeps, if it still runs and carries the folder's mark: an id alone
/// may long belong to somebody else.
pub(super) fn alive(folder: &Path) -> Option<Pid> {
    let id: i32 = fs::read_to_string(folder.join("pid")).ok()?.trim().parse().ok()?;
    let environment = fs::read(format!("/proc/{id}/environ")).ok()?;
    let mark = format!("{MARK}={}", folder.display());
    let marked = environment.split(|&byte| byte == 0).any(|entry| entry == mark.as_bytes());
    if marked { Pid::from_raw(id) } else { None }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn sleeper(folder: &Path, lifetime: Lifetime) -> Running {
        let mut command = Command::new("sleep");
        command.arg("600");
        let running = Running::start("sleeper", command, folder, lifetime).unwrap();
        // Its environment shows only when its program has been loaded.
        until("it shows its mark", || alive(folder).is_some());
        running
    }

    fn until(what: &str, mut holds: impl FnMut() -> bool) {
        let end = Instant::now() + Duration::from_secs(60);
        while !holds() {
            assert!(Instant::now() < end, "waited in vain until {what}");
            std::thread::yield_now();
        }
    }

    /// Waits until the process is gone for everybody. A zombie has no environment, and its parent may be
    /// slow to collect it.
    fn assert_ends(id: u32) {
        let environment = format!("/proc/{id}/environ");
        until("the process has ended", || {
            !fs::read(&environment).is_ok_and(|text| !text.is_empty())
        });
    }

    #[test]
    fn a_process_ends_when_its_owner_is_dropped_also_by_a_panic() {
        let folder = tempfile::tempdir().unwrap();
        let running = sleeper(folder.path(), Lifetime::Ours);
        let id = running.child.id();
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
            let _running = running;
            panic!("on purpose");
        }));
        assert!(panicked.is_err());
        assert_ends(id);
    }

    #[test]
    fn the_next_run_ends_what_a_dead_run_left_and_spares_the_living() {
        let cache = tempfile::tempdir().unwrap();
        let living = Scratch::new(cache.path()).unwrap();
        let kept = sleeper(&living.folder("kept").unwrap(), Lifetime::Ours);
        // A run that died: its folder is there, its owner file is not locked.
        let dead = cache.path().join("run/dead/left");
        fs::create_dir_all(&dead).unwrap();
        File::create(cache.path().join("run/dead/owner")).unwrap();
        let mut left = sleeper(&dead, Lifetime::Detached);

        let next = Scratch::new(cache.path()).unwrap();

        assert_ends(left.child.id());
        left.child.wait().unwrap();
        assert!(!cache.path().join("run/dead").exists());
        assert!(alive(&living.folder("kept").unwrap()).is_some());
        assert_ne!(living.path, next.path);
        drop(kept);
    }

    #[test]
    fn what_a_command_prints_can_be_read_and_its_folder_and_variables_are_kept() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo $0 $VARIABLE; pwd", "an argument"]).current_dir("/");
        command.env("VARIABLE", "a value");
        let said = own_group(command, Stdio::piped(), Child::wait_with_output).unwrap();
        assert_eq!(String::from_utf8(said.unwrap().stdout).unwrap(), "an argument a value\n/\n");
    }

    #[test]
    fn an_id_that_now_belongs_to_another_process_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("pid"), std::process::id().to_string()).unwrap();
        assert_eq!(alive(folder.path()), None);
    }

    #[test]
    fn the_end_of_a_log_is_shown_and_the_log_outlives_its_run() {
        let cache = tempfile::tempdir().unwrap();
        let scratch = Scratch::new(cache.path()).unwrap();
        let folder = scratch.folder("speaker").unwrap();
        let mut command = Command::new("seq");
        command.arg("100");
        let mut running = Running::start("speaker", command, &folder, Lifetime::Ours).unwrap();
        running.child.wait().unwrap();
        let tail = running.log_tail();
        assert!(tail.contains(" 100") && tail.contains(" 61") && !tail.contains(" 60"), "{tail}");
        drop(running);
        drop(scratch);
        let log = fs::read_to_string(cache.path().join("logs/speaker.log")).unwrap();
        assert!(log.starts_with("1\n"), "{log}");
        assert_eq!(fs::read_dir(cache.path().join("run")).unwrap().count(), 0);
    }
}
