//! The rules' own test: wrong workspaces, each found out.

use std::fs;

use serde_json::{Value, json};

use super::graph::Workspace;
use super::{manifests, public_api, rules};

/// A workspace of crates, each with the edges `name`, or `dev name`, or `other name` for a crate that
/// is not ours.
fn workspace(crates: &[(&str, &[&str])]) -> Workspace {
    let packages: Vec<Value> = crates.iter().map(|(name, edges)| package(name, edges)).collect();
    let members: Vec<_> = packages.iter().map(|package| package["id"].clone()).collect();
    let metadata = json!({"packages": packages, "workspace_members": members});
    Workspace::from_metadata("/w".as_ref(), &metadata)
}

fn package(name: &str, edges: &[&str]) -> Value {
    let dependencies: Vec<_> = edges
        .iter()
        .map(|edge| match edge.split_once(' ') {
            None => json!({"name": edge, "kind": null, "path": format!("/w/{edge}")}),
            Some(("dev", to)) => json!({"name": to, "kind": "dev", "path": format!("/w/{to}")}),
            Some((_, to)) => json!({"name": to, "kind": null}),
        })
        .collect();
    json!({
        "id": name, "name": name, "manifest_path": format!("/w/{name}/Cargo.toml"),
        "dependencies": dependencies, "features": {}, "rust_version": "1.90",
    })
}

#[test]
fn each_forbidden_edge_is_named_with_the_rule_it_breaks() {
    #[rustfmt::skip]
    let cases: &[(&str, &str, &str, bool)] = &[
        // from, edge, a word of the rule, whether it is forbidden
        ("storage-core", "storage-wrappers", "waist", true),
        ("storage-core", "other tokio", "tiny", true),
        ("storage-core", "other bytes", "", false),
        ("storage-core", "dev backend-memory", "", false),
        ("storage-core", "dev conformance", "waist", true),
        ("storage-wrappers", "storage-core", "", false),
        ("storage-wrappers", "backend-memory", "know none", true),
        ("backend-s3", "storage-core", "", false),
        ("backend-s3", "other object_store", "", false),
        ("backend-s3", "backend-fs", "never on another", true),
        ("backend-s3", "dev backend-fs", "never on another", true),
        ("backend-s3", "backend-object-store", "", false),
        ("backend-fs", "backend-object-store", "never on another", true),
        ("backend-object-store", "backend-s3", "waist only", true),
        ("backend-s3", "storage-wrappers", "its service's library", true),
        ("backend-s3", "dev conformance", "", false),
        ("backend-s3", "conformance", "its service's library", true),
        ("backend-of-a-stranger", "cloudbank", "storage-core", true),
        ("storage-log", "storage-txn", "waist only", true),
        ("storage-array", "storage-log", "waist only", true),
        ("storage-txn", "storage-log", "", false),
        ("storage-txn", "backend-fs", "whoever provides", true),
        ("storage-txn", "storage-array", "whoever provides", true),
        ("storage-txn", "dev storage-array", "", false),
        ("gateway-s3", "storage-txn", "", false),
        ("gateway-s3", "backend-memory", "names no backend", true),
        ("gateway-s3", "gateway-tahoe", "names no backend", true),
        ("gateway-s3", "storage-log", "names no backend", true),
        ("conformance", "storage-wrappers", "", false),
        ("conformance", "backend-fs", "capabilities", true),
        ("conformance", "dev backend-memory", "", false),
        ("conformance", "cloudbank", "capabilities", true),
        ("cloudbank", "backend-s3", "", false),
        ("cloudbank", "gateway-s3", "", false),
        ("cloudbank", "xtask", "chores", true),
        ("examples", "cloudbank", "", false),
        ("examples", "xtask", "users", true),
        ("xtask", "storage-core", "does not compile", true),
        ("xtask", "dev cloudbank", "does not compile", true),
    ];
    for &(from, edge, word, forbidden) in cases {
        let to = edge.split(' ').next_back().unwrap();
        let edges = [edge];
        let mut crates = vec![(from, &edges[..])];
        if !edge.starts_with("other") {
            crates.push((to, &[][..]));
        }
        let problems = rules::check(&workspace(&crates));
        if forbidden {
            assert_eq!(problems.len(), 1, "{from} -> {edge}: {problems:?}");
            let problem = &problems[0];
            assert!(problem.starts_with(&format!("{from} -> ")), "{problem}");
            assert!(problem.contains(to) && problem.contains(word), "{problem}");
        } else {
            assert!(problems.is_empty(), "{from} -> {edge}: {problems:?}");
        }
    }
}

