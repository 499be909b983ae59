//! What a provider promises beyond the contract, as data.

use std::borrow::Cow;

/// What a provider is and promises.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderInfo {
    /// What and where it is, for people: `memory`, `fs:/srv/data`, `s3://bucket/prefix`. No secret.
    pub name: Cow<'static, str>,
    /// What it promises.
    pub capabilities: Capabilities,
}

/// What a provider promises. Each is checked both ways by the conformance suite: one that does not
/// hold is an over-claim and fails, one that holds undeclared is reported.
///
/// There is no default: whoever writes a backend says every one of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// Among whom [`PutIf::Absent`](crate::PutIf::Absent) has exactly one winner.
    pub absent: Atomicity,
    /// Among whom [`PutIf::Matches`](crate::PutIf::Matches) has exactly one winner.
    pub matches: Atomicity,
    /// When a finished put or delete shows in lists.
    pub list: ListConsistency,
    /// What an acknowledged put survives.
    pub durability: Durability,
    /// What a version tells apart.
    pub versions: Versions,
    /// Who can open the same objects.
    pub sharing: Sharing,
    /// The longest key it takes, in bytes: [`KEY_BYTES_MAX`](crate::KEY_BYTES_MAX), or less where a
    /// wrapper has put a prefix before it.
    pub key_bytes_max: usize,
    /// The largest object it takes, in bytes.
    pub object_bytes_max: u64,
}

/// How far a condition on a put is decided as one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Atomicity {
    /// Not at all: such a put is refused with [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported).
    Unsupported,
    /// Among the handles of one process.
    OneProcess,
    /// Among the processes of one machine.
    OneHost,
    /// Among all clients, wherever they run.
    AllClients,
}

/// When a finished mutation shows in lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ListConsistency {
    /// Some time later.
    Eventual,
    /// From the moment it returned, to every handle.
    Strong,
}

/// What an acknowledged put survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Durability {
    /// Nothing: it lives in memory.
    Volatile,
    /// The death of the process.
    ProcessCrash,
    /// The loss of power.
    PowerLoss,
}

/// What a version tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Versions {
    /// Contents: writing the same bytes again, at once or later, may bring the same version back. A
    /// caller that counts on [`PutIf::Matches`](crate::PutIf::Matches) puts a counter or nonce into
    /// the body.
    PerContent,
    /// Writes: no two puts on a key ever have the same version.
    PerWrite,
}

/// Who can open the same objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sharing {
    /// Handles within one process.
    OneProcess,
    /// Processes on one machine.
    OneHost,
    /// Clients anywhere.
    AllClients,
}
