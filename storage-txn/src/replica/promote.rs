//! Promotion: the copy takes the place of the store, which commits nothing any more.

use bytes::Bytes;
use storage_core::{Created, PutIf, StorageProvider, StorageProviderExt};
use storage_log::{CommitLog, Head, Record, Slot};

use super::copy::Named;
use super::{PROMOTED, Replica, ReplicaProgress, Tell};
use crate::change::Change;
use crate::format::entry::Batch;
use crate::format::root::Root;
use crate::shared::Shared;
use crate::store::{format_key, key};
use crate::system::{SEALED, System};
use crate::writes::Writes;
use crate::{Error, ErrorKind, Options, Place, Result, Store, Version, space};

/// Where what the other store has committed since is kept, by slot; and under it what its entries name.
const DIVERGED: &str = "replica/diverged/";

/// How a replica took the place of its store.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Promoted {
    /// The last version that it has of the store that it followed.
    pub version: Version,
    /// The slot that ends with it.
    pub slot: u64,
    /// Whether the store it followed is sealed, so that nothing was lost and nothing can be committed there any more.
    /// If not, it could not be reached: promote once more when it can.
    pub sealed: bool,
    /// What the store it followed had committed that it has not: it was sealed later than the replica was promoted.
    pub diverged: Option<Diverged>,
}

/// What a store had committed that its replica did not have when it was promoted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Diverged {
    /// How many transactions, but those of the store's own upkeep.
    pub transactions: u64,
    /// In how many entries of the log, all of which were kept.
    pub entries: u64,
    /// How many objects that they name were kept, and of how many nothing is left.
    pub objects: u64,
    /// How many objects or entries could not be kept, as they were collected.
    pub gone: u64,
}

impl Replica {
    /// Makes a store of the copy. The store that it follows is sealed first: nothing is committed there any more, by whatever
    /// process, and what was before is copied to the end. So nothing is lost, and of two who would write to either, one
    /// is refused.
    ///
    /// Where the store cannot be reached or is damaged that is an error, unless it is `forced`: then what was committed after the last
    /// entry that was copied is not in the copy. Once the store is back, promote again: it is sealed, and what it had
    /// committed meanwhile is counted and kept beside the copy, under `replica/diverged/`.
    ///
    /// Interrupted, it is done again from where it was.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::ReadOnly`] when the copy is not whole, and those of [`follow`](Self::follow).
    pub async fn promote(
        &mut self,
        forced: bool,
        tell: &mut (dyn FnMut(ReplicaProgress) + Send),
    ) -> Result<Promoted> {
        if let Some(object) = self.target.try_get(&key(PROMOTED)?).await? {
            let at = Fork::decode(&object.body)?;
            return self.promoted_before(at, forced, tell).await;
        }
        let sealed = match self.seal().await {
            Ok(()) => {
                self.follow(tell).await?;
                true
            }
            Err(error) if forced && may_be_lost(&error) => {
                super::is_promoted(&Place::from(self.target.clone())).await?;
                false
            }
            Err(error) => return Err(error),
        };
        // What another who follows has copied meanwhile counts too.
        self.reached = None;
        let reached = self.reached().await?;
        let fork = Fork { head: reached.head, version: reached.version, sealed };
        let fork = match self.target.create_exact(&key(PROMOTED)?, fork.encode()).await? {
            Created::Ours(_) => fork,
            Created::Taken(object) => Fork::decode(&object.body)?,
        };
        self.take_over().await?;
        self.hold.release().await;
        let Fork { head, version, sealed } = fork;
        Ok(Promoted { version, slot: head.slot.0, sealed, diverged: None })
    }

    /// One that was promoted: finishes that, and looks after what the other store has done since.
    async fn promoted_before(
        &mut self,
        fork: Fork,
        forced: bool,
        tell: Tell<'_>,
    ) -> Result<Promoted> {
        self.take_over().await?;
        let Fork { head, version, sealed } = fork;
        let mut promoted = Promoted { version, slot: head.slot.0, sealed, diverged: None };
        if sealed {
            return Ok(promoted);
        }
        match self.seal().await {
            Ok(()) => {}
            Err(error) if forced && may_be_lost(&error) => {
                return Ok(promoted);
            }
            Err(error) => return Err(error),
        }
        promoted.diverged = Some(self.keep_diverged(head, tell).await?);
        promoted.sealed = true;
        Ok(promoted)
    }

    /// From now on nothing is committed to the store that is followed.
    async fn seal(&mut self) -> Result<()> {
        // Not mixed up with another store.
        self.source_log().await?;
        let options = Options { flush_bytes: usize::MAX, ..Options::default() };
        let shared = crate::open::open(&self.source, self.env.clone(), options).await?;
        let why =
            format!("its replica on {} has taken its place; use that", self.target.info().name);
        let mut writes = Writes::default();
        writes.change(space::system(SEALED), Change::Put(Bytes::from(why)))?;
        match shared.commit_system(writes, Vec::new(), "seal").await {
            Err(error) if error.kind() == ErrorKind::ReadOnly && !shared.is_replica => Ok(()),
            result => result,
        }
    }

