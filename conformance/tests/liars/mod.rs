//! Wrong providers, each with one mistake that services or authors have made, and the case that must
//! name it.

/// Makes of each line `name: "case that names the mistake", place, "what is wrong, and where that was
/// seen";` a row of the table [`LIARS`] of the module.
macro_rules! liars {
    ($($name:ident: $case:literal, $world:expr, $mistake:literal;)+) => {
        pub(crate) const LIARS: &[super::Row] = &[$(
            super::Row { name: stringify!($name), case: $case, world: || $world, mistake: $mistake },
        )+];
    };
}

mod lie;

mod bodies;
mod cancel;
mod collectors;
mod conditions;
mod deletes;
mod folder;
mod honesty;
mod limits;
mod lists;
mod logs;
mod names;
mod outcomes;
mod pasts;
mod races;
mod ranges;
mod stores;
mod versions;

pub(crate) use folder::second_process;
pub(crate) use lie::World;

use storage_core::{Atomicity, ListConsistency, Versions};

mod prelude {
    pub(crate) use backend_memory::MemoryProvider;
    pub(crate) use bytes::Bytes;
    pub(crate) use storage_core::{
        Error, ErrorKind, Get, Key, List, Listed, Object, Page, Prefix, ProviderInfo, PutIf,
        Result, StorageProvider, Version, async_trait,
    };

    pub(crate) use super::lie::{
        Lie, Truth, World, body_of, each, everything, exists, page_of, pause, refusal, shared,
    };
}

/// A liar: its name, the case that must find it out, how to make it, and what it does wrong.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) case: &'static str,
    pub(crate) world: fn() -> World,
    pub(crate) mistake: &'static str,
}

/// All of them, by subject.
pub(crate) const ALL: &[(&str, &[Row])] = &[
    ("Bodies, sizes and limits", bodies::LIARS),
    ("Ranges", ranges::LIARS),
    ("Versions, and gets that rest on them", versions::LIARS),
    ("Conditions of a put", conditions::LIARS),
    ("Races, and several handles", races::LIARS),
    ("Lists", lists::LIARS),
    ("Keys", names::LIARS),
    ("Deleting", deletes::LIARS),
    ("Outcomes", outcomes::LIARS),
    ("Cancellation, and many at once", cancel::LIARS),
    ("Several processes, and killed ones", folder::LIARS),
    ("Full and read-only places", limits::LIARS),
    ("Honesty", honesty::LIARS),
    ("Stores", stores::LIARS),
    ("Stores that collect", collectors::LIARS),
    ("Stores and their past", pasts::LIARS),
    ("Logs beneath a store", logs::LIARS),
];

/// Providers that hold more than they declare, each with the case that notices.
pub(crate) fn under_claims() -> [(&'static str, World); 3] {
    [
        ("put.unsupported.refused", honesty::declares(|it| it.matches = Atomicity::Unsupported)),
        ("honesty.versions", honesty::declares(|it| it.versions = Versions::PerContent)),
        ("list.own-writes", honesty::declares(|it| it.list = ListConsistency::Eventual)),
    ]
}