#[test]
fn a_crate_that_no_rule_knows_is_named() {
    let problems = rules::check(&workspace(&[("utils", &[])]));
    assert!(problems.len() == 1 && problems[0].starts_with("utils: no rule"), "{problems:?}");
}

#[test]
fn features_outside_cloudbank_and_a_minimum_rust_too_low_are_named() {
    let mut planted = workspace(&[("backend-fs", &[]), ("cloudbank", &[])]);
    for member in &mut planted.members {
        member.features = vec!["fast".into()];
    }
    planted.minimum_rusts.push(("eager".into(), (1, 93)));
    let problems = manifests::check_features(&planted);
    assert!(problems.len() == 1 && problems[0].starts_with("backend-fs: "), "{problems:?}");
    assert_eq!(manifests::too_low(&planted, (1, 90)).len(), 1);
    assert!(manifests::too_low(&planted, (1, 93)).iter().any(|problem| problem.contains("fs")));
}

#[test]
fn a_crate_in_the_wrong_place_without_readme_or_with_settings_of_its_own_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("elsewhere");
    fs::create_dir(&place).unwrap();
    fs::write(
        place.join("Cargo.toml"),
        "[package]\nversion.workspace = true\nedition = \"2021\"\nrust-version.workspace = true\n\
         license.workspace = true\nrepository.workspace = true\npublish.workspace = true\n",
    )
    .unwrap();
    let mut planted = workspace(&[("backend-fs", &[])]);
    planted.members[0].folder = place;
    assert_eq!(manifests::check_places(&planted).len(), 2);
    let problems = manifests::check_inheritance(&planted);
    assert_eq!(
        problems,
        [
            "backend-fs: package.edition is not the workspace's",
            "backend-fs: lints are not the workspace's"
        ]
    );
}

#[test]
fn types_of_other_crates_in_public_signatures_are_named() {
    #[rustfmt::skip]
    let cases: &[(&str, &[&str])] = &[
        ("use std::sync::Arc; use bytes::Bytes; pub fn f(b: Bytes) -> Arc<str> {}", &[]),
        ("use futures_util::Stream; fn f() -> impl Stream {}", &[]),
        ("use futures_util::Stream; pub fn f() -> impl Stream {}", &["futures_util"]),
        ("use futures_util::stream as s; pub fn f() -> s::Once {}", &["futures_util"]),
        ("use futures_util::{future, stream::{Iter, Once}}; pub struct S { pub f: Iter, g: Once }", &["futures_util"]),
        ("use futures_util::stream::Once; pub struct S { g: Once }", &[]),
        ("pub struct S; impl serde::Serialize for S {}", &["serde"]),
        ("pub struct S; impl S { pub fn f(&self, u: url::Url) {} fn g(u: url::Url) {} }", &["url"]),
        ("pub trait T { fn f(&self) -> http::Uri; }", &["http"]),
        ("trait T { fn f(&self) -> http::Uri; }", &[]),
        ("pub enum E { A(http::Uri) }", &["http"]),
        ("pub type T = tokio::task::JoinHandle<()>;", &["tokio"]),
        ("pub use tokio::time::Instant;", &["tokio"]),
        ("use crate::Key; pub fn f(k: Key, s: self::Own) -> super::Other {}", &[]),
        ("#[derive(Serialize)] pub struct S;", &["Serialize"]),
        ("#[derive(Debug, Clone)] pub struct S;", &[]),
    ];
    for (source, wanted) in cases {
        let problems = public_api::check_source("planted.rs", source);
        assert_eq!(problems.len(), wanted.len(), "{source}: {problems:?}");
        for (problem, word) in problems.iter().zip(*wanted) {
            assert!(problem.contains(word), "{source}: {problem}");
        }
    }
}
