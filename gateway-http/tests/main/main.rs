//! The server as clients meet it: well-behaved ones, broken ones, slow ones.

#![allow(clippy::unwrap_used)] // A test that unwraps an error has failed as it should.

mod http2;
mod limits;
mod manners;
mod stopping;
mod support;
mod tls;
