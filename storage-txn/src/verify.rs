//! Verifying: everything that is stored is read, and all that is wrong with it is said.

mod checkpoints;
mod entries;
mod index;
mod log;
mod names;
mod present;
mod root;
mod sums;
mod tolerant;
mod values;

use std::sync::Arc;
use std::time::Duration;

use storage_core::{Env, StorageProvider};

use self::tolerant::Tolerant;
use crate::format::root::LogAt;
use crate::{Place, Result, Store, Version};

/// How a store is verified.
///
/// # Examples
///
/// ```
/// let mut options = storage_txn::VerifyOptions::default();
/// options.requests_at_once = 4;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifyOptions {
    /// How many requests are under way at once. Memory is bounded by so many entries of the log, or parts of segments
    /// of a megabyte.
    pub requests_at_once: usize,
    /// How long to wait before what seems wrong is read again: bytes that were spoilt on their way, or something that
    /// others are just about to change, are no finding.
    pub pause: Duration,
}

impl Default for VerifyOptions {
    fn default() -> Self {
        Self { requests_at_once: 16, pause: Duration::from_secs(1) }
    }
}

/// What is told while a store is being verified.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum VerifyEvent {
    /// How far it is.
    Progress(VerifyProgress),
    /// Something is wrong.
    Finding(Finding),
}

/// How much of a store was verified.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifyProgress {
    /// How many objects were.
    pub objects: u64,
    /// Of how many in all. Grows when others add some meanwhile.
    pub objects_total: u64,
    /// How many bytes were.
    pub bytes: u64,
    /// Of how many in all.
    pub bytes_total: u64,
}

/// Something that is wrong with an object of a store.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The name of the object on the provider.
    pub object: String,
    /// Where in the object, in bytes from its start, if that can be told.
    pub offset: Option<u64>,
    /// What is wrong.
    pub what: String,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: ", self.object)?;
        if let Some(offset) = self.offset {
            write!(f, "at byte {offset}: ")?;
        }
        write!(f, "{} ({})", self.what, self.severity)
    }
}

/// How bad it is. The worst comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Severity {
    /// What was there is stored nowhere else.
    Lost,
    /// An entry of the log is damaged that segments have taken in, so that nothing is lost; but segments cannot be made
    /// from it again.
    Weakened,
    /// It can be made again from the log: see [`Store::rebuild_index`].
    Rebuildable,
    /// It takes up room and does no other harm.
    Garbage,
}

impl std::fmt::Display for Severity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Lost => "lost",
            Self::Weakened => "weakened",
            Self::Rebuildable => "rebuildable",
            Self::Garbage => "garbage",
        })
    }
}

/// What was verified and how much of it was wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifyReport {
    /// The last version that was seen in the log.
    pub version: Version,
    /// How many entries of the log are whole.
    pub entries: u64,
    /// How many are collected.
    pub entries_collected: u64,
    /// How many checkpoints were read.
    pub checkpoints: u64,
    /// How many segments were read.
    pub segments: u64,
    /// How many changes of keys and emptied ranges are in them.
    pub changes: u64,
    /// How many objects were read, and how many bytes.
    pub progress: VerifyProgress,
    /// How many findings say that data is lost.
    pub lost: u64,
    /// How many say that the log is damaged where segments have taken it in.
    pub weakened: u64,
    /// How many name something that can be made again.
    pub rebuildable: u64,
    /// How many name something that only takes up room.
    pub garbage: u64,
    /// Objects that nobody names, by the session that wrote them: they are left over from something that was interrupted,
    /// or belong to something that is under way.
    pub unnamed: Vec<Unnamed>,
}

/// What of a session is stored and named nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unnamed {
    /// The session, in hexadecimal digits as in the names of the objects.
    pub session: String,
    /// How many objects.
    pub objects: u64,
    /// How many bytes they have.
    pub bytes: u64,
}

impl VerifyReport {
    /// Whether everything is as it must be. Garbage is no defect.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.lost + self.weakened + self.rebuildable == 0
    }
}

