//! What must stay true of the workspace as a whole, checked on what cargo says it is.

#![allow(clippy::unwrap_used, reason = "this is all test code")]

mod graph;
mod manifests;
mod planted;
mod public_api;
mod rules;

use std::path::PathBuf;

use graph::Workspace;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// Fails with one line for each thing that is wrong.
#[track_caller]
fn assert_none(problems: &[String]) {
    assert!(problems.is_empty(), "\n  {}\n", problems.join("\n  "));
}

#[test]
fn every_edge_between_our_crates_is_one_the_design_allows() {
    assert_none(&rules::check(&Workspace::read(&root())));
}

#[test]
fn every_member_is_a_top_level_folder_named_as_its_crate_with_a_readme() {
    assert_none(&manifests::check_places(&Workspace::read(&root())));
}

#[test]
fn every_member_inherits_edition_minimum_rust_licence_and_lints() {
    assert_none(&manifests::check_inheritance(&Workspace::read(&root())));
}

#[test]
fn features_exist_only_in_the_crate_that_sees_everything() {
    assert_none(&manifests::check_features(&Workspace::read(&root())));
}

#[test]
fn the_minimum_rust_stated_is_what_the_dependencies_need_and_lints_hold_us_to_it() {
    assert_none(&manifests::check_minimum_rust(&Workspace::read(&root())));
}

#[test]
fn the_waist_shows_no_type_of_other_crates_but_bytes_and_futures_core() {
    let problems = public_api::check_folder(&root().join("storage-core/src"));
    assert_none(&problems);
}
