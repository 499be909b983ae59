//! Filling: everything that the store is at one version is copied, for a copy that is new or was left behind.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::TryStreamExt;
use futures_util::stream::{self, StreamExt};
use storage_core::{PutIf, StorageProvider, StorageProviderExt};
use storage_log::{CommitLog, Record, Slot};

use super::{FILLED, Reached, Replica, ReplicaProgress, Tell};
use crate::checkpoint::{newest_name, newest_readable};
use crate::content::Kind;
use crate::format::checkpoint::Checkpoint;
use crate::format::value::ValueObject;
use crate::shared::Shared;
use crate::space::{self, ValueRecord};
use crate::store::{key, prefix};
use crate::view::{View, Walk};
use crate::{Error, Options, Result, Version};

/// How many values are looked at before their objects are copied.
const VALUES_AT_ONCE: usize = 256;

/// The store as it is to be copied.
struct Cut {
    shared: Arc<Shared>,
    view: Arc<View>,
    checkpoint: Option<Checkpoint>,
    reached: Reached,
}

impl Replica {
    /// Copies the store as it is now. Until that is done the copy cannot be read; when it is interrupted, the next one
    /// goes on with what is there.
    pub(super) async fn fill(&mut self, tell: Tell<'_>) -> Result<ReplicaProgress> {
        let mut done = ReplicaProgress { filling: true, ..ReplicaProgress::default() };
        self.target.delete(&key(FILLED)?).await?;
        let cut = self.cut().await?;
        let (first, last) =
            (cut.checkpoint.as_ref().map_or(0, |it| it.flushed.slot), cut.reached.head.slot.0);
        done.entries_total = last;
        // These are the next to be collected.
        self.copy_log(first + 1, last, &mut done, tell).await?;
        self.copy_segments(&cut, &mut done, tell).await?;
        self.copy_values(&cut, &mut done, tell).await?;
        self.copy_log(1, first, &mut done, tell).await?;
        if let Some(checkpoint) = &cut.checkpoint {
            let body = checkpoint.encode(self.root.id);
            done.objects += 1;
            done.bytes += body.len() as u64;
            self.target.put(&checkpoint.key()?, body, PutIf::Always).await?;
        }
        self.mark(FILLED, "").await?;
        self.reached = Some(cut.reached);
        self.owes_checkpoint = false;
        tell(done);
        Ok(done)
    }

    /// The store at its latest version, held so that nothing of it is deleted.
    async fn cut(&mut self) -> Result<Cut> {
        let options = Options { flush_bytes: usize::MAX, ..Options::default() };
        let shared = crate::open::open(&self.source, self.env.clone(), options).await?;
        let provider = &*self.source.objects;
        // What is read of the log afterwards goes beyond it.
        let newest = newest_name(provider).await?;
        let (checkpoint, _) = newest_readable(provider, self.root.id, newest).await?;
        let known = shared.state().version;
        self.hold.keep(known).await?;
        // What was taken out of the index before the pin was there is not in the view of after it.
        shared.refresh().await?;
        let (view, reached) = {
            let state = shared.state();
            let reached = Reached { head: state.head, version: state.version, time: state.time };
            (state.view.clone(), reached)
        };
        Ok(Cut { shared, view, checkpoint, reached })
    }

    /// Copies the records of slots, both included, that the target lacks.
    async fn copy_log(
        &mut self,
        first: u64,
        last: u64,
        done: &mut ReplicaProgress,
        tell: Tell<'_>,
    ) -> Result<()> {
        let log = self.source_log().await?;
        let target = self.target.clone();
        let folder = prefix("log/")?;
        let before = key(format!("log/{:016x}", first.saturating_sub(1)))?;
        let mut there = target.list_all_after(&folder, Some(&before));
        let mut next_there = slot_of(there.try_next().await?);
        let mut missing = Vec::new();
        let mut slot = first;
        while slot <= last {
            while next_there.is_some_and(|there| there < slot) {
                next_there = slot_of(there.try_next().await?);
            }
            if next_there == Some(slot) {
                done.entries += 1;
            } else {
                missing.push(Slot(slot));
            }
            slot += 1;
            if missing.len() >= VALUES_AT_ONCE || slot > last {
                let reads = stream::iter(std::mem::take(&mut missing)).map(|slot| {
                    let log = &log;
                    async move {
                        log.read(slot).await?.ok_or_else(|| {
                            Error::corrupt(format!(
                                "log slot {slot} is missing, which is before the end of the log"
                            ))
                        })
                    }
                });
                let mut records =
                    std::pin::pin!(reads.buffered(self.options.entries_at_once.max(1)));
                let mut found: Vec<Record> = Vec::new();
                while let Some(record) = records.try_next().await? {
                    found.push(record);
                }
                self.put_records(&found, done, tell).await?;
                self.hold.renew().await?;
            }
        }
        Ok(())
    }

