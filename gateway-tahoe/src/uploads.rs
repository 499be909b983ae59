//! Uploads under way: what was written of shares that are not complete, in the folder of the server.
//!
//! An upload becomes a share of the store when its last byte has come, in one transaction. Until then its bytes are in a
//! file, and a journal says which of them count: so nothing of it is lost when the server ends, however it does. Parts
//! that are whole go to the store beforehand.

mod ahead;
mod body;
mod journal;
mod recover;
mod upload;

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body::Body;

use crate::error::{Error, Refusal, Result};
use crate::metrics::UPLOADS;
use crate::record::LeaseSecrets;
use crate::shares::{Data, SHARES_MAX, Shares};
use crate::{Kind, StorageIndex};

use ahead::{PARTS_AT_ONCE, Room};
use body::{PIECE_BYTES, Pieces, joined};
use journal::{Entry, Journal, Opened};
use upload::{PATIENCE_SECONDS, Upload};

/// The most ranges of one upload: who writes with more holes than that is refused.
const RANGES_MAX: usize = 65_536;
/// How long a write waits for parts that the store is slow to take, and how often it looks: the client waits for a minute.
const SLOW_TIME_MAX: Duration = Duration::from_secs(20);
const SLOW_LOOK: Duration = Duration::from_millis(20);

/// The uploads of a server. A handle is cheap to clone, and all of them are the same.
#[derive(Debug, Clone)]
pub struct Uploads {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    shares: Shares,
    folder: PathBuf,
    journal: Journal,
    open: Mutex<Open>,
    room: Room,
    /// Locked for as long as the server lives, so that no other takes its uploads up.
    _lock: File,
}

#[derive(Debug, Default)]
struct Open {
    uploads: HashMap<(StorageIndex, u64), Arc<Upload>>,
    /// How many bytes they will have together.
    bytes: u64,
    next: u64,
}

/// What an allocation answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allocated {
    /// All shares of the file that are complete.
    pub already_have: BTreeSet<u64>,
    /// Those that were asked for and may be uploaded now.
    pub allocated: BTreeSet<u64>,
}

/// What is left of an upload after a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// These ranges have not been written.
    Missing(Vec<Range<u64>>),
    /// It is complete, and durable.
    Complete,
}

