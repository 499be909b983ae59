use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Either, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// A service that keeps what is put, and counts.
#[derive(Default)]
struct Service {
    objects: Mutex<HashMap<String, Bytes>>,
    puts: Mutex<Vec<String>>,
}

impl Service {
    async fn answer(&self, request: Request<Incoming>) -> (u16, Bytes) {
        let path = request.uri().path().to_owned();
        let host = request.headers()["host"].to_str().unwrap().to_owned();
        let if_absent = request.headers().contains_key("if-none-match");
        match *request.method() {
            Method::PUT => {
                let body = request.into_body().collect().await.unwrap().to_bytes();
                self.puts.lock().unwrap().push(host);
                let mut objects = self.objects.lock().unwrap();
                if if_absent && objects.contains_key(&path) {
                    return (412, "taken".into());
                }
                objects.insert(path, body);
                (200, Bytes::new())
            }
            _ => match self.objects.lock().unwrap().get(&path) {
                Some(body) => (200, body.clone()),
                None => (404, "none".into()),
            },
        }
    }

    async fn start(self: Arc<Self>) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let service = self.clone();
                let handler = service_fn(move |request: Request<Incoming>| {
                    let service = service.clone();
                    async move {
                        let chunked = request.uri().query() == Some("chunked");
                        let (status, body) = service.answer(request).await;
                        let body = if chunked {
                            let pieces: Vec<_> =
                                body.chunks(1000).map(Bytes::copy_from_slice).collect();
                            let frames =
                                pieces.into_iter().map(|it| Ok::<_, Infallible>(Frame::data(it)));
                            Either::Left(StreamBody::new(futures_util::stream::iter(frames)))
                        } else {
                            Either::Right(Full::new(body))
                        };
                        Ok::<_, Infallible>(Response::builder().status(status).body(body).unwrap())
                    }
                });
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), handler),
                );
            }
        });
        address
    }
}

type Sender = hyper::client::conn::http1::SendRequest<Full<Bytes>>;

struct Client {
    proxy: SocketAddr,
    connection: Option<Sender>,
}

impl Client {
    /// The status and the body, or where it broke off: `head` or `body`.
    async fn send(
        &mut self,
        method: &str,
        target: &str,
        body: impl Into<Bytes>,
    ) -> Result<(u16, Bytes), &'static str> {
        let mut connection = match self.connection.take() {
            Some(connection) if !connection.is_closed() => connection,
            _ => {
                let stream = TcpStream::connect(self.proxy).await.unwrap();
                let (sender, connection) =
                    hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
                tokio::spawn(connection);
                sender
            }
        };
        let mut request = Request::builder()
            .method(method)
            .uri(target)
            .header("host", self.proxy.to_string())
            .body(Full::new(body.into()))
            .unwrap();
        if target.contains("absent") {
            request.headers_mut().insert("if-none-match", "*".parse().unwrap());
        }
        let response = connection.send_request(request).await.map_err(|_| "head")?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.map_err(|_| "body")?.to_bytes();
        self.connection = Some(connection);
        Ok((status, body))
    }
}

async fn set_up() -> (Arc<Service>, Proxy, Client) {
    let service = Arc::new(Service::default());
    let address = service.clone().start().await;
    let proxy = Proxy::start(address.to_string()).await.unwrap();
    let client = Client { proxy: proxy.address(), connection: None };
    (service, proxy, client)
}

fn is_put(head: &Head) -> bool {
    head.method == "PUT"
}

#[tokio::test]
async fn what_meets_no_fault_passes_unchanged() {
    let (service, proxy, mut client) = set_up().await;
    let large = Bytes::from(vec![7; 3 << 20]);
    for body in [Bytes::new(), Bytes::from("small"), large] {
        assert_eq!(client.send("PUT", "/k", body.clone()).await.unwrap().0, 200);
        for target in ["/k", "/k?chunked"] {
            assert_eq!(client.send("GET", target, "").await.unwrap(), (200, body.clone()));
        }
        assert_eq!(client.send("HEAD", "/k", "").await.unwrap(), (200, Bytes::new()));
    }
    assert_eq!(client.send("GET", "/other", "").await.unwrap().0, 404);
    // The service sees the name that the client signed: the proxy's.
    assert_eq!(service.puts.lock().unwrap()[0], proxy.address().to_string());
    assert!(proxy.deliveries().iter().all(|it| it.fault.is_none() && it.statuses.len() == 1));
}

