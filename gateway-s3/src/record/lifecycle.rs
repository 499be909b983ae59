//! Rules of what becomes of objects as they age, as they are stored (`docs/formats/s3.md`).

use prost::Message;

use super::Pair;

/// What becomes of some of the objects of a bucket.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct LifecycleRule {
    #[prost(string, tag = "1")]
    pub(crate) id: String,
    #[prost(bool, tag = "2")]
    pub(crate) disabled: bool,
    /// Beside the filter, as older clients say it.
    #[prost(string, optional, tag = "3")]
    pub(crate) prefix: Option<String>,
    #[prost(message, optional, tag = "4")]
    pub(crate) filter: Option<Filter>,
    #[prost(message, optional, tag = "5")]
    pub(crate) expiration: Option<Expiration>,
    #[prost(message, optional, tag = "6")]
    pub(crate) noncurrent: Option<Noncurrent>,
    /// After so many days an upload ends that was not completed; 0: it does not.
    #[prost(uint32, tag = "7")]
    pub(crate) abort_days: u32,
    #[prost(message, repeated, tag = "8")]
    pub(crate) transitions: Vec<Transition>,
    #[prost(message, repeated, tag = "9")]
    pub(crate) noncurrent_transitions: Vec<Transition>,
}

/// Which objects a rule is for: those of which all holds that is said.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct Filter {
    #[prost(string, optional, tag = "1")]
    pub(crate) prefix: Option<String>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) tags: Vec<Pair>,
    /// More bytes than so many.
    #[prost(uint64, optional, tag = "3")]
    pub(crate) larger_than: Option<u64>,
    /// Fewer bytes than so many.
    #[prost(uint64, optional, tag = "4")]
    pub(crate) smaller_than: Option<u64>,
    /// What stood in an `And`, which means the same.
    #[prost(message, optional, boxed, tag = "5")]
    pub(crate) and: Option<Box<Filter>>,
}

/// When the newest version goes.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(crate) struct Expiration {
    /// So many days after it was put; 0: not said.
    #[prost(uint32, tag = "1")]
    pub(crate) days: u32,
    /// From then on, in microseconds since the Unix epoch.
    #[prost(uint64, optional, tag = "2")]
    pub(crate) date: Option<u64>,
    /// Delete markers go that are all that is left of a key.
    #[prost(bool, optional, tag = "3")]
    pub(crate) delete_marker: Option<bool>,
}

/// When versions go that are no longer the newest.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(crate) struct Noncurrent {
    /// So many days after a newer one was put.
    #[prost(uint32, tag = "1")]
    pub(crate) days: u32,
    /// So many of them stay, however old.
    #[prost(uint32, tag = "2")]
    pub(crate) newer: u32,
}

/// When objects get another storage class.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct Transition {
    #[prost(uint32, optional, tag = "1")]
    pub(crate) days: Option<u32>,
    /// In microseconds since the Unix epoch.
    #[prost(uint64, optional, tag = "2")]
    pub(crate) date: Option<u64>,
    /// Of versions that are no longer the newest: so many stay as they are.
    #[prost(uint32, tag = "3")]
    pub(crate) newer: u32,
    #[prost(string, tag = "4")]
    pub(crate) storage_class: String,
}
