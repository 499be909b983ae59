//! What an operator sees: health, metrics, logs, and how it ends.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use rustix::process::Signal;

use super::client::ask;
use super::running::Running;
use crate::support::Bench;

#[test]
fn metrics_count_what_was_done_by_operation_and_status() {
    let bench = Bench::empty();
    let server = Running::start(&bench, "");
    let client = server.client();
    client.put("/bucket", b"").unwrap();
    for number in 0..3 {
        client.put(&format!("/bucket/{number}"), &[0; 1000]).unwrap();
    }
    assert_eq!(client.get("/bucket/1").unwrap().body.len(), 1000);
    assert_eq!(client.get("/bucket/missing").unwrap().status, 404);
    let requests = |operation: &str, status: u16| {
        let labels = format!("operation=\"{operation}\",status=\"{status}\"");
        server.metric(&format!("cloudbank_http_requests_total{{{labels}}}"))
    };
    assert_eq!(requests("PutObject", 200), 3.0);
    assert_eq!(requests("CreateBucket", 200), 1.0);
    assert_eq!(requests("GetObject", 200), 1.0);
    assert_eq!(requests("GetObject", 404), 1.0);
    let of = |name: &str, operation: &str| {
        server.metric(&format!("cloudbank_http_{name}{{operation=\"{operation}\"}}"))
    };
    assert_eq!(of("received_bytes_total", "PutObject"), 3000.0);
    assert!(of("sent_bytes_total", "GetObject") >= 1000.0);
    assert_eq!(of("request_seconds_count", "PutObject"), 3.0);
    assert!(server.metric("cloudbank_store_version") >= 4.0);
    let puts =
        "cloudbank_provider_requests_total{provider=\"local\",operation=\"put\",outcome=\"ok\"}";
    assert!(server.metric(puts) >= 4.0);
    let elsewhere = ask(&server.host(), "/-/metrics").unwrap();
    assert_ne!(elsewhere.status, 200, "metrics are for the operator: {elsewhere:?}");
}

#[test]
fn health_is_told_on_both_listeners_without_a_key() {
    let bench = Bench::empty();
    let server = Running::start(&bench, "");
    for host in [server.host(), server.admin()] {
        for path in ["/-/healthy", "/-/ready"] {
            let answer = ask(&host, path).unwrap();
            assert_eq!((answer.status, &answer.body[..]), (200, &b"ok\n"[..]), "{host}{path}");
        }
    }
    assert_eq!(ask(&server.admin(), "/").unwrap().status, 404);
}

#[test]
fn a_server_that_is_told_to_stop_finishes_what_it_has_accepted() {
    let bench = Bench::empty();
    let mut server = Running::start(&bench, "");
    let client = server.client();
    client.put("/bucket", b"").unwrap();
    let mut upload = TcpStream::connect(server.host()).unwrap();
    upload.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
    let target = "/bucket/late";
    write!(
        upload,
        "PUT {target} HTTP/1.1\r\nHost: {}\r\n{}Content-Length: 10\r\nExpect: 100-continue\r\n\r\n",
        client.host,
        client.signed("PUT", target)
    )
    .unwrap();
    // It asks for the body, so it has accepted the request.
    let mut said = [0; 25];
    upload.read_exact(&mut said).unwrap();
    assert!(said.starts_with(b"HTTP/1.1 100 Continue"), "{said:?}");
    server.signal(Signal::TERM);
    let stopping = std::iter::repeat_with(|| ask(&server.admin(), "/-/ready").unwrap())
        .find(|answer| answer.status != 200);
    let stopping = stopping.unwrap();
    assert_eq!((stopping.status, &stopping.body[..]), (503, &b"stopping\n"[..]));
    upload.write_all(b"0123456789").unwrap();
    let mut answer = String::new();
    upload.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let ended = server.wait();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.logs);
    let again = Running::start(&bench, "");
    assert_eq!(again.client().get(target).unwrap().body, b"0123456789");
}

#[test]
fn every_answer_has_the_id_of_its_request_in_the_logs_and_no_secret_is_there() {
    let bench = Bench::with_config("[server]\nlog = \"json\"\n[providers.local]\ntype = \"fs\"\npath = \"data\"\ncreate = true\n")
        .variable("CLOUDBANK_LOG", "trace");
    let server = Running::start(&bench, "");
    let client = server.client();
    client.put("/bucket", b"").unwrap();
    client.put("/bucket/key", b"a body nobody should read").unwrap();
    let answer = client.get("/bucket/key").unwrap();
    let id = answer.header("x-amz-request-id").unwrap().to_owned();
    let stranger = server.client_as(&client.access_key, "a-wrong-secret-of-somebody");
    let refused = stranger.get("/bucket/key?X-Amz-Security-Token=canary").unwrap();
    assert_eq!(refused.status, 403);
    let refused_id = refused.header("x-amz-request-id").unwrap().to_owned();
    let logs = server.stop().logs;
    let of_ours: Vec<serde_json::Value> =
        logs.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    for (id, status) in [(id, "200"), (refused_id, "403")] {
        let line = of_ours
            .iter()
            .find(|line| line["message"] == "answered" && line["span"]["id"] == id.as_str());
        let line = line.unwrap_or_else(|| panic!("no {id} in {logs}"));
        assert_eq!(line["status"], status);
        assert_eq!(line["span"]["operation"], "GetObject");
    }
    for secret in [client.secret_key.as_str(), "a-wrong-secret", "nobody should read"] {
        assert!(!logs.contains(secret), "{secret} is in the logs:\n{logs}");
    }
}