    /// Puts records in any order: nobody reads the copy before it is whole.
    async fn put_records(
        &self,
        records: &[Record],
        done: &mut ReplicaProgress,
        tell: Tell<'_>,
    ) -> Result<()> {
        let puts = stream::iter(records).map(|record| self.put_record(record));
        let mut puts = puts.buffer_unordered(self.options.entries_at_once.max(1));
        while let Some(bytes) = puts.try_next().await? {
            done.entries += 1;
            done.bytes += bytes;
            tell(*done);
        }
        Ok(())
    }

    async fn copy_segments(
        &mut self,
        cut: &Cut,
        done: &mut ReplicaProgress,
        tell: Tell<'_>,
    ) -> Result<()> {
        let folder = prefix("segment/")?;
        let listed = self.target.list_all(&folder).map_ok(|listed| listed.key.to_string());
        let there: BTreeSet<String> = listed.try_collect().await?;
        let named = cut.view.system.segments()?.into_iter().map(|(id, _, _)| id.to_string());
        let missing: Vec<_> = named.filter(|name| !there.contains(name)).collect();
        let gone = self.copy_objects(missing, done, tell).await?;
        none_is_gone(&gone)
    }

    /// Copies the large values that the store needs at this version, whichever of its versions it needs them for.
    async fn copy_values(
        &mut self,
        cut: &Cut,
        done: &mut ReplicaProgress,
        tell: Tell<'_>,
    ) -> Result<()> {
        let Cut { shared, view, reached, .. } = cut;
        let range = space::all(space::VALUE);
        let mut walk = Walk::new(view, reached.version, &range, false, None).await?;
        let folder = prefix("value/")?;
        let target = self.target.clone();
        let mut listed = target.list_all(&folder);
        let mut next_there = None;
        let mut ended = false;
        while !ended {
            let mut records: Vec<ValueRecord> = Vec::new();
            while !ended && records.len() < VALUES_AT_ONCE {
                match walk.next().await? {
                    Some((inside, _, _)) => records.extend(space::value_record(&inside)),
                    None => ended = true,
                }
            }
            let Some((last, _, _)) = records.last().cloned() else { break };
            // Both come in the order of their names.
            let mut there = BTreeSet::new();
            loop {
                if next_there.is_none() {
                    next_there = match listed.try_next().await? {
                        None => break,
                        Some(object) => match ValueObject::parse(object.key.as_str()) {
                            None => continue,
                            named => named,
                        },
                    };
                }
                match next_there.take_if(|named: &mut ValueObject| named.id <= last) {
                    Some(named) => {
                        there.insert(named.to_string());
                    }
                    None => break,
                }
            }
            let looks =
                stream::iter(&records).map(|record| objects_of(view, record, reached.version));
            let names: Vec<Vec<String>> =
                looks.buffered(self.options.objects_at_once.max(1)).try_collect().await?;
            let needed: BTreeSet<String> = names.into_iter().flatten().collect();
            let gone = self.copy_objects(needed.difference(&there).cloned(), done, tell).await?;
            none_is_gone(&gone)?;
        }
        // A walk asks this for newer views.
        let _ = shared;
        Ok(())
    }
}

/// The names of the objects of the value of a record.
async fn objects_of(view: &View, record: &ValueRecord, last: Version) -> Result<Vec<String>> {
    let (id, version, key) = record;
    // What was merged into it since may have taken its place.
    for at in [*version, last] {
        if let Some((_, content)) = view.find(key, at).await?
            && let Kind::Large(reference) = &content.0
            && reference.id() == *id
        {
            return Ok(reference.objects().map(|object| object.to_string()).collect());
        }
    }
    Ok(Vec::new())
}

fn slot_of(listed: Option<storage_core::Listed>) -> Option<u64> {
    u64::from_str_radix(listed?.key.as_str().strip_prefix("log/")?, 16).ok()
}

/// # Errors
///
/// [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt), as they were held.
fn none_is_gone(gone: &[String]) -> Result<()> {
    match gone {
        [] => Ok(()),
        [first, ..] => Err(Error::corrupt(format!(
            "{first} is missing, which the store needs, and {} more: verify it",
            gone.len() - 1
        ))),
    }
}
