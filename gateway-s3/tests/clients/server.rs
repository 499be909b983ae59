//! A gateway over a store in memory, behind an HTTP server.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use backend_memory::MemoryProvider;
use gateway_s3::{Access, AccessKey, Body, EncryptionKey, Gateway, Level, Options, Right, User};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use storage_txn::Store;
use storage_wrappers::TokioEnv;
use tokio::net::TcpListener;

/// Whose keys there are: two plain users, and a key that may only read.
struct Keys;

impl Access for Keys {
    fn key(&self, access_key: &str) -> Option<AccessKey> {
        let mut key = match access_key {
            "alice" | "reader" => AccessKey::new("alice-secret", "alice"),
            "bob" => AccessKey::new("bob-secret", "bob"),
            _ => return None,
        };
        key.display_name = if key.user == "alice" { "Alice" } else { "Bob" }.to_owned();
        key.email = format!("{}@example.org", key.user);
        if access_key == "reader" {
            key.rights = vec![Right::new("*", Level::Read)];
        }
        Some(key)
    }

    fn user(&self, id_or_email: &str) -> Option<User> {
        let id = id_or_email.strip_suffix("@example.org").unwrap_or(id_or_email);
        let key = self.key(id).filter(|key| key.rights.is_empty())?;
        Some(User { id: key.user, display_name: key.display_name })
    }
}

/// Serves it on a port of the loopback interface, until the process ends.
pub(crate) async fn start(port: u16) -> SocketAddr {
    let provider = Arc::new(MemoryProvider::new());
    let env = Arc::new(TokioEnv::new());
    let store = Store::init(provider, env, storage_txn::Options::default()).await;
    let store = store.expect("a store in memory can be made");
    let mut options = Options::default();
    options.domains = vec!["s3.localhost".to_owned()];
    options.encryption_key = Some(EncryptionKey::new([7; 32]));
    let gateway = Gateway::new(store, Arc::new(Keys), options).expect("the options are good");
    let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("the port is free");
    let address = listener.local_addr().expect("it is bound");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            let gateway = gateway.clone();
            tokio::spawn(async move {
                let answer = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
                    let gateway = gateway.clone();
                    async move { Ok::<_, Infallible>(gateway.call(request.map(Body::from)).await) }
                });
                let server = Builder::new(TokioExecutor::new());
                // A client that goes away is no failure of ours.
                let _ = server.serve_connection(TokioIo::new(stream), answer).await;
            });
        }
    });
    address
}
