//! How much memory this process takes, where the kernel tells.

use std::fs;

/// Resident memory of this process, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// Now.
    pub now: u64,
    /// The most there ever was.
    pub most: u64,
}

/// What Linux says in `/proc/self/status`; `None` elsewhere.
#[must_use]
pub fn memory() -> Option<Memory> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let field = |name: &str| -> Option<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        let kib: u64 = line.trim_start_matches(':').split_whitespace().next()?.parse().ok()?;
        Some(kib << 10)
    };
    Some(Memory { now: field("VmRSS")?, most: field("VmHWM")? })
}
