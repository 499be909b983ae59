//! Verifying checkpoints: each by itself, and against what the log adds up to where it stands.

use storage_core::{Key, StorageProviderExt};
use storage_log::EntryId;

use super::log::Walk;
use super::{Severity, Verifier};
use crate::format::checkpoint::Checkpoint;
use crate::{Error, Result, Version};

/// What the log has at a slot that checkpoints name.
#[derive(Debug)]
pub(super) struct Flush {
    pub(super) id: EntryId,
    /// The version and the time it ends with, unless it is collected.
    pub(super) ends: Option<(Version, u64)>,
}

impl Verifier<'_> {
    /// Checks the checkpoints that know as much as the log up to where the walk is.
    pub(super) async fn due_checkpoints(&mut self, walk: &mut Walk) -> Result<()> {
        while let Some(name) = walk.checkpoints.front()
            && version(name).is_none_or(|version| version <= walk.version)
        {
            let name = name.clone();
            walk.checkpoints.pop_front();
            self.checkpoint(walk, &name).await?;
        }
        Ok(())
    }

    /// Checks those that know of more than there is.
    pub(super) async fn remaining_checkpoints(&mut self, walk: &mut Walk) -> Result<()> {
        while let Some(key) = walk.checkpoints.pop_front() {
            if let Some(checkpoint) = self.checkpoint(walk, &key).await? {
                let what = format!(
                    "the log ends before it with version {}, but {key} knows version {}: the log was rolled back or \
                     lost",
                    walk.version, checkpoint.version
                );
                self.found(Severity::Lost, self.entry_name(walk.slot() + 1), None, what);
            }
        }
        Ok(())
    }

    async fn checkpoint(&mut self, walk: &mut Walk, key: &Key) -> Result<Option<Checkpoint>> {
        let Some(mut body) = self.provider.try_get(key).await?.map(|object| object.body) else {
            // There is a newer one, so it was collected since it was listed.
            return Ok(None);
        };
        let mut decoded = Checkpoint::decode(walk.id, key, &body);
        if decoded.is_err() {
            self.pause().await;
            match self.provider.try_get(key).await? {
                Some(object) => body = object.body,
                None => return Ok(None),
            }
            decoded = Checkpoint::decode(walk.id, key, &body);
        }
        self.read(body.len() as u64);
        self.report.checkpoints += 1;
        let checkpoint = match decoded {
            Ok(checkpoint) => checkpoint,
            Err(error) => {
                self.found(Severity::Rebuildable, key.to_string(), None, without(key, &error));
                return Ok(None);
            }
        };
        let mut wrong = |what: String| {
            self.found(Severity::Rebuildable, key.to_string(), None, what);
        };
        let flushed = &checkpoint.flushed;
        if let Some(Some(flush)) = walk.flushes.get(&flushed.slot) {
            if flush.id.0[..] != flushed.entry[..] {
                wrong(format!(
                    "slot {} holds the entry {}, not the one it names",
                    flushed.slot, flush.id
                ));
            }
            if let Some((version, time)) = flush.ends
                && (version.0, time) != (flushed.version, flushed.time)
            {
                wrong(format!(
                    "slot {} ends with version {version} of time {time}, not with version {} of {}",
                    flushed.slot, flushed.version, flushed.time
                ));
            }
        }
        match checkpoint.system.flushed() {
            Ok(Some(said)) if said == *flushed => {}
            Ok(_) => wrong("its system key \"flushed\" is not where it stands".to_owned()),
            Err(error) => wrong(error.to_string()),
        }
        if let Err(error) = checkpoint.system.segments() {
            wrong(error.to_string());
        }
        if checkpoint.version == walk.version && walk.is_sure {
            match &walk.system {
                Some(system) if *system != checkpoint.system => {
                    wrong(difference(system, &checkpoint));
                }
                Some(_) => {}
                None => walk.system = Some(checkpoint.system.clone()),
            }
        }
        Ok(Some(checkpoint))
    }
}

/// What version the name of a checkpoint stands for.
fn version(name: &Key) -> Option<Version> {
    let (_, version) = name.as_str().rsplit_once('=')?;
    u64::from_str_radix(version, 16).ok().map(|version| Version(!version))
}

/// The first system key that is not as the log says.
fn difference(system: &crate::system::System, checkpoint: &Checkpoint) -> String {
    let keys = system.entries().chain(checkpoint.system.entries()).map(|(key, _, _)| key);
    let mut keys: Vec<_> = keys.collect();
    keys.sort_unstable();
    let differs = |key: &&&bytes::Bytes| system.get(key) != checkpoint.system.get(key);
    let key = keys.iter().find(differs).map(|key| key.escape_ascii().to_string());
    format!("the system key \"{}\" is not as the log says", key.unwrap_or_default())
}

/// What an error says, without the name of the object at its beginning.
fn without(key: &Key, error: &Error) -> String {
    let message = error.to_string();
    message.strip_prefix(&format!("{key}: ")).unwrap_or(&message).to_owned()
}
