//! The catalogue and the page that explains it say the same.

use std::collections::BTreeSet;

use super::*;
use crate::Level;

const PAGE: &str = include_str!("../../../docs/backends.md");

#[test]
fn every_case_is_on_the_page_for_authors_and_nothing_else_is() {
    let groups: BTreeSet<_> = cases().iter().map(Case::group).collect();
    let on_page: BTreeSet<_> = PAGE
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|code| {
            code.split_once('.').is_some_and(|(group, rest)| {
                groups.contains(group) && !rest.is_empty() && rest != "rs"
            })
        })
        .collect();
    let known: BTreeSet<_> = cases().iter().map(|case| case.id).collect();
    let missing: Vec<_> = known.difference(&on_page).collect();
    let unknown: Vec<_> = on_page.difference(&known).collect();
    assert!(missing.is_empty(), "docs/backends.md does not mention {missing:?}");
    assert!(unknown.is_empty(), "docs/backends.md mentions cases that there are not: {unknown:?}");
}

#[test]
fn a_case_has_an_id_of_its_own_and_says_what_it_requires() {
    let mut seen = BTreeSet::new();
    for case in cases() {
        let id = case.id;
        assert!(seen.insert(id), "two cases are called {id}");
        let spelled = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-".contains(c);
        assert!(id.contains('.') && id.chars().all(spelled), "{id} is not spelled like an id");
        let sentence = !case.requires.is_empty() && !case.requires.ends_with('.');
        assert!(sentence, "{id} must require something, in a sentence without a full stop");
        assert!(case.requests_max > 0, "{id} sends no request");
    }
}

#[test]
fn every_level_is_known_by_its_name() {
    for level in Level::ALL {
        assert_eq!(level.label().parse(), Ok(level));
    }
    assert!("durable".parse::<Level>().is_err());
}
