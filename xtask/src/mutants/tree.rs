//! A copy of the workspace with all mutants in it, built.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::list::Mutant;
use super::rewrite::{Places, rewrite};
use crate::workspace;

/// How often what does not compile is taken out before we give up.
const ROUNDS_MAX: usize = 12;

/// What was built.
#[derive(Debug)]
pub(super) struct Built {
    /// The tests.
    pub(super) binaries: Vec<Binary>,
    /// Mutants that are not in it, as they do not compile or cannot be a branch.
    pub(super) left_out: BTreeSet<u32>,
    /// Mutants of what only a mistake on purpose does, which is in no program.
    pub(super) dead: BTreeSet<u32>,
}

/// A test binary.
#[derive(Debug, Clone)]
pub(super) struct Binary {
    /// The package and target, for people.
    pub(super) name: String,
    /// The program.
    pub(super) program: PathBuf,
    /// Where cargo would run it.
    pub(super) folder: PathBuf,
}

/// Copies the workspace below `folder`, puts `mutants` into it and builds the tests of `packages`.
pub(super) fn build(folder: &Path, packages: &[String], mutants: &[Mutant]) -> Result<Built> {
    let tree = folder.join("tree");
    let mut files = BTreeMap::<String, Vec<&Mutant>>::new();
    for package in packages {
        // The first file gets the switch, whether or not there is a mutant in it.
        files.insert(format!("{package}/src/lib.rs"), Vec::new());
    }
    for mutant in mutants {
        files.entry(mutant.file.clone()).or_default().push(mutant);
    }
    copy(folder, |path| files.contains_key(path))?;
    for package in packages {
        let source = tree.join(package).join("src");
        let switch = include_str!("mutant_switch.rs");
        let count = mutants.len() + 1;
        write(
            &source.join("mutant_switch.rs"),
            &format!("{switch}\nconst COUNT: usize = {count};\n"),
        )?;
    }
    let (mut left_out, mut dead) = (BTreeSet::new(), BTreeSet::new());
    for _ in 0..ROUNDS_MAX {
        let mut places = BTreeMap::new();
        for (file, mutants) in &files {
            let text = fs::read_to_string(workspace::root().join(file))
                .with_context(|| format!("read {file}"))?;
            let mutants: Vec<_> =
                mutants.iter().copied().filter(|it| !left_out.contains(&it.number)).collect();
            let rewritten = rewrite(&text, &mutants).with_context(|| format!("rewrite {file}"))?;
            let placed: BTreeSet<_> =
                rewritten.places.iter().flat_map(|(_, numbers)| numbers).collect();
            left_out.extend(mutants.iter().map(|it| it.number).filter(|it| !placed.contains(it)));
            dead.extend(rewritten.dead);
            write(&tree.join(file), &with_switch(file, rewritten.text))?;
            places.insert(file.clone(), rewritten.places);
        }
        let errors = check(folder, packages)?;
        if errors.is_empty() {
            return Ok(Built { binaries: binaries(folder, packages)?, left_out, dead });
        }
        let before = left_out.len();
        for error in &errors {
            left_out.extend(at_fault(error, &places));
        }
        eprintln!("mutants: {} of {} do not compile", left_out.len(), mutants.len());
        if left_out.len() == before {
            let errors = errors.into_iter().filter_map(|error| error.rendered);
            bail!("no mutant is at fault:\n{}", errors.collect::<Vec<_>>().join("\n"));
        }
    }
    bail!("after {ROUNDS_MAX} rounds there still are mutants that do not compile");
}

/// Copies what git knows of, and what it does not know yet, but for what is `rewritten`. Only what changed is written, so
/// that cargo builds little, and what is gone here goes there.
fn copy(folder: &Path, rewritten: impl Fn(&str) -> bool) -> Result<()> {
    let (root, tree, list) = (workspace::root(), folder.join("tree"), folder.join("copied"));
    let mut git = Command::new("git");
    git.current_dir(&root).args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let output = git.output().context("run git ls-files")?;
    let paths = String::from_utf8(output.stdout)?;
    let mut gone = fs::read_to_string(&list).unwrap_or_default();
    for path in paths.split_terminator('\0') {
        // Some files may be deleted and not yet committed so.
        let Ok(content) = fs::read(root.join(path)) else { continue };
        gone = gone.replace(&format!("\0{path}\0"), "\0");
        if !rewritten(path) {
            write_bytes(&tree.join(path), &content)?;
        }
    }
    for path in gone.split('\0').filter(|path| !path.is_empty()) {
        fs::remove_file(tree.join(path)).ok();
    }
    write(&list, &format!("\0{}", paths.replace('\0', "\0\0")))
}

