//! Programs from Debian's packages, for any user: downloaded by the system's own package manager, which checks their
//! signatures, and unpacked into the cache. Nothing of the system is changed.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::install::{Tool, once, run};

const ADVICE: &str = "a Debian, or a system made of it, is needed";

/// Unpacks packages, `NAME` or `NAME=VERSION`, with what they need and the system lacks, and gives programs of theirs, by
/// their paths there. A version that is not to be had any more is replaced by the one that is, and the first program by
/// that of the system, where it is installed.
pub(super) fn debian_tool(cache: &Path, packages: &[&str], programs: &[&str]) -> Result<Tool> {
    let of_the_system = programs.first().map(|program| Path::new("/").join(program));
    if let Some(program) = of_the_system.filter(|program| program.is_file()) {
        return Ok(Tool::new(program.parent().map(PathBuf::from).unwrap_or_default()));
    }
    let label = packages.join(" ");
    let folder = once(cache, &label, &programs.join(" "), |folder| {
        let apt = Apt::new(folder)?;
        apt.run("apt-get", &["update"])?;
        let wanted: Vec<String> = packages.iter().map(|&package| package.to_owned()).collect();
        let names: Vec<String> = packages.iter().map(|&package| name(package).to_owned()).collect();
        let all = apt.with_dependencies(&wanted).or_else(|error| {
            eprintln!("install: {label} without its pins, since with them: {error:#}");
            apt.with_dependencies(&names)
        })?;
        let files = folder.join("files");
        fs::create_dir_all(&files)?;
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        apt.run_in(&files, "apt-get", &[&["download"], &all[..]].concat())?;
        let root = folder.join("root");
        for file in fs::read_dir(&files)? {
            let mut unpack = Command::new("dpkg-deb");
            run(unpack.arg("--extract").arg(file?.path()).arg(&root), ADVICE)?;
        }
        fs::remove_dir_all(&files)?;
        apt.remove()?;
        programs.iter().try_for_each(|program| write_program(folder, &root, Path::new(program)))
    })?;
    Ok(Tool::new(folder.join("bin")))
}

/// Debian's package manager with its state in a folder of ours, so that it asks nobody's leave.
struct Apt {
    folder: PathBuf,
}

impl Apt {
    fn new(folder: &Path) -> Result<Self> {
        let folder = folder.join("apt");
        for part in ["state/lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(folder.join(part))?;
        }
        Ok(Self { folder })
    }

    /// The packages, and all that the system lacks of what they need.
    fn with_dependencies(&self, packages: &[String]) -> Result<BTreeSet<String>> {
        let packages: Vec<&str> = packages.iter().map(String::as_str).collect();
        let simulate = ["install", "--simulate", "--no-install-recommends"];
        let said = self.run("apt-get", &[&simulate, &packages[..]].concat())?;
        // `Inst NAME (VERSION ...)`, also when one is there in another version.
        let missing = said.lines().filter_map(|line| line.strip_prefix("Inst ")?.split(' ').next());
        let mut all: BTreeSet<String> = missing.map(str::to_owned).collect();
        for package in packages {
            all.remove(name(package));
            all.insert(package.to_owned());
        }
        Ok(all)
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Result<String> {
        self.run_in(&self.folder, program, arguments)
    }

    fn run_in(&self, folder: &Path, program: &str, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new(program);
        command.current_dir(folder).env("LC_ALL", "C").arg("--quiet");
        let ours = |name: &str, part: &str| format!("{name}={}", self.folder.join(part).display());
        for setting in [
            ours("Dir::State", "state"),
            ours("Dir::Cache", "cache"),
            // What is installed is a matter of the system.
            "Dir::State::status=/var/lib/dpkg/status".to_owned(),
            // Nobody else can look into the folder.
            "APT::Sandbox::User=".to_owned(),
            "Debug::NoLocking=true".to_owned(),
        ] {
            command.arg("--option").arg(setting);
        }
        run(command.args(arguments), ADVICE)
    }

    /// It is not needed again.
    fn remove(self) -> Result<()> {
        fs::remove_dir_all(&self.folder)
            .with_context(|| format!("remove {}", self.folder.display()))
    }
}

fn name(package: &str) -> &str {
    package.split('=').next().unwrap_or(package)
}

/// Makes `bin/NAME`, which runs a program with the libraries and programs that were unpacked beside it.
fn write_program(folder: &Path, root: &Path, program: &Path) -> Result<()> {
    let path = root.join(program);
    if !path.is_file() {
        bail!("there is no {} in the packages", program.display());
    }
    let mut libraries = Vec::new();
    for part in ["lib", "usr/lib"] {
        for folder in folders(&root.join(part))? {
            if folder.to_string_lossy().ends_with("-linux-gnu") {
                libraries.extend(folders(&folder)?);
                libraries.push(folder);
            }
        }
    }
    let shown: Vec<_> = libraries.iter().map(|folder| folder.display().to_string()).collect();
    let bin = folder.join("bin");
    fs::create_dir_all(&bin)?;
    let file = bin.join(program.file_name().unwrap_or_default());
    let root = root.display();
    let text = format!(
        "#!/bin/sh\nLD_LIBRARY_PATH='{}' PATH=\"$PATH:{root}/usr/bin:{root}/bin\" exec '{}' \"$@\"\n",
        shown.join(":"),
        path.display()
    );
    fs::write(&file, text)?;
    run(Command::new("chmod").arg("+x").arg(&file), ADVICE)?;
    Ok(())
}

/// The folders in a folder, if it is one.
fn folders(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    if folder.is_dir() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_finds_what_was_unpacked_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        for part in ["usr/lib/x86_64-linux-gnu/sound", "lib/x86_64-linux-gnu", "usr/bin"] {
            fs::create_dir_all(root.join(part)).unwrap();
        }
        fs::write(root.join("usr/bin/tell"), "#!/bin/sh\necho \"$LD_LIBRARY_PATH\" \"$@\"\n")
            .unwrap();
        run(Command::new("chmod").arg("+x").arg(root.join("usr/bin/tell")), "").unwrap();
        write_program(folder.path(), &root, Path::new("usr/bin/tell")).unwrap();
        let said = Command::new(folder.path().join("bin/tell")).arg("a b").output().unwrap();
        let root = root.display();
        assert_eq!(
            String::from_utf8(said.stdout).unwrap(),
            format!(
                "{root}/lib/x86_64-linux-gnu:{root}/usr/lib/x86_64-linux-gnu/sound:{root}/usr/lib/x86_64-linux-gnu a b\n"
            )
        );
        let missing =
            write_program(folder.path(), &folder.path().join("root"), Path::new("usr/bin/none"));
        assert_eq!(missing.unwrap_err().to_string(), "there is no usr/bin/none in the packages");
    }

    #[test]
    fn a_package_has_a_name_before_its_version() {
        assert_eq!(name("restic=0.14.0-1+b5"), "restic");
        assert_eq!(name("fuse3"), "fuse3");
    }
}
