//! A server that nobody has told anything.

use super::running::Running;
use crate::support::Bench;

#[test]
fn with_nothing_configured_there_is_a_store_with_one_key_that_stays_the_same() {
    let bench = Bench::empty();
    let server = Running::start(&bench, "");
    let client = server.client();
    assert_eq!(client.put("/bucket", b"").unwrap().status, 200);
    assert_eq!(client.put("/bucket/a/b", b"a body").unwrap().status, 200);
    let large = vec![7; 10 << 20];
    assert_eq!(client.put("/bucket/large", &large).unwrap().status, 200);
    let keys = bench.path("cloudbank-keys.toml");
    assert_eq!(server.said["keys_file"], keys.canonicalize().unwrap().to_str().unwrap());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&keys).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let said = server.said.clone();
    let ended = server.stop();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.logs);
    assert!(ended.logs.contains("made a store on `local`"), "{}", ended.logs);

    let server = Running::start(&bench, "");
    assert_eq!(server.said["access_key"], said["access_key"]);
    assert_eq!(server.said["secret_key"], said["secret_key"]);
    let client = server.client();
    assert_eq!(client.get("/bucket/a/b").unwrap().body, b"a body");
    assert_eq!(client.get("/bucket/large").unwrap().body, large);
    // The commands of the store see the same one.
    assert!(bench.ok("store log --json").contains("\"version\""));
    assert_eq!(server.stop().status.code(), Some(0));
}

#[test]
fn it_says_where_it_is_and_has_a_line_for_each_client() {
    let bench = Bench::empty();
    let first = Running::start(&bench, "");
    let key = first.said["access_key"].as_str().unwrap().to_owned();
    drop(first);
    let words = ["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    let mut child = bench.command(&words).spawn().unwrap();
    let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut said = String::new();
    while !said.contains("Ctrl-C") {
        assert!(std::io::BufRead::read_line(&mut out, &mut said).unwrap() > 0, "{said}");
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(said.starts_with("serving the store on `local` ("), "{said}");
    for client in ["aws-cli ", "boto3 ", "rclone ", "s3cmd ", "restic ", "mc "] {
        let line = said.lines().find(|line| line.starts_with(client));
        assert!(line.is_some_and(|line| line.contains(&key)), "{client}: {said}");
    }
}

#[test]
fn a_port_that_is_taken_is_named() {
    let bench = Bench::empty();
    let server = Running::start(&bench, "");
    let said = bench.session(&format!("serve --listen {} --admin off", server.host()));
    assert!(said.contains(&format!("something listens on {} already", server.host())), "{said}");
    assert!(said.ends_with("[1]\n"), "{said}");
    let said = bench.session("serve --listen everywhere");
    assert!(said.contains("--listen everywhere is no address to listen on"), "{said}");
    assert!(said.ends_with("[2]\n"), "{said}");
}

#[test]
fn what_cannot_be_served_leaves_no_key_behind() {
    let bench = Bench::empty();
    let said = bench.session("serve --provider nothing --listen 127.0.0.1:0 --admin 127.0.0.1:0");
    assert!(said.contains("there is no provider `nothing`"), "{said}");
    assert!(!bench.path("cloudbank-keys.toml").exists(), "{said}");
}
