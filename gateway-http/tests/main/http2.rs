//! Clients that misuse HTTP/2: frames by hand, in floods.

use std::sync::atomic::Ordering;
use std::time::Duration;

use gateway_http::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;

use crate::support::{PATIENCE, Server, Wire, answer, until};

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// Times short enough to be waited for.
fn impatient() -> Limits {
    let mut limits = Limits::default();
    let short = Duration::from_millis(200);
    (limits.header_time_max, limits.idle_time_max, limits.stall_time_max) = (short, short, short);
    limits
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// What a connection begins with, and these settings.
fn preface(settings: &[u8]) -> Vec<u8> {
    [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &frame(SETTINGS, 0, 0, settings)[..]].concat()
}

/// The headers of a GET: from the static table, and a path by itself (RFC 7541 §6).
fn get(path: &str) -> Vec<u8> {
    let length = u8::try_from(path.len()).unwrap();
    [&[0x82, 0x86, 0x41, 1, b'x', 0x04, length], path.as_bytes()].concat()
}

fn ask(stream: u32, path: &str) -> Vec<u8> {
    frame(HEADERS, END_STREAM | END_HEADERS, stream, &get(path))
}

/// The number of the stream of each request.
fn stream(at: u32) -> u32 {
    2 * at + 1
}

/// Sends as long as it is taken, while answers are read or left where they are, and waits for the end of the connection.
async fn flood(wire: Wire, frames: impl Iterator<Item = Vec<u8>> + Send + 'static, reads: bool) {
    let (mut from, mut to) = wire.0.into_split();
    let writing = tokio::spawn(async move {
        for frame in frames {
            if to.write_all(&frame).await.is_err() {
                break;
            }
        }
        to
    });
    let ended = async {
        let mut answers = Vec::new();
        if reads {
            let _ = from.read_to_end(&mut answers).await;
        }
        let _to = writing.await.unwrap();
        let _ = from.read_to_end(&mut answers).await;
    };
    tokio::time::timeout(PATIENCE, ended).await.expect("the server ends it");
}

#[tokio::test]
async fn floods_end_and_the_next_client_is_served() {
    let many = 0..10_000u32;
    let reset =
        |at| [ask(stream(at), "/wait"), frame(RST_STREAM, 0, stream(at), &[0, 0, 0, 8])].concat();
    let large = vec![0; 16_000];
    let open = |at| match at {
        0 => frame(HEADERS, END_STREAM, 1, &get("/bytes/1")),
        _ => frame(CONTINUATION, 0, 1, &large),
    };
    let cases: Vec<(&str, Vec<Vec<u8>>)> = vec![
        ("requests that are taken back at once", many.clone().map(reset).collect()),
        ("headers without an end", many.clone().map(open).collect()),
        (
            "empty headers without an end",
            many.clone()
                .map(|at| match at {
                    0 => open(0),
                    _ => frame(CONTINUATION, 0, 1, &[]),
                })
                .collect(),
        ),
        ("settings", many.clone().map(|_| frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 1])).collect()),
        ("pings", many.clone().map(|_| frame(PING, 0, 0, b"01234567")).collect()),
        ("windows", many.clone().map(|_| frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1])).collect()),
        ("windows too wide", vec![frame(WINDOW_UPDATE, 0, 0, &[0x7f, 255, 255, 255]); 2]),
        ("a frame too long", vec![frame(PING, 0, 0, &[0; 20_000])]),
        ("a stream that nobody has begun", vec![frame(RST_STREAM, 0, 9, &[0, 0, 0, 8])]),
        ("requests on one stream", many.map(|_| ask(1, "/bytes/1")).collect()),
        ("headers that are none", vec![frame(HEADERS, END_STREAM | END_HEADERS, 1, &[255; 100])]),
    ];
    let all = cases
        .into_iter()
        .flat_map(|(name, frames)| [true, false].map(|reads| (name, frames.clone(), reads)));
    let mut floods = JoinSet::new();
    for (name, frames, reads) in all {
        floods.spawn(async move {
            let server = Server::start(impatient());
            let mut wire = server.connect().await;
            wire.send(preface(&[])).await;
            flood(wire, frames.into_iter(), reads).await;
            let said = server.ask(
                "PUT / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 1\r\n\r\na",
            );
            assert_eq!(answer(&said.await), "200 1", "{name}");
        });
    }
    while let Some(flood) = floods.join_next().await {
        flood.unwrap();
    }
}

#[tokio::test]
async fn headers_beyond_the_limit_are_refused() {
    let server = Server::start(impatient());
    let mut wire = server.connect().await;
    wire.send(preface(&[])).await;
    // A header of 100 bytes, again and again: small ones, and of all together more than a request may have.
    let header = [&[0x00, 1, b'a', 100][..], &[b'b'; 100]].concat();
    let mut block = get("/bytes/7");
    (0..1000).for_each(|_| block.extend(&header));
    let pieces: Vec<&[u8]> = block.chunks(16_000).collect();
    for (at, piece) in pieces.iter().enumerate() {
        let flags = if at + 1 == pieces.len() { END_HEADERS } else { 0 };
        let (kind, end) = if at == 0 { (HEADERS, END_STREAM) } else { (CONTINUATION, 0) };
        wire.send(frame(kind, flags | end, 1, piece)).await;
    }
    let mut answers = Vec::new();
    let read = wire.0.read_to_end(&mut answers);
    let _ = tokio::time::timeout(PATIENCE, read).await.expect("the server ends it");
    assert_eq!(server.echo.seen().dropped.load(Ordering::SeqCst), 0, "it was not answered");
}

#[tokio::test]
async fn one_connection_has_a_bounded_number_of_requests() {
    let mut limits = Limits::default();
    limits.streams_max = 8;
    let server = Server::start(limits);
    let mut wire = server.connect().await;
    wire.send(preface(&[])).await;
    for at in 0..100 {
        wire.send(ask(stream(at), "/wait")).await;
    }
    server.echo.until_waiting(8).await;
    // An answer to this comes after what was sent before has been dealt with.
    wire.send(frame(PING, 0, 0, b"all seen")).await;
    let mut said = Vec::new();
    let read = async {
        while !said.windows(8).any(|window| window == b"all seen") {
            said.push(wire.0.read_u8().await.unwrap());
        }
    };
    tokio::time::timeout(PATIENCE, read).await.expect("the server answers");
    assert_eq!(server.echo.seen().waiting.load(Ordering::SeqCst), 8);
}

#[tokio::test]
async fn an_answer_that_no_window_is_opened_for_is_given_up() {
    // No byte at all, or the first few.
    for window in [0u32, 10_000] {
        let server = Server::start(impatient());
        let mut wire = server.connect().await;
        wire.send(preface(&[&[0, 4][..], &window.to_be_bytes()].concat())).await;
        wire.send(ask(1, "/bytes/1000000000")).await;
        let seen = server.echo.seen();
        until(|| seen.dropped.load(Ordering::SeqCst) == 1).await;
    }
}
