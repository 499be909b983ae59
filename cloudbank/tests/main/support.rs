//! What the tests share: a folder to run the command in, and its output as one text.

use std::ffi::OsStr;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// A folder of its own, in which the command is run.
pub(crate) struct Bench {
    folder: TempDir,
    variables: Vec<(String, String)>,
}

/// A configuration with two folders and one provider in memory.
pub(crate) const TWO_FOLDERS: &str = r#"
[providers.one]
type = "fs"
path = "one"
create = true
durability = "process-crash"

[providers.two]
type = "fs"
path = "two"
create = true
durability = "process-crash"

[providers.scratch]
type = "memory"
object_bytes_max = "4B"
"#;

impl Bench {
    pub(crate) fn empty() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), variables: Vec::new() }
    }

    pub(crate) fn with_config(text: &str) -> Self {
        let bench = Self::empty();
        bench.write("cloudbank.toml", text);
        bench
    }

    pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, body: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), body).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    pub(crate) fn command(&self, arguments: &[impl AsRef<OsStr>]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cloudbank"));
        command.current_dir(self.folder.path()).args(arguments);
        for name in ["CLOUDBANK_CONFIG", "CLOUDBANK_LOG", "APPDATA"] {
            command.env_remove(name);
        }
        // So that no configuration of the user who runs the tests is found.
        command.env("XDG_CONFIG_HOME", self.path("no-such-folder"));
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs a command line, split at blanks, with `input` on standard input.
    pub(crate) fn feed(&self, line: &str, input: &[u8]) -> Output {
        let arguments: Vec<_> = line.split_whitespace().collect();
        let mut child = self.command(&arguments).stdin(Stdio::piped()).spawn().unwrap();
        // It may end without reading everything.
        let _ = child.stdin.take().unwrap().write_all(input);
        child.wait_with_output().unwrap()
    }

    /// Runs a command line, split at blanks, that must succeed; what it wrote to standard output.
    pub(crate) fn ok(&self, line: &str) -> String {
        let output = self.feed(line, b"");
        assert!(output.status.success(), "{line}: {}", self.shown(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs command lines, split at blanks, and shows everything they wrote: standard error behind `!`,
    /// the exit code unless it is zero. Lines that begin with `<` are the input of the next command.
    pub(crate) fn session(&self, lines: &str) -> String {
        let mut text = String::new();
        let mut input = "";
        for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
            if let Some(next) = line.strip_prefix('<') {
                input = next;
                continue;
            }
            let output = self.feed(line, input.as_bytes());
            input = "";
            text += &format!("$ {line}\n{}", self.shown(&output));
        }
        text
    }

    /// Output as text, with what differs from run to run taken out.
    pub(crate) fn shown(&self, output: &Output) -> String {
        let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        for line in String::from_utf8_lossy(&output.stderr).lines() {
            text += &format!("! {line}\n");
        }
        match output.status.code() {
            Some(0) => {}
            Some(code) => text += &format!("[{code}]\n"),
            None => text += "[killed]\n",
        }
        let folder = self.folder.path().canonicalize().unwrap();
        for path in [self.folder.path(), &folder] {
            text = text.replace(&path.display().to_string(), "$DIR");
        }
        without_moments(&without_times(&without_versions(&text)))
    }
}

/// Versions of the folder backend are 32 hexadecimal digits, each new.
fn without_versions(text: &str) -> String {
    let mut shown = String::new();
    let mut word = String::new();
    for c in text.chars().chain(['\n']) {
        if c.is_ascii_alphanumeric() {
            word.push(c);
            continue;
        }
        let version = word.len() == 32 && word.chars().all(|c| c.is_ascii_hexdigit());
        shown += if version { "VERSION" } else { &word };
        word.clear();
        shown.push(c);
    }
    shown.pop();
    shown
}

/// `in 0.1 s` at the end of a line says something else each time.
fn without_times(text: &str) -> String {
    let lines = text.lines().map(|line| match line.rsplit_once(" in ") {
        Some((before, time)) if time.ends_with(" s") => format!("{before} in TIME\n"),
        _ => format!("{line}\n"),
    });
    lines.collect()
}

/// A time of a store's history, `2026-11-22T10:00:00.123456Z`, is another each time.
fn without_moments(text: &str) -> String {
    const SHAPE: &[u8] = b"0000-00-00T00:00:00.000000Z";
    let is_moment = |bytes: &[u8]| {
        bytes.iter().zip(SHAPE).all(|(byte, shape)| match shape {
            b'0' => byte.is_ascii_digit(),
            shape => byte == shape,
        })
    };
    let mut shown = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if rest.len() >= SHAPE.len() && is_moment(&rest.as_bytes()[..SHAPE.len()]) {
            shown += "MOMENT";
            rest = &rest[SHAPE.len()..];
        } else {
            shown.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    shown
}