    /// The copy is a store like any other.
    async fn take_over(&mut self) -> Result<()> {
        let root = Root { is_replica: false, ..self.root };
        self.target.put(&format_key()?, root.encode(), PutIf::Always).await?;
        self.root = root;
        let options = Options { flush_bytes: usize::MAX, ..Options::default() };
        let store = Store::open(self.target.clone(), self.env.clone(), options).await?;
        let shared: &std::sync::Arc<Shared> = &store.shared;
        let is_sealed = |system: &System| system.sealed().is_some();
        shared.refresh().await?;
        if is_sealed(&shared.state().view.system) {
            let mut writes = Writes::default();
            writes.change(space::system(SEALED), Change::Delete)?;
            shared.commit_system(writes, Vec::new(), "promote").await?;
        }
        Ok(())
    }

    /// Keeps what the other store has committed after this.
    async fn keep_diverged(&mut self, fork: Head, tell: Tell<'_>) -> Result<Diverged> {
        let log = self.source_log().await?;
        let mut diverged = Diverged::default();
        let mut done = ReplicaProgress::default();
        let mut head = fork;
        while let Some(record) = log.read(head.slot.next()).await? {
            head = head.follow(&record)?;
            if self.has(&record).await? {
                continue;
            }
            let Some(body) = record.body() else {
                diverged.gone += 1;
                continue;
            };
            let batch = Batch::decode(body)?;
            let mut named = Named::default();
            named.add(&batch)?;
            let of_users = batch.transactions.iter().filter(|transaction| {
                !transaction.cancelled && !System::is_concerned(&transaction.writes)
            });
            let of_users = of_users.count() as u64;
            if of_users == 0 {
                continue;
            }
            // The objects first, as anywhere.
            for name in named.needed {
                match self.source.objects.try_get(&key(&name)?).await? {
                    Some(object) => {
                        let bytes = object.body.len() as u64;
                        let kept = key(format!("{DIVERGED}{name}"))?;
                        self.target.put(&kept, object.body, PutIf::Always).await?;
                        diverged.objects += 1;
                        done.objects += 1;
                        done.bytes += bytes;
                    }
                    None => diverged.gone += 1,
                }
            }
            let entry = record.to_entry();
            let kept = key(format!("{DIVERGED}log/{:016x}", record.slot().0))?;
            self.target.put(&kept, entry.bytes().clone(), PutIf::Always).await?;
            diverged.transactions += of_users;
            diverged.entries += 1;
            done.entries += 1;
            done.bytes += entry.bytes().len() as u64;
            tell(done);
        }
        Ok(diverged)
    }

    /// Whether the copy has this record too.
    async fn has(&self, record: &Record) -> Result<bool> {
        let found = self.target_log.read(record.slot()).await?;
        Ok(found.is_some_and(|found| found.id() == record.id()))
    }
}

/// Where a copy began to go its own way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fork {
    pub(super) head: Head,
    pub(super) version: Version,
    /// Whether the other store was sealed before.
    pub(super) sealed: bool,
}

impl Fork {
    /// Lines of text, so that a person who finds it can tell what it is.
    pub(super) fn encode(&self) -> Bytes {
        let Self { head, version, sealed } = self;
        let sealed = if *sealed { "sealed" } else { "forced" };
        format!("{sealed}\nslot {}\nentry {}\nversion {}\n", head.slot, head.id, version.0).into()
    }

    /// # Errors
    ///
    /// [`ErrorKind::Corrupt`].
    pub(super) fn decode(body: &[u8]) -> Result<Self> {
        let corrupt = || Error::corrupt(format!("{PROMOTED} does not say where it was promoted"));
        let text = std::str::from_utf8(body).map_err(|_| corrupt())?;
        let mut lines = text.lines();
        let sealed = match lines.next() {
            Some("sealed") => true,
            Some("forced") => false,
            _ => return Err(corrupt()),
        };
        let mut number = |name: &str| {
            let (key, value) = lines.next()?.split_once(' ')?;
            (key == name).then(|| value.to_owned())
        };
        let slot = number("slot").and_then(|slot| slot.parse().ok()).ok_or_else(corrupt)?;
        let id = number("entry").and_then(|id| hash(&id)).ok_or_else(corrupt)?;
        let version = number("version").and_then(|it| it.parse().ok()).ok_or_else(corrupt)?;
        let head = Head { slot: Slot(slot), id: storage_log::EntryId(id) };
        let fork = Self { head, version: Version(version), sealed };
        // There is one way to write it.
        if body == fork.encode() { Ok(fork) } else { Err(corrupt()) }
    }
}

/// Whether a store that fails with this may be out of reach, gone or damaged for good.
fn may_be_lost(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Storage(_)
            | ErrorKind::NoStore
            | ErrorKind::Corrupt
            | ErrorKind::CommitUnknown(_)
    )
}

fn hash(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(bytes)
}
