//! One connection: what happens on it, and whether its client still takes part.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::door::Door;
use crate::handler::Handler;
use crate::limits::Limits;
use crate::metrics::CUT;

/// How long a connection that was asked to end is given before it is cut.
const ENDING_TIME_MAX: Duration = Duration::from_secs(5);
/// A client may take so many times `stall_time_max` for the next piece of an answer. The system takes more of an answer
/// only once a third of what it holds is with the client, which is megabytes where the way is fast and the client slow.
const TAKING_TIMES: u32 = 4;
/// How often a connection is looked at, at least.
const LOOK_PAUSE_MAX: Duration = Duration::from_secs(1);
/// How many bytes of an HTTP/2 request a client may send before they are taken.
const STREAM_WINDOW_BYTES: u32 = 256 << 10;
/// The same for all requests of a connection.
const CONNECTION_WINDOW_BYTES: u32 = 1 << 20;
/// How many bytes of an answer wait to be sent, for each HTTP/2 request.
const SEND_BUFFER_BYTES: usize = 256 << 10;
/// How often an HTTP/2 client is asked whether it is still there.
const PING_PAUSE: Duration = Duration::from_secs(20);

/// Which version of HTTP a connection speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// As the client begins.
    Either,
    Http1,
    Http2,
}

/// Makes connections of streams of bytes.
#[derive(Debug, Clone)]
pub(crate) struct Connections {
    builder: auto::Builder<TokioExecutor>,
    limits: Limits,
}

impl Connections {
    pub(crate) fn new(limits: &Limits) -> Self {
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.header_time_max)
            .max_headers(limits.headers_max)
            .max_buf_size(limits.header_bytes_max.max(8 << 10));
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(limits.streams_max)
            .max_header_list_size(u32::try_from(limits.header_bytes_max).unwrap_or(u32::MAX))
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_send_buf_size(SEND_BUFFER_BYTES)
            .keep_alive_interval(PING_PAUSE)
            .keep_alive_timeout(PING_PAUSE);
        Self { builder, limits: limits.clone() }
    }

    /// Answers what comes on a connection until it ends, idles, stalls, or `stopping` says that the server stops.
    pub(crate) async fn run<H: Handler>(
        &self,
        io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        protocol: Protocol,
        door: Door<H>,
        mut stopping: watch::Receiver<bool>,
    ) {
        let builder = match protocol {
            Protocol::Either => self.builder.clone(),
            Protocol::Http1 => self.builder.clone().http1_only(),
            Protocol::Http2 => self.builder.clone().http2_only(),
        };
        let activity = door.activity().clone();
        let service = hyper::service::service_fn(move |request| {
            let door = door.clone();
            async move { Ok::<_, std::convert::Infallible>(door.answer(request).await) }
        });
        let mut connection = pin!(builder.serve_connection(TokioIo::new(io), service));
        let least = self.limits.idle_time_max.min(self.limits.stall_time_max);
        let mut look =
            tokio::time::interval((least / 4).clamp(Duration::from_millis(10), LOOK_PAUSE_MAX));
        let mut ending: Option<Instant> = None;
        let mut stopped = false;
        loop {
            tokio::select! {
                result = connection.as_mut() => {
                    if let Err(error) = result {
                        tracing::debug!("a connection ended: {error}");
                    }
                    return;
                }
                // An error: nobody will ever say so.
                _ = stopping.wait_for(|stopping| *stopping), if !stopped => {
                    stopped = true;
                    connection.as_mut().graceful_shutdown();
                }
                _ = look.tick() => match activity.state(&self.limits) {
                    State::Busy => ending = None,
                    State::Stalled => {
                        metrics::counter!(CUT, "reason" => "stalled").increment(1);
                        return;
                    }
                    State::Idle => match ending {
                        None => {
                            ending = Some(Instant::now());
                            metrics::counter!(CUT, "reason" => "idle").increment(1);
                            connection.as_mut().graceful_shutdown();
                        }
                        Some(since) if since.elapsed() >= ENDING_TIME_MAX => return,
                        Some(_) => {}
                    },
                },
            }
        }
    }
}

/// What happens on a connection. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Activity(Arc<Mutex<Known>>);

#[derive(Debug)]
struct Known {
    under_way: usize,
    /// Since when nothing is under way.
    quiet_since: Instant,
    next: u64,
    /// Since when parts of answers are with the transport and no more was asked for.
    handed_over: BTreeMap<u64, Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Busy,
    Idle,
    Stalled,
}

impl Activity {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(Known {
            under_way: 0,
            quiet_since: Instant::now(),
            next: 0,
            handed_over: BTreeMap::new(),
        })))
    }

    /// A request is under way until this is dropped.
    pub(crate) fn begin(&self) -> UnderWay {
        self.known().under_way += 1;
        UnderWay(self.clone())
    }

    /// The answer to a request.
    pub(crate) fn outgoing(&self) -> Outgoing {
        let mut known = self.known();
        known.next += 1;
        Outgoing { id: known.next, activity: self.clone() }
    }

    fn state(&self, limits: &Limits) -> State {
        let known = self.known();
        let most = limits.stall_time_max * TAKING_TIMES;
        let stalled = |since: &Instant| since.elapsed() >= most;
        if known.handed_over.values().any(stalled) {
            return State::Stalled;
        }
        match known.under_way == 0 && known.quiet_since.elapsed() >= limits.idle_time_max {
            true => State::Idle,
            false => State::Busy,
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that is under way.
#[derive(Debug)]
pub(crate) struct UnderWay(Activity);

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut known = self.0.known();
        known.under_way -= 1;
        known.quiet_since = Instant::now();
    }
}

/// An answer on its way to the client.
#[derive(Debug)]
pub(crate) struct Outgoing {
    id: u64,
    activity: Activity,
}

impl Outgoing {
    /// The transport has got a part.
    pub(crate) fn handed_over(&self) {
        self.activity.known().handed_over.insert(self.id, Instant::now());
    }

    /// The transport asks for more.
    pub(crate) fn asked(&self) {
        self.activity.known().handed_over.remove(&self.id);
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        self.asked();
    }
}
