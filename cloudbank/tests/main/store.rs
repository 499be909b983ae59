//! The commands on a store as they are typed, and what comes of them.

mod arrays;
mod basic;
mod keys;
mod move_log;
mod past;
mod quorum;
mod together;
mod transfer;
mod txn;
mod upkeep;
mod writers;
mod wrong;

use crate::support::Bench;

/// A configuration with a store, and a folder beside it.
const STORE: &str = r#"
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

[store]
provider = "one"
"#;

/// A folder with a new store in it, written to by `alice@home`.
fn store() -> Bench {
    let bench = Bench::with_config(STORE).variable("CLOUDBANK_AUTHOR", "alice@home");
    bench.ok("store init");
    bench
}

/// The only line of JSON that a command line, which must succeed, writes.
fn json(bench: &Bench, line: &str) -> serde_json::Value {
    serde_json::from_str(&bench.ok(line)).unwrap()
}
