//! Real clients against a gateway: each case is a function of a script, run on a server of its own.

mod server;

use std::env;
use std::path::Path;
use std::process::Command;

use libtest_mimic::{Arguments, Completion, Failed, Trial};

/// The Python that has boto3.
const PYTHON: &str = "CLOUDBANK_TEST_BOTO3";
/// The script, and what the names of its cases begin with.
const SCRIPT: &str = "tests/clients/boto3_cases.py";
const CASE: &str = "def case_";

fn main() {
    let arguments = Arguments::from_args();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(SCRIPT);
    let text = std::fs::read_to_string(&script).expect("the script is beside the test");
    let cases = text.lines().filter_map(|line| line.strip_prefix(CASE)?.split('(').next());
    let python = env::var(PYTHON).ok();
    let trials = cases
        .map(|case| {
            let (case, script, python) = (case.to_owned(), script.clone(), python.clone());
            Trial::ignorable_test(format!("boto3::{case}"), move || match python {
                Some(python) => run(&python, &script, &case),
                None => {
                    let why =
                        format!("set {PYTHON} to a Python with boto3, or run cargo xtask test");
                    Ok(Completion::ignored_with(why))
                }
            })
        })
        .collect();
    libtest_mimic::run(&arguments, trials).exit();
}

fn run(python: &str, script: &Path, case: &str) -> Result<Completion, Failed> {
    let runtime = tokio::runtime::Runtime::new()?;
    let address = runtime.block_on(server::start(0));
    let output = Command::new(python)
        .arg(script)
        .arg(case)
        .arg(format!("http://{address}"))
        // The proxy of this machine is not for the loopback interface.
        .env("NO_PROXY", "*")
        .output()?;
    if output.status.success() {
        return Ok(Completion::Completed);
    }
    Err(String::from_utf8_lossy(&output.stderr).into_owned().into())
}
