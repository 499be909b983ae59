//! A server with a configuration: keys and their rights, TLS.

use super::running::Running;
use crate::support::Bench;

const CONFIG: &str = r#"
[providers.local]
type = "fs"
path = "data"
create = true
durability = "process-crash"

[[s3.keys]]
access_key = "ann"
secret_key = "ann-has-a-secret"

[[s3.keys]]
access_key = "reader"
secret_key = "${READER_SECRET}"
read = ["open-*"]
"#;

#[test]
fn keys_may_do_what_is_written_and_no_secret_of_theirs_is_told() {
    let bench = Bench::with_config(CONFIG).variable("READER_SECRET", "reader-has-one-too");
    let server = Running::start(&bench, "");
    assert!(!server.said.to_string().contains("secret"), "{}", server.said);
    assert!(!bench.path("cloudbank-keys.toml").exists(), "there are keys");
    let ann = server.client_as("ann", "ann-has-a-secret");
    let reader = server.client_as("reader", "reader-has-one-too");
    for (client, method, target, status) in [
        (&ann, "PUT", "/open-house", 200),
        (&ann, "PUT", "/closed", 200),
        (&ann, "PUT", "/open-house/a", 200),
        (&ann, "PUT", "/closed/a", 200),
        (&reader, "GET", "/open-house/a", 200),
        (&reader, "PUT", "/open-house/a", 403),
        (&reader, "GET", "/closed/a", 403),
        (&reader, "PUT", "/open-door", 403),
        (&server.client_as("ann", "not-her-secret"), "GET", "/open-house/a", 403),
        (&server.client_as("nobody", "ann-has-a-secret"), "GET", "/open-house/a", 403),
    ] {
        let answer = match method {
            "PUT" => client.put(target, b"").unwrap(),
            _ => client.get(target).unwrap(),
        };
        assert_eq!(answer.status, status, "{method} {target} as {}: {answer:?}", client.access_key);
    }
    let logs = server.stop().logs;
    assert!(!logs.contains("secret") && !logs.contains("has-one-too"), "{logs}");
}

#[test]
fn everything_wrong_with_what_is_to_be_served_is_said_at_once() {
    let bench = Bench::with_config(
        r#"
[s3]
listen = ["127.0.0.1:9000", "nine thousand"]
tls_key = "key.pem"
regoin = "eu"
[[s3.keys]]
secret_key = "hush"
[[s3.keys]]
access_key = "a b"
secret_key = "long-enough-a-secret"
reed = "*"
[server]
log = "xml"
requests_max = 0
memory_max = "plenty"
"#,
    );
    let said = bench.session("serve");
    for part in [
        "`listen` has \"nine thousand\" in it, which is no address to listen on",
        "`tls_key` needs `tls_certificate` beside it",
        "`[s3]` has no setting `regoin`",
        "did you mean `region`?",
        "`[[s3.keys]]` needs `access_key`",
        "`secret_key` can be guessed",
        "`access_key` is none",
        "`[[s3.keys]]` has no setting `reed`",
        "`log` is none of the words it may be",
        "`requests_max` is out of range",
        "`memory_max` cannot be understood",
        "10 problems in cloudbank.toml",
    ] {
        assert!(said.contains(part), "{part} is not in:\n{said}");
    }
    assert!(!said.contains("hush") && !said.contains("long-enough"), "{said}");
    assert!(said.ends_with("[2]\n"), "{said}");
    // Other commands do without.
    let check = bench.session("config check");
    assert!(check.contains("10 problems"), "{check}");
}

#[test]
fn a_configuration_with_keys_is_shown_without_their_secrets() {
    let config = format!("{CONFIG}\n[s3]\nregion = \"eu-north-1\"\n");
    let bench = Bench::with_config(&config).variable("READER_SECRET", "reader-has-one-too");
    let shown = bench.ok("config show");
    assert!(shown.contains("[s3]\n") && shown.contains("region = \"eu-north-1\"\n"), "{shown}");
    assert!(
        shown.contains("listen = \"127.0.0.1:9000\"  # default")
            || shown.contains("listen = [\"127.0.0.1:9000\"]  # default"),
        "{shown}"
    );
    assert!(!shown.contains("has-a-secret") && !shown.contains("has-one-too"), "{shown}");
}
