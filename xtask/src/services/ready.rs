//! Whether a server answers yet: asked by its own protocol, with a bound on the waiting.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How long one question may take. Servers that are starting accept and then say nothing.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);
/// How long to leave a server alone between two questions.
const PAUSE: Duration = Duration::from_millis(50);
/// How much of an answer is looked at.
const ANSWER_BYTES_MAX: u64 = 64 << 10;

/// A question, and the answer that a server gives once it is ready.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Probe {
    /// Where it listens on the loopback interface.
    pub(crate) port: u16,
    /// What to get.
    pub(crate) path: &'static str,
    /// The status expected.
    pub(crate) status: u16,
    /// A text the answer contains.
    pub(crate) text: &'static str,
}

/// Asks each probe in turn until it gets its answer, for at most `time_max` in all.
///
/// `ended` tells whether the server is gone, after which there is nothing to wait for.
pub(super) fn wait(
    probes: &[Probe],
    time_max: Duration,
    mut ended: impl FnMut() -> bool,
) -> Result<()> {
    let end = Instant::now() + time_max;
    for probe in probes {
        loop {
            let problem = match ask(probe) {
                Ok((status, text)) if status == probe.status && text.contains(probe.text) => break,
                Ok((status, _)) => format!("answers {status}, not {}", probe.status),
                Err(error) => error.to_string(),
            };
            let Probe { port, path, .. } = probe;
            if ended() {
                bail!("it ended before it was ready (port {port}, {path}: {problem})");
            }
            if Instant::now() >= end {
                bail!("not ready after {time_max:?} (port {port}, {path}: {problem})");
            }
            thread::sleep(PAUSE);
        }
    }
    Ok(())
}

/// Waits until a server on this machine answers 200 at a path.
pub(crate) fn wait_until_ready(
    port: u16,
    path: &'static str,
    time_max: Duration,
    ended: impl FnMut() -> bool,
) -> Result<()> {
    wait(&[Probe { port, path, status: 200, text: "" }], time_max, ended)
}

/// One HTTP request on a connection of its own: the status, and the start of headers and body.
fn ask(probe: &Probe) -> std::io::Result<(u16, String)> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, probe.port));
    let mut stream = TcpStream::connect_timeout(&address, ANSWER_TIME_MAX)?;
    stream.set_read_timeout(Some(ANSWER_TIME_MAX))?;
    stream.set_write_timeout(Some(ANSWER_TIME_MAX))?;
    let Probe { port, path, .. } = probe;
    // In one piece: a server may answer, and close, at the first it sees of a request.
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer
        .strip_prefix("HTTP/1.")
        .and_then(|rest| rest.split_ascii_whitespace().nth(1)?.parse().ok())
        .ok_or_else(|| std::io::Error::other("what it answers is not HTTP"))?;
    Ok((status, answer))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// Answers each connection with the next of `answers`, then closes the port.
    fn server(answers: &'static [&'static str]) -> u16 {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = [0; 1024];
                let _ = stream.read(&mut request).unwrap();
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        port
    }

    #[test]
    fn waits_through_silence_errors_and_wrong_answers() {
        let port = server(&[
            "",
            "HTTP/1.1 503 Not Yet\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\nstarting",
            "HTTP/1.1 200 OK\r\n\r\nup",
        ]);
        let probe = Probe { port, path: "/", status: 200, text: "up" };
        wait(&[probe], Duration::from_secs(60), || false).unwrap();
    }

    #[test]
    fn says_what_was_wrong_when_the_time_is_up_or_the_server_is_gone() {
        let [port] = super::super::free_ports().unwrap();
        let probe = Probe { port, path: "/x", status: 200, text: "" };
        let late = wait(&[probe], Duration::ZERO, || false).unwrap_err().to_string();
        assert!(late.contains("not ready after 0ns") && late.contains("/x"), "{late}");
        let gone = wait(&[probe], Duration::from_secs(60), || true).unwrap_err().to_string();
        assert!(gone.contains("ended before it was ready"), "{gone}");
    }
}
