//! Clients that are about large values only: put, taken back, pinned, packed away and collected all the time, so that
//! whoever still needs a value meets whoever deletes it in most runs, and not in one of thousands.

use std::time::Duration;

use conformance::serializability::Status;
use storage_txn::{At, Result, Snapshot, Version};

use crate::files::FILES;
use crate::large::Use;
use crate::workload::{Client, lock};

impl Client<'_> {
    /// One of the things that decide how long a value is kept.
    pub(super) async fn keep_values(&self) -> Status {
        match self.node.choose(8) {
            0 | 1 => {
                if lock(&self.held.upload).is_none() || self.node.choose(4) == 3 {
                    self.upload().await;
                }
                self.use_files_in(&[Use::PutUpload], 1).await
            }
            2 => self.use_files_in(&[Use::Delete, Use::Copy], 1).await,
            3 | 4 => self.use_files_in(&[Use::Undo], 1).await,
            5 => {
                let last = self.store.begin().read_version();
                self.pack_before(last).await;
                self.collect_at_once().await;
                Status::Ok
            }
            6 => {
                let is_pinned = lock(&self.held.pin).is_some();
                if !is_pinned {
                    self.pin_in_time().await;
                }
                let status = self.look_at_files().await;
                // What is pinned holds packing back.
                let held = lock(&self.held.pin).take_if(|_| self.node.choose(2) == 0);
                if let Some((pin, noted)) = held {
                    self.let_go(pin, noted).await;
                }
                status
            }
            _ => self.look_at_files().await,
        }
    }

    /// Reads all files of the version that is pinned, after a while; or else those of now.
    async fn look_at_files(&self) -> Status {
        let pinned = {
            let pin = lock(&self.held.pin);
            pin.as_ref().map(|(pin, _)| pin.snapshot().clone())
        };
        let mut version = None;
        let read = async {
            let snapshot = match &pinned {
                Some(snapshot) => {
                    let pause = Duration::from_millis([0, 200, 2000][self.node.choose(3) as usize]);
                    self.node.env().sleep(pause).await;
                    snapshot.clone()
                }
                None => self.store.snapshot(At::Latest).await?,
            };
            version = Some(snapshot.version());
            self.read_files(&snapshot).await
        };
        let result: Result<Version> = read.await;
        if let Err(error) = result {
            // All are pinned for longer than a run takes.
            self.may_fail(&error, version, pinned.is_some());
            return Status::Failed;
        }
        Status::Ok
    }

    async fn read_files(&self, snapshot: &Snapshot) -> Result<Version> {
        for file in FILES {
            let found = snapshot.get(file).await?;
            self.notes.files(|files| files.shows(snapshot.version(), file, found));
        }
        Ok(snapshot.version())
    }
}
