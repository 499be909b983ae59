//! Tools from package registries: pinned, installed once, shared by all clones of a user.

use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::fs::{self, File};
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// How often an installation is tried: registries have bad moments.
const TRIES_MAX: usize = 3;
/// How many lines of a failed installation are shown.
const TAIL_LINES_MAX: usize = 20;
/// The file that says that a folder is complete. It is written last.
const COMPLETE: &str = ".complete";

/// Something installed.
#[derive(Debug, Clone)]
pub(crate) struct Tool {
    programs: PathBuf,
}

impl Tool {
    /// Programs in a folder.
    pub(super) fn new(programs: PathBuf) -> Self {
        Self { programs }
    }

    /// The folder above its programs.
    pub(super) fn folder(&self) -> &Path {
        self.programs.parent().unwrap_or(&self.programs)
    }

    /// The path of one of its programs.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.programs.join(name)
    }
}

/// Installs Python packages, with these constraints on what they need, into a folder of their own.
pub(crate) fn python_tool(cache: &Path, packages: &[&str], constraints: &str) -> Result<Tool> {
    let label = packages.join(" ");
    let folder = once(cache, &label, constraints, |folder| {
        python_environment(folder)?;
        let limits = folder.join("constraints.txt");
        fs::write(&limits, constraints)?;
        let install = |limited: bool| {
            let mut pip = pip_install(folder);
            pip.args(["--only-binary", ":all:", "--prefer-binary"]);
            if limited {
                pip.arg("--constraint").arg(&limits);
            }
            run(pip.args(packages), "pip install").map(drop)
        };
        install(true).or_else(|error| {
            if constraints.is_empty() {
                return Err(error);
            }
            // The pins are of one Python; another may not have all of these versions.
            eprintln!("install: {label} without its pins, since with them: {error:#}");
            install(false)
        })
    })?;
    Ok(Tool { programs: folder.join("bin") })
}

/// Installs exactly these Python packages, one a line, into a folder of their own, whatever they say that they need.
///
/// Another Python may not have all of these versions. There `package` is installed with what it asks for, which may take a
/// compiler.
pub(crate) fn python_tool_exactly(cache: &Path, package: &str, exactly: &str) -> Result<Tool> {
    let folder = once(cache, package, exactly, |folder| {
        python_environment(folder)?;
        let list = folder.join("exactly.txt");
        fs::write(&list, exactly)?;
        let mut pip = pip_install(folder);
        pip.args(["--no-deps", "--only-binary", ":all:", "--requirement"]).arg(&list);
        run(&mut pip, "pip install").map(drop).or_else(|error| {
            eprintln!("install: {package} without its pins, since with them: {error:#}");
            python_environment(folder)?;
            run(pip_install(folder).args(["--prefer-binary", package]), "pip install").map(drop)
        })
    })?;
    Ok(Tool { programs: folder.join("bin") })
}

/// Installs a Python package of ours from its folder, as a user would, beside exactly those that it needs.
///
/// # Errors
///
/// When something that it says it needs is not among them, too.
pub(crate) fn python_tool_of_ours(cache: &Path, source: &Path, exactly: &str) -> Result<Tool> {
    let name = source.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let files = files_in(source)?;
    let folder = once(cache, &name, &format!("{exactly}{files:?}"), |folder| {
        python_environment(folder)?;
        let (list, copy) = (folder.join("exactly.txt"), folder.join("source"));
        fs::write(&list, exactly)?;
        let mut pip = pip_install(folder);
        pip.args(["--no-deps", "--only-binary", ":all:", "--requirement"]).arg(&list);
        let exact = run(&mut pip, "pip install").map(drop);
        // A copy of it, as pip leaves what it makes beside the source.
        fs::create_dir(&copy)?;
        for (name, text) in &files {
            fs::write(copy.join(name), text)?;
        }
        let mut pip = pip_install(folder);
        match exact {
            Ok(()) => run(pip.arg("--no-deps").arg(&copy), "pip install").map(drop)?,
            Err(error) => {
                eprintln!("install: {name} without pins, since with them: {error:#}");
                run(pip.arg("--prefer-binary").arg(&copy), "pip install").map(drop)?;
            }
        }
        needs_are_there(folder, &name)
    })?;
    Ok(Tool { programs: folder.join("bin") })
}

/// The files of a folder that has no others, by their names.
fn files_in(folder: &Path) -> Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            let name = entry.file_name().to_string_lossy().into_owned();
            files.insert(name, fs::read_to_string(entry.path())?);
        }
    }
    Ok(files)
}

/// That an environment has what a package says that it needs; others in it may say what they like.
fn needs_are_there(folder: &Path, name: &str) -> Result<()> {
    let mut pip = Command::new(folder.join("bin/python"));
    let Err(error) = run(pip.args(["-m", "pip", "check"]), "pip check") else { return Ok(()) };
    let said = format!("{error:#}");
    match said.lines().find(|line| line.trim().starts_with("cloudbank-")) {
        Some(line) => bail!("{name}: {}", line.trim()),
        None => Ok(()),
    }
}

