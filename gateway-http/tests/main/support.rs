//! What the tests share: a server with a handler that is easy to ask for anything, and a client of bare bytes.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use gateway_http::{
    BoxError, Certificates, Drained, Handler, Limits, Listener, Refusal, RequestBody, serve,
};
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

/// How long a test waits for what must happen. Only a test that fails waits so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// The size of the pieces of an answer.
const PIECE_BYTES: u64 = 64 << 10;

/// Answers `GET /bytes/N` with so many bytes, `PUT /` with how many bytes came, `GET /wait` when it is let go.
#[derive(Clone, Default)]
pub(crate) struct Echo(Arc<Seen>);

#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) waiting: AtomicUsize,
    pub(crate) dropped: AtomicUsize,
    pub(crate) let_go: Notify,
}

impl Echo {
    pub(crate) fn seen(&self) -> &Seen {
        &self.0
    }

    /// Waits until so many requests wait to be let go.
    pub(crate) async fn until_waiting(&self, number: usize) {
        until(|| self.0.waiting.load(Ordering::SeqCst) >= number).await;
    }
}

impl Handler for Echo {
    type Body = Zeros;

    fn operation(&self, request: &Request<RequestBody>) -> &'static str {
        if request.method() == "PUT" { "put" } else { "get" }
    }

    async fn call(&self, request: Request<RequestBody>) -> Response<Zeros> {
        let path = request.uri().path().to_owned();
        if let Some(bytes) = path.strip_prefix("/bytes/") {
            return Response::new(Zeros::new(bytes.parse().unwrap(), Some(self.0.clone())));
        }
        if path == "/wait" {
            self.0.waiting.fetch_add(1, Ordering::SeqCst);
            self.0.let_go.notified().await;
            return Response::new(Zeros::new(1, None));
        }
        let mut body = request.into_body();
        let mut bytes = 0;
        while let Some(frame) = body.frame().await {
            match frame {
                Ok(frame) => bytes += frame.data_ref().map_or(0, Bytes::len),
                Err(error) => return said(StatusCode::BAD_REQUEST, &error.to_string()),
            }
        }
        said(StatusCode::OK, &bytes.to_string())
    }

    fn refuse(&self, refusal: Refusal, _: &Request<()>) -> Response<Zeros> {
        said(refusal.status(), &refusal.to_string())
    }
}

/// An answer whose text is in a header, so that it need not be read to its end.
fn said(status: StatusCode, text: &str) -> Response<Zeros> {
    let response = Response::builder().status(status).header("said", text);
    response.body(Zeros::new(0, None)).unwrap()
}

/// A body of zeros.
pub(crate) struct Zeros {
    left: u64,
    seen: Option<Arc<Seen>>,
}

impl Zeros {
    fn new(bytes: u64, seen: Option<Arc<Seen>>) -> Self {
        Self { left: bytes, seen }
    }
}

impl Drop for Zeros {
    fn drop(&mut self) {
        if let Some(seen) = &self.seen {
            seen.dropped.fetch_add(1, Ordering::SeqCst);
        }
    }
}

impl Body for Zeros {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let piece = self.left.min(PIECE_BYTES);
        if piece == 0 {
            return Poll::Ready(None);
        }
        self.left -= piece;
        Poll::Ready(Some(Ok(Frame::data(vec![0; piece as usize].into()))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// A server on a free port, stopped when it is asked to or dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) echo: Echo,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<Drained>,
}

impl Server {
    pub(crate) fn start(limits: Limits) -> Self {
        Self::start_with(limits, None)
    }

    pub(crate) fn start_with(limits: Limits, certificates: Option<Certificates>) -> Self {
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.address();
        let listener = match certificates {
            Some(certificates) => listener.with_tls(certificates),
            None => listener,
        };
        let (stop, stopped) = oneshot::channel();
        let echo = Echo::default();
        let task = tokio::spawn(serve(vec![listener], echo.clone(), limits, async {
            let _ = stopped.await;
        }));
        Self { address, echo, stop: Some(stop), task }
    }

    /// Tells it to stop.
    pub(crate) fn stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }

    /// Waits until it has stopped.
    pub(crate) async fn stopped(self) -> Drained {
        tokio::time::timeout(PATIENCE, self.task).await.unwrap().unwrap()
    }

    pub(crate) async fn connect(&self) -> Wire {
        Wire(TcpStream::connect(self.address).await.unwrap())
    }

    /// Sends bytes on a connection of their own, and reads until the server ends it.
    pub(crate) async fn ask(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut wire = self.connect().await;
        wire.send(bytes).await;
        wire.rest().await
    }
}

/// A connection of bare bytes.
pub(crate) struct Wire(pub(crate) TcpStream);

impl Wire {
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        // It may have said no already.
        let _ = self.0.write_all(bytes.as_ref()).await;
    }

    /// The head of an answer.
    pub(crate) async fn head(&mut self) -> String {
        let mut head = Vec::new();
        let read = async {
            while !head.ends_with(b"\r\n\r\n") {
                match self.0.read_u8().await {
                    Ok(byte) => head.push(byte),
                    Err(_) => break,
                }
            }
        };
        tokio::time::timeout(PATIENCE, read).await.expect("the server says something");
        String::from_utf8(head).unwrap()
    }

    /// All that comes until the server ends the connection.
    pub(crate) async fn rest(&mut self) -> String {
        let mut all = Vec::new();
        let read = self.0.read_to_end(&mut all);
        // Reset or closed is the same.
        let _ = tokio::time::timeout(PATIENCE, read).await.expect("the server ends it");
        String::from_utf8_lossy(&all).into_owned()
    }
}

/// Waits until something holds.
pub(crate) async fn until(holds: impl Fn() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("it holds in the end");
}

/// The status and what was said beside it; `closed` without an answer.
pub(crate) fn answer(text: &str) -> String {
    let mut lines = text.lines();
    let Some(status) = lines.next().and_then(|line| line.split(' ').nth(1)) else {
        return "closed".into();
    };
    match lines.find_map(|line| line.strip_prefix("said: ")) {
        Some(said) => format!("{status} {said}"),
        None => status.into(),
    }
}
