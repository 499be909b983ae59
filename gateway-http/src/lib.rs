//! An HTTP server with a bound on everything: what every gateway of Cloudbank stands behind.
//!
//! HTTP/1.1 and HTTP/2, in the clear or over TLS, on any number of listeners. It takes no more connections, requests
//! and bytes of bodies at a time than it was told to, gives nobody more time than agreed, and stops by finishing what
//! it has accepted. What a request means is the business of a [`Handler`].
//!
//! Read in this order:
//!
//! 1. [`Handler`], [`Refusal`]: what answers requests, and what it says in the server's name.
//! 2. [`Limits`]: every bound, with a name.
//! 3. [`Listener`], [`Certificates`]: where requests come from.
//! 4. [`serve`], [`Drained`]: the server.
//! 5. [`RequestBody`], [`RequestId`], [`Peer`]: what a handler is given.
//!
//! # Examples
//!
//! ```
//! use bytes::Bytes;
//! use gateway_http::{BoxError, Handler, Limits, Listener, Refusal, RequestBody, serve};
//! use http::{Request, Response};
//! use http_body_util::combinators::UnsyncBoxBody;
//! use http_body_util::{BodyExt, Full};
//!
//! #[derive(Clone)]
//! struct Greeter;
//!
//! fn text(text: impl Into<Bytes>) -> UnsyncBoxBody<Bytes, BoxError> {
//!     Full::new(text.into()).map_err(|never| match never {}).boxed_unsync()
//! }
//!
//! impl Handler for Greeter {
//!     type Body = UnsyncBoxBody<Bytes, BoxError>;
//!
//!     fn operation(&self, _: &Request<RequestBody>) -> &'static str {
//!         "greet"
//!     }
//!
//!     async fn call(&self, _: Request<RequestBody>) -> Response<Self::Body> {
//!         Response::new(text("good day\n"))
//!     }
//!
//!     fn refuse(&self, refusal: Refusal, _: &Request<()>) -> Response<Self::Body> {
//!         let mut response = Response::new(text(refusal.to_string()));
//!         *response.status_mut() = refusal.status();
//!         response
//!     }
//! }
//!
//! # #[tokio::main]
//! # async fn main() -> std::io::Result<()> {
//! let listener = Listener::bind("127.0.0.1:0".parse().unwrap())?;
//! println!("listening on {}", listener.address());
//! let drained = serve(vec![listener], Greeter, Limits::default(), async {}).await;
//! assert_eq!(drained.cut_off, 0);
//! # Ok(())
//! # }
//! ```

mod admission;
mod body;
mod certificates;
mod connection;
mod door;
mod handler;
mod limits;
mod listener;
mod metrics;
mod request_id;
mod server;

pub use body::{BoxError, RequestBody};
pub use certificates::{Certificates, CertificatesError};
pub use handler::{AnswerBytes, Handler, Peer, Refusal};
pub use limits::Limits;
pub use listener::Listener;
pub use metrics::describe_metrics;
pub use request_id::RequestId;
pub use server::{Drained, serve};
