//! The proxy: takes requests, plays the faults it was told to, passes the rest on.

use std::fmt;
use std::io::Result;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

use super::message::{Head, Message, Reader, Status};

/// In how many pieces a slow body comes.
const SLOW_BODY_PIECES: usize = 8;

/// What goes wrong with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The service gets it; the connection is closed without an answer.
    AppliedThenClosed,
    /// The service gets it; the connection is reset.
    AppliedThenReset,
    /// The service gets it; no answer comes until the client hangs up.
    AppliedThenHung,
    /// The service gets it; the client gets this status and body in place of the service's answer.
    AppliedThenAnswered(u16, &'static str),
    /// The service never gets it; the client gets this status and body.
    Refused(u16, &'static str),
    /// The service never gets it; the connection is closed without an answer.
    LostThenClosed,
    /// Half of the body of the answer comes, then the connection is closed.
    AnswerTruncated,
    /// The body of the answer comes in eight pieces with this pause between them.
    AnswerSlow(Duration),
    /// The service gets it twice, one after the other; the client gets the first answer.
    Twice,
    /// As [`Twice`](Self::Twice), but the client gets the second answer, to its own repeated request.
    TwiceThenSecondAnswer,
    /// The connection is closed without an answer; the service gets it at [`Proxy::release_late`].
    Late,
}

/// A request that came through the proxy, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// What it asked for.
    pub head: Head,
    /// What was made to go wrong with it.
    pub fault: Option<Fault>,
    /// What the service answered, each time that it got it.
    pub statuses: Vec<u16>,
}

/// A proxy on a port of the loopback of its own, in front of one service. It ends when dropped.
///
/// # Examples
///
/// ```no_run
/// use conformance::wire::{Fault, Proxy};
///
/// # async fn example() -> std::io::Result<()> {
/// let proxy = Proxy::start("127.0.0.1:8333").await?;
/// // The second put from now on is stored, but its answer is lost.
/// proxy.fail(1, |head| head.method == "PUT", Fault::AppliedThenReset);
/// println!("point the client at http://{}", proxy.address());
/// # Ok(())
/// # }
/// ```
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: AbortHandle,
}

struct Shared {
    upstream: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    rules: Vec<Rule>,
    held: Vec<(usize, Message<Head>)>,
    deliveries: Vec<Delivery>,
}

struct Rule {
    matches: Box<dyn Fn(&Head) -> bool + Send + Sync>,
    /// How many matching requests still go by before the one that fails.
    skip: usize,
    fault: Fault,
}

impl Proxy {
    /// Starts a proxy in front of the service at `upstream`, a host and port.
    ///
    /// # Errors
    ///
    /// When no port of the loopback can be had.
    pub async fn start(upstream: impl Into<String>) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let shared =
            Arc::new(Shared { upstream: upstream.into(), state: Mutex::new(State::default()) });
        let accepting = tokio::spawn(accept(listener, shared.clone())).abort_handle();
        Ok(Self { address, shared, accepting })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Makes the `nth` request from now on that `matches` (the first is number 0) go wrong, once.
    pub fn fail(
        &self,
        nth: usize,
        matches: impl Fn(&Head) -> bool + Send + Sync + 'static,
        fault: Fault,
    ) {
        let matches = Box::new(matches);
        self.shared.state().rules.push(Rule { matches, skip: nth, fault });
    }

    /// Delivers the requests held by [`Fault::Late`], in the order of their coming, and waits for the
    /// service's answers; their statuses.
    ///
    /// # Errors
    ///
    /// When the service cannot be reached.
    pub async fn release_late(&self) -> Result<Vec<u16>> {
        let held = std::mem::take(&mut self.shared.state().held);
        let mut statuses = Vec::new();
        for (delivery, request) in held {
            statuses.push(self.shared.forward(delivery, &request).await?.head.code);
        }
        Ok(statuses)
    }

    /// What has come through so far, in order of coming.
    #[must_use]
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.shared.state().deliveries.clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // The task owns the connections, so they end with it.
        self.accepting.abort();
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("address", &self.address)
            .field("upstream", &self.shared.upstream)
            .finish_non_exhaustive()
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters a request in the list, and says which fault it is to meet.
    fn admit(&self, head: &Head) -> (usize, Option<Fault>) {
        let mut state = self.state();
        let mut due = None;
        for (at, rule) in state.rules.iter_mut().enumerate() {
            if !(rule.matches)(head) {
                continue;
            }
            match rule.skip.checked_sub(1) {
                Some(left) => rule.skip = left,
                None if due.is_none() => due = Some(at),
                None => {}
            }
        }
        let fault = due.map(|at| state.rules.remove(at).fault);
        state.deliveries.push(Delivery { head: head.clone(), fault, statuses: Vec::new() });
        (state.deliveries.len() - 1, fault)
    }

