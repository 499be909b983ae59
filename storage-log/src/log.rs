//! The contract of a log.

use std::fmt::Debug;

use async_trait::async_trait;

use crate::quorum::{CopyProgress, VoterChange, VoterId, VoterStatus};
use crate::{Entry, Head, LogId, Record, Result, Slot};

/// An ordered log of opaque entries that any number of processes append to.
///
/// # What must always hold
///
/// - **One entry a slot, for ever.** A slot that has been decided never holds another entry. Collecting
///   takes an entry's bytes away and keeps its id and its place, so a writer that was asleep for a year
///   cannot have a slot that was used.
/// - **No gap.** Only the slot after a known entry is ever appended to, so the first missing slot is the
///   end, and whoever has read up to it has read everything that was appended before the read began.
/// - **Ours is for good.** After [`Appended::Ours`] every reader finds the entry at its slot.
/// - **Not knowing is a result.** A lost answer is resolved by reading back; what cannot be resolved is
///   [`Appended::Unknown`], and stays open until the slot is seen taken.
///
/// # Overlap, failure, cancellation
///
/// Any number of calls may overlap, from any number of handles. Dropping the future of an append leaves
/// it unknown: the entry may be appended later, as long as nothing else has its slot.
#[async_trait]
pub trait CommitLog: Debug + Send + Sync + 'static {
    /// Which log this is.
    fn id(&self) -> LogId;

    /// Appends `entry` at its slot, which the caller knows to be the first missing one. The same entry
    /// may be appended again, and gives the same answer.
    ///
    /// # Errors
    ///
    /// This call has not appended it and has nothing under way that still might:
    /// [`Error::Storage`](crate::Error::Storage), [`Error::Corrupt`](crate::Error::Corrupt). An earlier
    /// call that ended unknown still may have, or may yet.
    async fn append(&self, entry: &Entry) -> Result<Appended>;

    /// What stands at `slot`; `None` if nothing did when the call began.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`](crate::Error::Storage), and [`Error::Corrupt`](crate::Error::Corrupt) for what
    /// is not an entry of this log at this slot, whole and unchanged.
    async fn read(&self, slot: Slot) -> Result<Option<Record>>;

    /// Asked by who has come to the end, with `head` the last entry before the first slot that was missing: whether that was
    /// none, as the log goes on in another place, where it is read from now on. Asks nothing where that is known.
    ///
    /// # Errors
    ///
    /// Those of [`read`](Self::read), and what opening the other place fails with.
    async fn goes_on(&self, head: Head) -> Result<bool>;

    /// Takes the bytes of an entry away and keeps its id and place. `record` is what was read at the slot.
    /// Doing it twice, or twice at once, is the same as once. One by which the log [moves](Record::is_move) is left as it is.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`](crate::Error::Storage).
    async fn collect(&self, record: &Record) -> Result<()>;

    /// Who votes on what is appended, and how each of them is; nobody where one provider decides alone.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`](crate::Error::Storage) when too few of them answer to tell where the log ends.
    async fn status(&self) -> Result<Vec<VoterStatus>>;

    /// Puts another voter in the place of each that was lost, where it was: everything that is decided is copied to it
    /// first. Tells who they are; nobody where one provider decides alone.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`](crate::Error::Storage): what providers fail with, of which all have to answer; and
    /// [`Conflict`](storage_core::ErrorKind::Conflict) when somebody else has changed the voters meanwhile.
    async fn mend(&self) -> Result<Vec<VoterId>>;

    /// Adds, removes or replaces one voter, while the log is in use, and says whether anything had to be decided for
    /// that. A new voter gets everything that is decided first, and `tell` is told how far it is. When this returns, as
    /// many of those who vote now as decide have everything, so that one that was removed may be wiped.
    ///
    /// Stopped at any point, it is done again from where it was, by the same call; until it is decided nothing has
    /// changed, and until it is done again it may still be: keep both the one that goes and the one that comes. Who knows only the voters before is told of the change by those it asks, or refused.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`](crate::Error::Storage): [`Misconfigured`](storage_core::ErrorKind::Misconfigured) where one provider decides
    /// alone, for a provider that is no voter and would have to be, and where fewer than three would be left;
    /// [`Unavailable`](storage_core::ErrorKind::Unavailable) where too few voters answer, now or of those that there would be: not applied,
    /// or unknown where it may be decided; [`Conflict`](storage_core::ErrorKind::Conflict) when somebody else has changed
    /// the voters meanwhile: look who votes, and decide again; and what providers fail with.
    ///
    /// # Panics
    ///
    /// If there is no provider of a number.
    async fn change_voters(
        &self,
        change: VoterChange,
        tell: &(dyn Fn(CopyProgress) + Send + Sync),
    ) -> Result<bool>;
}

/// What became of an append.
#[derive(Debug)]
#[must_use]
pub enum Appended {
    /// The entry stands at its slot.
    Ours,
    /// Another entry stands there, and ours never will.
    Taken(Record),
    /// Nobody knows: an answer was lost and reading back did not settle it. The entry may stand there, or
    /// may yet. Append it again, or append another at the same slot, which shuts it out if it wins; never
    /// go on to the next slot before this one is known.
    Unknown(storage_core::Error),
}