impl Uploads {
    /// The uploads that are in a folder, of a server that may have ended without a word.
    ///
    /// # Errors
    ///
    /// [`Error::InUse`] when another server has the folder; [`Error::File`].
    pub fn open(shares: Shares, folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder).map_err(Error::file(folder))?;
        let lock = crate::files::lock(&folder.join("lock"))?;
        let Opened { journal, entries } = Journal::open(&folder.join("journal"))?;
        let room = Room::new(shares.options().held_bytes_max);
        let (folder, open) = (folder.to_owned(), Mutex::default());
        let inner = Inner { shares, folder, journal, open, room, _lock: lock };
        let uploads = Self { inner: Arc::new(inner) };
        uploads.recover(entries)?;
        Ok(uploads)
    }

    /// The shares that uploads become.
    #[must_use]
    pub fn shares(&self) -> &Shares {
        &self.inner.shares
    }

    /// How many uploads are under way.
    #[must_use]
    pub fn count(&self) -> usize {
        self.opened().uploads.len()
    }

    /// How many bytes there is room for, without those of uploads under way.
    #[must_use]
    pub fn free_bytes(&self) -> u64 {
        if self.shares().is_read_only() {
            return 0;
        }
        self.shares().free_bytes().saturating_sub(self.opened().bytes)
    }

    /// Begins uploads of shares of a file.
    ///
    /// What is under way with another secret stays, unless it was left by a server that has ended and nobody has continued
    /// it: whose client noticed the end has given that share up, and who uploads the file anew or repairs it need not wait
    /// for half an hour.
    ///
    /// # Errors
    ///
    /// [`Refusal::Conflict`] when the file is a mutable one; what the store says; [`Error::File`].
    pub async fn allocate(
        &self,
        index: StorageIndex,
        numbers: &BTreeSet<u64>,
        size: u64,
        secrets: &LeaseSecrets,
        upload_secret: &[u8],
    ) -> Result<Allocated> {
        let options = self.shares().options();
        let read_only = self.shares().is_read_only();
        if !read_only {
            self.give_way(index, numbers, upload_secret)?;
        }
        // Seen before the store is: what is completed meanwhile is still here, or already there.
        let under_way: BTreeSet<u64> = self.under_way(index);
        let already_have = self.shares().already_have(index, secrets).await?;
        let mut allocated = BTreeSet::new();
        if read_only {
            return Ok(Allocated { already_have, allocated });
        }
        let now = self.shares().now();
        let lease = self.shares().lease(secrets);
        let secret = blake3::hash(upload_secret);
        let mut entries = Vec::new();
        {
            let mut open = self.opened();
            let mut of_file = already_have.len() + under_way.len();
            for number in numbers {
                let place = (index, *number);
                let taken = already_have.contains(number)
                    || under_way.contains(number)
                    || open.uploads.contains_key(&place);
                let free = self.shares().free_bytes().saturating_sub(open.bytes);
                let full = size > free
                    || of_file >= SHARES_MAX
                    || open.uploads.len() >= options.uploads_max;
                if taken || full {
                    continue;
                }
                let deadline = now.saturating_add(PATIENCE_SECONDS);
                let upload = Upload::new(open.next, place, size, secret, lease.clone(), deadline);
                entries.push(upload.entry());
                open.next += 1;
                open.bytes = open.bytes.saturating_add(size);
                open.uploads.insert(place, Arc::new(upload));
                allocated.insert(*number);
                of_file += 1;
            }
        }
        metrics::gauge!(UPLOADS).set(self.count() as f64);
        if let Err(error) = self.inner.journal.add(&entries) {
            let mut open = self.opened();
            for number in &allocated {
                open.remove((index, *number));
            }
            return Err(error);
        }
        Ok(Allocated { already_have, allocated })
    }

    /// Writes bytes of a share that is being uploaded: a range of it, whose bytes are the beginning of `body`.
    ///
    /// When they were the last to be missing, the share is stored: goes on also when this future is dropped.
    ///
    /// # Errors
    ///
    /// [`Refusal::WrongSecret`], [`Refusal::NotFound`], [`Refusal::OutOfRange`] for what is not in the share;
    /// [`Refusal::Conflict`] when other bytes were written there before: nothing of this is kept then.
    /// [`Refusal::Invalid`] for a body that is too short; [`Error::Body`]; what the store says: then all that was written
    /// is kept, and writing any of it once more tries to store it again.
    pub async fn write<B>(
        &self,
        place: (StorageIndex, u64),
        upload_secret: &[u8],
        range: Range<u64>,
        body: B,
    ) -> Result<Progress>
    where
        B: Body<Data = Bytes> + Send,
        B::Error: std::fmt::Display,
    {
        let upload = self.find(place, upload_secret)?;
        if range.end > upload.size || range.is_empty() {
            return Err(Refusal::OutOfRange.into());
        }
        let _turn = upload.turn().await;
        let found = self.find(place, upload_secret)?;
        if !Arc::ptr_eq(&found, &upload) {
            return Err(Refusal::NotFound.into());
        }
        let untouched = {
            let mut written = upload.written();
            written.left = false;
            written.ranges.is_empty()
        };
        let mut pieces = Pieces::new(body, range.end - range.start);
        if untouched && range == (0..upload.size) && upload.size <= PIECE_BYTES as u64 {
            let whole = pieces.next().await?;
            pieces.finish()?;
            self.complete(&upload, Data::Pieces(whole.into())).await?;
            return Ok(Progress::Complete);
        }
        let part_bytes = self.shares().options().part_bytes;
        upload.ahead().begin(range.clone(), part_bytes);
        let path = self.path(upload.id);
        let mut at = range.start;
        while at < range.end {
            let piece = pieces.next().await?;
            let end = at + piece.iter().map(|bytes| bytes.len() as u64).sum::<u64>();
            self.keep(&upload, &path, at..end, piece).await?;
            at = end;
        }
        pieces.finish()?;
        let missing = {
            let mut written = upload.written();
            if written.ranges.len() >= RANGES_MAX {
                let why = format!("an upload has at most {RANGES_MAX} ranges");
                return Err(Refusal::TooLarge(why).into());
            }
            written.ranges.insert(range.clone());
            written.deadline = self.shares().now().saturating_add(PATIENCE_SECONDS);
            written.ranges.missing(0..upload.size)
        };
        let deadline = upload.written().deadline;
        let entry = Entry::Wrote { id: upload.id, begin: range.start, end: range.end, deadline };
        self.inner.journal.add(&[entry])?;
        upload.ahead().end();
        if !missing.is_empty() {
            self.send_ahead(&upload, range).await;
            return Ok(Progress::Missing(missing));
        }
        self.complete(&upload, self.data(&upload)).await?;
        Ok(Progress::Complete)
    }

    /// Ends an upload, and forgets what was written.
    ///
    /// # Errors
    ///
    /// [`Refusal::WrongSecret`]; [`Refusal::Complete`] for a share that is complete; [`Refusal::NotFound`].
    pub async fn abort(&self, place: (StorageIndex, u64), upload_secret: &[u8]) -> Result<()> {
        let Ok(upload) = self.look(place) else {
            let (index, number) = place;
            let complete = self.shares().reader(Kind::Immutable, index, number).await?.is_some();
            return Err(if complete { Refusal::Complete } else { Refusal::NotFound }.into());
        };
        upload.check(upload_secret)?;
        // What is being written, or stored, comes first.
        let _turn = upload.turn().await;
        if upload.written().over {
            let (index, number) = place;
            let complete = self.shares().reader(Kind::Immutable, index, number).await?.is_some();
            return Err(if complete { Refusal::Complete } else { Refusal::NotFound }.into());
        }
        self.forget(&upload)
    }

    /// Ends all uploads that nobody has written to for half an hour, stores those that are whole, and says how many have
    /// ended.
    ///
    /// # Errors
    ///
    /// [`Error::File`].
    pub async fn sweep(&self) -> Result<usize> {
        let all: Vec<_> = self.opened().uploads.values().cloned().collect();
        let now = self.shares().now();
        let mut ended = 0;
        for upload in all {
            // Somebody is writing to it.
            let Ok(_turn) = upload.turn.try_acquire() else { continue };
            let (late, whole, over) = {
                let written = upload.written();
                let whole = written.ranges.missing(0..upload.size).is_empty() && upload.size > 0;
                (written.deadline <= now, whole, written.over)
            };
            if over {
                continue;
            }
            upload.ahead().cool();
            if whole && !late {
                // Its last byte has come, and then the server ended, or the store was out of reach.
                if let Err(error) = self.complete(&upload, self.data(&upload)).await {
                    tracing::warn!(index = %upload.place.0, "an upload is whole and could not be stored: {error}");
                }
            } else if late {
                self.forget(&upload)?;
                ended += 1;
            }
        }
        Ok(ended)
    }

    /// Stores a share that is whole. Goes on when it is dropped.
    async fn complete(&self, upload: &Arc<Upload>, data: Data) -> Result<()> {
        let (this, upload) = (self.clone(), upload.clone());
        let stored = tokio::spawn(async move {
            let leases = [upload.lease.clone()];
            let taken = upload.ahead().take(this.shares().options().part_bytes);
            let (known, _memory) = taken.known(this.shares(), upload.size).await;
            this.shares().put_parts(upload.place, &data, known, &leases).await?;
            this.forget(&upload)
        });
        match stored.await {
            Ok(done) => done,
            Err(error) => Err(Error::Damaged(format!("storing a share has ended early: {error}"))),
        }
    }

    /// Sends the parts that a write has made whole to the store. When it is slow to take them, the client is slowed down.
    async fn send_ahead(&self, upload: &Arc<Upload>, range: Range<u64>) {
        let part_bytes = self.shares().options().part_bytes;
        let file = self.data(upload);
        for part in range.start / part_bytes..range.end.div_ceil(part_bytes) {
            let bytes = self.shares().part_range(part, upload.size);
            let whole = upload.written().ranges.missing(bytes.clone()).is_empty();
            if whole {
                upload.ahead().send(part, bytes, &file, self.shares());
            }
        }
        let wait = async {
            while upload.ahead().under_way() > PARTS_AT_ONCE {
                tokio::time::sleep(SLOW_LOOK).await;
            }
        };
        // After that time the file has what the store does not.
        let _ = tokio::time::timeout(SLOW_TIME_MAX, wait).await;
    }

    /// Keeps bytes in the file of an upload, or compares them with those that were written there before.
    async fn keep(
        &self,
        upload: &Upload,
        path: &Path,
        range: Range<u64>,
        pieces: Vec<Bytes>,
    ) -> Result<()> {
        let (old, new) = {
            let written = upload.written();
            (written.ranges.within(range.clone()), written.ranges.missing(range.clone()))
        };
        if old.is_empty() {
            let part_bytes = self.shares().options().part_bytes;
            upload.ahead().hold(range.start, &pieces, part_bytes, &self.inner.room);
            return crate::files::write_at(path, range.start, pieces).await;
        }
        let bytes = joined(pieces);
        let cut = |part: &Range<u64>| {
            bytes.slice((part.start - range.start) as usize..(part.end - range.start) as usize)
        };
        let shared = Arc::new(path.to_owned());
        for part in &old {
            let len = (part.end - part.start) as usize;
            if crate::files::read_at(&shared, part.start, len).await? != cut(part) {
                return Err(Refusal::Conflict("other bytes were written there before").into());
            }
        }
        for part in &new {
            crate::files::write_at(path, part.start, vec![cut(part)]).await?;
        }
        Ok(())
    }

    fn data(&self, upload: &Upload) -> Data {
        Data::File { path: Arc::new(self.path(upload.id)), offset: 0, size: upload.size }
    }

    /// An upload is over: completed, aborted or given up.
    fn forget(&self, upload: &Upload) -> Result<()> {
        upload.written().over = true;
        upload.ahead().take(self.shares().options().part_bytes).discard(self.shares());
        self.opened().remove(upload.place);
        metrics::gauge!(UPLOADS).set(self.count() as f64);
        self.inner.journal.add(&[Entry::Over { id: upload.id }])?;
        let path = self.path(upload.id);
        match std::fs::remove_file(&path) {
            // Nothing was written, or who stored it at the same time was first.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            done => done.map_err(Error::file(&path)),
        }
    }

    /// The upload, if there is one that is still under way and this is its secret.
    fn find(&self, place: (StorageIndex, u64), upload_secret: &[u8]) -> Result<Arc<Upload>> {
        let upload = self.look(place)?;
        upload.check(upload_secret)?;
        Ok(upload)
    }

    fn look(&self, place: (StorageIndex, u64)) -> Result<Arc<Upload>> {
        let upload = self.opened().uploads.get(&place).cloned();
        let upload = upload.ok_or(Refusal::NotFound)?;
        let late = {
            let written = upload.written();
            written.deadline <= self.shares().now()
        };
        if late {
            // Somebody may be at the end of writing to it: then it is as if the time had come a moment later.
            if let Ok(_turn) = upload.turn.try_acquire() {
                self.forget(&upload)?;
                return Err(Refusal::NotFound.into());
            }
        }
        Ok(upload)
    }

    /// The shares of a file that are being uploaded; those that nobody has written to for long are ended first.
    fn under_way(&self, index: StorageIndex) -> BTreeSet<u64> {
        let numbers: Vec<_> = {
            let open = self.opened();
            open.uploads.keys().filter(|place| place.0 == index).map(|place| place.1).collect()
        };
        numbers.into_iter().filter(|number| self.look((index, *number)).is_ok()).collect()
    }

    /// Forgets uploads that were left by a server that has ended, for those of another secret.
    ///
    /// One that is whole is not forgotten: [`Uploads::sweep`] stores it.
    fn give_way(
        &self,
        index: StorageIndex,
        numbers: &BTreeSet<u64>,
        upload_secret: &[u8],
    ) -> Result<()> {
        for number in numbers {
            let Ok(upload) = self.look((index, *number)) else { continue };
            // Somebody continues it at this moment.
            let Ok(_turn) = upload.turn.try_acquire() else { continue };
            let is_left = {
                let written = upload.written();
                written.left && !written.over && !written.ranges.missing(0..upload.size).is_empty()
            };
            if is_left && upload.check(upload_secret).is_err() {
                self.forget(&upload)?;
            }
        }
        Ok(())
    }

    fn path(&self, id: u64) -> PathBuf {
        self.inner.folder.join(format!("{id:016x}"))
    }

    fn opened(&self) -> MutexGuard<'_, Open> {
        self.inner.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn remove(&mut self, place: (StorageIndex, u64)) {
        if let Some(upload) = self.uploads.remove(&place) {
            self.bytes = self.bytes.saturating_sub(upload.size);
        }
    }
}
