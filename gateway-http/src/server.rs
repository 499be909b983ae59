//! The server: accepts connections until it is told to stop, and then finishes what it has accepted.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::admission::Admission;
use crate::connection::{Connections, Protocol};
use crate::door::{Door, House};
use crate::handler::{Handler, Peer};
use crate::limits::Limits;
use crate::listener::Listener;
use crate::metrics::{ACCEPTED, CONNECTIONS, CUT};
use crate::request_id::RequestIds;

/// How long is paused when the system has no file descriptor for a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How often the files of certificates are looked at.
const CERTIFICATES_PAUSE: Duration = Duration::from_secs(5);

/// How a server ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// How many connections were open when it was told to stop.
    pub open: usize,
    /// How many of them had not ended when the time for that was up, and were cut off.
    pub cut_off: usize,
}

/// Serves until `stop` ends; then accepts nothing more, finishes what is under way, for
/// [`drain_time_max`](Limits::drain_time_max) at most, and returns.
///
/// When its future is dropped, all connections are.
pub async fn serve<H: Handler>(
    listeners: Vec<Listener>,
    handler: H,
    limits: Limits,
    stop: impl Future<Output = ()>,
) -> Drained {
    let (stopping, _) = watch::channel(false);
    let mut watchers = JoinSet::new();
    for listener in &listeners {
        if let Some(certificates) = listener.certificates.clone() {
            watchers.spawn(certificates.watch(CERTIFICATES_PAUSE));
        }
    }
    let connections_max = limits.connections_max;
    let drain_time_max = limits.drain_time_max;
    let server = Arc::new(Server {
        handler,
        connections: Connections::new(&limits),
        house: Arc::new(House {
            admission: Admission::new(&limits),
            ids: RequestIds::new(),
            limits,
        }),
        places: Arc::new(Semaphore::new(connections_max)),
        stopping,
    });
    let mut accepting = JoinSet::new();
    let mut connections = JoinSet::new();
    let (accepted, mut arrivals) = tokio::sync::mpsc::channel::<Arrival>(1);
    for listener in listeners {
        accepting.spawn(accept(server.clone(), listener, accepted.clone()));
    }
    drop(accepted);
    let mut stop = std::pin::pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => break,
            Some(arrival) = arrivals.recv() => {
                let server = server.clone();
                connections.spawn(async move { server.connect(arrival).await });
            }
            Some(ended) = connections.join_next() => tell(ended),
        }
    }
    // The sockets are closed here: who comes now is told so at once.
    accepting.shutdown().await;
    // What was accepted by then is finished.
    arrivals.close();
    while let Some(arrival) = arrivals.recv().await {
        let server = server.clone();
        connections.spawn(async move { server.connect(arrival).await });
    }
    let open = connections.len();
    server.stopping.send_replace(true);
    let drain = async {
        while let Some(ended) = connections.join_next().await {
            tell(ended);
        }
    };
    let _ = tokio::time::timeout(drain_time_max, drain).await;
    let cut_off = connections.len();
    connections.shutdown().await;
    Drained { open, cut_off }
}

/// A connection that was accepted.
struct Arrival {
    stream: TcpStream,
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
    place: OwnedSemaphorePermit,
}

struct Server<H> {
    handler: H,
    connections: Connections,
    house: Arc<House>,
    places: Arc<Semaphore>,
    stopping: watch::Sender<bool>,
}

/// Accepts connections for as long as there are places for them.
async fn accept<H: Handler>(
    server: Arc<Server<H>>,
    listener: Listener,
    accepted: tokio::sync::mpsc::Sender<Arrival>,
) {
    let tls = listener.certificates.as_ref().map(super::Certificates::acceptor);
    // Nobody closes it.
    while let Ok(place) = server.places.clone().acquire_owned().await {
        match listener.socket.accept().await {
            Ok((stream, address)) => {
                // Small answers would wait for the client's acknowledgement of earlier ones.
                let _ = stream.set_nodelay(true);
                let arrival = Arrival { stream, address, tls: tls.clone(), place };
                if accepted.send(arrival).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                tracing::warn!("no connection could be accepted: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

impl<H: Handler> Server<H> {
    async fn connect(&self, arrival: Arrival) {
        let Arrival { stream, address, tls, place } = arrival;
        let _open = Open::new(if tls.is_some() { "tls" } else { "plain" }, place);
        let peer = Peer { address, tls: tls.is_some() };
        let door = Door::new(self.handler.clone(), self.house.clone(), peer);
        let stopping = self.stopping.subscribe();
        let Some(tls) = tls else {
            return self.connections.run(stream, Protocol::Either, door, stopping).await;
        };
        let patience = self.house.limits.header_time_max;
        match tokio::time::timeout(patience, tls.accept(stream)).await {
            Ok(Ok(stream)) => {
                let protocol = match stream.get_ref().1.alpn_protocol() {
                    Some(b"h2") => Protocol::Http2,
                    _ => Protocol::Http1,
                };
                self.connections.run(stream, protocol, door, stopping).await;
            }
            Ok(Err(error)) => {
                metrics::counter!(CUT, "reason" => "handshake").increment(1);
                tracing::debug!(peer = %address, "no TLS: {error}");
            }
            Err(_) => {
                metrics::counter!(CUT, "reason" => "handshake").increment(1);
                tracing::debug!(peer = %address, "no TLS within {patience:?}");
            }
        }
    }
}

/// An open connection, as metrics see it.
struct Open(#[allow(dead_code)] OwnedSemaphorePermit); // Let go when it is dropped.

impl Open {
    fn new(kind: &'static str, place: OwnedSemaphorePermit) -> Self {
        metrics::counter!(ACCEPTED, "kind" => kind).increment(1);
        metrics::gauge!(CONNECTIONS).increment(1);
        Self(place)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        metrics::gauge!(CONNECTIONS).decrement(1);
    }
}

/// A connection that panicked takes nobody with it, but is not passed over in silence.
fn tell(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!("a connection ended with a panic");
    }
}
