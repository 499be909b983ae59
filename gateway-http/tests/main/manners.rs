//! Requests as they must not be, and what is said to them.

use gateway_http::Limits;

use crate::support::{Server, answer};

/// Sends the head of a request, then its body, and compares the status and what was said.
async fn check(server: &Server, name: &str, request: &str, expected: &str) {
    let said = server.ask(request).await;
    assert_eq!(answer(&said), expected, "{name}: {said}");
}

#[tokio::test]
async fn broken_requests_are_refused_and_the_next_client_is_served() {
    let mut limits = Limits::default();
    limits.body_bytes_max = 1000;
    let server = Server::start(limits);
    let long = format!("GET / HTTP/1.1\r\nHost: x\r\nx: {}\r\n\r\n", "y".repeat(100 << 10));
    let address = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "y".repeat(100 << 10));
    let many: String = (0..200).map(|number| format!("x{number}: y\r\n")).collect();
    let many = format!("GET / HTTP/1.1\r\nHost: x\r\n{many}\r\n");
    let put = "PUT / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n";
    let chunked = format!("{put}Transfer-Encoding: chunked\r\n");
    let hosts = "400 a request has one Host header";
    let cases: [(&str, String, &str); 20] = [
        ("a good one", format!("{put}Content-Length: 3\r\n\r\nabc"), "200 3"),
        ("a good chunked one", format!("{chunked}\r\n3\r\nabc\r\n0\r\n\r\n"), "200 3"),
        ("no HTTP", "hello\r\n\r\n".into(), "400"),
        ("a header that never ends", long, "431"),
        ("an address that never ends", address, "431"),
        ("too many headers", many, "431"),
        ("two lengths", format!("{put}Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"), "400"),
        ("a length with a sign", format!("{put}Content-Length: +3\r\n\r\nabc"), "400"),
        ("a length beyond numbers", format!("{put}Content-Length: {}\r\n\r\n", u128::MAX), "400"),
        // What decides is the coding, as RFC 9112 §6.3 has it: nothing after the body is a request.
        (
            "a length and a coding",
            format!("{chunked}Content-Length: 100\r\n\r\n3\r\nabc\r\n0\r\n\r\n"),
            "200 3",
        ),
        ("a coding that is not chunked", format!("{put}Transfer-Encoding: gzip\r\n\r\nabc"), "400"),
        (
            "a coding in HTTP/1.0",
            "PUT / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".into(),
            "400",
        ),
        (
            "a chunk beyond numbers",
            format!("{chunked}\r\nFFFFFFFFFFFFFFFFFF\r\nabc"),
            "400 error reading a body from connection",
        ),
        (
            "a body that is too long",
            format!("{put}Content-Length: 1001\r\n\r\n"),
            "413 the body is larger than this server takes",
        ),
        (
            "a chunked body that is too long",
            format!("{chunked}\r\n3e9\r\n{}\r\n0\r\n\r\n", "y".repeat(1001)),
            "400 the body has more than 1000 bytes",
        ),
        ("no host", "PUT / HTTP/1.1\r\nConnection: close\r\n\r\n".into(), hosts),
        ("two hosts", format!("{put}Host: y\r\n\r\n"), hosts),
        ("the same host twice", format!("{put}Host: x\r\n\r\n"), hosts),
        ("no host, in HTTP/1.0", "PUT / HTTP/1.0\r\n\r\n".into(), "200 0"),
        ("a folded header", "GET / HTTP/1.1\r\nHost: x\r\na: b\r\n c\r\n\r\n".into(), "400"),
    ];
    for (name, request, expected) in cases {
        check(&server, name, &request, expected).await;
    }
    check(&server, "a good one after all", &format!("{put}Content-Length: 1\r\n\r\na"), "200 1")
        .await;
}

#[tokio::test]
async fn a_body_that_breaks_off_is_an_error_and_no_short_body() {
    let server = Server::start(Limits::default());
    for head in ["Content-Length: 10\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n5\r\nabc"] {
        let mut wire = server.connect().await;
        wire.send(format!("PUT / HTTP/1.1\r\nHost: x\r\n{head}")).await;
        tokio::io::AsyncWriteExt::shutdown(&mut wire.0).await.unwrap();
        let said = wire.rest().await;
        assert!(!answer(&said).starts_with("200"), "{head}: {said}");
    }
}

#[tokio::test]
async fn requests_that_come_together_are_answered_in_turn() {
    let server = Server::start(Limits::default());
    let put =
        |body: &str| format!("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n", body.len());
    let said = server
        .ask(format!(
            "{}\r\nabc{}\r\nab{}Connection: close\r\n\r\na",
            put("abc"),
            put("ab"),
            put("a")
        ))
        .await;
    let answers: Vec<_> = said.lines().filter_map(|line| line.strip_prefix("said: ")).collect();
    assert_eq!(answers, ["3", "2", "1"], "{said}");
}

#[tokio::test]
async fn a_refusal_that_leaves_a_body_unread_is_the_last_answer_of_the_connection() {
    let mut limits = Limits::default();
    limits.body_bytes_max = 1000;
    let server = Server::start(limits);
    for head in ["Content-Length: 2000\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n800\r\nabc"]
    {
        let mut wire = server.connect().await;
        // All at once, so that nothing of it is on its way when the connection ends.
        wire.send(format!("PUT / HTTP/1.1\r\nHost: x\r\n{head}{}", "y".repeat(1000))).await;
        let said = wire.rest().await;
        assert!(said.starts_with("HTTP/1.1 4"), "{said}");
        assert!(said.contains("connection: close\r\n"), "{said}");
    }
}

#[tokio::test]
async fn who_asks_whether_to_send_a_body_is_told_to_or_gets_the_last_answer_of_the_connection() {
    let mut limits = Limits::default();
    limits.body_bytes_max = 1000;
    let server = Server::start(limits);
    let put = |size: usize| {
        format!(
            "PUT / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: {size}\r\n\r\n"
        )
    };
    let mut wire = server.connect().await;
    for _ in 0..2 {
        wire.send(put(3)).await;
        assert!(wire.head().await.starts_with("HTTP/1.1 100 "));
        wire.send("abc").await;
        let said = wire.head().await;
        assert!(answer(&said) == "200 3" && !said.contains("connection: close"), "{said}");
    }
    for (size, expected) in [(0, "200 0"), (2000, "413 the body is larger than this server takes")]
    {
        let mut wire = server.connect().await;
        wire.send(put(size)).await;
        let said = wire.rest().await;
        assert_eq!(answer(&said), expected, "{said}");
        assert!(said.contains("connection: close\r\n"), "{said}");
    }
}
