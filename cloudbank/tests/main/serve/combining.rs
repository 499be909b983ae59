//! Servers that combine commits: configured wrongly, over TLS, and with somebody who is not one of them.

use std::time::{Duration, Instant};

use super::client::{Client, ask};
use super::running::Running;
use crate::support::Bench;

/// How long servers may take to find each other. Only a test that fails waits so long.
const PATIENCE: Duration = Duration::from_secs(120);
const STORE: &str = r#"
[providers.local]
type = "fs"
path = "data"
create = true
durability = "process-crash"

[[s3.keys]]
access_key = "ann"
secret_key = "ann-has-a-secret"
"#;

/// A server that takes the commits of others, and the address where it does.
fn combiner(bench: &Bench, settings: &str) -> (Running, String) {
    let listen = "listen = \"127.0.0.1:0\"";
    bench.write("one.toml", format!("{STORE}\n[combiner]\n{listen}\n{settings}\n"));
    let server = Running::start(bench, "--config one.toml");
    let address = server.said["combiner"].as_str().unwrap().to_owned();
    (server, address)
}

/// A server of the same store with these settings.
fn another(bench: &Bench, settings: &str) -> Running {
    bench.write("other.toml", format!("{STORE}\n[combiner]\n{settings}\n"));
    Running::start(bench, "--config other.toml")
}

fn client(server: &Running) -> Client {
    server.client_as("ann", "ann-has-a-secret")
}

fn make_bucket(server: &Running) {
    let answer = client(server).put("/bucket", b"").unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
}

fn put(server: &Running, target: &str) {
    let answer = client(server).put(target, b"whatever").unwrap();
    assert_eq!(answer.status, 200, "{target}: {answer:?}");
}

/// Puts objects until the combiner commits for a server.
fn until_combining(server: &Running) {
    let until = Instant::now() + PATIENCE;
    while server.metric("cloudbank_store_combining") < 1.0 {
        assert!(Instant::now() < until, "they do not find each other");
        put(server, "/bucket/waiting");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn servers_find_each_other_over_tls_and_share_entries() {
    let bench = Bench::empty();
    bench.write("cert.pem", include_bytes!("../../clients/server.pem"));
    bench.write("key.pem", include_bytes!("../../clients/server.key"));
    let secret = "secret = \"known to both of them\"";
    let tls = "tls_certificate = \"cert.pem\"\ntls_key = \"key.pem\"";
    let (one, address) = combiner(&bench, &format!("{secret}\n{tls}"));
    make_bucket(&one);
    let trusting = "certificate_authority = \"cert.pem\"";
    let patient = "wait_max = \"2m\"";
    let settings = format!("address = \"https://{address}\"\n{secret}\n{trusting}\n{patient}");
    let two = another(&bench, &settings);
    until_combining(&two);
    let entries = |server: &Running| server.metric("cloudbank_store_entries_total");
    let before = (entries(&one), entries(&two));
    for at in 0..10 {
        put(&two, &format!("/bucket/{at}"));
    }
    assert_eq!(entries(&two), before.1);
    assert!(entries(&one) >= before.0 + 10.0);
    assert!(one.metric("cloudbank_store_taken_over_total") >= 10.0);
    assert!(two.metric("cloudbank_store_handed_over_total") >= 10.0);
    for at in 0..10 {
        assert_eq!(client(&one).get(&format!("/bucket/{at}")).unwrap().body, b"whatever");
    }
    let logs = two.stop().logs;
    assert!(logs.contains(&format!("https://{address} commits for this server")), "{logs}");
    assert!(!logs.contains("known to both"), "{logs}");
    one.stop();
}

#[test]
fn a_server_with_another_secret_commits_by_itself_and_says_why() {
    let bench = Bench::empty();
    let (one, address) = combiner(&bench, "secret = \"known to both of them\"");
    make_bucket(&one);
    let two = another(
        &bench,
        &format!("address = \"http://{address}\"\nsecret = \"known to one of them\""),
    );
    for at in 0..10 {
        put(&two, &format!("/bucket/{at}"));
    }
    let entries = |server: &Running| server.metric("cloudbank_store_entries_total");
    assert!(entries(&two) >= 10.0);
    assert_eq!(one.metric("cloudbank_store_taken_over_total"), 0.0);
    let logs = two.stop().logs;
    let says = "the message was signed with another secret";
    assert!(logs.contains("this server commits by itself") && logs.contains(says), "{logs}");
    let logs = one.stop().logs;
    assert!(logs.contains("no commits were taken") && logs.contains(says), "{logs}");
}

#[test]
fn strangers_are_turned_away() {
    let bench = Bench::empty();
    let (one, address) = combiner(&bench, "secret = \"known to nobody else\"");
    let stranger = Client {
        host: address.clone(),
        access_key: "ann".into(),
        secret_key: "ann-has-a-secret".into(),
    };
    assert_eq!(stranger.post("/-/combine", b"let me in").unwrap().status, 400);
    assert_eq!(stranger.get("/-/combine").unwrap().status, 405);
    assert_eq!(ask(&address, "/bucket").unwrap().status, 404);
    assert_eq!(one.metric("cloudbank_store_taken_over_total"), 0.0);
    assert_eq!(one.stop().status.code(), Some(0));
}

#[test]
fn what_is_wrong_with_a_combiner_is_said_at_once() {
    let bench = Bench::with_config(
        r#"
[providers.local]
type = "memory"
[combiner]
listen = "everywhere"
tls_key = "key.pem"
certificate_authority = "ca.pem"
secret = "hush-hush"
wait = "2s"
"#,
    );
    bench.write(
        "two.toml",
        "[providers.a]\ntype = \"memory\"\n[combiner]\naddress = \"http://a/b\"\n",
    );
    bench.write(
        "none.toml",
        "[providers.a]\ntype = \"memory\"\n[combiner]\nsecret = \"0123456789abcdef\"\n",
    );
    let table: [(&str, &[&str]); 3] = [
        (
            "serve",
            &[
                "`listen` has \"everywhere\" in it, which is no address to listen on",
                "`tls_key` needs `tls_certificate` beside it",
                "`certificate_authority` needs `address` beside it",
                "`secret` can be guessed",
                "`[combiner]` has no setting `wait`",
                "did you mean `wait_max`?",
                "5 problems in cloudbank.toml",
            ],
        ),
        (
            "serve --config two.toml",
            &["`address` has a path, which this server adds itself", "`[combiner]` needs `secret`"],
        ),
        ("serve --config none.toml", &["`[combiner]` has neither `address` nor `listen`"]),
    ];
    for (command, parts) in table {
        let said = bench.session(command);
        for part in parts {
            assert!(said.contains(part), "{part} is not in:\n{said}");
        }
        assert!(said.ends_with("[2]\n") && !said.contains("hush-hush"), "{said}");
    }
}
