//! Copying: objects as they are, and records of the log at their slots.

use std::collections::BTreeSet;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use storage_core::{
    ErrorKind as StorageErrorKind, Get, Key, PutIf, StorageProvider, StorageProviderExt,
};
use storage_log::{Appended, CommitLog, Record};

use super::{Replica, ReplicaProgress, Tell};
use crate::change::Change;
use crate::format::entry::Batch;
use crate::format::segment::SegmentId;
use crate::store::{key, prefix};
use crate::system::{FLUSHED, OBSOLETE};
use crate::{Error, ErrorKind, Result, space};

/// What an entry says of objects.
#[derive(Debug, Default)]
pub(super) struct Named {
    /// Those that it names, and that must be there before it is.
    pub(super) needed: BTreeSet<String>,
    /// Those that were deleted before it was committed.
    pub(super) deleted: Vec<Key>,
    /// Whether it was committed by a flush, after which there is a checkpoint.
    pub(super) flushed: bool,
}

impl Named {
    pub(super) fn add(&mut self, batch: &Batch) -> Result<()> {
        let obsolete = space::system(OBSOLETE.as_bytes());
        let flushed = space::system(FLUSHED);
        for transaction in &batch.transactions {
            for (inside, change) in transaction.writes.points() {
                match change {
                    Change::Ref(value) => {
                        self.needed.extend(value.objects().map(|object| object.to_string()));
                    }
                    Change::Put(_) if *inside == flushed => self.flushed = true,
                    Change::Put(_) if inside.first() == Some(&space::SYSTEM) => {
                        let segment = SegmentId::parse(&inside[1..]);
                        self.needed.extend(segment.map(|segment| segment.to_string()));
                    }
                    Change::Delete => {
                        if let Some(name) = inside.strip_prefix(&obsolete[..])
                            && let Ok(name) = std::str::from_utf8(name)
                        {
                            self.deleted.push(key(name)?);
                        }
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }
}

impl Replica {
    /// Copies objects. Those that the store has no longer are told.
    pub(super) async fn copy_objects(
        &mut self,
        names: impl IntoIterator<Item = String>,
        done: &mut ReplicaProgress,
        tell: Tell<'_>,
    ) -> Result<Vec<String>> {
        let (source, target) = (self.source.objects.clone(), self.target.clone());
        let at_once = self.options.objects_at_once.max(1);
        let copies = stream::iter(names).map(|name| {
            let (source, target) = (&source, &target);
            async move {
                let at = key(&name)?;
                match source.get(&at, Get::whole()).await {
                    Ok(object) => {
                        let bytes = object.body.len() as u64;
                        // Written once and never changed: whoever else copies it puts the same bytes.
                        target.put(&at, object.body, PutIf::Always).await?;
                        Ok((name, Some(bytes)))
                    }
                    Err(error) if error.kind() == StorageErrorKind::NotFound => Ok((name, None)),
                    Err(error) => Err(Error::from(error)),
                }
            }
        });
        let mut copies = std::pin::pin!(copies.buffer_unordered(at_once));
        let mut gone = Vec::new();
        while let Some((name, bytes)) = copies.try_next().await? {
            match bytes {
                Some(bytes) => {
                    done.objects += 1;
                    done.bytes += bytes;
                    tell(*done);
                    self.hold.renew().await?;
                }
                None => gone.push(name),
            }
        }
        Ok(gone)
    }

    /// Puts a record at its slot, entry or tombstone.
    pub(super) async fn put_record(&self, record: &Record) -> Result<u64> {
        let slot = record.slot();
        let other = || {
            Error::new(
                ErrorKind::Conflict,
                format!(
                    "the log on {} has another entry in slot {slot} than the store it follows: it has taken its place, or is \
                     no copy of it",
                    self.target.info().name
                ),
            )
        };
        // An entry, or what is left of one; where the other of the two stands it stays.
        let entry = record.to_entry();
        match self.target_log.append(&entry).await? {
            Appended::Ours => Ok(entry.bytes().len() as u64),
            // Collected already where it is copied to, by whom it was promoted.
            Appended::Taken(found) if found.id() == record.id() => Ok(0),
            Appended::Taken(_) => Err(other()),
            Appended::Unknown(error) => Err(error.into()),
        }
    }

    /// Deletes on the target what the store has deleted.
    pub(super) async fn delete(&self, names: Vec<Key>) -> Result<()> {
        for name in names {
            if name.as_str().starts_with("value/") {
                // As many objects as it has chunks; all their names begin with this.
                let prefix = prefix(name.as_str())?;
                let mut chunks = self.target.list_all(&prefix);
                while let Some(chunk) = chunks.try_next().await? {
                    self.target.delete(&chunk.key).await?;
                }
            } else {
                self.target.delete(&name).await?;
            }
        }
        Ok(())
    }
}
