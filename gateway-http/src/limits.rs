//! Every bound of the server, with a name and a default.

use std::time::Duration;

/// What the server takes on at a time, and how long it waits for whom.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The most connections at a time, of all listeners. Further ones wait to be accepted.
    pub connections_max: usize,
    /// The most requests being answered at a time.
    pub requests_max: usize,
    /// The most requests that wait until they are let in. Further ones are refused at once.
    pub waiting_max: usize,
    /// How long a request waits to be let in before it is refused.
    pub waiting_time_max: Duration,
    /// The most bytes of bodies held in memory at a time, as far as the server can tell: half for bodies of requests,
    /// three eighths for those of answers, the rest for small ones of requests.
    pub memory_bytes_max: usize,
    /// How many bytes a handler holds at most of the body of one request, however long it is.
    pub request_stream_bytes: usize,
    /// The same of the body of one answer.
    pub answer_stream_bytes: usize,
    /// The longest body of a request, in bytes.
    pub body_bytes_max: u64,
    /// The most headers of a request.
    pub headers_max: usize,
    /// The most bytes of a request's line and headers together, at least 8 KiB.
    pub header_bytes_max: usize,
    /// How long a client may take for the headers of a request, or for a TLS handshake.
    pub header_time_max: Duration,
    /// How long a connection may be without a request.
    pub idle_time_max: Duration,
    /// How long a client may keep the server waiting for the next bytes of a body, and a fourth of how long it may take
    /// for the next ones of an answer: at most 256 KiB beside what the system holds.
    pub stall_time_max: Duration,
    /// The fewest bytes a second of a request's body, measured over the time that the server waited for them, and of an
    /// answer's, over the time that it waited for them to be taken; not before
    /// [`stall_time_max`](Self::stall_time_max) of it. Of large answers 64 KiB a second while others wait for the
    /// memory that they hold.
    pub body_bytes_per_second_min: u64,
    /// How long a request may take until its answer begins.
    pub request_time_max: Duration,
    /// The most requests at a time of one HTTP/2 connection.
    pub streams_max: u32,
    /// How long what was accepted is given to end once the server is to stop.
    pub drain_time_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 4096,
            requests_max: 512,
            waiting_max: 2048,
            waiting_time_max: Duration::from_secs(30),
            memory_bytes_max: 160 << 20,
            request_stream_bytes: 8 << 20,
            answer_stream_bytes: 8 << 20,
            body_bytes_max: 5 << 30,
            headers_max: 128,
            header_bytes_max: 64 << 10,
            header_time_max: Duration::from_secs(20),
            idle_time_max: Duration::from_secs(90),
            stall_time_max: Duration::from_secs(30),
            body_bytes_per_second_min: 1024,
            request_time_max: Duration::from_secs(3600),
            streams_max: 128,
            drain_time_max: Duration::from_secs(30),
        }
    }
}