    /// Brings a request to the service and its answer back, over a connection for it alone.
    async fn forward(&self, delivery: usize, request: &Message<Head>) -> Result<Message<Status>> {
        let mut upstream = TcpStream::connect(&self.upstream).await?;
        upstream.write_all(&request.head_bytes).await?;
        upstream.write_all(&request.body_bytes).await?;
        let response = Reader::new(upstream).response(&request.head.method).await?;
        if let Some(delivery) = self.state().deliveries.get_mut(delivery) {
            delivery.statuses.push(response.head.code);
        }
        Ok(response)
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((client, _)) = accepted else { continue };
                connections.spawn(serve(client, shared.clone()));
            }
            // Connections that have ended are let go of; how they ended is the client's to see.
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Serves one connection until it ends. An error ends it, as the client will notice.
async fn serve(client: TcpStream, shared: Arc<Shared>) -> Result<()> {
    client.set_nodelay(true)?;
    let mut client = Reader::new(client);
    while let Some((head, head_bytes)) = client.request_head().await? {
        if head.header("expect").is_some() {
            client.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        let body_bytes = client.request_body(&head).await?;
        let (delivery, fault) = shared.admit(&head);
        let request = Message { head, head_bytes, body_bytes };
        let stays = play(&mut client.stream, &shared, delivery, request, fault).await?;
        if !stays {
            break;
        }
    }
    Ok(())
}

/// Answers one request; whether the connection stays open.
async fn play(
    client: &mut TcpStream,
    shared: &Shared,
    delivery: usize,
    request: Message<Head>,
    fault: Option<Fault>,
) -> Result<bool> {
    match fault {
        None => {
            let response = shared.forward(delivery, &request).await?;
            send(client, &response).await
        }
        Some(Fault::AppliedThenClosed) => {
            shared.forward(delivery, &request).await?;
            Ok(false)
        }
        Some(Fault::AppliedThenReset) => {
            shared.forward(delivery, &request).await?;
            // Closing then sends a reset.
            client.set_zero_linger()?;
            Ok(false)
        }
        Some(Fault::AppliedThenHung) => {
            shared.forward(delivery, &request).await?;
            let mut rest = [0; 1024];
            while client.read(&mut rest).await? > 0 {}
            Ok(false)
        }
        Some(Fault::AppliedThenAnswered(code, body)) => {
            shared.forward(delivery, &request).await?;
            answer(client, &request.head, code, body).await
        }
        Some(Fault::Refused(code, body)) => answer(client, &request.head, code, body).await,
        Some(Fault::LostThenClosed) => Ok(false),
        Some(Fault::AnswerTruncated) => {
            let response = shared.forward(delivery, &request).await?;
            client.write_all(&response.head_bytes).await?;
            client.write_all(&response.body_bytes[..response.body_bytes.len() / 2]).await?;
            client.shutdown().await?;
            Ok(false)
        }
        Some(Fault::AnswerSlow(pause)) => {
            let response = shared.forward(delivery, &request).await?;
            client.write_all(&response.head_bytes).await?;
            let piece = response.body_bytes.len().div_ceil(SLOW_BODY_PIECES).max(1);
            for piece in response.body_bytes.chunks(piece) {
                client.write_all(piece).await?;
                tokio::time::sleep(pause).await;
            }
            Ok(!response.head.closes)
        }
        Some(Fault::Twice) => {
            let response = shared.forward(delivery, &request).await?;
            shared.forward(delivery, &request).await?;
            send(client, &response).await
        }
        Some(Fault::TwiceThenSecondAnswer) => {
            shared.forward(delivery, &request).await?;
            let response = shared.forward(delivery, &request).await?;
            send(client, &response).await
        }
        Some(Fault::Late) => {
            shared.state().held.push((delivery, request));
            Ok(false)
        }
    }
}

async fn send(client: &mut TcpStream, response: &Message<Status>) -> Result<bool> {
    client.write_all(&response.head_bytes).await?;
    client.write_all(&response.body_bytes).await?;
    Ok(!response.head.closes)
}

async fn answer(client: &mut TcpStream, head: &Head, code: u16, body: &str) -> Result<bool> {
    let length = body.len();
    let body = if head.method == "HEAD" { "" } else { body };
    let response = format!(
        "HTTP/1.1 {code} Fault\r\ncontent-type: application/xml\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    client.write_all(response.as_bytes()).await?;
    Ok(true)
}
