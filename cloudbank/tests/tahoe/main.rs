//! The Tahoe-LAFS client, unmodified, and its protocol byte by byte, against servers of ours.
//!
//! Each function `case_*` of the scripts beside this file is a test. A grid of servers on every kind of provider, with one
//! client node, is started once for all that the client does; one more server is for what no client would ask, and one for each
//! case that moves a clock. With `CLOUDBANK_TEST_TAHOE_STOCK` set, all of it is asked of the stock server instead: that shows that
//! the cases are right.

#![allow(clippy::unwrap_used)] // A test that meets an error has failed, and says where.

mod grid;
mod place;
#[path = "../clients/program.rs"]
mod program;
#[path = "../clients/script.rs"]
#[allow(dead_code)] // The other binary uses the rest.
mod script;

use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Trial};

use place::{Needs, Place};
use script::Script;

/// What is done, in which file, and what it needs. What takes longest comes first.
#[rustfmt::skip]
const SCRIPTS: &[(&str, &str, Needs)] = &[
    ("survive",  "survive.py",  Needs::Command),
    ("moving",   "moving.py",   Needs::Command),
    ("joining",  "joining.py",  Needs::Command),
    ("docs",     "docs.py",     Needs::Command),
    ("folders",  "folders.py",  Needs::Grid),
    ("files",    "files.py",    Needs::Grid),
    ("mutables", "mutables.py", Needs::Grid),
    ("asked",    "asked.py",    Needs::Wire),
    ("kept",     "kept.py",     Needs::Wire),
    ("hostile",  "hostile.py",  Needs::Impatient),
    ("times",    "times.py",    Needs::Clock),
    ("theirs",   "theirs.py",   Needs::Clock),
];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let program = program::find("TAHOE");
    let place = Arc::new(Place::new(program.as_ref().ok().cloned()));
    let mut trials = Vec::new();
    for (group, file, needs) in SCRIPTS {
        let script = Script::read(&format!("../tahoe/{file}"));
        for case in script.cases() {
            let (script, program, place) = (script.clone(), program.clone(), place.clone());
            let title = format!("{group}::{case}");
            trials.push(Trial::ignorable_test(title, move || {
                script.run(&case, program, || place.told(*needs))
            }));
        }
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    // The servers end here, whatever came of it.
    let problems = place.close();
    for problem in &problems {
        eprintln!("{problem}");
    }
    if problems.is_empty() { conclusion.exit_code() } else { ExitCode::FAILURE }
}
