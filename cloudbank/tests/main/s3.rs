//! The commands on buckets and objects, against a server of our own, and against one that is not to be relied on.

mod basic;
mod docs;
mod faults;
mod odd_keys;
mod proxy;
mod transfer;
mod wrong;

use std::process::{Child, Output};

use crate::serve::running::Running;
use crate::support::Bench;

/// A server with a store in memory.
const SERVER: &str = "[providers.m]\ntype = \"memory\"\n";

/// A server, and a folder from which it is used.
struct Service {
    bench: Bench,
    server: Running,
    _place: Bench,
}

impl Service {
    fn start() -> Self {
        let place = Bench::with_config(SERVER);
        let server = Running::start(&place, "");
        let bench = client_of(&server, &server.host());
        Self { bench, server, _place: place }
    }

    /// A folder from which it is used by another way.
    fn through(&self, host: &str) -> Bench {
        client_of(&self.server, host)
    }

    /// What a command line shows, with what differs from run to run taken out.
    fn session(&self, lines: &str) -> String {
        let text = self.bench.session(lines).replace(&self.server.host(), "HOST");
        without_seconds(&text)
    }

    fn ok(&self, line: &str) -> String {
        self.bench.ok(line)
    }

    /// Puts an object with these bytes.
    fn put(&self, address: &str, bytes: &[u8]) {
        let line = format!("s3 cp --literal --quiet - {address}");
        let output = self.bench.feed(&line, bytes);
        assert!(output.status.success(), "{line}: {}", self.bench.shown(&output));
    }

    /// The bytes of an object.
    fn cat(&self, address: &str) -> Vec<u8> {
        let line = format!("s3 cat {address}");
        let output = self.bench.feed(&line, b"");
        assert!(output.status.success(), "{line}: {}", self.bench.shown(&output));
        output.stdout
    }
}

fn client_of(server: &Running, host: &str) -> Bench {
    let said = |name: &str| server.said[name].as_str().unwrap().to_owned();
    Bench::empty()
        .variable("AWS_ENDPOINT_URL", &format!("http://{host}"))
        .variable("AWS_ACCESS_KEY_ID", &said("access_key"))
        .variable("AWS_SECRET_ACCESS_KEY", &said("secret_key"))
        // So that no file of the user who runs the tests is found.
        .variable("AWS_CONFIG_FILE", "no-such-file")
        .variable("AWS_SHARED_CREDENTIALS_FILE", "no-such-file")
        .variable("AWS_EC2_METADATA_DISABLED", "true")
}

/// `2026-11-22T10:00:00Z` is another each time.
fn without_seconds(text: &str) -> String {
    const SHAPE: &[u8] = b"0000-00-00T00:00:00Z";
    let is_time = |bytes: &[u8]| {
        bytes.len() >= SHAPE.len()
            && bytes.iter().zip(SHAPE).all(|(byte, shape)| match shape {
                b'0' => byte.is_ascii_digit(),
                shape => byte == shape,
            })
    };
    let mut shown = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        match is_time(rest.as_bytes()) {
            true => {
                shown += "TIME________________";
                rest = &rest[SHAPE.len()..];
            }
            false => {
                shown.push(c);
                rest = &rest[c.len_utf8()..];
            }
        }
    }
    shown
}

/// Bytes that are not the same twice.
fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut noise = Vec::with_capacity(bytes + 8);
    while noise.len() < bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        noise.extend_from_slice(&state.to_le_bytes());
    }
    noise.truncate(bytes);
    noise
}

/// Waits until a command has ended by itself.
fn wait(child: Child) -> Output {
    child.wait_with_output().unwrap()
}
