//! A proxy on the loopback that loses, spoils and repeats what passes between a backend and its service.
//!
//! It speaks HTTP/1.1 and passes heads and bodies on as they are, byte by byte, so that signatures stay valid:
//! the client signs with the proxy's address as its `Host`, and that is what the service sees.

mod message;
mod proxy;

pub use message::Head;
pub use proxy::{Delivery, Fault, Proxy};

#[cfg(test)]
mod tests;
