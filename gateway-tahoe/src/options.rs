//! The bounds of a server, each with a name and a default.

use std::time::Duration;

use crate::error::{Error, Refusal, Result};

/// The most bytes of the name of a server.
const NAME_BYTES_MAX: usize = 64;

/// How shares are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// The name of the server in its store: everything it keeps is below it, so that several have room in one store. 1 to
    /// 64 of `0-9 a-z _ -`.
    pub name: String,
    /// How many bytes all shares may have together; `None` for no bound.
    pub quota_bytes: Option<u64>,
    /// Whether nothing new is taken. Leases can still be renewed, which they cannot where the store itself takes no writes.
    pub read_only: bool,
    /// The most bytes of shares kept in memory to be read again.
    pub cache_bytes_max: usize,
    /// The most bytes of uploads under way that are kept in memory beside their files, so that they need not be read again.
    pub held_bytes_max: usize,
    /// How large the parts of an immutable share are that are read at once, and kept in the cache.
    pub part_bytes: u64,
    /// How many such parts are read or written at the same time.
    pub parts_at_once: usize,
    /// The most bytes that one change of a slot holds in memory, before and after.
    pub change_bytes_max: usize,
    /// The most bytes that one answer to read vectors has.
    pub answer_bytes_max: usize,
    /// The most uploads that are under way.
    pub uploads_max: usize,
    /// How old may be what is said of the immutable shares of a file that has some: another server of the same name may
    /// have added one since.
    pub staleness_max: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            name: "default".into(),
            quota_bytes: None,
            read_only: false,
            cache_bytes_max: 32 << 20,
            held_bytes_max: 32 << 20,
            part_bytes: 4 << 20,
            parts_at_once: 4,
            change_bytes_max: 64 << 20,
            answer_bytes_max: 32 << 20,
            uploads_max: 16_384,
            staleness_max: Duration::from_secs(1),
        }
    }
}

impl Options {
    /// How many bytes all changes of slots hold at a time: as many as the largest one.
    pub(crate) fn work_bytes(&self) -> usize {
        self.change_bytes_max.max(self.answer_bytes_max)
    }

    pub(crate) fn check(&self) -> Result<()> {
        let plain =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte);
        let named = (1..=NAME_BYTES_MAX).contains(&self.name.len()) && self.name.bytes().all(plain);
        if !named {
            let why = format!("name is {:?}, which is not 1 to 64 of 0-9 a-z _ -", self.name);
            return Err(Error::Refused(Refusal::Invalid(why)));
        }
        if self.part_bytes == 0 || self.parts_at_once == 0 {
            let why = "part_bytes and parts_at_once are at least 1".into();
            return Err(Error::Refused(Refusal::Invalid(why)));
        }
        Ok(())
    }
}