fn write(path: &Path, text: &str) -> Result<()> {
    write_bytes(path, text.as_bytes())
}

fn write_bytes(path: &Path, content: &[u8]) -> Result<()> {
    if fs::read(path).is_ok_and(|found| found == content) {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(path, content).with_context(|| format!("write {}", path.display()))
}

fn with_switch(file: &str, mut text: String) -> String {
    if file.ends_with("/src/lib.rs") {
        text.push_str("\nmod mutant_switch;\n");
    }
    text
}

/// cargo in the copy, in a target folder of its own.
fn cargo(folder: &Path, packages: &[String], arguments: &[&str]) -> Command {
    let mut cargo = workspace::cargo();
    cargo.current_dir(folder.join("tree")).args(arguments).arg("--message-format=json");
    for package in packages {
        cargo.args(["--package", package]);
    }
    // What is inserted is not beautiful. Nobody looks at it with a debugger, and it is run a thousand times.
    cargo.env("CARGO_TARGET_DIR", folder.join("build")).env("RUSTFLAGS", "--cap-lints=allow");
    cargo.env("CARGO_PROFILE_DEV_DEBUG", "false").env("CARGO_PROFILE_DEV_OPT_LEVEL", "1");
    cargo.stdin(Stdio::null()).stderr(Stdio::inherit());
    cargo
}

/// The errors of the compiler.
fn check(folder: &Path, packages: &[String]) -> Result<Vec<Diagnostic>> {
    let output =
        cargo(folder, packages, &["check", "--quiet", "--lib", "--keep-going"]).output()?;
    let mut errors = Vec::new();
    for message in messages(&output.stdout) {
        if let Some(diagnostic) = message.message
            && diagnostic.level.starts_with("error")
            && !diagnostic.spans.is_empty()
        {
            errors.push(diagnostic);
        }
    }
    if errors.is_empty() && !output.status.success() {
        bail!("cargo check: {}", output.status);
    }
    Ok(errors)
}

fn binaries(folder: &Path, packages: &[String]) -> Result<Vec<Binary>> {
    let mut cargo = cargo(folder, packages, &["test", "--no-run", "--lib", "--tests"]);
    let output = cargo.output()?;
    if !output.status.success() {
        for diagnostic in messages(&output.stdout).filter_map(|message| message.message) {
            eprintln!("{}", diagnostic.rendered.unwrap_or_default());
        }
        bail!("build the tests: {}", output.status);
    }
    let mut binaries = Vec::new();
    for message in messages(&output.stdout) {
        let (Some(program), Some(target), Some(manifest)) =
            (message.executable, message.target, message.manifest_path)
        else {
            continue;
        };
        let folder = manifest.parent().context("a manifest has a folder")?.to_owned();
        let package = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let name = format!("{package} {}", target.name);
        binaries.push(Binary { name, program, folder });
    }
    Ok(binaries)
}

/// The mutants whose text an error points into; the innermost where one is in another.
fn at_fault(error: &Diagnostic, places: &BTreeMap<String, Places>) -> Vec<u32> {
    let mut spans: Vec<_> = error.spans.iter().collect();
    spans.extend(error.children.iter().flat_map(|child| &child.spans));
    // What the error is about, before what else it mentions.
    spans.sort_by_key(|span| !span.is_primary);
    for span in spans {
        let Some(places) = places.get(&span.file_name) else { continue };
        let around = places
            .iter()
            .filter(|(range, _)| range.start <= span.byte_start && span.byte_end <= range.end);
        let around = around.filter(|(_, numbers)| !numbers.is_empty());
        if let Some((_, numbers)) = around.min_by_key(|(range, _)| range.len()) {
            return numbers.clone();
        }
    }
    Vec::new()
}

fn messages(output: &[u8]) -> impl Iterator<Item = Message> {
    output.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok())
}

#[derive(Debug, Deserialize)]
struct Message {
    message: Option<Diagnostic>,
    executable: Option<PathBuf>,
    target: Option<Target>,
    manifest_path: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
struct Target {
    name: String,
}

#[derive(Debug, Deserialize)]
struct Diagnostic {
    level: String,
    rendered: Option<String>,
    spans: Vec<DiagnosticSpan>,
    children: Vec<Diagnostic>,
}

#[derive(Debug, Deserialize)]
struct DiagnosticSpan {
    file_name: String,
    byte_start: usize,
    byte_end: usize,
    is_primary: bool,
}
