//! The system keys: what the store says about itself. Few and small, so all of them are in memory.

use std::collections::BTreeMap;

use bytes::Bytes;
use prost::Message;
use storage_core::Key;
use storage_log::{EntryId, Head, Slot};

use crate::change::Change;
use crate::format::segment::{SegmentId, SegmentRef};
use crate::writes::{Range, Writes};
use crate::{Error, Result, Version, space};

/// Under this key is up to where everything is in segments: a [`Flushed`].
pub(crate) const FLUSHED: &[u8] = b"flushed";
/// Keys with this beginning are names of segments, their values what is said of them: a [`SegmentRef`].
pub(crate) const SEGMENTS: &str = "segment/";
/// Keys with this beginning name objects that the store no longer names: an [`Obsolete`]. No view from the version of
/// the key on needs them.
pub(crate) const OBSOLETE: &str = "obsolete/";
/// Under this key is up to where the log was collected: [`Tombstones`].
pub(crate) const COLLECTED: &[u8] = b"collected";
/// Keys with this beginning name sessions that commit no more.
pub(crate) const REAPED: &str = "reaped/";
/// Under this key is the version below which nothing but what has a tag can be read: 8 bytes, big-endian.
pub(crate) const HORIZON: &[u8] = b"horizon";
/// Keys with this beginning are names of versions: 8 bytes, big-endian.
pub(crate) const TAGS: &str = "tag/";

/// While there is this key nothing is committed any more but what takes it away: the text says why.
pub(crate) const SEALED: &[u8] = b"sealed";

/// The system keys with their values, each with the version of its last change. Without the space byte.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct System {
    entries: BTreeMap<Bytes, (Version, Bytes)>,
}

/// Up to where everything is in segments.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Flushed {
    /// The last version that is.
    #[prost(uint64, tag = "1")]
    pub(crate) version: u64,
    /// The slot that it ends.
    #[prost(uint64, tag = "2")]
    pub(crate) slot: u64,
    /// The id of the entry there.
    #[prost(bytes = "bytes", tag = "3")]
    pub(crate) entry: Bytes,
    /// The time of that entry, in microseconds since the Unix epoch.
    #[prost(uint64, tag = "4")]
    pub(crate) time: u64,
}

/// Up to where nothing is left of the log but tombstones.
#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct Tombstones {
    /// The last slot that is one.
    #[prost(uint64, tag = "1")]
    pub(crate) slot: u64,
    /// A version that was in the log up to there.
    #[prost(uint64, tag = "2")]
    pub(crate) version: u64,
}

/// Said of an object that is to be deleted.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Obsolete {
    /// Since when, in microseconds since the Unix epoch.
    #[prost(uint64, tag = "1")]
    pub(crate) time: u64,
    /// Its size, if that is known.
    #[prost(uint64, tag = "2")]
    pub(crate) bytes: u64,
}

impl Flushed {
    pub(crate) fn head(&self) -> Result<Head> {
        let id = self.entry[..].try_into().map_err(|_| {
            Error::corrupt("the system key \"flushed\" does not hold the id of an entry")
        })?;
        Ok(Head { slot: Slot(self.slot), id: EntryId(id) })
    }
}

