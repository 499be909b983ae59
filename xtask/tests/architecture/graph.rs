//! The workspace as `cargo metadata` describes it.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The workspace's members and what they stand on.
pub(crate) struct Workspace {
    /// Its top folder.
    pub(crate) root: PathBuf,
    /// Its members.
    pub(crate) members: Vec<Member>,
    /// The name and the minimum Rust of every crate outside it that states one.
    pub(crate) minimum_rusts: Vec<(String, RustVersion)>,
}

/// A crate of ours.
#[derive(Clone)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
    pub(crate) edges: Vec<Edge>,
    pub(crate) features: Vec<String>,
    pub(crate) minimum_rust: Option<RustVersion>,
}

/// What a crate asks for.
#[derive(Clone)]
pub(crate) struct Edge {
    /// The crate asked for.
    pub(crate) to: String,
    /// Whether it is one of ours.
    pub(crate) ours: bool,
    pub(crate) kind: Kind,
}

/// What an edge is for. What a build script uses counts as normal: it is needed to compile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Normal,
    Dev,
}

/// A version of Rust, to compare.
pub(crate) type RustVersion = (u32, u32);

impl Workspace {
    /// Asks cargo.
    pub(crate) fn read(root: &Path) -> Self {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let output = Command::new(cargo)
            .args(["metadata", "--format-version=1", "--offline", "--all-features"])
            .current_dir(root)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Self::from_metadata(root, &serde_json::from_slice(&output.stdout).unwrap())
    }

    /// Reads what cargo says.
    pub(crate) fn from_metadata(root: &Path, metadata: &Value) -> Self {
        let ids = metadata["workspace_members"].as_array().unwrap();
        let (ours, others): (Vec<_>, Vec<_>) = metadata["packages"]
            .as_array()
            .unwrap()
            .iter()
            .partition(|package| ids.contains(&package["id"]));
        let names: Vec<_> = ours.iter().map(|package| text(&package["name"])).collect();
        Self {
            root: root.to_path_buf(),
            members: ours.into_iter().map(|package| member(package, &names)).collect(),
            minimum_rusts: others
                .into_iter()
                .filter_map(|package| {
                    Some((text(&package["name"]), rust_version(package["rust_version"].as_str()?)))
                })
                .collect(),
        }
    }
}

fn member(package: &Value, names: &[String]) -> Member {
    let edges = package["dependencies"].as_array().unwrap().iter().map(|dependency| {
        let to = text(&dependency["name"]);
        let ours = names.contains(&to) && dependency["path"].is_string();
        let dev = dependency["kind"].as_str() == Some("dev");
        Edge { to, ours, kind: if dev { Kind::Dev } else { Kind::Normal } }
    });
    let manifest = PathBuf::from(text(&package["manifest_path"]));
    Member {
        name: text(&package["name"]),
        folder: manifest.parent().unwrap().to_path_buf(),
        edges: edges.collect(),
        features: package["features"].as_object().unwrap().keys().cloned().collect(),
        minimum_rust: package["rust_version"].as_str().map(rust_version),
    }
}

/// Major and minor: no crate here depends on a patch of Rust.
pub(crate) fn rust_version(text: &str) -> RustVersion {
    let mut numbers = text.split('.').map(|number| number.parse().unwrap());
    (numbers.next().unwrap(), numbers.next().unwrap_or(0))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}
