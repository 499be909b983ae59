//! Looking after arrays: members that are wiped, damaged, missing; that come and go.

mod changes;
mod log;
mod upkeep;

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::Bench;

/// Folders as providers; the last settings are those of the arrays.
fn config(folders: &[&str], arrays: &str) -> String {
    let folder = |name: &&str| {
        format!(
            "[providers.{name}]\ntype = \"fs\"\npath = \"{name}\"\ncreate = true\n\
             durability = \"process-crash\"\nretries_max = 0\n\n"
        )
    };
    folders.iter().map(folder).collect::<String>() + arrays
}

const ERASURE: &str = "[providers.safe]\ntype = \"erasure\"\ndata = 2\nparity = 1\n\
                       members = [\"a\", \"b\", \"c\"] # the three\n";
const MIRROR: &str = "[providers.safe]\ntype = \"mirror\"\nmembers = [\"a\", \"b\", \"c\"]\n";
const SHARD: &str = "[providers.room]\ntype = \"shard\"\nmembers = [\"a\", \"b\"]\n";

/// Puts so many objects into a provider: their keys, and the files that they are in.
fn fill(bench: &Bench, provider: &str, objects: usize) -> Vec<(String, String)> {
    let mut names = Vec::new();
    for at in 0..objects {
        let (key, file) = (format!("k/{at:02}"), format!("file{at:02}"));
        bench.write(&file, format!("{at} ").repeat(2000 + at));
        bench.ok(&format!("provider put -p {provider} {key} {file}"));
        names.push((key, file));
    }
    names
}

fn check_all(bench: &Bench, provider: &str, names: &[(String, String)]) {
    for (key, file) in names {
        bench.ok(&format!("provider get -p {provider} {key} back"));
        assert_eq!(bench.read("back"), bench.read(file), "{key}");
    }
}

/// Runs a command line that writes one JSON value, and says that and the exit code.
fn json(bench: &Bench, line: &str) -> (serde_json::Value, i32) {
    let output = bench.feed(&format!("{line} --json"), b"");
    let text = String::from_utf8_lossy(&output.stdout);
    let value = serde_json::from_str(text.trim())
        .unwrap_or_else(|error| panic!("{line}: {error}: {}", bench.shown(&output)));
    (value, output.status.code().unwrap())
}

/// What the status says of each member.
fn states(status: &serde_json::Value) -> Vec<(&str, &str)> {
    let members = status["members"].as_array().unwrap().iter();
    members.map(|it| (it["name"].as_str().unwrap(), it["state"].as_str().unwrap())).collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(self::files(&path)) } else { files.push(path) }
    }
    files.sort();
    files
}
