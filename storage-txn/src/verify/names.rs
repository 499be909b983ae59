//! What there is, by name: known objects of each kind, and those that no store has.

use std::collections::BTreeMap;

use futures_util::TryStreamExt;
use storage_core::{Key, Prefix, StorageProviderExt};

use super::{Severity, Verifier};
use crate::Result;
use crate::format::checkpoint::{Checkpoint, PREFIX};
use crate::format::root::LogAt;
use crate::format::segment::SegmentId;
use crate::format::value::ValueObject;
use crate::pin::PinName;

/// What a listing showed when verifying began. Of the log, and of what is in order, only how much.
#[derive(Debug, Default)]
pub(super) struct Listed {
    /// The names of checkpoints, the oldest first.
    pub(super) checkpoints: Vec<Key>,
    /// What there is of the log in each place on this provider where it is or was.
    pub(super) logs: BTreeMap<LogAt, ListedLog>,
    /// Segments and how many bytes each has.
    pub(super) segments: BTreeMap<SegmentId, u64>,
}

/// What there is of a log.
#[derive(Debug, Default)]
pub(super) struct ListedLog {
    /// The last slot that was seen.
    pub(super) last_slot: u64,
    pub(super) objects: u64,
    pub(super) bytes: u64,
}

impl Verifier<'_> {
    pub(super) async fn list(&mut self) -> Result<Listed> {
        let provider = self.provider.clone();
        let everything = Prefix::all();
        let mut all = provider.list_all(&everything);
        let mut listed = Listed::default();
        while let Some(object) = all.try_next().await? {
            self.report.progress.objects_total += 1;
            self.report.progress.bytes_total += object.size;
            match Kind::of(&object.key) {
                Some(Kind::Log(at, slot)) => {
                    let log = listed.logs.entry(at).or_default();
                    log.last_slot = log.last_slot.max(slot);
                    log.objects += 1;
                    log.bytes += object.size;
                }
                Some(Kind::Segment(id)) => {
                    listed.segments.insert(id, object.size);
                }
                Some(Kind::Checkpoint) => listed.checkpoints.push(object.key),
                Some(Kind::Format | Kind::Value) => {}
                // Nothing depends on what is in them.
                Some(Kind::Other) => self.read(object.size),
                None => {
                    let what =
                        format!("no store has an object of this name ({} bytes)", object.size);
                    self.found(Severity::Garbage, object.key.to_string(), None, what);
                }
            }
        }
        listed.checkpoints.reverse();
        Ok(listed)
    }
}

/// What the name of an object says that it is.
enum Kind {
    Log(LogAt, u64),
    Segment(SegmentId),
    Checkpoint,
    Format,
    Value,
    Other,
}

impl Kind {
    fn of(key: &Key) -> Option<Self> {
        let name = key.as_str();
        let (kind, rest) = name.split_once('/').unwrap_or((name, ""));
        match kind {
            "log" => match rest.strip_prefix('m').and_then(|rest| rest.split_once('/')) {
                None => Some(Self::Log(LogAt::Provider, hexadecimal(rest, 16)?)),
                Some((token, slot)) => {
                    let at = LogAt::parse(&format!("provider {token}"))?;
                    Some(Self::Log(at, hexadecimal(slot, 16)?))
                }
            },
            // Where the log is being moved to.
            "moving" if rest.is_empty() => Some(Self::Other),
            "segment" => SegmentId::parse(name.as_bytes()).map(Self::Segment),
            "checkpoint" => {
                let slot = Checkpoint::slot(key)?;
                let version = hexadecimal(rest.split_once('=')?.1, 16)?;
                (name == format!("{PREFIX}{:016x}={version:016x}", !slot))
                    .then_some(Self::Checkpoint)
            }
            "format" if rest.is_empty() => Some(Self::Format),
            "session" => hexadecimal(rest, 16).map(|_| Self::Other),
            // A voter that keeps objects too, where names are as they are.
            "quorum" => Some(Self::Other),
            // How far a copy of a store is, and what it keeps of the one it was a copy of.
            "replica" => Some(Self::Other),
            "pin" => PinName::parse(key).map(|_| Self::Other),
            "value" => ValueObject::parse(name).map(|_| Self::Value),
            _ => None,
        }
    }
}

fn hexadecimal(text: &str, digits: usize) -> Option<u64> {
    let number = u64::from_str_radix(text, 16).ok()?;
    (text == format!("{number:0digits$x}")).then_some(number)
}
