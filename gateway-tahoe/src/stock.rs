//! The storage folder of a stock Tahoe-LAFS server: its containers, read and written, and the shares in them moved.
//!
//! `shares/<first two characters>/<storage index>/<number>` is a container of one share with its leases. Which kind it is
//! stands at its begin. `shares/incoming` has uploads that were never finished.

mod container;
mod export;
mod folder;
mod immutable;
mod import;
mod lease;
mod mutable;
#[cfg(test)]
mod tests;
mod verify;

pub use container::{Container, Content};
pub use export::export;
pub use folder::{Entry, StockFolder};
pub use import::{Moved, Task, import};
pub use lease::Schema;
