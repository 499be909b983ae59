//! A store under processes that are killed at random: nothing acknowledged is lost, what they were told could have
//! happened one transaction at a time, the store verifies, and after a full collection nothing is left over.
//!
//! A short slice of it runs with every `cargo test`; `cargo xtask soak` runs it for as long as one likes.

#![allow(clippy::unwrap_used)] // A soak that meets an error has failed, and says where.

mod judge;
mod supervise;
#[path = "../main/support.rs"]
#[allow(dead_code)] // The other binary uses the rest.
mod support;
mod work;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use cloudbank::{Config, Registry};
use libtest_mimic::{Arguments, Trial};
use storage_core::StorageProvider;
use storage_txn::Options;

use crate::support::Bench;

/// How many seconds each place is soaked; see `cargo xtask soak`.
const SECONDS: &str = "CLOUDBANK_SOAK_SECONDS";
/// Unless the environment says otherwise.
const SECONDS_OF_A_TEST: u64 = 6;
/// The first argument of a process that is to be killed.
const WORK: &str = "soak-worker";
/// The one provider of the configuration.
const PLACE: &str = "place";

/// Where a store can be soaked: a name, and the variable that says where the server is.
const PLACES: [(&str, Option<&str>); 4] = [
    ("fs", None),
    ("seaweedfs", Some("CLOUDBANK_TEST_SEAWEEDFS")),
    ("moto", Some("CLOUDBANK_TEST_MOTO")),
    ("azurite", Some("CLOUDBANK_TEST_AZURITE")),
];

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [first, config, journal, number, seed] = &words[..]
        && first == WORK
    {
        return work::run(config, journal, number.parse().unwrap(), seed.parse().unwrap());
    }
    let trials = PLACES.map(|(name, variable)| {
        let endpoint = variable.map(std::env::var);
        let quick = std::env::var_os("CLOUDBANK_TEST_QUICK").is_some();
        let there = !quick && !matches!(endpoint, Some(Err(_)));
        let test = move || {
            soak(name, endpoint.and_then(Result::ok).as_deref());
            Ok(())
        };
        let title = format!("{name}_keeps_what_killed_processes_were_told");
        Trial::test(title, test).with_ignored_flag(!there)
    });
    // One after the other: each keeps both cores of a small machine busy.
    let arguments = Arguments { test_threads: Some(1), ..Arguments::from_args() };
    libtest_mimic::run(&arguments, trials.into()).exit_code()
}

fn soak(name: &str, endpoint: Option<&str>) {
    let seconds = std::env::var(SECONDS).ok().map(|text| {
        text.parse().unwrap_or_else(|_| panic!("{SECONDS} is a number of seconds, not {text:?}"))
    });
    let time = Duration::from_secs(seconds.unwrap_or(SECONDS_OF_A_TEST));
    let bench = Bench::with_config(&config(name, endpoint));
    if endpoint.is_some() {
        bench.ok(&format!("provider create -p {PLACE}"));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let result = runtime.block_on(supervise::run(&bench, name, time));
    drop(runtime);
    if endpoint.is_some() {
        let removed =
            bench.command(&["provider", "rm", "-p", PLACE, "--prefix", "", "--yes"]).output();
        assert!(removed.unwrap().status.success(), "the bucket is not emptied");
        bench.ok(&format!("provider destroy -p {PLACE} --yes"));
    }
    if let Err(problem) = result {
        let kept = std::env::temp_dir().join(format!("soak-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&kept).unwrap();
        for file in std::fs::read_dir(bench.path("journals")).into_iter().flatten().flatten() {
            std::fs::copy(file.path(), kept.join(file.file_name())).unwrap();
        }
        panic!("{problem}\nthe journals are in {}", kept.display());
    }
}

fn config(name: &str, endpoint: Option<&str>) -> String {
    let bucket = format!("soak-{}", std::process::id());
    let endpoint = endpoint.unwrap_or_default();
    let kind = match name {
        "fs" => "type = \"fs\"\npath = \"data\"\ncreate = true\n".into(),
        "azurite" => format!(
            "type = \"azure\"\nemulator = true\nendpoint = \"{endpoint}\"\ncontainer = \"{bucket}\"\n"
        ),
        _ => format!(
            "type = \"s3\"\nendpoint = \"{endpoint}\"\nallow_http = true\nbucket = \"{bucket}\"\n\
             access_key_id = \"cloudbank\"\nsecret_access_key = \"cloudbank-secret\"\n"
        ),
    };
    // What has to be verified of the server is, by the suite; here processes are started by the hundred.
    let probe = if name == "fs" { "" } else { "probe = \"off\"\n" };
    format!("[providers.{PLACE}]\n{kind}{probe}")
}

/// The provider of a configuration, with the usual wrappers, as the command uses it.
async fn provider(config: &str) -> Arc<dyn StorageProvider> {
    let variables = |name: &str| std::env::var_os(name);
    let config = Config::load(&Registry::standard(), Some(config.as_ref()), &variables).unwrap();
    config.provider(Some(PLACE)).unwrap().open().await.unwrap()
}

/// Small bounds, so that a few seconds see everything that otherwise takes days.
fn options() -> Options {
    let mut options = Options::default();
    options.flush_bytes = 64 << 10;
    options.segment_bytes = 32 << 10;
    options.cache_bytes_max = 1 << 20;
    options
}

/// Nanoseconds of a clock that all processes of the machine share.
fn now() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
