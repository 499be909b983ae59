//! TLS: both versions of HTTP, and certificates that change.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use gateway_http::{Certificates, Limits};
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::support::Server;

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/certificates").join(name)
}

/// A connection of a client that trusts one certificate, and speaks these protocols.
async fn connect(
    server: &Server,
    trusted: &str,
    alpn: &[&str],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(file(trusted)).unwrap()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let stream = TcpStream::connect(server.address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

fn put() -> Request<Full<Bytes>> {
    Request::put("https://localhost/").body(Full::from("abc")).unwrap()
}

#[tokio::test]
async fn http_2_and_http_1_1_are_spoken_as_the_client_asks() {
    let certificates = Certificates::load(&file("one.pem"), &file("one.key")).unwrap();
    let server = Server::start_with(Limits::default(), Some(certificates));

    let stream = connect(&server, "one.pem", &["h2", "http/1.1"]).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let io = TokioIo::new(stream);
    let (mut two, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    let answer = two.send_request(put()).await.unwrap();
    assert_eq!((answer.status().as_u16(), &answer.headers()["said"]), (200, &"3".parse().unwrap()));
    // Many at a time, on one connection.
    let get = |bytes: u64| {
        Request::get(format!("https://localhost/bytes/{bytes}")).body(Full::default()).unwrap()
    };
    let mut answers = Vec::new();
    for number in 0..20 {
        let answer = two.send_request(get(number * 100_000));
        answers
            .push(tokio::spawn(async move { answer.await.unwrap().into_body().collect().await }));
    }
    for (number, answer) in answers.into_iter().enumerate() {
        assert_eq!(answer.await.unwrap().unwrap().to_bytes().len(), number * 100_000);
    }

    let stream = connect(&server, "one.pem", &["http/1.1"]).await.unwrap();
    let io = TokioIo::new(stream);
    let (mut one, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
    tokio::spawn(connection);
    let mut request = put();
    *request.uri_mut() = "/".parse().unwrap();
    request.headers_mut().insert("host", "localhost".parse().unwrap());
    assert_eq!(one.send_request(request).await.unwrap().status(), 200);
}

#[tokio::test]
async fn new_connections_get_a_new_certificate_and_a_bad_one_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (chain, key) = (folder.path().join("chain.pem"), folder.path().join("key.pem"));
    let copy = |name: &str| {
        std::fs::copy(file(&format!("{name}.pem")), &chain).unwrap();
        std::fs::copy(file(&format!("{name}.key")), &key).unwrap();
    };
    copy("one");
    let certificates = Certificates::load(&chain, &key).unwrap();
    let server = Server::start_with(Limits::default(), Some(certificates.clone()));
    connect(&server, "one.pem", &[]).await.unwrap();
    assert!(!certificates.reload().unwrap(), "nothing is new");

    std::fs::copy(file("two.pem"), &chain).unwrap();
    let halfway = certificates.reload().unwrap_err().to_string();
    assert!(halfway.contains("key.pem: does not fit"), "{halfway}");
    std::fs::write(&chain, "nonsense").unwrap();
    let nonsense = certificates.reload().unwrap_err().to_string();
    assert!(nonsense.contains("chain.pem: has no certificate in it"), "{nonsense}");
    connect(&server, "one.pem", &[]).await.unwrap();

    copy("two");
    assert!(certificates.reload().unwrap());
    connect(&server, "two.pem", &[]).await.unwrap();
    assert!(connect(&server, "one.pem", &[]).await.is_err(), "that is not shown any more");
}

#[tokio::test]
async fn a_client_without_tls_is_no_harm() {
    let certificates = Certificates::load(&file("one.pem"), &file("one.key")).unwrap();
    let server = Server::start_with(Limits::default(), Some(certificates));
    server.ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    connect(&server, "one.pem", &[]).await.unwrap();
}
