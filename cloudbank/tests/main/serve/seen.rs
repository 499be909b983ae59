//! What an operator sees: health, metrics, logs, and how it ends.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

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
    assert!(server.metric("cloudbank_store_commits_total") >= 4.0);
    assert!(server.metric("cloudbank_store_entry_bytes_total") >= 3000.0);
    let told = String::from_utf8(ask(&server.admin(), "/-/metrics").unwrap().body).unwrap();
    for line in told.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let name = line.split(' ').next().unwrap();
        assert!(told.contains(&format!("# HELP {name} ")), "{name} says what it is");
    }
    let puts =
        "cloudbank_provider_requests_total{provider=\"local\",operation=\"put\",outcome=\"ok\"}";
    assert!(server.metric(puts) >= 4.0);
    let elsewhere = ask(&server.host(), "/-/metrics").unwrap();
    assert_ne!(elsewhere.status, 200, "metrics are for the operator: {elsewhere:?}");
}

#[test]
fn a_collector_is_told_of_requests_and_what_they_are_made_of() {
    let collector = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", collector.local_addr().unwrap());
    let bench = Bench::empty().variable("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint);
    let server = Running::start(&bench, "");
    let client = server.client();
    client.put("/bucket", b"").unwrap();
    client.put("/bucket/secret-key", b"x").unwrap();
    // All that was not sent by then is sent at the end.
    let stopped = std::thread::spawn(move || server.stop());
    let mut spans = Vec::new();
    while !spans.iter().any(|span: &Value| span["name"] == "PutObject") {
        let (mut stream, _) = collector.accept().unwrap();
        spans.extend(take_spans(&mut stream));
    }
    let ended = stopped.join().unwrap();
    assert!(ended.status.success(), "{}", ended.logs);
    let put = spans.iter().find(|span| span["name"] == "PutObject").unwrap();
    let attributes = put["attributes"].to_string();
    assert!(attributes.contains(r#"{"key":"aws.s3.bucket","value":{"stringValue":"bucket"}}"#));
    assert!(
        attributes.contains(r#"{"key":"http.response.status_code","value":{"intValue":"200"}}"#)
    );
    let commit = spans.iter().find(|span| span["parentSpanId"] == put["spanId"]).unwrap();
    assert_eq!((&commit["name"], &commit["traceId"]), (&"commit".into(), &put["traceId"]));
    let get = spans.iter().find(|span| span["name"] == "provider_request").unwrap();
    assert!(get["attributes"].to_string().contains("operation"), "{get}");
    assert!(!format!("{spans:?}").contains("secret-key"), "keys are not told");
}

/// The spans of one request to a collector, which takes them.
fn take_spans(stream: &mut TcpStream) -> Vec<Value> {
    let mut read = Vec::new();
    loop {
        let mut bytes = [0; 4096];
        let count = stream.read(&mut bytes).unwrap();
        assert!(count > 0, "the request ends early");
        read.extend_from_slice(&bytes[..count]);
        let text = String::from_utf8_lossy(&read);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        if length.is_some_and(|length| length.parse() == Ok(body.len())) {
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";
            stream.write_all(answer).unwrap();
            let body: Value = serde_json::from_str(body).unwrap();
            return body["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap().clone();
        }
    }
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
    // What a client does wrong is no failure of the server.
    assert_eq!(client.put("/Bad_Name", b"").unwrap().status, 400);
    assert_eq!(client.get("/bucket/none").unwrap().status, 404);
    assert_eq!(client.put("/bucket?tagging", b"<no-xml").unwrap().status, 400);
    let stranger = server.client_as(&client.access_key, "a-wrong-secret-of-somebody");
    let refused = stranger.get("/bucket/key?X-Amz-Security-Token=canary").unwrap();
    assert_eq!(refused.status, 403);
    let refused_id = refused.header("x-amz-request-id").unwrap().to_owned();
    let logs = server.stop().logs;
    let of_ours: Vec<Value> =
        logs.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let errors: Vec<_> = of_ours.iter().filter(|line| line["level"] == "ERROR").collect();
    assert!(errors.is_empty(), "{errors:?}");
    for (id, status) in [(id, "200"), (refused_id, "403")] {
        let line = of_ours
            .iter()
            .find(|line| line["message"] == "answered" && line["span"]["id"] == id.as_str());
        let line = line.unwrap_or_else(|| panic!("no {id} in {logs}"));
        assert_eq!(line["status"], status);
        assert_eq!(line["span"]["operation"], "GetObject");
    }
    let secrets = [
        client.secret_key.as_str(),
        "a-wrong-secret",
        "nobody should read",
        "Signature=",
        "<no-xml",
    ];
    for secret in secrets.into_iter().chain(["canary"]) {
        assert!(!logs.contains(secret), "{secret} is in the logs:\n{logs}");
    }
}
