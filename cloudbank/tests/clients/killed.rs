//! Clients whose server is killed under them, and is there again soon after: what they do of their own gets all through.

use std::net::TcpListener;
use std::time::Duration;

use libtest_mimic::{Completion, Failed, Trial};

use crate::place::{config, told};
use crate::program::{self, Program};
use crate::running::Running;
use crate::script::{Running as Case, Script};
use crate::support::Bench;

/// Which client does what, and after how many puts each time its server is killed.
#[rustfmt::skip]
const CASES: &[(&str, &str, &str, &str, &[f64])] = &[
    ("aws-cli", "aws_cli.py", "AWS",    "a_sync",   &[20.0, 60.0]),
    ("rclone",  "rclone.py",  "RCLONE", "a_copy",   &[20.0, 60.0]),
    ("restic",  "restic.py",  "RESTIC", "a_backup", &[6.0, 4.0]),
];
/// A client that goes on at another server.
const STAYS_AWAY: &str = "a_server_that_stays_away";

pub(crate) fn trials() -> Vec<Trial> {
    let again = CASES.iter().map(|(client, file, variable, case, kills)| {
        let program = program::find(variable);
        Trial::ignorable_test(format!("{client}::{case}_outlives_servers_that_are_killed"), || {
            kill_and_restart(program, file, case, kills)
        })
    });
    let program = program::find("AWS");
    let other = Trial::ignorable_test(format!("aws-cli::a_sync_outlives_{STAYS_AWAY}"), || {
        go_on_at_another(program)
    });
    again.chain([other]).collect()
}

fn kill_and_restart(
    program: Program,
    file: &str,
    case: &str,
    kills: &[f64],
) -> Result<Completion, Failed> {
    let program = match program {
        Ok(program) => program,
        Err(why) => return Ok(Completion::ignored_with(why)),
    };
    let bench = Bench::with_config(&config(""));
    let host = free_host();
    // A port that stays the same, beside the one that `Running` asks for.
    let listen = format!("--listen {host}");
    let mut server = Running::start(&bench, &listen);
    let folder = tempfile::tempdir()?;
    let told = told(&host, &host, "bucket".to_owned());
    let mut script = Case::start(&Script::read(file), case, &program, folder.path(), told)?;
    for (number, &after) in kills.iter().enumerate() {
        if !wait_for_puts(&server, &mut script, after) {
            script.end()?;
            return Err(
                format!("it ended before its server was killed {} times", number + 1).into()
            );
        }
        server.kill();
        server = Running::start(&bench, &listen);
    }
    script.end()?;
    assert_eq!(server.stop().status.code(), Some(0));
    sound(&bench)
}

fn go_on_at_another(program: Program) -> Result<Completion, Failed> {
    let program = match program {
        Ok(program) => program,
        Err(why) => return Ok(Completion::ignored_with(why)),
    };
    let bench = Bench::with_config(&config(""));
    let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients");
    let (certificate, key) = (here.join("server.pem"), here.join("server.key"));
    let tls = format!("tls_certificate = {certificate:?}\ntls_key = {key:?}\n");
    bench.write("tls.toml", config(&tls));
    let killed = Running::start(&bench, "");
    let steady = Running::start(&bench, "--config tls.toml");
    let folder = tempfile::tempdir()?;
    let told = told(&killed.host(), &steady.host(), "bucket".to_owned());
    let script = Script::read("aws_cli.py");
    let mut script = Case::start(&script, STAYS_AWAY, &program, folder.path(), told)?;
    if !wait_for_puts(&killed, &mut script, 20.0) {
        script.end()?;
        return Err("it ended before its server was killed".into());
    }
    killed.kill();
    script.end()?;
    assert_eq!(steady.stop().status.code(), Some(0));
    sound(&bench)
}

/// Waits until a server has answered so many puts; whether the script still runs then.
fn wait_for_puts(server: &Running, script: &mut Case, puts: f64) -> bool {
    let name = |operation: &str| {
        format!("cloudbank_http_requests_total{{operation=\"{operation}\",status=\"200\"}}")
    };
    loop {
        let done = server.metric(&name("PutObject")) + server.metric(&name("UploadPart"));
        let ended = script.has_ended();
        if ended || done >= puts {
            return !ended;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Where nobody listens.
fn free_host() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

fn sound(bench: &Bench) -> Result<Completion, Failed> {
    let verified = bench.session("store verify");
    if verified.contains("not sound") || verified.ends_with("[1]\n") {
        return Err(verified.into());
    }
    Ok(Completion::Completed)
}
