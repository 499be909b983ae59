//! The log on one provider: a slot is an object, and whoever creates it has it.

use std::sync::Arc;

use async_trait::async_trait;
use storage_core::{
    Atomicity, Effect, ErrorKind, Key, Prefix, PutIf, StorageProvider, StorageProviderExt,
};

use crate::planted::planted;
use crate::quorum::{CopyProgress, VoterChange, VoterId, VoterStatus};
use crate::{Appended, CommitLog, Entry, Error, Head, LogId, Record, Result, Slot};

/// How often an append sends its bytes before it answers "unknown".
const APPEND_ATTEMPTS_MAX: usize = 5;

/// A log whose entry `n` exists if and only if the object `<prefix><n as 16 hexadecimal digits>` was
/// created with [`PutIf::Absent`]. Nothing else is asked of the provider, but unconditional puts of
/// tombstones.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use backend_memory::MemoryProvider;
/// use storage_core::Prefix;
/// use storage_log::{Appended, CommitLog, Entry, Head, LogId, ProviderLog, Slot};
///
/// # futures_executor::block_on(async {
/// let (id, provider) = (LogId([7; 16]), Arc::new(MemoryProvider::new()));
/// let log = ProviderLog::new(provider, Prefix::new("log/")?, id)?;
/// let entry = Entry::new(id, Head::genesis(id), [1; 16], b"hello");
/// assert!(matches!(log.append(&entry).await?, Appended::Ours));
/// let record = log.read(Slot(1)).await?.expect("it was appended");
/// assert_eq!(record.body().map(|body| &body[..]), Some(&b"hello"[..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct ProviderLog {
    provider: Arc<dyn StorageProvider>,
    prefix: Prefix,
    id: LogId,
}

impl ProviderLog {
    /// The log `id` under `prefix` of `provider`. Does no I/O.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unsupported`] when the provider declares that it cannot decide who created an object.
    pub fn new(provider: Arc<dyn StorageProvider>, prefix: Prefix, id: LogId) -> Result<Self> {
        let info = provider.info();
        if info.capabilities.absent == Atomicity::Unsupported {
            return Err(Error::Storage(storage_core::Error::not_applied(
                ErrorKind::Unsupported,
                format!(
                    "{} cannot put on condition that the key is absent, which a log stands on; keep the \
                     log on another provider",
                    info.name
                ),
            )));
        }
        Ok(Self { provider, prefix, id })
    }

    fn key(&self, slot: Slot) -> Result<Key> {
        self.prefix.join(format!("{:016x}", slot.0)).map_err(|problem| {
            Error::Storage(storage_core::Error::not_applied(
                ErrorKind::InvalidKey,
                format!("the prefix {:?} leaves no room for slots: {problem}", self.prefix),
            ))
        })
    }
}

#[async_trait]
impl CommitLog for ProviderLog {
    fn id(&self) -> LogId {
        self.id
    }

    async fn append(&self, entry: &Entry) -> Result<Appended> {
        let key = self.key(entry.slot())?;
        let mut lost_answer: Option<storage_core::Error> = None;
        for _ in 0..APPEND_ATTEMPTS_MAX {
            let when = if planted("log-overwrites") { PutIf::Always } else { PutIf::Absent };
            match self.provider.put(&key, entry.bytes().clone(), when).await {
                Ok(_) => return Ok(Appended::Ours),
                Err(error) if error.effect() == Effect::Unknown => {
                    if planted("log-lost-is-failed") {
                        return Err(error.into());
                    }
                    lost_answer = Some(error);
                }
                Err(error) if error.kind() == ErrorKind::Conflict => {}
                Err(error) => return unresolved(lost_answer, error.into()),
            }
            // Not seeing it proves nothing, since the request may land later; so the same bytes are
            // sent again, and whichever attempt lands first shuts out the others.
            match self.read(entry.slot()).await {
                Ok(Some(_)) if planted("log-any-entry-is-ours") => return Ok(Appended::Ours),
                Ok(Some(found)) if planted("log-own-entry-is-anothers") => {
                    return Ok(Appended::Taken(found));
                }
                Ok(Some(found)) if found.id() == entry.id() => return Ok(Appended::Ours),
                Ok(Some(found)) => return Ok(Appended::Taken(found)),
                Ok(None) if planted("log-empty-is-failed") && lost_answer.is_some() => {
                    let absent =
                        storage_core::Error::not_applied(ErrorKind::NotFound, "the slot is empty");
                    return Err(absent.into());
                }
                Ok(None) => {}
                Err(error) => return unresolved(lost_answer, error),
            }
        }
        let absent = storage_core::Error::not_applied(
            ErrorKind::Unavailable,
            "the slot is reported taken, and then empty",
        );
        unresolved(lost_answer, absent.during(storage_core::Operation::Put, &key).into())
    }

    async fn read(&self, slot: Slot) -> Result<Option<Record>> {
        let Some(object) = self.provider.try_get(&self.key(slot)?).await? else { return Ok(None) };
        Record::decode(self.id, slot, object.body).map(Some)
    }

    async fn goes_on(&self, _: Head) -> Result<bool> {
        Ok(false)
    }

    async fn collect(&self, record: &Record) -> Result<()> {
        if record.body().is_some() && !record.is_move() {
            let key = self.key(record.slot())?;
            if planted("log-collects-without-tombstone") {
                self.provider.delete(&key).await?;
                return Ok(());
            }
            self.provider.put(&key, record.tombstone(), PutIf::Always).await?;
        }
        Ok(())
    }

    async fn status(&self) -> Result<Vec<VoterStatus>> {
        Ok(Vec::new())
    }

    async fn mend(&self) -> Result<Vec<VoterId>> {
        Ok(Vec::new())
    }

    async fn change_voters(
        &self,
        _: VoterChange,
        _: &(dyn Fn(CopyProgress) + Send + Sync),
    ) -> Result<bool> {
        let message = format!("the log is on {}, and nobody votes", self.provider.info().name);
        Err(storage_core::Error::not_applied(ErrorKind::Misconfigured, message).into())
    }
}

/// After a lost answer a failure is not a failure of the append: nobody knows.
fn unresolved(lost_answer: Option<storage_core::Error>, error: Error) -> Result<Appended> {
    match lost_answer {
        Some(lost) => Ok(Appended::Unknown(lost)),
        None => Err(error),
    }
}
