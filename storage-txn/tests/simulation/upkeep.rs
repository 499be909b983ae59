//! What clients do to the store itself: collecting, compacting, packing, names for versions, pins, verifying.

use std::sync::atomic::Ordering;
use std::time::Duration;

use storage_txn::{
    At, CollectOptions, Error, ErrorKind, Pin, Result, Severity, Store, VerifyEvent, VerifyOptions,
    Version,
};

use crate::workload::{Client, lock, options};

/// For so long a version is pinned that is to be held until the end; longer than a run takes.
const FOR_GOOD: Duration = Duration::from_secs(30 * 86_400);

impl Client<'_> {
    pub(super) async fn upkeep(&self) {
        match self.node.choose(16) {
            0..=4 => self.collect().await,
            5 | 6 => self.may_be_refused("compact", self.store.compact().await),
            7..=9 => self.pack().await,
            10 | 11 => self.tag().await,
            12 => self.cursor().await,
            13 | 14 => self.pin().await,
            _ => match self.node.choose(4) {
                0 => self.rebuild().await,
                1 => self.verify().await,
                _ => self.untag().await,
            },
        }
    }

    /// Deletes all that nothing needs now.
    pub(super) async fn collect_at_once(&self) {
        let mut options = CollectOptions::default();
        options.grace = Duration::ZERO;
        self.may_be_refused("collect", self.store.collect(&options).await);
    }

    /// Deletes what nothing needs, now and then as if no time had to pass before that.
    async fn collect(&self) {
        let mut options = CollectOptions::default();
        options.grace = Duration::from_secs([0, 0, 1, 60][self.node.choose(4) as usize]);
        options.session_grace = Duration::from_secs([0, 0, 1, 7200][self.node.choose(4) as usize]);
        options.sweep = self.node.choose(4) == 3;
        self.may_be_refused("collect", self.store.collect(&options).await);
    }

    /// Packs away what is before a version, and looks whether it took more than it may.
    async fn pack(&self) {
        self.pack_before(self.version()).await;
    }

    pub(super) async fn pack_before(&self, before: Version) {
        let cursors = self.notes.cursors(|cursors| cursors.clone());
        let pins = self.notes.pins();
        self.notes.packs(before);
        match self.store.pack(At::Version(before)).await {
            Ok(horizon) => {
                let now = self.notes.pins();
                let passed = pins.iter().find(|(pin, at)| now.contains_key(pin) && **at < horizon);
                assert!(passed.is_none(), "packed up to {horizon}, but {passed:?} is pinned");
                let most = self.notes.packed();
                assert!(horizon <= most, "packed up to {horizon}, and asked for at most {most}");
                // Others may have packed more, before there was a cursor.
                let stayed = self.notes.cursors(|now| {
                    cursors
                        .into_iter()
                        .find(|(name, at)| now.get(name) == Some(at) && *at < horizon)
                });
                assert!(stayed.is_none(), "packed up to {horizon}, but there is {stayed:?}");
            }
            failed => self.may_be_refused("pack", failed),
        }
    }

    async fn tag(&self) {
        let (name, version) = (self.notes.name(), self.version());
        match self.store.tag(&name, version).await {
            Ok(()) => drop(self.notes.tags(|tags| tags.insert(name, version))),
            Err(error) if error.kind() == ErrorKind::SnapshotExpired => {
                self.may_fail(&error, Some(version), false);
            }
            failed => self.may_be_refused("tag", failed),
        }
    }

    async fn untag(&self) {
        let name = self.notes.tags(|tags| tags.pop_first().map(|(name, _)| name));
        if let Some(name) = name {
            self.may_be_refused("untag", self.store.untag(&name).await);
        }
    }

    /// Sets a cursor, new or not, or takes one away.
    async fn cursor(&self) {
        // Whoever takes it from there is the only one who moves it.
        let known = match self.node.choose(2) {
            0 => None,
            _ => self.notes.cursors(|cursors| cursors.pop_first().map(|(name, _)| name)),
        };
        if let (Some(name), 0) = (&known, self.node.choose(2)) {
            self.may_be_refused("cursor", self.store.cursor_remove(name).await);
            return;
        }
        let (name, version) = (known.unwrap_or_else(|| self.notes.name()), self.version());
        match self.store.cursor_set(&name, version).await {
            // Else a pack that is under way may pass it over.
            Ok(()) if version >= self.notes.packed() => {
                self.notes.cursors(|cursors| cursors.insert(name, version));
            }
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::SnapshotExpired => {
                self.may_fail(&error, Some(version), false);
            }
            failed => self.may_be_refused("cursor", failed),
        }
    }

    /// Pins a version, or lets go of what is pinned.
    async fn pin(&self) {
        let held = lock(&self.held.pin).take();
        if let Some((mut pin, noted)) = held {
            if self.node.choose(2) == 0 {
                self.let_go(pin, noted).await;
                return;
            }
            let was_held = self.node.env().wall() < pin.expires() && self.notes.lists_are_whole;
            match pin.renew(FOR_GOOD).await {
                Ok(()) => *lock(&self.held.pin) = Some((pin, noted)),
                Err(error) => self.may_fail(&error, Some(pin.snapshot().version()), was_held),
            }
            return;
        }
        let version = self.version();
        let time = [FOR_GOOD, FOR_GOOD, Duration::from_secs(1)][self.node.choose(3) as usize];
        self.pin_for(version, time).await;
    }

    async fn pin_for(&self, version: Version, time: Duration) {
        match self.store.pin(At::Version(version), time).await {
            Ok(pin) => {
                let noted = (time == FOR_GOOD).then(|| self.notes.pinned(version)).flatten();
                *lock(&self.held.pin) = Some((pin, noted));
            }
            Err(error) => self.may_fail(&error, Some(version), false),
        }
    }

    pub(super) async fn let_go(&self, pin: Pin, noted: Option<u32>) {
        self.notes.lets_go(noted);
        self.may_be_refused("release", pin.release().await);
    }

    /// Pins a version that is not packed away yet, but may be while it is pinned.
    pub(super) async fn pin_in_time(&self) {
        let last = self.store.begin().read_version();
        let version = Version(last.0.saturating_sub(u64::from(self.node.choose(3))));
        self.pin_for(version, FOR_GOOD).await;
    }

    /// Whatever is derived can be made again at any time.
    async fn rebuild(&self) {
        let place = self.place.place(self.node);
        let rebuilt = Store::rebuild_index(place, self.node.env(), options()).await;
        match rebuilt {
            // That of the handle which rebuilds, not of ours.
            Err(error) if error.kind() == ErrorKind::SessionReaped => {}
            rebuilt => self.may_be_refused("rebuild", rebuilt),
        }
    }

    /// Nothing is wrong, whoever does what meanwhile.
    async fn verify(&self) {
        let mut found = Vec::new();
        let mut tell = |event| {
            if let VerifyEvent::Finding(finding) = event
                && finding.severity != Severity::Garbage
            {
                found.push(finding);
            }
        };
        let place = self.place.place(self.node);
        let options = VerifyOptions::default();
        let report = Store::verify(place, self.node.env(), &options, &mut tell).await;
        if let Err(error) = report {
            self.may_fail(&error, None, false);
        }
        assert!(found.is_empty(), "nothing is wrong, but verifying says {found:?}");
    }

    /// Looks whether upkeep that was refused may be.
    fn may_be_refused<T>(&self, what: &str, result: Result<T>) {
        let Err(error): Result<T, Error> = result else { return };
        match error.kind() {
            ErrorKind::Storage(_) | ErrorKind::CommitUnknown(_) | ErrorKind::Conflict => {}
            ErrorKind::SessionReaped => self.reaped.store(true, Ordering::Relaxed),
            kind => panic!("no {what} leads to {kind:?}: {error}"),
        }
    }
}
