//! The storage protocol as clients meet it, on a store in memory and without a socket.

#![allow(clippy::unwrap_used, reason = "a test may stop at what cannot be")]

mod advisories;
mod ahead;
mod costs;
mod expiry;
mod immutable;
mod leases;
mod mutable;
mod order;
mod read_only;
mod reads;
mod restarts;
mod support;
mod together;
