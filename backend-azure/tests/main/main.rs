//! The Azure backend against a service that misbehaves on demand, and against real ones.

// All of this is test, though its `main` is its own and clippy does not see it.
#![allow(clippy::unwrap_used, clippy::panic)]

mod answers;
#[allow(dead_code, reason = "what the probe finds is tested over S3")]
#[path = "../../../backend-s3/tests/main/fake.rs"]
mod fake;
mod lost;
mod real;
mod settings;

use std::future::Future;
use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};

fn main() -> ExitCode {
    let mut trials = Vec::new();
    trials.extend(answers::trials());
    trials.extend(lost::trials());
    trials.extend(real::trials());
    trials.extend(settings::trials());
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// A test by its sentence. What panics, fails.
fn trial<F: Future<Output = ()>>(
    name: impl Into<String>,
    test: impl FnOnce() -> F + Send + 'static,
) -> Trial {
    Trial::test(name, move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.map_err(Failed::from)?.block_on(test());
        Ok(())
    })
}