impl Store {
    /// Reads everything that is stored, and tells `tell` of whatever is wrong: with entries of the log, checkpoints,
    /// segments and large values by themselves, with what they say of each other, and with what nobody names.
    ///
    /// Writes nothing, and needs no store that can be opened; only where the log is on a quorum, what somebody has begun to
    /// append may have to be finished. Others may use the store meanwhile. Whether entries at the very
    /// end of the log were lost, which no checkpoint knows of, cannot be told: such a store is as it once was.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoStore`](crate::ErrorKind::NoStore), [`ErrorKind::UnknownFormat`](crate::ErrorKind::UnknownFormat),
    /// [`ErrorKind::Storage`](crate::ErrorKind::Storage). What is damaged is a finding and not an error.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use storage_txn::{Options, Store, VerifyEvent, VerifyOptions};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), storage_txn::Error> {
    /// # let provider = Arc::new(backend_memory::MemoryProvider::new());
    /// # let env = Arc::new(storage_wrappers::TokioEnv::new());
    /// # let store = Store::init(provider.clone(), env.clone(), Options::default()).await?;
    /// store.transact(async |tx| tx.put("a", "1")).await?;
    /// let mut tell = |event| {
    ///     if let VerifyEvent::Finding(finding) = event {
    ///         eprintln!("{finding}");
    ///     }
    /// };
    /// let report = Store::verify(provider, env, &VerifyOptions::default(), &mut tell).await?;
    /// assert!(report.is_sound());
    /// # Ok(())
    /// # }
    /// ```
    pub async fn verify(
        place: impl Into<Place>,
        env: Arc<dyn Env>,
        options: &VerifyOptions,
        tell: &mut (dyn FnMut(VerifyEvent) + Send),
    ) -> Result<VerifyReport> {
        let place = place.into();
        let tolerant = Arc::new(Tolerant::new(place.objects.clone()));
        let mut verifier = Verifier {
            place: place.with_objects(tolerant.clone()),
            provider: tolerant.clone(),
            tolerant,
            env,
            options: options.clone(),
            tell,
            report: VerifyReport::default(),
            log_at: LogAt::Provider,
        };
        verifier.run().await?;
        Ok(verifier.report)
    }
}

/// A store being verified.
struct Verifier<'a> {
    place: Place,
    /// That of its objects.
    provider: Arc<dyn StorageProvider>,
    /// The same.
    tolerant: Arc<Tolerant>,
    env: Arc<dyn Env>,
    options: VerifyOptions,
    tell: &'a mut (dyn FnMut(VerifyEvent) + Send),
    report: VerifyReport,
    /// Where the log is.
    log_at: LogAt,
}

impl Verifier<'_> {
    async fn run(&mut self) -> Result<()> {
        let root = self.root().await?;
        let listed = self.list().await?;
        let log = self.place.log(root, &self.env).await?;
        let walked = self.log(root, &log, &listed).await?;
        self.index(log, walked, listed).await?;
        self.values().await
    }

    fn found(
        &mut self,
        severity: Severity,
        object: impl Into<String>,
        offset: Option<u64>,
        what: impl Into<String>,
    ) {
        let count = match severity {
            Severity::Lost => &mut self.report.lost,
            Severity::Weakened => &mut self.report.weakened,
            Severity::Rebuildable => &mut self.report.rebuildable,
            Severity::Garbage => &mut self.report.garbage,
        };
        *count += 1;
        let object = object.into();
        let (offset, what) = match self.tolerant.said_of(&object) {
            Some(said) => (None, format!("the provider says: {said}")),
            None => (offset, what.into()),
        };
        let finding = Finding { severity, object, offset, what };
        (self.tell)(VerifyEvent::Finding(finding));
    }

    /// What the entry of a slot is called.
    fn entry_name(&self, slot: u64) -> String {
        entries::name(self.log_at, slot)
    }

    /// Takes note that an object was read.
    fn read(&mut self, bytes: u64) {
        let progress = &mut self.report.progress;
        progress.objects += 1;
        progress.bytes += bytes;
        progress.objects_total = progress.objects_total.max(progress.objects);
        progress.bytes_total = progress.bytes_total.max(progress.bytes);
        (self.tell)(VerifyEvent::Progress(*progress));
    }

    /// Waits before something that seems wrong is looked at again.
    async fn pause(&mut self) {
        self.env.sleep(self.options.pause).await;
    }
}

#[cfg(test)]
mod tests;