#[tokio::test]
async fn each_fault_is_seen_by_the_client_and_the_service_as_it_says() {
    type Seen = Result<u16, &'static str>;
    let cases: [(Fault, Seen, usize); 8] = [
        (Fault::AppliedThenClosed, Err("head"), 1),
        (Fault::AppliedThenReset, Err("head"), 1),
        (Fault::AppliedThenAnswered(500, "<Error/>"), Ok(500), 1),
        (Fault::AppliedThenAnswered(503, "<Error/>"), Ok(503), 1),
        (Fault::Refused(409, "<Error/>"), Ok(409), 0),
        (Fault::LostThenClosed, Err("head"), 0),
        (Fault::Twice, Ok(200), 2),
        (Fault::TwiceThenSecondAnswer, Ok(412), 2),
    ];
    for (fault, seen, applied) in cases {
        let (service, proxy, mut client) = set_up().await;
        proxy.fail(1, is_put, fault);
        client.send("PUT", "/first", "passes").await.unwrap();
        let answer = client.send("PUT", "/second-if-absent", "fails").await;
        assert_eq!(answer.map(|(status, _)| status), seen, "{fault:?}");
        assert_eq!(service.puts.lock().unwrap().len(), 1 + applied, "{fault:?}");
        let delivery = &proxy.deliveries()[1];
        assert_eq!((delivery.fault, delivery.statuses.len()), (Some(fault), applied));
        if applied == 2 {
            assert_eq!(delivery.statuses, [200, 412]);
        }
        // It happens once.
        client.send("PUT", "/third", "passes").await.unwrap();
    }
}

#[tokio::test]
async fn a_reset_is_a_reset_and_not_a_close() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    for (fault, expected) in [
        (Fault::AppliedThenReset, Some(std::io::ErrorKind::ConnectionReset)),
        (Fault::AppliedThenClosed, None),
    ] {
        let (_service, proxy, _) = set_up().await;
        proxy.fail(0, is_put, fault);
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        stream
            .write_all(b"PUT /k HTTP/1.1\r\nhost: h\r\ncontent-length: 1\r\n\r\nx")
            .await
            .unwrap();
        let end = stream.read(&mut [0; 16]).await;
        assert_eq!(end.err().map(|error| error.kind()), expected, "{fault:?}");
    }
}

#[tokio::test]
async fn a_hung_answer_never_comes_though_the_service_has_it() {
    let (service, proxy, mut client) = set_up().await;
    proxy.fail(0, is_put, Fault::AppliedThenHung);
    let mut put = Box::pin(client.send("PUT", "/k", "body"));
    while service.puts.lock().unwrap().is_empty() {
        let poll = futures_util::future::poll_immediate(put.as_mut()).await;
        assert!(poll.is_none(), "{poll:?}");
        tokio::task::yield_now().await;
    }
    assert!(futures_util::future::poll_immediate(put.as_mut()).await.is_none());
}

#[tokio::test]
async fn a_truncated_answer_ends_within_its_body() {
    let (_service, proxy, mut client) = set_up().await;
    client.send("PUT", "/k", vec![7; 10_000]).await.unwrap();
    for target in ["/k", "/k?chunked"] {
        proxy.fail(0, |head| head.method == "GET", Fault::AnswerTruncated);
        assert_eq!(client.send("GET", target, "").await, Err("body"));
    }
}

#[tokio::test]
async fn a_slow_answer_is_whole() {
    let (_service, proxy, mut client) = set_up().await;
    client.send("PUT", "/k", vec![7; 10_000]).await.unwrap();
    proxy.fail(0, |head| head.method == "GET", Fault::AnswerSlow(Duration::from_millis(1)));
    assert_eq!(client.send("GET", "/k", "").await.unwrap().1, vec![7; 10_000]);
}

#[tokio::test]
async fn a_late_request_is_delivered_when_it_is_released() {
    let (service, proxy, mut client) = set_up().await;
    proxy.fail(0, is_put, Fault::Late);
    assert_eq!(client.send("PUT", "/k-if-absent", "late").await, Err("head"));
    assert_eq!(client.send("GET", "/k-if-absent", "").await.unwrap().0, 404);
    assert_eq!(proxy.release_late().await.unwrap(), [200]);
    assert_eq!(client.send("GET", "/k-if-absent", "").await.unwrap().1, "late");
    assert_eq!(service.puts.lock().unwrap().len(), 1);
    assert!(proxy.release_late().await.unwrap().is_empty());
}
