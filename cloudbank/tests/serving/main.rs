//! Servers under load: how much memory they take, and what is left when they are killed.
//!
//! A short slice of it runs with every `cargo test`; `CLOUDBANK_SOAK_SECONDS` makes it longer.

#![allow(clippy::unwrap_used)] // A soak that meets an error has failed, and says where.

#[path = "../main/serve/client.rs"]
#[allow(dead_code)] // The other binary uses the rest.
mod client;
mod combined;
mod killed;
mod members;
mod memory;
#[path = "../main/serve/running.rs"]
#[allow(dead_code)] // The other binary uses the rest.
mod running;
#[path = "../main/support.rs"]
#[allow(dead_code)] // The other binary uses the rest.
mod support;
#[cfg(feature = "gateway-tahoe")]
mod tahoe;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

/// Where the store of two servers can be: a name, and the variable that says where the service is.
const PLACES: [(&str, Option<&str>); 3] = [
    ("fs", None),
    ("seaweedfs", Some("CLOUDBANK_TEST_SEAWEEDFS")),
    ("moto", Some("CLOUDBANK_TEST_MOTO")),
];

fn main() -> ExitCode {
    let quick = std::env::var_os("CLOUDBANK_TEST_QUICK").is_some();
    let mut trials: Vec<_> = PLACES
        .into_iter()
        .map(|(name, variable)| {
            let endpoint = variable.map(std::env::var);
            let there = !quick && !matches!(endpoint, Some(Err(_)));
            let test = move || {
                killed::run(name, endpoint.and_then(Result::ok).as_deref());
                Ok(())
            };
            let title =
                format!("{name}_clients_of_one_server_notice_nothing_when_another_is_killed");
            Trial::test(title, test).with_ignored_flag(!there)
        })
        .collect();
    let members = Trial::test(
        "clients_notice_nothing_when_one_cloud_after_the_other_is_killed_or_wiped",
        || {
            members::run();
            Ok(())
        },
    );
    trials.push(members.with_ignored_flag(quick));
    let memory = Trial::test("memory_has_a_bound_however_many_clients_stream", || {
        memory::run();
        Ok(())
    });
    let combined = Trial::test("servers_that_combine_go_on_when_their_combiner_is_killed", || {
        combined::run();
        Ok(())
    });
    trials.push(combined.with_ignored_flag(quick));
    trials.push(memory.with_ignored_flag(quick || cfg!(not(target_os = "linux"))));
    #[cfg(feature = "gateway-tahoe")]
    {
        let killed = Trial::test("tahoe_keeps_what_it_acknowledged_when_it_is_killed", || {
            tahoe::run();
            Ok(())
        });
        trials.push(killed.with_ignored_flag(quick));
    }
    // One after the other: each keeps both cores of a small machine busy.
    let arguments = Arguments { test_threads: Some(1), ..Arguments::from_args() };
    libtest_mimic::run(&arguments, trials).exit_code()
}
