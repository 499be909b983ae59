//! What every manifest of the workspace has in common.

use std::fs;
use std::path::Path;

use super::graph::{RustVersion, Workspace, rust_version};

/// What a member takes from the workspace's manifest.
const INHERITED: &[&str] =
    &["version", "edition", "rust-version", "license", "repository", "publish"];

/// The one crate with features: one for each backend and gateway.
const WITH_FEATURES: &str = "cloudbank";

/// Members that are not where their name says, or have no README.
pub(crate) fn check_places(workspace: &Workspace) -> Vec<String> {
    let mut problems = Vec::new();
    for member in &workspace.members {
        if member.folder != workspace.root.join(&member.name) {
            let place = member.folder.display();
            problems.push(format!("{}: is in {place}, not in a folder of its name", member.name));
        }
        match fs::read_to_string(member.folder.join("README.md")) {
            Ok(text) if text.starts_with(&format!("# {}\n", member.name)) => {}
            Ok(_) => {
                problems.push(format!("{0}: README.md does not begin with # {0}", member.name));
            }
            Err(error) => problems.push(format!("{}: README.md: {error}", member.name)),
        }
    }
    problems
}

/// Members that state for themselves what the workspace states for all.
pub(crate) fn check_inheritance(workspace: &Workspace) -> Vec<String> {
    let mut problems = Vec::new();
    for member in &workspace.members {
        let manifest = read(&member.folder.join("Cargo.toml"));
        for key in INHERITED {
            if !inherits(manifest.get("package").and_then(|package| package.get(key))) {
                problems.push(format!("{}: package.{key} is not the workspace's", member.name));
            }
        }
        if !inherits(manifest.get("lints")) {
            problems.push(format!("{}: lints are not the workspace's", member.name));
        }
    }
    problems
}

/// Members with features that should have none.
pub(crate) fn check_features(workspace: &Workspace) -> Vec<String> {
    let members = workspace.members.iter().filter(|member| member.name != WITH_FEATURES);
    let with_features = members.filter(|member| !member.features.is_empty());
    with_features
        .map(|member| {
            let names = member.features.join(", ");
            format!("{}: features belong in {WITH_FEATURES}, not here: {names}", member.name)
        })
        .collect()
}

/// Whether the minimum Rust stated is too low for a dependency, or not held by a lint.
pub(crate) fn check_minimum_rust(workspace: &Workspace) -> Vec<String> {
    let manifest = read(&workspace.root.join("Cargo.toml"));
    let shared = &manifest["workspace"];
    let stated = rust_version(shared["package"]["rust-version"].as_str().unwrap());
    let mut problems = too_low(workspace, stated);
    // Only one toolchain is at hand in most places; this lint knows since when each of std's items is.
    let lint = shared["lints"]["clippy"].get("incompatible_msrv").and_then(toml::Value::as_str);
    if lint != Some("deny") {
        problems.push("clippy::incompatible_msrv is not denied in the workspace".into());
    }
    problems
}

/// What needs a newer Rust than the one stated.
pub(crate) fn too_low(workspace: &Workspace, stated: RustVersion) -> Vec<String> {
    let (major, minor) = stated;
    let mut problems = Vec::new();
    for (name, needed) in &workspace.minimum_rusts {
        if *needed > stated {
            problems.push(format!("rust-version is {major}.{minor}, but {name} needs {needed:?}"));
        }
    }
    for member in &workspace.members {
        if member.minimum_rust != Some(stated) {
            problems.push(format!("{}: rust-version is not the workspace's", member.name));
        }
    }
    problems
}

fn inherits(value: Option<&toml::Value>) -> bool {
    value.and_then(|value| value.get("workspace")).and_then(toml::Value::as_bool) == Some(true)
}

fn read(path: &Path) -> toml::Table {
    fs::read_to_string(path).unwrap().parse().unwrap()
}
