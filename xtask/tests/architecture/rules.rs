//! Who may depend on whom: section 1 of the design, as data.

use super::graph::{Edge, Kind, Member, Workspace};

/// What crates with a name may stand on.
struct Rule {
    /// The crate, or with a `*` at the end all whose names begin so. The first rule that fits counts.
    member: &'static str,
    /// Crates of ours it may use. With a `*` at the end, all whose names begin so.
    may_use: &'static [&'static str],
    /// Crates of ours that its tests may use besides.
    tests_may_use: &'static [&'static str],
    /// Crates of others it may use; `None` is any.
    others: Option<&'static [&'static str]>,
    /// The rule in a sentence, for whoever breaks it.
    because: &'static str,
}

const ON_OBJECT_STORE: &str = "a backend depends on storage-core, its service's library and what it \
                               shares with others over object_store, never on another backend";

/// A new edge is a decision: change this table together with a page in `docs/design`.
const RULES: &[Rule] = &[
    Rule {
        member: "storage-core",
        may_use: &[],
        tests_may_use: &["backend-memory"],
        others: Some(&["async-trait", "bytes", "futures-core", "futures-util"]),
        because: "the waist depends on no crate of ours and stays tiny: a backend author compiles \
                  nothing else",
    },
    Rule {
        member: "storage-wrappers",
        may_use: &["storage-core"],
        tests_may_use: &["backend-memory", "conformance"],
        others: None,
        because: "wrappers fit every provider, so they know none",
    },
    Rule {
        member: "backend-object-store",
        may_use: &["storage-core"],
        tests_may_use: &["conformance", "storage-wrappers"],
        others: None,
        because: "what backends over object_store share stands on the waist only",
    },
    Rule {
        member: "backend-azure",
        may_use: &["backend-object-store", "storage-core"],
        tests_may_use: &["conformance", "storage-wrappers"],
        others: None,
        because: ON_OBJECT_STORE,
    },
    Rule {
        member: "backend-s3",
        may_use: &["backend-object-store", "storage-core"],
        tests_may_use: &["conformance", "storage-wrappers"],
        others: None,
        because: ON_OBJECT_STORE,
    },
    Rule {
        member: "backend-*",
        may_use: &["storage-core"],
        tests_may_use: &["conformance", "storage-wrappers"],
        others: None,
        because: "a backend depends on storage-core and its service's library only, never on another \
                  backend",
    },
    Rule {
        member: "storage-log",
        may_use: &["storage-core"],
        tests_may_use: &["backend-memory", "simulation", "storage-wrappers"],
        others: None,
        because: "a log stands on the waist only",
    },
    Rule {
        member: "storage-array",
        may_use: &["storage-core"],
        tests_may_use: &[
            "backend-fs",
            "backend-memory",
            "conformance",
            "simulation",
            "storage-wrappers",
        ],
        others: None,
        because: "an array is a provider made of providers and stands on the waist only",
    },
    Rule {
        member: "storage-txn",
        may_use: &["storage-core", "storage-log"],
        tests_may_use: &[
            "backend-memory",
            "conformance",
            "simulation",
            "storage-array",
            "storage-wrappers",
        ],
        others: None,
        because: "transactions stand on one order and the waist, whoever provides them",
    },
    Rule {
        member: "gateway-*",
        may_use: &["storage-core", "storage-txn"],
        tests_may_use: &["backend-memory", "simulation", "storage-wrappers"],
        others: None,
        because: "a gateway serves any store and names no backend",
    },
    Rule {
        member: "conformance",
        may_use: &["storage-core", "storage-txn", "storage-wrappers"],
        tests_may_use: &["backend-memory"],
        others: None,
        because: "the suite asks for capabilities, never which backend it is",
    },
    Rule {
        member: "models",
        may_use: &[],
        tests_may_use: &[],
        others: Some(&["stateright"]),
        because: "a model says for itself what the protocol is, and is no copy of the code",
    },
    Rule {
        member: "simulation",
        may_use: &["storage-core"],
        tests_may_use: &[],
        others: None,
        because: "the simulator runs whatever stands on the waist, so it knows nothing above it",
    },
    Rule {
        member: "cloudbank",
        may_use: &["backend-*", "conformance", "gateway-*", "storage-*"],
        tests_may_use: &[],
        others: None,
        because: "only cloudbank sees everything, and it is no place for the project's chores",
    },
    Rule {
        member: "examples",
        may_use: &["backend-*", "cloudbank", "conformance", "storage-*"],
        tests_may_use: &[],
        others: None,
        because: "examples show what users of the crates can do",
    },
    Rule {
        member: "xtask",
        may_use: &[],
        tests_may_use: &[],
        others: None,
        because: "chores must run while our own code does not compile",
    },
];

/// Every edge that no rule allows, with the rule it breaks.
pub(crate) fn check(workspace: &Workspace) -> Vec<String> {
    let mut problems = Vec::new();
    for member in &workspace.members {
        match RULES.iter().find(|rule| fits(&member.name, rule.member)) {
            Some(rule) => {
                let broken = member.edges.iter().filter(|edge| !allows(rule, edge));
                problems.extend(broken.map(|edge| describe(member, edge, rule)));
            }
            None => problems.push(format!(
                "{}: no rule says what it may depend on; add one to xtask/tests/architecture/rules.rs",
                member.name
            )),
        }
    }
    problems
}

fn allows(rule: &Rule, edge: &Edge) -> bool {
    let among = |names: &[&str]| names.iter().any(|name| fits(&edge.to, name));
    match (edge.ours, edge.kind) {
        (true, Kind::Normal) => among(rule.may_use),
        (true, Kind::Dev) => among(rule.may_use) || among(rule.tests_may_use),
        (false, Kind::Normal) => rule.others.is_none_or(among),
        (false, Kind::Dev) => true,
    }
}

fn describe(member: &Member, edge: &Edge, rule: &Rule) -> String {
    let arrow = match edge.kind {
        Kind::Normal => "->",
        Kind::Dev => "-> (in tests)",
    };
    format!("{} {arrow} {}: {} (rule for `{}`)", member.name, edge.to, rule.because, rule.member)
}

fn fits(name: &str, pattern: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == pattern,
    }
}
