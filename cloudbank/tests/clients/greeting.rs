//! The lines to paste that a server prints: each works as it stands.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use libtest_mimic::{Completion, Failed, Trial};

use crate::program::{self, Program};
use crate::support::Bench;

/// What a line begins with, and what runs it.
const LINES: &[(&str, &str)] = &[
    ("aws-cli", "AWS"),
    ("boto3", "FILES"),
    ("rclone", "RCLONE"),
    ("s3cmd", "S3CMD"),
    ("restic", "RESTIC"),
];

pub(crate) fn trials() -> Vec<Trial> {
    let trial = |&(client, variable): &(&'static str, &'static str)| {
        let program = program::find(variable);
        Trial::ignorable_test(
            format!("{client}::the_line_to_paste_works_as_it_stands"),
            move || paste(client, program),
        )
    };
    LINES.iter().map(trial).collect()
}

fn paste(client: &str, program: Program) -> Result<Completion, Failed> {
    let program = match program {
        Ok(program) => program,
        Err(why) => return Ok(Completion::ignored_with(why)),
    };
    let bench = Bench::empty();
    let words = ["serve", "--listen", "127.0.0.1:0", "--admin", "off"];
    let mut server = Server(bench.command(&words).stderr(Stdio::null()).spawn()?);
    let mut out = BufReader::new(server.0.stdout.take().unwrap());
    let mut said = String::new();
    while !said.contains("Ctrl-C") {
        if out.read_line(&mut said)? == 0 {
            return Err(said.into());
        }
    }
    let line = said.lines().find_map(|line| line.strip_prefix(client)?.strip_prefix(' '));
    let line = line.ok_or_else(|| Failed::from(format!("no line for {client} in {said}")))?.trim();
    let command = match client {
        "boto3" => format!("python -c 'import boto3; {line}.list_buckets()'"),
        _ => line.to_owned(),
    };
    let path = std::env::join_paths(
        program
            .parent()
            .into_iter()
            .map(Into::into)
            .chain(std::env::var_os("PATH").iter().flat_map(std::env::split_paths)),
    )?;
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", &command]).current_dir(bench.path(".")).env("PATH", path);
    shell.env("HOME", bench.path(".")).env("NO_PROXY", "*").env_remove("AWS_CA_BUNDLE");
    // It would ask for that.
    shell.env("RESTIC_PASSWORD", "correct horse").stdin(Stdio::null());
    let output = shell.output()?;
    if output.status.success() {
        return Ok(Completion::Completed);
    }
    let problem = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(format!("{command}\n{}: {problem}", output.status).into())
}

/// A server that ends with the test.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
