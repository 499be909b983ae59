//! Where a request comes from, as who has received it knows.

use std::net::IpAddr;

/// What is known of a request beside what it says. A server adds it to the extensions of a request, and without it a
/// gateway knows nothing of that.
///
/// # Examples
///
/// ```
/// use gateway_s3::{Body, Origin};
///
/// let mut request = http::Request::get("/").body(Body::empty())?;
/// let address = "10.0.0.1".parse().ok();
/// request.extensions_mut().insert(Origin { id: "5C".to_owned(), address, tls: true });
/// # Ok::<(), http::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// The id of the request, by which clients and logs can name it. Empty: the gateway makes one up.
    pub id: String,
    /// The address at the other end of the connection, which policies may be about.
    pub address: Option<IpAddr>,
    /// Whether it came over TLS.
    pub tls: bool,
}
