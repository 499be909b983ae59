//! A server that is told to stop.

use std::time::Duration;

use gateway_http::{Drained, Limits};
use tokio::net::TcpStream;

use crate::support::{PATIENCE, Server, answer};

#[tokio::test]
async fn what_was_accepted_is_finished_and_nothing_more_is_accepted() {
    let mut server = Server::start(Limits::default());
    let mut wire = server.connect().await;
    wire.send("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let mut idle = server.connect().await;
    idle.send("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\na").await;
    assert_eq!(answer(&idle.head().await), "200 1");
    server.echo.until_waiting(1).await;
    server.stop();
    // Those without a request are let go.
    assert_eq!(answer(&idle.rest().await), "closed");
    let refused = async {
        while TcpStream::connect(server.address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, refused).await.unwrap();
    server.echo.seen().let_go.notify_waiters();
    let said = wire.rest().await;
    assert_eq!(answer(&said), "200");
    assert!(said.to_lowercase().contains("connection: close"), "{said}");
    assert_eq!(server.stopped().await.cut_off, 0);
}

#[tokio::test]
async fn what_does_not_end_in_time_is_cut_off() {
    let mut limits = Limits::default();
    limits.drain_time_max = Duration::from_millis(50);
    let mut server = Server::start(limits);
    let mut wire = server.connect().await;
    wire.send("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n").await;
    server.echo.until_waiting(1).await;
    server.stop();
    assert_eq!(server.stopped().await, Drained { open: 1, cut_off: 1 });
    assert_eq!(answer(&wire.rest().await), "closed");
}
