//! Clients that take their time, and more of them than there is room for.

use std::sync::atomic::Ordering;
use std::time::Duration;

use gateway_http::Limits;
use tokio::io::AsyncReadExt;

use crate::support::{Server, answer, until};

const PUT: &str = "PUT / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n";

/// Times short enough to be waited for.
fn impatient() -> Limits {
    let mut limits = Limits::default();
    let short = Duration::from_millis(200);
    (limits.header_time_max, limits.idle_time_max, limits.stall_time_max) = (short, short, short);
    limits
}

#[tokio::test]
async fn who_says_nothing_or_half_a_request_is_let_go() {
    let server = Server::start(impatient());
    for (bytes, expected) in
        [("", "closed"), ("PRI * HT", "closed"), ("GET / HTTP/1.1\r\nHost:", "closed")]
    {
        let said = server.ask(bytes).await;
        assert!(answer(&said) == expected || answer(&said) == "408", "{bytes:?}: {said}");
    }
}

#[tokio::test]
async fn a_connection_without_a_request_is_let_go() {
    let server = Server::start(impatient());
    let mut wire = server.connect().await;
    wire.send("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\na").await;
    assert_eq!(answer(&wire.head().await), "200 1");
    assert_eq!(answer(&wire.rest().await), "closed");
}

#[tokio::test]
async fn a_body_that_stops_coming_is_an_error() {
    let server = Server::start(impatient());
    let said = server.ask(format!("{PUT}Content-Length: 10\r\n\r\nabc")).await;
    assert_eq!(answer(&said), "400 the client sent nothing of the body for 200ms");
}

#[tokio::test]
async fn an_answer_that_nobody_takes_is_given_up() {
    let server = Server::start(impatient());
    let mut wire = server.connect().await;
    wire.send("GET /bytes/1000000000 HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(answer(&wire.head().await), "200");
    let seen = server.echo.seen();
    until(|| seen.dropped.load(Ordering::SeqCst) == 1).await;
    drop(wire);
}

#[tokio::test]
async fn a_slow_server_is_not_held_against_its_client() {
    let server = Server::start(impatient());
    let mut wire = server.connect().await;
    wire.send("GET /wait HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    server.echo.until_waiting(1).await;
    tokio::time::sleep(Duration::from_millis(800)).await;
    server.echo.seen().let_go.notify_waiters();
    assert_eq!(answer(&wire.rest().await), "200");
}

#[tokio::test]
async fn more_requests_than_there_is_room_for_are_told_to_come_back() {
    let mut limits = Limits::default();
    (limits.requests_max, limits.waiting_time_max) = (2, Duration::from_millis(100));
    let server = Server::start(limits);
    let ask = "GET /wait HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let (mut first, mut second) = (server.connect().await, server.connect().await);
    first.send(ask).await;
    second.send(ask).await;
    server.echo.until_waiting(2).await;
    let refused = server.ask(ask).await;
    assert_eq!(answer(&refused), "503 the server has more to do than it takes on at a time");
    server.echo.seen().let_go.notify_waiters();
    assert_eq!(answer(&first.rest().await), "200");
    assert_eq!(answer(&second.rest().await), "200");
    assert_eq!(answer(&server.ask(format!("{PUT}Content-Length: 1\r\n\r\na")).await), "200 1");
}

#[tokio::test]
async fn more_connections_than_agreed_wait_for_those_before_them() {
    let mut limits = Limits::default();
    limits.connections_max = 1;
    let server = Server::start(limits);
    let mut first = server.connect().await;
    first.send("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\na").await;
    assert_eq!(answer(&first.head().await), "200 1");
    let mut second = server.connect().await;
    second.send(format!("{PUT}Content-Length: 2\r\n\r\nab")).await;
    let mut byte = [0];
    let early = tokio::time::timeout(Duration::from_millis(100), second.0.read(&mut byte)).await;
    assert!(early.is_err(), "the first is still there");
    drop(first);
    assert_eq!(answer(&second.rest().await), "200 2");
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_told_so() {
    let mut limits = Limits::default();
    limits.request_time_max = Duration::from_millis(50);
    let server = Server::start(limits);
    let said = server.ask("GET /wait HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    assert_eq!(answer(&said), "503 the request took longer than this server allows");
}