impl System {
    pub(crate) fn of(entries: impl IntoIterator<Item = (Bytes, Version, Bytes)>) -> Self {
        let entries = entries.into_iter().map(|(key, version, value)| (key, (version, value)));
        Self { entries: entries.collect() }
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = (&Bytes, Version, &Bytes)> {
        self.entries.iter().map(|(key, (version, value))| (key, *version, value))
    }

    /// The value of a key and the version of its last change.
    pub(crate) fn get(&self, key: &[u8]) -> Option<(Version, &Bytes)> {
        self.entries.get(key).map(|(version, value)| (*version, value))
    }

    /// Up to where everything is in segments; `None` before the first flush.
    pub(crate) fn flushed(&self) -> Result<Option<Flushed>> {
        self.get(FLUSHED).map(|(_, value)| decode(FLUSHED, value)).transpose()
    }

    /// The segments, with the version that named each.
    pub(crate) fn segments(&self) -> Result<Vec<(SegmentId, Version, SegmentRef)>> {
        let start = Bytes::from_static(SEGMENTS.as_bytes());
        let named =
            self.entries.range(start..).take_while(|(key, _)| key.starts_with(SEGMENTS.as_bytes()));
        named
            .map(|(key, (version, value))| {
                let id = SegmentId::parse(key).ok_or_else(|| {
                    let key = key.escape_ascii();
                    Error::corrupt(format!("the system key \"{key}\" does not name a segment"))
                })?;
                Ok((id, *version, decode(key, value)?))
            })
            .collect()
    }

    /// The keys that begin with `prefix`, without it, each with the version of its last change and its value.
    pub(crate) fn beginning(&self, prefix: &str) -> impl Iterator<Item = (Bytes, Version, &Bytes)> {
        let start = Bytes::copy_from_slice(prefix.as_bytes());
        let length = prefix.len();
        self.entries
            .range(start.clone()..)
            .take_while(move |(key, _)| key.starts_with(&start))
            .map(move |(key, (version, value))| (key.slice(length..), *version, value))
    }

    /// The objects that are to be deleted, each with the version from which on no view needs it.
    pub(crate) fn obsolete(&self) -> Result<Vec<(Key, Version, Obsolete)>> {
        let named = self.beginning(OBSOLETE);
        named
            .map(|(name, version, value)| {
                let key = std::str::from_utf8(&name).ok().and_then(|name| Key::new(name).ok());
                let key = key.ok_or_else(|| {
                    let name = name.escape_ascii();
                    Error::corrupt(format!("the system key \"obsolete/{name}\" names no object"))
                })?;
                let about = decode(key.as_str().as_bytes(), value)?;
                Ok((key, version, about))
            })
            .collect()
    }

    /// Up to where the log was collected.
    pub(crate) fn tombstones(&self) -> Result<Tombstones> {
        self.get(COLLECTED).map_or(Ok(Tombstones::default()), |(_, value)| decode(COLLECTED, value))
    }

    /// Whether an object is on the list of those that are to be deleted.
    pub(crate) fn is_obsolete(&self, name: &str) -> bool {
        self.entries.contains_key(format!("{OBSOLETE}{name}").as_bytes())
    }

    /// Whether the store needs this object.
    pub(crate) fn names_object(&self, key: &Key) -> bool {
        self.entries.contains_key(key.as_str().as_bytes())
    }

    /// Whether a session commits no more.
    pub(crate) fn is_reaped(&self, session: u64) -> bool {
        self.entries.contains_key(reaped(session).as_bytes())
    }

    /// Why nothing is committed any more, if that is so.
    pub(crate) fn sealed(&self) -> Option<String> {
        self.get(SEALED).map(|(_, why)| String::from_utf8_lossy(why).into_owned())
    }

    /// The version below which nothing but what has a tag can be read.
    pub(crate) fn horizon(&self) -> Result<Version> {
        self.get(HORIZON).map_or(Ok(Version::ZERO), |(_, value)| version(HORIZON, value))
    }

    /// Whether the store can still be read as it was at this version.
    pub(crate) fn keeps(&self, wanted: Version) -> Result<bool> {
        if wanted >= self.horizon()? {
            return Ok(true);
        }
        let mut tags = self.beginning(TAGS);
        tags.try_fold(false, |kept, (name, _, value)| Ok(kept || version(&name, value)? == wanted))
    }

    /// The system keys because of which this version can be read, as they are called inside; each with the version
    /// of its last change.
    pub(crate) fn what_keeps(&self, wanted: Version) -> Result<Vec<(Bytes, Option<Version>)>> {
        let mut keys = vec![(space::system(HORIZON), self.get(HORIZON).map(|(at, _)| at))];
        if wanted < self.horizon()? {
            for (name, at, value) in self.beginning(TAGS) {
                if version(&name, value)? == wanted {
                    keys.push((space::system(&[TAGS.as_bytes(), &name].concat()), Some(at)));
                    break;
                }
            }
        }
        Ok(keys)
    }

    /// Leaves a key out, for a mistake that is put in on purpose.
    pub(crate) fn forget(&mut self, key: &[u8]) {
        self.entries.remove(key);
    }

    /// Whether a transaction has to do with system keys.
    pub(crate) fn is_concerned(writes: &Writes) -> bool {
        let all = space::all(space::SYSTEM);
        writes.points_within(&all).next().is_some()
            || writes.ranges().iter().any(|range| range.overlaps(&all))
    }

    /// Takes in what a transaction does to system keys.
    pub(crate) fn apply(&mut self, version: Version, writes: &Writes) -> Result<()> {
        for range in writes.ranges() {
            self.entries.retain(|key, _| !within(range, key));
        }
        for (key, change) in writes.points_within(&space::all(space::SYSTEM)) {
            let key = space::strip(key);
            let before = match self.entries.remove(&key) {
                Some((_, value)) => Change::Put(value),
                None => Change::Delete,
            };
            if let Change::Put(value) = before.then(change.clone())? {
                self.entries.insert(key, (version, value));
            }
        }
        Ok(())
    }
}

fn within(range: &Range, key: &[u8]) -> bool {
    range.contains(&space::key(space::SYSTEM, key))
}

/// Says in `writes` that the store no longer names an object, from their version on.
pub(crate) fn make_obsolete(writes: &mut Writes, object: &Key, about: &Obsolete) -> Result<()> {
    let name = format!("{OBSOLETE}{object}");
    writes.change(space::system(name.as_bytes()), Change::Put(about.encode_to_vec().into()))
}

/// The name of the system key that says a session was reaped.
pub(crate) fn reaped(session: u64) -> String {
    format!("{REAPED}{session:016x}")
}

/// The version that is the value of a system key.
pub(crate) fn version(key: &[u8], value: &[u8]) -> Result<Version> {
    let bytes = value.try_into().map_err(|_| {
        let key = key.escape_ascii();
        Error::corrupt(format!("the value of the system key \"{key}\" is not a version"))
    })?;
    Ok(Version(u64::from_be_bytes(bytes)))
}

fn decode<M: Message + Default>(key: &[u8], value: &Bytes) -> Result<M> {
    M::decode(value.clone()).map_err(|error| {
        let key = key.escape_ascii();
        Error::corrupt(format!("the value of the system key \"{key}\" cannot be read: {error}"))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop at what cannot be")]

    use super::*;

    #[test]
    fn a_range_that_is_emptied_takes_the_system_keys_in_it_and_no_others() {
        let mut system = System::default();
        let mut writes = Writes::default();
        for name in ["a", "b", "c"] {
            let key = space::system(name.as_bytes());
            writes.change(key, Change::Put(Bytes::from_static(b"1"))).unwrap();
        }
        system.apply(Version(1), &writes).unwrap();
        let mut writes = Writes::default();
        let (start, end) = (space::system(b"b"), space::system(b"c"));
        writes.delete_range(Range { start, end });
        system.apply(Version(2), &writes).unwrap();
        let found = ["a", "b", "c"].map(|name| system.get(name.as_bytes()).is_some());
        assert_eq!(found, [true, false, true]);
    }
}
