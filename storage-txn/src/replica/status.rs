//! How a replica is.

use std::time::Duration;

use storage_core::StorageProviderExt;

use super::promote::Fork;
use super::{FILLED, PROMOTED, Replica};
use crate::store::key;
use crate::{Error, Options, Result, Version};

/// What became of a replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReplicaStage {
    /// It is not whole yet, or was left behind, and cannot be read.
    Filling,
    /// It is the store as it was at a version.
    Following,
    /// It has taken the place of its store, which is sealed.
    Promoted,
    /// It has taken the place of its store, which could not be reached, so something may be there that is not here.
    Forced,
}

/// How far a replica is, and the store that it follows.
#[derive(Debug)]
#[non_exhaustive]
pub struct ReplicaStatus {
    /// What became of it.
    pub stage: ReplicaStage,
    /// The last version that it has; of one that was promoted, the last that it has of the store it followed.
    pub version: Version,
    /// When that was committed, since the Unix epoch; `None` where that is not known.
    pub time: Option<Duration>,
    /// The last version of the store that it follows, and when that was committed; or why it is not known.
    pub source: Result<(Version, Duration)>,
}

impl Replica {
    /// How far it is. Reads the end of either log and writes nothing.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Storage`](crate::ErrorKind::Storage), [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt): what the
    /// provider of the copy fails with. Not what the store does.
    pub async fn status(&mut self) -> Result<ReplicaStatus> {
        let promoted = self.target.try_get(&key(PROMOTED)?).await?;
        let (stage, version, time) = match promoted {
            Some(object) => {
                let fork = Fork::decode(&object.body)?;
                let stage = if fork.sealed { ReplicaStage::Promoted } else { ReplicaStage::Forced };
                (stage, fork.version, None)
            }
            None if !self.is_there(FILLED).await? => (ReplicaStage::Filling, Version::ZERO, None),
            None => {
                self.reached = None;
                let reached = self.reached().await?;
                let time = Duration::from_micros(reached.time);
                (ReplicaStage::Following, reached.version, Some(time))
            }
        };
        Ok(ReplicaStatus { stage, version, time, source: self.source_end().await })
    }

    async fn source_end(&mut self) -> Result<(Version, Duration), Error> {
        self.source_log().await?;
        let options = Options { flush_bytes: usize::MAX, ..Options::default() };
        let shared = crate::open::open(&self.source, self.env.clone(), options).await?;
        let state = shared.state();
        Ok((state.version, Duration::from_micros(state.time)))
    }
}