fn python_environment(folder: &Path) -> Result<()> {
    run(
        Command::new("python3").args(["-m", "venv", "--clear"]).arg(folder),
        "python3 with venv is needed (on Debian: apt-get install python3-venv)",
    )
    .map(drop)
}

fn pip_install(folder: &Path) -> Command {
    let mut pip = Command::new(folder.join("bin/python"));
    pip.args(["-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--quiet"]);
    pip
}

/// Installs Node packages, exactly those of a lock file, into a folder of their own.
pub(crate) fn node_tool(cache: &Path, label: &str, package: &str, lock: &str) -> Result<Tool> {
    let folder = once(cache, label, &format!("{package}{lock}"), |folder| {
        fs::write(folder.join("package.json"), package)?;
        fs::write(folder.join("package-lock.json"), lock)?;
        run(
            Command::new("npm").current_dir(folder).args([
                "ci",
                "--ignore-scripts",
                "--omit=dev",
                "--no-audit",
                "--no-fund",
                "--loglevel=error",
            ]),
            "node with npm is needed (on Debian: apt-get install npm)",
        )
        .map(drop)
    })?;
    Ok(Tool { programs: folder.join("node_modules/.bin") })
}

/// The folder for `label` and `pins`, made by `make` if no earlier run has made it.
///
/// The folder is not renamed into place, since a Python environment knows its own path: it counts only
/// once its last file is written. A lock keeps two runs from making the same one.
pub(super) fn once(
    cache: &Path,
    label: &str,
    pins: &str,
    make: impl Fn(&Path) -> Result<()>,
) -> Result<PathBuf> {
    let mut hasher = DefaultHasher::new();
    (label, pins).hash(&mut hasher);
    let readable: String = label
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' })
        .collect();
    let tools = cache.join("tools");
    fs::create_dir_all(&tools)?;
    let folder = tools.join(format!("{readable}-{:016x}", hasher.finish()));
    let lock = File::create(tools.join(format!("{readable}-{:016x}.lock", hasher.finish())))?;
    if lock.try_lock().is_err() {
        eprintln!("install: waiting for another run that installs {label}");
        lock.lock()?;
    }
    if folder.join(COMPLETE).exists() {
        return Ok(folder);
    }
    eprintln!("install: {label}, into {}", folder.display());
    let mut tries = 1;
    loop {
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| format!("remove {}", folder.display()))?;
        }
        fs::create_dir_all(&folder)?;
        match make(&folder) {
            Ok(()) => break,
            Err(error) if tries == TRIES_MAX => return Err(error),
            Err(error) => eprintln!("install: try {tries} of {TRIES_MAX}: {error:#}"),
        }
        tries += 1;
    }
    fs::write(folder.join(COMPLETE), "")?;
    Ok(folder)
}

/// Runs a step of an installation in silence, and gives what it said; when it fails, its end.
pub(super) fn run(command: &mut Command, advice: &str) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("run {program}: {advice}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let lines: Vec<_> = said.lines().collect();
    let tail = &lines[lines.len().saturating_sub(TAIL_LINES_MAX)..];
    bail!("{program}: {}: {advice}\n  {}", output.status, tail.join("\n  "))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn is_made_once_however_many_ask_at_the_same_time() {
        let cache = tempfile::tempdir().unwrap();
        let made = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    once(cache.path(), "thing==1", "", |folder| {
                        made.fetch_add(1, Ordering::SeqCst);
                        Ok(fs::write(folder.join("program"), "")?)
                    })
                    .unwrap();
                });
            }
        });
        assert_eq!(made.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn what_was_left_half_done_is_made_again_and_failures_are_tried_again() {
        let cache = tempfile::tempdir().unwrap();
        let tries = AtomicUsize::new(0);
        let make = |folder: &Path| {
            assert!(!folder.join("half").exists());
            fs::write(folder.join("half"), "")?;
            match tries.fetch_add(1, Ordering::SeqCst) {
                0..4 => bail!("the registry is down"),
                _ => Ok(()),
            }
        };
        let error = once(cache.path(), "thing", "", make).unwrap_err();
        assert_eq!(error.to_string(), "the registry is down");
        once(cache.path(), "thing", "", make).unwrap();
        assert_eq!(tries.load(Ordering::SeqCst), 5);
    }

    #[test]
    fn other_pins_are_another_installation() {
        let cache = tempfile::tempdir().unwrap();
        let first = once(cache.path(), "thing", "a==1", |_| Ok(())).unwrap();
        let second = once(cache.path(), "thing", "a==2", |_| Ok(())).unwrap();
        assert_ne!(first, second);
    }
}
