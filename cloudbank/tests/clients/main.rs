//! Real clients, unmodified, against two servers of one store: what the users of each do.
//!
//! A client is a script beside this file, and each of its functions `case_*` is a test: run in an empty folder, with a bucket
//! of its own, told by variables where everything is (`support.py` says which). A case that cannot run here, since a client
//! is not installed or the machine lacks something, is listed as ignored, with the reason.

#![allow(clippy::unwrap_used)] // A test that meets an error has failed, and says where.

#[path = "../main/serve/client.rs"]
#[allow(dead_code)] // The other binary uses the rest.
mod client;
mod greeting;
mod killed;
mod place;
mod program;
#[path = "../main/serve/running.rs"]
#[allow(dead_code)] // The other binary uses the rest.
mod running;
mod script;
#[path = "../main/support.rs"]
#[allow(dead_code)] // The other binary uses the rest.
mod support;

use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Trial};

use place::Place;
use script::Script;

/// The clients: what they are called, what is done with them, and what they are run as. Those that take longest come first.
#[rustfmt::skip]
const CLIENTS: &[(&str, &str, &str)] = &[
    ("aws-cli",    "aws_cli.py",  "AWS"),
    ("restic",     "restic.py",   "RESTIC"),
    ("s3cmd",      "s3cmd.py",    "S3CMD"),
    ("rclone",     "rclone.py",   "RCLONE"),
    ("s5cmd",      "s5cmd.py",    "S5CMD"),
    ("pyarrow",    "arrow.py",    "LIBRARIES"),
    ("duckdb",     "duck.py",     "LIBRARIES"),
    ("minio-py",   "minio_py.py", "LIBRARIES"),
    ("obstore",    "obstores.py", "LIBRARIES"),
    ("s3fs",       "fsspecs.py",  "FILES"),
    ("aws-sdk-js", "sdk_js.cjs",  "NODE_MODULES"),
    ("chromium",   "browser.py",  "CHROMIUM"),
    ("s3fs-fuse",  "mounts.py",   "S3FS"),
    ("curl",       "curl.py",     "CURL"),
];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let place = Arc::new(Place::new());
    let mut trials = Vec::new();
    for (client, file, variable) in CLIENTS {
        let program = program::find(variable);
        let script = Script::read(file);
        for case in script.cases() {
            let (script, program, place) = (script.clone(), program.clone(), place.clone());
            let title = format!("{client}::{case}");
            trials.push(Trial::ignorable_test(title, move || {
                script.run(&case, program, || place.told())
            }));
        }
    }
    trials.extend(killed::trials());
    trials.extend(greeting::trials());
    let conclusion = libtest_mimic::run(&arguments, trials);
    // The servers end here, whatever came of it.
    let problems = place.close();
    for problem in &problems {
        eprintln!("{problem}");
    }
    if problems.is_empty() { conclusion.exit_code() } else { ExitCode::FAILURE }
}
