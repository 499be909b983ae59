//! A gateway over a store in memory, to try clients on: `cargo run -p gateway-s3 --example memory -- 9000`.
//!
//! Its users are `alice` with the secret `alice-secret`, and `bob` with `bob-secret`.

#[path = "../tests/clients/server.rs"]
mod server;

#[tokio::main]
async fn main() {
    let port = std::env::args().nth(1).and_then(|port| port.parse().ok()).unwrap_or(0);
    println!("http://{}", server::start(port).await);
    std::future::pending::<()>().await;
}
