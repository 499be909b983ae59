//! A stock Tahoe-LAFS server: the containers in its storage folder, read and written, the shares in them moved, and who it is.
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
mod node;
#[cfg(test)]
mod tests;
mod verify;

pub use container::{Container, Content};
pub use export::export;
pub use folder::{Entry, StockFolder};
pub use import::{Moved, Task, import};
pub use lease::Schema;
pub use node::identity;
