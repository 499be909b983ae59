//! What the benchmarks of a store share: where it is kept, who is measured, how.
//!
//! 1. [`Place`], [`Site`]: memory, a folder, a bucket; the same for all who are measured.
//! 2. [`Contender`]: our store, slatedb, SQLite and redb behind one interface.
//! 3. [`keep_busy`], [`median`], [`percentile`]: load, and what to say of it.

mod contender;
mod counting;
mod measure;
mod memory;
mod place;
mod processor;
mod words;

pub use contender::{Contender, Kind, open};
pub use counting::Counting;
pub use measure::{Done, keep_busy, median, percentile};
pub use memory::{Memory, memory};
pub use place::{Place, Site, env};
pub use processor::processor_time;
pub use words::{Arguments, key, say, shuffled, value};
