//! What clients read without a transaction: now, in the past, and what is held or has a tag.

use std::sync::atomic::Ordering;

use conformance::serializability::{Begun, Status};
use storage_txn::{At, Error, ErrorKind, KeyRange, Result, Scan, Snapshot, Version};

use crate::files::FILES;
use crate::workload::{Client, LISTS, lock, read_of, seen};

impl Client<'_> {
    /// Looks at the version it has pinned, or at one that has a tag.
    pub(super) async fn look_at_what_is_kept(&self) -> Status {
        let pinned = {
            let pin = lock(&self.held.pin);
            pin.as_ref().map(|(pin, _)| (pin.snapshot().clone(), pin.expires()))
        };
        if let Some((snapshot, expires)) = pinned {
            self.dawdle().await;
            let begun = self.notes.recorder().begin(self.process, true);
            let result = self.read(&snapshot, begun).await.map(|()| snapshot.version());
            let is_held = self.notes.lists_are_whole && self.node.env().wall() < expires;
            return self.looked(begun, Some(snapshot.version()), is_held, result);
        }
        let tags = self.notes.tags(|tags| tags.values().copied().collect::<Vec<_>>());
        match tags.len() {
            0 => self.look(At::Known).await,
            many => self.look(At::Version(tags[self.node.choose(many as u32) as usize])).await,
        }
    }

    /// Reads without a transaction.
    pub(super) async fn look(&self, at: At) -> Status {
        let past = at != At::Latest;
        let begun = self.notes.recorder().begin(self.process, past);
        let mut version = None;
        let mut is_tagged = false;
        let read = async {
            if let At::Version(asked) = at {
                version = Some(asked);
                is_tagged = self.notes.tags(|tags| tags.values().any(|tag| *tag == asked));
            }
            let snapshot = self.store.snapshot(at).await?;
            let asked = *version.get_or_insert(snapshot.version());
            assert_eq!(snapshot.version(), asked, "a snapshot is of the version asked for");
            self.dawdle().await;
            self.read(&snapshot, begun).await?;
            Ok(snapshot.version())
        };
        let result: Result<Version> = read.await;
        // Somebody may have begun to take the tag away meanwhile.
        let is_kept = is_tagged && version.is_some_and(|version| !self.notes.may_be_gone(version));
        self.looked(begun, version, is_kept, result)
    }

    async fn read(&self, snapshot: &Snapshot, begun: Begun) -> Result<()> {
        for key in LISTS {
            let found = snapshot.get(key).await?;
            self.notes.recorder().record(begun, read_of(key, found));
        }
        let scan = Scan::new(KeyRange::prefix("reg/"));
        let items = snapshot.scan(&scan).await?.collect().await?;
        let items = items.into_iter().map(|item| (item.key, item.value));
        self.notes.recorder().record(begun, seen("reg/", "reg0", false, None, items));
        let file = FILES[self.node.choose(FILES.len() as u32) as usize];
        let found = snapshot.get(file).await?;
        self.notes.files(|files| files.shows(snapshot.version(), file, found));
        Ok(())
    }

    fn looked(
        &self,
        begun: Begun,
        version: Option<Version>,
        is_kept: bool,
        result: Result<Version>,
    ) -> Status {
        let status = match &result {
            Ok(_) => Status::Ok,
            Err(error) => {
                self.may_fail(error, version, is_kept);
                Status::Failed
            }
        };
        self.notes.recorder().end(begun, status, result.ok().map(|version| version.0));
        status
    }

    /// Looks whether something that was refused may be: at a version that was read, which is kept or not.
    pub(crate) fn may_fail(&self, error: &Error, version: Option<Version>, is_kept: bool) {
        match error.kind() {
            ErrorKind::Storage(_) => {}
            ErrorKind::SessionReaped => self.reaped.store(true, Ordering::Relaxed),
            ErrorKind::SnapshotExpired => {
                let gone = match version {
                    Some(version) => self.notes.may_be_gone(version),
                    None => self.notes.packed() > Version::ZERO,
                };
                assert!(gone && !is_kept, "version {version:?} is to be kept: {error}");
            }
            kind => panic!("nothing here leads to {kind:?}: {error}"),
        }
    }
}
