//! What the benchmarks of a store share: where it is kept, who is measured, how.
//!
//! 1. [`Place`], [`Site`]: memory, a folder, a bucket; the same for all who are measured.
//! 2. [`Contender`]: our store, slatedb, SQLite and redb behind one interface.
//! 3. [`S3Server`], [`S3Client`]: our S3 server and those of others, and who keeps them busy.
//! 4. [`TahoeServer`], [`TahoeClient`]: the same for storage servers of Tahoe-LAFS.
//! 5. [`keep_busy`], [`median`], [`percentile`]: load, and what to say of it.

mod contender;
mod counting;
mod measure;
mod memory;
mod place;
mod processor;
mod s3_client;
mod s3_server;
mod tahoe_client;
mod tahoe_server;
mod words;

pub use contender::{Contender, Kind, open};
pub use counting::Counting;
pub use measure::{Done, keep_busy, median, percentile};
pub use memory::{Memory, memory};
pub use place::{Place, Site, env};
pub use processor::processor_time;
pub use s3_client::{S3Answer, S3Client, wait_until_served};
pub use s3_server::{Keeper, S3Server};
pub use tahoe_client::{Secrets, TahoeClient, allocation, change, storage_index};
pub use tahoe_server::{TahoeKind, TahoeServer};
pub use words::{Arguments, key, say, shuffled, value};
