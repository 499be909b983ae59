//! The catalogue: every case of the suite, one group to a file.

mod basic;
mod cancel;
mod conditional_get;
mod conditional_put;
mod crash;
mod delete;
mod honesty;
mod key;
mod list;
mod lost;
mod model;
mod race;
mod range;
mod store;

use std::sync::LazyLock;

use crate::Case;

/// Every case, in the order in which they run.
#[must_use]
pub fn cases() -> &'static [Case] {
    static ALL: LazyLock<Vec<Case>> = LazyLock::new(|| {
        [
            basic::CASES,
            range::CASES,
            conditional_get::CASES,
            conditional_put::CASES,
            list::CASES,
            key::CASES,
            delete::CASES,
            honesty::CASES,
            race::CASES,
            model::CASES,
            cancel::CASES,
            lost::CASES,
            crash::CASES,
            store::CASES,
        ]
        .concat()
    });
    &ALL
}

/// The case called `id`.
#[must_use]
pub fn case(id: &str) -> Option<&'static Case> {
    cases().iter().find(|case| case.id == id)
}

#[cfg(test)]
mod tests;
